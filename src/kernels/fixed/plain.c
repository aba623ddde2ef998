/* fixed for every machine: see fixed_body.h. */
#define FIXED_NAME fixed__plain
#include "kernels/fixed/fixed_body.h"
