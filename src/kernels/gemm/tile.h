/* kernels/gemm/tile: what every gemm kernel does, and the table of them. Convolutions are made of the same tiles.
 *
 * A tile is a few rows of C by the columns of one or more panels of packed B. Its rows of A stand in two runs of equal
 * stride, so that a tile can be two short rows of an image; and its k runs over taps, pieces of k_tap consecutive
 * floats at the offsets taps[i] from the row's start, so that a convolution reads its input in place:
 *
 *   row r of A starts at   r < h ? a0 + r * a_stride : a1 + (r - h) * a_stride,   h = (rows + 1) / 2
 *   C[r][n] = clamp(sum over i < n_taps, k < k_tap of row_r[taps[i] + k] * b[i * k_tap + k][n] + bias[n] +
 * residual[r][n])
 *
 * A context struct rather than plain arguments: there are twenty.
 * Aliasing: c may be the residual. Reads: exactly the floats named; b alone is read in whole vectors, up to the end of
 * its panel. */
#ifndef KERNELS_GEMM_TILE_H
#define KERNELS_GEMM_TILE_H

#include "kernels/gemm/gemm.h"

#include "base/cpu.h"

typedef struct gemm_f32_tile {
  int rows;     /* 1 to variant->mr */
  int64_t cols; /* 1 to nr; or exactly 2 * nr or 4 * nr where the variant allows it for these rows */
  const float *a0, *a1;
  int64_t a_stride;
  const int64_t *taps;
  int64_t n_taps, k_tap; /* k_tap > 0 */
  const float *b;        /* the first panel, rows of k b_stride floats apart; the next stands panel_stride floats on */
  int64_t b_stride, panel_stride;
  const char *next; /* bytes of B that later tiles will read, fetched into L2 on the way, next_step bytes a row of k */
  int64_t next_step;
  const float *bias;     /* cols floats, or NULL */
  const float *residual; /* or NULL */
  int64_t residual_stride;
  float *c;
  int64_t c_stride;
  float lo, hi;
} gemm_f32_tile;

typedef struct gemm_f32_variant {
  const char *name;
  uint32_t isa;
  int mr, nr;
  int rows_p2, rows_p4; /* tiles of up to so many rows may cover 2, 4 panels: few rows need more sums in flight */
  void (*tile)(const gemm_f32_tile *t);
  /* c[r][i] = act(c[r][i]) + residual[r][i], over a tile or more; residual may be NULL. */
  void (*act)(const kernel_epilogue *e, int rows, int64_t cols, float *c, int64_t c_stride, const float *residual,
              int64_t residual_stride);
  /* A panel of a B that stands transposed: packed[i * nr + j] = j < cols ? scale * b[j * stride_n + i] : 0. */
  void (*pack_transposed)(int64_t cols, int64_t k, const unaligned_f32 *b, int64_t stride_n, float scale,
                          float *packed);
} gemm_f32_variant;

/* All rows that were built, best first; the last needs no ISA. */
const gemm_f32_variant *const *gemm_f32_variants(size_t *ret_count);
const gemm_f32_variant *gemm_f32_best(uint32_t isa_mask);

/* Columns [n0, n1) of the product, n0 a multiple of nr: all panels of B for the rows of one tile, and the epilogue.
 * t: rows, a0, a1, a_stride, taps, n_taps, k_tap, panel_stride; b, bias, residual, c as for column 0; b_stride 0 for
 * packed B; the rest is filled in here. */
void gemm_f32_columns(const gemm_f32_variant *v, const gemm_f32_tile *t, const kernel_epilogue *e, int64_t n0,
                      int64_t n1);

/* Spreads the fetching of `bytes` at `next` over tiles that take `rows` rows of k altogether: tile i of n. */
static inline void gemm_f32_fetch_next(gemm_f32_tile *t, const void *next, int64_t bytes, int64_t i, int64_t n,
                                       int64_t rows) {
  t->next_step = bytes / rows;
  t->next = (const char *)next + bytes / n * i;
}

/* How to cut m rows into tiles: n tiles, the first `n_big` of `rows` rows and the others of one less. */
typedef struct gemm_rows {
  int64_t n, n_big;
  int rows;
} gemm_rows;
gemm_rows gemm_rows_split(int64_t m, int mr);
static inline int64_t gemm_rows_begin(const gemm_rows *g, int64_t i) {
  return i * g->rows - (i > g->n_big ? i - g->n_big : 0);
}
static inline int gemm_rows_size(const gemm_rows *g, int64_t i) { return g->rows - (i >= g->n_big); }

/* Columns of a block: equal blocks of whole panels whose packed B, k rows deep, stays in L2, and enough of them that
 * row_jobs times the blocks feed all threads. */
int64_t gemm_block_columns(int64_t n, int64_t k, int nr, int64_t row_jobs, int threads);
enum { GEMM_JOB_MACS = 1 << 18 }; /* multiply-adds that are worth a hand-over to another thread */

/* The order of jobs where what a tile reads is copied first: ranges of tiles whose copies a thread keeps, in each all
 * blocks of columns, in each block the range's tiles; so that a tile is copied once and not once a block. A thread that
 * starts in the middle copies what it has not: `have` has a bit for each tile of the range. */
enum { GEMM_RANGE_TILES = 64, GEMM_RANGE_BYTES = 1 << 20, GEMM_BY_ROWS = 2 };
typedef struct gemm_order {
  int64_t tiles, range, blocks;
} gemm_order;
/* The order of jobs for so many threads, of which the pool gives each a stretch to begin with: stretches of rows where
 * these are more bytes (k deep) than the packed B (n wide), since the step before and the step after work along rows
 * too and a core finds in its cache what it wrote; else stretches of columns, so that no core reads all of B. `range`
 * is the most tiles of a range. */
static inline gemm_order gemm_order_make(int64_t tiles, int64_t range, int64_t blocks, int threads, int64_t rows,
                                         int64_t n) {
  int64_t share = tiles / threads + (tiles % threads != 0);
  bool by_rows = threads > 1 && n < GEMM_BY_ROWS * rows;
  return (gemm_order){tiles, by_rows && share < range ? share : range, blocks};
}
/* Where a thread stands in the order. */
typedef struct gemm_place {
  int64_t tile, slot, tiles, block; /* slot: the tile's place in its range of so many tiles */
  bool copy;                        /* the slot does not hold this tile yet */
  uint64_t have;
} gemm_place;
static inline void gemm_place_mark(gemm_place *at) {
  uint64_t bit = (uint64_t)1 << at->slot % GEMM_RANGE_TILES; /* only where nothing is copied is a range longer */
  at->copy = !(at->have & bit);
  at->have |= bit;
}
static inline gemm_place gemm_place_first(const gemm_order *o, int64_t i) {
  int64_t whole = o->range * o->blocks, range0 = i / whole * o->range, rest = i % whole;
  gemm_place at = {.tiles = o->tiles - range0 < o->range ? o->tiles - range0 : o->range};
  at.slot = rest % at.tiles;
  at.block = rest / at.tiles;
  at.tile = range0 + at.slot;
  gemm_place_mark(&at);
  return at;
}
/* The next job, without the divisions, which cost as much as a small tile. */
static inline void gemm_place_next(const gemm_order *o, gemm_place *at) {
  at->slot++, at->tile++;
  if (at->slot == at->tiles) {
    at->slot = 0, at->tile -= at->tiles;
    if (++at->block == o->blocks) {
      at->block = 0, at->have = 0, at->tile += at->tiles;
      if (o->tiles - at->tile < o->range) at->tiles = o->tiles - at->tile;
    }
  }
  gemm_place_mark(at);
}
/* Tiles of a range whose copies take tile_bytes each. */
static inline int64_t gemm_range_tiles(int64_t tiles, int64_t tile_bytes) {
  int64_t n = GEMM_RANGE_BYTES / tile_bytes;
  n = n > GEMM_RANGE_TILES ? GEMM_RANGE_TILES : n;
  n = n > tiles ? tiles : n;
  return n < 1 ? 1 : n;
}

/* packed[panel][k][nr] of the panels [panel0, panel1) of b, zeros beyond n. */
void gemm_f32_pack_panels(const gemm_f32_variant *v, int64_t n, int64_t k, const unaligned_f32 *b, int64_t stride_k,
                          int64_t stride_n, float scale, int64_t panel0, int64_t panel1, float *packed);

#endif
