/* kernels/thin: float32 products of few and short columns, such as 1x1 convolutions of few channels and first layers. A
 * tile of kernels/gemm costs as much around its sums as 10 rows of k; here one call does all tiles of a panel of
 * columns, one below the other:
 *
 *   C[i][n] = clamp(bias[n] + residual[i][n] + sum over l < k of A[i][l] * B[l][n])        i < m, n < cols <= nr
 *
 * A row of A may be in pieces, as in kernels/gemm/tile.h. B is a panel as kernels/gemm packs it; it should fit L1
 * beside a tile's rows of A. The order of the sums is that of kernels/gemm, and so are their bits. */
#ifndef KERNELS_THIN_H
#define KERNELS_THIN_H

#include "base/cpu.h"
#include "kernels/gemm/tile.h"

/* Up to here thin is faster than the tiles of kernels/gemm: length of the sums, bytes of B. */
enum { THIN_K_MOST = 192, THIN_B_BYTES = 160 << 10 };

typedef struct thin_f32_panel {
  int rows;         /* of a tile, 1 to the variant's mr */
  int64_t n, n_big; /* tiles: the first n_big of `rows` rows, the others of one less */
  int64_t cols;
  const float *a; /* row i, piece j: k_tap floats at a + i * a_stride + taps[j] */
  int64_t a_stride;
  const int64_t *taps;
  int64_t n_taps, k_tap; /* n_taps may be 0 */
  const float *b;        /* [n_taps * k_tap][nr] */
  const float *bias;     /* cols floats */
  const float *residual; /* or NULL */
  int64_t residual_stride;
  float *c; /* may be the residual, but where the activation comes before it */
  int64_t c_stride;
  float lo, hi;
} thin_f32_panel;

typedef struct thin_f32_variant {
  const char *name;
  uint32_t isa;
  int mr, nr; /* those of the gemm variant of the same ISA */
  void (*panel)(const thin_f32_panel *p);
} thin_f32_variant;

/* All rows that were built, best first; the last needs no ISA. */
const thin_f32_variant *const *thin_f32_variants(size_t *ret_count);

/* The variant for products of n columns and sums of length k with B packed for `v`; NULL where kernels/gemm is the
 * better way. */
const thin_f32_variant *thin_f32_find(const gemm_f32_variant *v, int64_t n, int64_t k);
/* All columns of some tiles of rows. panel: but for b, bias, residual, c, which are those of column 0, and without
 * cols, lo and hi; panel_stride: floats between the panels of B. */
void thin_f32_columns(const thin_f32_variant *thin, const gemm_f32_variant *v, const kernel_epilogue *e,
                      const thin_f32_panel *panel, int64_t panel_stride, int64_t n);
/* The whole product of m rows and n columns, on the threads of p (or NULL); bias: n floats. */
void thin_f32_run(const thin_f32_variant *thin, const gemm_f32_variant *v, const kernel_epilogue *e,
                  const gemm_f32_args *args, int64_t n, int64_t k, pool *p);

#endif
