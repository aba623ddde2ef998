/* plan/window: see plan.h. A Concat, a Split or a Slice is rows of a whole beside rows of its parts:
 *
 *   whole   | a a a | b b | c | a a a | b b | c | ...      row = 6, of b: at = 3, width = 2
 *
 * If b lies in the whole's memory from the start, nothing is left to copy: it is an alias of the whole, `at` bytes in,
 * with rows of 2 elements that stand 6 apart. With one row only it is dense there, and any step may read and write it.
 * Else every kernel that does must say that it can (kernel.window), and nobody else may look: it is no output of the
 * graph, not captured by a subgraph, and has no alias of another shape.
 *
 * Concats are looked at from the last to the first, so that a Concat that is itself a part of a later one knows where
 * it stands before its own parts are placed; Splits and Slices from the first to the last, for the same reason. */
#include "plan/plan.h"

#include "base/error.h"

/* A part that is much smaller than a large whole would keep it alive: it is copied. */
enum { WINDOW_WHOLE_BYTES = 256 << 10, WINDOW_SHARE = 4 };

typedef struct reader {
  int step, operand;
} reader;

typedef struct windows {
  plan *p;
  int *first;      /* by value: its readers are readers[first[v], first[v + 1]) */
  reader *readers; /* of all steps' inputs */
  bool *fixed;     /* by value: only dense */
  bool *shown;     /* by value: an output of the graph */
  int *maker;      /* by value: the step that makes it, or -1 */
  int *left;       /* by step: parts that are not placed yet */
} windows;

value_id plan_root(plan *p, value_id v, size_t *ret_at) {
  size_t at = 0;
  value_id r = v;
  for (; p->values[r].root != r; r = p->values[r].root) at += p->values[r].at;
  *ret_at = at;
  while (v != r) { /* shorter the next time */
    plan_value *pv = &p->values[v];
    size_t own = pv->at;
    v = pv->root;
    pv->root = r;
    pv->at = at;
    at -= own;
  }
  return r;
}

/* ---- who reads what ---- */

static void count_readers(windows *w) {
  const plan *p = w->p;
  for (int s = 0; s < p->n_steps; s++) {
    const node *n = p->steps[s].ctx.node;
    for (int i = 0; i < n->n_in; i++)
      if (n->in[i] != VALUE_ABSENT) w->first[n->in[i] + 1]++;
  }
  for (int v = 0; v < p->graph->n_values; v++) w->first[v + 1] += w->first[v];
}

/* Afterwards first[v] is where those of v end, which is where those of v + 1 begin: hence the shift by one. */
static void list_readers(windows *w) {
  const plan *p = w->p;
  for (int s = 0; s < p->n_steps; s++) {
    const node *n = p->steps[s].ctx.node;
    for (int i = 0; i < n->n_in; i++)
      if (n->in[i] != VALUE_ABSENT) w->readers[w->first[n->in[i]]++] = (reader){s, i};
    for (int k = 0; k < n->n_out; k++)
      if (n->out[k] != VALUE_ABSENT) w->maker[n->out[k]] = s;
  }
  for (int v = p->graph->n_values; v > 0; v--) w->first[v] = w->first[v - 1];
  w->first[0] = 0;
}

static void mark_fixed(windows *w) {
  const plan *p = w->p;
  const graph *g = p->graph;
  for (int i = 0; i < g->n_outputs; i++) w->fixed[g->outputs[i]] = w->shown[g->outputs[i]] = true;
  for (int v = 0; v < g->n_values; v++)
    if (p->values[v].place == PLAN_ALIAS) w->fixed[v] = w->fixed[p->values[v].root] = true;
  for (int s = 0; s < p->n_steps; s++) {
    int a = 0, k = 0;
    for (graph *sub; (sub = node_next_subgraph(p->steps[s].ctx.node, &a, &k));)
      for (int c = 0; c < sub->n_captures; c++) w->fixed[sub->captures[c].outer] = true;
  }
}

static bool windows_make(windows *w, plan *p) {
  size_t n = (size_t)p->graph->n_values, n_readers = 1;
  for (int s = 0; s < p->n_steps; s++) n_readers += (size_t)p->steps[s].ctx.n_in;
  *w = (windows){.p = p,
                 .first = mem_alloc_array(n + 1, sizeof *w->first),
                 .readers = mem_alloc_array(n_readers, sizeof *w->readers),
                 .fixed = mem_alloc_array(n + 1, sizeof *w->fixed),
                 .shown = mem_alloc_array(n + 1, sizeof *w->shown),
                 .maker = mem_alloc_array(n + 1, sizeof *w->maker),
                 .left = mem_alloc_array((size_t)p->n_steps + 1, sizeof *w->left)};
  if (!w->first || !w->readers || !w->fixed || !w->shown || !w->maker || !w->left) return false;
  for (size_t v = 0; v < n; v++) w->maker[v] = -1;
  for (int s = 0; s < p->n_steps; s++) w->left[s] = p->steps[s].parts ? p->steps[s].parts->n : 1;
  count_readers(w);
  list_readers(w);
  mark_fixed(w);
  return true;
}

static void windows_free(windows *w) {
  mem_free(w->first);
  mem_free(w->readers);
  mem_free(w->fixed);
  mem_free(w->shown);
  mem_free(w->maker);
  mem_free(w->left);
}

/* ---- asking the kernels ---- */

static bool ask(plan_step *s, int operand, int64_t row, int64_t stride) {
  return !s->dynamic && s->window && s->window(s->ctx.kernel, operand, row, stride, &s->scratch_bytes);
}

static bool is_reader(const reader *r, reader other) { return r->step == other.step && r->operand == other.operand; }

/* Do all readers of v but one take rows of `row`, `stride` apart, from now on? */
static bool ask_readers(windows *w, value_id v, reader but, int64_t row, int64_t stride) {
  plan_step *steps = w->p->steps;
  for (int i = w->first[v]; i < w->first[v + 1]; i++) {
    const reader *r = &w->readers[i];
    if (is_reader(r, but) || ask(&steps[r->step], r->operand, row, stride)) continue;
    while (--i >= w->first[v]) {
      r = &w->readers[i];
      if (!is_reader(r, but)) (void)ask(&steps[r->step], r->operand, row, row);
    }
    return false;
  }
  return true;
}

static bool ask_maker(windows *w, value_id v, int64_t row, int64_t stride) {
  if (w->maker[v] < 0) return false;
  plan_step *s = &w->p->steps[w->maker[v]];
  for (int k = 0; k < s->ctx.n_out; k++)
    if (s->ctx.node->out[k] == v) return ask(s, ~k, row, stride);
  return false;
}

/* How many elements apart the rows of parts stand in the whole; 0 where they do not stand so. */
static int64_t whole_stride(const plan_value *whole, const kernel_parts *parts) {
  if (!whole->stride) return parts->row;
  return whole->row == parts->row ? whole->stride : 0;
}

static void stand_in(windows *w, value_id v, value_id whole, const kernel_parts *parts, int k, int64_t stride) {
  plan_value *pv = &w->p->values[v];
  pv->place = PLAN_ALIAS;
  pv->root = whole;
  pv->at = (size_t)parts->at[k] * dtype_bytes(w->p->values[whole].v.tensor.dtype);
  pv->row = stride ? parts->width[k] : 0;
  pv->stride = stride;
}

/* ---- Concat: a part is written where it belongs ---- */

static void put_part(windows *w, int step, int k) {
  plan *p = w->p;
  plan_step *s = &p->steps[step];
  const kernel_parts *parts = s->parts;
  value_id whole = s->ctx.node->out[0], v = s->ctx.node->in[k];
  const int64_t width = parts->width[k], stride = whole_stride(&p->values[whole], parts);
  if (!stride || !width) {
    w->left[step] -= !width;
    return;
  }
  if (parts->rows == 1 && !p->values[whole].stride) {
    size_t at;
    value_id root = plan_root(p, v, &at);
    if (p->values[root].place != PLAN_ARENA || at ||
        p->values[root].bytes != (size_t)width * dtype_bytes(p->values[v].v.tensor.dtype) ||
        !s->window(s->ctx.kernel, k, width, 0, &s->scratch_bytes))
      return;
    stand_in(w, root, whole, parts, k, 0);
  } else {
    if (p->values[v].place != PLAN_ARENA || p->values[v].stride || w->fixed[v] || !ask_maker(w, v, width, stride))
      return;
    bool read = ask_readers(w, v, (reader){step, k}, width, stride);
    if (!read || !s->window(s->ctx.kernel, k, width, 0, &s->scratch_bytes)) {
      if (read) (void)ask_readers(w, v, (reader){step, k}, width, width);
      (void)ask_maker(w, v, width, width);
      return;
    }
    stand_in(w, v, whole, parts, k, stride);
  }
  w->left[step]--;
}

/* ---- Split, Slice: a part is read where it is ---- */

static bool is_worth(const plan_value *whole, const kernel_parts *parts, int k) {
  return tensor_bytes(&whole->v.tensor) <= WINDOW_WHOLE_BYTES || parts->width[k] >= parts->row / WINDOW_SHARE;
}

static void take_part(windows *w, int step, int k) {
  plan *p = w->p;
  plan_step *s = &p->steps[step];
  const kernel_parts *parts = s->parts;
  value_id whole = s->ctx.node->in[0], v = s->ctx.node->out[k];
  size_t at;
  plan_place place = p->values[plan_root(p, whole, &at)].place;
  if ((place != PLAN_ARENA && place != PLAN_INPUT) || p->values[v].place != PLAN_ARENA || w->shown[v]) return;
  const int64_t width = parts->width[k], stride = whole_stride(&p->values[whole], parts);
  const reader nobody = {-1, 0};
  if (!stride || !width || !is_worth(&p->values[whole], parts, k)) return;
  bool dense = parts->rows == 1 && !p->values[whole].stride;
  if (!dense && (w->fixed[v] || !ask_readers(w, v, nobody, width, stride))) return;
  if (!s->window(s->ctx.kernel, ~k, width, 0, &s->scratch_bytes)) {
    if (!dense) (void)ask_readers(w, v, nobody, width, width);
    return;
  }
  stand_in(w, v, whole, parts, k, dense ? 0 : stride);
  w->left[step]--;
}

static void drop_steps(windows *w) {
  plan *p = w->p;
  int n = 0;
  for (int s = 0; s < p->n_steps; s++)
    if (w->left[s] > 0) p->steps[n++] = p->steps[s];
  p->n_steps = n;
}

ledge_status plan_windows(plan *p, ledge_error *error) {
  bool any = false;
  for (int s = 0; s < p->n_steps && !any; s++) any = p->steps[s].parts != NULL;
  if (!any) return LEDGE_OK;
  windows w;
  bool made = windows_make(&w, p);
  for (int s = p->n_steps - 1; made && s >= 0; s--)
    for (int k = 0; p->steps[s].parts && p->steps[s].parts->whole < 0 && k < p->steps[s].parts->n; k++)
      put_part(&w, s, k);
  for (int s = 0; made && s < p->n_steps; s++)
    for (int k = 0; p->steps[s].parts && p->steps[s].parts->whole == 0 && k < p->steps[s].parts->n; k++)
      take_part(&w, s, k);
  if (made) drop_steps(&w);
  windows_free(&w);
  return made ? LEDGE_OK : error_memory(error, (size_t)p->graph->n_values * sizeof(reader), "a plan");
}
