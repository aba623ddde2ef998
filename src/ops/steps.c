/* ops/steps: see steps.h. */
#include "ops/steps.h"

enum { STEP_OUTPUTS = 4 };

static const steps_recorder *recorder_of(const steps *s) { return s->run || s->status ? NULL : s->c->recorder; }

void steps_fail(steps *s, ledge_status status) {
  if (!s->status) s->status = status;
}

static value *steps_new(steps *s) {
  if (!s->status && s->n == STEPS_MAX) steps_fail(s, op_fail(s->c, LEDGE_ERROR_LIMIT, "more than %d steps", STEPS_MAX));
  return s->status ? NULL : &s->values[s->n++];
}

/* A node of one step; attrs holds room for all. */
static void step_node(node *n, const node *like, const char *op, int version, const attr *attrs) {
  *n = *like;
  n->domain = "";
  n->op = op;
  n->version = version;
  if (!attrs) return;
  n->attrs = (attr *)attrs; /* only read */
  for (n->n_attrs = 0; attrs[n->n_attrs].name;) n->n_attrs++;
}

static ledge_status step_row(op_ctx *c, const char *op, int version, const op_def **def) {
  *def = ops_find("", op, version);
  return *def ? LEDGE_OK
              : op_fail(c, LEDGE_ERROR_UNSUPPORTED, "it needs %s of version %d, which is not built in", op, version);
}

static ledge_status step_check(op_ctx *c, const op_def *def, const value *const *in, int n_in) {
  if (n_in < def->min_in || (def->max_in >= 0 && n_in > def->max_in))
    return op_fail(c, LEDGE_ERROR_FORMAT, "%s does not take %d inputs", def->name, n_in);
  for (int i = 0; i < def->min_in; i++)
    if (!in[i]) return op_fail(c, LEDGE_ERROR_FORMAT, "input %d of %s is missing", i, def->name);
  return LEDGE_OK;
}

void steps_calls(steps *s, const char *op, int version, const attr *attrs, const value *const *in, int n_in,
                 const value **out, int n_out) {
  const op_def *def = NULL;
  value *y[STEP_OUTPUTS] = {NULL};
  for (int i = 0; i < n_out; i++) out[i] = NULL;
  while (n_in && !in[n_in - 1]) n_in--;
  for (int i = 0; i < n_out; i++) y[i] = steps_new(s);
  if (!s->status) s->status = step_row(s->c, op, version, &def);
  if (!s->status) s->status = step_check(s->c, def, in, n_in);
  if (s->status) return;
  node n;
  step_node(&n, s->c->node, op, version, attrs);
  n.n_in = n_in;
  n.n_out = n_out;
  op_ctx k = {.node = &n,
              .def = def,
              .n_in = n_in,
              .n_out = n_out,
              .in = in,
              .out = y,
              .inferring = true,
              .error = s->c->error,
              .pool = s->c->pool,
              .rng = s->c->rng};
  for (int i = 0; i < n_out; i++) y[i]->kind = VALUE_TENSOR;
  s->status = s->run ? op_eval(&k) : op_infer(&k);
  for (int i = 0; !s->status && i < n_out; i++) out[i] = y[i];
  const steps_recorder *r = recorder_of(s);
  if (r) r->step(r->arg, op, version, attrs, in, n_in, out, n_out);
}

const value *steps_call(steps *s, const char *op, int version, const attr *attrs, const value *const *in, int n_in) {
  const value *y;
  steps_calls(s, op, version, attrs, in, n_in, &y, 1);
  return y;
}

void steps_need(steps *s, int i) {
  if (!s->status && !op_has(s->c, i)) steps_fail(s, op_fail(s->c, LEDGE_ERROR_FORMAT, "input %d is missing", i));
}

const value *steps_make(steps *s, ledge_dtype dtype, int rank, const int64_t *dims, void **data) {
  value *y = steps_new(s);
  *data = NULL;
  if (!y) return NULL;
  size_t bytes;
  if (!dtype_array_bytes(dtype, shape_elements(rank, dims), &bytes)) {
    steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "a step's result is too large"));
    return NULL;
  }
  y->kind = VALUE_TENSOR;
  tensor_set_shape(&y->tensor, dtype, rank, dims);
  if (recorder_of(s)) s->c->recorder->refuse(s->c->recorder->arg);
  if (!s->run) return y;
  s->status = tensor_alloc(&y->tensor, s->c->error);
  if (s->status) return NULL;
  if (bytes) memset(y->tensor.data, 0, bytes);
  *data = y->tensor.data;
  return y;
}

const value *steps_scalar(steps *s, ledge_dtype dtype, double v) {
  value *y = steps_new(s);
  if (!y) return NULL;
  y->kind = VALUE_TENSOR;
  tensor_set_shape(&y->tensor, dtype, 0, NULL);
  s->status = tensor_alloc(&y->tensor, s->c->error);
  if (s->status) return NULL;
  dtype_store_f64(dtype, y->tensor.data, 0, v);
  if (recorder_of(s)) s->c->recorder->constant(s->c->recorder->arg, y);
  return y;
}

const value *steps_reshape(steps *s, const value *v, int rank, const int64_t *dims) {
  if (!v || s->status) return NULL;
  if (rank > LEDGE_MAX_RANK || shape_elements(rank, dims) != tensor_elements(&v->tensor)) {
    steps_fail(s, op_fail(s->c, LEDGE_ERROR_SHAPE, "a shape does not fit %lld elements",
                          (long long)tensor_elements(&v->tensor)));
    return NULL;
  }
  value *y = steps_new(s);
  if (!y) return NULL;
  if (recorder_of(s)) s->c->recorder->refuse(s->c->recorder->arg);
  value_share(y, v);
  tensor_set_shape(&y->tensor, v->tensor.dtype, rank, dims);
  return y;
}

const value *steps_wide(steps *s, const value *v) {
  if (!v || s->status || (v->tensor.dtype != LEDGE_F16 && v->tensor.dtype != LEDGE_BF16)) return v;
  if (recorder_of(s)) return v;
  return STEP(s, "Cast", 23, ATTRS(ATTR_I("to", LEDGE_F32)), v);
}

void steps_out(steps *s, int i, const value *v, ledge_dtype dtype) {
  if (!s->status && v && dtype && v->tensor.dtype != dtype) v = STEP(s, "Cast", 23, ATTRS(ATTR_I("to", dtype)), v);
  if (s->status || !v || !op_wants(s->c, i)) return;
  if (recorder_of(s)) s->c->recorder->out(s->c->recorder->arg, i, v);
  const tensor *t = &v->tensor;
  tensor *y = op_out(s->c, i);
  if (!s->run) {
    s->status = op_shape(s->c, i, t->dtype, t->rank, t->dims);
  } else if (y->dtype != t->dtype || !tensor_same_shape(y, t)) {
    s->status = op_fail(s->c, LEDGE_ERROR_SHAPE, "output %d got another shape than was planned", i);
  } else {
    s->status = tensor_copy_data(y, t, s->c->error);
  }
}

ledge_status steps_do(op_ctx *c, bool run, void (*body)(steps *s)) {
  steps *s = op_scratch(c, 1, sizeof *s);
  if (!s) return LEDGE_ERROR_MEMORY;
  s->c = c;
  s->run = run;
  body(s);
  ledge_status status = s->status;
  for (int i = 0; i < s->n; i++) value_deinit(&s->values[i]);
  op_scratch_free(s);
  return status;
}

ledge_status steps_alias(op_ctx *c, bool run, const char *op, int version, const attr *attrs) {
  const op_def *def = NULL;
  node n;
  TRY(step_row(c, op, version, &def));
  step_node(&n, c->node, op, version, attrs);
  op_ctx k = *c;
  k.node = &n;
  k.def = def;
  k.kernel = k.scratch = NULL;
  if (run) return def->run(&k);
  ledge_status status = def->infer ? def->infer(&k) : OP_UNKNOWN;
  if (status || !c->recorder) return status;
  const value *const *out = (const value *const *)c->out;
  c->recorder->step(c->recorder->arg, op, version, attrs, c->in, c->n_in, out, c->n_out);
  for (int i = 0; i < c->n_out; i++)
    if (out[i]) c->recorder->out(c->recorder->arg, i, out[i]);
  return status;
}
