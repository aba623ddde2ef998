/* ops/select: operators that pick some of the elements: TopK, Unique, NonZero, Compress. */
#include "ops/move_util.h"
#include "ops/order_util.h"

/* ---- TopK: k is an attribute before opset 10 ---- */

static ledge_status topk_infer(op_ctx *c) {
  int axis;
  int64_t k, dims[LEDGE_MAX_RANK];
  OP_NEED(c, 1);
  const tensor *x = op_in(c, 0);
  dtype_kind kind = dtype_kind_of(x->dtype);
  if (kind == DTYPE_KIND_STRING || kind == DTYPE_KIND_COMPLEX) return op_fail_dtype(c, 0);
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  if (c->node->version >= 10)
    TRY(move_scalar(c, 1, &k));
  else
    k = op_int(c, "k", -1);
  if (k < 0 || k > x->dims[axis])
    return op_fail(c, LEDGE_ERROR_DATA, "k is %lld; axis %d has %lld entries", (long long)k, axis,
                   (long long)x->dims[axis]);
  memcpy(dims, x->dims, sizeof dims);
  dims[axis] = k;
  TRY(op_shape(c, 0, x->dtype, x->rank, dims));
  return op_shape(c, 1, LEDGE_I64, x->rank, dims);
}

enum { TOPK_KEYS = 256 }; /* made at once; also the largest k whose heap lies on the stack */

static ledge_status topk_rows(op_ctx *c, int axis, int64_t k, order_item *items) {
  const tensor *x = op_in(c, 0);
  tensor *values = op_out(c, 0), *indices = op_out(c, 1);
  int64_t outer = tensor_span(x, 0, axis), inner = tensor_span(x, axis + 1, x->rank), n = x->dims[axis];
  uint64_t keys[TOPK_KEYS], flip = c->node->version < 11 || op_int(c, "largest", 1) != 0 ? UINT64_MAX : 0;
  for (int64_t row = 0; row < outer * inner; row++) {
    int64_t from = row / inner * n * inner + row % inner, to = row / inner * k * inner + row % inner;
    order_first first = {.items = items, .k = k};
    for (int64_t at = 0; at < n; at += TOPK_KEYS) {
      int64_t some = n - at < TOPK_KEYS ? n - at : TOPK_KEYS;
      order_keys(x->dtype, x->data, from + at * inner, inner, some, keys);
      for (int64_t i = 0; i < some; i++) order_add(&first, keys[i] ^ flip, at + i);
    }
    order_finish(&first);
    for (int64_t i = 0; i < k; i++) {
      if (indices) ((int64_t *)indices->data)[to + i * inner] = items[i].index;
      int64_t source = from + items[i].index * inner;
      if (values) TRY(move_pick(c, values, to + i * inner, x, &source, 1));
    }
  }
  return LEDGE_OK;
}

static ledge_status topk_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *y = op_out(c, 0) ? op_out(c, 0) : op_out(c, 1);
  int axis;
  TRY(op_axis(c, op_int(c, "axis", -1), x->rank, &axis));
  if (!y || !tensor_elements(y)) return LEDGE_OK;
  order_item few[TOPK_KEYS];
  int64_t k = y->dims[axis];
  order_item *items = k <= TOPK_KEYS ? few : op_scratch(c, (size_t)k, sizeof *items);
  if (!items) return LEDGE_ERROR_MEMORY;
  ledge_status status = topk_rows(c, axis, k, items);
  if (items != few) op_scratch_free(items);
  return status;
}

/* ---- Unique ---- */

enum { UNIQUE_EMPTY_MAX = 1 << 20 }; /* the most slices without elements: they take no memory, but each has an index */

/* The input as [outer, n, inner]: item i is the slice [:, i, :]; without an axis [1, elements, 1]. */
typedef struct unique_job {
  const tensor *x;
  int64_t outer, n, inner;
  int parts;      /* keys an element: 2 of complex numbers, 0 of strings */
  uint64_t *keys; /* of every element */
  int64_t *order, *scratch, *group, *first, *count;
  int64_t n_groups;
} unique_job;

static int unique_compare(const void *context, int64_t a, int64_t b) {
  const unique_job *j = context;
  for (int64_t o = 0; o < j->outer; o++) {
    int64_t ia = (o * j->n + a) * j->inner, ib = (o * j->n + b) * j->inner;
    if (!j->parts) {
      const ledge_string *s = j->x->data;
      for (int64_t k = 0; k < j->inner; k++) {
        const ledge_string *p = &s[ia + k], *q = &s[ib + k];
        size_t shared = p->size < q->size ? p->size : q->size;
        int order = shared ? memcmp(p->data, q->data, shared) : 0;
        if (order || p->size != q->size) return order ? order : p->size < q->size ? -1 : 1;
      }
    } else {
      const uint64_t *p = j->keys + ia * j->parts, *q = j->keys + ib * j->parts;
      for (int64_t k = 0; k < j->inner * j->parts; k++)
        if (p[k] != q[k]) return p[k] < q[k] ? -1 : 1;
    }
  }
  return 0;
}

static ledge_status unique_scratch(op_ctx *c, unique_job *j) {
  int64_t **arrays[] = {&j->order, &j->scratch, &j->group, &j->first, &j->count};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (!(*arrays[i] = op_scratch(c, (size_t)j->n, sizeof(int64_t)))) return LEDGE_ERROR_MEMORY;
  int64_t elements = tensor_elements(j->x);
  if (!j->parts) return LEDGE_OK;
  j->keys = op_scratch(c, (size_t)elements, (size_t)j->parts * sizeof *j->keys);
  if (!j->keys) return LEDGE_ERROR_MEMORY;
  ledge_dtype d = j->x->dtype == LEDGE_C64 ? LEDGE_F32 : j->x->dtype == LEDGE_C128 ? LEDGE_F64 : j->x->dtype;
  order_keys(d, j->x->data, 0, 1, elements * j->parts, j->keys);
  return LEDGE_OK;
}

/* Sorts the items, numbers the groups of equal ones and counts them; first[] is the lowest item of each. */
static void unique_groups(unique_job *j, bool sorted) {
  for (int64_t i = 0; i < j->n; i++) j->order[i] = i;
  order_sort(j->order, j->scratch, j->n, unique_compare, j);
  int64_t groups = 0;
  for (int64_t i = 0; i < j->n; i++) {
    int64_t item = j->order[i];
    if (i == 0 || unique_compare(j, j->order[i - 1], item)) j->first[groups++] = item;
    j->group[item] = groups - 1;
  }
  j->n_groups = groups;
  if (!sorted) { /* renumber in the order of the first occurrence; order[] maps old numbers to new ones */
    for (int64_t i = 0; i < groups; i++) j->order[i] = -1;
    int64_t next = 0;
    for (int64_t i = 0; i < j->n; i++) {
      int64_t *number = &j->order[j->group[i]];
      if (*number < 0) j->first[next] = i, *number = next++;
      j->group[i] = *number;
    }
  }
  for (int64_t i = 0; i < j->n; i++) j->count[j->group[i]]++;
}

static ledge_status unique_output(op_ctx *c, const unique_job *j, int axis) {
  const tensor *x = j->x;
  int64_t dims[LEDGE_MAX_RANK] = {j->n_groups}, groups = j->n_groups;
  tensor *y, *t;
  if (axis >= 0) {
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = groups;
  }
  TRY(op_make(c, 0, x->dtype, axis < 0 ? 1 : x->rank, dims, &y));
  for (int64_t o = 0; y && o < j->outer; o++)
    for (int64_t g = 0; g < groups; g++)
      TRY(move_run(c, y, (o * groups + g) * j->inner, x, (o * j->n + j->first[g]) * j->inner, j->inner));
  const int64_t *lists[] = {j->first, j->group, j->count};
  for (int i = 0; i < 3; i++) {
    int64_t n = i == 1 ? j->n : groups;
    TRY(op_make(c, i + 1, LEDGE_I64, 1, &n, &t));
    if (t && n) memcpy(t->data, lists[i], (size_t)n * sizeof(int64_t));
  }
  return LEDGE_OK;
}

static ledge_status unique_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int axis = -1;
  unique_job j = {.x = x, .outer = 1, .n = tensor_elements(x), .inner = 1, .parts = 1};
  if (op_attr_given(c, "axis")) {
    TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
    j.outer = tensor_span(x, 0, axis);
    j.n = x->dims[axis];
    j.inner = tensor_span(x, axis + 1, x->rank);
  }
  if (!tensor_elements(x)) {
    j.outer = 0; /* slices without elements are all equal */
    if (j.n > UNIQUE_EMPTY_MAX) return op_fail(c, LEDGE_ERROR_LIMIT, "the input is %lld empty slices", (long long)j.n);
  }
  dtype_kind kind = dtype_kind_of(x->dtype);
  if (kind == DTYPE_KIND_STRING) j.parts = 0;
  if (kind == DTYPE_KIND_COMPLEX) j.parts = 2;
  ledge_status status = unique_scratch(c, &j);
  if (!status) {
    unique_groups(&j, op_int(c, "sorted", 1) != 0);
    status = unique_output(c, &j, axis);
  }
  int64_t *arrays[] = {j.order, j.scratch, j.group, j.first, j.count};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) op_scratch_free(arrays[i]);
  op_scratch_free(j.keys);
  return status;
}

/* ---- NonZero ---- */

static bool is_nonzero(const tensor *t, int64_t i) {
  switch (t->dtype) {
    case LEDGE_F32: return ((const float *)t->data)[i] != 0;
    case LEDGE_STRING: return ((const ledge_string *)t->data)[i].size != 0;
    case LEDGE_C64: return ((const float *)t->data)[2 * i] != 0 || ((const float *)t->data)[2 * i + 1] != 0;
    case LEDGE_C128: return ((const double *)t->data)[2 * i] != 0 || ((const double *)t->data)[2 * i + 1] != 0;
    default: return dtype_is_float(t->dtype) ? tensor_f64(t, i) != 0 : tensor_i64(t, i) != 0;
  }
}

/* Output [rank, number found]. A scalar has rank 0, and so no coordinates to give. */
static ledge_status nonzero_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y;
  int64_t n = tensor_elements(x), found = 0, at[LEDGE_MAX_RANK] = {0};
  for (int64_t i = 0; i < n; i++) found += is_nonzero(x, i);
  TRY(op_make(c, 0, LEDGE_I64, 2, (int64_t[]){x->rank, found}, &y));
  if (!y || !found) return LEDGE_OK;
  int64_t *out = y->data;
  for (int64_t i = 0; i < n; i++) {
    if (is_nonzero(x, i)) {
      for (int k = 0; k < x->rank; k++) out[k * found] = at[k];
      out++;
    }
    for (int k = x->rank - 1; k >= 0 && ++at[k] == x->dims[k]; k--) at[k] = 0;
  }
  return LEDGE_OK;
}

/* ---- Compress ---- */

/* *ret_axis is -1 where the input is taken flat; *n counts what is kept. */
static ledge_status compress_plan(op_ctx *c, int *ret_axis, int64_t *n) {
  const tensor *x = op_in(c, 0), *condition = op_in(c, 1);
  int64_t limit = tensor_elements(x), kept = 0;
  *ret_axis = -1;
  if (condition->dtype != LEDGE_BOOL) return op_fail_dtype(c, 1);
  if (op_attr_given(c, "axis")) {
    TRY(op_axis(c, op_int(c, "axis", 0), x->rank, ret_axis));
    limit = x->dims[*ret_axis];
  }
  const uint8_t *yes = condition->data;
  int64_t given = tensor_elements(condition);
  for (int64_t i = 0; i < given; i++) {
    if (!yes[i]) continue;
    if (i >= limit)
      return op_fail(c, LEDGE_ERROR_DATA, "the condition asks for entry %lld of %lld", (long long)i, (long long)limit);
    kept++;
  }
  *n = kept;
  return LEDGE_OK;
}

static ledge_status compress_infer(op_ctx *c) {
  int axis;
  int64_t n, dims[LEDGE_MAX_RANK];
  OP_NEED(c, 1);
  const tensor *x = op_in(c, 0);
  TRY(compress_plan(c, &axis, &n));
  if (axis < 0) return op_shape(c, 0, x->dtype, 1, &n);
  memcpy(dims, x->dims, sizeof dims);
  dims[axis] = n;
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

static ledge_status compress_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *condition = op_in(c, 1);
  tensor *y = op_out(c, 0);
  int axis;
  int64_t n;
  TRY(compress_plan(c, &axis, &n));
  if (y->dims[axis < 0 ? 0 : axis] != n)
    return op_fail(c, LEDGE_ERROR_DATA, "%lld entries are kept where %lld were planned", (long long)n,
                   (long long)y->dims[axis < 0 ? 0 : axis]);
  int64_t outer = axis < 0 ? 1 : tensor_span(x, 0, axis), inner = axis < 0 ? 1 : tensor_span(x, axis + 1, x->rank);
  int64_t row = axis < 0 ? tensor_elements(x) : x->dims[axis], given = tensor_elements(condition), to = 0;
  const uint8_t *yes = condition->data;
  if (!tensor_elements(y)) return LEDGE_OK;
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t i = 0; i < given; i++) {
      if (!yes[i]) continue;
      TRY(move_run(c, y, to, x, (o * row + i) * inner, inner));
      to += inner;
    }
  }
  return LEDGE_OK;
}

const op_def ops_select[] = {{"", "TopK", 1, 9, 1, 1, 1, 2, 0, topk_infer, topk_run},
                             {"", "TopK", 10, 0, 2, 2, 1, 2, 0, topk_infer, topk_run},
                             {"", "Unique", 11, 0, 1, 1, 1, 4, OP_DYNAMIC, NULL, unique_run},
                             {"", "NonZero", 9, 0, 1, 1, 1, 1, OP_DYNAMIC, NULL, nonzero_run},
                             {"", "Compress", 9, 0, 2, 2, 1, 1, 0, compress_infer, compress_run},
                             {0}};
