/* kernels/gemm_i8: the integer matrix product
 *
 *   c[i, j] = sum_k (a[i, k] - a_zero) (b[k, j] - b_zero[j])       int32, exact (modulo 2^32)
 *
 * with a and b of u8 or i8 each, in any pairing. b is packed once; the packed form holds the sums of its columns, so
 * that zero points cost nothing per product. Packed b is of the kernels that packed it: gemm_i8_b names them.
 * Aliasing: none allowed. */
#ifndef KERNELS_GEMM_I8_H
#define KERNELS_GEMM_I8_H

#include "base/pool.h"
#include "kernels/variant.h"

/* The products' instructions want one sign of each operand: b is held as i8, a is flipped (x ^ 0x80) into the sign
 * that a variant wants, while it is read. */
typedef struct gemm_i8_kernels {
  int tile_n, tile_k; /* the packed form: tiles of tile_n columns, in each groups of tile_k rows:
                         [n / tile_n][k / tile_k][tile_n][tile_k], zeros beyond the edges */
  bool a_signed;
  /* c[i, j] = sum_k a'[i, k] b'[k, j] for i < m, j < n, from the tiles of those columns; flip is 0x80 or 0. */
  void (*run)(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t a_row, uint8_t flip, const int8_t *tiles,
              int32_t *c, int64_t c_row);
} gemm_i8_kernels;
KERNEL_VARIANTS_DECLARE(gemm_i8);

/* A packed b: k x n. `packed` is borrowed. */
typedef struct gemm_i8_b {
  const gemm_i8_kernels *kernels;
  const void *packed;
  int64_t k, n;
} gemm_i8_b;

/* The best kernels of this machine. */
const gemm_i8_kernels *gemm_i8_choose(void);
/* Bytes of b packed for the given kernels; SIZE_MAX where that overflows. */
size_t gemm_i8_packed_bytes(const gemm_i8_kernels *kernels, int64_t k, int64_t n);
/* Packs into `packed` (gemm_i8_packed_bytes, 64-byte aligned). Element (k, j) of the source is at b[k * b_k + j * b_j];
 * b_zero holds n_zero zero points, n or 1, of b's own type; NULL means 0. */
gemm_i8_b gemm_i8_pack(const gemm_i8_kernels *kernels, int64_t k, int64_t n, const void *b, int64_t b_k, int64_t b_j,
                       bool is_signed, const void *b_zero, int64_t n_zero, void *packed);
/* a is [m, k] with rows a_row elements apart, c [m, n] with rows c_row apart. k = 0 gives zeros. */
void gemm_i8(int64_t m, const void *a, int64_t a_row, bool a_signed, int32_t a_zero, const gemm_i8_b *b, int32_t *c,
             int64_t c_row, pool *p);
/* The oracle: the definition, from an unpacked b. */
void gemm_i8_ref(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, bool a_signed, int32_t a_zero,
                 const void *b, int64_t b_k, int64_t b_j, bool b_signed, const void *b_zero, int64_t n_zero, int32_t *c,
                 int64_t c_row);

#endif
