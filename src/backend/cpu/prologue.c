/* backend/cpu/prologue: ledge.AffineConv, a convolution of x * scale + shift, clamped. Bands of rows are made in
 * scratch memory that stays in L2, and the kernel of the bare convolution, whichever it is, takes each from there:
 *
 *   for each band: scratch = clamp(x * scale + shift); y = Conv(scratch)
 *
 * So x is read once, from wherever it lies, and the product that would be written and read again in full is not. */
#include "backend/cpu/rows.h"
#include "base/cpu.h"
#include "base/error.h"
#include "kernels/norm/norm.h"
#include "ops/fused.h"

enum {
  PROLOGUE_BAND_BYTES = 256 << 10, /* where the size of L2 is not known: a quarter of it */
  PROLOGUE_WEIGHTS = 1u << 3,      /* the input that is packed */
  CONV_IN = 4,                     /* of the bare convolution: X, W, B, R */
  CONV_WEIGHTS = 1u << 1,
};

/* The bare convolution of a band; the last one may have fewer rows. */
typedef struct band {
  int64_t height;
  kernel k;
  value x, y, r;
  const value *in[CONV_IN];
  value *out[1];
} band;

typedef struct prologue_state {
  node conv; /* the bare convolution */
  band bands[2];
  int64_t batch, n, last; /* bands of an image; last: the bands[] that its last one is like */
  int64_t width, channels_in, channels_out, x_row, y_row, r_row; /* floats */
  float lo, hi;
} prologue_state;

static ledge_status prologue_run(op_ctx *c) {
  const prologue_state *s = c->kernel;
  const float *x = op_in(c, 0)->data, *scale = op_in(c, 1)->data, *shift = op_in(c, 2)->data, *r = cpu_f32(op_in(c, 5));
  float *y = op_out(c, 0)->data, *made = c->scratch;
  const size_t made_bytes = mem_align((size_t)(s->bands[0].height * s->width * s->channels_in) * sizeof *made, 64);
  for (int64_t i = 0; i < s->batch * s->n; i++) {
    band *b = (band *)&s->bands[i % s->n == s->n - 1 ? s->last : 0];
    const int64_t rows = b->height * s->width;
    norm_row_affine_f32(x, s->x_row, made, s->channels_in, rows, s->channels_in, scale, shift, s->lo, s->hi, c->pool);
    b->x.tensor.data = made;
    b->y.tensor.data = y;
    b->r.tensor.data = (float *)(uintptr_t)r;
    op_ctx conv = *c;
    conv.node = &s->conv;
    conv.def = s->conv.def;
    conv.in = b->in;
    conv.n_in = CONV_IN;
    conv.out = b->out;
    conv.kernel = b->k.state;
    conv.scratch = (char *)made + made_bytes;
    TRY(b->k.run(&conv));
    x += rows * s->x_row;
    y += rows * s->y_row;
    if (r) r += rows * s->r_row;
  }
  return LEDGE_OK;
}

static size_t prologue_scratch(const prologue_state *s) {
  size_t made = mem_align((size_t)(s->bands[0].height * s->width * s->channels_in) * sizeof(float), 64);
  size_t a = s->bands[0].k.scratch_bytes, b = s->bands[1].k.scratch_bytes;
  return made + (a > b ? a : b);
}

static bool prologue_window(void *state, int operand, int64_t row, int64_t stride, size_t *scratch_bytes) {
  prologue_state *s = state;
  if (operand == 0) {
    if (row != s->channels_in) return false;
    s->x_row = stride;
    return true;
  }
  if (operand != ~0 && operand != 5) return false;
  int inner = operand == 5 ? 3 : operand;
  for (int k = 0; k < 2; k++) {
    kernel *b = &s->bands[k].k;
    if (b->run && !(b->window && b->window(b->state, inner, row, stride, &b->scratch_bytes))) {
      if (k) (void)s->bands[0].k.window(s->bands[0].k.state, inner, row, row, &s->bands[0].k.scratch_bytes);
      return false;
    }
  }
  *(operand < 0 ? &s->y_row : &s->r_row) = stride;
  *scratch_bytes = prologue_scratch(s);
  return true;
}

/* The kernel of a band of so many rows. */
static ledge_status prepare_band(const kernel_request *r, prologue_state *s, band *b, int64_t height,
                                 ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  *b = (band){.height = height, .x.kind = VALUE_TENSOR, .y.kind = VALUE_TENSOR, .r.kind = VALUE_TENSOR};
  const int64_t x_dims[] = {1, height, x->dims[2], x->dims[3]}, y_dims[] = {1, height, y->dims[2], y->dims[3]};
  tensor_set_shape(&b->x.tensor, LEDGE_F32, 4, x_dims);
  tensor_set_shape(&b->y.tensor, LEDGE_F32, 4, y_dims);
  tensor_set_shape(&b->r.tensor, LEDGE_F32, 4, y_dims);
  b->in[0] = &b->x;
  b->in[1] = c->in[3];
  b->in[2] = c->n_in > 4 ? c->in[4] : NULL;
  b->in[3] = op_has(c, 5) ? &b->r : NULL;
  b->out[0] = &b->y;
  op_ctx conv = *c;
  conv.node = &s->conv;
  conv.def = s->conv.def;
  conv.in = b->in;
  conv.n_in = CONV_IN;
  conv.out = b->out;
  const bool constant[CONV_IN] = {false, cpu_constant(r, 3), cpu_constant(r, 4), false};
  kernel_request request = *r;
  request.ctx = &conv;
  request.constant = constant;
  return backend_cpu_prepare(&request, &b->k, error);
}

static ledge_status prologue_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *y = op_out(c, 0);
  if (x->rank != 4 || !tensor_elements(x) || !tensor_elements(y)) return LEDGE_OK;
  if (x->dims[1] != y->dims[1] || x->dims[2] != y->dims[2]) return LEDGE_OK; /* rows of y are made of those of x */
  prologue_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (prologue_state){.conv = *c->node,
                        .batch = x->dims[0],
                        .width = x->dims[2],
                        .channels_in = x->dims[3],
                        .channels_out = y->dims[3],
                        .x_row = x->dims[3],
                        .y_row = y->dims[3],
                        .r_row = y->dims[3],
                        .lo = op_float(c, "pre_lo", -INFINITY),
                        .hi = op_float(c, "pre_hi", INFINITY)};
  s->conv.op = "Conv";
  s->conv.def = ops_find("ledge", "Conv", 1);
  const int64_t height = x->dims[1], line = s->width * s->channels_in * (int64_t)sizeof(float);
  const int64_t l2 = (int64_t)cpu_cache_sizes().l2_bytes, most = l2 > 0 ? l2 / 4 : PROLOGUE_BAND_BYTES;
  int64_t each = line < most ? most / line : 1;
  s->n = (height + each - 1) / each;
  each = (height + s->n - 1) / s->n;
  for (int64_t even = each; 2 * even > each; even--) /* equal bands have one plan, and weights packed once */
    if (height % even == 0) {
      each = even;
      break;
    }
  s->n = (height + each - 1) / each;
  const int64_t rest = height - (s->n - 1) * each;
  TRY(prepare_band(r, s, &s->bands[0], each, error));
  if (!s->bands[0].k.run) return LEDGE_OK;
  if (rest != each) {
    s->last = 1;
    TRY(prepare_band(r, s, &s->bands[1], rest, error));
    if (!s->bands[1].k.run) return LEDGE_OK;
  }
  const kernel *k = &s->bands[0].k;
  double per_row = k->multiply_adds / (double)each;
  *ret = (kernel){.run = prologue_run,
                  .state = s,
                  .scratch_bytes = prologue_scratch(s),
                  .name = k->name,
                  .multiply_adds = per_row * (double)(height * s->batch),
                  .any_address = k->any_address & CONV_WEIGHTS ? PROLOGUE_WEIGHTS : 0,
                  .window = prologue_window};
  return LEDGE_OK;
}

const cpu_row cpu_rows_prologue[] = {
    {"ledge", "AffineConv", prologue_prepare, PROLOGUE_WEIGHTS},
    {0},
};
