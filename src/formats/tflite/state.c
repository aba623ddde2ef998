/* formats/tflite/state: variables. Each becomes an input of the main graph, its contents before a run, and an output,
 * those after it; in between, reading gives the value that was assigned last. So the order of reads and assignments is
 * in the graph itself, and no pass needs to know of it.
 *
 *   VAR_HANDLE   names a variable, by container and name          is_variable tensors (recurrent layers) are one each
 *   CALL_ONCE    a subgraph that assigns constants: the contents before the first run */
#include "formats/tflite/operators.h"

#include <stdio.h>

enum { BUILTIN_CALL_ONCE = 129, BUILTIN_VAR_HANDLE = 142, BUILTIN_ASSIGN_VARIABLE = 144 };

#define WITHIN "a variable within a branch or a loop, which ledge does not support"

/* ---- by name ---- */

static ledge_status handle_name(tfl_in *in, const fb_table *options, const char **ret) {
  fb_vector container, shared;
  char *name = NULL;
  TRY(fb_string(options, 0, "a variable's container", &container));
  TRY(fb_string(options, 1, "a variable's name", &shared));
  if (container.count > TFL_MAX_NAME || shared.count > TFL_MAX_NAME)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, options->at, "a variable's name is longer than %d", TFL_MAX_NAME);
  size_t size = (size_t)container.count + shared.count + 2;
  TRY(tfl_alloc(in, size, 1, "a variable's name", &name));
  snprintf(name, size, "%.*s%s%.*s", (int)container.count, (const char *)container.data, container.count ? "/" : "",
           (int)shared.count, (const char *)shared.data);
  *ret = name;
  return LEDGE_OK;
}

void tfl_var_handle(tfl_op *o) {
  const char *name = NULL;
  int at;
  if (o->s->outer) tfl_refuse(o, WITHIN);
  if (!o->status && (o->n_out != 1 || o->outputs[0] < 0)) tfl_bad(o, "it makes no handle");
  if (o->status) {
    return;
  }
  o->status = handle_name(o->in, &o->options, &name);
  if (!o->status) o->status = tfl_find_state(o->in, name, true, &at);
  if (!o->status) o->s->tensors[o->outputs[0]].state = at;
}

int tfl_state_of(tfl_op *o, int i) {
  if (!tfl_has_input(o, i)) {
    tfl_bad(o, "input %d, a variable, is missing", i);
    return -1;
  }
  tfl_tensor *t = &o->s->tensors[o->inputs[i]];
  if (o->s->outer && t->is_variable) tfl_refuse(o, WITHIN);
  if (!o->status && t->state < 0 && t->is_variable) {
    char *name = NULL;
    size_t size = strlen(t->name) + 32;
    o->status = tfl_alloc(o->in, size, 1, "a variable's name", &name);
    if (o->status) return -1;
    snprintf(name, size, "%s#%d.%d", t->name, o->in->depth, (int)o->inputs[i]);
    o->status = tfl_find_state(o->in, name, false, &t->state);
  }
  if (!o->status && t->state < 0) tfl_bad(o, "input %d, '%.100s', is no variable", i, t->name);
  return o->status ? -1 : t->state;
}

/* ---- contents ---- */

/* What a variable holds that nobody has set: zeros, or what stands for them. */
static void set_initial(tfl_op *o, tfl_state *s, const tfl_tensor *t) {
  tensor *zeros;
  if (t->rank < 0 || !dtype_bytes(t->dtype) || t->dtype == LEDGE_STRING) {
    tfl_bad(o, "the variable '%.100s' has no shape and type that are known", s->name);
    return;
  }
  o->status = tfl_new_tensor(o->in, t->dtype, t->rank, t->dims, &zeros);
  if (o->status) return;
  if (t->dtype == LEDGE_I8 && t->quant.n) memset(zeros->data, (int)t->quant.zeros[0], tensor_bytes(zeros));
  s->initial = zeros;
}

value_id tfl_state_get(tfl_op *o, int state, const tfl_tensor *t) {
  if (state < 0 || o->status) return VALUE_ABSENT;
  tfl_state *s = &o->in->states[state];
  if (s->value != VALUE_ABSENT) return s->value;
  if (!s->initial) set_initial(o, s, t);
  if (o->status) return VALUE_ABSENT;
  s->in = s->value = graph_add_value(o->s->g, NULL);
  if (s->in == VALUE_ABSENT) {
    o->status = error_memory(o->in->error, sizeof(graph_value), "a variable");
    return VALUE_ABSENT;
  }
  o->s->g->values[s->in].type =
      (graph_type){.kind = TYPE_TENSOR, .dtype = s->initial->dtype, .rank = s->initial->rank, .dims = s->initial->dims};
  return s->value;
}

void tfl_state_set(tfl_op *o, int state, value_id v) {
  if (state >= 0 && !o->status) o->in->states[state].value = v;
}

void tfl_read_variable(tfl_op *o) {
  int state = tfl_state_of(o, 0);
  value_id v = tfl_state_get(o, state, tfl_tensor_out(o, 0));
  const tfl_tensor *y = tfl_tensor_out(o, 0);
  if (o->status) return;
  if (o->in->states[state].initial && o->in->states[state].initial->dtype != y->dtype)
    tfl_bad(o, "the variable '%.100s' holds %s and is read as %s", o->in->states[state].name,
            ledge_dtype_name(o->in->states[state].initial->dtype), ledge_dtype_name(y->dtype));
  tfl_give(o, 0, v);
}

void tfl_assign_variable(tfl_op *o) {
  int state = tfl_state_of(o, 0);
  const tfl_tensor *x = tfl_tensor_in(o, 1);
  value_id v = tfl_input(o, 1);
  if (o->status) return;
  const tensor *initial = o->in->states[state].initial;
  if (initial && initial->dtype != x->dtype)
    tfl_bad(o, "the variable '%.100s' holds %s and is given %s", o->in->states[state].name,
            ledge_dtype_name(initial->dtype), ledge_dtype_name(x->dtype));
  tfl_state_set(o, state, v);
}

/* ---- CALL_ONCE ---- */

typedef struct once {
  tfl_op *o;
  fb_table subgraph;
  fb_vector tensors;
  int *handles; /* by tensor: the state, or -1 */
} once;

static ledge_status run_once(once *c, const fb_table *op) {
  tfl_in *in = c->o->in;
  fb_vector ins, outs;
  fb_table options;
  uint32_t code;
  TRY(fb_u32(op, OPERATOR_CODE, 0, &code));
  TRY(fb_vec(op, OPERATOR_INPUTS, 4, "inputs", &ins));
  TRY(fb_vec(op, OPERATOR_OUTPUTS, 4, "outputs", &outs));
  TRY(fb_child(op, OPERATOR_OPTIONS, "an operator's options", &options));
  int builtin = code < (uint32_t)in->n_codes ? in->codes[code].builtin : -1;
  int64_t n = c->tensors.count;
  if (builtin == BUILTIN_VAR_HANDLE && outs.count == 1) {
    const char *name = NULL;
    int32_t to = fb_vec_i32(&outs, 0);
    TRY(handle_name(in, &options, &name));
    if (to >= 0 && to < n) return tfl_find_state(in, name, true, &c->handles[to]);
  } else if (builtin == BUILTIN_ASSIGN_VARIABLE && ins.count == 2) {
    int32_t handle = fb_vec_i32(&ins, 0), from = fb_vec_i32(&ins, 1);
    if (handle >= 0 && handle < n && from >= 0 && from < n && c->handles[handle] >= 0) {
      fb_table table;
      tfl_tensor t;
      TRY(fb_at(&c->subgraph, &c->tensors, (uint32_t)from, "a tensor", &table));
      TRY(tfl_read_tensor(in, &table, &t));
      if (t.constant) {
        in->states[c->handles[handle]].initial = t.constant;
        return LEDGE_OK;
      }
      return error_set_at(in->error, LEDGE_ERROR_UNSUPPORTED, op->at,
                          "it gives a variable contents that are computed, which ledge does not support");
    }
  } else {
    return error_set_at(
        in->error, LEDGE_ERROR_UNSUPPORTED, op->at,
        "it runs an operator (code %d) that is no assignment of constants, which ledge does not support", builtin);
  }
  return error_set_at(in->error, LEDGE_ERROR_FORMAT, op->at, "it assigns what is no variable: the file is damaged");
}

void tfl_call_once(tfl_op *o) {
  tfl_in *in = o->in;
  int32_t index = tfl_i32(o, 0, 0);
  once c = {.o = o};
  fb_vector operators;
  if (o->status) return;
  if (index < 0 || (uint32_t)index >= in->subgraphs.count) {
    tfl_bad(o, "it calls subgraph %d, the last is %d", index, (int)in->subgraphs.count - 1);
    return;
  }
  o->status = fb_at(&in->root, &in->subgraphs, (uint32_t)index, "a subgraph", &c.subgraph);
  if (!o->status) o->status = fb_vec(&c.subgraph, SUBGRAPH_TENSORS, 4, "a subgraph's tensors", &c.tensors);
  if (!o->status) o->status = fb_vec(&c.subgraph, SUBGRAPH_OPERATORS, 4, "a subgraph's operators", &operators);
  if (!o->status) o->status = tfl_alloc(in, c.tensors.count, sizeof *c.handles, "variables", &c.handles);
  for (uint32_t i = 0; i < c.tensors.count && !o->status; i++) c.handles[i] = -1;
  for (uint32_t i = 0; !o->status && i < operators.count; i++) {
    fb_table op;
    o->status = fb_at(&c.subgraph, &operators, i, "an operator", &op);
    if (!o->status) o->status = run_once(&c, &op);
  }
}

/* ---- the model's list ---- */

/* States whose contents a run starts from: their inputs and outputs. */
ledge_status tfl_finish_states(tfl_in *in) {
  model *m = in->m;
  graph *g = m->graph;
  const tensor **list;
  hash names;
  hash_init(&names);
  tfl_scope s = {.in = in, .g = g, .names = &names};
  tfl_op o = {.in = in, .s = &s};
  int n = 0;
  TRY(tfl_alloc(in, (size_t)in->n_states, sizeof *list, "variables", &list));
  value_id *ins, *outs;
  TRY(tfl_alloc(in, (size_t)g->n_inputs + (size_t)in->n_states, sizeof *ins, "inputs", &ins));
  TRY(tfl_alloc(in, (size_t)g->n_outputs + (size_t)in->n_states, sizeof *outs, "outputs", &outs));
  if (g->n_inputs) memcpy(ins, g->inputs, (size_t)g->n_inputs * sizeof *ins);
  if (g->n_outputs) memcpy(outs, g->outputs, (size_t)g->n_outputs * sizeof *outs);
  g->inputs = ins;
  g->outputs = outs;
  for (int i = 0; i < in->n_states; i++) {
    const tfl_state *state = &in->states[i];
    if (state->in == VALUE_ABSENT) continue; /* nobody reads what the last run has left */
    value_id after = tfl_node(&o, "Identity", NULL, state->value);
    if (o.status) return o.status;
    g->values[after].type = g->values[state->in].type;
    list[n++] = state->initial;
    g->inputs[g->n_inputs++] = state->in;
    g->outputs[g->n_outputs++] = after;
  }
  m->states = list;
  m->n_states = n;
  return LEDGE_OK;
}
