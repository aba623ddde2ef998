/* passes/gradient/shape: rules of the operators that move elements.
 *
 * Where an operator only picks elements, it says itself which: run on the numbers of x's elements (ledge.IndexOf: 1, 2,
 * 3, ...) it gives, for each element of y, the number of the element of x that stands there; 0 where it is none of
 * them, for that is what pads and absent elements are. Then
 *
 *   x      a b c          IndexOf   1 2 3
 *   y      b b 0          the same  2 2 0             (here by Gather and Pad)
 *   dy     p q r          ledge.ScatterAt: dx = 0 p+q 0
 *
 * The numbers depend on shapes and constants alone in most models: then they are made once, with the plan. */
#include "passes/gradient/back.h"

static bool attr_is(const node *n, const char *name, const char *otherwise, const char *want) {
  const attr *a = node_attr(n, name);
  if (!a || a->type != ATTR_STRING) return !strcmp(otherwise, want);
  return a->s.size == strlen(want) && !memcmp(a->s.data, want, a->s.size);
}

static value_id numbers(back *b, value_id x) { return back_emit(b, "ledge", "IndexOf", 1, &x, 1); }

static void give_at(back *b, value_id x, value_id dy, value_id at) {
  back_give(b, x, back_emit(b, "ledge", "ScatterAt", 1, (value_id[]){dy, at, back_shape(b, x)}, 3));
}

static value_id zeros_i64(back *b, value_id like) { return back_op2(b, "Expand", back_i64(b, 0), back_shape(b, like)); }

static value_id as_i64(back *b, value_id x) {
  value_id y = back_op1(b, "Cast", x);
  back_int(b, "to", LEDGE_I64);
  return y;
}

static value_id as_f64(back *b, value_id x) {
  value_id y = back_op1(b, "Cast", x);
  back_int(b, "to", LEDGE_F64);
  return y;
}

static value_id pair(back *b, value_id first, value_id second) {
  value_id v = back_op2(b, "Concat", first, second);
  back_int(b, "axis", 0);
  return v;
}

/* y picks elements of inputs `first` .. `last` (those that are real), and of nothing else. */
static void give_picked(back *b, const node *n, int first, int last, bool in_f64) {
  value_id in[8];
  if (n->n_in > 8) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "the node has %d inputs", n->n_in);
    return;
  }
  for (int k = first; k <= last && k < n->n_in; k++) {
    if (!back_wants(b, n->in[k])) continue;
    for (int i = 0; i < n->n_in; i++) {
      bool data = i >= first && i <= last && n->in[i] != VALUE_ABSENT;
      in[i] = !data ? n->in[i] : i == k ? numbers(b, n->in[i]) : zeros_i64(b, n->in[i]);
      if (data && in_f64) in[i] = as_f64(b, in[i]);
    }
    value_id at = back_again(b, n, in, n->n_in);
    give_at(b, n->in[k], back_grad(b, n, 0), in_f64 ? as_i64(b, at) : at);
  }
}

void gradient_pick(back *b, const node *n) { give_picked(b, n, 0, 0, false); }

/* Constant int64s of a Slice: an attribute before version 10, an input after. */
static bool slice_list(back *b, const node *n, const char *name, int input, int64_t *v, int *count) {
  const attr *a = node_attr(n, name);
  const tensor *t = node_in(n, input) == VALUE_ABSENT ? NULL : graph_constant(b->g, n->in[input]);
  bool from_attr = n->version < 10;
  int64_t size = from_attr ? (a && a->type == ATTR_INTS ? a->count : 0) : t ? tensor_elements(t) : 0;
  if (size < 1 || size > LEDGE_MAX_RANK || (!from_attr && !dtype_is_integer(t->dtype))) return false;
  for (int64_t i = 0; i < size; i++) v[i] = from_attr ? a->ints[i] : tensor_i64(t, i);
  *count = (int)size;
  return true;
}

/* A piece with known begins and steps of 1 is padded with zeros where it was cut; others are picked. */
void gradient_slice(back *b, const node *n) {
  int64_t starts[LEDGE_MAX_RANK], axes[LEDGE_MAX_RANK], steps[LEDGE_MAX_RANK];
  value_id x = n->in[0], y = n->out[0], begins[LEDGE_MAX_RANK * 2];
  int n_starts = 0, n_axes = 0, n_steps = 0;
  bool plain = slice_list(b, n, "starts", 1, starts, &n_starts);
  bool has_axes = n->version < 10 ? node_attr(n, "axes") != NULL : node_in(n, 3) != VALUE_ABSENT;
  if (has_axes)
    plain = plain && slice_list(b, n, "axes", 3, axes, &n_axes) && n_axes == n_starts;
  else
    n_axes = back_range(0, n_starts, axes);
  if (n->version >= 10 && node_in(n, 4) != VALUE_ABSENT) plain = plain && slice_list(b, n, "", 4, steps, &n_steps);
  for (int i = 0; i < n_steps; i++) plain = plain && steps[i] == 1;
  if (!plain) {
    give_picked(b, n, 0, 0, false);
    return;
  }
  for (int i = 0; i < n_axes; i++) {
    value_id dim = back_dim(b, x, axes[i]), start = back_list(b, &starts[i], 1), zero = back_list(b, (int64_t[]){0}, 1);
    begins[i] = starts[i] >= 0 ? back_op2(b, "Min", start, dim) : back_op2(b, "Max", back_add(b, dim, start), zero);
    begins[n_axes + i] = back_sub(b, back_sub(b, dim, begins[i]), back_dim(b, y, axes[i]));
  }
  value_id pads = back_emit(b, "", "Concat", GRADIENT_OPSET, begins, 2 * n_axes);
  back_int(b, "axis", 0);
  const value_id in[] = {back_grad(b, n, 0), pads, VALUE_ABSENT, back_list(b, axes, n_axes)};
  back_give(b, x, back_emit(b, "", "Pad", GRADIENT_OPSET, in, 4));
}

/* Pad's value is no element of x. Before version 2 the attribute is called paddings; the value of a constant pad is an
 * attribute up to 10, and input 2 after. */
void gradient_pad(back *b, const node *n) {
  value_id x = n->in[0], dy = back_grad(b, n, 0), in[4] = {numbers(b, x), node_in(n, 1), VALUE_ABSENT, node_in(n, 3)};
  bool inputs = n->version >= 11;
  value_id at;
  if (inputs) {
    at = back_again(b, n, in, in[3] != VALUE_ABSENT ? 4 : 2);
  } else {
    in[0] = as_f64(b, in[0]);
    at = back_again(b, n, in, 1);
    back_float(b, "value", 0);
    at = as_i64(b, at);
  }
  if (back_wants(b, x)) give_at(b, x, dy, at);
  if (inputs && back_wants(b, node_in(n, 2))) {
    value_id pad = back_op2(b, "Equal", at, back_i64(b, 0));
    back_give_sum(b, n->in[2], back_where(b, pad, dy, back_number(b, 0, dy)));
  }
}

void gradient_max_unpool(back *b, const node *n) { give_picked(b, n, 0, 0, true); }

/* OneHot: values are off and on. */
void gradient_one_hot(back *b, const node *n) {
  const value_id in[] = {n->in[0], n->in[1], numbers(b, n->in[2])};
  value_id at = back_again(b, n, in, 3);
  give_at(b, n->in[2], back_grad(b, n, 0), at);
}

void gradient_gather(back *b, const node *n) {
  value_id x = n->in[0];
  const value_id in[] = {back_grad(b, n, 0), n->in[1], back_shape(b, x)};
  value_id dx = back_emit(b, "ledge", "GatherGrad", 1, in, 3);
  back_int(b, "axis", node_attr_int(n, "axis", 0));
  back_give(b, x, dx);
}

static value_id scatter_elements(back *b, value_id like, value_id indices, value_id dy, int64_t axis) {
  value_id dx = back_op3(b, "ScatterElements", back_filled(b, 0, like), indices, dy);
  back_int(b, "axis", axis);
  back_string(b, "reduction", "add");
  return dx;
}

void gradient_gather_elements(back *b, const node *n) {
  back_give(b, n->in[0], scatter_elements(b, n->in[0], n->in[1], back_grad(b, n, 0), node_attr_int(n, "axis", 0)));
}

void gradient_gather_nd(back *b, const node *n) {
  if (node_attr_int(n, "batch_dims", 0) != 0) {
    gradient_pick(b, n);
    return;
  }
  value_id dx = back_op3(b, "ScatterND", back_filled(b, 0, n->in[0]), n->in[1], back_grad(b, n, 0));
  back_string(b, "reduction", "add");
  back_give(b, n->in[0], dx);
}

void gradient_top_k(back *b, const node *n) {
  if (back_has(b, n, 0))
    back_give(b, n->in[0],
              scatter_elements(b, n->in[0], back_output(b, n, 1), back_grad(b, n, 0), node_attr_int(n, "axis", -1)));
}

/* ScatterElements, Scatter, ScatterND: data, indices, updates; y picks among data and updates, or joins them. */
void gradient_scatter(back *b, const node *n) {
  const attr *a = node_attr(n, "reduction");
  value_id data = n->in[0], indices = n->in[1], updates = n->in[2], dy = back_grad(b, n, 0), y = n->out[0];
  bool nd = !strcmp(n->op, "ScatterND");
  int64_t axis = node_attr_int(n, "axis", 0);
  const char *reduction = "none";
  static const char *const known[] = {"add", "mul", "max", "min"};
  for (int i = 0; i < 4; i++)
    if (a && a->type == ATTR_STRING && a->s.size == 3 && !memcmp(a->s.data, known[i], 3)) reduction = known[i];
  if (!strcmp(reduction, "none")) {
    value_id in[3] = {numbers(b, data), indices, zeros_i64(b, updates)};
    if (back_wants(b, data)) give_at(b, data, dy, back_again(b, n, in, 3));
    in[0] = zeros_i64(b, data);
    in[2] = numbers(b, updates);
    if (back_wants(b, updates)) give_at(b, updates, dy, back_again(b, n, in, 3));
    return;
  }
  value_id at_data = dy, at_updates = dy; /* what is gathered for the updates */
  if (!strcmp(reduction, "mul")) {
    at_updates = back_mul(b, dy, y);
    at_data = back_div(b, at_updates, data);
  } else if (strcmp(reduction, "add")) {
    at_data = back_where(b, back_op2(b, "Equal", data, y), dy, back_number(b, 0, dy));
  }
  back_give(b, data, at_data);
  if (!back_wants(b, updates)) return;
  value_id v = back_op2(b, nd ? "GatherND" : "GatherElements", at_updates, indices);
  if (!nd) back_int(b, "axis", axis);
  if (!strcmp(reduction, "mul")) {
    v = back_div(b, v, updates);
  } else if (strcmp(reduction, "add")) {
    value_id won = back_op2(b, nd ? "GatherND" : "GatherElements", y, indices);
    if (!nd) back_int(b, "axis", axis);
    v = back_where(b, back_op2(b, "Equal", updates, won), v, back_number(b, 0, v));
  }
  back_give(b, updates, v);
}

void gradient_tensor_scatter(back *b, const node *n) { give_picked(b, n, 0, 1, true); }

/* ---- whole shapes ---- */

/* Reshape, Flatten, Squeeze, Unsqueeze: the shape of the input again. */
void gradient_reshape(back *b, const node *n) {
  back_give(b, n->in[0], back_reshape_like(b, back_grad(b, n, 0), n->in[0]));
}

void gradient_expand(back *b, const node *n) { back_give_sum(b, n->in[0], back_grad(b, n, 0)); }

void gradient_transpose(back *b, const node *n) {
  const attr *perm = node_attr(n, "perm");
  int64_t inverse[LEDGE_MAX_RANK] = {0};
  value_id dy = back_grad(b, n, 0);
  if (!perm || perm->type != ATTR_INTS || perm->count > LEDGE_MAX_RANK) {
    back_give(b, n->in[0], back_op1(b, "Transpose", dy));
    return;
  }
  for (int64_t i = 0; i < perm->count; i++)
    if (perm->ints[i] >= 0 && perm->ints[i] < perm->count) inverse[perm->ints[i]] = i;
  back_give(b, n->in[0], back_transpose(b, dy, inverse, (int)perm->count));
}

/* Splits dy by the sizes of the inputs. */
void gradient_concat(back *b, const node *n) {
  int64_t axis = node_attr_int(n, "axis", n->version < 4 ? 1 : 0);
  value_id dy = back_grad(b, n, 0);
  value_id *list = mem_alloc_array((size_t)n->n_in * 2, sizeof *list);
  if (!list) {
    back_fail(b, LEDGE_ERROR_MEMORY, NULL);
    return;
  }
  value_id *sizes = list, *parts = list + n->n_in;
  for (int i = 0; i < n->n_in; i++) sizes[i] = back_dim(b, n->in[i], axis);
  value_id all = back_emit(b, "", "Concat", GRADIENT_OPSET, sizes, n->n_in);
  back_int(b, "axis", 0);
  for (int i = 0; i < n->n_in; i++) parts[i] = back_new_value(b);
  back_emit_outputs(b, "", "Split", GRADIENT_OPSET, (value_id[]){dy, all}, 2, parts, n->n_in);
  back_int(b, "axis", axis);
  for (int i = 0; i < n->n_in; i++) back_give(b, n->in[i], parts[i]);
  mem_free(list);
}

void gradient_split(back *b, const node *n) {
  value_id *parts = mem_alloc_array((size_t)n->n_out, sizeof *parts);
  if (!parts) {
    back_fail(b, LEDGE_ERROR_MEMORY, NULL);
    return;
  }
  for (int i = 0; i < n->n_out; i++) parts[i] = back_grad(b, n, i);
  value_id dx = back_emit(b, "", "Concat", GRADIENT_OPSET, parts, n->n_out);
  back_int(b, "axis", node_attr_int(n, "axis", 0));
  back_give(b, n->in[0], dx);
  mem_free(parts);
}

/* Trilu keeps the same triangle; ReverseSequence turns back what it turned. */
void gradient_itself(back *b, const node *n) {
  const value_id in[] = {back_grad(b, n, 0), node_in(n, 1)};
  back_give(b, n->in[0], back_again(b, n, in, n->n_in));
}

void gradient_cum_sum(back *b, const node *n) {
  const value_id in[] = {back_grad(b, n, 0), n->in[1]};
  value_id dx = back_again(b, n, in, 2);
  back_int(b, "reverse", !node_attr_int(n, "reverse", 0));
  back_give(b, n->in[0], dx);
}

/* Rotation by -angle. */
void gradient_rotary(back *b, const node *n) {
  if (back_wants(b, node_in(n, 1)) || back_wants(b, node_in(n, 2))) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "its cosines and sines are constants here, not something to learn");
    return;
  }
  const value_id in[] = {back_grad(b, n, 0), n->in[1], back_neg(b, n->in[2]), node_in(n, 3)};
  back_give(b, n->in[0], back_again(b, n, in, n->n_in));
}

/* grid = base theta^T, where base is the grid of the identity, and a column of ones. */
void gradient_affine_grid(back *b, const node *n) {
  int64_t d = back_need_rank(b, n->out[0]) - 2;
  if (b->status) return;
  float identity[12] = {0};
  for (int64_t i = 0; i < d && d <= 3; i++) identity[i * (d + 1) + i] = 1;
  value_id theta = n->in[0], dy = back_grad(b, n, 0), one = back_number(b, 1, theta);
  value_id eye = back_like(b, back_f32(b, 2, (int64_t[]){d, d + 1}, identity), theta);
  const value_id in[] = {back_op2(b, "Expand", eye, back_shape(b, theta)), n->in[1]};
  value_id base = back_again(b, n, in, 2);
  base = back_op2(b, "Reshape", base, back_list(b, (int64_t[]){0, -1, d}, 3));
  dy = back_op2(b, "Reshape", dy, back_list(b, (int64_t[]){0, -1, d}, 3));
  value_id points = pair(b, pair(b, back_dim(b, base, 0), back_dim(b, base, 1)), back_list(b, (int64_t[]){1}, 1));
  base = back_op2(b, "Concat", base, back_op2(b, "Expand", one, points));
  back_int(b, "axis", -1);
  back_give(b, theta, back_op2(b, "MatMul", back_transpose(b, dy, (int64_t[]){0, 2, 1}, 3), base));
}

void gradient_grid_sample(back *b, const node *n) {
  value_id out[2] = {VALUE_ABSENT, VALUE_ABSENT};
  for (int k = 0; k < 2; k++)
    if (back_wants(b, n->in[k])) out[k] = back_new_value(b);
  const value_id in[] = {n->in[0], n->in[1], back_grad(b, n, 0)};
  back_emit_outputs(b, "ledge", "GridSampleGrad", 1, in, 3, out, 2);
  back_attrs(b, n);
  for (int k = 0; k < 2; k++)
    if (out[k] != VALUE_ABSENT) back_give(b, n->in[k], out[k]);
}

/* The regions are where one looks, not something to learn. */
void gradient_roi_align(back *b, const node *n) {
  const attr *mode = node_attr(n, "coordinate_transformation_mode");
  bool max = attr_is(n, "mode", "avg", "max");
  if (back_wants(b, n->in[1])) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "only its image has a gradient, not its regions");
    return;
  }
  const value_id in[] = {back_grad(b, n, 0), n->in[1], n->in[2], back_shape(b, n->in[0]), n->in[0]};
  value_id dx = back_emit(b, "ledge", "RoiAlignGrad", 1, in, max ? 5 : 4);
  back_attrs(b, n);
  if (!mode) back_string(b, "coordinate_transformation_mode", n->version >= 16 ? "half_pixel" : "output_half_pixel");
  back_give(b, n->in[0], dx);
}

/* ---- the rules of ledge's own operators, for second derivatives ---- */

void gradient_scatter_at(back *b, const node *n) {
  value_id g = back_grad(b, n, 0);
  back_give(b, n->in[0], back_emit(b, "ledge", "GatherAt", 1, (value_id[]){g, n->in[1]}, 2));
}

void gradient_gather_at(back *b, const node *n) { give_at(b, n->in[0], back_grad(b, n, 0), n->in[1]); }

void gradient_gather_grad(back *b, const node *n) {
  value_id g = back_op2(b, "Gather", back_grad(b, n, 0), n->in[1]);
  back_int(b, "axis", node_attr_int(n, "axis", 0));
  back_give(b, n->in[0], g);
}

void gradient_reduce_to(back *b, const node *n) {
  back_give(b, n->in[0], back_op2(b, "Expand", back_grad(b, n, 0), back_shape(b, n->in[0])));
}

/* ---- Resize ---- */

/* Element i of a vector, as [1]. */
static value_id element(back *b, value_id v, int64_t i) {
  return back_op3(b, "Slice", v, back_list(b, (int64_t[]){i}, 1), back_list(b, (int64_t[]){i + 1}, 1));
}

/* The weights of one axis as a matrix [out, in]: the resized identity. `at` is the axis' place in roi, scales and
 * sizes, of n_axes; -1: it is not resized. */
static value_id resize_matrix(back *b, const node *n, int axis, int at, int n_axes, float scale) {
  value_id size = back_dim(b, n->in[0], axis), square = back_op1(b, "ConstantOfShape", pair(b, size, size));
  value_id eye = back_op1(b, "EyeLike", square), one = back_number(b, 1, eye), like = n->in[0];
  one = back_op2(b, "Expand", one, back_list(b, (int64_t[]){1}, 1));
  bool upsample = !strcmp(n->op, "Upsample"), old = upsample || n->version < 11;
  value_id scales = VALUE_ABSENT, sizes = VALUE_ABSENT, roi = VALUE_ABSENT, matrix;
  int at_scales = old ? 1 : 2;
  if (upsample && n->version < 9) { /* Upsample 9 says the same of its input */
    value_id v = back_op2(b, "Mul", one, back_number(b, scale, one));
    matrix = back_emit(b, "", "Upsample", 9, (value_id[]){eye, pair(b, v, one)}, 2);
    back_attrs(b, n);
    return back_like(b, matrix, like);
  }
  if (node_in(n, at_scales) != VALUE_ABSENT && (old || node_in(n, 3) == VALUE_ABSENT))
    scales = pair(b, element(b, n->in[at_scales], at), one);
  else
    sizes = pair(b, element(b, n->in[3], at), size);
  if (old) {
    matrix = back_again(b, n, (value_id[]){eye, scales}, 2);
    return back_like(b, matrix, like);
  }
  if (node_in(n, 1) != VALUE_ABSENT &&
      attr_is(n, "coordinate_transformation_mode", "half_pixel", "tf_crop_and_resize")) {
    value_id first = back_like(b, element(b, n->in[1], at), one),
             last = back_like(b, element(b, n->in[1], n_axes + at), one), zero = back_sub(b, one, one);
    roi = pair(b, pair(b, first, zero), pair(b, last, one));
  }
  matrix = back_again(b, n, (value_id[]){eye, roi, scales, sizes}, sizes == VALUE_ABSENT ? 3 : 4);
  back_ints(b, "axes", (int64_t[]){0, 1}, 2);
  back_float(b, "extrapolation_value", 0);
  return back_like(b, matrix, like);
}

/* dy [.., out, ..] -> [.., in, ..] by matrix [out, in]: the axis is brought to the end for the product. */
static value_id resize_back(back *b, value_id dy, value_id matrix, int axis, int rank) {
  int64_t perm[LEDGE_MAX_RANK];
  for (int i = 0; i < rank; i++) perm[i] = i;
  perm[axis] = rank - 1;
  perm[rank - 1] = axis;
  if (axis == rank - 1) return back_op2(b, "MatMul", dy, matrix);
  return back_transpose(b, back_op2(b, "MatMul", back_transpose(b, dy, perm, rank), matrix), perm, rank);
}

/* Nearest picks elements. The others are linear in x, axis by axis. */
void gradient_resize(back *b, const node *n) {
  value_id x = n->in[0], dy = back_grad(b, n, 0);
  if (attr_is(n, "mode", "nearest", "nearest")) {
    value_id in[4] = {numbers(b, x), node_in(n, 1), node_in(n, 2), node_in(n, 3)};
    value_id at = back_again(b, n, in, n->n_in);
    back_float(b, "extrapolation_value", 0);
    give_at(b, x, dy, at);
    return;
  }
  if (!attr_is(n, "keep_aspect_ratio_policy", "stretch", "stretch")) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "only keep_aspect_ratio_policy 'stretch' has a rule");
    return;
  }
  int rank = back_need_rank(b, x);
  const attr *axes = node_attr(n, "axes"), *list = node_attr(n, "scales");
  bool attr_scales = !strcmp(n->op, "Upsample") && n->version < 9;
  if (attr_scales && (!list || list->type != ATTR_FLOATS || list->count != rank)) {
    back_fail(b, LEDGE_ERROR_UNSUPPORTED, "its rule needs the attribute scales");
    return;
  }
  int n_axes = axes && axes->type == ATTR_INTS && axes->count <= rank ? (int)axes->count : rank;
  const value_id scales_in = node_in(n, !strcmp(n->op, "Upsample") || n->version < 11 ? 1 : 2);
  const tensor *constant = scales_in == VALUE_ABSENT ? NULL : graph_constant(b->g, scales_in);
  for (int i = 0; i < n_axes && !b->status; i++) {
    int64_t axis = n_axes < rank || (axes && axes->type == ATTR_INTS) ? axes->ints[i] : i;
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) continue;
    float scale = attr_scales ? list->floats[axis] : 0;
    if (constant && tensor_elements(constant) > i) scale = (float)tensor_f64(constant, i);
    bool crops = attr_is(n, "coordinate_transformation_mode", "half_pixel", "tf_crop_and_resize");
    bool sized = scale == 0 && node_in(n, 3) != VALUE_ABSENT && back_same_dim(b, x, n->out[0], (int)axis);
    if ((scale == 1 || sized) && !crops) continue; /* batch and channels, mostly */
    dy = resize_back(b, dy, resize_matrix(b, n, (int)axis, i, n_axes, scale), (int)axis, rank);
  }
  back_give(b, x, dy);
}
