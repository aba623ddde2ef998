/* copy for any machine: tiles of 4 x 4 in plain registers. */
#include "kernels/copy/copy.h"
#include "kernels/copy/tile.h"

COPY_PLAIN_TILE(tile_1, copy_u8)
COPY_PLAIN_TILE(tile_2, copy_u16)
COPY_PLAIN_TILE(tile_4, copy_u32)
COPY_PLAIN_TILE(tile_8, copy_u64)
COPY_TRANSPOSE(transpose_1, copy_u8, 4, tile_1)
COPY_TRANSPOSE(transpose_2, copy_u16, 4, tile_2)
COPY_TRANSPOSE(transpose_4, copy_u32, 4, tile_4)
COPY_TRANSPOSE(transpose_8, copy_u64, 4, tile_8)

static void interleave_4(int64_t n, const void *a_, const void *b_, void *dst_) {
  const copy_u32 *a = a_, *b = b_;
  copy_u32 *dst = dst_;
  for (int64_t i = 0; i < n; i++) dst[2 * i] = a[i], dst[2 * i + 1] = b[i];
}

const copy_kernels copy__plain;
const copy_kernels copy__plain = {transpose_1, transpose_2, transpose_4, transpose_8, interleave_4};
