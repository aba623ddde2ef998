/* kernels/gemm_bf16/pack: B into panels, [k / k_group][32][k_group] each. */
#include "kernels/gemm_bf16/tile.h"

#include "base/mem.h"

#include <string.h>

static uint32_t round_bits(float x) {
  union {
    float f;
    uint32_t u;
  } v = {x};
  uint32_t nan = (v.u & 0x7fffffffu) > 0x7f800000u;
  return nan ? v.u >> 16 | 0x40 : (v.u + 0x7fff + (v.u >> 16 & 1)) >> 16;
}

/* 32 x 32 rounded numbers, [k][n], from a B that stands by rows or otherwise. */
static void load_block(int64_t n, int64_t k, const unaligned_f32 *b, int64_t stride_k, int64_t stride_n, float scale,
                       uint16_t block[GEMM_BF16_K][GEMM_BF16_COLS]) {
  if (n < GEMM_BF16_COLS || k < GEMM_BF16_K) memset(block, 0, GEMM_BF16_K * sizeof *block);
  for (int64_t i = 0; i < k; i++) {
    const unaligned_f32 *from = b + i * stride_k;
    if (stride_n == 1) {
      LOOP_INDEPENDENT
      for (int64_t j = 0; j < n; j++) block[i][j] = (uint16_t)round_bits(scale * from[j]);
    } else {
      for (int64_t j = 0; j < n; j++) block[i][j] = (uint16_t)round_bits(scale * from[j * stride_n]);
    }
  }
}

/* The same transposed, [n][k], from a B whose columns are dense. */
static void load_transposed(int64_t n, int64_t k, const unaligned_f32 *b, int64_t stride_n, float scale,
                            uint16_t block[GEMM_BF16_COLS][GEMM_BF16_K]) {
  if (n < GEMM_BF16_COLS || k < GEMM_BF16_K) memset(block, 0, GEMM_BF16_COLS * sizeof *block);
  for (int64_t j = 0; j < n; j++) {
    const unaligned_f32 *from = b + j * stride_n;
    LOOP_INDEPENDENT
    for (int64_t i = 0; i < k; i++) block[j][i] = (uint16_t)round_bits(scale * from[i]);
  }
}

/* to[k / group][n][group] of either. */
static void put_block(uint16_t block[GEMM_BF16_K][GEMM_BF16_COLS], int group, uint16_t *to) {
  for (int i = 0; i < GEMM_BF16_K; i += group, to += group * GEMM_BF16_COLS) {
    if (group == 2) {
      LOOP_INDEPENDENT
      for (int j = 0; j < GEMM_BF16_COLS; j++) to[2 * j] = block[i][j], to[2 * j + 1] = block[i + 1][j];
      continue;
    }
    for (int j = 0; j < GEMM_BF16_COLS; j++)
      for (int g = 0; g < group; g++) to[j * group + g] = block[i + g][j];
  }
}
static void put_transposed(uint16_t block[GEMM_BF16_COLS][GEMM_BF16_K], int group, uint16_t *to) {
  for (int i = 0; i < GEMM_BF16_K; i += group, to += group * GEMM_BF16_COLS) {
    if (group == 2)
      for (int j = 0; j < GEMM_BF16_COLS; j++) memcpy(to + 2 * j, &block[j][i], 2 * sizeof *to);
    else
      for (int j = 0; j < GEMM_BF16_COLS; j++) memcpy(to + 4 * j, &block[j][i], 4 * sizeof *to);
  }
}

void gemm_bf16_pack_panel(const gemm_bf16_variant *v, int64_t n, int64_t k, const unaligned_f32 *b, int64_t stride_k,
                          int64_t stride_n, float scale, int64_t k0, uint16_t *panel) {
  uint16_t block[GEMM_BF16_K][GEMM_BF16_COLS];
  for (int64_t i = 0; i < k; i += GEMM_BF16_K) {
    int64_t rows = k - i < GEMM_BF16_K ? k - i : GEMM_BF16_K;
    uint16_t *to = panel + (k0 + i) * GEMM_BF16_COLS;
    if (stride_k == 1 && stride_n != 1) {
      load_transposed(n, rows, b + i, stride_n, scale, block);
      put_transposed(block, v->k_group, to);
    } else {
      load_block(n, rows, b + i * stride_k, stride_k, stride_n, scale, block);
      put_block(block, v->k_group, to);
    }
  }
}

typedef struct pack_job {
  const gemm_bf16_plan *plan;
  const unaligned_f32 *b;
  int64_t stride_k, stride_n;
  float scale;
  uint16_t *packed;
} pack_job;

static void pack_body(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *j = arg;
  int64_t n = j->plan->params.n, k = j->plan->params.k;
  int64_t k_all = (k + GEMM_BF16_K - 1) / GEMM_BF16_K * GEMM_BF16_K;
  for (int64_t i = begin; i < end; i++) {
    int64_t n0 = i * GEMM_BF16_COLS, cols = n - n0 < GEMM_BF16_COLS ? n - n0 : GEMM_BF16_COLS;
    gemm_bf16_pack_panel(j->plan->variant, cols, k, j->b + n0 * j->stride_n, j->stride_k, j->stride_n, j->scale, 0,
                         j->packed + n0 * k_all);
  }
}

void gemm_bf16_pack_b(const gemm_bf16_plan *plan, const unaligned_f32 *b, int64_t stride_k, int64_t stride_n,
                      float scale, void *packed, pool *p) {
  pack_job job = {plan, b, stride_k, stride_n, scale, packed};
  int64_t panels = (plan->params.n + GEMM_BF16_COLS - 1) / GEMM_BF16_COLS;
  pool_run(p, panels, 1 + (1 << 16) / (plan->params.k * GEMM_BF16_COLS), pack_body, &job);
}

bool gemm_bf16_panels_bytes(int64_t n, int64_t k, size_t *ret_bytes) {
  size_t panels = (size_t)(n + GEMM_BF16_COLS - 1) / GEMM_BF16_COLS, bytes;
  return mem_mul((size_t)k, GEMM_BF16_COLS * sizeof(uint16_t), &bytes) && mem_mul(bytes, panels, ret_bytes) &&
         *ret_bytes <= PTRDIFF_MAX / 2;
}
