/* ops/tflite_recurrent: TensorFlow Lite's recurrent layers whose state lasts from run to run: it comes in, and goes out
 * as further outputs.
 *
 *   Lstm   24 inputs as UNIDIRECTIONAL_SEQUENCE_LSTM has them (x; weights of the gates i, f, c, o by input, by output
 *          and by cell; biases; projection and its bias; output state; cell state; layer norms); y, output state, cell
 *          state. float32, or 8-bit with 16-bit cells: then `scales` and `zeros` are by input, and those of the hidden
 *          output before the projection
 *   Svdf   x, feature weights [filters, inputs], time weights [filters, memory], bias?, state [batch, filters *
 * memory]; y [batch, filters / rank], state
 *
 * Sources: Hochreiter and Schmidhuber, 1997; Nakkiran et al., 2015 (SVDF); TensorFlow Lite's lstm_eval and svdf for the
 * order of the roundings. */
#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/tflite.h"
#include "ops/tflite_fixed.h"

#include <math.h>

enum {
  X = 0,
  BY_INPUT = 1,
  BY_OUTPUT = 5,
  BY_CELL = 9,
  BIAS = 12,
  PROJECTION = 16,
  PROJECTION_BIAS = 17,
  STATE = 18,
  CELL = 19,
  NORM = 20,
  LSTM_INPUTS = 24,
  HIDDEN = 24
};
enum { GATE_I, GATE_F, GATE_C, GATE_O, GATES };

typedef struct lstm_shape {
  int64_t steps, batch, input, cells, outputs;
  bool time_major, integer;
} lstm_shape;

static bool has_dims(const tensor *t, int rank, int64_t a, int64_t b) {
  return t && t->rank == rank && t->dims[0] == a && (rank < 2 || t->dims[1] == b);
}

/* The element counts of all inputs against each other. */
static ledge_status lstm_read(op_ctx *c, lstm_shape *s) {
  const tensor *x = op_in(c, X), *w = op_in(c, BY_INPUT + GATE_F), *r = op_in(c, BY_OUTPUT + GATE_F),
               *state = op_in(c, STATE), *cell = op_in(c, CELL);
  if (!x || !w || !r || !state || !cell) return op_fail(c, LEDGE_ERROR_FORMAT, "a weight or state is missing");
  if ((x->rank != 2 && x->rank != 3) || w->rank != 2 || r->rank != 2)
    return op_fail(c, LEDGE_ERROR_SHAPE, "an input of %d dims and weights of %d and %d", x->rank, w->rank, r->rank);
  bool time_major = op_int(c, "time_major", 0) != 0;
  *s = (lstm_shape){.time_major = time_major,
                    .steps = x->rank == 2 ? 1 : x->dims[time_major ? 0 : 1],
                    .batch = x->rank == 2 ? x->dims[0] : x->dims[time_major ? 1 : 0],
                    .input = x->dims[x->rank - 1],
                    .cells = w->dims[0],
                    .outputs = r->dims[1],
                    .integer = x->dtype == LEDGE_I8};
  ledge_dtype weights = s->integer ? LEDGE_I8 : LEDGE_F32, biases = s->integer ? LEDGE_I32 : LEDGE_F32,
              cells = s->integer ? LEDGE_I16 : LEDGE_F32;
  if (x->dtype != weights || state->dtype != weights || cell->dtype != cells) return op_fail_dtype(c, X);
  bool fits = has_dims(state, 2, s->batch, s->outputs) && has_dims(cell, 2, s->batch, s->cells);
  for (int g = 0; g < GATES && fits; g++) {
    const tensor *in = op_in(c, BY_INPUT + g), *out = op_in(c, BY_OUTPUT + g), *b = op_in(c, BIAS + g);
    if (g == GATE_I && !in && !out) continue; /* the input gate is what the forget gate leaves */
    fits = has_dims(in, 2, s->cells, s->input) && has_dims(out, 2, s->cells, s->outputs) && in->dtype == weights &&
           out->dtype == weights && (!b || (has_dims(b, 1, s->cells, 0) && b->dtype == biases));
  }
  for (int g = 0; g < 3 && fits; g++) {
    const tensor *p = op_in(c, BY_CELL + g);
    fits = !p || (has_dims(p, 1, s->cells, 0) && p->dtype == cells);
  }
  for (int g = 0; g < GATES && fits; g++) {
    const tensor *n = op_in(c, NORM + g);
    if (n && s->integer) return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "layer norm of integers");
    fits = !n || (has_dims(n, 1, s->cells, 0) && n->dtype == LEDGE_F32);
  }
  const tensor *p = op_in(c, PROJECTION), *pb = op_in(c, PROJECTION_BIAS);
  fits = fits && (p ? has_dims(p, 2, s->outputs, s->cells) && p->dtype == weights : s->outputs == s->cells) &&
         (!pb || (has_dims(pb, 1, s->outputs, 0) && pb->dtype == biases));
  return fits ? LEDGE_OK : op_fail(c, LEDGE_ERROR_SHAPE, "weights, biases or states that do not fit each other");
}

static ledge_status lstm_infer(op_ctx *c) {
  const tensor *x = op_in(c, X);
  lstm_shape s;
  TRY(lstm_read(c, &s));
  if (s.integer) {
    int64_t n, n_zeros;
    const float *scales = op_floats(c, "scales", &n);
    const int64_t *zeros = op_ints(c, "zeros", &n_zeros);
    if (!scales || !zeros || n != LSTM_INPUTS + 1 || n_zeros != n)
      return op_fail(c, LEDGE_ERROR_FORMAT, "scales that are none");
    for (int i = 0; i <= LSTM_INPUTS; i++)
      if (i == LSTM_INPUTS || op_in(c, i))
        if ((i < BIAS || i > BIAS + 3) && i != PROJECTION_BIAS && !(scales[i] > 0))
          return op_fail(c, LEDGE_ERROR_FORMAT, "scale %d is %g", i, (double)scales[i]);
    int e;
    if (frexpf(scales[CELL], &e) != 0.5f || e - 1 + 15 < 0 || e - 1 + 15 > 6)
      return op_fail(c, LEDGE_ERROR_UNSUPPORTED, "a cell's scale of %g, which is no power of two from 2^-15 to 2^-9",
                     (double)scales[CELL]);
  }
  TRY(op_last_dim(c, 0, X, s.outputs));
  if (op_wants(c, 0)) op_out(c, 0)->dtype = x->dtype;
  TRY(op_same_shape(c, 1, STATE));
  return op_same_shape(c, 2, CELL);
}

/* ---- floats ---- */

typedef struct float_lstm {
  const op_ctx *c;
  lstm_shape s;
  float *gates[GATES]; /* of one entry */
  float clip, projection_clip;
} float_lstm;

static const float *f32_in(const op_ctx *c, int i) {
  const tensor *t = op_in(c, i);
  return t ? t->data : NULL;
}

static void add_product(const float *w, const float *x, int64_t rows, int64_t n, float *y) {
  for (int64_t i = 0; i < rows; i++) {
    float sum = 0;
    for (int64_t j = 0; j < n; j++) sum += w[i * n + j] * x[j];
    y[i] += sum;
  }
}

static float bounded(float v, float clip) { return clip > 0 ? fminf(fmaxf(v, -clip), clip) : v; }
static float sigmoid(float v) { return 1 / (1 + expf(-v)); }

/* Sums of gate g, normed where the layer says so, and then its bias. */
static void float_gate(const float_lstm *l, int g, const float *x, const float *h, const float *cell) {
  const lstm_shape *s = &l->s;
  const float *bias = f32_in(l->c, BIAS + g), *norm = f32_in(l->c, NORM + g);
  const float *peep = g == GATE_C ? NULL : f32_in(l->c, BY_CELL + (g == GATE_O ? 2 : g));
  float *y = l->gates[g];
  for (int64_t i = 0; i < s->cells; i++) y[i] = norm || !bias ? 0 : bias[i];
  add_product(f32_in(l->c, BY_INPUT + g), x, s->cells, s->input, y);
  add_product(f32_in(l->c, BY_OUTPUT + g), h, s->cells, s->outputs, y);
  for (int64_t i = 0; peep && i < s->cells; i++) y[i] += peep[i] * cell[i];
  if (!norm) return;
  float mean = 0, variance = 0;
  for (int64_t i = 0; i < s->cells; i++) mean += y[i] / (float)s->cells;
  for (int64_t i = 0; i < s->cells; i++) variance += (y[i] - mean) * (y[i] - mean) / (float)s->cells;
  float by = 1 / sqrtf(variance + 1e-8f);
  for (int64_t i = 0; i < s->cells; i++) y[i] = (y[i] - mean) * by * norm[i] + (bias ? bias[i] : 0);
}

static void float_step(const float_lstm *l, const float *x, float *h, float *cell, float *y) {
  const lstm_shape *s = &l->s;
  bool coupled = !op_in(l->c, BY_INPUT);
  if (!coupled) float_gate(l, GATE_I, x, h, cell);
  float_gate(l, GATE_F, x, h, cell);
  float_gate(l, GATE_C, x, h, cell);
  for (int64_t i = 0; i < s->cells; i++) {
    float f = sigmoid(l->gates[GATE_F][i]), in = coupled ? 1 - f : sigmoid(l->gates[GATE_I][i]);
    cell[i] = bounded(f * cell[i] + in * tanhf(l->gates[GATE_C][i]), l->clip);
  }
  float_gate(l, GATE_O, x, h, cell);
  float *o = l->gates[GATE_O];
  for (int64_t i = 0; i < s->cells; i++) o[i] = sigmoid(o[i]) * tanhf(cell[i]);
  const float *p = f32_in(l->c, PROJECTION), *bias = f32_in(l->c, PROJECTION_BIAS);
  if (p) {
    for (int64_t i = 0; i < s->outputs; i++) y[i] = bias ? bias[i] : 0;
    add_product(p, o, s->outputs, s->cells, y);
    for (int64_t i = 0; i < s->outputs; i++) y[i] = bounded(y[i], l->projection_clip);
  } else {
    memcpy(y, o, (size_t)s->outputs * sizeof *y);
  }
  memcpy(h, y, (size_t)s->outputs * sizeof *h);
}

/* ---- integers ---- */

typedef struct factor {
  int32_t m, shift;
} factor;

typedef struct fixed_lstm {
  const op_ctx *c;
  lstm_shape s;
  factor by_input[GATES], by_output[GATES], by_cell[3], hidden, projection;
  int32_t x_zero, h_zero, hidden_zero;
  int cell_log2; /* of the cell's scale */
  int32_t clip, projection_clip;
  int16_t *gates[GATES];
  int8_t *before; /* the output before the projection */
} fixed_lstm;

static factor factor_of(double v) {
  factor f;
  fixed_multiplier(v, &f.m, &f.shift);
  return f;
}

static int32_t clamp(int64_t v, int32_t least, int32_t most) {
  return (int32_t)(v < least ? least : v > most ? most : v);
}

static void fixed_lstm_init(fixed_lstm *l) {
  int64_t n;
  const float *scale = op_floats(l->c, "scales", &n);
  const int64_t *zero = op_ints(l->c, "zeros", &n);
  const double gate = 1.0 / 4096; /* gates are of Q3.12 before their functions */
  for (int g = 0; g < GATES; g++) {
    l->by_input[g] = factor_of((double)scale[BY_INPUT + g] * (double)scale[X] / gate);
    l->by_output[g] = factor_of((double)scale[BY_OUTPUT + g] * (double)scale[STATE] / gate);
  }
  for (int g = 0; g < 3; g++) l->by_cell[g] = factor_of((double)scale[CELL] * (double)scale[BY_CELL + g] / gate);
  l->hidden = factor_of(ldexp(1, -15) / (double)scale[HIDDEN] * ldexp(1, -15));
  l->projection = factor_of((double)scale[PROJECTION] * (double)scale[HIDDEN] / (double)scale[STATE]);
  l->x_zero = (int32_t)zero[X], l->h_zero = (int32_t)zero[STATE], l->hidden_zero = (int32_t)zero[HIDDEN];
  frexp((double)scale[CELL], &l->cell_log2);
  l->cell_log2--;
  float clip = op_float(l->c, "cell_clip", 0), projection_clip = op_float(l->c, "proj_clip", 0);
  l->clip = clip > 0 ? clamp((int64_t)fminf(clip / scale[CELL], 32767), 0, 32767) : 0;
  l->projection_clip = projection_clip > 0 ? clamp((int64_t)fminf(projection_clip / scale[STATE], 127), 0, 127) : 0;
}

/* One row of weights with its input, from which the zero point is taken; the products of the zero point are part of
 * the bias in the source, which is the same in exact sums. */
static int32_t row_sum(const int8_t *w, const int8_t *x, int64_t n, int32_t zero, int32_t start) {
  uint32_t sum = (uint32_t)start;
  for (int64_t j = 0; j < n; j++) sum += (uint32_t)(w[j] * (x[j] - zero));
  return (int32_t)sum;
}

static void fixed_gate(const fixed_lstm *l, int g, const int8_t *x, const int8_t *h, const int16_t *cell) {
  const lstm_shape *s = &l->s;
  const tensor *b = op_in(l->c, BIAS + g), *p = g == GATE_C ? NULL : op_in(l->c, BY_CELL + (g == GATE_O ? 2 : g));
  const int8_t *w = op_in(l->c, BY_INPUT + g)->data, *r = op_in(l->c, BY_OUTPUT + g)->data;
  factor fi = l->by_input[g], fo = l->by_output[g], fp = l->by_cell[g == GATE_O ? 2 : g == GATE_C ? 0 : g];
  for (int64_t i = 0; i < s->cells; i++) {
    int32_t sum = row_sum(w + i * s->input, x, s->input, l->x_zero, b ? ((const int32_t *)b->data)[i] : 0);
    int32_t v = clamp(fixed_apply(sum, fi.m, fi.shift), INT16_MIN, INT16_MAX);
    sum = row_sum(r + i * s->outputs, h, s->outputs, l->h_zero, 0);
    v = clamp((int64_t)fixed_apply(sum, fo.m, fo.shift) + v, INT16_MIN, INT16_MAX);
    if (p) {
      int32_t product = ((const int16_t *)p->data)[i] * cell[i];
      v = clamp((int64_t)fixed_apply(product, fp.m, fp.shift) + v, INT16_MIN, INT16_MAX);
    }
    l->gates[g][i] = (int16_t)(g == GATE_C ? tflite_tanh(16, 3, v) : tflite_logistic(16, 3, v));
  }
}

static void fixed_step(const fixed_lstm *l, const int8_t *x, int8_t *h, int16_t *cell, int8_t *y) {
  const lstm_shape *s = &l->s;
  bool coupled = !op_in(l->c, BY_INPUT);
  int by = 30 + l->cell_log2;
  if (!coupled) fixed_gate(l, GATE_I, x, h, cell);
  fixed_gate(l, GATE_F, x, h, cell);
  fixed_gate(l, GATE_C, x, h, cell);
  for (int64_t i = 0; i < s->cells; i++) {
    int32_t f = l->gates[GATE_F][i], in = coupled ? 32767 - f : l->gates[GATE_I][i];
    int32_t kept = (int16_t)fixed_shift_right(f * cell[i], 15);
    int32_t added = (int16_t)fixed_shift_right(in * l->gates[GATE_C][i], by);
    int32_t v = clamp((int64_t)kept + added, INT16_MIN, INT16_MAX);
    cell[i] = (int16_t)(l->clip ? clamp(v, -l->clip, l->clip) : v);
  }
  fixed_gate(l, GATE_O, x, h, cell);
  const tensor *p = op_in(l->c, PROJECTION), *b = op_in(l->c, PROJECTION_BIAS);
  int8_t *out = p ? l->before : y;
  for (int64_t i = 0; i < s->cells; i++) {
    int32_t v = l->gates[GATE_O][i] * tflite_tanh(16, 15 + l->cell_log2, cell[i]);
    out[i] = (int8_t)clamp((int64_t)fixed_apply(v, l->hidden.m, l->hidden.shift) + l->hidden_zero, -128, 127);
  }
  for (int64_t i = 0; p && i < s->outputs; i++) {
    int32_t sum = row_sum((const int8_t *)p->data + i * s->cells, out, s->cells, l->hidden_zero,
                          b ? ((const int32_t *)b->data)[i] : 0);
    int32_t v = clamp((int64_t)fixed_apply(sum, l->projection.m, l->projection.shift) + l->h_zero, -128, 127);
    y[i] = (int8_t)(l->projection_clip ? clamp(v, -l->projection_clip, l->projection_clip) : v);
  }
  memcpy(h, y, (size_t)s->outputs);
}

/* ---- both ---- */

static ledge_status lstm_run(op_ctx *c) {
  lstm_shape s;
  TRY(lstm_read(c, &s));
  size_t each = s.integer ? 2 : 4, element = s.integer ? 1 : 4;
  size_t state_bytes = (size_t)(s.batch * s.outputs) * element, cell_bytes = (size_t)(s.batch * s.cells) * each;
  size_t gates_bytes = (size_t)s.cells * each, y_bytes = (size_t)(s.steps * s.batch * s.outputs) * element;
  char *scratch = op_scratch(c, GATES * gates_bytes + (size_t)s.cells + state_bytes + cell_bytes + y_bytes + 256, 1);
  if (!scratch) return LEDGE_ERROR_MEMORY;
  char *gates = scratch, *cell = gates + GATES * gates_bytes, *h = cell + mem_align(cell_bytes, 16),
       *own_y = h + mem_align(state_bytes, 16), *before = own_y + mem_align(y_bytes, 16);
  memcpy(h, op_in(c, STATE)->data, state_bytes);
  memcpy(cell, op_in(c, CELL)->data, cell_bytes);
  float_lstm fl = {.c = c, .s = s, .clip = op_float(c, "cell_clip", 0), .projection_clip = op_float(c, "proj_clip", 0)};
  fixed_lstm il = {.c = c, .s = s, .before = (int8_t *)before};
  for (int g = 0; g < GATES; g++) {
    fl.gates[g] = (float *)(void *)(gates + (size_t)g * gates_bytes);
    il.gates[g] = (int16_t *)(void *)(gates + (size_t)g * gates_bytes);
  }
  if (s.integer) fixed_lstm_init(&il);
  char *y = op_wants(c, 0) ? op_out(c, 0)->data : own_y;
  const char *x = op_in(c, X)->data;
  for (int64_t t = 0; t < s.steps; t++)
    for (int64_t b = 0; b < s.batch; b++) {
      size_t at = (size_t)(s.time_major ? t * s.batch + b : b * s.steps + t);
      const void *from = x + at * (size_t)s.input * element;
      void *to = y + at * (size_t)s.outputs * element, *hb = h + (size_t)(b * s.outputs) * element,
           *cb = cell + (size_t)(b * s.cells) * each;
      s.integer ? fixed_step(&il, from, hb, cb, to) : float_step(&fl, from, hb, cb, to);
    }
  if (op_wants(c, 1)) memcpy(op_out(c, 1)->data, h, state_bytes);
  if (op_wants(c, 2)) memcpy(op_out(c, 2)->data, cell, cell_bytes);
  op_scratch_free(scratch);
  return LEDGE_OK;
}

/* ---- Svdf ---- */

static ledge_status svdf_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0), *wf = op_in(c, 1), *wt = op_in(c, 2), *b = op_in(c, 3), *state = op_in(c, 4);
  int64_t rank = op_int(c, "rank", 1);
  bool integer = x->dtype == LEDGE_I8;
  if (!state || x->rank != 2 || wf->rank != 2 || wt->rank != 2 || state->rank != 2 || rank < 1 ||
      wf->dims[1] != x->dims[1] || wt->dims[0] != wf->dims[0] || wf->dims[0] % rank || wt->dims[1] < 1 ||
      state->dims[0] != x->dims[0] || state->dims[1] != wf->dims[0] * wt->dims[1] ||
      (b && tensor_elements(b) != wf->dims[0] / rank))
    return op_fail(c, LEDGE_ERROR_SHAPE, "weights, bias or state that do not fit each other");
  if (integer ? wf->dtype != LEDGE_I8 || wt->dtype != state->dtype ||
                    (wt->dtype != LEDGE_I16 && wt->dtype != LEDGE_I8) || (b && b->dtype != LEDGE_I32)
              : x->dtype != LEDGE_F32 || wf->dtype != LEDGE_F32 || wt->dtype != LEDGE_F32 ||
                    state->dtype != LEDGE_F32 || (b && b->dtype != LEDGE_F32))
    return op_fail_dtype(c, 0);
  TRY(op_shape(c, 0, x->dtype, 2, (int64_t[]){x->dims[0], wf->dims[0] / rank}));
  return op_same_shape(c, 1, 4);
}

/* Each filter's memory moves on by one place, the newest goes in at its end; the sum over its places, weighted. */
static ledge_status svdf_run(op_ctx *c) {
  const tensor *x = op_in(c, 0), *wf = op_in(c, 1), *wt = op_in(c, 2), *b = op_in(c, 3), *state = op_in(c, 4);
  int64_t batch = x->dims[0], n = x->dims[1], filters = wf->dims[0], memory = wt->dims[1], rank = op_int(c, "rank", 1);
  int64_t units = filters / rank, k;
  bool integer = x->dtype == LEDGE_I8, wide = state->dtype == LEDGE_I16;
  const float *scales = op_floats(c, "scales", &k); /* x, features, time, state, y */
  int32_t x_zero = (int32_t)op_int(c, "x_zero", 0), s_zero = (int32_t)op_int(c, "state_zero", 0),
          y_zero = (int32_t)op_int(c, "y_zero", 0);
  factor first = {0}, second = {0};
  if (integer) {
    if (!scales || k != 5) return op_fail(c, LEDGE_ERROR_FORMAT, "scales that are none");
    first = factor_of((double)(scales[0] * scales[1] / scales[3]));
    second = factor_of((double)(scales[3] * scales[2] / scales[4]));
  }
  tensor own = *state, *next = op_wants(c, 1) ? op_out(c, 1) : &own;
  void *scratch = NULL;
  if (next == &own && !(own.data = scratch = op_scratch(c, tensor_bytes(state) + 1, 1))) return LEDGE_ERROR_MEMORY;
  size_t each = dtype_bytes(state->dtype);
  for (int64_t i = 0; i < batch * filters; i++) { /* the memories of all, one place on */
    char *to = (char *)next->data + (size_t)(i * memory) * each;
    memmove(to, (const char *)state->data + (size_t)(i * memory + 1) * each, (size_t)(memory - 1) * each);
  }
  for (int64_t i = 0; i < batch; i++)
    for (int64_t u = 0; u < units; u++) {
      int32_t sum = b && integer ? ((const int32_t *)b->data)[u] : 0;
      float real = b && !integer ? ((const float *)b->data)[u] : 0;
      for (int64_t r = 0; r < rank; r++) {
        int64_t f = u * rank + r, at = (i * filters + f) * memory;
        if (!integer) {
          float v = 0, y = 0;
          for (int64_t j = 0; j < n; j++)
            v += ((const float *)wf->data)[f * n + j] * ((const float *)x->data)[i * n + j];
          ((float *)next->data)[at + memory - 1] = v;
          for (int64_t m = 0; m < memory; m++)
            y += ((const float *)wt->data)[f * memory + m] * ((float *)next->data)[at + m];
          real += y;
          continue;
        }
        int32_t v = row_sum((const int8_t *)wf->data + f * n, (const int8_t *)x->data + i * n, n, x_zero, 0);
        v = clamp(fixed_apply(v, first.m, first.shift), wide ? INT16_MIN : INT8_MIN, wide ? INT16_MAX : INT8_MAX);
        dtype_store_i64(next->dtype, next->data, at + memory - 1, v + s_zero);
        for (int64_t m = 0; m < memory; m++)
          sum = (int32_t)((uint32_t)sum +
                          (uint32_t)(tensor_i64(wt, f * memory + m) * (tensor_i64(next, at + m) - s_zero)));
      }
      if (!op_wants(c, 0)) continue;
      tensor *y = op_out(c, 0);
      if (integer)
        ((int8_t *)y->data)[i * units + u] =
            (int8_t)clamp((int64_t)fixed_apply(sum, second.m, second.shift) + y_zero, -128, 127);
      else
        ((float *)y->data)[i * units + u] = real;
    }
  op_scratch_free(scratch);
  return LEDGE_OK;
}

const op_def ops_tflite_recurrent[] = {
    {"tflite", "Lstm", 1, 0, 1, 24, 1, 3, 0, lstm_infer, lstm_run},
    {"tflite", "Svdf", 1, 0, 5, 5, 1, 2, 0, svdf_infer, svdf_run},
    {0},
};
