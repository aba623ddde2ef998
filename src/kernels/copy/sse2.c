/* copy for SSE2: see tile_sse2.h. */
#include "kernels/copy/copy.h"
#include "kernels/copy/tile_sse2.h"

COPY_TRANSPOSE(transpose_1, copy_u8, 16, copy_tile_1_16x16)
COPY_TRANSPOSE(transpose_2, copy_u16, 8, copy_tile_2_8x8)
COPY_TRANSPOSE(tiles_4, copy_u32, 4, copy_tile_4_4x4)
COPY_PLANES(planes_4, 4, copy_zip3_4)
static void transpose_4(int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst, int64_t dst_row) {
  if (rows == 3 && dst_row == 3)
    planes_4(cols, src, src_row, dst);
  else
    tiles_4(rows, cols, src, src_row, dst, dst_row);
}
COPY_TRANSPOSE(transpose_8, copy_u64, 2, copy_tile_8_2x2)
COPY_INTERLEAVE(interleave_4, 4, copy_zip_4)

const copy_kernels copy__sse2;
const copy_kernels copy__sse2 = {transpose_1, transpose_2, transpose_4, transpose_8, interleave_4};
