/* kernels/gemm_bf16: matrix product of bfloat16 factors with float32 sums.
 *
 *   C[m, n] = act(sum over k of bf16(A[m, k]) * bf16(scale * B[k, n]) + bias[n] + residual[m, n])
 *
 * A, bias, residual and C are float32; A is rounded to bfloat16 (to nearest, ties to even) as it is copied to scratch,
 * B once, as it is packed, into half the bytes of float32. A bfloat16 has 8 bits of precision, so that a factor is off
 * by at most 2^-9 of itself. Products are exact in float32; how sums are rounded is the processor's: AMX and AVX-512
 * BF16 add pairs and take denormals as zero, the others are chains of fused multiply-adds.
 *
 * Packed B: panels of 32 columns, k filled up to a multiple of 32 by zeros, so that a vector or a tile has groups of
 * k_group (2 or 4: the variant's) consecutive k of each column; 64-byte aligned.
 *
 *        packed = [ceil(n / 32)][ceil(k / 32) * 32 / k_group][32][k_group]
 *
 * Each element of C is computed by the same arithmetic whatever the number of threads. C may be the residual itself
 * (same address and stride); else C overlaps nothing. m may be 0. */
#ifndef KERNELS_GEMM_BF16_H
#define KERNELS_GEMM_BF16_H

#include "base/compiler.h"
#include "base/pool.h"
#include "kernels/epilogue.h"

struct gemm_bf16_variant;

typedef struct gemm_bf16_params {
  int64_t m, n, k; /* m may differ from run to run; n and k may not */
  kernel_epilogue epilogue;
  int threads; /* pool_threads of the pool that will run it; 0 means 1 */
} gemm_bf16_params;

typedef struct gemm_bf16_plan {
  gemm_bf16_params params;
  const struct gemm_bf16_variant *variant;
  size_t packed_b_bytes; /* for gemm_bf16_pack_b; 64-byte aligned memory */
  size_t scratch_bytes;  /* 64-byte aligned memory */
  int64_t a_stride;      /* elements between the rows of the copy of A, */
  int64_t slab_rows;     /* of which scratch holds so many */
} gemm_bf16_plan;

/* isa_mask: bits of cpu_isa that may be used. False when a size overflows, n or k is 0 or one is negative. */
bool gemm_bf16_plan_init(gemm_bf16_plan *plan, const gemm_bf16_params *params, uint32_t isa_mask);
/* "gemm_bf16__amx" and the like. */
const char *gemm_bf16_plan_name(const gemm_bf16_plan *plan);

/* packed = bf16(scale * b[k * stride_k + n * stride_n]); b may stand at any address. pool may be NULL. */
void gemm_bf16_pack_b(const gemm_bf16_plan *plan, const unaligned_f32 *b, int64_t stride_k, int64_t stride_n,
                      float scale, void *packed, pool *p);

/* Strides are in floats, between rows. bias: n floats or NULL. residual: NULL or like C. */
typedef struct gemm_bf16_args {
  int64_t m;
  const float *a;
  int64_t a_stride;
  const void *packed_b;
  const float *bias;
  const float *residual;
  int64_t residual_stride;
  float *c;
  int64_t c_stride;
} gemm_bf16_args;
void gemm_bf16_run(const gemm_bf16_plan *plan, const gemm_bf16_args *args, void *scratch, pool *p);

/* x as a bfloat16, which is the upper half of a float32: to nearest, ties to even; NaN stays NaN, quiet. */
static inline uint16_t bf16_round(float x) {
  union {
    float f;
    uint32_t u;
  } v = {x};
  if (x != x) return (uint16_t)(v.u >> 16 | 0x40);
  return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}
static inline float bf16_value(uint16_t h) {
  union {
    uint32_t u;
    float f;
  } v = {(uint32_t)h << 16};
  return v.f;
}

/* The oracle: factors rounded, sums in double. b is [k, n] by strides as in gemm_bf16_pack_b. */
void gemm_bf16_ref(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, const float *b,
                   int64_t b_stride_k, int64_t b_stride_n, float scale, const float *bias, const float *residual,
                   int64_t residual_stride, const kernel_epilogue *epilogue, float *c, int64_t c_stride);

#endif
