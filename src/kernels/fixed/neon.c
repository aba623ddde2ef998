/* fixed for NEON: see fixed_body.h. */
#define FIXED_NAME fixed__neon
#include "kernels/fixed/fixed_body.h"
