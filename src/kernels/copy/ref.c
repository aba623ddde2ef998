/* copy's oracle. */
#include "kernels/copy/copy.h"

#include <string.h>

static void ref(size_t bytes, int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst,
                int64_t dst_row) {
  const char *from = src;
  char *to = dst;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++)
      memcpy(to + (j * dst_row + i) * (int64_t)bytes, from + (i * src_row + j) * (int64_t)bytes, bytes);
}

#define REF(bytes)                                                                                                    \
  static void ref_##bytes(int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst, int64_t dst_row) { \
    ref(bytes, rows, cols, src, src_row, dst, dst_row);                                                               \
  }
REF(1)
REF(2)
REF(4)
REF(8)

static void ref_interleave(int64_t n, const void *a, const void *b, void *dst) {
  for (int64_t i = 0; i < n; i++) {
    memcpy((char *)dst + 8 * i, (const char *)a + 4 * i, 4);
    memcpy((char *)dst + 8 * i + 4, (const char *)b + 4 * i, 4);
  }
}

const copy_kernels copy__ref = {ref_1, ref_2, ref_4, ref_8, ref_interleave};
