/* select: loops over rows; the innermost dim is one that all operands walk by 1 or by 0. See select.h. */
#include "kernels/select/select.h"

enum { SELECT_GRAIN = 16384, SELECT_RANK_MAX = 16 };

typedef struct job {
  int rank; /* of the dims outside of a row */
  int64_t dims[SELECT_RANK_MAX], strides[3][SELECT_RANK_MAX], n, step[3];
  size_t bytes;
  const uint8_t *condition, *a, *b;
  uint8_t *y;
} job;

#define ROW(T)                                                                                                        \
  static void row_##T(const uint8_t *c, int64_t cs, const void *av, int64_t as, const void *bv, int64_t bs, void *yv, \
                      int64_t n) {                                                                                    \
    const T *a = av, *b = bv;                                                                                         \
    T *y = yv;                                                                                                        \
    if (cs == 1 && as == 1 && bs == 1)                                                                                \
      for (int64_t i = 0; i < n; i++) y[i] = (T)((a[i] & (T) - (T)(c[i] != 0)) | (b[i] & (T)((T)(c[i] != 0) - 1)));   \
    else if (cs == 1 && as == 1 && bs == 0) {                                                                         \
      const T v = *b;                                                                                                 \
      for (int64_t i = 0; i < n; i++) y[i] = (T)((a[i] & (T) - (T)(c[i] != 0)) | (v & (T)((T)(c[i] != 0) - 1)));      \
    } else if (cs == 1 && as == 0 && bs == 1) {                                                                       \
      const T v = *a;                                                                                                 \
      for (int64_t i = 0; i < n; i++) y[i] = (T)((v & (T) - (T)(c[i] != 0)) | (b[i] & (T)((T)(c[i] != 0) - 1)));      \
    } else                                                                                                            \
      for (int64_t i = 0; i < n; i++) y[i] = c[i * cs] ? a[i * as] : b[i * bs];                                       \
  }
ROW(uint8_t)
ROW(uint16_t)
ROW(uint32_t)
ROW(uint64_t)

static void work(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  void (*row)(const uint8_t *, int64_t, const void *, int64_t, const void *, int64_t, void *, int64_t) =
      j->bytes == 1   ? row_uint8_t
      : j->bytes == 2 ? row_uint16_t
      : j->bytes == 4 ? row_uint32_t
                      : row_uint64_t;
  for (int64_t r = begin; r < end; r++) {
    int64_t at[3] = {0}, left = r;
    for (int d = j->rank - 1; d >= 0; d--) {
      int64_t i = left % j->dims[d];
      left /= j->dims[d];
      for (int o = 0; o < 3; o++) at[o] += i * j->strides[o][d];
    }
    row(j->condition + at[0], j->step[0], j->a + (size_t)at[1] * j->bytes, j->step[1], j->b + (size_t)at[2] * j->bytes,
        j->step[2], j->y + (size_t)(r * j->n) * j->bytes, j->n);
  }
}

/* May dim d be one row with the dims inside of it, of n elements that are `step` apart? */
static bool merges(const int64_t *stride, int64_t step, int64_t n) { return *stride == step * n; }

void select_where(size_t element_bytes, int rank, const int64_t *dims, const uint8_t *condition,
                  const int64_t *condition_strides, const void *a, const int64_t *a_strides, const void *b,
                  const int64_t *b_strides, void *y, pool *p) {
  const int64_t *strides[3] = {condition_strides, a_strides, b_strides};
  job j = {.n = 1, .bytes = element_bytes, .condition = condition, .a = a, .b = b, .y = y};
  int inner = rank;
  int64_t rows = 1;
  for (bool first = true; inner > 0; inner--) {
    int d = inner - 1;
    if (dims[d] == 1) continue;
    if (first)
      for (int o = 0; o < 3; o++) j.step[o] = strides[o][d];
    else if (!merges(&strides[0][d], j.step[0], j.n) || !merges(&strides[1][d], j.step[1], j.n) ||
             !merges(&strides[2][d], j.step[2], j.n))
      break;
    j.n *= dims[d];
    first = false;
  }
  for (int d = 0; d < inner; d++) {
    if (dims[d] == 1) continue;
    j.dims[j.rank] = dims[d];
    for (int o = 0; o < 3; o++) j.strides[o][j.rank] = strides[o][d];
    j.rank++;
    rows *= dims[d];
  }
  int64_t grain = j.n ? SELECT_GRAIN / j.n : 1;
  if (rows > 0 && j.n > 0) pool_run(p, rows, grain < 1 ? 1 : grain, work, &j);
}
