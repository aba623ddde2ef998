/* graph/edit: changing a graph: sorting, removing, replacing, sweeping; see graph.h. */
#include "base/error.h"
#include "graph/graph.h"

/* Calls back each value that node n reads in g: its inputs and what its subgraphs capture. */
typedef void (*read_visitor)(value_id v, void *arg);

static void node_visit_reads(const node *n, read_visitor visit, void *arg) {
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i] != VALUE_ABSENT) visit(n->in[i], arg);
  int a = 0, k = 0;
  for (graph *sub; (sub = node_next_subgraph(n, &a, &k));)
    for (int i = 0; i < sub->n_captures; i++) visit(sub->captures[i].outer, arg);
}

static void graph_set_producers(graph *g) {
  for (int v = 0; v < g->n_values; v++) g->values[v].producer = -1;
  for (int i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i].n_out; k++)
      if (g->nodes[i].out[k] != VALUE_ABSENT) g->values[g->nodes[i].out[k]].producer = i;
}

/* Which nodes each node waits for: producers of what it reads, those of node i at edges[first[i]] to edges[first[i +
 * 1]]. */
typedef struct sort_edges {
  const graph *g;
  size_t count;
  int *edges; /* NULL while counting */
} sort_edges;

static void sort_add_edge(value_id v, void *arg) {
  sort_edges *e = arg;
  int p = e->g->values[v].producer;
  if (p < 0) return;
  if (e->edges) e->edges[e->count] = p;
  e->count++;
}

static bool graph_is_sorted(const graph *g, const int *edges, const size_t *first) {
  for (int i = 0; i < g->n_nodes; i++)
    for (size_t k = first[i]; k < first[i + 1]; k++)
      if (edges[k] >= i) return false;
  return true;
}

static ledge_status sort_cycle(const graph *g, int i, ledge_error *error) {
  char label[160];
  const node *at = &g->nodes[i];
  error_set_at(error, LEDGE_ERROR_FORMAT, at->offset,
               "%s takes part in a cycle: it reads what is made from its own output",
               node_label(g, at, label, sizeof label));
  error_node(error, at->name);
  return LEDGE_ERROR_FORMAT;
}

/* Depth-first by hand, from each node in the given order: what it waits for, then the node. next[i]: the edge of node i
 * to follow next; state: 0 not seen, 1 on the stack, 2 done. Each edge is looked at once. */
static ledge_status sort_nodes(const graph *g, const int *edges, const size_t *first, size_t *next, char *state,
                               int *stack, int *order, ledge_error *error) {
  int count = 0;
  for (int start = 0; start < g->n_nodes; start++) {
    if (state[start]) continue;
    int top = 0;
    stack[0] = start;
    state[start] = 1;
    next[start] = first[start];
    while (top >= 0) {
      int i = stack[top];
      if (next[i] == first[i + 1]) {
        state[i] = 2;
        order[count++] = i;
        top--;
        continue;
      }
      int p = edges[next[i]++];
      if (state[p] == 1) return sort_cycle(g, p, error);
      if (state[p] == 2) continue;
      state[p] = 1;
      next[p] = first[p];
      stack[++top] = p;
    }
  }
  return LEDGE_OK;
}

static ledge_status sort_reorder(graph *g, const int *order, ledge_error *error) {
  size_t n = (size_t)g->n_nodes;
  node *sorted = mem_alloc_array(n, sizeof *sorted);
  if (!sorted) return error_memory(error, n * sizeof *sorted, "sorting a graph");
  for (size_t i = 0; i < n; i++) sorted[i] = g->nodes[order[i]];
  if (n) memcpy(g->nodes, sorted, n * sizeof *sorted);
  mem_free(sorted);
  graph_set_producers(g);
  return LEDGE_OK;
}

ledge_status graph_sort(graph *g, ledge_error *error) {
  graph_set_producers(g);
  size_t n = (size_t)g->n_nodes;
  sort_edges e = {.g = g};
  for (size_t i = 0; i < n; i++) node_visit_reads(&g->nodes[i], sort_add_edge, &e);
  size_t *first = mem_alloc_array(n + 1, sizeof *first), *next = mem_alloc_array(n, sizeof *next);
  int *edges = mem_alloc_array(e.count, sizeof *edges), *stack = mem_alloc_array(n, sizeof *stack),
      *order = mem_alloc_array(n, sizeof *order);
  char *state = mem_alloc_array(n, 1);
  ledge_status status = LEDGE_OK;
  if (!first || !next || !edges || !stack || !order || !state) {
    status = error_memory(error, n * 25 + e.count * sizeof *edges, "sorting a graph");
    goto cleanup;
  }
  e = (sort_edges){.g = g, .edges = edges};
  for (size_t i = 0; i < n; i++) {
    first[i] = e.count;
    node_visit_reads(&g->nodes[i], sort_add_edge, &e);
  }
  first[n] = e.count;
  if (graph_is_sorted(g, edges, first)) goto cleanup;
  status = sort_nodes(g, edges, first, next, state, stack, order, error);
  if (!status) status = sort_reorder(g, order, error);
cleanup:
  mem_free(first);
  mem_free(next);
  mem_free(edges);
  mem_free(stack);
  mem_free(order);
  mem_free(state);
  return status;
}

void graph_remove_nodes(graph *g, const bool *dead) {
  int kept = 0;
  for (int i = 0; i < g->n_nodes; i++)
    if (!dead[i]) g->nodes[kept++] = g->nodes[i];
  g->n_nodes = kept;
  graph_set_producers(g);
}

void graph_replace_uses(graph *g, value_id from, value_id to) {
  for (int i = 0; i < g->n_nodes; i++) {
    node *n = &g->nodes[i];
    for (int k = 0; k < n->n_in; k++)
      if (n->in[k] == from) n->in[k] = to;
    int a = 0, s = 0;
    for (graph *sub; (sub = node_next_subgraph(n, &a, &s));)
      for (int k = 0; k < sub->n_captures; k++)
        if (sub->captures[k].outer == from) sub->captures[k].outer = to;
  }
  for (int i = 0; i < g->n_outputs; i++)
    if (g->outputs[i] == from) g->outputs[i] = to;
}

static void count_one(value_id v, void *arg) { ((int *)arg)[v]++; }

void graph_count_uses(const graph *g, int *uses) {
  memset(uses, 0, (size_t)g->n_values * sizeof *uses);
  for (int i = 0; i < g->n_nodes; i++) node_visit_reads(&g->nodes[i], count_one, uses);
  for (int i = 0; i < g->n_outputs; i++) uses[g->outputs[i]]++;
}

static void uncount_one(value_id v, void *arg) { ((int *)arg)[v]--; }

ledge_status graph_sweep(graph *g, ledge_error *error) {
  int *uses = mem_alloc_array((size_t)g->n_values, sizeof *uses);
  bool *dead = mem_alloc_array((size_t)g->n_nodes, sizeof *dead);
  if (!uses || !dead) {
    mem_free(uses);
    mem_free(dead);
    return error_memory(error, (size_t)g->n_values * sizeof *uses, "removing unused nodes");
  }
  graph_count_uses(g, uses);
  /* Nodes are in order, so that one pass from the end sees every reader before what it reads. */
  for (int i = g->n_nodes - 1; i >= 0; i--) {
    const node *n = &g->nodes[i];
    bool read = n->n_out == 0 || n->has_effect;
    for (int k = 0; k < n->n_out; k++) read = read || (n->out[k] != VALUE_ABSENT && uses[n->out[k]] > 0);
    if (read) continue;
    dead[i] = true;
    node_visit_reads(n, uncount_one, uses);
  }
  graph_remove_nodes(g, dead);
  mem_free(uses);
  mem_free(dead);
  return LEDGE_OK;
}

/* ---- verification ---- */

typedef struct verify_state {
  const graph *g;
  const bool *made;
  value_id bad; /* a value that is read before it is made, or VALUE_ABSENT */
} verify_state;

static void verify_read(value_id v, void *arg) {
  verify_state *s = arg;
  if (s->bad == VALUE_ABSENT && (v < 0 || v >= s->g->n_values || !s->made[v])) s->bad = v;
}

static ledge_status verify_node_error(const graph *g, const node *n, ledge_error *error, const char *what, value_id v) {
  char label[160];
  error_set_at(error, LEDGE_ERROR_FORMAT, n->offset, "%s %s '%s'", node_label(g, n, label, sizeof label), what,
               v >= 0 && v < g->n_values ? g->values[v].name : "?");
  error_node(error, n->name);
  return LEDGE_ERROR_FORMAT;
}

static ledge_status verify_nodes(const graph *g, bool *made, ledge_error *error) {
  for (int v = 0; v < g->n_values; v++) made[v] = g->values[v].constant && g->values[v].producer < 0;
  for (int i = 0; i < g->n_inputs; i++) made[g->inputs[i]] = true;
  for (int i = 0; i < g->n_captures; i++) made[g->captures[i].inner] = true;
  for (int i = 0; i < g->n_nodes; i++) {
    const node *n = &g->nodes[i];
    verify_state s = {g, made, VALUE_ABSENT};
    node_visit_reads(n, verify_read, &s);
    if (s.bad != VALUE_ABSENT)
      return verify_node_error(g, n, error, "reads a value that nothing makes before it:", s.bad);
    for (int k = 0; k < n->n_out; k++) {
      value_id v = n->out[k];
      if (v == VALUE_ABSENT) continue;
      if (v < 0 || v >= g->n_values || made[v])
        return verify_node_error(g, n, error, "makes a value that is already there:", v);
      made[v] = true;
    }
    int a = 0, s2 = 0;
    for (graph *sub; (sub = node_next_subgraph(n, &a, &s2));) TRY(graph_verify(sub, error));
  }
  for (int i = 0; i < g->n_outputs; i++)
    if (!made[g->outputs[i]])
      return error_set(error, LEDGE_ERROR_FORMAT, "graph '%s': nothing makes its output '%s'", g->name,
                       g->values[g->outputs[i]].name);
  return LEDGE_OK;
}

ledge_status graph_verify(const graph *g, ledge_error *error) {
  for (int i = 0; i < g->n_inputs; i++)
    if (g->inputs[i] < 0 || g->inputs[i] >= g->n_values)
      return error_set(error, LEDGE_ERROR_INTERNAL, "graph '%s': input %d has no value", g->name, i);
  for (int i = 0; i < g->n_outputs; i++)
    if (g->outputs[i] < 0 || g->outputs[i] >= g->n_values)
      return error_set(error, LEDGE_ERROR_INTERNAL, "graph '%s': output %d has no value", g->name, i);
  for (int i = 0; i < g->n_captures; i++) {
    value_id inner = g->captures[i].inner, outer = g->captures[i].outer;
    if (!g->parent || inner < 0 || inner >= g->n_values || outer < 0 || outer >= g->parent->n_values)
      return error_set(error, LEDGE_ERROR_INTERNAL, "graph '%s': capture %d is out of range", g->name, i);
  }
  bool *made = mem_alloc_array((size_t)g->n_values, sizeof *made);
  if (!made) return error_memory(error, (size_t)g->n_values, "verifying a graph");
  ledge_status status = verify_nodes(g, made, error);
  mem_free(made);
  return status;
}
