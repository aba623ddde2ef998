/* kernels/gemm_i8: the integer matrix product
 *
 *   c[i, j] = sum_k (a[i, k] - a_zero) (b[k, j] - b_zero[j])       int32, exact (modulo 2^32)
 *
 * with a and b of u8 or i8 each, in any pairing. b is packed once; the packed form holds the sums of its columns, so
 * that zero points cost nothing per element. Which form it has is the chosen variant's: pack and run must be of the
 * same gemm_i8_kernels.
 * Aliasing: none allowed. */
#ifndef KERNELS_GEMM_I8_H
#define KERNELS_GEMM_I8_H

#include "base/pool.h"
#include "kernels/variant.h"

typedef struct gemm_i8_b {
  const void *packed; /* gemm_i8_packed_bytes, 64-byte aligned */
  int64_t k, n;
  bool is_signed;
} gemm_i8_b;

typedef struct gemm_i8_kernels {
  int64_t tile_m, tile_n, tile_k;
  int pack; /* the packed form's number: rows of the same number share it */
  /* c[0..m) x [j0..j1) (j0 a multiple of tile_n): sums of the biased operands; see gemm_i8.c. */
  void (*run)(int64_t m, const void *a, int64_t a_row, bool a_signed, int32_t a_zero, const gemm_i8_b *b,
              int64_t j_begin, int64_t j_end, int32_t *c, int64_t c_row);
} gemm_i8_kernels;
KERNEL_VARIANTS_DECLARE(gemm_i8);
extern const gemm_i8_kernels gemm_i8__ref;

/* Bytes of b packed for the best variant of this machine, and the packing: element (k, j) of the source is at
 * b[k * b_k + j * b_j]. b_zero is [n], or one value where n_zero = 1, of b's own type; NULL means 0. */
size_t gemm_i8_packed_bytes(int64_t k, int64_t n);
void gemm_i8_pack(int64_t k, int64_t n, const void *b, int64_t b_k, int64_t b_j, bool is_signed, const void *b_zero,
                  int64_t n_zero, void *packed);
/* a is [m, k] with rows a_row apart, c [m, n] with rows c_row apart. */
void gemm_i8(int64_t m, const void *a, int64_t a_row, bool a_signed, int32_t a_zero, const gemm_i8_b *b, int32_t *c,
             int64_t c_row, pool *p);

#endif
