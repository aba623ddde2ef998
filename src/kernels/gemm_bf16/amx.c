/* gemm_bf16 with the tile unit: TDPBF16PS adds to 16 x 16 sums the products of 16 rows of 32 k by 16 columns, 8192
 * multiply-adds that take 16 cycles. A call's 32 x 32 sums are four such tiles; a step of 32 k loads two tiles of A and
 * two of B for four products, so that loads take half of the unit's time.
 *
 *     sums 0 1    A 4    B 6 7       rows 0-15: 0 += 4 6, 1 += 4 7
 *          2 3      5                     16-31: 2 += 5 6, 3 += 5 7
 *
 * The tiles' shapes are always whole: rows beyond the last are computed from what stands there and dropped. A thread
 * loads the shapes before its tiles and releases the unit after them, so that the system need not save its 8 KiB and
 * the core may put it to sleep. Intel SDM, volume 1, chapter 18. */
#include "kernels/simd/avx512.h"

#include "kernels/gemm_bf16/bf16_convert.h"
#include "kernels/gemm_bf16/finish_body.h"

typedef struct amx_shapes {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} amx_shapes;
_Static_assert(sizeof(amx_shapes) == 64, "the operand of LDTILECFG");

static void amx_begin(void) {
  static const amx_shapes shapes __attribute__((aligned(64))) = {
      .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&shapes);
}
static void amx_end(void) { _tile_release(); }

enum { B_STEP = GEMM_BF16_K * GEMM_BF16_COLS, B_ROW_BYTES = 4 * GEMM_BF16_COLS, LINE = 64 };

/* two_rows, two_cols: more than 16 rows, columns. */
FINISH_INLINE void amx_sums(const gemm_bf16_tile *t, float *sums, const bool two_rows, const bool two_cols) {
  const uint16_t *b = t->b;
  const char *next = t->next;
  const int64_t stride = t->a_stride * 2, next_step = t->next_step;
  _tile_zero(0);
  if (two_cols) _tile_zero(1);
  if (two_rows) _tile_zero(2);
  if (two_rows && two_cols) _tile_zero(3);
  for (int64_t i = 0; i < t->n_taps; i++) {
    const uint16_t *a = (const uint16_t *)t->a + t->taps[i];
    for (int64_t k = 0; k < t->k_tap; k += GEMM_BF16_K, a += GEMM_BF16_K, b += B_STEP, next += next_step) {
      _tile_loadd(6, b, B_ROW_BYTES);
      _tile_loadd(4, a, (size_t)stride);
      _tile_dpbf16ps(0, 4, 6);
      if (two_cols) {
        _tile_loadd(7, b + 32, B_ROW_BYTES);
        _tile_dpbf16ps(1, 4, 7);
      }
      if (two_rows) {
        _tile_loadd(5, a + 8 * stride, (size_t)stride);
        _tile_dpbf16ps(2, 5, 6);
        if (two_cols) _tile_dpbf16ps(3, 5, 7);
      }
      for (int64_t at = 0; at < next_step; at += LINE) __builtin_prefetch(next + at, 0, 2);
    }
  }
  _tile_stored(0, sums, 4 * GEMM_BF16_COLS);
  if (two_cols) _tile_stored(1, sums + 16, 4 * GEMM_BF16_COLS);
  if (two_rows) _tile_stored(2, sums + 16 * GEMM_BF16_COLS, 4 * GEMM_BF16_COLS);
  if (two_rows && two_cols) _tile_stored(3, sums + 16 * GEMM_BF16_COLS + 16, 4 * GEMM_BF16_COLS);
}

static void amx_tile(const gemm_bf16_tile *t, const kernel_epilogue *e) {
  float sums[GEMM_BF16_ROWS * GEMM_BF16_COLS] __attribute__((aligned(64)));
  if (t->rows > 16 && t->cols > 16)
    amx_sums(t, sums, true, true);
  else if (t->rows > 16)
    amx_sums(t, sums, true, false);
  else if (t->cols > 16)
    amx_sums(t, sums, false, true);
  else
    amx_sums(t, sums, false, false);
  gemm_bf16_finish(t, e, sums);
}

const gemm_bf16_variant gemm_bf16__amx;
const gemm_bf16_variant gemm_bf16__amx = {"gemm_bf16__amx",
                                          CPU_ISA_AVX512 | CPU_ISA_AVX512BF16 | CPU_ISA_AMX_BF16,
                                          0,
                                          2,
                                          2,
                                          100,
                                          amx_begin,
                                          amx_end,
                                          amx_tile,
                                          bf16_convert,
                                          bf16_convert_runs};
