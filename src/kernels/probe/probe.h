/* kernels/probe: the processor's float32 multiply-add peak: independent chains of fused multiply-adds in registers, as
 * many as hide the latency. */
#ifndef KERNELS_PROBE_H
#define KERNELS_PROBE_H

#include <stdint.h>

/* Runs `rounds` rounds on this thread with the widest of the given instruction sets; returns the multiply-adds done. */
double probe_f32(uint32_t isa, int64_t rounds);
/* The same of products of bfloat16 with float32 sums, by the instructions of kernels/gemm_bf16; 0 where there are none.
 */
double probe_bf16(uint32_t isa, int64_t rounds);

#endif
