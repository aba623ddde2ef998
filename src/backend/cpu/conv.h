/* backend/cpu/conv: what kernels of several convolutions need of the one for a single one. */
#ifndef BACKEND_CPU_CONV_H
#define BACKEND_CPU_CONV_H

#include "backend/cpu/rows.h"
#include "kernels/conv/conv.h"

/* Packs a plan's weights and bias (or NULL) in the store; the same for equal plans. */
ledge_status cpu_conv_pack(const kernel_request *r, const conv_f32_plan *plan, const tensor *w, const tensor *b,
                           const void **ret, ledge_error *error);
/* The algorithm that was timed as the fastest here (backend/tune.h); CONV_AUTO where the model of their times decides.
 */
conv_algo cpu_conv_tuned(const kernel_request *r, const conv_f32_params *p);
/* Gives operand `operand` (see kernel.window), whose rows are `row` elements, that stride of its pixels; false where
 * the convolution has no such one. */
bool cpu_conv_set_stride(conv_f32_params *p, int operand, int64_t row, int64_t stride);
double cpu_conv_multiply_adds(const conv_f32_params *p);

#endif
