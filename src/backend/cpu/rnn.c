/* backend/cpu/rnn: LSTM, GRU and RNN of float32 with constant weights; the first two with default activations.
 *
 *   gates[t] = X[t] W + biases        all steps at once, one matrix product
 *   gates[t] += H[t-1] R              a product of `batch` rows a step, R packed
 *   H[t], C[t]                        one fused step (kernels/rnn)
 *
 * RNN's step is the product alone, whose epilogue is the activation. A single batch entry's steps of the others are one
 * call each, product included (rnn_row); two directions of it run side by side. GRU: with linear_before_reset H R is
 * kept apart for the candidate gate; without, the candidate's product waits for the reset gate. Scratch: gates of all
 * steps, the recurrent product, H and C, and what the products ask for. */
#include "kernels/rnn/rnn.h"
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "base/map.h"
#include "kernels/gemm/gemm.h"

typedef struct rnn_direction {
  const float *w, *r, *r_late; /* packed; r_late: GRU's candidate gate where it waits for the reset */
  const float *bias;           /* of the gates */
  const float *late_bias;      /* GRU, linear_before_reset: [0, 0, recurrent bias of the candidate] */
  rnn_options options;
  rnn_row row; /* packed: NULL where steps are a product and a step */
} rnn_direction;

enum { RNN_WEIGHTS = 1u << 1 | 1u << 2 }; /* the inputs that are packed */

typedef struct rnn_state {
  bool lstm, gru, reset_after, reverse; /* neither lstm nor gru: RNN; reset_after: linear_before_reset */
  bool by_row, apart;                   /* steps of rnn_row; gates of both directions at once, for a thread each */
  int64_t steps, batch, input, hidden, directions, gates;
  gemm_f32_plan in, rec, late; /* RNN: rec and late are the directions', which differ in activation */
  rnn_direction dir[2];
  size_t at_gates, at_rec, at_h, at_c, at_gemm; /* offsets in the scratch, bytes */
} rnn_state;

static float *at(const op_ctx *c, size_t offset) { return (float *)((char *)c->scratch + offset); }

/* What one direction works in. */
typedef struct rnn_work {
  float *gates, *rec, *cell, *h;
} rnn_work;

static rnn_work work_of(op_ctx *c, const rnn_state *s, int64_t d) {
  int64_t block = s->batch * s->hidden, own = s->apart ? d : 0;
  return (rnn_work){at(c, s->at_gates) + own * s->steps * s->gates * block, at(c, s->at_rec) + own * s->gates * block,
                    at(c, s->at_c) + own * block, at(c, s->at_h) + own * 2 * block};
}

/* X W + biases of all steps, and the state before the first. */
static void rnn_begin(op_ctx *c, const rnn_state *s, int64_t d) {
  const rnn_direction *k = &s->dir[d];
  const rnn_work w = work_of(c, s, d);
  int64_t block = s->batch * s->hidden, width = s->gates * s->hidden;
  gemm_f32_args in = {s->steps * s->batch, op_in(c, 0)->data, s->input, k->w, k->bias, NULL, 0, w.gates, width};
  gemm_f32_run(&s->in, &in, at(c, s->at_gemm), c->pool);
  const float *h0 = cpu_f32(op_in(c, 5)), *c0 = s->lstm ? cpu_f32(op_in(c, 6)) : NULL;
  size_t bytes = (size_t)block * sizeof(float);
  if (h0)
    memcpy(w.h, h0 + d * block, bytes);
  else
    memset(w.h, 0, bytes);
  if (c0)
    memcpy(w.cell, c0 + d * block, bytes);
  else
    memset(w.cell, 0, bytes);
}

/* A step of all batch entries, g their gates. */
static void rnn_step(op_ctx *c, const rnn_state *s, const rnn_direction *k, const rnn_work *w, float *g,
                     const float *before, float *to) {
  int64_t n = s->hidden, width = s->gates * n;
  void *scratch = at(c, s->at_gemm);
  float *rec = w->rec;
  if (!s->lstm && !s->gru) {
    gemm_f32_args product = {s->batch, before, n, k->r, NULL, g, width, to, n};
    gemm_f32_run(k == s->dir ? &s->rec : &s->late, &product, scratch, NULL);
  } else if (s->lstm) {
    gemm_f32_args product = {s->batch, before, n, k->r, NULL, g, width, g, width};
    gemm_f32_run(&s->rec, &product, scratch, NULL);
    rnn_lstm_step_f32(&k->options, g, width, w->cell, w->cell, to, n, s->batch, n);
  } else if (s->reset_after) {
    gemm_f32_args product = {s->batch, before, n, k->r, k->late_bias, NULL, 0, rec, width};
    gemm_f32_run(&s->rec, &product, scratch, NULL);
    for (int64_t b = 0; b < s->batch; b++)
      for (int64_t j = 0; j < 2 * n; j++) g[b * width + j] += rec[b * width + j];
    rnn_gru_step_f32(&k->options, g, width, rec + 2 * n, width, before, n, to, n, s->batch, n);
  } else {
    gemm_f32_args product = {s->batch, before, n, k->r, NULL, g, width, g, width};
    gemm_f32_run(&s->rec, &product, scratch, NULL);
    rnn_gru_reset_f32(&k->options, g, width, before, n, rec, n, s->batch, n);
    gemm_f32_args late = {s->batch, rec, n, k->r_late, NULL, g + 2 * n, width, g + 2 * n, width};
    gemm_f32_run(&s->late, &late, scratch, NULL);
    rnn_gru_step_f32(&k->options, g, width, NULL, 0, before, n, to, n, s->batch, n);
  }
}

/* One direction's steps. y: where H goes, `stride` floats from step to step; NULL: only the last is wanted. */
static void rnn_steps(op_ctx *c, const rnn_state *s, int64_t d, float *y, int64_t stride) {
  const rnn_direction *k = &s->dir[d];
  const rnn_work w = work_of(c, s, d);
  int64_t n = s->hidden, width = s->gates * n, block = s->batch * n;
  bool backward = s->reverse || d == 1;
  const float *before = w.h;
  for (int64_t i = 0; i < s->steps; i++) {
    int64_t t = backward ? s->steps - 1 - i : i;
    float *g = w.gates + t * s->batch * width, *to = y ? y + t * stride : before == w.h ? w.h + block : w.h;
    if (!s->by_row)
      rnn_step(c, s, k, &w, g, before, to);
    else if (s->lstm)
      rnn_lstm_row_f32(&k->row, g, before, w.cell, to, n, i & 1);
    else
      rnn_gru_row_f32(&k->row, g, before, w.rec, to, n, i & 1);
    before = to;
  }
  tensor *last = op_out(c, 1), *last_c = s->lstm ? op_out(c, 2) : NULL;
  size_t bytes = (size_t)block * sizeof(float);
  if (last) memcpy((float *)last->data + d * block, before, bytes);
  if (last_c) memcpy((float *)last_c->data + d * block, w.cell, bytes);
}

static void rnn_body(void *arg, int64_t begin, int64_t end, int worker) {
  op_ctx *c = arg;
  const rnn_state *s = c->kernel;
  tensor *y = op_out(c, 0);
  int64_t block = s->batch * s->hidden;
  for (int64_t d = begin; d < end; d++)
    rnn_steps(c, s, d, y ? (float *)y->data + d * block : NULL, s->directions * block);
}

static ledge_status rnn_run(op_ctx *c) {
  const rnn_state *s = c->kernel;
  for (int64_t d = 0; d < s->directions; d++) {
    rnn_begin(c, s, d);
    if (!s->apart) rnn_body(c, d, d + 1, 0);
  }
  if (s->apart) pool_run(c->pool, s->directions, 1, rnn_body, c);
  return LEDGE_OK;
}

/* ---- preparing ---- */

typedef struct rnn_pack_args {
  const gemm_f32_plan *plan;
  const void *w;
} rnn_pack_args;

/* W and R are stored [gate rows, inner]: transposed for the product. */
static void rnn_pack(const void *arg, void *dst) {
  const rnn_pack_args *a = arg;
  gemm_f32_pack_b(a->plan, a->w, 1, a->plan->params.k, 1, dst, NULL);
}

static ledge_status rnn_packed(const kernel_request *r, const gemm_f32_plan *plan, const unaligned_f32 *w,
                               const float **ret, ledge_error *error) {
  const int64_t key[] = {plan->params.n, plan->params.k};
  const rnn_pack_args args = {plan, w};
  const void *packed;
  const weight_packing packing = {.kind = "rnn_f32",
                                  .params = key,
                                  .n_params = 2,
                                  .variant = plan->variant,
                                  .bytes = plan->packed_b_bytes,
                                  .pack = rnn_pack,
                                  .arg = &args};
  TRY(weight_store_get(r->weights, w, (size_t)(plan->params.n * plan->params.k) * sizeof *w, &packing, &packed, error));
  *ret = packed;
  return LEDGE_OK;
}

typedef struct row_pack_args {
  int n_gates;
  int64_t hidden;
  const void *r;
} row_pack_args;

static void row_pack(const void *arg, void *dst) {
  const row_pack_args *a = arg;
  rnn_pack_f32(rnn_kernels_best(), a->n_gates, a->hidden, a->r, dst);
}

/* n_gates gates of R for steps of one entry. */
static ledge_status row_packed(const kernel_request *r, int n_gates, int64_t hidden, const unaligned_f32 *w,
                               const float **ret, ledge_error *error) {
  const int64_t key[] = {n_gates, hidden};
  const row_pack_args args = {n_gates, hidden, w};
  const void *packed;
  const weight_packing packing = {.kind = "rnn_row_f32",
                                  .params = key,
                                  .n_params = 2,
                                  .variant = rnn_kernels_best(),
                                  .bytes = rnn_packed_bytes(rnn_kernels_best(), n_gates, hidden),
                                  .pack = row_pack,
                                  .arg = &args};
  TRY(weight_store_get(r->weights, w, (size_t)(n_gates * hidden * hidden) * sizeof *w, &packing, &packed, error));
  *ret = packed;
  return LEDGE_OK;
}

/* The recurrent weights of one direction, as its steps want them. */
static ledge_status rnn_recurrent(const kernel_request *r, const rnn_state *s, rnn_direction *k,
                                  const unaligned_f32 *own, ledge_error *error) {
  int64_t n = s->hidden;
  bool late = s->gru && !s->reset_after;
  int early = late ? 2 : (int)s->gates;
  if (!s->by_row) {
    TRY(rnn_packed(r, &s->rec, own, &k->r, error));
    return late ? rnn_packed(r, &s->late, own + 2 * n * n, &k->r_late, error) : LEDGE_OK;
  }
  k->row = (rnn_row){.clip = k->options.clip, .late_bias = k->late_bias + (s->gates - 1) * n};
  TRY(row_packed(r, early, n, own, &k->row.packed, error));
  return late ? row_packed(r, 1, n, own + 2 * n * n, &k->row.packed_late, error) : LEDGE_OK;
}

/* The biases of one direction, added up as the steps want them. */
static ledge_status rnn_bias(const kernel_request *r, rnn_state *s, const float *b, int64_t d, ledge_error *error) {
  int64_t n = s->hidden, width = s->gates * n;
  float *bias = cpu_state(r, (size_t)width * 2 * sizeof *bias, error);
  if (!bias) return LEDGE_ERROR_MEMORY;
  float *late = bias + width;
  bool apart = s->gru && s->reset_after;
  for (int64_t i = 0; b && i < width; i++) {
    const float *own = b + d * 2 * width;
    bool candidate = apart && i >= 2 * n;
    bias[i] = own[i] + (candidate ? 0 : own[width + i]);
    late[i] = candidate ? own[width + i] : 0;
  }
  s->dir[d].bias = bias;
  s->dir[d].late_bias = late;
  return LEDGE_OK;
}

/* RNN's activation of direction d, as a product's epilogue; false: it is the reference's. */
static bool step_activation(const op_ctx *c, int64_t d, kernel_epilogue *ret) {
  static const struct {
    const char *name;
    kernel_epilogue epilogue;
  } known[] = {{"Tanh", {.act = KERNEL_ACT_TANH}},
               {"Sigmoid", {.act = KERNEL_ACT_SIGMOID}},
               {"Relu", {.act = KERNEL_ACT_CLAMP, .alpha = 0, .beta = INFINITY}}};
  int64_t count = 0;
  const ledge_string *given = op_strings(c, "activations", &count);
  if (op_float(c, "clip", 0) > 0 || op_attr_given(c, "activation_alpha") || op_attr_given(c, "activation_beta") ||
      (op_attr_given(c, "activations") && (!given || d >= count)))
    return false;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const char *name = known[i].name;
    if (given && (given[d].size != strlen(name) || memcmp(given[d].data, name, given[d].size))) continue;
    *ret = known[i].epilogue;
    return true;
  }
  return false;
}

static bool rnn_plans(const kernel_request *r, rnn_state *s) {
  int64_t n = s->hidden, early = s->gru && !s->reset_after ? 2 * n : s->gates * n;
  gemm_f32_params in = {
      .m = s->steps * s->batch, .n = s->gates * n, .k = s->input, .b_is_constant = true, .threads = r->threads};
  gemm_f32_params rec = {.m = s->batch, .n = early, .k = n, .b_is_constant = true, .threads = 1};
  gemm_f32_params late = {.m = s->batch, .n = n, .k = n, .b_is_constant = true, .threads = 1};
  if (!s->lstm && !s->gru &&
      (!step_activation(r->ctx, 0, &rec.epilogue) ||
       (s->directions > 1 && !step_activation(r->ctx, 1, &late.epilogue))))
    return false;
  return gemm_f32_plan_init(&s->in, &in, r->isa) && gemm_f32_plan_init(&s->rec, &rec, r->isa) &&
         gemm_f32_plan_init(&s->late, &late, r->isa);
}

static size_t rnn_scratch(rnn_state *s) {
  size_t block = (size_t)(s->batch * s->hidden) * sizeof(float), gates = (size_t)s->gates;
  size_t gemm = s->in.scratch_bytes > s->rec.scratch_bytes ? s->in.scratch_bytes : s->rec.scratch_bytes;
  if (s->late.scratch_bytes > gemm) gemm = s->late.scratch_bytes;
  size_t total = 0;
  size_t n = s->apart ? 2 : 1; /* directions at a time */
  const size_t sizes[] = {n * (size_t)s->steps * gates * block, n * gates * block, n * 2 * block, n * block, gemm};
  size_t *const offsets[] = {&s->at_gates, &s->at_rec, &s->at_h, &s->at_c, &s->at_gemm};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    *offsets[i] = total;
    total += mem_align(sizes[i], 64);
  }
  return total;
}

/* The activations are the operator's own, written out or not. */
static bool default_activations(const op_ctx *c, bool lstm) {
  static const char *const names[] = {"Sigmoid", "Tanh", "Tanh"};
  int64_t count, per_direction = lstm ? 3 : 2;
  const ledge_string *given = op_strings(c, "activations", &count);
  if (op_attr_given(c, "activation_alpha") || op_attr_given(c, "activation_beta")) return false;
  for (int64_t i = 0; i < count; i++) {
    const char *want = names[i % per_direction];
    if (given[i].size != strlen(want) || memcmp(given[i].data, want, given[i].size)) return false;
  }
  return given || !op_attr_given(c, "activations");
}

/* sequence_lens, where every entry of the batch has all steps. */
static bool whole_lengths(const tensor *lengths, int64_t steps) {
  const int32_t *n = lengths->data;
  if (lengths->dtype != LEDGE_I32) return false;
  for (int64_t i = 0, count = tensor_elements(lengths); i < count; i++)
    if (n[i] != steps) return false;
  return true;
}

static bool rnn_supported(const kernel_request *r) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0);
  if (!cpu_is_f32(r, 0) || !cpu_constant(r, 1) || !cpu_constant(r, 2) || (op_has(c, 3) && !cpu_constant(r, 3)))
    return false;
  if (op_has(c, 4) && !(cpu_constant(r, 4) && whole_lengths(op_in(c, 4), x->dims[0]))) return false;
  bool plain = !strcmp(c->node->op, "RNN"); /* step_activation looks at its own */
  if (!tensor_elements(x) || (!plain && !default_activations(c, !strcmp(c->node->op, "LSTM")))) return false;
  return !(op_has(c, 7) && !cpu_constant(r, 7)) && op_int(c, "layout", 0) == 0;
}

static ledge_status rnn_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  if (!rnn_supported(r)) return LEDGE_OK;
  const tensor *x = op_in(c, 0), *w = op_in(c, 1), *rec = op_in(c, 2);
  rnn_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  s->lstm = !strcmp(c->node->op, "LSTM");
  s->gru = !strcmp(c->node->op, "GRU");
  s->gates = s->lstm ? 4 : s->gru ? 3 : 1;
  s->reset_after = op_int(c, "linear_before_reset", 0) != 0;
  s->reverse = op_string_is(c, "direction", "forward", "reverse");
  s->steps = x->dims[0], s->batch = x->dims[1], s->input = x->dims[2];
  s->directions = w->dims[0], s->hidden = rec->dims[2];
  if (s->directions > 2 || !s->hidden || !rnn_plans(r, s)) return LEDGE_OK;
  int64_t n = s->hidden, width = s->gates * n;
  const float *peep = s->lstm ? cpu_f32(op_in(c, 7)) : NULL;
  bool input_forget = op_int(c, "input_forget", 0) != 0;
  s->by_row = s->batch == 1 && !peep && !input_forget && s->gates > 1;
  s->apart = s->by_row && s->directions == 2 && r->threads > 1;
  for (int64_t d = 0; d < s->directions; d++) {
    rnn_direction *k = &s->dir[d];
    const unaligned_f32 *own = (const unaligned_f32 *)rec->data + d * width * n;
    TRY(rnn_packed(r, &s->in, (const unaligned_f32 *)w->data + d * width * s->input, &k->w, error));
    TRY(rnn_bias(r, s, cpu_f32(op_in(c, 3)), d, error));
    k->options = (rnn_options){.clip = op_float(c, "clip", 0), .input_forget = input_forget};
    if (peep) {
      const float *p = peep + d * 3 * n;
      k->options.peep_i = p, k->options.peep_o = p + n, k->options.peep_f = p + 2 * n;
    }
    TRY(rnn_recurrent(r, s, k, own, error));
  }
  double adds = (double)s->directions * (double)s->steps * (double)s->batch * (double)width * (double)(s->input + n);
  file_map_drop_at(w->data, tensor_bytes(w));
  file_map_drop_at(rec->data, tensor_bytes(rec));
  *ret = (kernel){rnn_run, s, rnn_scratch(s), s->lstm ? "lstm" : s->gru ? "gru" : "rnn", adds, RNN_WEIGHTS};
  return LEDGE_OK;
}

const cpu_row cpu_rows_rnn[] = {
    {"", "LSTM", rnn_prepare, RNN_WEIGHTS},
    {"", "GRU", rnn_prepare, RNN_WEIGHTS},
    {"", "RNN", rnn_prepare, RNN_WEIGHTS},
    {0},
};
