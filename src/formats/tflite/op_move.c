/* formats/tflite/op_move: operators that move elements: joining, cutting, turning, looking up, resizing. */
#include "formats/tflite/operators.h"

/* ---- joining and cutting ---- */

void tfl_concatenation(tfl_op *o) {
  const tfl_tensor *y = tfl_tensor_out(o, 0);
  int64_t axis = tfl_i32(o, 0, 0);
  value_id *in;
  if (!o->status) o->status = tfl_alloc(o->in, (size_t)o->n_in + 1, sizeof *in, "operands", &in);
  for (int i = 0; i < o->n_in && !o->status; i++) {
    const tfl_tensor *x = tfl_tensor_in(o, i);
    in[i] = tfl_input(o, i);
    if (!tfl_is_quantised(x) || !tfl_is_quantised(y) || tfl_same_quant(x, y)) continue;
    in[i] = tfl_quantise(o, tfl_dequantise(o, in[i], x), y);
  }
  if (o->status) return;
  value_id v = tfl_node_n(o, "", "Concat", ATTRS(AI("axis", axis)), in, o->n_in);
  int act = tfl_i8(o, 1, 0);
  if (act && tfl_is_quantised(y)) {
    tfl_refuse(o, "an activation of joined integers, which ledge does not support");
    return;
  }
  tfl_give(o, 0, tfl_activate(o, v, act, y->dtype));
}

/* [rank, 2] pairs of before and after, as ONNX's list of all befores, then all afters. */
static value_id pads_of(tfl_op *o, int i) {
  int64_t pairs[2 * LEDGE_MAX_RANK], list[2 * LEDGE_MAX_RANK];
  int n;
  if (tfl_const_ints(o, i, pairs, 2 * LEDGE_MAX_RANK, &n)) {
    for (int k = 0; k < n / 2; k++) list[k] = pairs[2 * k], list[n / 2 + k] = pairs[2 * k + 1];
    return tfl_ints(o, list, n / 2 * 2);
  }
  static const int turned[] = {1, 0};
  return tfl_reshape(o, tfl_permute(o, tfl_i64(o, i), turned, 2), (int64_t[]){-1}, 1);
}

/* PAD and PADV2 */
void tfl_pad(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  value_id v = tfl_input(o, 0), pads = pads_of(o, 1), with = VALUE_ABSENT;
  if (tfl_has_input(o, 2))
    with = tfl_input(o, 2);
  else if (tfl_is_quantised(x) && tfl_zero(x))
    with = tfl_scalar(o, x->dtype, (double)tfl_zero(x));
  tfl_give(o, 0, tfl_node(o, "Pad", NULL, v, pads, with));
}

void tfl_mirror_pad(tfl_op *o) {
  bool symmetric = tfl_i8(o, 0, 0) == 1;
  value_id v = tfl_input(o, 0), pads = pads_of(o, 1);
  if (symmetric) /* the edge itself is mirrored too, which ONNX cannot say */
    tfl_give(o, 0, tfl_own(o, "MirrorPad", NULL, v, pads));
  else
    tfl_give(o, 0, tfl_node(o, "Pad", ATTRS(AS("mode", "reflect")), v, pads));
}

void tfl_pack(tfl_op *o) {
  int64_t axis = tfl_i32(o, 1, 0);
  value_id *in, axes = tfl_ints(o, &axis, 1);
  if (!o->status) o->status = tfl_alloc(o->in, (size_t)o->n_in + 1, sizeof *in, "operands", &in);
  for (int i = 0; i < o->n_in && !o->status; i++) in[i] = tfl_node(o, "Unsqueeze", NULL, tfl_input(o, i), axes);
  if (!o->status) tfl_give(o, 0, tfl_node_n(o, "", "Concat", ATTRS(AI("axis", axis)), in, o->n_in));
}

/* Into n_out equal parts along an axis. */
static value_id *split(tfl_op *o, int at, int64_t axis, value_id sizes) {
  value_id *out;
  if (!o->status) o->status = tfl_alloc(o->in, (size_t)o->n_out + 1, sizeof *out, "operands", &out);
  if (o->status) return NULL;
  value_id in[] = {tfl_input(o, at), sizes};
  attr list[3] = {AI("axis", axis)};
  if (sizes == VALUE_ABSENT) list[1] = (attr)AI("num_outputs", o->n_out);
  tfl_nodes(o, "", "Split", list, in, 2, out, o->n_out);
  return out;
}

void tfl_unpack(tfl_op *o) {
  int64_t axis = tfl_i32(o, 1, 0);
  value_id axes = tfl_ints(o, &axis, 1), *parts = split(o, 0, axis, VALUE_ABSENT);
  for (int i = 0; parts && i < o->n_out; i++) tfl_give(o, i, tfl_node(o, "Squeeze", NULL, parts[i], axes));
}

void tfl_split(tfl_op *o) {
  int64_t axis;
  if (!tfl_const_int(o, 0, &axis)) {
    tfl_refuse(o, "its axis is computed while it runs, which ledge does not support");
    return;
  }
  value_id *parts = split(o, 1, axis, VALUE_ABSENT);
  for (int i = 0; parts && i < o->n_out; i++) tfl_give(o, i, parts[i]);
}

/* One size may be -1: what is left. */
void tfl_split_v(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  const tensor *sizes = tfl_const(o, 1);
  int64_t axis, *list, open = -1, sum = 0;
  if (!tfl_const_int(o, 2, &axis) || !sizes || !dtype_is_integer(sizes->dtype) || tensor_elements(sizes) != o->n_out) {
    tfl_refuse(o, "its axis or sizes are computed while it runs, which ledge does not support");
    return;
  }
  o->status = tfl_alloc(o->in, (size_t)o->n_out + 1, sizeof *list, "sizes", &list);
  for (int i = 0; i < o->n_out && !o->status; i++) {
    list[i] = tensor_i64(sizes, i);
    if (list[i] < -1 || (list[i] < 0 && open >= 0) || list[i] > INT32_MAX)
      tfl_bad(o, "its size %d is %lld", i, (long long)list[i]);
    if (list[i] < 0)
      open = i;
    else
      sum += list[i];
  }
  int64_t at = axis < 0 ? axis + x->rank : axis;
  if (open >= 0) {
    if (at < 0 || at >= x->rank || x->dims[at] < sum) tfl_bad(o, "its sizes do not fit dim %lld", (long long)axis);
    if (!o->status) list[open] = x->dims[at] - sum;
  }
  if (o->status) return;
  value_id *parts = split(o, 0, axis, tfl_ints(o, list, o->n_out));
  for (int i = 0; parts && i < o->n_out; i++) tfl_give(o, i, parts[i]);
}

void tfl_slice(tfl_op *o) {
  int64_t begin[LEDGE_MAX_RANK], size[LEDGE_MAX_RANK], end[LEDGE_MAX_RANK];
  int n, n_size;
  value_id v = tfl_input(o, 0);
  if (tfl_const_ints(o, 1, begin, LEDGE_MAX_RANK, &n) && tfl_const_ints(o, 2, size, LEDGE_MAX_RANK, &n_size)) {
    if (n != n_size) tfl_bad(o, "it has %d beginnings and %d sizes", n, n_size);
    for (int i = 0; i < n && !o->status; i++) {
      if (begin[i] < 0 || begin[i] > INT32_MAX || size[i] < -1 || size[i] > INT32_MAX)
        tfl_bad(o, "it begins at %lld and has %lld entries along dim %d", (long long)begin[i], (long long)size[i], i);
      end[i] = size[i] < 0 ? INT64_MAX : begin[i] + size[i];
    }
    tfl_give(o, 0, tfl_node(o, "Slice", NULL, v, tfl_ints(o, begin, n), tfl_ints(o, end, n)));
    return;
  }
  value_id from = tfl_i64(o, 1), sizes = tfl_i64(o, 2);
  value_id open = tfl_node(o, "Less", NULL, sizes, tfl_int(o, 0));
  value_id to = tfl_node(o, "Where", NULL, open, tfl_int(o, INT64_MAX), tfl_node(o, "Add", NULL, from, sizes));
  tfl_give(o, 0, tfl_node(o, "Slice", NULL, v, from, to));
}

/* The masks of STRIDED_SLICE: bit i is about entry i of the lists. */
typedef struct strided {
  int64_t begin[LEDGE_MAX_RANK], end[LEDGE_MAX_RANK], step[LEDGE_MAX_RANK], axes[LEDGE_MAX_RANK];
  int64_t drop[LEDGE_MAX_RANK], add[LEDGE_MAX_RANK];
  int n, n_drop, n_add; /* n slices; dims to squeeze out of the result and to put in */
} strided;

static void read_strided(tfl_op *o, strided *s) {
  int64_t begin[LEDGE_MAX_RANK], end[LEDGE_MAX_RANK], step[LEDGE_MAX_RANK];
  int n, n_end, n_step, rank = tfl_tensor_in(o, 0)->rank, dim = 0, out = 0, new_axes = 0;
  unsigned masks[5];
  *s = (strided){0};
  for (int i = 0; i < 5; i++) masks[i] = (unsigned)tfl_i32(o, i, 0);
  unsigned ellipsis = masks[2], new_axis = masks[3] & ~ellipsis, shrink = masks[4];
  if (!tfl_const_ints(o, 1, begin, LEDGE_MAX_RANK, &n) || !tfl_const_ints(o, 2, end, LEDGE_MAX_RANK, &n_end) ||
      !tfl_const_ints(o, 3, step, LEDGE_MAX_RANK, &n_step)) {
    tfl_refuse(o, "its bounds are computed while it runs, which ledge does not support");
    return;
  }
  if (n != n_end || n != n_step) tfl_bad(o, "it has %d beginnings, %d ends and %d steps", n, n_end, n_step);
  bool offset = tfl_i8(o, 5, 0) != 0; /* ends count from the beginnings */
  for (int i = 0; i < n; i++) new_axes += (new_axis >> i & 1) != 0;
  for (int i = 0; i < n && !o->status; i++) {
    unsigned bit = 1u << i;
    if (ellipsis & bit) {
      int skip = rank - (n - 1 - new_axes);
      if (skip < 0) tfl_bad(o, "it slices more dims than its input has");
      dim += skip, out += skip;
      continue;
    }
    if (new_axis & bit) {
      s->add[s->n_add++] = out++;
      continue;
    }
    if (dim >= rank || !step[i]) {
      tfl_bad(o, dim >= rank ? "it slices more dims than its input has" : "it has a step of 0");
      return;
    }
    int at = s->n++;
    s->axes[at] = dim++;
    s->step[at] = step[i];
    if (shrink & bit) { /* one entry, whatever the end and the step are */
      s->begin[at] = begin[i], s->step[at] = 1;
      s->end[at] = begin[i] == -1 ? INT64_MAX : begin[i] + 1;
      s->drop[s->n_drop++] = s->axes[at];
      continue;
    }
    s->begin[at] = masks[0] & bit ? (step[i] > 0 ? 0 : INT64_MAX) : begin[i];
    s->end[at] = masks[1] & bit ? (step[i] > 0 ? INT64_MAX : INT64_MIN) : offset ? begin[i] + end[i] : end[i];
    out++;
  }
}

void tfl_strided_slice(tfl_op *o) {
  strided s;
  read_strided(o, &s);
  value_id v = tfl_input(o, 0);
  if (o->status) return;
  if (s.n)
    v = tfl_node(o, "Slice", NULL, v, tfl_ints(o, s.begin, s.n), tfl_ints(o, s.end, s.n), tfl_ints(o, s.axes, s.n),
                 tfl_ints(o, s.step, s.n));
  if (s.n_drop) v = tfl_node(o, "Squeeze", NULL, v, tfl_ints(o, s.drop, s.n_drop));
  if (s.n_add) v = tfl_node(o, "Unsqueeze", NULL, v, tfl_ints(o, s.add, s.n_add));
  tfl_give(o, 0, s.n + s.n_add ? v : tfl_node(o, "Identity", NULL, v));
}

/* ---- looking up ---- */

void tfl_gather(tfl_op *o) {
  int64_t axis = tfl_i32(o, 0, 0), batch = tfl_i32(o, 1, 0);
  const tfl_tensor *x = tfl_tensor_in(o, 0), *indices = tfl_tensor_in(o, 1);
  if (axis < 0) axis += x->rank;
  if (batch < 0) batch += indices->rank;
  if (!batch) {
    tfl_give(o, 0, tfl_node(o, "Gather", ATTRS(AI("axis", axis)), tfl_input(o, 0), tfl_i64(o, 1)));
    return;
  }
  if (axis < batch || axis >= x->rank || batch > indices->rank || batch < 0) {
    tfl_bad(o, "its axis is %lld with %lld batch dims", (long long)axis, (long long)batch);
    return;
  }
  int perm[LEDGE_MAX_RANK], n = 0; /* the axis right behind the batch, then back to its place behind the others */
  for (int i = 0; i < x->rank; i++)
    if (i != axis) perm[n++] = i;
  for (int i = n; i > batch; i--) perm[i] = perm[i - 1];
  perm[batch] = (int)axis;
  int64_t last = -1;
  value_id v = tfl_input(o, 0), at = tfl_node(o, "Unsqueeze", NULL, tfl_i64(o, 1), tfl_ints(o, &last, 1));
  if (axis != batch) v = tfl_permute(o, v, perm, x->rank);
  v = tfl_node(o, "GatherND", ATTRS(AI("batch_dims", batch)), v, at);
  if (axis != batch) { /* [batch, indices.., others.., after..] -> [batch, others.., indices.., after..] */
    int own = indices->rank - (int)batch, others = (int)(axis - batch), rank = x->rank - 1 + own;
    if (rank > LEDGE_MAX_RANK) {
      tfl_bad(o, "its output has %d dims", rank);
      return;
    }
    int back[LEDGE_MAX_RANK], k = 0;
    for (int i = 0; i < batch; i++) back[k++] = i;
    for (int i = 0; i < others; i++) back[k++] = (int)batch + own + i;
    for (int i = 0; i < own; i++) back[k++] = (int)batch + i;
    while (k < rank) back[k] = k, k++;
    v = tfl_permute(o, v, back, rank);
  }
  tfl_give(o, 0, v);
}

void tfl_gather_nd(tfl_op *o) { tfl_give(o, 0, tfl_node(o, "GatherND", NULL, tfl_input(o, 0), tfl_i64(o, 1))); }

/* indices, updates, shape: what meets is added */
void tfl_scatter_nd(tfl_op *o) {
  value_id zeros = tfl_node(o, "Expand", NULL, tfl_scalar(o, tfl_tensor_in(o, 1)->dtype, 0), tfl_i64(o, 2));
  tfl_give(o, 0, tfl_node(o, "ScatterND", ATTRS(AS("reduction", "add")), zeros, tfl_i64(o, 0), tfl_input(o, 1)));
}

/* ids, table */
void tfl_embedding_lookup(tfl_op *o) {
  const tfl_tensor *table = tfl_tensor_in(o, 1), *y = tfl_tensor_out(o, 0);
  value_id v = tfl_node(o, "Gather", ATTRS(AI("axis", 0)), tfl_input(o, 1), tfl_i64(o, 0));
  if (tfl_is_quantised(table) && !tfl_is_quantised(y) && table->quant.n == 1)
    v = tfl_dequantise(o, v, table);
  else if (tfl_is_quantised(table) && !tfl_is_quantised(y))
    v = tfl_node(o, "Gather", ATTRS(AI("axis", 0)), tfl_dequantise(o, tfl_input(o, 1), table), tfl_i64(o, 0));
  tfl_give(o, 0, v);
}

/* SELECT's condition of one dim chooses whole entries of the first dim; SELECT_V2 broadcasts. */
void tfl_select(tfl_op *o) {
  const tfl_tensor *c = tfl_tensor_in(o, 0), *x = tfl_tensor_in(o, 1);
  value_id when = tfl_input(o, 0);
  if (o->row->builtin == 64 && c->rank == 1 && x->rank > 1) {
    int64_t dims[LEDGE_MAX_RANK] = {-1};
    for (int i = 1; i < x->rank; i++) dims[i] = 1;
    when = tfl_reshape(o, when, dims, x->rank);
  }
  tfl_give(o, 0, tfl_node(o, "Where", NULL, when, tfl_input(o, 1), tfl_input(o, 2)));
}

void tfl_where(tfl_op *o) {
  static const int turned[] = {1, 0};
  tfl_give(o, 0, tfl_permute(o, tfl_node(o, "NonZero", NULL, tfl_input(o, 0)), turned, 2));
}

void tfl_one_hot(tfl_op *o) {
  value_id depth = tfl_i64(o, 1);
  int64_t zero = 0;
  value_id axes = tfl_ints(o, &zero, 1);
  value_id off = tfl_node(o, "Reshape", NULL, tfl_input(o, 3), tfl_ints(o, (int64_t[]){1}, 1)),
           on = tfl_node(o, "Reshape", NULL, tfl_input(o, 2), tfl_ints(o, (int64_t[]){1}, 1));
  (void)axes;
  value_id both = tfl_node(o, "Concat", ATTRS(AI("axis", 0)), off, on);
  /* An index outside is all off; ONNX counts negative ones from the end. */
  value_id at = tfl_i64(o, 0);
  value_id below = tfl_node(o, "Less", NULL, at, tfl_int(o, 0));
  at = tfl_node(o, "Where", NULL, below, tfl_int(o, INT32_MAX), at);
  tfl_give(o, 0, tfl_node(o, "OneHot", ATTRS(AI("axis", tfl_i32(o, 0, 0))), at, depth, both));
}

void tfl_topk(tfl_op *o) {
  value_id out[2], in[] = {tfl_input(o, 0), tfl_reshape(o, tfl_i64(o, 1), (int64_t[]){1}, 1)};
  tfl_nodes(o, "", "TopK", ATTRS(AI("axis", -1)), in, 2, out, 2);
  tfl_give(o, 0, out[0]);
  ledge_dtype to = tfl_tensor_out(o, 1)->dtype;
  if (o->n_out > 1) tfl_give(o, 1, to == LEDGE_I64 ? out[1] : tfl_cast(o, out[1], to));
}

/* operand, update, start indices: the update stays within the operand */
void tfl_dynamic_update_slice(tfl_op *o) {
  tfl_give(o, 0, tfl_own(o, "DynamicUpdateSlice", NULL, tfl_input(o, 0), tfl_input(o, 1), tfl_i64(o, 2)));
}

/* ---- turning and repeating ---- */

void tfl_tile(tfl_op *o) { tfl_give(o, 0, tfl_node(o, "Tile", NULL, tfl_input(o, 0), tfl_i64(o, 1))); }

void tfl_transpose(tfl_op *o) {
  int64_t list[LEDGE_MAX_RANK];
  int n;
  if (!tfl_const_ints(o, 1, list, LEDGE_MAX_RANK, &n)) {
    tfl_refuse(o, "the order of its dims is computed while it runs, which ledge does not support");
    return;
  }
  for (int i = 0; i < n; i++)
    if (list[i] < 0) list[i] += n;
  tfl_give(o, 0, tfl_node(o, "Transpose", ATTRS(AIS("perm", list, n)), tfl_input(o, 0)));
}

void tfl_reverse(tfl_op *o) {
  int64_t axes[LEDGE_MAX_RANK], begin[LEDGE_MAX_RANK], end[LEDGE_MAX_RANK], step[LEDGE_MAX_RANK];
  int n;
  if (!tfl_const_ints(o, 1, axes, LEDGE_MAX_RANK, &n)) {
    tfl_refuse(o, "its axes are computed while it runs, which ledge does not support");
    return;
  }
  for (int i = 0; i < n; i++) begin[i] = INT64_MAX, end[i] = INT64_MIN, step[i] = -1;
  tfl_give(o, 0,
           tfl_node(o, "Slice", NULL, tfl_input(o, 0), tfl_ints(o, begin, n), tfl_ints(o, end, n), tfl_ints(o, axes, n),
                    tfl_ints(o, step, n)));
}

/* ONNX has batch and time as the first two dims; others are turned there and back. */
void tfl_reverse_sequence(tfl_op *o) {
  int rank = tfl_tensor_in(o, 0)->rank, time = tfl_i32(o, 0, 0), batch = tfl_i32(o, 1, 0);
  if (time < 0) time += rank;
  if (batch < 0) batch += rank;
  if (time < 0 || batch < 0 || time >= rank || batch >= rank || time == batch) {
    tfl_bad(o, "its dims of time and batch are %d and %d of %d", time, batch, rank);
    return;
  }
  int perm[LEDGE_MAX_RANK] = {batch, time}, back[LEDGE_MAX_RANK], n = 2;
  for (int i = 0; i < rank; i++)
    if (i != time && i != batch) perm[n++] = i;
  for (int i = 0; i < rank; i++) back[perm[i]] = i;
  value_id v = tfl_permute(o, tfl_input(o, 0), perm, rank);
  v = tfl_node(o, "ReverseSequence", ATTRS(AI("batch_axis", 0), AI("time_axis", 1)), v, tfl_i64(o, 1));
  tfl_give(o, 0, tfl_permute(o, v, back, rank));
}

/* ---- blocks ---- */

/* SPACE_TO_DEPTH and DEPTH_TO_SPACE */
void tfl_space_to_depth(tfl_op *o) {
  if (tfl_tensor_in(o, 0)->rank != 4) tfl_bad(o, "its input has %d dims where it takes 4", tfl_tensor_in(o, 0)->rank);
  value_id v = tfl_first(o, tfl_input(o, 0), 4);
  v = tfl_node(o, o->row->onnx, ATTRS(AI("blocksize", tfl_i32(o, 0, 0))), v);
  tfl_give(o, 0, tfl_last(o, v, 4));
}

typedef struct blocks {
  int n; /* of blocked dims, behind the batch */
  int64_t size[LEDGE_MAX_RANK], pairs[2 * LEDGE_MAX_RANK], product;
} blocks;

static bool read_blocks(tfl_op *o, blocks *b) {
  int n_pairs, rank = tfl_tensor_in(o, 0)->rank;
  if (!tfl_const_ints(o, 1, b->size, LEDGE_MAX_RANK, &b->n) ||
      !tfl_const_ints(o, 2, b->pairs, 2 * LEDGE_MAX_RANK, &n_pairs)) {
    tfl_refuse(o, "its blocks are computed while it runs, which ledge does not support");
    return false;
  }
  if (n_pairs != 2 * b->n || b->n + 2 > rank || 2 * b->n + rank > 2 * LEDGE_MAX_RANK)
    tfl_bad(o, "its blocks have %d dims where its input has %d", b->n, rank);
  b->product = 1;
  for (int i = 0; i < b->n && !o->status; i++) {
    if (b->size[i] < 1 || b->size[i] > 65536 || b->pairs[2 * i] < 0 || b->pairs[2 * i + 1] < 0 ||
        b->product > INT32_MAX)
      tfl_bad(o, "its blocks or pads are out of range");
    b->product *= b->size[i];
  }
  if (!o->status && rank + b->n > LEDGE_MAX_RANK) tfl_refuse(o, "blocks of so many dims, which ledge does not support");
  return !o->status;
}

/* [n, h, w, c] -> pad -> [n, h/b, b, w/b, b, c] -> [b, b, n, h/b, w/b, c] -> [n b b, h/b, w/b, c] */
void tfl_space_to_batch(tfl_op *o) {
  blocks b;
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  int rank = x->rank, perm[LEDGE_MAX_RANK], k = 0, n = 0;
  int64_t pads[2 * LEDGE_MAX_RANK] = {0}, split[LEDGE_MAX_RANK], joined[LEDGE_MAX_RANK];
  if (!read_blocks(o, &b)) return;
  split[n++] = -1;
  joined[0] = -1;
  for (int i = 0; i < b.n; i++) {
    pads[1 + i] = b.pairs[2 * i], pads[rank + 1 + i] = b.pairs[2 * i + 1];
    int64_t size = x->dims[1 + i] + b.pairs[2 * i] + b.pairs[2 * i + 1];
    if (size % b.size[i] || size < 1) tfl_bad(o, "a padded dim of %lld is no multiple of its block", (long long)size);
    joined[1 + i] = split[n++] = size / b.size[i];
    split[n++] = b.size[i];
  }
  for (int i = 1 + b.n; i < rank; i++) joined[i] = split[n++] = x->dims[i];
  for (int i = 0; i < b.n; i++) perm[k++] = 2 + 2 * i;
  perm[k++] = 0;
  for (int i = 0; i < b.n; i++) perm[k++] = 1 + 2 * i;
  while (k < n) perm[k] = k, k++;
  value_id with = tfl_is_quantised(x) ? tfl_scalar(o, x->dtype, (double)tfl_zero(x)) : VALUE_ABSENT;
  value_id v = tfl_node(o, "Pad", NULL, tfl_input(o, 0), tfl_ints(o, pads, 2 * rank), with);
  v = tfl_permute(o, tfl_reshape(o, v, split, n), perm, n);
  tfl_give(o, 0, tfl_reshape(o, v, joined, rank));
}

/* [n b b, h, w, c] -> [b, b, n, h, w, c] -> [n, h, b, w, b, c] -> [n, h b, w b, c] -> crop */
void tfl_batch_to_space(tfl_op *o) {
  blocks b;
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  int rank = x->rank, perm[LEDGE_MAX_RANK], k = 0, n = 0;
  int64_t split[LEDGE_MAX_RANK], joined[LEDGE_MAX_RANK], begin[LEDGE_MAX_RANK], end[LEDGE_MAX_RANK],
      axes[LEDGE_MAX_RANK];
  if (!read_blocks(o, &b)) return;
  for (int i = 0; i < b.n; i++) split[n++] = b.size[i];
  split[n++] = -1;
  joined[0] = -1;
  for (int i = 1; i < rank; i++) split[n++] = x->dims[i], joined[i] = x->dims[i];
  perm[k++] = b.n;
  for (int i = 0; i < b.n; i++) {
    perm[k++] = b.n + 1 + i, perm[k++] = i;
    joined[1 + i] = x->dims[1 + i] * b.size[i];
    begin[i] = b.pairs[2 * i], end[i] = joined[1 + i] - b.pairs[2 * i + 1], axes[i] = 1 + i;
  }
  while (k < n) perm[k] = k, k++;
  value_id v = tfl_permute(o, tfl_reshape(o, tfl_input(o, 0), split, n), perm, n);
  v = tfl_reshape(o, v, joined, rank);
  tfl_give(o, 0, tfl_node(o, "Slice", NULL, v, tfl_ints(o, begin, b.n), tfl_ints(o, end, b.n), tfl_ints(o, axes, b.n)));
}

/* ---- resizing ---- */

static void resize(tfl_op *o, const char *mode, bool corners, bool half, const char *nearest) {
  static const int64_t axes[] = {1, 2};
  attr list[8] = {AS("mode", mode),
                  AS("coordinate_transformation_mode", corners ? "align_corners"
                                                       : half  ? "half_pixel"
                                                               : "asymmetric"),
                  AIS("axes", axes, 2)};
  if (nearest) list[3] = (attr)AS("nearest_mode", nearest);
  value_id none = VALUE_ABSENT;
  tfl_give(o, 0, tfl_node(o, "Resize", list, tfl_input(o, 0), none, none, tfl_i64(o, 1)));
}

void tfl_resize_bilinear(tfl_op *o) {
  bool corners = tfl_i8(o, 2, 0) != 0, half = tfl_i8(o, 3, 0) != 0;
  const tfl_tensor *x = tfl_tensor_in(o, 0);
  if (tfl_is_quantised(x)) {
    tfl_give(o, 0,
             tfl_own(o, "ResizeBilinear", ATTRS(AI("align_corners", corners), AI("half_pixel", half)), tfl_input(o, 0),
                     tfl_i64(o, 1)));
    return;
  }
  resize(o, "linear", corners, half, NULL);
}

void tfl_resize_nearest(tfl_op *o) {
  bool corners = tfl_i8(o, 0, 0) != 0, half = tfl_i8(o, 1, 0) != 0;
  resize(o, "nearest", corners, half, corners || half ? "round_prefer_ceil" : "floor");
}
