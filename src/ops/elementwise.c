/* ops/elementwise: see elementwise.h. */
#include "ops/elementwise.h"

enum { ELEM_GRAIN = 16384 }; /* elements that are worth a thread's while */

/* ---- checks ---- */

ledge_status elem_check(op_ctx *c, int i, uint32_t allowed) {
  const tensor *t = op_in(c, i);
  if (!t) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is not a tensor", i);
  if (t->rank > LEDGE_MAX_RANK)
    return op_fail(c, LEDGE_ERROR_LIMIT, "input %d has rank %d, above the limit of %d", i, t->rank, LEDGE_MAX_RANK);
  return allowed & DTYPE_BIT(t->dtype) ? LEDGE_OK : op_fail_dtype(c, i);
}

ledge_status elem_check_same(op_ctx *c, int i) {
  if (!op_has(c, i)) return LEDGE_OK;
  TRY(elem_check(c, i, DTYPES_ALL));
  const tensor *a = op_in(c, 0), *b = op_in(c, i);
  if (a->dtype == b->dtype) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "inputs 0 and %d have different dtypes, %s and %s: cast one of them", i,
                 ledge_dtype_name(a->dtype), ledge_dtype_name(b->dtype));
}

ledge_status elem_check_scalar(op_ctx *c, int i) {
  if (!op_has(c, i)) return LEDGE_OK;
  TRY(elem_check(c, i, DTYPES_ALL));
  if (tensor_elements(op_in(c, i)) == 1) return LEDGE_OK;
  char text[256];
  const tensor *t = op_in(c, i);
  return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has the shape %s instead of a scalar's", i,
                 shape_print(t->rank, t->dims, text, sizeof text));
}

ledge_status elem_infer_float(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_FLOAT));
  return op_same_shape(c, 0, 0);
}

ledge_status elem_infer_numeric(op_ctx *c) {
  TRY(elem_check(c, 0, DTYPES_NUMERIC));
  return op_same_shape(c, 0, 0);
}

/* ---- chunks ---- */

#define CHUNK_LOAD(D, T, TO)                                             \
  case D:                                                                \
    for (int64_t i = 0; i < n; i++) dst[i] = (TO)((const T *)p)[at + i]; \
    return;
#define CHUNK_LOAD_INTEGERS(TO)       \
  CHUNK_LOAD(LEDGE_U8, uint8_t, TO)   \
  CHUNK_LOAD(LEDGE_I8, int8_t, TO)    \
  CHUNK_LOAD(LEDGE_U16, uint16_t, TO) \
  CHUNK_LOAD(LEDGE_I16, int16_t, TO)  \
  CHUNK_LOAD(LEDGE_U32, uint32_t, TO) \
  CHUNK_LOAD(LEDGE_I32, int32_t, TO)  \
  CHUNK_LOAD(LEDGE_U64, uint64_t, TO) \
  CHUNK_LOAD(LEDGE_I64, int64_t, TO)

void elem_load_f32(ledge_dtype d, const void *p, int64_t at, int64_t n, float *dst) {
  switch (d) {
    CHUNK_LOAD_INTEGERS(float)
    CHUNK_LOAD(LEDGE_F64, double, float)
    case LEDGE_F32: memcpy(dst, (const float *)p + at, (size_t)n * sizeof *dst); return;
    case LEDGE_F16:
    case LEDGE_BF16: dtype_to_f32(d, (const uint16_t *)p + at, dst, n); return;
    default:
      for (int64_t i = 0; i < n; i++) dst[i] = (float)dtype_load_f64(d, p, at + i);
  }
}

void elem_load_f64(ledge_dtype d, const void *p, int64_t at, int64_t n, double *dst) {
  switch (d) {
    CHUNK_LOAD_INTEGERS(double)
    CHUNK_LOAD(LEDGE_F32, float, double)
    case LEDGE_F64: memcpy(dst, (const double *)p + at, (size_t)n * sizeof *dst); return;
    default:
      for (int64_t i = 0; i < n; i++) dst[i] = dtype_load_f64(d, p, at + i);
  }
}

void elem_load_i64(ledge_dtype d, const void *p, int64_t at, int64_t n, int64_t *dst) {
  switch (d) {
    CHUNK_LOAD_INTEGERS(int64_t)
    default:
      for (int64_t i = 0; i < n; i++) dst[i] = dtype_load_i64(d, p, at + i);
  }
}

void elem_store_f32(ledge_dtype d, void *p, int64_t at, int64_t n, const float *src) {
  switch (d) {
    case LEDGE_F32: memcpy((float *)p + at, src, (size_t)n * sizeof *src); return;
    case LEDGE_F16:
    case LEDGE_BF16: dtype_from_f32(d, src, (uint16_t *)p + at, n); return;
    default:
      for (int64_t i = 0; i < n; i++) dtype_store_f64(d, p, at + i, src[i]);
  }
}

void elem_store_f64(ledge_dtype d, void *p, int64_t at, int64_t n, const double *src) {
  switch (d) {
    case LEDGE_F64: memcpy((double *)p + at, src, (size_t)n * sizeof *src); return;
    case LEDGE_F32:
      for (int64_t i = 0; i < n; i++) ((float *)p)[at + i] = (float)src[i];
      return;
    default:
      for (int64_t i = 0; i < n; i++) dtype_store_f64(d, p, at + i, src[i]);
  }
}

#define CHUNK_STORE(D, T)                                         \
  case D:                                                         \
    for (int64_t i = 0; i < n; i++) ((T *)p)[at + i] = (T)src[i]; \
    return;

void elem_store_i64(ledge_dtype d, void *p, int64_t at, int64_t n, const int64_t *src) {
  switch (d) {
    CHUNK_STORE(LEDGE_U8, uint8_t)
    CHUNK_STORE(LEDGE_I8, int8_t)
    CHUNK_STORE(LEDGE_U16, uint16_t)
    CHUNK_STORE(LEDGE_I16, int16_t)
    CHUNK_STORE(LEDGE_U32, uint32_t)
    CHUNK_STORE(LEDGE_I32, int32_t)
    CHUNK_STORE(LEDGE_U64, uint64_t)
    CHUNK_STORE(LEDGE_I64, int64_t)
    default:
      for (int64_t i = 0; i < n; i++) dtype_store_i64(d, p, at + i, src[i]);
  }
}

/* ---- maps ---- */

typedef struct map_job {
  elem_map_f32 f32;
  elem_map_f64 f64;
  const double *p;
  const tensor *x;
  tensor *y;
} map_job;

static void map_body(void *arg, int64_t begin, int64_t end, int worker) {
  const map_job *m = arg;
  const tensor *x = m->x;
  tensor *y = m->y;
  if (x->dtype == LEDGE_F32) {
    m->f32((const float *)x->data + begin, (float *)y->data + begin, end - begin, m->p);
  } else if (x->dtype == LEDGE_F64) {
    m->f64((const double *)x->data + begin, (double *)y->data + begin, end - begin, m->p);
  } else {
    float chunk[ELEM_CHUNK];
    for (int64_t n; begin < end; begin += n) {
      n = end - begin < ELEM_CHUNK ? end - begin : ELEM_CHUNK;
      elem_load_f32(x->dtype, x->data, begin, n, chunk);
      m->f32(chunk, chunk, n, m->p);
      elem_store_f32(y->dtype, y->data, begin, n, chunk);
    }
  }
}

ledge_status elem_map(op_ctx *c, elem_map_f32 f32, elem_map_f64 f64, const double *p) {
  static const double none[2];
  if (!op_wants(c, 0)) return LEDGE_OK;
  map_job m = {f32, f64, p ? p : none, op_in(c, 0), op_out(c, 0)};
  pool_run(c->pool, tensor_elements(m.x), ELEM_GRAIN, map_body, &m);
  return LEDGE_OK;
}

ledge_status elem_map_int(op_ctx *c, elem_map_i64 f, const int64_t *p) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  if (!y) return LEDGE_OK;
  int64_t chunk[ELEM_CHUNK], total = tensor_elements(x);
  for (int64_t at = 0, n; at < total; at += n) {
    n = total - at < ELEM_CHUNK ? total - at : ELEM_CHUNK;
    elem_load_i64(x->dtype, x->data, at, n, chunk);
    f(chunk, chunk, n, p);
    elem_store_i64(y->dtype, y->data, at, n, chunk);
  }
  return LEDGE_OK;
}

/* ---- broadcasting ---- */

/* The stride, in elements, of output dim d in a tensor of shape s that is aligned at the right; 0 where broadcast. */
static int64_t bcast_stride(const tensor *s, int rank, int d) {
  int at = d - (rank - s->rank);
  if (at < 0 || s->dims[at] == 1) return 0;
  return tensor_span(s, at + 1, s->rank);
}

void elem_bcast_init(elem_bcast *b, int64_t (*strides)[LEDGE_MAX_RANK], int rank, const int64_t *dims, int n,
                     const tensor *const *shapes) {
  *b = (elem_bcast){.n = n, .strides = strides};
  for (int d = 0; d < rank; d++) {
    if (dims[d] == 1) continue;
    bool merge = b->rank > 0;
    for (int k = 0; merge && k < n; k++) merge = strides[k][b->rank - 1] == bcast_stride(shapes[k], rank, d) * dims[d];
    if (!merge) {
      b->dims[b->rank++] = dims[d];
    } else {
      b->dims[b->rank - 1] *= dims[d];
    }
    for (int k = 0; k < n; k++) strides[k][b->rank - 1] = bcast_stride(shapes[k], rank, d);
  }
  if (!b->rank) {
    b->dims[b->rank++] = 1;
    for (int k = 0; k < n; k++) strides[k][0] = 0;
  }
  b->inner = b->dims[b->rank - 1];
  b->rows = 1;
  for (int d = 0; d < b->rank - 1; d++) b->rows *= b->dims[d];
}

void elem_bcast_seek(const elem_bcast *b, int64_t row, int64_t *index, int64_t *at) {
  for (int k = 0; k < b->n; k++) at[k] = 0;
  if (!b->rows) return;
  for (int d = b->rank - 2; d >= 0; d--) {
    index[d] = row % b->dims[d];
    row /= b->dims[d];
    for (int k = 0; k < b->n; k++) at[k] += index[d] * b->strides[k][d];
  }
}

void elem_bcast_next(const elem_bcast *b, int64_t *index, int64_t *at) {
  for (int d = b->rank - 2; d >= 0; d--) {
    for (int k = 0; k < b->n; k++) at[k] += b->strides[k][d];
    if (++index[d] < b->dims[d]) return;
    index[d] = 0;
    for (int k = 0; k < b->n; k++) at[k] -= b->strides[k][d] * b->dims[d];
  }
}

ledge_status elem_common_shape(op_ctx *c, int first, int *rank, int64_t *dims) {
  *rank = 0;
  for (int i = first; i < c->n_in; i++) {
    const tensor *t = op_in(c, i);
    if (!t) continue;
    int64_t so_far[LEDGE_MAX_RANK];
    int before = *rank;
    memcpy(so_far, dims, (size_t)before * sizeof *dims);
    *rank = shape_broadcast(before, so_far, t->rank, t->dims, dims);
    if (*rank >= 0) continue;
    char a[256], b[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "input %d of shape %s does not broadcast with %s", i,
                   shape_print(t->rank, t->dims, a, sizeof a), shape_print(before, so_far, b, sizeof b));
  }
  return LEDGE_OK;
}

ledge_status elem_infer_broadcast(op_ctx *c, int first, uint32_t allowed, ledge_dtype out) {
  for (int i = first; i < c->n_in; i++) {
    TRY(elem_check(c, i, allowed));
    const tensor *a = op_in(c, first), *b = op_in(c, i);
    if (a->dtype != b->dtype)
      return op_fail(c, LEDGE_ERROR_SHAPE, "inputs %d and %d have different dtypes, %s and %s: cast one of them", first,
                     i, ledge_dtype_name(a->dtype), ledge_dtype_name(b->dtype));
  }
  int rank;
  int64_t dims[LEDGE_MAX_RANK];
  TRY(elem_common_shape(c, first, &rank, dims));
  return op_shape(c, 0, out ? out : op_in(c, first)->dtype, rank, dims);
}

ledge_dtype elem_table_dtype(const elem_loop *table, ledge_dtype d) {
  if (table[d]) return d;
  return dtype_is_float(d) ? LEDGE_F32 : LEDGE_I64;
}

static void chunk_load(ledge_dtype as, const tensor *t, int64_t at, int64_t n, void *dst) {
  if (as == LEDGE_F32)
    elem_load_f32(t->dtype, t->data, at, n, dst);
  else if (as == LEDGE_F64)
    elem_load_f64(t->dtype, t->data, at, n, dst);
  else
    elem_load_i64(t->dtype, t->data, at, n, dst);
}

static void chunk_store(ledge_dtype as, tensor *t, int64_t at, int64_t n, const void *src) {
  if (as == LEDGE_F32)
    elem_store_f32(t->dtype, t->data, at, n, src);
  else if (as == LEDGE_F64)
    elem_store_f64(t->dtype, t->data, at, n, src);
  else
    elem_store_i64(t->dtype, t->data, at, n, src);
}

/* A run of n pairs at elements a_at, b_at (strides sa, sb) to y_at: by the loop at once, or chunk by chunk where dtypes
 * are to be converted. */
static void binary_run(const elem_binary *e, int64_t a_at, int64_t sa, int64_t b_at, int64_t sb, int64_t y_at,
                       int64_t n) {
  bool direct_a = e->a->dtype == e->in, direct_b = e->b->dtype == e->in, direct_y = e->y->dtype == e->out;
  const char *a = e->a->data, *b = e->b->data;
  char *y = e->y->data;
  size_t ea = dtype_bytes(e->a->dtype), eb = dtype_bytes(e->b->dtype), ey = dtype_bytes(e->y->dtype);
  if (direct_a && direct_b && direct_y) {
    e->loop(a + (size_t)a_at * ea, sa, b + (size_t)b_at * eb, sb, y + (size_t)y_at * ey, n);
    return;
  }
  int64_t ca[ELEM_CHUNK], cb[ELEM_CHUNK], cy[ELEM_CHUNK];
  if (!direct_a && !sa) chunk_load(e->in, e->a, a_at, 1, ca);
  if (!direct_b && !sb) chunk_load(e->in, e->b, b_at, 1, cb);
  for (int64_t i = 0, m; i < n; i += m) {
    m = n - i < ELEM_CHUNK ? n - i : ELEM_CHUNK;
    if (!direct_a && sa) chunk_load(e->in, e->a, a_at + i, m, ca);
    if (!direct_b && sb) chunk_load(e->in, e->b, b_at + i, m, cb);
    const void *pa = direct_a ? a + (size_t)(a_at + i * sa) * ea : (const void *)ca;
    const void *pb = direct_b ? b + (size_t)(b_at + i * sb) * eb : (const void *)cb;
    e->loop(pa, sa, pb, sb, direct_y ? y + (size_t)(y_at + i) * ey : (void *)cy, m);
    if (!direct_y) chunk_store(e->out, e->y, y_at + i, m, cy);
  }
}

typedef struct binary_job {
  const elem_binary *e;
  elem_bcast b;
} binary_job;

static void binary_rows(void *arg, int64_t begin, int64_t end, int worker) {
  const binary_job *j = arg;
  const elem_bcast *b = &j->b;
  int64_t index[LEDGE_MAX_RANK], at[2], sa = b->strides[0][b->rank - 1], sb = b->strides[1][b->rank - 1];
  elem_bcast_seek(b, begin, index, at);
  for (int64_t row = begin; row < end; row++) {
    binary_run(j->e, at[0], sa, at[1], sb, row * b->inner, b->inner);
    elem_bcast_next(b, index, at);
  }
}

static void binary_columns(void *arg, int64_t begin, int64_t end, int worker) {
  const binary_job *j = arg;
  int64_t sa = j->b.strides[0][0], sb = j->b.strides[1][0];
  binary_run(j->e, begin * sa, sa, begin * sb, sb, begin, end - begin);
}

void elem_binary_run(const elem_binary *e, const tensor *shape_b, pool *threads) {
  if (!e->y || tensor_elements(e->y) == 0) return;
  const tensor *shapes[2] = {e->a, shape_b ? shape_b : e->b};
  int64_t strides[2][LEDGE_MAX_RANK];
  binary_job j = {.e = e};
  elem_bcast_init(&j.b, strides, e->y->rank, e->y->dims, 2, shapes);
  if (j.b.rows == 1)
    pool_run(threads, j.b.inner, ELEM_GRAIN, binary_columns, &j);
  else
    pool_run(threads, j.b.rows, j.b.inner >= ELEM_GRAIN ? 1 : ELEM_GRAIN / j.b.inner, binary_rows, &j);
}
