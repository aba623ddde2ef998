/* ops/fused: rows of domain "ledge"; see fused.h. The references are those of the kernels. */
#include "ops/fused.h"

#include "kernels/gemm/gemm.h"
#include "ops/move_util.h"

static const char *const fused_acts[KERNEL_ACT_COUNT] = {
    [KERNEL_ACT_CLAMP] = "clamp",
    [KERNEL_ACT_LEAKY_RELU] = "leaky_relu",
    [KERNEL_ACT_HARDSIGMOID] = "hardsigmoid",
    [KERNEL_ACT_HARDSWISH] = "hardswish",
    [KERNEL_ACT_SIGMOID] = "sigmoid",
    [KERNEL_ACT_SILU] = "silu",
    [KERNEL_ACT_TANH] = "tanh",
    [KERNEL_ACT_GELU_ERF] = "gelu_erf",
    [KERNEL_ACT_GELU_TANH] = "gelu_tanh",
    [KERNEL_ACT_ELU] = "elu",
    [KERNEL_ACT_MISH] = "mish",
};

const char *fused_act_name(kernel_act act) { return act < KERNEL_ACT_COUNT ? fused_acts[act] : NULL; }

ledge_status fused_epilogue(const op_ctx *c, kernel_epilogue *e) {
  *e = (kernel_epilogue){.alpha = op_float(c, "act_alpha", 1), .beta = op_float(c, "act_beta", 0)};
  e->residual_after = op_int(c, "residual_after", 0) != 0;
  if (!op_attr_given(c, "act")) return LEDGE_OK;
  for (int i = 0; i < KERNEL_ACT_COUNT; i++)
    if (fused_acts[i] && op_string_is(c, "act", "", fused_acts[i])) e->act = (kernel_act)i;
  if (e->act == KERNEL_ACT_NONE) return op_fail((op_ctx *)c, LEDGE_ERROR_FORMAT, "no such activation");
  return LEDGE_OK;
}

static int channel_axis(const tensor *x, bool channels_last) { return channels_last ? x->rank - 1 : 1; }

static ledge_status check_conv(op_ctx *c, const tensor *x, const tensor *w) {
  if (x->dtype != LEDGE_F32 || w->dtype != LEDGE_F32) return op_fail(c, LEDGE_ERROR_SHAPE, "it takes float32");
  if (x->rank < 3 || x->rank != w->rank)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d and weights of rank %d do not fit", x->rank, w->rank);
  return x->rank > 5 ? op_fail(c, LEDGE_ERROR_UNSUPPORTED, "more than 3 spatial dims") : LEDGE_OK;
}

ledge_status fused_conv_params(op_ctx *c, const tensor *x, const tensor *w, bool channels_last, conv_f32_params *p) {
  window win;
  TRY(check_conv(c, x, w));
  TRY(window_read(c, x->rank - 2, x->dims + (channels_last ? 1 : 2), w->dims + 2, false, &win));
  *p = (conv_f32_params){.rank = win.rank, .batch = x->dims[0], .groups = op_int(c, "group", 1)};
  p->channels_in = x->dims[channel_axis(x, channels_last)];
  p->channels_out = w->dims[0];
  if (p->groups < 1 || p->channels_in % p->groups || p->channels_out % p->groups ||
      w->dims[1] != p->channels_in / p->groups)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld channels in %lld groups do not fit weights of %lld by %lld",
                   (long long)p->channels_in, (long long)p->groups, (long long)w->dims[0], (long long)w->dims[1]);
  for (int i = 0; i < win.rank; i++) {
    p->in[i] = win.in[i];
    p->out[i] = win.out[i];
    p->kernel[i] = win.kernel[i];
    p->stride[i] = win.stride[i];
    p->dilation[i] = win.dilation[i];
    p->pad_begin[i] = win.pad_begin[i];
  }
  return LEDGE_OK;
}

/* Output of a stage of Separable, without data. */
static void stage_output(const conv_f32_params *p, tensor *ret) {
  int64_t dims[LEDGE_MAX_RANK] = {p->batch};
  for (int i = 0; i < p->rank; i++) dims[1 + i] = p->out[i];
  dims[1 + p->rank] = p->channels_out;
  *ret = (tensor){0};
  tensor_set_shape(ret, LEDGE_F32, p->rank + 2, dims);
}

/* Stage i of c, for an input x: its attributes, without the prefix, are those of a node of its own. */
static ledge_status stage_params(op_ctx *c, int i, const tensor *x, conv_f32_params *p) {
  enum { ATTRS_MAX = 16 };
  const char prefix[] = {(char)('0' + i), '.'};
  attr attrs[ATTRS_MAX];
  node n = *c->node;
  op_ctx stage = *c;
  n.attrs = attrs, n.n_attrs = 0;
  stage.node = &n;
  for (int k = 0; k < c->node->n_attrs && n.n_attrs < ATTRS_MAX; k++) {
    const attr *a = &c->node->attrs[k];
    if (strncmp(a->name, prefix, sizeof prefix)) continue;
    attrs[n.n_attrs] = *a;
    attrs[n.n_attrs++].name += sizeof prefix;
  }
  const tensor *w = op_in(c, 2 + 2 * i);
  if (!w) return op_fail(c, LEDGE_ERROR_SHAPE, "the weights of stage %d are missing", i);
  TRY(fused_conv_params(&stage, x, w, true, p));
  return fused_epilogue(&stage, &p->epilogue);
}

ledge_status fused_separable_params(op_ctx *c, separable_f32_params *p) {
  *p = (separable_f32_params){.n = c->n_in / 2 - 1};
  if (c->n_in % 2 || p->n < 1 || p->n > SEPARABLE_MOST)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%d inputs are no row of convolutions", c->n_in);
  tensor x = *op_in(c, 0);
  for (int i = 0; i < p->n; i++) {
    TRY(stage_params(c, i, &x, &p->stage[i]));
    stage_output(&p->stage[i], &x);
  }
  return LEDGE_OK;
}

ledge_status fused_convtranspose_params(op_ctx *c, const tensor *x, const tensor *w, bool channels_last,
                                        convtranspose_f32_params *p) {
  window win;
  TRY(check_conv(c, x, w));
  TRY(window_read_transposed(c, x->rank - 2, x->dims + (channels_last ? 1 : 2), w->dims + 2, &win));
  *p = (convtranspose_f32_params){.rank = win.rank, .batch = x->dims[0], .groups = op_int(c, "group", 1)};
  p->channels_in = x->dims[channel_axis(x, channels_last)];
  if (p->groups < 1 || p->channels_in % p->groups || w->dims[0] != p->channels_in ||
      __builtin_mul_overflow(w->dims[1], p->groups, &p->channels_out))
    return op_fail(c, LEDGE_ERROR_SHAPE, "%lld channels in %lld groups do not fit weights of %lld by %lld",
                   (long long)p->channels_in, (long long)p->groups, (long long)w->dims[0], (long long)w->dims[1]);
  for (int i = 0; i < win.rank; i++) {
    p->in[i] = win.in[i];
    p->out[i] = win.out[i];
    p->kernel[i] = win.kernel[i];
    p->stride[i] = win.stride[i];
    p->dilation[i] = win.dilation[i];
    p->pad_begin[i] = win.pad_begin[i];
  }
  return LEDGE_OK;
}

ledge_status fused_pooling_shape(op_ctx *c, const tensor *x, bool channels_last, pooling_shape *s) {
  window w;
  if (x->dtype != LEDGE_F32) return op_fail_dtype(c, 0);
  if (x->rank != 3 && x->rank != 4) return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "other than 1 or 2 spatial dims");
  TRY(window_read(c, x->rank - 2, x->dims + (channels_last ? 1 : 2), NULL, true, &w));
  int h = 0, v = w.rank - 1; /* height and width; one dimension is a row */
  bool flat = w.rank == 1;
  *s = (pooling_shape){.batch = x->dims[0],
                       .channels = x->dims[channel_axis(x, channels_last)],
                       .in_h = flat ? 1 : w.in[h],
                       .in_w = w.in[v],
                       .out_h = flat ? 1 : w.out[h],
                       .out_w = w.out[v],
                       .kernel_h = flat ? 1 : w.kernel[h],
                       .kernel_w = w.kernel[v],
                       .stride_h = flat ? 1 : w.stride[h],
                       .stride_w = w.stride[v],
                       .dilation_h = flat ? 1 : w.dilation[h],
                       .dilation_w = w.dilation[v],
                       .pad_top = flat ? 0 : w.pad_begin[h],
                       .pad_left = w.pad_begin[v],
                       .pad_bottom = flat ? 0 : w.pad_end[h],
                       .pad_right = w.pad_end[v],
                       .count_include_pad = op_int(c, "count_include_pad", 0) != 0};
  return LEDGE_OK;
}

/* ---- Conv, ConvTranspose ---- */

static ledge_status image_shape(op_ctx *c, int64_t batch, int rank, const int64_t *out, int64_t channels) {
  int64_t dims[LEDGE_MAX_RANK];
  dims[0] = batch;
  for (int i = 0; i < rank; i++) dims[i + 1] = out[i];
  dims[rank + 1] = channels;
  return op_shape(c, 0, LEDGE_F32, rank + 2, dims);
}

static ledge_status check_bias(op_ctx *c, int input, int64_t n) {
  const tensor *b = op_in(c, input);
  if (b && (b->dtype != LEDGE_F32 || tensor_elements(b) != n))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the bias does not have one float32 a channel");
  return LEDGE_OK;
}

static ledge_status conv_infer(op_ctx *c) {
  conv_f32_params p;
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  TRY(fused_conv_params(c, op_in(c, 0), op_in(c, 1), true, &p));
  TRY(check_bias(c, 2, p.channels_out));
  TRY(image_shape(c, p.batch, p.rank, p.out, p.channels_out));
  const tensor *r = op_in(c, 3);
  if (r && op_out(c, 0) && (r->dtype != LEDGE_F32 || !tensor_same_shape(r, op_out(c, 0))))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the residual does not have the output's shape");
  return LEDGE_OK;
}

static ledge_status conv_run(op_ctx *c) {
  conv_f32_params p;
  TRY(fused_conv_params(c, op_in(c, 0), op_in(c, 1), true, &p));
  TRY(fused_epilogue(c, &p.epilogue));
  const tensor *b = op_in(c, 2), *r = op_in(c, 3);
  conv_f32_ref(&p, op_in(c, 0)->data, op_in(c, 1)->data, b ? b->data : NULL, r ? r->data : NULL, op_out(c, 0)->data);
  return LEDGE_OK;
}

/* AffineConv is a Conv whose X is scaled and clamped first. */
static ledge_status affineconv_infer(op_ctx *c) {
  conv_f32_params p;
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  TRY(fused_conv_params(c, op_in(c, 0), op_in(c, 3), true, &p));
  TRY(check_bias(c, 1, p.channels_in));
  TRY(check_bias(c, 2, p.channels_in));
  TRY(check_bias(c, 4, p.channels_out));
  TRY(image_shape(c, p.batch, p.rank, p.out, p.channels_out));
  const tensor *r = op_in(c, 5);
  if (r && op_out(c, 0) && (r->dtype != LEDGE_F32 || !tensor_same_shape(r, op_out(c, 0))))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the residual does not have the output's shape");
  return LEDGE_OK;
}

static ledge_status affineconv_run(op_ctx *c) {
  conv_f32_params p;
  TRY(fused_conv_params(c, op_in(c, 0), op_in(c, 3), true, &p));
  TRY(fused_epilogue(c, &p.epilogue));
  const tensor *x = op_in(c, 0), *b = op_in(c, 4), *r = op_in(c, 5);
  const float *from = x->data, *scale = op_in(c, 1)->data, *shift = op_in(c, 2)->data;
  const kernel_epilogue clamp =
      kernel_epilogue_clamp(op_float(c, "pre_lo", -INFINITY), op_float(c, "pre_hi", INFINITY));
  int64_t n = tensor_elements(x), channels = p.channels_in;
  float *made = mem_alloc_array((size_t)n, sizeof *made);
  if (!made) return error_memory(c->error, (size_t)n * sizeof *made, "the image of a convolution");
  for (int64_t i = 0; i < n; i++) made[i] = kernel_act_ref(&clamp, from[i] * scale[i % channels] + shift[i % channels]);
  conv_f32_ref(&p, made, op_in(c, 3)->data, b ? b->data : NULL, r ? r->data : NULL, op_out(c, 0)->data);
  mem_free(made);
  return LEDGE_OK;
}

/* ScaledConv is a Conv whose X is multiplied by a factor of each image and channel first. */
static ledge_status scaledconv_infer(op_ctx *c) {
  conv_f32_params p;
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  TRY(fused_conv_params(c, op_in(c, 0), op_in(c, 2), true, &p));
  TRY(check_bias(c, 1, p.batch * p.channels_in));
  TRY(check_bias(c, 3, p.channels_out));
  TRY(image_shape(c, p.batch, p.rank, p.out, p.channels_out));
  const tensor *r = op_in(c, 4);
  if (r && op_out(c, 0) && (r->dtype != LEDGE_F32 || !tensor_same_shape(r, op_out(c, 0))))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the residual does not have the output's shape");
  return LEDGE_OK;
}

static ledge_status scaledconv_run(op_ctx *c) {
  conv_f32_params p;
  TRY(fused_conv_params(c, op_in(c, 0), op_in(c, 2), true, &p));
  TRY(fused_epilogue(c, &p.epilogue));
  const tensor *x = op_in(c, 0), *b = op_in(c, 3), *r = op_in(c, 4);
  const float *from = x->data, *factors = op_in(c, 1)->data;
  int64_t n = tensor_elements(x), channels = p.channels_in, image = p.batch ? n / p.batch : 0;
  float *made = mem_alloc_array((size_t)n, sizeof *made);
  if (!made) return error_memory(c->error, (size_t)n * sizeof *made, "the image of a convolution");
  for (int64_t i = 0; i < n; i++) made[i] = from[i] * factors[i / image * channels + i % channels];
  conv_f32_ref(&p, made, op_in(c, 2)->data, b ? b->data : NULL, r ? r->data : NULL, op_out(c, 0)->data);
  mem_free(made);
  return LEDGE_OK;
}

static ledge_status separable_infer(op_ctx *c) {
  separable_f32_params p;
  TRY(fused_separable_params(c, &p));
  for (int i = 0; i < p.n; i++) TRY(check_bias(c, 3 + 2 * i, p.stage[i].channels_out));
  const conv_f32_params *last = &p.stage[p.n - 1];
  TRY(image_shape(c, last->batch, last->rank, last->out, last->channels_out));
  const tensor *r = op_in(c, 1);
  if (r && op_out(c, 0) && (r->dtype != LEDGE_F32 || !tensor_same_shape(r, op_out(c, 0))))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the residual does not have the output's shape");
  return LEDGE_OK;
}

static ledge_status separable_run(op_ctx *c) {
  separable_f32_params p;
  TRY(fused_separable_params(c, &p));
  const float *x = op_in(c, 0)->data;
  float *made[SEPARABLE_MOST] = {NULL};
  ledge_status status = LEDGE_OK;
  for (int i = 0; i < p.n && !status; i++) {
    const tensor *w = op_in(c, 2 + 2 * i), *b = op_in(c, 3 + 2 * i), *r = i + 1 == p.n ? op_in(c, 1) : NULL;
    tensor out;
    stage_output(&p.stage[i], &out);
    float *y = op_out(c, 0)->data;
    if (i + 1 < p.n) y = made[i] = op_scratch(c, (size_t)tensor_elements(&out), sizeof(float));
    if (y)
      conv_f32_ref(&p.stage[i], x, w->data, b ? b->data : NULL, r ? r->data : NULL, y);
    else
      status = LEDGE_ERROR_MEMORY;
    x = y;
  }
  for (int i = 0; i < p.n; i++) op_scratch_free(made[i]);
  return status;
}

static ledge_status convtranspose_infer(op_ctx *c) {
  convtranspose_f32_params p;
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  TRY(fused_convtranspose_params(c, op_in(c, 0), op_in(c, 1), true, &p));
  TRY(check_bias(c, 2, p.channels_out));
  return image_shape(c, p.batch, p.rank, p.out, p.channels_out);
}

static ledge_status convtranspose_run(op_ctx *c) {
  convtranspose_f32_params p;
  TRY(fused_convtranspose_params(c, op_in(c, 0), op_in(c, 1), true, &p));
  TRY(fused_epilogue(c, &p.epilogue));
  const tensor *b = op_in(c, 2);
  convtranspose_f32_ref(&p, op_in(c, 0)->data, op_in(c, 1)->data, b ? b->data : NULL, op_out(c, 0)->data);
  return LEDGE_OK;
}

/* ---- pools ---- */

static ledge_status pool_infer(op_ctx *c) {
  pooling_shape s = {0};
  const tensor *x = op_in(c, 0);
  TRY(fused_pooling_shape(c, x, true, &s));
  return image_shape(c, s.batch, x->rank - 2, x->rank == 3 ? &s.out_w : (int64_t[]){s.out_h, s.out_w}, s.channels);
}

static ledge_status maxpool_run(op_ctx *c) {
  pooling_shape s;
  TRY(fused_pooling_shape(c, op_in(c, 0), true, &s));
  pooling_max_nhwc_f32(&s, op_in(c, 0)->data, op_out(c, 0)->data, c->pool);
  return LEDGE_OK;
}

static ledge_status averagepool_run(op_ctx *c) {
  pooling_shape s;
  TRY(fused_pooling_shape(c, op_in(c, 0), true, &s));
  pooling_average_nhwc_f32(&s, op_in(c, 0)->data, op_out(c, 0)->data, c->pool);
  return LEDGE_OK;
}

static ledge_status globalpool_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  if (x->dtype != LEDGE_F32) return op_fail_dtype(c, 0);
  if (x->rank < 3) return op_fail(c, LEDGE_ERROR_SHAPE, "an input of rank %d has no spatial dims", x->rank);
  int64_t ones[LEDGE_MAX_RANK];
  for (int i = 0; i < x->rank; i++) ones[i] = 1;
  return image_shape(c, x->dims[0], x->rank - 2, ones, x->dims[x->rank - 1]);
}

static ledge_status globalpool_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t channels = x->dims[x->rank - 1], hw = tensor_span(x, 1, x->rank - 1);
  const float *from = x->data;
  float *to = op_out(c, 0)->data;
  for (int64_t b = 0; b < x->dims[0]; b++) {
    for (int64_t k = 0; k < channels; k++) {
      double sum = 0;
      for (int64_t i = 0; i < hw; i++) sum += from[(b * hw + i) * channels + k];
      to[b * channels + k] = (float)(sum / (double)hw);
    }
  }
  return LEDGE_OK;
}

/* ---- MatMul ---- */

ledge_status fused_matmul_shape(op_ctx *c, const tensor *a, const tensor *b, bool b_transposed, fused_matmul *s) {
  if (a->rank < 1 || b->rank < 1) return op_fail(c, LEDGE_ERROR_SHAPE, "a scalar is no matrix");
  int b_k = b->rank == 1 ? 0 : b->rank - (b_transposed ? 1 : 2), b_n = b->rank - (b_transposed ? 2 : 1);
  *s = (fused_matmul){.m = a->rank == 1 ? 1 : a->dims[a->rank - 2],
                      .n = b->rank == 1 ? 1 : b->dims[b_n],
                      .k = a->dims[a->rank - 1],
                      .n_batch = 1};
  if (b->dims[b_k] != s->k)
    return op_fail(c, LEDGE_ERROR_SHAPE, "rows of %lld do not fit columns of %lld", (long long)s->k,
                   (long long)b->dims[b_k]);
  int a_batch = a->rank > 2 ? a->rank - 2 : 0, b_batch = b->rank > 2 ? b->rank - 2 : 0;
  s->rank = shape_broadcast(a_batch, a->dims, b_batch, b->dims, s->dims);
  if (s->rank < 0) return op_fail(c, LEDGE_ERROR_SHAPE, "the batch dims do not fit");
  if (s->rank + 2 > LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_LIMIT, "the rank is above %d", LEDGE_MAX_RANK);
  s->b_batched = shape_elements(b_batch, b->dims) != 1;
  s->n_batch = shape_elements(s->rank, s->dims);
  if (!s->b_batched && shape_elements(a_batch, a->dims) == s->n_batch) {
    s->m *= s->n_batch;
    s->n_batch = 1;
  }
  if (a->rank > 1) s->dims[s->rank++] = a->dims[a->rank - 2];
  if (b->rank > 1) s->dims[s->rank++] = s->n;
  return LEDGE_OK;
}

void fused_matmul_offsets(const fused_matmul *s, const tensor *a, const tensor *b, int64_t i, int64_t *ret_a,
                          int64_t *ret_b) {
  *ret_a = *ret_b = 0;
  if (s->n_batch == 1) return;
  int n = s->rank - (a->rank > 1) - (b->rank > 1), a_first = n - (a->rank - 2), b_first = n - (b->rank - 2);
  int64_t a_step = a->rank > 1 ? s->m * s->k : s->k, b_step = s->n * s->k;
  for (int d = n - 1; d >= 0; d--) {
    int64_t at = i % s->dims[d];
    i /= s->dims[d];
    if (a->rank > 2 && d >= a_first) {
      int64_t dim = a->dims[d - a_first];
      *ret_a += dim == 1 ? 0 : at * a_step;
      a_step *= dim;
    }
    if (b->rank > 2 && d >= b_first) {
      int64_t dim = b->dims[d - b_first];
      *ret_b += dim == 1 ? 0 : at * b_step;
      b_step *= dim;
    }
  }
}

static ledge_status matmul_infer(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1), *r = op_in(c, 3);
  fused_matmul s;
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  if (a->dtype != LEDGE_F32 || b->dtype != LEDGE_F32) return op_fail(c, LEDGE_ERROR_SHAPE, "it takes float32");
  TRY(fused_matmul_shape(c, a, b, op_int(c, "transB", 0) && b->rank > 1, &s));
  TRY(check_bias(c, 2, s.n));
  TRY(op_shape(c, 0, LEDGE_F32, s.rank, s.dims));
  if (r && op_out(c, 0) && (r->dtype != LEDGE_F32 || !tensor_same_shape(r, op_out(c, 0))))
    return op_fail(c, LEDGE_ERROR_SHAPE, "the residual does not have the output's shape");
  return LEDGE_OK;
}

static ledge_status matmul_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1), *bias = op_in(c, 2), *r = op_in(c, 3);
  bool transposed = op_int(c, "transB", 0) && b->rank > 1;
  fused_matmul s;
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  TRY(fused_matmul_shape(c, a, b, transposed, &s));
  float *y = op_out(c, 0)->data;
  for (int64_t i = 0; i < s.n_batch; i++) {
    int64_t at_a, at_b, at = i * s.m * s.n;
    fused_matmul_offsets(&s, a, b, i, &at_a, &at_b);
    gemm_f32_ref(s.m, s.n, s.k, (const float *)a->data + at_a, s.k, false, (const float *)b->data + at_b,
                 transposed ? 1 : s.n, transposed ? s.k : 1, op_float(c, "alpha", 1), bias ? bias->data : NULL,
                 r ? (const float *)r->data + at : NULL, s.n, &e, y + at, s.n);
  }
  return LEDGE_OK;
}

/* ---- ScaleShift ---- */

static ledge_status scaleshift_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  if (x->dtype != LEDGE_F32) return op_fail_dtype(c, 0);
  if (x->rank < 1) return op_fail(c, LEDGE_ERROR_SHAPE, "a scalar has no channels");
  TRY(check_bias(c, 1, x->dims[x->rank - 1]));
  TRY(check_bias(c, 2, x->dims[x->rank - 1]));
  return op_same_shape(c, 0, 0);
}

static ledge_status scaleshift_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  kernel_epilogue e;
  TRY(fused_epilogue(c, &e));
  const float *from = x->data, *scale = op_in(c, 1)->data, *shift = op_in(c, 2)->data;
  float *to = op_out(c, 0)->data;
  int64_t n = tensor_elements(x), channels = x->dims[x->rank - 1];
  for (int64_t i = 0; i < n; i++) to[i] = kernel_act_ref(&e, from[i] * scale[i % channels] + shift[i % channels]);
  return LEDGE_OK;
}

/* ---- Shuffle ---- */

static ledge_status shuffle_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  int64_t groups = op_int(c, "groups", 1), dims[LEDGE_MAX_RANK];
  if (x->rank < 1) return op_fail(c, LEDGE_ERROR_SHAPE, "a scalar has no channels");
  for (int i = 1; i < c->n_in; i++)
    if (!op_in(c, i) || op_in(c, i)->dtype != x->dtype || !tensor_same_shape(op_in(c, i), x))
      return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has another dtype or shape than the first", i);
  memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  int64_t *last = &dims[x->rank - 1];
  if (groups < 1 || (c->n_in > 1 && c->n_in != groups) || __builtin_mul_overflow(*last, (int64_t)c->n_in, last) ||
      *last % groups)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%d inputs of %lld channels do not fit %lld groups", c->n_in,
                   (long long)x->dims[x->rank - 1], (long long)groups);
  return op_shape(c, 0, x->dtype, x->rank, dims);
}

static ledge_status shuffle_run(op_ctx *c) {
  tensor *y = op_out(c, 0);
  int64_t groups = op_int(c, "groups", 1), channels = y->dims[y->rank - 1], n = channels / groups;
  int64_t in_row = channels / c->n_in, rows = channels ? tensor_elements(y) / channels : 0;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t at = 0; at < channels; at++)
      TRY(move_run(c, y, r * channels + at % n * groups + at / n, op_in(c, (int)(at / in_row)),
                   r * in_row + at % in_row, 1));
  return LEDGE_OK;
}

const op_def ops_fused[] = {
    {"ledge", "Conv", 1, 0, 2, 4, 1, 1, 0, conv_infer, conv_run},
    {"ledge", "AffineConv", 1, 0, 4, 6, 1, 1, 0, affineconv_infer, affineconv_run},
    {"ledge", "ScaledConv", 1, 0, 3, 5, 1, 1, 0, scaledconv_infer, scaledconv_run},
    {"ledge", "Separable", 1, 0, 6, 2 + 2 * SEPARABLE_MOST, 1, 1, 0, separable_infer, separable_run},
    {"ledge", "ConvTranspose", 1, 0, 2, 3, 1, 1, 0, convtranspose_infer, convtranspose_run},
    {"ledge", "MaxPool", 1, 0, 1, 1, 1, 1, 0, pool_infer, maxpool_run},
    {"ledge", "AveragePool", 1, 0, 1, 1, 1, 1, 0, pool_infer, averagepool_run},
    {"ledge", "GlobalAveragePool", 1, 0, 1, 1, 1, 1, 0, globalpool_infer, globalpool_run},
    {"ledge", "MatMul", 1, 0, 2, 4, 1, 1, 0, matmul_infer, matmul_run},
    {"ledge", "ScaleShift", 1, 0, 3, 3, 1, 1, OP_INPLACE(0), scaleshift_infer, scaleshift_run},
    {"ledge", "Shuffle", 1, 0, 1, -1, 1, 1, 0, shuffle_infer, shuffle_run},
    {0},
};
