/* copy/tile: a transpose made of square register tiles, with smaller tiles and single elements at the edges.
 *
 * Elements are read and written through types without alignment, since copy_strided may join two 4-byte elements into
 * one of 8 bytes at any address. */
#ifndef KERNELS_COPY_TILE_H
#define KERNELS_COPY_TILE_H

#include <stdint.h>

typedef uint8_t copy_u8;
typedef uint16_t copy_u16 __attribute__((aligned(1), may_alias));
typedef uint32_t copy_u32 __attribute__((aligned(1), may_alias));
typedef uint64_t copy_u64 __attribute__((aligned(1), may_alias));

#define COPY_INLINE static inline __attribute__((always_inline))

/* One function for a type T: full tiles of SIDE x SIDE by TILE(src, src_row, dst, dst_row), the rest element by element
 * with the shorter side inside. */
#define COPY_TRANSPOSE(name, T, SIDE, TILE)                                                                      \
  static void name(int64_t rows, int64_t cols, const void *src_, int64_t src_row, void *dst_, int64_t dst_row) { \
    const T *src = src_;                                                                                         \
    T *dst = dst_;                                                                                               \
    int64_t i_full = rows - rows % (SIDE), j_full = cols - cols % (SIDE);                                        \
    for (int64_t i = 0; i < i_full; i += (SIDE))                                                                 \
      for (int64_t j = 0; j < j_full; j += (SIDE))                                                               \
        TILE(src + i * src_row + j, src_row, dst + j * dst_row + i, dst_row);                                    \
    if (i_full < rows)                                                                                           \
      for (int64_t j = 0; j < j_full; j++)                                                                       \
        for (int64_t i = i_full; i < rows; i++) dst[j * dst_row + i] = src[i * src_row + j];                     \
    for (int64_t j = j_full; j < cols; j++)                                                                      \
      for (int64_t i = 0; i < rows; i++) dst[j * dst_row + i] = src[i * src_row + j];                            \
  }

/* Two rows interleaved, LANES of each at a time by ZIP(a, b, dst); where vectors do not come out even, the last is done
 * again in part, so that rows shorter than one go element by element. */
#define COPY_INTERLEAVE(name, LANES, ZIP)                                   \
  static void name(int64_t n, const void *a_, const void *b_, void *dst_) { \
    const copy_u32 *a = a_, *b = b_;                                        \
    copy_u32 *dst = dst_;                                                   \
    int64_t i = 0;                                                          \
    for (; i + (LANES) <= n; i += (LANES)) ZIP(a + i, b + i, dst + 2 * i);  \
    if (i < n && n >= (LANES)) {                                            \
      i = n - (LANES);                                                      \
      ZIP(a + i, b + i, dst + 2 * i);                                       \
      return;                                                               \
    }                                                                       \
    for (; i < n; i++) dst[2 * i] = a[i], dst[2 * i + 1] = b[i];            \
  }

/* Three rows of `cols` elements of 4 bytes become `cols` of 3 that follow each other: SIDE at a time by ZIP3, the rest
 * element by element. */
#define COPY_PLANES(name, SIDE, ZIP3)                                             \
  static void name(int64_t cols, const void *src_, int64_t src_row, void *dst_) { \
    const copy_u32 *src = src_;                                                   \
    copy_u32 *dst = dst_;                                                         \
    int64_t j = 0;                                                                \
    for (; j + (SIDE) <= cols; j += (SIDE)) ZIP3(src + j, src_row, dst + 3 * j);  \
    for (; j < cols; j++)                                                         \
      for (int64_t i = 0; i < 3; i++) dst[3 * j + i] = src[i * src_row + j];      \
  }

/* Tiles without vectors: a square that fits the registers. */
#define COPY_PLAIN_TILE(name, T)                                                  \
  COPY_INLINE void name(const T *src, int64_t src_row, T *dst, int64_t dst_row) { \
    T t[4][4];                                                                    \
    for (int i = 0; i < 4; i++)                                                   \
      for (int j = 0; j < 4; j++) t[j][i] = src[i * src_row + j];                 \
    for (int j = 0; j < 4; j++)                                                   \
      for (int i = 0; i < 4; i++) dst[j * dst_row + i] = t[j][i];                 \
  }

#endif
