/* ops/tflite_fixed: transcendental functions of fixed-point numbers, as gemmlowp (Jacob et al., 2017) has them: words
 * of 16 or 32 bits, `integer` bits of which stand before the point; results have none (Q0.15, Q0.31). */
#ifndef OPS_TFLITE_FIXED_H
#define OPS_TFLITE_FIXED_H

#include "kernels/fixed/fixed.h"

int32_t tflite_high_mul(int bits, int32_t a, int32_t b); /* of Qa and Qb, gives Q(a + b) */
int32_t tflite_exp(int bits, int integer, int32_t a);    /* e^a for a <= 0; integer <= 7 */
int32_t tflite_reciprocal(int bits, int32_t a);          /* 1 / (1 + a) for a in [0, 1), Q0 */
int32_t tflite_logistic(int bits, int integer, int32_t a);
int32_t tflite_tanh(int bits, int integer, int32_t a); /* integer <= 6 */

#endif
