/* formats/tflite/op_conv: convolutions, pools and products. Images are [batch, spatial..., channels], filters [out,
 * kernel..., in]. Floats become ONNX's operators between two Transposes, which the passes cancel; integers become those
 * of domain tflite, which read images as they are and filters in ONNX's order. */
#include "formats/tflite/operators.h"

#include <math.h>

/* ---- windows ---- */

typedef struct window_attrs {
  int rank, n;
  int64_t strides[3], dilations[3], kernel[3], pads[6];
  attr list[8];
} window_attrs;

static void add_attr(window_attrs *w, attr a) { w->list[w->n++] = a; }

/* Strides and padding as attributes; `pads` where a padding was taken over from a PAD, else NULL. */
static void window_list(window_attrs *w, int rank, bool same, bool has_pads) {
  w->rank = rank;
  add_attr(w, (attr)AIS("strides", w->strides, rank));
  if (same) add_attr(w, (attr)AS("auto_pad", "SAME_UPPER"));
  if (!same && has_pads) add_attr(w, (attr)AIS("pads", w->pads, 2 * rank));
}

/* The PAD in front of an image, where nothing else than a wider window is meant by it: v becomes what it pads. */
static bool take_pad(tfl_op *o, value_id *v, int rank, int64_t zero, int64_t *pads) {
  const graph *g = o->s->g;
  if (o->status || g->values[*v].producer < 0) return false;
  const node *n = &g->nodes[g->values[*v].producer];
  if (!node_is(n, "", "Pad") || node_attr(n, "mode") || n->n_in > 3) return false;
  const tensor *by = g->values[n->in[1]].constant, *with = n->n_in > 2 ? g->values[n->in[2]].constant : NULL;
  if (!by || by->dtype != LEDGE_I64 || tensor_elements(by) != 2 * rank || (n->n_in > 2 && !with)) return false;
  if ((with ? tensor_f64(with, 0) : 0) != (double)zero) return false;
  const int64_t *p = by->data;
  if (p[0] || p[rank - 1] || p[rank] || p[2 * rank - 1]) return false;
  for (int i = 0; i < rank - 2; i++) {
    if (p[1 + i] < 0 || p[rank + 1 + i] < 0) return false;
    pads[i] = p[1 + i], pads[rank - 2 + i] = p[rank + 1 + i];
  }
  *v = n->in[0];
  return true;
}

/* ---- weights ---- */

value_id tfl_weights_f32(tfl_op *o, int i, const int *perm, int rank) {
  const tfl_tensor *t = tfl_tensor_in(o, i);
  value_id v = tfl_weights(o, i, perm, rank);
  if (!tfl_is_quantised(t) || (i < o->n_in && o->replace[i] != VALUE_ABSENT)) return v;
  tfl_tensor as = *t;
  if (t->dtype == LEDGE_I4) {
    if (t->constant && o->s->g->values[v].constant && o->s->g->values[v].constant->dtype == LEDGE_I4)
      v = tfl_cast(o, v, LEDGE_I8);
    as.dtype = LEDGE_I8;
  }
  for (int k = 0; k < rank; k++) {
    as.dims[k] = t->dims[perm[k]];
    if (perm[k] == t->quant.axis) as.quant.axis = k;
  }
  return tfl_dequantise(o, v, &as);
}

static value_id bias_f32(tfl_op *o, int i) {
  if (!tfl_has_input(o, i)) return VALUE_ABSENT;
  return tfl_input(o, i);
}

/* ---- integer arithmetic ---- */

/* The range of an activation in the numbers of a tensor. */
void tfl_act_range(tfl_op *o, const tfl_tensor *t, int act, int64_t *least, int64_t *most) {
  bool u8 = t->dtype == LEDGE_U8, i16 = t->dtype == LEDGE_I16;
  *least = u8 ? 0 : i16 ? -32768 : -128;
  *most = u8 ? 255 : i16 ? 32767 : 127;
  if (t->dtype == LEDGE_I32) *least = INT32_MIN, *most = INT32_MAX;
  if (act == ACT_NONE || !t->quant.n) return;
  float scale = t->quant.scales[0];
  int64_t zero = t->quant.zeros[0], low = *least, high = *most;
  if (!(scale > 0)) {
    tfl_bad(o, "tensor '%.100s' has a scale of 0", t->name);
    return;
  }
  if (act == ACT_RELU || act == ACT_RELU6) low = zero;
  if (act == ACT_RELU6) high = zero + (int64_t)roundf(fminf(6.0f / scale, 1e9f));
  if (act == ACT_RELU_N1_TO_1) {
    low = zero + (int64_t)roundf(fmaxf(-1.0f / scale, -1e9f));
    high = zero + (int64_t)roundf(fminf(1.0f / scale, 1e9f));
  }
  if (act == ACT_TANH || act == ACT_SIGN_BIT || act > ACT_SIGN_BIT)
    tfl_refuse(o, "an activation that integers have not");
  if (low > *least) *least = low;
  if (high < *most) *most = high;
}

/* What an integer operator says of its operands: scales and zero points, of inputs 0.. and of output 0. */
float tfl_scale(tfl_op *o, const tfl_tensor *t) {
  if (t->quant.n != 1 || !(t->quant.scales[0] > 0)) {
    tfl_bad(o, "tensor '%.100s' has %s where the operator takes one scale above 0", t->name,
            t->quant.n ? t->quant.n == 1 ? "a scale of 0" : "several scales" : "no scale");
    return 1;
  }
  return t->quant.scales[0];
}
int64_t tfl_zero(const tfl_tensor *t) { return t->quant.n ? t->quant.zeros[0] : 0; }

static bool is_byte(const tfl_tensor *t) { return t->dtype == LEDGE_I8 || t->dtype == LEDGE_U8; }

/* Do x, w, bias and y have the types of integer arithmetic, with scales? (Else they are taken as floats.) */
static bool takes_integers(const tfl_op *o, int x_at, int w_at, int b_at, const tfl_tensor *y) {
  const tfl_tensor *x = tfl_tensor_in(o, x_at), *w = tfl_tensor_in(o, w_at);
  bool x_fits = is_byte(x) || x->dtype == LEDGE_I16, w_fits = is_byte(w) || w->dtype == LEDGE_I4;
  if (!x_fits || !w_fits || x->quant.n != 1 || y->quant.n != 1 || !w->quant.n || x->dtype != y->dtype) return false;
  if (!(y->quant.scales[0] > 0)) return false;
  if (w->dtype == LEDGE_U8 ? w->quant.n != 1 || x->dtype != LEDGE_U8 : x->dtype == LEDGE_U8) return false;
  for (int i = 0; w->dtype != LEDGE_U8 && i < w->quant.n; i++)
    if (w->quant.zeros[i]) return false;
  if (x->dtype == LEDGE_I16 && (x->quant.zeros[0] || y->quant.zeros[0])) return false;
  if (!tfl_has_input(o, b_at)) return true;
  const tfl_tensor *b = tfl_tensor_in(o, b_at);
  return b->dtype == LEDGE_I32 || b->dtype == LEDGE_I64;
}

/* The attributes of integer sums: they become list[n...]; the number of them. */
static int sum_attrs(tfl_op *o, int x_at, int w_at, int act, int64_t outs, int out_dim, attr *list) {
  const tfl_tensor *x = tfl_tensor_in(o, x_at), *w = tfl_tensor_in(o, w_at), *y = tfl_tensor_out(o, 0);
  int64_t least, most;
  tfl_act_range(o, y, act, &least, &most);
  if (w->quant.n > 1 && (w->quant.n != outs || w->quant.axis != out_dim))
    tfl_bad(o, "tensor '%.100s' has %d scales along dim %d for %lld outputs", w->name, w->quant.n, w->quant.axis,
            (long long)outs);
  int n = 0;
  list[n++] = (attr)AF("x_scale", tfl_scale(o, x));
  list[n++] = (attr)AI("x_zero", tfl_zero(x));
  list[n++] = (attr)AFS("w_scale", w->quant.scales, w->quant.n);
  list[n++] = (attr)AI("w_zero", tfl_zero(w));
  list[n++] = (attr)AF("y_scale", tfl_scale(o, y));
  list[n++] = (attr)AI("y_zero", tfl_zero(y));
  list[n++] = (attr)AI("y_min", least);
  list[n++] = (attr)AI("y_max", most);
  list[n] = (attr){0};
  return n;
}

static value_id bias_integer(tfl_op *o, int i) { return tfl_has_input(o, i) ? tfl_input(o, i) : VALUE_ABSENT; }

/* ---- convolutions ---- */

static void convolve(tfl_op *o, int rank, bool depthwise, int64_t multiplier, window_attrs *w, bool same, int act) {
  static const int plain[] = {0, 3, 1, 2}, deep[] = {3, 0, 1, 2}, volume[] = {4, 3, 0, 1, 2};
  const int *perm = rank == 5 ? volume : depthwise ? deep : plain;
  const tfl_tensor *x = tfl_tensor_in(o, 0), *f = tfl_tensor_in(o, 1), *y = tfl_tensor_out(o, 0);
  if (f->rank != rank || x->rank != rank) {
    tfl_bad(o, "its input has %d dims and its filter %d where it takes %d", x->rank, f->rank, rank);
    return;
  }
  int64_t in = x->dims[rank - 1], out = f->dims[perm[0]], per = f->dims[perm[1]];
  if (depthwise) { /* [1, h, w, in * multiplier]: one channel a group */
    if (f->dims[0] != 1) tfl_bad(o, "its filter has %lld batches where it takes 1", (long long)f->dims[0]);
    if (in < 1 && multiplier > 0) in = out / multiplier;
    per = 1;
  }
  if (in < 1 || per < 1 || in % per || out % (in / per)) {
    tfl_bad(o, "its filter does not fit an input of %lld channels", (long long)in);
    return;
  }
  value_id v = tfl_input(o, 0);
  bool integers = takes_integers(o, 0, 1, 2, y);
  bool has_pads = !same && take_pad(o, &v, rank, integers ? tfl_zero(x) : 0, w->pads);
  window_list(w, rank - 2, same, has_pads);
  add_attr(w, (attr)AIS("dilations", w->dilations, rank - 2));
  add_attr(w, (attr)AI("group", in / per));
  if (integers) {
    attr list[20];
    memcpy(list, w->list, (size_t)w->n * sizeof *list);
    sum_attrs(o, 0, 1, act, out, perm[0], list + w->n);
    tfl_give(o, 0, tfl_own(o, "Conv", list, v, tfl_weights(o, 1, perm, rank), bias_integer(o, 2)));
    return;
  }
  if (tfl_is_quantised(x)) v = tfl_dequantise(o, v, x);
  value_id bias = bias_f32(o, 2);
  if (bias != VALUE_ABSENT && tfl_is_quantised(tfl_tensor_in(o, 2)))
    bias = tfl_dequantise(o, bias, tfl_tensor_in(o, 2));
  v = tfl_node(o, "Conv", w->list, tfl_first(o, v, rank), tfl_weights_f32(o, 1, perm, rank), bias);
  v = tfl_last(o, tfl_activate(o, v, act, LEDGE_F32), rank);
  tfl_give(o, 0, tfl_is_quantised(y) ? tfl_quantise(o, v, y) : v);
}

static int64_t above_zero(tfl_op *o, int64_t v, const char *what) {
  if (v < 1) tfl_bad(o, "its %s is %lld", what, (long long)v);
  return v;
}

void tfl_conv_2d(tfl_op *o) {
  window_attrs w = {0};
  w.strides[0] = above_zero(o, tfl_i32(o, 2, 0), "stride");
  w.strides[1] = above_zero(o, tfl_i32(o, 1, 0), "stride");
  w.dilations[0] = above_zero(o, tfl_i32(o, 5, 1), "dilation");
  w.dilations[1] = above_zero(o, tfl_i32(o, 4, 1), "dilation");
  convolve(o, 4, false, 0, &w, tfl_i8(o, 0, 0) == PADDING_SAME, tfl_i8(o, 3, 0));
}

void tfl_depthwise_conv_2d(tfl_op *o) {
  window_attrs w = {0};
  w.strides[0] = above_zero(o, tfl_i32(o, 2, 0), "stride");
  w.strides[1] = above_zero(o, tfl_i32(o, 1, 0), "stride");
  w.dilations[0] = above_zero(o, tfl_i32(o, 6, 1), "dilation");
  w.dilations[1] = above_zero(o, tfl_i32(o, 5, 1), "dilation");
  convolve(o, 4, true, tfl_i32(o, 3, 0), &w, tfl_i8(o, 0, 0) == PADDING_SAME, tfl_i8(o, 4, 0));
}

void tfl_conv_3d(tfl_op *o) {
  window_attrs w = {0};
  for (int i = 0; i < 3; i++) {
    static const int strides[] = {1, 3, 2}, dilations[] = {5, 7, 6};
    w.strides[i] = above_zero(o, tfl_i32(o, strides[i], 0), "stride");
    w.dilations[i] = above_zero(o, tfl_i32(o, dilations[i], 1), "dilation");
  }
  convolve(o, 5, false, 0, &w, tfl_i8(o, 0, 0) == PADDING_SAME, tfl_i8(o, 4, 0));
}

/* Of a transposed convolution whose sizes the file states: padding, and what is added at the end. */
static void transposed_pads(tfl_op *o, int rank, const int64_t *in, const int64_t *out, const int64_t *kernel,
                            const int64_t *strides, int64_t *pads, int64_t *more) {
  for (int i = 0; i < rank; i++) {
    int64_t total = (in[i] - 1) * strides[i] + kernel[i] - out[i];
    more[i] = total < 0 ? -total : 0;
    if (total < 0) total = 0;
    pads[i] = total / 2;
    pads[rank + i] = total - total / 2;
    if (more[i] >= strides[i] && more[i])
      tfl_bad(o, "an output of %lld does not fit an input of %lld", (long long)out[i], (long long)in[i]);
  }
}

static void transposed(tfl_op *o, int rank, int x_at, int w_at, int b_at, const int64_t *strides, int act,
                       const int64_t *out) {
  static const int image[] = {3, 0, 1, 2}, volume[] = {4, 3, 0, 1, 2};
  const int *perm = rank == 5 ? volume : image;
  const tfl_tensor *x = tfl_tensor_in(o, x_at), *f = tfl_tensor_in(o, w_at), *y = tfl_tensor_out(o, 0);
  int64_t kernel[3], pads[6], more[3];
  if (f->rank != rank || x->rank != rank) {
    tfl_bad(o, "its input has %d dims and its filter %d where it takes %d", x->rank, f->rank, rank);
    return;
  }
  int first = rank == 5 ? 0 : 1;
  for (int i = 0; i < rank - 2; i++) kernel[i] = f->dims[first + i];
  transposed_pads(o, rank - 2, x->dims + 1, out, kernel, strides, pads, more);
  attr list[20] = {AIS("strides", strides, rank - 2), AIS("pads", pads, 2 * (rank - 2)),
                   AIS("output_padding", more, rank - 2)};
  if (takes_integers(o, x_at, w_at, b_at, y) && rank == 4) {
    static const int same[] = {0, 3, 1, 2}; /* as a convolution's: [out, in, h, w] */
    sum_attrs(o, x_at, w_at, act, f->dims[0], 0, list + 3);
    tfl_give(
        o, 0,
        tfl_own(o, "ConvTranspose", list, tfl_input(o, x_at), tfl_weights(o, w_at, same, rank), bias_integer(o, b_at)));
    return;
  }
  value_id v = tfl_input(o, x_at), bias = bias_f32(o, b_at);
  if (tfl_is_quantised(x)) v = tfl_dequantise(o, v, x);
  if (bias != VALUE_ABSENT && tfl_is_quantised(tfl_tensor_in(o, b_at)))
    bias = tfl_dequantise(o, bias, tfl_tensor_in(o, b_at));
  v = tfl_node(o, "ConvTranspose", list, tfl_first(o, v, rank), tfl_weights_f32(o, w_at, perm, rank), bias);
  v = tfl_last(o, tfl_activate(o, v, act, LEDGE_F32), rank);
  tfl_give(o, 0, tfl_is_quantised(y) ? tfl_quantise(o, v, y) : v);
}

void tfl_transpose_conv(tfl_op *o) {
  int64_t shape[4] = {0},
          strides[2] = {above_zero(o, tfl_i32(o, 2, 0), "stride"), above_zero(o, tfl_i32(o, 1, 0), "stride")};
  int n;
  const tfl_tensor *y = tfl_tensor_out(o, 0);
  if (!tfl_const_ints(o, 0, shape, 4, &n) || n != 4) {
    if (y->rank != 4) {
      tfl_refuse(o, "its output's shape is computed while it runs, which ledge does not support here");
      return;
    }
    memcpy(shape, y->dims, sizeof shape);
  }
  transposed(o, 4, 2, 1, 3, strides, tfl_i8(o, 3, 0), shape + 1);
}

void tfl_conv_3d_transpose(tfl_op *o) {
  static const int fields[] = {1, 3, 2};
  int64_t shape[5] = {0}, strides[3];
  int n;
  for (int i = 0; i < 3; i++) strides[i] = above_zero(o, tfl_i32(o, fields[i], 0), "stride");
  if (!tfl_const_ints(o, 0, shape, 5, &n) || n != 5) {
    tfl_refuse(o, "its output's shape is computed while it runs, which ledge does not support here");
    return;
  }
  const tfl_tensor *f = tfl_tensor_in(o, 1);
  (void)f;
  transposed(o, 5, 2, 1, 3, strides, tfl_i8(o, 4, 0), shape + 1);
}

/* MediaPipe's: x, filter [out, h, w, in], bias; its options are the bytes of {i32 padding, stride_w, stride_h}, where
 * 1 is SAME. */
void tfl_transpose_conv_bias(tfl_op *o) {
  const tfl_tensor *x = tfl_tensor_in(o, 0), *f = tfl_tensor_in(o, 1);
  if (o->custom.count < 12 || x->rank != 4 || f->rank != 4) {
    tfl_bad(o, "its options have %u bytes where they take 12", o->custom.count);
    return;
  }
  bool same = fb_vec_i32(&o->custom, 0) == 1;
  int64_t strides[2] = {above_zero(o, fb_vec_i32(&o->custom, 2), "stride"),
                        above_zero(o, fb_vec_i32(&o->custom, 1), "stride")},
          out[2];
  for (int i = 0; i < 2; i++) {
    int64_t in = x->dims[1 + i], k = f->dims[1 + i], s = strides[i];
    out[i] = same ? in * s : (in - 1) * s + k;
  }
  if (!o->status) transposed(o, 4, 0, 1, 2, strides, ACT_NONE, out);
}

/* ---- products ---- */

void tfl_fully_connected(tfl_op *o) {
  static const int same[] = {0, 1}, turned[] = {1, 0};
  const tfl_tensor *x = tfl_tensor_in(o, 0), *w = tfl_tensor_in(o, 1), *y = tfl_tensor_out(o, 0);
  int act = tfl_i8(o, 0, 0);
  bool keep = tfl_i8(o, 2, 0) != 0;
  if (tfl_i8(o, 1, 0)) tfl_refuse(o, "its weights are shuffled, which ledge does not read: convert it without");
  if (w->rank != 2) tfl_bad(o, "its weights have %d dims where it takes 2", w->rank);
  if (o->status) return;
  int64_t flat[] = {-1, w->dims[1]};
  bool fits = x->rank == 2 && x->dims[1] == w->dims[1];
  value_id v = tfl_input(o, 0);
  if (!keep && !fits) v = tfl_reshape(o, v, flat, 2);
  if (takes_integers(o, 0, 1, 2, y)) {
    attr list[20];
    sum_attrs(o, 0, 1, act, w->dims[0], 0, list);
    tfl_give(o, 0, tfl_own(o, "FullyConnected", list, v, tfl_weights(o, 1, same, 2), bias_integer(o, 2)));
    return;
  }
  value_id bias = bias_f32(o, 2);
  if (tfl_is_quantised(x)) v = tfl_dequantise(o, v, x);
  if (bias != VALUE_ABSENT && tfl_is_quantised(tfl_tensor_in(o, 2)))
    bias = tfl_dequantise(o, bias, tfl_tensor_in(o, 2));
  if (keep && !fits) {
    v = tfl_node(o, "MatMul", NULL, v, tfl_weights_f32(o, 1, turned, 2));
    if (bias != VALUE_ABSENT) v = tfl_node(o, "Add", NULL, v, bias);
  } else {
    v = tfl_node(o, "Gemm", ATTRS(AI("transB", 1)), v, tfl_weights_f32(o, 1, same, 2), bias);
  }
  v = tfl_activate(o, v, act, LEDGE_F32);
  tfl_give(o, 0, tfl_is_quantised(y) ? tfl_quantise(o, v, y) : v);
}

static value_id adjoint(tfl_op *o, int i, bool adjoin) {
  int rank = tfl_tensor_in(o, i)->rank, perm[LEDGE_MAX_RANK];
  value_id v = tfl_input(o, i);
  if (!adjoin) return v;
  if (rank < 2) {
    tfl_bad(o, "input %d has %d dims where it takes 2", i, rank);
    return v;
  }
  for (int k = 0; k < rank; k++) perm[k] = k;
  perm[rank - 1] = rank - 2, perm[rank - 2] = rank - 1;
  return tfl_permute(o, v, perm, rank);
}

void tfl_batch_matmul(tfl_op *o) {
  value_id a = adjoint(o, 0, tfl_i8(o, 0, 0) != 0), b = adjoint(o, 1, tfl_i8(o, 1, 0) != 0);
  const tfl_tensor *ta = tfl_tensor_in(o, 0), *tb = tfl_tensor_in(o, 1), *y = tfl_tensor_out(o, 0);
  bool bytes = ta->dtype == LEDGE_I8 && tb->dtype == LEDGE_I8 && ta->quant.n == 1 && tb->quant.n == 1;
  if (bytes && y->dtype == LEDGE_I8 && y->quant.n == 1) {
    tfl_give(
        o, 0,
        tfl_own(o, "BatchMatMul",
                ATTRS(AF("x_scale", tfl_scale(o, ta)), AI("x_zero", tfl_zero(ta)), AFS("w_scale", tb->quant.scales, 1),
                      AI("w_zero", tfl_zero(tb)), AF("y_scale", tfl_scale(o, y)), AI("y_zero", tfl_zero(y)),
                      AI("y_min", -128), AI("y_max", 127)),
                a, b));
    return;
  }
  if (tfl_is_quantised(ta)) a = tfl_dequantise(o, a, ta);
  if (tfl_is_quantised(tb)) b = tfl_dequantise(o, b, tb);
  value_id v = tfl_node(o, "MatMul", NULL, a, b);
  tfl_give(o, 0, tfl_is_quantised(y) ? tfl_quantise(o, v, y) : v);
}

/* ---- pools ---- */

static void read_pool(tfl_op *o, window_attrs *w, bool *same, int *act) {
  *same = tfl_i8(o, 0, 0) == PADDING_SAME;
  w->strides[0] = above_zero(o, tfl_i32(o, 2, 0), "stride");
  w->strides[1] = above_zero(o, tfl_i32(o, 1, 0), "stride");
  w->kernel[0] = above_zero(o, tfl_i32(o, 4, 0), "window");
  w->kernel[1] = above_zero(o, tfl_i32(o, 3, 0), "window");
  *act = tfl_i8(o, 5, 0);
  if (tfl_tensor_in(o, 0)->rank != 4) tfl_bad(o, "its input has %d dims where it takes 4", tfl_tensor_in(o, 0)->rank);
}

/* AVERAGE_POOL_2D and MAX_POOL_2D. */
void tfl_pool_2d(tfl_op *o) {
  window_attrs w = {0};
  bool same;
  int act;
  read_pool(o, &w, &same, &act);
  window_list(&w, 2, same, false);
  add_attr(&w, (attr)AIS("kernel_shape", w.kernel, 2));
  const tfl_tensor *x = tfl_tensor_in(o, 0), *y = tfl_tensor_out(o, 0);
  if (tfl_is_quantised(x)) {
    int64_t least, most;
    tfl_act_range(o, y, act, &least, &most);
    add_attr(&w, (attr)AI("y_min", least));
    add_attr(&w, (attr)AI("y_max", most));
    tfl_give(o, 0, tfl_own(o, o->row->onnx, w.list, tfl_input(o, 0)));
    return;
  }
  value_id v = tfl_node(o, o->row->onnx, w.list, tfl_first(o, tfl_input(o, 0), 4));
  tfl_give(o, 0, tfl_last(o, tfl_activate(o, v, act, x->dtype), 4));
}

void tfl_l2_pool_2d(tfl_op *o) {
  window_attrs w = {0};
  bool same;
  int act;
  read_pool(o, &w, &same, &act);
  window_list(&w, 2, same, false);
  add_attr(&w, (attr)AIS("kernel_shape", w.kernel, 2));
  value_id v = tfl_first(o, tfl_input(o, 0), 4);
  v = tfl_node(o, "Sqrt", NULL, tfl_node(o, "AveragePool", w.list, tfl_node(o, "Mul", NULL, v, v)));
  tfl_give(o, 0, tfl_last(o, tfl_activate(o, v, act, LEDGE_F32), 4));
}
