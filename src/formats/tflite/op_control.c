/* formats/tflite/op_control: IF and WHILE become ONNX's If and Loop. A branch reads the operator's inputs as captures
 * of the graph around it; a loop's body carries them:
 *
 *   cond(args)                       in the graph around it: shall there be a first iteration?
 *   body: args -> body(args) -> cond(body(args)), body(args) */
#include "formats/tflite/operators.h"

static graph *new_graph(tfl_op *o, const char *name) {
  if (o->status) return NULL;
  graph *g = graph_create(o->in->m, o->s->g, name);
  if (!g) o->status = error_memory(o->in->error, sizeof *g, "a graph");
  return g;
}

static value_id *list_of(tfl_op *o, int n) {
  value_id *list = NULL;
  if (!o->status) o->status = tfl_alloc(o->in, (size_t)n + 1, sizeof *list, "operands", &list);
  return list;
}

static void set_outputs(tfl_op *o, graph *g, const value_id *list, int n) {
  if (o->status) return;
  g->outputs = list_of(o, n);
  if (o->status) return;
  memcpy(g->outputs, list, (size_t)n * sizeof *list);
  g->n_outputs = n;
}

static graph *branch(tfl_op *o, int32_t index, const char *name) {
  graph *g = new_graph(o, name);
  value_id *args = list_of(o, o->n_in), *outs = list_of(o, o->n_out);
  for (int i = 1; i < o->n_in && !o->status; i++) {
    args[i - 1] = graph_capture(g, tfl_input(o, i));
    if (!o->status && args[i - 1] == VALUE_ABSENT)
      o->status = error_memory(o->in->error, sizeof(graph_value), "a value");
  }
  if (!o->status) o->status = tfl_read_subgraph(o->in, o->s, index, g, NULL, args, o->n_in - 1, outs, o->n_out);
  set_outputs(o, g, outs, o->n_out);
  return g;
}

void tfl_if(tfl_op *o) {
  value_id when = tfl_input(o, 0), *outs = list_of(o, o->n_out);
  graph *yes = branch(o, tfl_i32(o, 0, 0), "then"), *no = branch(o, tfl_i32(o, 1, 0), "else");
  if (o->status) return;
  const attr list[] = {{.name = "then_branch", .type = ATTR_GRAPH, .count = 1, .g = yes},
                       {.name = "else_branch", .type = ATTR_GRAPH, .count = 1, .g = no},
                       {0}};
  tfl_nodes(o, "", "If", list, &when, 1, outs, o->n_out);
  for (int i = 0; i < o->n_out; i++) tfl_give(o, i, outs[i]);
}

/* A value of g that the loop gives: of the operand's type, whose shape may change from turn to turn. */
static value_id body_input(tfl_op *o, graph *g, ledge_dtype dtype, int rank) {
  value_id v = o->status ? VALUE_ABSENT : graph_add_value(g, NULL);
  if (v == VALUE_ABSENT) {
    if (!o->status) o->status = error_memory(o->in->error, sizeof(graph_value), "a value");
    return v;
  }
  static const int64_t none[1];
  g->values[v].type = (graph_type){.kind = TYPE_TENSOR, .dtype = dtype, .rank = rank, .dims = none};
  g->inputs[g->n_inputs++] = v;
  return v;
}

void tfl_while(tfl_op *o) {
  int n = o->n_in;
  int32_t cond = tfl_i32(o, 0, 0), body = tfl_i32(o, 1, 0);
  value_id *in = list_of(o, n + 2), *args = list_of(o, n), *outs = list_of(o, n + 1), *all = list_of(o, n);
  if (o->status) return;
  if (o->n_out != n) {
    tfl_bad(o, "it has %d inputs and %d outputs", n, o->n_out);
    return;
  }
  for (int i = 0; i < n; i++) in[2 + i] = tfl_input(o, i);
  if (o->status) return;
  in[0] = VALUE_ABSENT;
  o->status = tfl_read_subgraph(o->in, o->s, cond, o->s->g, o->s->names, in + 2, n, &in[1], 1);
  graph *g = new_graph(o, "body");
  if (o->status) return;
  g->inputs = list_of(o, n + 2);
  body_input(o, g, LEDGE_I64, 0);
  body_input(o, g, LEDGE_BOOL, 0);
  for (int i = 0; i < n; i++) args[i] = body_input(o, g, tfl_tensor_in(o, i)->dtype, -1);
  hash names;
  hash_init(&names);
  if (!o->status) o->status = tfl_read_subgraph(o->in, o->s, body, g, &names, args, n, outs + 1, n);
  if (!o->status) o->status = tfl_read_subgraph(o->in, o->s, cond, g, &names, outs + 1, n, outs, 1);
  hash_deinit(&names);
  set_outputs(o, g, outs, n + 1);
  if (o->status) return;
  const attr list[] = {{.name = "body", .type = ATTR_GRAPH, .count = 1, .g = g}, {0}};
  tfl_nodes(o, "", "Loop", list, in, n + 2, all, n);
  for (int i = 0; i < n; i++) tfl_give(o, i, all[i]);
}
