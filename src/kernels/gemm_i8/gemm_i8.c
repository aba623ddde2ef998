/* gemm_i8: packing, zero points, and the split over threads.
 *
 * b is held as b' = b - s_b, where s_b = 128 for u8 (a flip of the top bit) and 0 for i8; a is read as a' = a + s_a.
 * With zero points shifted alike (za' = a_zero + s_a, zb' = b_zero - s_b)
 *
 *   sum (a - a_zero)(b - b_zero) = sum a' b' - za' sum_k b' - zb' (sum_k a' - k za')
 *
 * Packed: [int64 any_zero, 56 bytes of nothing][int32 column sums of b'][int32 zb'][tiles], each 64-byte aligned. */
#include "kernels/gemm_i8/gemm_i8.h"

#include "base/mem.h"

#include <string.h>

#define VARIANT(isa, kernels) extern const gemm_i8_kernels kernels;
#include "kernels/gemm_i8/variants.def"
#undef VARIANT
static const gemm_i8_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/gemm_i8/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(gemm_i8, variants)

enum {
  HEADER = 64,
  UNIT_ROWS = 48, /* a multiple of every variant's rows of a tile */
  UNIT_COLUMNS = 512,
  GRAIN = 1 << 18, /* products worth waking a thread for */
};

const gemm_i8_kernels *gemm_i8_choose(void) { return gemm_i8_best(); }

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Where the parts of a packed b begin. */
typedef struct layout {
  size_t sums, zeros, tiles, bytes;
} layout;

static layout layout_of(const gemm_i8_kernels *k, int64_t depth, int64_t n) {
  int64_t columns = round_up(n, k->tile_n);
  size_t tile_bytes, sum_bytes;
  layout l = {.sums = HEADER, .bytes = SIZE_MAX};
  if (__builtin_mul_overflow(round_up(depth, k->tile_k), columns, &tile_bytes)) return l;
  if (__builtin_mul_overflow(columns, (int64_t)sizeof(int32_t), &sum_bytes) || sum_bytes > SIZE_MAX / 4) return l;
  l.zeros = l.sums + mem_align(sum_bytes, 64);
  l.tiles = l.zeros + mem_align(sum_bytes, 64);
  if (!mem_add(l.tiles, tile_bytes, &l.bytes)) l.bytes = SIZE_MAX;
  return l;
}

size_t gemm_i8_packed_bytes(const gemm_i8_kernels *kernels, int64_t k, int64_t n) {
  return layout_of(kernels, k, n).bytes;
}

/* One tile of up to tile_n columns; `from` is its first. */
static void pack_tile(const gemm_i8_kernels *kernels, int64_t k, int64_t columns, const uint8_t *from, int64_t b_k,
                      int64_t b_j, uint8_t flip, int8_t *tile) {
  const int64_t tile_n = kernels->tile_n, tile_k = kernels->tile_k;
  const uint32_t flip4 = flip * 0x01010101u;
  for (int64_t q = 0; q < k; q += tile_k, tile += tile_n * tile_k) {
    int64_t rows = k - q < tile_k ? k - q : tile_k;
    for (int64_t j = 0; j < columns; j++) {
      const uint8_t *at = from + q * b_k + j * b_j;
      int8_t *to = tile + j * tile_k;
      if (rows == 4 && b_k == 1) {
        uint32_t four;
        memcpy(&four, at, 4);
        four ^= flip4;
        memcpy(to, &four, 4);
      } else {
        for (int64_t r = 0; r < rows; r++) to[r] = (int8_t)(at[r * b_k] ^ flip);
      }
    }
  }
}

/* sums[j] += sum_k b' of the columns, in the order in which b stands. */
static void sum_columns(int64_t k, int64_t n, const uint8_t *from, int64_t b_k, int64_t b_j, uint8_t flip,
                        int32_t *sums) {
  if (b_j == 1) {
    for (int64_t q = 0; q < k; q++) {
      const uint8_t *row = from + q * b_k;
      for (int64_t j = 0; j < n; j++) sums[j] += (int8_t)(row[j] ^ flip);
    }
    return;
  }
  for (int64_t j = 0; j < n; j++) {
    const uint8_t *column = from + j * b_j;
    int32_t sum = 0;
    if (b_k == 1)
      for (int64_t q = 0; q < k; q++) sum += (int8_t)(column[q] ^ flip);
    else
      for (int64_t q = 0; q < k; q++) sum += (int8_t)(column[q * b_k] ^ flip);
    sums[j] = sum;
  }
}

gemm_i8_b gemm_i8_pack(const gemm_i8_kernels *kernels, int64_t k, int64_t n, const void *b, int64_t b_k, int64_t b_j,
                       bool is_signed, const void *b_zero, int64_t n_zero, void *packed) {
  layout l = layout_of(kernels, k, n);
  char *base = packed;
  int32_t *sums = (int32_t *)(void *)(base + l.sums), *zeros = (int32_t *)(void *)(base + l.zeros);
  int8_t *tiles = (int8_t *)(base + l.tiles);
  const uint8_t *from = b;
  uint8_t flip = is_signed ? 0 : 0x80;
  int64_t tile_n = kernels->tile_n, depth = round_up(k, kernels->tile_k), any_zero = 0;
  memset(packed, 0, l.bytes);
  for (int64_t j = 0; j < n; j++) {
    int64_t at = n_zero == 1 ? 0 : j, zero = 0;
    if (b_zero) zero = is_signed ? ((const int8_t *)b_zero)[at] : ((const uint8_t *)b_zero)[at];
    zeros[j] = (int32_t)zero - (is_signed ? 0 : 128);
    any_zero |= zeros[j];
  }
  for (int64_t j = 0; j < n; j += tile_n)
    pack_tile(kernels, k, n - j < tile_n ? n - j : tile_n, from + j * b_j, b_k, b_j, flip, tiles + j * depth);
  sum_columns(k, n, from, b_k, b_j, flip, sums);
  memcpy(base, &any_zero, sizeof any_zero);
  return (gemm_i8_b){kernels, packed, k, n};
}

typedef struct job {
  const gemm_i8_kernels *kernels;
  int64_t m, n, k, a_row, c_row, n_column_units;
  const uint8_t *a;
  uint8_t flip;
  int32_t a_zero; /* za' */
  const int32_t *sums, *zeros;
  const int8_t *tiles;
  bool any_zero, subtract_sums;
  int32_t *c;
} job;

/* sum_k a' of one row. */
static int32_t row_sum(const job *j, const uint8_t *a) {
  int32_t sum = 0;
  if (j->kernels->a_signed)
    for (int64_t k = 0; k < j->k; k++) sum += (int8_t)(a[k] ^ j->flip);
  else
    for (int64_t k = 0; k < j->k; k++) sum += (uint8_t)(a[k] ^ j->flip);
  return sum;
}

static void correct(const job *j, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const int32_t *sums = j->sums + column, *zeros = j->zeros + column;
  for (int64_t i = row; i < row + rows; i++) {
    int32_t *c = j->c + i * j->c_row + column;
    uint32_t a_zero = (uint32_t)j->a_zero, share = 0;
    if (j->subtract_sums)
      for (int64_t n = 0; n < columns; n++) c[n] = (int32_t)((uint32_t)c[n] - a_zero * (uint32_t)sums[n]);
    if (!j->any_zero) continue;
    share = (uint32_t)row_sum(j, j->a + i * j->a_row) - (uint32_t)j->k * a_zero;
    for (int64_t n = 0; n < columns; n++) c[n] = (int32_t)((uint32_t)c[n] - share * (uint32_t)zeros[n]);
  }
}

static void work(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  int64_t tile_bytes = round_up(j->k, j->kernels->tile_k) * j->kernels->tile_n;
  int64_t unit = round_up(UNIT_COLUMNS, j->kernels->tile_n);
  for (int64_t u = begin; u < end; u++) {
    int64_t row = u / j->n_column_units * UNIT_ROWS, column = u % j->n_column_units * unit;
    int64_t rows = j->m - row < UNIT_ROWS ? j->m - row : UNIT_ROWS;
    int64_t columns = j->n - column < unit ? j->n - column : unit;
    j->kernels->run(rows, columns, j->k, j->a + row * j->a_row, j->a_row, j->flip,
                    j->tiles + column / j->kernels->tile_n * tile_bytes, j->c + row * j->c_row + column, j->c_row);
    correct(j, row, rows, column, columns);
  }
}

void gemm_i8(int64_t m, const void *a, int64_t a_row, bool a_signed, int32_t a_zero, const gemm_i8_b *b, int32_t *c,
             int64_t c_row, pool *p) {
  if (m <= 0 || b->n <= 0) return;
  if (b->k <= 0) {
    for (int64_t i = 0; i < m; i++) memset(c + i * c_row, 0, (size_t)b->n * sizeof *c);
    return;
  }
  const gemm_i8_kernels *k = b->kernels;
  layout l = layout_of(k, b->k, b->n);
  const char *base = b->packed;
  job j = {.kernels = k, .m = m, .n = b->n, .k = b->k, .a = a, .a_row = a_row, .c = c, .c_row = c_row};
  j.sums = (const int32_t *)(const void *)(base + l.sums), j.zeros = (const int32_t *)(const void *)(base + l.zeros);
  j.tiles = (const int8_t *)(base + l.tiles);
  j.flip = a_signed == k->a_signed ? 0 : 0x80;
  j.a_zero = a_zero + (j.flip ? a_signed ? 128 : -128 : 0);
  j.subtract_sums = j.a_zero != 0;
  int64_t any_zero;
  memcpy(&any_zero, base, sizeof any_zero);
  j.any_zero = any_zero != 0;
  int64_t unit = round_up(UNIT_COLUMNS, k->tile_n);
  j.n_column_units = (b->n + unit - 1) / unit;
  int64_t products = (m < UNIT_ROWS ? m : UNIT_ROWS) * (b->n < unit ? b->n : unit) * b->k;
  pool_run(p, (m + UNIT_ROWS - 1) / UNIT_ROWS * j.n_column_units, GRAIN / products + 1, work, &j);
}
