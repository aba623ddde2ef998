/* copy/tile_sse2: tiles of 16 x 16 bytes, 8 x 8 of 2 bytes, 4 x 4 of 4 and 2 x 2 of 8, by rounds of interleaving: after
 * round k each register holds elements of 2^k rows. */
#ifndef KERNELS_COPY_TILE_SSE2_H
#define KERNELS_COPY_TILE_SSE2_H

#include "kernels/copy/tile.h"

#include <emmintrin.h>

COPY_INLINE __m128i copy_load(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
COPY_INLINE void copy_store(void *p, __m128i v) { _mm_storeu_si128((__m128i *)p, v); }

/* n registers, the first half interleaved with the second: out[2i], out[2i+1] = lo, hi of in[i], in[i + n/2]. */
#define COPY_ROUND(n, in, out, lo, hi)           \
  for (int i = 0; i < (n) / 2; i++) {            \
    out[2 * i] = lo(in[i], in[i + (n) / 2]);     \
    out[2 * i + 1] = hi(in[i], in[i + (n) / 2]); \
  }

COPY_INLINE void copy_tile_1_16x16(const copy_u8 *src, int64_t src_row, copy_u8 *dst, int64_t dst_row) {
  __m128i a[16], b[16];
  for (int i = 0; i < 16; i++) a[i] = copy_load(src + i * src_row);
  COPY_ROUND(16, a, b, _mm_unpacklo_epi8, _mm_unpackhi_epi8)
  COPY_ROUND(16, b, a, _mm_unpacklo_epi8, _mm_unpackhi_epi8)
  COPY_ROUND(16, a, b, _mm_unpacklo_epi8, _mm_unpackhi_epi8)
  COPY_ROUND(16, b, a, _mm_unpacklo_epi8, _mm_unpackhi_epi8)
  for (int i = 0; i < 16; i++) copy_store(dst + i * dst_row, a[i]);
}

COPY_INLINE void copy_tile_2_8x8(const copy_u16 *src, int64_t src_row, copy_u16 *dst, int64_t dst_row) {
  __m128i a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = copy_load(src + i * src_row);
  COPY_ROUND(8, a, b, _mm_unpacklo_epi16, _mm_unpackhi_epi16)
  COPY_ROUND(8, b, a, _mm_unpacklo_epi16, _mm_unpackhi_epi16)
  COPY_ROUND(8, a, b, _mm_unpacklo_epi16, _mm_unpackhi_epi16)
  for (int i = 0; i < 8; i++) copy_store(dst + i * dst_row, b[i]);
}

COPY_INLINE void copy_tile_4_4x4(const copy_u32 *src, int64_t src_row, copy_u32 *dst, int64_t dst_row) {
  __m128i a[4], b[4];
  for (int i = 0; i < 4; i++) a[i] = copy_load(src + i * src_row);
  COPY_ROUND(4, a, b, _mm_unpacklo_epi32, _mm_unpackhi_epi32)
  COPY_ROUND(4, b, a, _mm_unpacklo_epi32, _mm_unpackhi_epi32)
  for (int i = 0; i < 4; i++) copy_store(dst + i * dst_row, a[i]);
}

/* Three rows of 4, interleaved: the planes of a picture become its pixels. */
COPY_INLINE void copy_zip3_4(const copy_u32 *src, int64_t src_row, copy_u32 *dst) {
  __m128 x = _mm_castsi128_ps(copy_load(src)), y = _mm_castsi128_ps(copy_load(src + src_row)),
         z = _mm_castsi128_ps(copy_load(src + 2 * src_row));
  __m128 xy = _mm_shuffle_ps(x, y, 0x88), yz = _mm_shuffle_ps(y, z, 0xdd), zx = _mm_shuffle_ps(z, x, 0xd8);
  copy_store(dst, _mm_castps_si128(_mm_shuffle_ps(xy, zx, 0x88)));
  copy_store(dst + 4, _mm_castps_si128(_mm_shuffle_ps(yz, xy, 0xd8)));
  copy_store(dst + 8, _mm_castps_si128(_mm_shuffle_ps(zx, yz, 0xdd)));
}

/* Two rows of 4, interleaved. */
COPY_INLINE void copy_zip_4(const copy_u32 *a, const copy_u32 *b, copy_u32 *dst) {
  __m128i p = copy_load(a), q = copy_load(b);
  copy_store(dst, _mm_unpacklo_epi32(p, q));
  copy_store(dst + 4, _mm_unpackhi_epi32(p, q));
}

COPY_INLINE void copy_tile_8_2x2(const copy_u64 *src, int64_t src_row, copy_u64 *dst, int64_t dst_row) {
  __m128i a = copy_load(src), b = copy_load(src + src_row);
  copy_store(dst, _mm_unpacklo_epi64(a, b));
  copy_store(dst + dst_row, _mm_unpackhi_epi64(a, b));
}

#endif
