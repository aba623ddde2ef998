#include "ledge/types.h"
#include <stdio.h>
int main(void) { puts(ledge_status_text(LEDGE_OK)); return 0; }
