/* ops/control: operators that run graphs of their own: If, Loop, Scan (version 8 with its batches, and 9 on),
 * SequenceMap. The host runs the graph; here stand the order of the calls, what is carried from one to the next, and
 * the stacking of what each gives (the scan outputs).
 *
 * Loop's body  (number, condition, state...) -> (condition, state..., element of each scan output...)
 * Scan's body  (state..., element of each scan input...) -> (state..., element of each scan output...) */
#include "ops/move_util.h"

/* Elements of one scan output, in the order in which they were made. */
typedef struct scan_list {
  tensor *items; /* owned; dtype NONE where one is missing (Scan 8: a sequence shorter than the longest) */
  int64_t count, capacity;
} scan_list;

/* What the iterations share. All arrays are of the heap; all values are owned. */
typedef struct control_job {
  op_ctx *c;
  const graph *body;
  int n_state, n_scan; /* carried values and scan outputs */
  int n_lead;          /* body outputs before the state: 1 (the condition) for Loop, 0 for Scan */
  value *state;        /* n_state; valid once `started` */
  bool started;
  value *out;       /* of the body: n_lead + n_state + n_scan */
  const value **in; /* of the body */
  int n_in;
  scan_list *scans; /* n_scan */
} control_job;

static const value control_none; /* stands for an optional that is left out */

static ledge_status control_graph(op_ctx *c, const char *name, int n_in, const graph **ret) {
  const graph *g = op_graph(c, name);
  if (!g) return op_fail(c, LEDGE_ERROR_FORMAT, "the graph %s is missing", name);
  if (n_in >= 0 && g->n_inputs != n_in)
    return op_fail(c, LEDGE_ERROR_FORMAT, "%s has %d inputs; the node asks for %d", name, g->n_inputs, n_in);
  *ret = g;
  return LEDGE_OK;
}

/* Node inputs [0, n_in) of the body are set by the caller; the body has n_lead + n_state outputs at least, and no more
 * than the node has. */
static ledge_status control_init(op_ctx *c, control_job *j) {
  j->c = c;
  int n_out = j->body->n_outputs;
  j->n_scan = n_out - j->n_lead - j->n_state;
  if (j->n_scan < 0)
    return op_fail(c, LEDGE_ERROR_FORMAT, "the body has %d outputs; %d are carried to the next call", n_out,
                   j->n_lead + j->n_state);
  if (c->n_out > j->n_state + j->n_scan)
    return op_fail(c, LEDGE_ERROR_FORMAT, "the node has %d outputs, but the body gives it %d", c->n_out,
                   j->n_state + j->n_scan);
  j->state = op_scratch(c, (size_t)j->n_state, sizeof *j->state);
  j->out = j->state ? op_scratch(c, (size_t)n_out, sizeof *j->out) : NULL;
  j->in = j->out ? op_scratch(c, (size_t)j->n_in, sizeof *j->in) : NULL;
  j->scans = j->in ? op_scratch(c, (size_t)j->n_scan, sizeof *j->scans) : NULL;
  return j->scans ? LEDGE_OK : LEDGE_ERROR_MEMORY;
}

static void control_deinit(control_job *j) {
  for (int i = 0; j->state && i < j->n_state; i++) value_deinit(&j->state[i]);
  for (int i = 0; j->out && i < j->body->n_outputs; i++) value_deinit(&j->out[i]);
  for (int i = 0; j->scans && i < j->n_scan; i++) {
    for (int64_t k = 0; k < j->scans[i].count; k++) tensor_deinit(&j->scans[i].items[k]);
    mem_free(j->scans[i].items);
  }
  op_scratch_free(j->state);
  op_scratch_free(j->out);
  op_scratch_free(j->in);
  op_scratch_free(j->scans);
}

/* A slot at the end of the list, empty. */
static ledge_status scan_append(op_ctx *c, scan_list *list, tensor **ret) {
  if (list->count == list->capacity) {
    int64_t capacity = list->capacity ? 2 * list->capacity : 16;
    size_t bytes;
    void *grown = mem_mul((size_t)capacity, sizeof *list->items, &bytes) ? mem_realloc(list->items, bytes) : NULL;
    if (!grown) return error_memory(c->error, (size_t)capacity * sizeof *list->items, "a scan output");
    list->items = grown;
    list->capacity = capacity;
  }
  *ret = &list->items[list->count++];
  **ret = (tensor){0};
  return LEDGE_OK;
}

/* Runs the body once. `initial` are the states of the first call (the later ones are the job's own); in[] holds the
 * other inputs already. */
static ledge_status control_step(control_job *j, const value *const *initial, int first_state) {
  op_ctx *c = j->c;
  if (c->host->cancelled && c->host->cancelled(c->host))
    return op_fail(c, LEDGE_ERROR_CANCELLED, "the run was cancelled");
  for (int i = 0; i < j->n_state; i++)
    j->in[first_state + i] = j->started ? &j->state[i] : initial[i] ? initial[i] : &control_none;
  TRY(c->host->call(c->host, c, j->body, j->in, j->n_in, j->out, j->body->n_outputs));
  for (int i = 0; i < j->n_state; i++) {
    value *from = &j->out[j->n_lead + i];
    value_deinit(&j->state[i]);
    j->state[i] = *from;
    *from = (value){0};
  }
  j->started = true;
  for (int i = 0; i < j->n_scan; i++) {
    value *from = &j->out[j->n_lead + j->n_state + i];
    tensor *item = NULL;
    if (from->kind != VALUE_TENSOR) return op_fail(c, LEDGE_ERROR_SHAPE, "scan output %d of the body is no tensor", i);
    TRY(scan_append(c, &j->scans[i], &item));
    *item = from->tensor;
    *from = (value){0};
  }
  return LEDGE_OK;
}

/* Gives the node its carried values: the last ones, or the first where no call was made. */
static ledge_status control_states(control_job *j, const value *const *initial) {
  for (int i = 0; i < j->n_state; i++)
    TRY(op_forward(j->c, i, j->started ? &j->state[i] : initial[i] ? initial[i] : &control_none));
  return LEDGE_OK;
}

/* ---- stacking ---- */

typedef struct stack_plan {
  int64_t axis; /* where the new axis stands, may be negative */
  bool reverse; /* the last made comes first */
  bool batched; /* the new axis, which is 0, is written as the two dims of `batch` */
  int64_t batch[2];
} stack_plan;

/* The dtype and shape of one element as the body, or else the node's own output, declares it; unknown dims are 0. */
static ledge_status stack_declared(op_ctx *c, const graph *body, int body_out, int out, tensor *like) {
  const graph_type *type = &body->values[body->outputs[body_out]].type;
  int skip = 0;
  if (type->kind != TYPE_TENSOR && body->parent && c->node->out[out] >= 0) {
    type = &body->parent->values[c->node->out[out]].type;
    skip = 1; /* of the node's output the first dim is the new one */
  }
  if (type->kind != TYPE_TENSOR || !dtype_is_valid(type->dtype))
    return op_fail(c, LEDGE_ERROR_SHAPE, "output %d has no elements, and the model does not declare its type", out);
  int64_t dims[LEDGE_MAX_RANK];
  int rank = type->rank - skip < 0 ? 0 : type->rank - skip;
  if (rank > LEDGE_MAX_RANK) return op_fail(c, LEDGE_ERROR_LIMIT, "output %d is declared with rank %d", out, rank);
  for (int i = 0; i < rank; i++) dims[i] = type->dims[i + skip] < 0 ? 0 : type->dims[i + skip];
  tensor_set_shape(like, type->dtype, rank, dims);
  return LEDGE_OK;
}

/* The shape of all elements, from the first that is there. */
static ledge_status stack_like(op_ctx *c, const scan_list *list, const graph *body, int body_out, int out,
                               tensor *like) {
  const tensor *first = NULL;
  for (int64_t i = 0; i < list->count; i++) {
    const tensor *t = &list->items[i];
    if (!t->dtype) continue;
    if (!first) first = t;
    if (t->dtype == first->dtype && tensor_same_shape(t, first)) continue;
    char a[256], b[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "output %d changes from %s %s to %s %s from one call to the next", out,
                   ledge_dtype_name(first->dtype), shape_print(first->rank, first->dims, a, sizeof a),
                   ledge_dtype_name(t->dtype), shape_print(t->rank, t->dims, b, sizeof b));
  }
  if (!first) return stack_declared(c, body, body_out, out, like);
  tensor_set_shape(like, first->dtype, first->rank, first->dims);
  return LEDGE_OK;
}

/* Output `out` becomes the elements of list, stacked along a new axis. */
static ledge_status stack(op_ctx *c, const stack_plan *p, const scan_list *list, const graph *body, int body_out,
                          int out) {
  tensor like = {0}, *y;
  int axis, rank = 0;
  int64_t dims[LEDGE_MAX_RANK + 2], count = list->count;
  if (!op_wants(c, out)) return LEDGE_OK;
  TRY(stack_like(c, list, body, body_out, out, &like));
  TRY(op_axis(c, p->axis, like.rank + 1, &axis));
  for (int i = 0; i <= like.rank; i++) {
    if (i != axis) {
      dims[rank++] = like.dims[i - (i > axis)];
    } else {
      if (p->batched) dims[rank++] = p->batch[0];
      dims[rank++] = p->batched ? p->batch[1] : count;
    }
  }
  TRY(op_make(c, out, like.dtype, rank, dims, &y));
  if (!tensor_elements(y)) return LEDGE_OK;
  int64_t outer = tensor_span(&like, 0, axis), inner = tensor_span(&like, axis, like.rank);
  for (int64_t i = 0; i < count; i++) {
    const tensor *t = &list->items[i];
    int64_t at = p->reverse ? count - 1 - i : i;
    for (int64_t o = 0; o < outer; o++)
      TRY(t->dtype ? move_run(c, y, (o * count + at) * inner, t, o * inner, inner)
                   : move_zero(c, y, (o * count + at) * inner, inner));
  }
  return LEDGE_OK;
}

/* ---- If ---- */

static ledge_status truth(op_ctx *c, const value *v, const char *what, bool *ret) {
  const tensor *t = &v->tensor;
  if (v->kind != VALUE_TENSOR || t->dtype != LEDGE_BOOL || tensor_elements(t) != 1)
    return op_fail(c, LEDGE_ERROR_SHAPE, "%s is not one boolean", what);
  *ret = *(const uint8_t *)t->data != 0;
  return LEDGE_OK;
}

static ledge_status if_run(op_ctx *c) {
  bool yes = false;
  const graph *branch = NULL;
  TRY(truth(c, c->in[0], "the condition", &yes));
  TRY(control_graph(c, yes ? "then_branch" : "else_branch", 0, &branch));
  if (branch->n_outputs < c->n_out)
    return op_fail(c, LEDGE_ERROR_FORMAT, "the branch has %d outputs; the node has %d", branch->n_outputs, c->n_out);
  value *out = op_scratch(c, (size_t)branch->n_outputs, sizeof *out);
  if (!out) return LEDGE_ERROR_MEMORY;
  ledge_status status = c->host->call(c->host, c, branch, NULL, 0, out, branch->n_outputs);
  for (int i = 0; !status && i < c->n_out; i++) status = op_forward(c, i, &out[i]);
  for (int i = 0; i < branch->n_outputs; i++) value_deinit(&out[i]);
  op_scratch_free(out);
  return status;
}

/* ---- Loop ---- */

/* The number and the condition are scalars, or [1] where the body declares them so. */
static void loop_scalar(const graph *body, int input, ledge_dtype dtype, void *data, value *v) {
  const graph_type *type = &body->values[body->inputs[input]].type;
  int64_t one = 1;
  *v = (value){.kind = VALUE_TENSOR};
  tensor_set_shape(&v->tensor, dtype, type->kind == TYPE_TENSOR && type->rank == 1, &one);
  v->tensor.data = data;
}

static ledge_status loop_calls(op_ctx *c, control_job *j, int64_t trips, bool go, bool heed) {
  const value *const *initial = j->n_state ? c->in + 2 : NULL;
  int64_t number = 0;
  uint8_t flag = 1;
  value number_value, flag_value;
  loop_scalar(j->body, 0, LEDGE_I64, &number, &number_value);
  loop_scalar(j->body, 1, LEDGE_BOOL, &flag, &flag_value);
  for (; number < trips && go; number++) {
    flag = go;
    j->in[0] = &number_value;
    j->in[1] = &flag_value;
    TRY(control_step(j, initial, 2));
    bool next = false;
    TRY(truth(c, &j->out[0], "the body's condition", &next));
    value_deinit(&j->out[0]);
    if (heed) go = next;
  }
  return LEDGE_OK;
}

/* The trip count M and the condition may each be left out. Without a condition that the node is given, the one that the
 * body makes does not count (but where M is left out as well: nothing else would end the loop). */
static ledge_status loop_run(op_ctx *c) {
  control_job j = {.n_lead = 1, .n_state = c->n_in > 2 ? c->n_in - 2 : 0};
  int64_t trips = INT64_MAX;
  bool go = true, heed = op_has(c, 1) || !op_has(c, 0);
  j.n_in = j.n_state + 2;
  TRY(control_graph(c, "body", j.n_in, &j.body));
  if (op_has(c, 0)) {
    if (!op_in(c, 0)) return op_fail(c, LEDGE_ERROR_SHAPE, "the trip count is not a tensor");
    TRY(move_scalar(c, 0, &trips));
  }
  if (op_has(c, 1)) TRY(truth(c, c->in[1], "the condition", &go));
  ledge_status status = control_init(c, &j);
  if (!status) status = loop_calls(c, &j, trips, go, heed);
  if (!status) status = control_states(&j, j.n_state ? c->in + 2 : NULL);
  for (int i = 0; !status && i < j.n_scan; i++)
    status = stack(c, &(stack_plan){0}, &j.scans[i], j.body, 1 + j.n_state + i, j.n_state + i);
  control_deinit(&j);
  return status;
}

/* ---- Scan ---- */

/* One scan input, and where its element of the current iteration is put. */
typedef struct scan_input {
  const tensor *x;
  int axis;
  bool reverse;
  value element;
} scan_input;

/* Entry `at` of axis `axis` of x, without that axis: a view of x's memory where that is contiguous, else a copy. */
static ledge_status scan_element(op_ctx *c, const tensor *x, int axis, int64_t at, value *element) {
  int64_t dims[LEDGE_MAX_RANK];
  for (int i = 0; i < x->rank - 1; i++) dims[i] = x->dims[i + (i >= axis)];
  value_deinit(element);
  element->kind = VALUE_TENSOR;
  tensor *y = &element->tensor;
  tensor_set_shape(y, x->dtype, x->rank - 1, dims);
  int64_t outer = tensor_span(x, 0, axis), inner = tensor_span(x, axis + 1, x->rank), n = x->dims[axis];
  if (outer == 1 && dtype_bytes(x->dtype)) {
    y->data = (char *)x->data + (size_t)(at * inner) * dtype_bytes(x->dtype);
    return LEDGE_OK;
  }
  TRY(tensor_alloc(y, c->error));
  for (int64_t o = 0; tensor_elements(y) && o < outer; o++)
    TRY(move_run(c, y, o * inner, x, (o * n + at) * inner, inner));
  return LEDGE_OK;
}

/* Entry i of a list attribute, or 0. */
static int64_t scan_attr(const op_ctx *c, const char *name, int i) {
  int64_t n;
  const int64_t *list = op_ints(c, name, &n);
  return i < n ? list[i] : 0;
}

/* Axis, direction and the common length of the scan inputs, which are node inputs from `first` on. */
static ledge_status scan_inputs(op_ctx *c, int first, int n, scan_input *inputs, int64_t *length) {
  bool batched = c->node->version < 9;
  for (int i = 0; i < n; i++) {
    const tensor *x = op_in(c, first + i);
    if (!x) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d is not a tensor", first + i);
    inputs[i].x = x;
    inputs[i].reverse = scan_attr(c, batched ? "directions" : "scan_input_directions", i) != 0;
    TRY(op_axis(c, batched ? 1 : scan_attr(c, "scan_input_axes", i), x->rank, &inputs[i].axis));
    if (i == 0) *length = x->dims[inputs[i].axis];
    if (x->dims[inputs[i].axis] != *length)
      return op_fail(c, LEDGE_ERROR_SHAPE, "scan inputs 0 and %d have %lld and %lld entries", i, (long long)*length,
                     (long long)x->dims[inputs[i].axis]);
    if (batched && x->dims[0] != inputs[0].x->dims[0])
      return op_fail(c, LEDGE_ERROR_SHAPE, "scan inputs 0 and %d have different batch sizes", i);
  }
  return LEDGE_OK;
}

/* `length` calls; `inputs` hold what is scanned. */
static ledge_status scan_calls(control_job *j, const value *const *initial, scan_input *inputs, int n, int64_t length) {
  for (int64_t t = 0; t < length; t++) {
    for (int i = 0; i < n; i++) {
      TRY(scan_element(j->c, inputs[i].x, inputs[i].axis,
                       inputs[i].reverse ? inputs[i].x->dims[inputs[i].axis] - 1 - t : t, &inputs[i].element));
      j->in[j->n_state + i] = &inputs[i].element;
    }
    TRY(control_step(j, initial, 0));
  }
  return LEDGE_OK;
}

static ledge_status scan_run_9(op_ctx *c, control_job *j, scan_input *inputs, int n) {
  int64_t length = 0;
  TRY(scan_inputs(c, j->n_state, n, inputs, &length));
  TRY(scan_calls(j, c->in, inputs, n, length));
  TRY(control_states(j, c->in));
  for (int i = 0; i < j->n_scan; i++) {
    stack_plan p = {.axis = scan_attr(c, "scan_output_axes", i),
                    .reverse = scan_attr(c, "scan_output_directions", i) != 0};
    TRY(stack(c, &p, &j->scans[i], j->body, j->n_state + i, j->n_state + i));
  }
  return LEDGE_OK;
}

/* One sample of a batch of version 8: the states and scan inputs are entry b of axis 0. A sequence that is reversed
 * starts at its own end. Appends the final states to finals[], and pads the scan outputs to `longest`. */
static ledge_status scan_sample(control_job *j, scan_input *batch, int n, int64_t b, int64_t longest, int64_t length,
                                value *slices, scan_input *sample, scan_list *finals) {
  op_ctx *c = j->c;
  const value *initial[1] = {NULL}, **starts = initial;
  ledge_status status = LEDGE_OK;
  if (j->n_state && !(starts = op_scratch(c, (size_t)j->n_state, sizeof *starts))) return LEDGE_ERROR_MEMORY;
  for (int i = 0; !status && i < j->n_state; i++) {
    status = scan_element(c, op_in(c, 1 + i), 0, b, &slices[i]);
    starts[i] = &slices[i];
  }
  for (int i = 0; !status && i < n; i++) {
    status = scan_element(c, batch[i].x, 0, b, &batch[i].element);
    if (status) break;
    /* The sequence itself is what is left of axis 1, cut to its own length. */
    batch[i].element.tensor.dims[0] = length;
    sample[i].x = &batch[i].element.tensor;
    sample[i].reverse = batch[i].reverse;
  }
  j->started = false;
  if (!status) status = scan_calls(j, starts, sample, n, length);
  for (int i = 0; !status && i < j->n_state; i++) {
    tensor *item = NULL;
    value kept = {0};
    status = scan_append(c, &finals[i], &item);
    if (!status) status = value_keep(&kept, j->started ? &j->state[i] : starts[i], c->error);
    if (!status && kept.kind != VALUE_TENSOR) {
      value_deinit(&kept);
      status = op_fail(c, LEDGE_ERROR_SHAPE, "state %d is no tensor", i);
    }
    if (!status) *item = kept.tensor;
  }
  for (int i = 0; !status && i < j->n_scan; i++)
    for (int64_t t = length; !status && t < longest; t++) {
      tensor *item = NULL;
      status = scan_append(c, &j->scans[i], &item);
    }
  if (starts != initial) op_scratch_free(starts);
  return status;
}

/* The length of sample b: all of it, or as sequence_lens says. */
static ledge_status scan_length(op_ctx *c, int64_t batches, int64_t b, int64_t longest, int64_t *length) {
  *length = longest;
  if (!op_has(c, 0)) return LEDGE_OK;
  const tensor *lengths = op_in(c, 0);
  if (!lengths || lengths->rank != 1 || lengths->dims[0] != batches)
    return op_fail(c, LEDGE_ERROR_SHAPE, "sequence_lens must have one entry for each of the %lld samples",
                   (long long)batches);
  TRY(move_index_dtype(c, 0));
  *length = tensor_i64(lengths, b);
  if (*length < 0 || *length > longest)
    return op_fail(c, LEDGE_ERROR_DATA, "sequence %lld has length %lld, outside of [0, %lld]", (long long)b,
                   (long long)*length, (long long)longest);
  return LEDGE_OK;
}

static ledge_status scan_run_8(op_ctx *c, control_job *j, scan_input *inputs, int n) {
  int64_t longest = 0, length, batches;
  TRY(scan_inputs(c, 1 + j->n_state, n, inputs, &longest));
  batches = inputs[0].x->dims[0];
  for (int i = 0; i < j->n_state; i++) {
    const tensor *x = op_in(c, 1 + i);
    if (!x || !x->rank || x->dims[0] != batches)
      return op_fail(c, LEDGE_ERROR_SHAPE, "state %d is no tensor of %lld samples", i, (long long)batches);
  }
  value *slices = op_scratch(c, (size_t)j->n_state, sizeof *slices);
  scan_input *sample = slices ? op_scratch(c, (size_t)n, sizeof *sample) : NULL;
  scan_list *finals = sample ? op_scratch(c, (size_t)j->n_state, sizeof *finals) : NULL;
  ledge_status status = finals ? LEDGE_OK : LEDGE_ERROR_MEMORY;
  for (int64_t b = 0; !status && b < batches; b++) {
    status = scan_length(c, batches, b, longest, &length);
    if (!status) status = scan_sample(j, inputs, n, b, longest, length, slices, sample, finals);
  }
  for (int i = 0; !status && i < j->n_state; i++)
    status = batches ? stack(c, &(stack_plan){0}, &finals[i], j->body, i, i) : op_forward(c, i, c->in[1 + i]);
  for (int i = 0; !status && i < j->n_scan; i++)
    status = stack(c, &(stack_plan){.batched = true, .batch = {batches, longest}}, &j->scans[i], j->body,
                   j->n_state + i, j->n_state + i);
  for (int i = 0; slices && i < j->n_state; i++) value_deinit(&slices[i]);
  for (int i = 0; sample && i < n; i++) value_deinit(&sample[i].element);
  for (int i = 0; finals && i < j->n_state; i++) {
    for (int64_t k = 0; k < finals[i].count; k++) tensor_deinit(&finals[i].items[k]);
    mem_free(finals[i].items);
  }
  op_scratch_free(slices);
  op_scratch_free(sample);
  op_scratch_free(finals);
  return status;
}

static ledge_status scan_run(op_ctx *c) {
  int64_t m = op_int(c, "num_scan_inputs", 0);
  int lead = c->node->version < 9; /* sequence_lens */
  if (m < 1 || m > c->n_in - lead)
    return op_fail(c, LEDGE_ERROR_FORMAT, "num_scan_inputs is %lld, of %d inputs", (long long)m, c->n_in - lead);
  int n = (int)m;
  control_job j = {.n_state = c->n_in - lead - n, .n_in = c->n_in - lead};
  TRY(control_graph(c, "body", j.n_in, &j.body));
  scan_input *inputs = op_scratch(c, (size_t)n, sizeof *inputs);
  ledge_status status = inputs ? control_init(c, &j) : LEDGE_ERROR_MEMORY;
  if (!status) status = lead ? scan_run_8(c, &j, inputs, n) : scan_run_9(c, &j, inputs, n);
  control_deinit(&j);
  for (int i = 0; inputs && i < n; i++) value_deinit(&inputs[i].element);
  op_scratch_free(inputs);
  return status;
}

/* ---- SequenceMap ---- */

/* Call `at` of the body: item `at` of each input that is a sequence, the others as they are. */
static ledge_status map_call(op_ctx *c, const graph *body, int64_t at, const value **in, value *out, sequence **lists) {
  if (c->host->cancelled && c->host->cancelled(c->host))
    return op_fail(c, LEDGE_ERROR_CANCELLED, "the run was cancelled");
  for (int i = 0; i < c->n_in; i++)
    in[i] = !c->in[i] ? &control_none : c->in[i]->kind == VALUE_SEQUENCE ? &c->in[i]->list->items[at] : c->in[i];
  TRY(c->host->call(c->host, c, body, in, c->n_in, out, body->n_outputs));
  for (int i = 0; i < body->n_outputs; i++) {
    if (out[i].kind != VALUE_TENSOR) return op_fail(c, LEDGE_ERROR_SHAPE, "output %d of the body is no tensor", i);
    if (at == 0) lists[i]->dtype = out[i].tensor.dtype;
    if (out[i].tensor.dtype != lists[i]->dtype)
      return op_fail(c, LEDGE_ERROR_SHAPE, "output %d of the body changes its dtype", i);
    lists[i]->items[at] = out[i];
    out[i] = (value){0};
  }
  return LEDGE_OK;
}

static ledge_status map_calls(op_ctx *c, const graph *body, const value **in, value *out, sequence **lists) {
  int64_t count = c->in[0]->list->count;
  for (int i = 0; i < body->n_outputs; i++) {
    const graph_type *type = &body->values[body->outputs[i]].type;
    lists[i] = sequence_create(count, type->kind == TYPE_TENSOR ? type->dtype : LEDGE_DTYPE_NONE);
    if (!lists[i]) return error_memory(c->error, (size_t)count * sizeof(value), "a sequence");
  }
  for (int64_t at = 0; at < count; at++) TRY(map_call(c, body, at, in, out, lists));
  for (int i = 0; i < c->n_out; i++) {
    if (!op_wants(c, i)) continue;
    value_deinit(c->out[i]);
    c->out[i]->kind = VALUE_SEQUENCE;
    c->out[i]->list = sequence_ref(lists[i]);
  }
  return LEDGE_OK;
}

static ledge_status map_run(op_ctx *c) {
  const graph *body = NULL;
  TRY(control_graph(c, "body", c->n_in, &body));
  if (body->n_outputs < c->n_out)
    return op_fail(c, LEDGE_ERROR_FORMAT, "the body has %d outputs; the node has %d", body->n_outputs, c->n_out);
  if (c->in[0]->kind != VALUE_SEQUENCE || !c->in[0]->list)
    return op_fail(c, LEDGE_ERROR_SHAPE, "input 0 is not a sequence");
  for (int i = 1; i < c->n_in; i++)
    if (c->in[i] && c->in[i]->kind == VALUE_SEQUENCE && c->in[i]->list->count != c->in[0]->list->count)
      return op_fail(c, LEDGE_ERROR_SHAPE, "sequences 0 and %d have %lld and %lld items", i,
                     (long long)c->in[0]->list->count, (long long)c->in[i]->list->count);
  const value **in = op_scratch(c, (size_t)c->n_in, sizeof *in);
  value *out = in ? op_scratch(c, (size_t)body->n_outputs, sizeof *out) : NULL;
  sequence **lists = out ? op_scratch(c, (size_t)body->n_outputs, sizeof *lists) : NULL;
  ledge_status status = lists ? map_calls(c, body, in, out, lists) : LEDGE_ERROR_MEMORY;
  for (int i = 0; i < body->n_outputs; i++) {
    if (out) value_deinit(&out[i]);
    if (lists) sequence_unref(lists[i]);
  }
  op_scratch_free(lists);
  op_scratch_free(out);
  op_scratch_free(in);
  return status;
}

/* Loop's first two inputs may be left out, and so may Scan's first in version 8: hence a minimum of 0. */
const op_def ops_control[] = {
    {"", "If", 1, 0, 1, 1, 1, -1, OP_DYNAMIC | OP_HOST_CALL, NULL, if_run},
    {"", "Loop", 1, 0, 0, -1, 1, -1, OP_DYNAMIC | OP_ANY_KIND | OP_HOST_CALL, NULL, loop_run},
    {"", "Scan", 8, 8, 0, -1, 1, -1, OP_DYNAMIC | OP_HOST_CALL, NULL, scan_run},
    {"", "Scan", 9, 0, 1, -1, 1, -1, OP_DYNAMIC | OP_HOST_CALL, NULL, scan_run},
    {"", "SequenceMap", 17, 0, 1, -1, 1, -1, OP_DYNAMIC | OP_ANY_KIND | OP_HOST_CALL, NULL, map_run},
    {0}};
