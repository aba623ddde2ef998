/* kernels/gemm: float32 matrix product.
 *
 *   C[m, n] = act(A[m, k] * B[k, n] * scale + bias[n] + residual[m, n])
 *
 * prepare/run split: gemm_f32_plan_init chooses a kernel and says how many bytes the packed B and the scratch take;
 * gemm_f32_pack_b repacks a constant B once; gemm_f32_run multiplies, any number of times, from any number of threads,
 * and allocates nothing. Where B is an activation, gemm_f32_run_unpacked packs it into the scratch on the way.
 *
 * Packed B: panels of nr columns, each k rows of nr floats, the last panel filled up with zeros; 64-byte aligned.
 *
 *        n ->  | panel 0 | panel 1 | .. |        packed = [ceil(n / nr)][k][nr]
 *
 * Every element of C is one chain of fused multiply-adds over k in a fixed order (split where k is longer than a
 * block): results do not depend on the number of threads, and no step reads beyond the arrays that it is given.
 * Aliasing: C may be the residual itself (same address and stride); else C overlaps nothing. m, n or k may be 0. */
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H

#include "base/compiler.h"
#include "base/pool.h"
#include "kernels/epilogue.h"

struct gemm_f32_variant;

/* The shape that a plan is made for. m may differ from run to run (only the speed was chosen for it); n and k may not.
 */
typedef struct gemm_f32_params {
  int64_t m, n, k;
  bool a_transposed;  /* A is stored [k, m]; a_stride is then the distance between its k rows */
  bool b_is_constant; /* false: gemm_f32_run_unpacked will be used, so scratch holds the packed B */
  kernel_epilogue epilogue;
  int threads; /* pool_threads of the pool that will run it; 0 means 1 */
} gemm_f32_params;

typedef struct gemm_f32_plan {
  gemm_f32_params params;
  const struct gemm_f32_variant *variant;
  size_t packed_b_bytes; /* for gemm_f32_pack_b; 64-byte aligned memory */
  size_t scratch_bytes;  /* in all, for params.threads threads; 64-byte aligned memory, may be 0 */
  size_t thread_scratch_bytes, batch_packed_bytes; /* a thread's copies of A; one packed B, where scratch holds it */
  bool batch_by_thread;                            /* every thread packs a B of its own: they are small */
  int64_t copied_rows;                             /* rows of A that a thread's scratch holds */
} gemm_f32_plan;

/* isa_mask: bits of cpu_isa that may be used, usually cpu_isa_available(). False when a size overflows or is negative.
 */
bool gemm_f32_plan_init(gemm_f32_plan *plan, const gemm_f32_params *params, uint32_t isa_mask);
/* "gemm_f32__avx512_14x32" and the like. */
const char *gemm_f32_plan_name(const gemm_f32_plan *plan);

/* packed[k][n] = scale * b[k * stride_k + n * stride_n]: row-major [k, n] has (n, 1), the transposed [n, k] has (1, k).
 * b may stand at any address. pool may be NULL. */
void gemm_f32_pack_b(const gemm_f32_plan *plan, const unaligned_f32 *b, int64_t stride_k, int64_t stride_n, float scale,
                     float *packed, pool *p);

/* Strides are in floats, between rows. bias: n floats or NULL. residual: NULL or like C. m: rows of this run. */
typedef struct gemm_f32_args {
  int64_t m;
  const float *a;
  int64_t a_stride;
  const float *packed_b;
  const float *bias;
  const float *residual;
  int64_t residual_stride;
  float *c;
  int64_t c_stride;
  bool fetch_behind; /* what stands behind packed_b is probably what is multiplied next: it is fetched meanwhile */
} gemm_f32_args;
void gemm_f32_run(const gemm_f32_plan *plan, const gemm_f32_args *args, void *scratch, pool *p);

/* A batch of products, C_i = A_i * B_i, where B is packed on the way into scratch. a_offsets, b_offsets, c_offsets:
 * n_batch offsets in floats each (so that broadcasting costs nothing), or NULL for i * stride with the batch strides
 * below. Equal neighbouring b_offsets are packed once. */
typedef struct gemm_f32_batch_args {
  int64_t n_batch, m;
  const float *a;
  int64_t a_stride;
  const float *b;
  int64_t b_stride_k, b_stride_n;
  float scale; /* of B; 1 for none */
  const float *bias;
  float *c;
  int64_t c_stride;
  const int64_t *a_offsets, *b_offsets, *c_offsets;
  int64_t a_batch_stride, b_batch_stride, c_batch_stride;
} gemm_f32_batch_args;
void gemm_f32_run_unpacked(const gemm_f32_plan *plan, const gemm_f32_batch_args *args, void *scratch, pool *p);

/* The oracle, in double. b is [k, n] by strides as in gemm_f32_pack_b. */
void gemm_f32_ref(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride, bool a_transposed, const float *b,
                  int64_t b_stride_k, int64_t b_stride_n, float scale, const float *bias, const float *residual,
                  int64_t residual_stride, const kernel_epilogue *epilogue, float *c, int64_t c_stride);

#endif
