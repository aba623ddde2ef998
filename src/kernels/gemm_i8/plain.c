/* gemm_i8 for any machine. */
#include <stdint.h>
#include <string.h>

#define GEMM_I8_INLINE static inline __attribute__((always_inline))
typedef int16_t panel_t;
enum { TILE_N = 8, TILE_K = 1, ROWS = 4, A_SIGNED = 0 };

GEMM_I8_INLINE void tile(const int rows, int64_t groups, const panel_t *panel, const int8_t *b,
                         int32_t sums[][TILE_N]) {
  memset(sums, 0, (size_t)rows * TILE_N * sizeof(int32_t));
  for (int64_t g = 0; g < groups; g++, panel += ROWS, b += TILE_N)
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < TILE_N; j++) sums[r][j] = (int32_t)((uint32_t)sums[r][j] + (uint32_t)(panel[r] * b[j]));
}

#include "kernels/gemm_i8/gemm_i8_body.h"

const gemm_i8_kernels gemm_i8__plain;
const gemm_i8_kernels gemm_i8__plain = {TILE_N, TILE_K, A_SIGNED, run};
