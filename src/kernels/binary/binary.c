/* binary: the choice of a variant, the split over threads, and the way from any broadcast to the two-dimensional form.
 *
 * Work is counted in pieces: whole rows, or stretches of PIECE columns where rows are longer. */
#include "kernels/binary/binary.h"

#include "kernels/dims.h"

#include <string.h>

#define VARIANT(isa, kernels) extern const binary_kernels kernels;
#include "kernels/binary/variants.def"
#undef VARIANT
static const binary_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/binary/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(binary, variants)

enum {
  PIECE = 8192,  /* columns of a piece */
  GRAIN = 16384, /* elements worth waking a thread for */
  TILE = 256,    /* elements of an operand that a stack buffer holds */
};

typedef struct job {
  const binary_op *op;
  binary_f32_2d_fn run;
  dims_block block; /* strides of a, b and y; the last two dims are rows and columns */
  int64_t n_rows;   /* of the last but one dim: consecutive rows at one stride */
  int64_t cols, n_pieces;
  const float *a, *b;
  float *y;
} job;

/* Packs an operand whose columns are neither contiguous nor one, TILE columns at a time. */
static void run_packed(const job *j, const float *a, const float *b, int64_t cols, float *y) {
  int last = j->block.rank - 1;
  int64_t a_col = j->block.strides[0][last], b_col = j->block.strides[1][last];
  float a_tile[TILE], b_tile[TILE];
  for (int64_t begin = 0; begin < cols; begin += TILE) {
    int64_t n = cols - begin < TILE ? cols - begin : TILE;
    for (int64_t i = 0; i < n; i++) {
      a_tile[i] = a[(begin + i) * a_col];
      b_tile[i] = b[(begin + i) * b_col];
    }
    j->run(j->op, 1, n, (binary_operand){a_tile, 0, 1}, (binary_operand){b_tile, 0, 1}, y + begin, 0);
  }
}

static void run_rows(const job *j, int64_t row, int64_t n, int64_t begin, int64_t cols) {
  const dims_block *b = &j->block;
  int last = b->rank - 1;
  int64_t a_col = b->strides[0][last], b_col = b->strides[1][last];
  const float *pa = j->a + dims_offset(b, 0, last, row) + begin * a_col;
  const float *pb = j->b + dims_offset(b, 1, last, row) + begin * b_col;
  float *y = j->y + dims_offset(b, 2, last, row) + begin;
  int64_t a_row = last ? b->strides[0][last - 1] : 0, b_row = last ? b->strides[1][last - 1] : 0;
  int64_t y_row = last ? b->strides[2][last - 1] : 0;
  if ((a_col | b_col) & ~(int64_t)1)
    for (int64_t i = 0; i < n; i++) run_packed(j, pa + i * a_row, pb + i * b_row, cols, y + i * y_row);
  else
    j->run(j->op, n, cols, (binary_operand){pa, a_row, a_col}, (binary_operand){pb, b_row, b_col}, y, y_row);
}

static void work(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  if (j->n_pieces > 1) {
    for (int64_t i = begin; i < end; i++) {
      int64_t col = i % j->n_pieces * PIECE;
      run_rows(j, i / j->n_pieces, 1, col, j->cols - col < PIECE ? j->cols - col : PIECE);
    }
    return;
  }
  while (begin < end) { /* runs of rows within one index of the outer dims */
    int64_t run = j->n_rows - begin % j->n_rows;
    if (run > end - begin) run = end - begin;
    run_rows(j, begin, run, 0, j->cols);
    begin += run;
  }
}

static void run_block(job *j, pool *p) {
  const dims_block *b = &j->block;
  j->cols = b->dims[b->rank - 1];
  j->n_rows = b->rank > 1 ? b->dims[b->rank - 2] : 1;
  j->n_pieces = (j->cols + PIECE - 1) / PIECE;
  int64_t total_rows = dims_product(b->dims, 0, b->rank - 1);
  pool_run(p, total_rows * j->n_pieces, j->n_pieces > 1 ? 2 : GRAIN / j->cols + 1, work, j);
}

/* Short contiguous rows against one repeated vector (a bias of 3 channels): the vector is tiled, so that the kernel
 * sees rows of some length, and what does not fill such a row follows. False where it is another case. */
static bool run_tiled(const job *j, pool *p) {
  const dims_block *b = &j->block;
  int64_t cols = b->dims[b->rank - 1], rows_total = b->dims[0];
  if (b->rank != 2 || cols > 32 || rows_total < 8) return false;
  bool repeats[2];
  for (int k = 0; k < 2; k++) repeats[k] = b->strides[k][0] == 0 && b->strides[k][1] == 1;
  int dense = repeats[0] ? 1 : 0;
  if (repeats[0] == repeats[1] || b->strides[dense][1] != 1) return false;
  if (b->strides[dense][0] != cols || b->strides[2][0] != cols) return false;

  float tile[TILE];
  int64_t k = TILE / cols < rows_total ? TILE / cols : rows_total;
  for (int64_t i = 0; i < k; i++) memcpy(tile + i * cols, dense ? j->a : j->b, (size_t)cols * sizeof(float));
  job wide = *j;
  *(dense ? &wide.a : &wide.b) = tile;
  wide.block.dims[0] = rows_total / k, wide.block.dims[1] = k * cols;
  wide.block.strides[dense][0] = wide.block.strides[2][0] = k * cols;
  run_block(&wide, p);
  int64_t done = rows_total / k * k * cols;
  if (rows_total % k == 0) return true;
  wide.y += done;
  *(dense ? &wide.b : &wide.a) += done;
  wide.block.dims[0] = 1, wide.block.dims[1] = rows_total % k * cols;
  run_block(&wide, p);
  return true;
}

static void run_job(job *j, pool *p) {
  dims_block *b = &j->block;
  if (dims_product(b->dims, 0, b->rank) <= 0) return;
  dims_collapse(b);
  if (b->rank == 0) {
    b->rank = 1, b->dims[0] = 1;
    b->strides[0][0] = b->strides[1][0] = b->strides[2][0] = 1;
  }
  if (!run_tiled(j, p)) run_block(j, p);
}

void binary_f32_broadcast(const binary_op *op, int rank, const int64_t *dims, const float *a, const int64_t *a_strides,
                          const float *b, const int64_t *b_strides, float *y, pool *p) {
  job j = {.op = op, .run = binary_best()->f32_2d, .a = a, .b = b, .y = y};
  j.block.rank = rank, j.block.n_operands = 3;
  int64_t y_stride = 1;
  for (int d = rank - 1; d >= 0; d--) {
    j.block.dims[d] = dims[d];
    j.block.strides[0][d] = a_strides[d];
    j.block.strides[1][d] = b_strides[d];
    j.block.strides[2][d] = y_stride;
    y_stride *= dims[d];
  }
  run_job(&j, p);
}

void binary_f32_2d(const binary_op *op, int64_t rows, int64_t cols, binary_operand a, binary_operand b, float *y,
                   int64_t y_row, pool *p) {
  job j = {.op = op, .run = binary_best()->f32_2d, .a = a.data, .b = b.data, .y = y};
  j.block = (dims_block){2, 3, {rows, cols}, {{a.row, a.col}, {b.row, b.col}, {y_row, 1}}};
  run_job(&j, p);
}

void binary_f32(const binary_op *op, const float *a, const float *b, float *y, int64_t n, pool *p) {
  const int64_t one = 1;
  binary_f32_broadcast(op, 1, &n, a, &one, b, &one, y, p);
}
