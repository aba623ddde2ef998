/* copy for NEON: 8 x 8 of bytes and of 2 bytes, 4 x 4 of 4 and 2 x 2 of 8, by rounds of interleaving. */
#include "kernels/copy/copy.h"
#include "kernels/copy/tile.h"

#include <arm_neon.h>

/* n registers, the first half interleaved with the second. */
#define ROUND(n, in, out, zip)                                      \
  for (int i = 0; i < (n) / 2; i++) {                               \
    __typeof__(zip(in[0], in[0])) t_ = zip(in[i], in[i + (n) / 2]); \
    out[2 * i] = t_.val[0];                                         \
    out[2 * i + 1] = t_.val[1];                                     \
  }

COPY_INLINE void tile_1(const copy_u8 *src, int64_t src_row, copy_u8 *dst, int64_t dst_row) {
  uint8x8_t a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = vld1_u8(src + i * src_row);
  ROUND(8, a, b, vzip_u8)
  ROUND(8, b, a, vzip_u8)
  ROUND(8, a, b, vzip_u8)
  for (int i = 0; i < 8; i++) vst1_u8(dst + i * dst_row, b[i]);
}

/* Loads and stores go through bytes: the elements need not be aligned. */
COPY_INLINE void tile_2(const copy_u16 *src, int64_t src_row, copy_u16 *dst, int64_t dst_row) {
  uint16x8_t a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = vreinterpretq_u16_u8(vld1q_u8((const uint8_t *)(src + i * src_row)));
  ROUND(8, a, b, vzipq_u16)
  ROUND(8, b, a, vzipq_u16)
  ROUND(8, a, b, vzipq_u16)
  for (int i = 0; i < 8; i++) vst1q_u8((uint8_t *)(dst + i * dst_row), vreinterpretq_u8_u16(b[i]));
}

COPY_INLINE void tile_4(const copy_u32 *src, int64_t src_row, copy_u32 *dst, int64_t dst_row) {
  uint32x4_t a[4], b[4];
  for (int i = 0; i < 4; i++) a[i] = vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)(src + i * src_row)));
  ROUND(4, a, b, vzipq_u32)
  ROUND(4, b, a, vzipq_u32)
  for (int i = 0; i < 4; i++) vst1q_u8((uint8_t *)(dst + i * dst_row), vreinterpretq_u8_u32(a[i]));
}

COPY_INLINE void tile_8(const copy_u64 *src, int64_t src_row, copy_u64 *dst, int64_t dst_row) {
  uint64x2_t a = vreinterpretq_u64_u8(vld1q_u8((const uint8_t *)src));
  uint64x2_t b = vreinterpretq_u64_u8(vld1q_u8((const uint8_t *)(src + src_row)));
  vst1q_u8((uint8_t *)dst, vreinterpretq_u8_u64(vcombine_u64(vget_low_u64(a), vget_low_u64(b))));
  vst1q_u8((uint8_t *)(dst + dst_row), vreinterpretq_u8_u64(vcombine_u64(vget_high_u64(a), vget_high_u64(b))));
}

COPY_TRANSPOSE(transpose_1, copy_u8, 8, tile_1)
COPY_TRANSPOSE(transpose_2, copy_u16, 8, tile_2)
COPY_TRANSPOSE(transpose_4, copy_u32, 4, tile_4)
COPY_TRANSPOSE(transpose_8, copy_u64, 2, tile_8)

COPY_INLINE void zip_4(const copy_u32 *a, const copy_u32 *b, copy_u32 *dst) {
  uint32x4x2_t t =
      vzipq_u32(vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)a)), vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)b)));
  vst1q_u8((uint8_t *)dst, vreinterpretq_u8_u32(t.val[0]));
  vst1q_u8((uint8_t *)(dst + 4), vreinterpretq_u8_u32(t.val[1]));
}
COPY_INTERLEAVE(interleave_4, 4, zip_4)

const copy_kernels copy__neon;
const copy_kernels copy__neon = {transpose_1, transpose_2, transpose_4, transpose_8, interleave_4};
