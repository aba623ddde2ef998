/* copy for AVX2: 8 x 8 of 4 bytes and 4 x 4 of 8; for bytes and pairs of them SSE2's tiles are as good. */
#include "kernels/copy/copy.h"
#include "kernels/copy/tile_sse2.h"

#include <immintrin.h>

COPY_INLINE void tile_4_8x8(const copy_u32 *src, int64_t src_row, copy_u32 *dst, int64_t dst_row) {
  /* Rows i and i + 4 share a register a half; then 4 x 4 tiles within the halves. */
  __m256 a[8], b[8];
  for (int i = 0; i < 4; i++) {
    const float *p = (const float *)(const void *)(src + i * src_row);
    const float *q = (const float *)(const void *)(src + (i + 4) * src_row);
    a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(q), 1);
    a[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 4)), _mm_loadu_ps(q + 4), 1);
  }
  for (int h = 0; h < 8; h += 4) {
    COPY_ROUND(4, (a + h), (b + h), _mm256_unpacklo_ps, _mm256_unpackhi_ps)
    COPY_ROUND(4, (b + h), (a + h), _mm256_unpacklo_ps, _mm256_unpackhi_ps)
  }
  for (int i = 0; i < 8; i++) _mm256_storeu_ps((float *)(void *)(dst + i * dst_row), a[i]);
}

COPY_INLINE void tile_8_4x4(const copy_u64 *src, int64_t src_row, copy_u64 *dst, int64_t dst_row) {
  __m256i a[4];
  for (int i = 0; i < 4; i++) a[i] = _mm256_loadu_si256((const __m256i *)(const void *)(src + i * src_row));
  __m256i p = _mm256_unpacklo_epi64(a[0], a[1]), q = _mm256_unpackhi_epi64(a[0], a[1]);
  __m256i r = _mm256_unpacklo_epi64(a[2], a[3]), s = _mm256_unpackhi_epi64(a[2], a[3]);
  _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_permute2x128_si256(p, r, 0x20));
  _mm256_storeu_si256((__m256i *)(void *)(dst + dst_row), _mm256_permute2x128_si256(q, s, 0x20));
  _mm256_storeu_si256((__m256i *)(void *)(dst + 2 * dst_row), _mm256_permute2x128_si256(p, r, 0x31));
  _mm256_storeu_si256((__m256i *)(void *)(dst + 3 * dst_row), _mm256_permute2x128_si256(q, s, 0x31));
}

COPY_TRANSPOSE(small_4, copy_u32, 4, copy_tile_4_4x4)
COPY_TRANSPOSE(large_4, copy_u32, 8, tile_4_8x8)

COPY_INLINE void zip3_4(const copy_u32 *src, int64_t src_row, copy_u32 *dst) {
  __m256 x = _mm256_loadu_ps((const float *)(const void *)src);
  __m256 y = _mm256_loadu_ps((const float *)(const void *)(src + src_row));
  __m256 z = _mm256_loadu_ps((const float *)(const void *)(src + 2 * src_row));
  __m256 xy = _mm256_shuffle_ps(x, y, 0x88), yz = _mm256_shuffle_ps(y, z, 0xdd), zx = _mm256_shuffle_ps(z, x, 0xd8);
  __m256 a = _mm256_shuffle_ps(xy, zx, 0x88), b = _mm256_shuffle_ps(yz, xy, 0xd8), c = _mm256_shuffle_ps(zx, yz, 0xdd);
  float *to = (float *)(void *)dst; /* the low halves are pixels 0 to 3, the high ones 4 to 7 */
  _mm_storeu_ps(to, _mm256_castps256_ps128(a));
  _mm_storeu_ps(to + 4, _mm256_castps256_ps128(b));
  _mm_storeu_ps(to + 8, _mm256_castps256_ps128(c));
  _mm_storeu_ps(to + 12, _mm256_extractf128_ps(a, 1));
  _mm_storeu_ps(to + 16, _mm256_extractf128_ps(b, 1));
  _mm_storeu_ps(to + 20, _mm256_extractf128_ps(c, 1));
}
COPY_PLANES(planes_4, 8, zip3_4)

static void transpose_4(int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst, int64_t dst_row) {
  if (rows == 3 && dst_row == 3)
    planes_4(cols, src, src_row, dst);
  else
    (rows < 8 || cols < 8 ? small_4 : large_4)(rows, cols, src, src_row, dst, dst_row);
}
COPY_TRANSPOSE(transpose_1, copy_u8, 16, copy_tile_1_16x16)
COPY_TRANSPOSE(transpose_2, copy_u16, 8, copy_tile_2_8x8)
COPY_TRANSPOSE(transpose_8, copy_u64, 4, tile_8_4x4)

COPY_INLINE void zip_4(const copy_u32 *a, const copy_u32 *b, copy_u32 *dst) {
  __m256i p = _mm256_loadu_si256((const __m256i *)(const void *)a);
  __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)b);
  __m256i low = _mm256_unpacklo_epi32(p, q), high = _mm256_unpackhi_epi32(p, q);
  _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256((__m256i *)(void *)(dst + 8), _mm256_permute2x128_si256(low, high, 0x31));
}
COPY_INTERLEAVE(interleave_4, 8, zip_4)

const copy_kernels copy__avx2;
const copy_kernels copy__avx2 = {transpose_1, transpose_2, transpose_4, transpose_8, interleave_4};
