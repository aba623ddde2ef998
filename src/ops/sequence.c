/* ops/sequence: lists of tensors: SequenceConstruct, SequenceEmpty, SequenceInsert, SequenceErase, SequenceAt,
 * SequenceLength, SplitToSequence, ConcatFromSequence. A sequence is never changed once it is made: each operator makes
 * a new one, whose items share the storage of the old one's. */
#include "ops/move_util.h"

enum {
  SPLIT_MAX = 1 << 24
}; /* the most tensors that SplitToSequence makes: each has a cost of its own, however small */

/* Input i as a sequence. */
static ledge_status sequence_in(op_ctx *c, int i, const sequence **ret) {
  if (!op_has(c, i) || c->in[i]->kind != VALUE_SEQUENCE || !c->in[i]->list)
    return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is not a sequence", i);
  *ret = c->in[i]->list;
  return LEDGE_OK;
}

/* Output 0 becomes the sequence, whose one reference it takes. */
static void sequence_out(op_ctx *c, sequence *s) {
  if (!op_wants(c, 0)) {
    sequence_unref(s);
    return;
  }
  value_deinit(c->out[0]);
  c->out[0]->kind = VALUE_SEQUENCE;
  c->out[0]->list = s;
}

static ledge_status sequence_new(op_ctx *c, int64_t count, ledge_dtype dtype, sequence **ret) {
  *ret = sequence_create(count, dtype);
  return *ret ? LEDGE_OK : error_memory(c->error, (size_t)count * sizeof(value), "a sequence");
}

/* Input i as a position in [0, n), or `otherwise` where it is left out. */
static ledge_status sequence_position(op_ctx *c, int i, int64_t n, int64_t otherwise, int64_t *ret) {
  *ret = otherwise;
  if (!op_has(c, i)) return LEDGE_OK;
  if (!op_in(c, i)) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is not a tensor", i);
  int64_t at, given;
  TRY(move_scalar(c, i, &given));
  at = given < 0 ? given + n : given;
  if (given < -n || at >= n)
    return op_fail(c, LEDGE_ERROR_DATA, "position %lld is outside of [%lld, %lld)", (long long)given, (long long)-n,
                   (long long)n);
  *ret = at;
  return LEDGE_OK;
}

static ledge_status construct_run(op_ctx *c) {
  sequence *s;
  ledge_dtype dtype = LEDGE_DTYPE_NONE;
  for (int i = 0; i < c->n_in; i++) {
    if (!op_in(c, i)) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d is left out", i);
    TRY(move_same_dtype(c, 0, i));
    dtype = op_in(c, i)->dtype;
  }
  TRY(sequence_new(c, c->n_in, dtype, &s));
  for (int i = 0; i < c->n_in; i++) {
    ledge_status status = value_keep(&s->items[i], c->in[i], c->error);
    if (status) {
      sequence_unref(s);
      return status;
    }
  }
  sequence_out(c, s);
  return LEDGE_OK;
}

static ledge_status empty_run(op_ctx *c) {
  int64_t dtype = op_int(c, "dtype", LEDGE_F32);
  sequence *s;
  if (!dtype_is_valid(dtype)) return op_fail(c, LEDGE_ERROR_FORMAT, "dtype %lld is unknown", (long long)dtype);
  TRY(sequence_new(c, 0, (ledge_dtype)dtype, &s));
  sequence_out(c, s);
  return LEDGE_OK;
}

static ledge_status insert_run(op_ctx *c) {
  const sequence *from = NULL;
  sequence *s;
  int64_t at;
  TRY(sequence_in(c, 0, &from));
  const tensor *t = op_in(c, 1);
  if (!t) return op_fail(c, LEDGE_ERROR_SHAPE, "input 1 is not a tensor");
  ledge_dtype dtype = from->dtype ? from->dtype : t->dtype;
  if (t->dtype != dtype)
    return op_fail(c, LEDGE_ERROR_SHAPE, "a tensor of dtype %s does not go into a sequence of %s",
                   ledge_dtype_name(t->dtype), ledge_dtype_name(dtype));
  /* The position counts from -n to n: as in a sequence of n + 1, but a negative one of n. */
  TRY(sequence_position(c, 2, from->count + 1, from->count, &at));
  if (op_has(c, 2) && tensor_i64(op_in(c, 2), 0) < 0) {
    if (at == 0) return op_fail(c, LEDGE_ERROR_DATA, "position is below -%lld", (long long)from->count);
    at--;
  }
  TRY(sequence_new(c, from->count + 1, dtype, &s));
  for (int64_t i = 0; i < from->count; i++) value_share(&s->items[i + (i >= at)], &from->items[i]);
  ledge_status status = value_keep(&s->items[at], c->in[1], c->error);
  if (status) {
    sequence_unref(s);
    return status;
  }
  sequence_out(c, s);
  return LEDGE_OK;
}

static ledge_status erase_run(op_ctx *c) {
  const sequence *from = NULL;
  sequence *s;
  int64_t at;
  TRY(sequence_in(c, 0, &from));
  if (!from->count) return op_fail(c, LEDGE_ERROR_DATA, "the sequence is empty");
  TRY(sequence_position(c, 1, from->count, from->count - 1, &at));
  TRY(sequence_new(c, from->count - 1, from->dtype, &s));
  for (int64_t i = 0; i < s->count; i++) value_share(&s->items[i], &from->items[i + (i >= at)]);
  sequence_out(c, s);
  return LEDGE_OK;
}

static ledge_status at_run(op_ctx *c) {
  const sequence *s = NULL;
  int64_t at;
  TRY(sequence_in(c, 0, &s));
  if (!op_in(c, 1)) return op_fail(c, LEDGE_ERROR_SHAPE, "input 1 is not a tensor");
  TRY(sequence_position(c, 1, s->count, 0, &at));
  return op_forward(c, 0, &s->items[at]);
}

static ledge_status length_run(op_ctx *c) {
  const sequence *s = NULL;
  tensor *y;
  TRY(sequence_in(c, 0, &s));
  TRY(op_make(c, 0, LEDGE_I64, 0, NULL, &y));
  if (y) *(int64_t *)y->data = s->count;
  return LEDGE_OK;
}

/* ---- SplitToSequence ---- */

/* Fills items[count] with consecutive slices of x along the axis; lengths: a tensor, or NULL where each is `chunk`. */
static ledge_status split_items(op_ctx *c, const tensor *x, int axis, const tensor *lengths, int64_t chunk, bool keep,
                                sequence *s) {
  int64_t outer = tensor_span(x, 0, axis), row = tensor_span(x, axis, x->rank),
          inner = tensor_span(x, axis + 1, x->rank);
  int64_t at = 0, dims[LEDGE_MAX_RANK];
  memcpy(dims, x->dims, sizeof dims);
  int rank = x->rank;
  if (!keep) {
    rank--;
    for (int i = axis; i < rank; i++) dims[i] = dims[i + 1];
  }
  for (int64_t i = 0; i < s->count; i++) {
    int64_t left = x->dims[axis] - at, length = lengths ? tensor_i64(lengths, i) : chunk < left ? chunk : left;
    tensor *y = &s->items[i].tensor;
    if (keep) dims[axis] = length;
    s->items[i].kind = VALUE_TENSOR;
    tensor_set_shape(y, x->dtype, rank, dims);
    TRY(tensor_alloc(y, c->error));
    int64_t part = length * inner;
    for (int64_t o = 0; part && o < outer; o++) TRY(move_run(c, y, o * part, x, o * row + at * inner, part));
    at += length;
  }
  return LEDGE_OK;
}

static ledge_status split_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *split = op_in(c, 1), *lengths = NULL;
  int axis;
  TRY(op_axis(c, op_int(c, "axis", 0), x->rank, &axis));
  int64_t n = x->dims[axis], chunk = 1, count = n;
  if (split) TRY(move_index_dtype(c, 1));
  if (split && split->rank == 0) {
    chunk = tensor_i64(split, 0);
    if (chunk < 1) return op_fail(c, LEDGE_ERROR_DATA, "split is %lld", (long long)chunk);
    count = n / chunk + (n % chunk != 0);
  } else if (split) {
    lengths = split;
    count = tensor_elements(split);
    int64_t left = n;
    for (int64_t i = 0; i < count; i++) {
      int64_t length = tensor_i64(split, i);
      if (length < 0 || length > left)
        return op_fail(c, LEDGE_ERROR_DATA, "part %lld has length %lld; %lld entries are left", (long long)i,
                       (long long)length, (long long)left);
      left -= length;
    }
    if (left)
      return op_fail(c, LEDGE_ERROR_DATA, "the parts leave %lld entries of axis %d over", (long long)left, axis);
  }
  if (count > SPLIT_MAX)
    return op_fail(c, LEDGE_ERROR_LIMIT, "a sequence of %lld tensors is above the limit of %d", (long long)count,
                   SPLIT_MAX);
  sequence *s;
  TRY(sequence_new(c, count, x->dtype, &s));
  ledge_status status = split_items(c, x, axis, lengths, chunk, split || op_int(c, "keepdims", 1) != 0, s);
  if (status) {
    sequence_unref(s);
    return status;
  }
  sequence_out(c, s);
  return LEDGE_OK;
}

/* ---- ConcatFromSequence ---- */

/* dims[] of the result and how many entries of the axis each item gives (1 where the axis is new). */
static ledge_status concat_plan(op_ctx *c, const sequence *s, int *axis, bool *fresh, int *rank, int64_t *dims) {
  if (!s->count) return op_fail(c, LEDGE_ERROR_DATA, "the sequence is empty");
  if (s->items[0].kind != VALUE_TENSOR) return op_fail(c, LEDGE_ERROR_SHAPE, "the sequence does not hold tensors");
  const tensor *first = &s->items[0].tensor;
  *fresh = op_int(c, "new_axis", 0) != 0;
  *rank = first->rank + *fresh;
  if (!op_attr_given(c, "axis")) return op_fail(c, LEDGE_ERROR_FORMAT, "the attribute axis is missing");
  TRY(op_axis(c, op_int(c, "axis", 0), *rank, axis));
  int64_t along = 0;
  for (int64_t i = 0; i < s->count; i++) {
    const tensor *x = &s->items[i].tensor;
    bool fits = s->items[i].kind == VALUE_TENSOR && x->rank == first->rank && x->dtype == first->dtype;
    for (int k = 0; fits && k < x->rank; k++) fits = (k == *axis && !*fresh) || x->dims[k] == first->dims[k];
    if (!fits || __builtin_add_overflow(along, *fresh ? 1 : x->dims[*axis], &along)) {
      char a[256], b[256];
      return op_fail(c, LEDGE_ERROR_SHAPE, "item %lld of shape %s does not fit to %s along axis %d", (long long)i,
                     shape_print(x->rank, x->dims, a, sizeof a), shape_print(first->rank, first->dims, b, sizeof b),
                     *axis);
    }
  }
  for (int i = 0, k = 0; i < *rank && i < LEDGE_MAX_RANK; i++)
    dims[i] = i == *axis ? (k += !*fresh, along) : first->dims[k++];
  return LEDGE_OK;
}

static ledge_status concat_run(op_ctx *c) {
  const sequence *s = NULL;
  int axis = 0, rank = 0;
  bool fresh;
  int64_t dims[LEDGE_MAX_RANK];
  tensor *y;
  TRY(sequence_in(c, 0, &s));
  TRY(concat_plan(c, s, &axis, &fresh, &rank, dims));
  TRY(op_make(c, 0, s->items[0].tensor.dtype, rank, dims, &y));
  if (!y || !tensor_elements(y)) return LEDGE_OK;
  int64_t outer = tensor_span(y, 0, axis), row = tensor_span(y, axis, y->rank), at = 0;
  for (int64_t i = 0; i < s->count; i++) {
    const tensor *x = &s->items[i].tensor;
    int64_t part = tensor_span(x, axis, x->rank);
    for (int64_t o = 0; o < outer; o++) TRY(move_run(c, y, o * row + at, x, o * part, part));
    at += part;
  }
  return LEDGE_OK;
}

const op_def ops_sequence[] = {
    {"", "SequenceConstruct", 11, 0, 1, -1, 1, 1, OP_DYNAMIC, NULL, construct_run},
    {"", "SequenceEmpty", 11, 0, 0, 0, 1, 1, OP_DYNAMIC, NULL, empty_run},
    {"", "SequenceInsert", 11, 0, 2, 3, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, insert_run},
    {"", "SequenceErase", 11, 0, 1, 2, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, erase_run},
    {"", "SequenceAt", 11, 0, 2, 2, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, at_run},
    {"", "SequenceLength", 11, 0, 1, 1, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, length_run},
    {"", "SplitToSequence", 11, 0, 1, 2, 1, 1, OP_DYNAMIC, NULL, split_run},
    {"", "ConcatFromSequence", 11, 0, 1, 1, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, concat_run},
    {0}};
