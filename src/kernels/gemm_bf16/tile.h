/* kernels/gemm_bf16/tile: the piece of work that every ISA does, the table of them, and the loop over them that matrix
 * products and convolutions share.
 *
 * A tile is up to 32 rows of C by the 32 columns of one panel. Row r of A starts at a + r * a_stride; its k runs over
 * taps, pieces of k_tap elements at the offsets taps[i] from there, so that a convolution reads rows that overlap.
 * A's elements are the variant's: bfloat16, or such values as float32 where there is no instruction for bfloat16.
 * Reads: all 32 rows of A, whatever they hold beyond `rows`. */
#ifndef KERNELS_GEMM_BF16_TILE_H
#define KERNELS_GEMM_BF16_TILE_H

#include "kernels/gemm_bf16/gemm_bf16.h"

#include "base/cpu.h"

enum { GEMM_BF16_ROWS = 32, GEMM_BF16_COLS = 32, GEMM_BF16_K = 32 };

typedef struct gemm_bf16_tile {
  int rows, cols; /* 1 to 32 */
  const void *a;
  int64_t a_stride; /* elements */
  const int64_t *taps;
  int64_t n_taps, k_tap; /* k_tap: a multiple of 32 */
  const uint16_t *b;     /* the panel */
  const char *next;      /* bytes of B that later tiles will read, fetched on the way: next_step a step of 32 k */
  int64_t next_step;
  const float *bias;     /* of the panel's columns, or NULL */
  const float *residual; /* or NULL */
  float *c;
  const int64_t *c_at, *residual_at; /* [rows]: where a row starts, in floats; c_at < 0: not wanted */
} gemm_bf16_tile;

typedef struct gemm_bf16_variant {
  const char *name;
  uint32_t isa;
  uint32_t slow_with; /* bits that tell of a processor on which the next row is faster */
  int k_group;
  int a_bytes;         /* of an element of A: 2 or 4 */
  int step_cycles;     /* a step of 32 k of a whole tile, about: for choices */
  void (*begin)(void); /* before and after a thread's tiles; NULL: nothing to do */
  void (*end)(void);
  void (*tile)(const gemm_bf16_tile *t, const kernel_epilogue *e);
  /* to[0, n) = x rounded, in the form that tile reads, and zeros up to n_all. */
  void (*convert)(const float *x, int64_t n, int64_t n_all, void *to);
  /* The same for `runs` pieces of n, x_stride floats apart, which come to stand one after another. */
  void (*convert_runs)(const float *x, int64_t x_stride, int64_t runs, int64_t n, int64_t n_all, void *to);
} gemm_bf16_variant;

/* All rows that were built, best first; the last needs no ISA. */
const gemm_bf16_variant *const *gemm_bf16_variants(size_t *ret_count);
const gemm_bf16_variant *gemm_bf16_best(uint32_t isa_mask);

/* Bytes of n columns, k rows deep (a multiple of 32), packed; false on overflow. */
bool gemm_bf16_panels_bytes(int64_t n, int64_t k, size_t *ret_bytes);
/* Packs rows [0, k) of the columns [0, n), at most 32, into a panel from its row k0 on (a multiple of 32), with zeros
 * up to the next multiple of 32 and in the columns beyond n. */
void gemm_bf16_pack_panel(const gemm_bf16_variant *v, int64_t n, int64_t k, const unaligned_f32 *b, int64_t stride_k,
                          int64_t stride_n, float scale, int64_t k0, uint16_t *panel);
/* Elements from one row of A to the next, at least k: not a multiple of 4096 bytes, where the rows of a tile would fall
 * into one set of the first cache. */
int64_t gemm_bf16_row_stride(const gemm_bf16_variant *v, int64_t k);

/* A product whose A is in place: `rows` positions, in lines of `line`, of which the first `used` are wanted. Position q
 * of line l goes to c + l * c_line + q * c_stride. Up to 31 rows of A are read beyond the last. */
typedef struct gemm_bf16_product {
  const gemm_bf16_variant *variant;
  const kernel_epilogue *epilogue;
  const void *a;
  int64_t a_stride;
  const int64_t *taps;
  int64_t n_taps, k_tap;
  const uint16_t *b;
  int64_t n, rows, line, used;
  const float *bias, *residual;
  int64_t residual_stride, residual_line;
  float *c;
  int64_t c_stride, c_line;
} gemm_bf16_product;
void gemm_bf16_multiply(const gemm_bf16_product *g, pool *p);

/* A product whose A is made by `fill`, which writes rows [begin, end) of k elements, filled up to k_all by zeros, to
 * `to` at a_stride: as many rows at a time as `scratch` has room for. g: rows, a_stride, and the rest but for a. */
enum { GEMM_BF16_SLAB_BYTES = 1 << 20 };
typedef void (*gemm_bf16_fill)(const void *arg, int64_t begin, int64_t end, char *to);
/* Rows of a slab, a multiple of 32, for products of m rows. */
int64_t gemm_bf16_slab_rows(int64_t m, int64_t row_bytes);
void gemm_bf16_multiply_slabs(const gemm_bf16_product *g, int64_t slab_rows, gemm_bf16_fill fill, const void *arg,
                              void *scratch, pool *p);

#endif
