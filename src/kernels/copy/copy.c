/* copy: from any strided copy to rows, tiles or single elements, and their split over threads.
 *
 * copy_strided puts the dims in the destination's order, merges what both sides walk as one, joins elements into larger
 * ones where both sides keep them together (a last dim of 2 floats is one of 8 bytes), and then the innermost dim is
 *
 *   ROWS       contiguous on both sides: memcpy
 *   TRANSPOSE  contiguous in the destination, while another dim is contiguous in the source: blocks of tiles
 *   ELEMENTS   anything else: a loop over one dim
 *
 * `units` counts the independent pieces of work: indices of the outer dims times the stretches of the inner ones. */
#include "kernels/copy/copy.h"

#include "kernels/copy/tile.h"
#include "kernels/dims.h"

#include <stdlib.h>
#include <string.h>

#define VARIANT(isa, kernels) extern const copy_kernels kernels;
#include "kernels/copy/variants.def"
#undef VARIANT
static const copy_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/copy/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(copy, variants)

enum {
  STRETCH_BYTES = 65536, /* of one row that one piece copies */
  GRAIN_BYTES = 65536,   /* worth waking a thread for */
  BLOCK = 64,            /* side of a block of a transpose */
};
enum { SRC, DST };

typedef struct job {
  dims_block block; /* strides of src and dst */
  size_t bytes;     /* of an element */
  const char *src;
  char *dst;
  copy_transpose_fn transpose;
  int rank_outer;              /* dims before the inner one or two */
  int64_t n_stretches, length; /* rows and elements: of the inner dim */
  int64_t rows, cols, src_row, dst_row, row_block, col_block, n_row_blocks, n_col_blocks; /* transposes */
} job;

typedef struct u128 {
  copy_u64 lo, hi;
} __attribute__((packed, may_alias)) u128;

/* n elements, src_step and dst_step elements apart. */
static void copy_elements(size_t bytes, int64_t n, const void *src_, int64_t src_step, void *dst_, int64_t dst_step) {
#define ELEMENTS(T)                                                          \
  do {                                                                       \
    const T *src = src_;                                                     \
    T *dst = dst_;                                                           \
    if (src_step == 0 && dst_step == 1) {                                    \
      const T value = *src;                                                  \
      for (int64_t i = 0; i < n; i++) dst[i] = value;                        \
    } else if (dst_step == 1) {                                              \
      for (int64_t i = 0; i < n; i++) dst[i] = src[i * src_step];            \
    } else {                                                                 \
      for (int64_t i = 0; i < n; i++) dst[i * dst_step] = src[i * src_step]; \
    }                                                                        \
  } while (0)
  switch (bytes) {
    case 1: ELEMENTS(copy_u8); break;
    case 2: ELEMENTS(copy_u16); break;
    case 4: ELEMENTS(copy_u32); break;
    case 8: ELEMENTS(copy_u64); break;
    default: ELEMENTS(u128); break;
  }
#undef ELEMENTS
}

/* Rows of a few bytes: without a call each. */
static inline void copy_row(char *dst, const char *src, size_t n) {
  if (n > 64) {
    memcpy(dst, src, n);
  } else if (n >= 16) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) memcpy(dst + i, src + i, 16);
    memcpy(dst + n - 16, src + n - 16, 16);
  } else if (n >= 8) {
    memcpy(dst, src, 8);
    memcpy(dst + n - 8, src + n - 8, 8);
  } else {
    for (size_t i = 0; i < n; i++) dst[i] = src[i];
  }
}

/* Rows that are copied whole: all of a turn of the last outer dim without a division. Three floats, the pixel of a
 * picture, have code of their own. */
static void work_whole_rows(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const dims_block *b = &j->block;
  const int64_t width = (int64_t)j->bytes;
  const size_t bytes = (size_t)(b->dims[b->rank - 1] * width);
  const int last = j->rank_outer - 1;
  const int64_t turn = last >= 0 ? b->dims[last] : 1;
  const int64_t src_step = last >= 0 ? b->strides[SRC][last] * width : 0;
  const int64_t dst_step = last >= 0 ? b->strides[DST][last] * width : 0;
  for (int64_t i = begin, n; i < end; i += n) {
    const char *src = j->src + dims_offset(b, SRC, j->rank_outer, i) * width;
    char *dst = j->dst + dims_offset(b, DST, j->rank_outer, i) * width;
    n = turn - i % turn;
    if (n > end - i) n = end - i;
    if (bytes == 12)
      for (int64_t k = 0; k < n; k++, src += src_step, dst += dst_step) memcpy(dst, src, 12);
    else
      for (int64_t k = 0; k < n; k++, src += src_step, dst += dst_step) copy_row(dst, src, bytes);
  }
}

static void work_rows(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const dims_block *b = &j->block;
  int64_t n = b->dims[b->rank - 1], width = (int64_t)j->bytes;
  /* Consecutive rows of the last outer dim step by its strides; only its turn needs the offsets anew. */
  int last = j->rank_outer - 1;
  int64_t turn = last >= 0 ? b->dims[last] : 1;
  int64_t src_step = last >= 0 ? b->strides[SRC][last] * width : 0;
  int64_t dst_step = last >= 0 ? b->strides[DST][last] * width : 0;
  const char *src = NULL;
  char *dst = NULL;
  int64_t at = -1; /* the outer index that src and dst stand at */
  for (int64_t i = begin; i < end; i++) {
    int64_t outer = i / j->n_stretches, first = i % j->n_stretches * j->length;
    int64_t length = n - first < j->length ? n - first : j->length;
    if (at < 0 || (outer != at && outer % turn == 0)) {
      src = j->src + dims_offset(b, SRC, j->rank_outer, outer) * width;
      dst = j->dst + dims_offset(b, DST, j->rank_outer, outer) * width;
    } else if (outer != at) {
      src += src_step, dst += dst_step;
    }
    at = outer;
    copy_row(dst + first * width, src + first * width, (size_t)(length * width));
  }
}

static void work_elements(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const dims_block *b = &j->block;
  int inner = b->rank - 1;
  int64_t n = b->dims[inner], width = (int64_t)j->bytes, ss = b->strides[SRC][inner], ds = b->strides[DST][inner];
  for (int64_t i = begin; i < end; i++) {
    int64_t outer = i / j->n_stretches, first = i % j->n_stretches * j->length;
    int64_t length = n - first < j->length ? n - first : j->length;
    copy_elements(j->bytes, length, j->src + (dims_offset(b, SRC, j->rank_outer, outer) + first * ss) * width, ss,
                  j->dst + (dims_offset(b, DST, j->rank_outer, outer) + first * ds) * width, ds);
  }
}

static void work_transpose(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  const dims_block *b = &j->block;
  int64_t width = (int64_t)j->bytes, n_blocks = j->n_row_blocks * j->n_col_blocks;
  for (int64_t i = begin; i < end; i++) {
    int64_t outer = i / n_blocks, row = i % n_blocks / j->n_col_blocks * j->row_block;
    int64_t col = i % j->n_col_blocks * j->col_block;
    const char *src = j->src + (dims_offset(b, SRC, j->rank_outer, outer) + row * j->src_row + col) * width;
    char *dst = j->dst + (dims_offset(b, DST, j->rank_outer, outer) + col * j->dst_row + row) * width;
    int64_t rows = j->rows - row < j->row_block ? j->rows - row : j->row_block;
    int64_t cols = j->cols - col < j->col_block ? j->cols - col : j->col_block;
    j->transpose(rows, cols, src, j->src_row, dst, j->dst_row);
  }
}

static void transpose_16(int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst, int64_t dst_row) {
  for (int64_t j = 0; j < cols; j++)
    copy_elements(16, rows, (const u128 *)src + j, src_row, (u128 *)dst + j * dst_row, 1);
}

static copy_transpose_fn transpose_of(size_t bytes) {
  const copy_kernels *k = copy_best();
  switch (bytes) {
    case 1: return k->transpose_1;
    case 2: return k->transpose_2;
    case 4: return k->transpose_4;
    case 8: return k->transpose_8;
    default: return transpose_16;
  }
}

/* Blocks are square where both sides are long; a short side lets the other grow. */
static void run_transpose(job *j, pool *p) {
  j->transpose = transpose_of(j->bytes);
  j->row_block = j->col_block = BLOCK;
  if (j->rows < BLOCK) j->col_block = BLOCK * BLOCK / j->rows & ~15;
  if (j->cols < BLOCK) j->row_block = BLOCK * BLOCK / j->cols & ~15;
  j->n_row_blocks = (j->rows + j->row_block - 1) / j->row_block;
  j->n_col_blocks = (j->cols + j->col_block - 1) / j->col_block;
  int64_t units = dims_product(j->block.dims, 0, j->rank_outer) * j->n_row_blocks * j->n_col_blocks;
  int64_t unit_rows = j->rows < j->row_block ? j->rows : j->row_block;
  int64_t unit_cols = j->cols < j->col_block ? j->cols : j->col_block;
  pool_run(p, units, GRAIN_BYTES / (unit_rows * unit_cols * (int64_t)j->bytes) + 1, work_transpose, j);
}

static void run_inner(job *j, bool rows, pool *p) {
  const dims_block *b = &j->block;
  int64_t n = b->dims[b->rank - 1], bytes = (int64_t)j->bytes;
  j->rank_outer = b->rank - 1;
  j->length = STRETCH_BYTES / bytes;
  j->n_stretches = (n + j->length - 1) / j->length;
  int64_t units = dims_product(b->dims, 0, j->rank_outer) * j->n_stretches;
  int64_t unit_bytes = (n < j->length ? n : j->length) * bytes;
  pool_run(p, units, GRAIN_BYTES / unit_bytes + 1,
           !rows                ? work_elements
           : j->n_stretches > 1 ? work_rows
                                : work_whole_rows,
           j);
}

/* Takes two dims out of the block. */
static void remove_dims(dims_block *b, int first, int second) {
  int rank = 0;
  for (int d = 0; d < b->rank; d++) {
    if (d == first || d == second) continue;
    b->dims[rank] = b->dims[d];
    b->strides[SRC][rank] = b->strides[SRC][d];
    b->strides[DST][rank] = b->strides[DST][d];
    rank++;
  }
  b->rank = rank;
}

/* Dims by falling stride in the destination (of equals, in the source); insertion keeps equals in order. */
static void sort_dims(dims_block *b) {
  for (int i = 1; i < b->rank; i++)
    for (int k = i; k > 0; k--) {
      int64_t here = llabs(b->strides[DST][k]), before = llabs(b->strides[DST][k - 1]);
      if (here < before || (here == before && llabs(b->strides[SRC][k]) <= llabs(b->strides[SRC][k - 1]))) break;
      int64_t t = b->dims[k];
      b->dims[k] = b->dims[k - 1], b->dims[k - 1] = t;
      for (int o = 0; o < b->n_operands; o++) {
        t = b->strides[o][k];
        b->strides[o][k] = b->strides[o][k - 1], b->strides[o][k - 1] = t;
      }
    }
}

/* Joins a short contiguous last dim into elements of up to 16 bytes, where all other strides are whole in them. */
static void join_elements(dims_block *b, size_t *bytes) {
  while (b->rank > 1) {
    int last = b->rank - 1;
    int64_t n = b->dims[last];
    if (b->strides[SRC][last] != 1 || b->strides[DST][last] != 1) return;
    size_t joined = n <= 16 ? *bytes * (size_t)n : 32;
    if (joined != 2 && joined != 4 && joined != 8 && joined != 16) return;
    for (int d = 0; d < last; d++)
      if (b->strides[SRC][d] % n || b->strides[DST][d] % n) return;
    for (int d = 0; d < last; d++) b->strides[SRC][d] /= n, b->strides[DST][d] /= n;
    b->rank--;
    *bytes = joined;
  }
}

void copy_strided(size_t element_bytes, int rank, const int64_t *dims, const void *src, const int64_t *src_strides,
                  void *dst, const int64_t *dst_strides, pool *p) {
  job j = {.bytes = element_bytes, .src = src, .dst = dst};
  dims_block *b = &j.block;
  b->n_operands = 2;
  for (int d = 0; d < rank; d++) {
    if (dims[d] <= 0) return;
    if (dims[d] == 1) continue;
    b->dims[b->rank] = dims[d];
    b->strides[SRC][b->rank] = src_strides[d];
    b->strides[DST][b->rank] = dst_strides[d];
    b->rank++;
  }
  sort_dims(b);
  dims_collapse(b);
  join_elements(b, &j.bytes);
  dims_collapse(b);
  if (b->rank == 0) {
    memcpy(dst, src, j.bytes);
    return;
  }
  int last = b->rank - 1;
  if (b->strides[SRC][last] == 1 && b->strides[DST][last] == 1) {
    run_inner(&j, true, p);
    return;
  }
  for (int d = last - 1; d >= 0 && b->strides[DST][last] == 1; d--)
    if (b->strides[SRC][d] == 1 && b->dims[d] > 1) {
      j.rows = b->dims[last], j.cols = b->dims[d];
      j.src_row = b->strides[SRC][last], j.dst_row = b->strides[DST][d];
      remove_dims(b, last, d);
      j.rank_outer = b->rank;
      run_transpose(&j, p);
      return;
    }
  run_inner(&j, false, p);
}

void copy_transpose_2d(size_t element_bytes, int64_t rows, int64_t cols, const void *src, int64_t src_row, void *dst,
                       int64_t dst_row, pool *p) {
  copy_strided(element_bytes, 2, (const int64_t[]){rows, cols}, src, (const int64_t[]){src_row, 1}, dst,
               (const int64_t[]){1, dst_row}, p);
}

void copy_permute(size_t element_bytes, int rank, const int64_t *dims, const int *perm, const void *src, void *dst,
                  pool *p) {
  int64_t src_strides[DIMS_MAX_RANK], out_dims[DIMS_MAX_RANK], permuted[DIMS_MAX_RANK], dst_strides[DIMS_MAX_RANK];
  int64_t n = 1, m = 1;
  for (int d = rank - 1; d >= 0; n *= dims[d], d--) src_strides[d] = n;
  for (int d = rank - 1; d >= 0; m *= out_dims[d], d--) {
    out_dims[d] = dims[perm[d]];
    permuted[d] = src_strides[perm[d]];
    dst_strides[d] = m;
  }
  copy_strided(element_bytes, rank, out_dims, src, permuted, dst, dst_strides, p);
}

typedef struct interleave_job {
  int64_t n, src_row[2], dst_row; /* strides in bytes */
  const char *src[2];
  char *dst;
  copy_interleave_fn interleave;
} interleave_job;

static void work_interleave(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const interleave_job *j = arg;
  for (int64_t r = begin; r < end; r++)
    j->interleave(j->n, j->src[0] + r * j->src_row[0], j->src[1] + r * j->src_row[1], j->dst + r * j->dst_row);
}

void copy_interleave(size_t element_bytes, int groups, int64_t rows, int64_t n, const void *const *src,
                     const int64_t *src_row, void *dst, int64_t dst_row, pool *p) {
  const int64_t width = (int64_t)element_bytes;
  if (groups == 2 && element_bytes == 4) {
    interleave_job j = {.n = n,
                        .src_row = {src_row[0] * width, src_row[1] * width},
                        .dst_row = dst_row * width,
                        .src = {src[0], src[1]},
                        .dst = dst,
                        .interleave = copy_best()->interleave_4};
    pool_run(p, rows, GRAIN_BYTES / (2 * n * width) + 1, work_interleave, &j);
    return;
  }
  for (int k = 0; k < groups; k++)
    copy_strided(element_bytes, 2, (const int64_t[]){rows, n}, src[k], (const int64_t[]){src_row[k], 1},
                 (char *)dst + k * width, (const int64_t[]){dst_row, groups}, p);
}

void copy_nchw_to_nhwc_f32(int64_t n, int64_t c, int64_t hw, const float *src, float *dst, pool *p) {
  copy_strided(sizeof(float), 3, (const int64_t[]){n, hw, c}, src, (const int64_t[]){c * hw, 1, hw}, dst,
               (const int64_t[]){hw * c, c, 1}, p);
}

void copy_nhwc_to_nchw_f32(int64_t n, int64_t c, int64_t hw, const float *src, float *dst, pool *p) {
  copy_nchw_to_nhwc_f32(n, hw, c, src, dst, p); /* the same with the roles of c and hw exchanged */
}

void copy_fill_strided(size_t element_bytes, int rank, const int64_t *dims, const void *value, void *dst,
                       const int64_t *dst_strides, pool *p) {
  static const int64_t zeros[DIMS_MAX_RANK];
  copy_strided(element_bytes, rank, dims, value, zeros, dst, dst_strides, p);
}
