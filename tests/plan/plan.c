/* tests/plan/plan: what a plan promises. Two values that are alive at once do not share memory, but where an operator
 * may write over what it reads; the arena is no larger than what stands in it; results are those of a plan that shares
 * nothing; limits are exact; what was folded for one plan is not taken for another's. */
#include "runtime/run_text.h"

#include "test.h"

/* ---- a plan looked at from outside ---- */

typedef struct lives {
  int *made, *read; /* by value: the step that makes it (-1: before all), the last that reads it; n_steps: an output */
} lives;

static value_id root_of(const plan *p, value_id v) {
  while (p->values[v].root != v) v = p->values[v].root;
  return v;
}

static void read_at(const plan *p, lives *l, value_id v, int step) {
  if (v != VALUE_ABSENT && l->read[v] < step) l->read[v] = step;
}

static lives find_lives(const plan *p) {
  const graph *g = p->graph;
  lives l = {calloc((size_t)g->n_values, sizeof(int)), calloc((size_t)g->n_values, sizeof(int))};
  for (int v = 0; v < g->n_values; v++) l.made[v] = l.read[v] = -1;
  for (int s = 0; s < p->n_steps; s++) {
    const node *n = &g->nodes[p->steps[s].node];
    for (int i = 0; i < n->n_out; i++)
      if (n->out[i] != VALUE_ABSENT) l.made[n->out[i]] = s;
    for (int i = 0; i < n->n_in; i++) read_at(p, &l, n->in[i], s);
    int a = 0, k = 0;
    for (graph *sub; (sub = node_next_subgraph(n, &a, &k));)
      for (int i = 0; i < sub->n_captures; i++) read_at(p, &l, sub->captures[i].outer, s);
  }
  for (int i = 0; i < g->n_outputs; i++) read_at(p, &l, g->outputs[i], p->n_steps);
  for (int i = 0; i < g->n_nodes; i++) { /* a node without a step makes another name for what it reads */
    const node *n = &g->nodes[i];
    for (int k = 0; k < n->n_out; k++) {
      value_id v = n->out[k];
      if (v == VALUE_ABSENT || p->values[v].place == PLAN_CONSTANT || l.made[v] >= 0) continue;
      for (int j = 0; j < n->n_in && (j == 0 || !strcmp(n->op, "Concat")); j++)
        if (n->in[j] != VALUE_ABSENT && l.made[n->in[j]] > l.made[v]) l.made[v] = l.made[n->in[j]];
    }
  }
  return l;
}

/* Marks the bytes of v in its root's memory; whether another has marked one of them. */
static bool mark(const plan *p, value_id v, uint8_t *bytes, bool set) {
  const plan_value *pv = &p->values[v];
  size_t width = dtype_bytes(pv->v.tensor.dtype), total = tensor_bytes(&pv->v.tensor), at = pv->root == v ? 0 : pv->at;
  size_t row = pv->stride ? (size_t)pv->row * width : total, step = pv->stride ? (size_t)pv->stride * width : total;
  bool any = false;
  for (size_t i = 0; i < total; i++) {
    size_t b = at + i / row * step + i % row;
    if (b >= p->values[root_of(p, v)].bytes) {
      TEST_FAIL("%s stands outside of %s", p->graph->values[v].name, p->graph->values[root_of(p, v)].name);
      return true;
    }
    any = any || bytes[b];
    if (set) bytes[b] = 1;
  }
  return any;
}

/* Two values in the memory of one root: do they have an element in common? */
static bool meet(const plan *p, value_id u, value_id v) {
  uint8_t *bytes = calloc(p->values[root_of(p, u)].bytes + 1, 1);
  mark(p, u, bytes, true);
  bool any = mark(p, v, bytes, false);
  free(bytes);
  return any;
}

/* The memory of a value in the arena; false where it has none there. */
static bool place(const plan *p, value_id v, size_t *from, size_t *to) {
  const plan_value *r = &p->values[root_of(p, v)];
  if (r->place != PLAN_ARENA) return false;
  *from = r->offset;
  *to = r->offset + r->bytes;
  return r->bytes > 0;
}

/* May node n write its output over v, which it reads? */
static bool may_write_over(const plan *p, const node *n, value_id v) {
  bool ok = false;
  for (int i = 0; i < n->n_in; i++) {
    if (n->in[i] == VALUE_ABSENT || root_of(p, n->in[i]) != root_of(p, v)) continue;
    if (i >= 8 || !(n->def->flags & OP_INPLACE(i))) {
      int readers = 0; /* the others of the same memory must be read element by element too */
      for (int k = 0; k < n->n_in; k++) readers += n->in[k] != VALUE_ABSENT && root_of(p, n->in[k]) == root_of(p, v);
      if (readers > 1) return false;
      continue;
    }
    ok = true;
  }
  return ok;
}

static int check_plan(const plan *p) {
  const graph *g = p->graph;
  lives l = find_lives(p);
  size_t end = 0, a, b, c, d;
  int shared = 0;
  for (int s = 0; s < p->n_steps; s++) {
    const plan_step *step = &p->steps[s];
    const node *n = &g->nodes[step->node];
    if (step->scratch_bytes) {
      CHECK_INT(step->scratch_offset % 64, 0);
      if (step->scratch_offset + step->scratch_bytes > end) end = step->scratch_offset + step->scratch_bytes;
    }
    for (value_id u = 0; u < g->n_values; u++) {
      if (!place(p, u, &a, &b) || l.made[u] > s || l.read[u] < s) continue; /* not alive in this step */
      if (step->scratch_bytes && a < step->scratch_offset + step->scratch_bytes && step->scratch_offset < b)
        TEST_FAIL("step %d (%s): its scratch lies over %s", s, n->op, g->values[u].name);
      for (int i = 0; i < n->n_out; i++) {
        value_id v = n->out[i];
        if (v == VALUE_ABSENT || u == v || !place(p, v, &c, &d) || b <= c || d <= a) continue;
        bool same = root_of(p, u) == root_of(p, v);
        if (same && l.made[u] == s) continue;                  /* an alias of the output */
        if (same && (step->parts || !meet(p, u, v))) continue; /* parts side by side, some of which are not moved */
        if (same && l.read[u] == s && i == 0 && may_write_over(p, n, u))
          shared++;
        else
          TEST_FAIL("step %d (%s) writes %s over %s, which is read later", s, n->op, g->values[v].name,
                    g->values[u].name);
      }
    }
  }
  for (value_id v = 0; v < g->n_values; v++) {
    if (p->values[v].place != PLAN_ARENA) continue;
    CHECK_INT(p->values[v].offset % 64, 0);
    CHECK(p->values[v].bytes == tensor_bytes(&p->values[v].v.tensor));
    if (p->values[v].offset + mem_align(p->values[v].bytes, 64) > end)
      end = p->values[v].offset + mem_align(p->values[v].bytes, 64);
  }
  CHECK_INT(mem_align(end, 64), p->arena_bytes);
  free(l.made);
  free(l.read);
  return shared;
}

/* ---- models ---- */

static const char residual[] =
    "input x f32 N 8 12 12; const w1 f32 8 8 3 3 = *; const b1 f32 8 = *; const w2 f32 8 1 3 3 = *; const w3 f32 16 8 "
    "1 1 = *;"
    "c1 = Conv x w1 b1 | pads=[1,1,1,1]; r1 = Relu c1; c2 = Conv r1 w2 | group=8 pads=[1,1,1,1]; r2 = Sigmoid c2;"
    "a = Add x r2; m = Mul a r2; c3 = Conv m w3; p = MaxPool c3 | kernel_shape=[2,2] strides=[2,2]; g = "
    "GlobalAveragePool p;"
    "f = Flatten g; s = Softmax f | axis=1; output s f32 N 16; output p f32 N 16 6 6";
static const char attention[] =
    "input x f32 1 T 16; const wq f32 16 16 = *; const wk f32 16 16 = *; const wv f32 16 16 = *; const h i64 4 = 1 -1 "
    "4 4;"
    "q0 = MatMul x wq; k0 = MatMul x wk; v0 = MatMul x wv; q1 = Reshape q0 h; k1 = Reshape k0 h; v1 = Reshape v0 h;"
    "q = Transpose q1 | perm=[0,2,1,3]; k = Transpose k1 | perm=[0,2,3,1]; v = Transpose v1 | perm=[0,2,1,3];"
    "qk = MatMul q k; a = Softmax qk | axis=-1; o = MatMul a v; ot = Transpose o | perm=[0,2,1,3];"
    "const back i64 3 = 1 -1 16; y0 = Reshape ot back; y = Add y0 x; output y f32 1 T 16";
static const char aliases[] =
    "input x f32 4 6; const s i64 2 = 6 4; const t i64 1 = 24; a = Neg x; b = Reshape a s; c = Reshape b t; d = Abs c;"
    "e = Reshape d s; f = Add b e; g = Identity f; h = Squeeze g; i = Flatten h; j = Exp a; k = Reshape j t;"
    "output i f32 6 4; output g f32 6 4; output k f32 24";
static const char branches[] =
    "input x f32 N 8; a b c d = Split x | axis=1 num_outputs=4; e = Neg a; f = Abs b; g = Mul e f; h = Add c d;"
    "i = Concat g h e | axis=1; j k = Split i | axis=1 num_outputs=2; l = Sub j k; m = Sum l l l; n = Max m l j;"
    "output n f32 N 3; output g f32 N 2";
static const char control[] =
    "input x f32 N 4; const c bool = 1; const trips i64 = 3; a = Neg x; b = Exp a; c1 = Sigmoid x; c2 = Softmax c1; c3 "
    "= Exp c2; c4 = Transpose c3;"
    "y = If c ; then { t = Add a b; output t f32 any } else { e = Sub a b; output e f32 any } ;"
    "const go bool = 1; z = Loop trips go y ; body { input i i64 ; input k bool ; input v f32 any; w = Add v b;"
    "k2 = Identity k; output k2 bool ; output w f32 any } ; q = Abs z; output q f32 N 4; output c4 f32 4 N";
static const char dynamic[] =
    "input x f32 N 4; a = Neg x; n = NonZero a; t = Transpose n | perm=[1,0]; g = GatherND a t; r = ReduceSum g | "
    "keepdims=1;"
    "b = Exp x; c = Add b r; output c f32 N 4; output g f32 any";
/* A dense block: each Concat is the next one's first part; a Split, of which a half is read in place. */
static const char windows[] =
    "input x f32 N 8 6 6; const w0 f32 8 8 1 1 = *; const w1 f32 4 8 3 3 = *; const w2 f32 4 12 3 3 = *;"
    "const w3 f32 8 16 1 1 = *; const w4 f32 8 8 1 1 = *; const n1 i64 1 = 4; const n2 i64 1 = 12; const ax i64 1 = 1;"
    "a = Conv x w0; b = Conv a w1 | pads=[1,1,1,1]; c = Concat a b | axis=1; d = Conv c w2 | pads=[1,1,1,1];"
    "e = Concat a b d | axis=1; f = Conv e w3; g = Slice e n1 n2 ax; h = Conv g w4; p q = Split h | axis=1 "
    "num_outputs=2;"
    "r = Concat f q | axis=1; s = Concat p p | axis=1; t = Concat x a | axis=0; output r f32 N 12 6 6; output s f32 "
    "any;"
    "output t f32 any";
static const struct {
  const char *name, *text;
  int rank;
  int64_t dims[4]; /* -1: what varies */
} models[] = {{"residual", residual, 4, {-1, 8, 12, 12}},
              {"attention", attention, 3, {1, -1, 16}},
              {"aliases", aliases, 2, {4, 6}},
              {"branches", branches, 2, {-1, 8}},
              {"windows", windows, 4, {-1, 8, 6, 6}},
              {"control", control, 2, {-1, 4}},
              {"dynamic", dynamic, 2, {-1, 4}}};
enum { N_MODELS = sizeof models / sizeof *models };

static void set_dims(runner *r, int m, int64_t n) {
  int64_t dims[4];
  for (int d = 0; d < models[m].rank; d++) dims[d] = models[m].dims[d] < 0 ? n : models[m].dims[d];
  runner_set(r, 0, models[m].rank, dims);
}

static void test_models(void) {
  int shared = 0;
  for (int m = 0; m < N_MODELS; m++) {
    for (int variant = 0; variant < 3; variant++) { /* reference, kernels, kernels after the passes */
      runner r;
      if (!runner_open(&r, models[m].text, variant == 2, &(session_options){.threads = 1, .reference_only = !variant}))
        continue;
      for (int64_t n = 1; n < 6; n += 2) {
        set_dims(&r, m, n);
        const plan *p;
        CHECK_INT(session_plan(r.s, r.given, &p, &r.error), LEDGE_OK);
        int before = test_failures_;
        shared += check_plan(p);
        if (test_failures_ > before)
          fprintf(stderr, "in %s, variant %d, %lld\n", models[m].name, variant, (long long)n);
        runner_run(&r);
        CHECK(session_last_plan(r.s) == p);
      }
      runner_close(&r);
    }
  }
  CHECK(shared > 10); /* memory is taken over at all */
}

/* ---- against plans that share nothing ---- */

/* The same outputs where every value is an output, so that none is written over. */
static void compare_with_all_outputs(const char *text, const char *const *values, int n_values, const char *outputs,
                                     const char *types, bool reference) {
  writer w = {0};
  writer_format(&w, "%s%s", text, outputs);
  for (int i = 0; i < n_values; i++) writer_format(&w, "; output %s f32 any", values[i]);
  writer_u8(&w, 0);
  writer plain = {0};
  writer_format(&plain, "%s%s", text, outputs);
  writer_u8(&plain, 0);
  runner a, b;
  session_options o = {.threads = 1, .reference_only = reference};
  if (runner_open(&a, (const char *)plain.data, false, &o) && runner_open(&b, (const char *)w.data, false, &o)) {
    runner_set(&a, 0, 2, (const int64_t[]){4, 4});
    runner_set(&b, 0, 2, (const int64_t[]){4, 4});
    if (!runner_run(&a) && !runner_run(&b)) {
      check_plan(session_last_plan(a.s));
      for (int i = 0; i < a.m->graph->n_outputs; i++) {
        const tensor *x = runner_output(&a, i), *y = runner_output(&b, i);
        CHECK(x && y && tensor_same_shape(x, y));
        if (x && y && memcmp(x->data, y->data, tensor_bytes(x)))
          TEST_FAIL("output %d differs where memory is shared: %s", i, (const char *)plain.data);
      }
    }
    runner_close(&b);
    runner_close(&a);
  }
  writer_deinit(&w);
  writer_deinit(&plain);
}

static uint64_t state = 1;
static int draw(int below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int)((state >> 33) % (uint64_t)below);
}

/* Graphs of random nodes over 4 x 4 values. */
static void test_random_graphs(void) {
  enum { NODES = 40 };
  static const char *const ops[] = {
      "Neg", "Abs", "Sigmoid", "Relu", "Identity", "Softmax", "Transpose",       "CumSum", "Add",
      "Mul", "Sub", "Max",     "Sum",  "MatMul",   "Where",   "ScatterElements", "Reshape"};
  for (int round = 0; round < 120; round++) {
    writer w = {0};
    char names[NODES + 1][8];
    const char *list[NODES];
    writer_text(
        &w,
        "input x f32 4 4; const s i64 2 = 4 4; const ax i64 = 0; const i i64 4 4 = 0 1 2 3 1 2 3 0 2 3 0 1 3 0 1 2;");
    strcpy(names[0], "x");
    for (int k = 1; k <= NODES; k++) {
      int from = k > 6 && draw(4) ? k - 6 : 0; /* mostly the last few: lives are short */
      const char *a = names[from + draw(k - from)], *b = names[from + draw(k - from)],
                 *c = names[from + draw(k - from)];
      int op = draw((int)(sizeof ops / sizeof *ops));
      snprintf(names[k], sizeof names[k], "v%d", k);
      list[k - 1] = names[k];
      if (op == 7)
        writer_format(&w, "v%d = CumSum %s ax;", k, a);
      else if (op < 8)
        writer_format(&w, "v%d = %s %s;", k, ops[op], a);
      else if (op < 11)
        writer_format(&w, "v%d = %s %s %s;", k, ops[op], a, b);
      else if (op < 13)
        writer_format(&w, "v%d = %s %s %s %s;", k, ops[op], a, b, c);
      else if (op == 13)
        writer_format(&w, "m%d = MatMul %s %s; v%d = Sigmoid m%d;", k, a, b, k, k);
      else if (op == 14)
        writer_format(&w, "c%d = Greater %s %s; v%d = Where c%d %s %s;", k, a, b, k, k, b, c);
      else if (op == 15)
        writer_format(&w, "v%d = ScatterElements %s i %s | axis=%d;", k, a, draw(2) ? a : b, draw(2));
      else
        writer_format(&w, "v%d = Reshape %s s;", k, a);
    }
    writer_u8(&w, 0);
    compare_with_all_outputs((const char *)w.data, list, NODES - 2, "output v40 f32 any; output v39 f32 any", "",
                             round & 1);
    writer_deinit(&w);
  }
}

/* ---- windows ---- */

static int count_windows(const plan *p) {
  int n = 0;
  for (value_id v = 0; v < p->graph->n_values; v++)
    n += p->values[v].place == PLAN_ALIAS && (p->values[v].stride || p->values[v].at);
  return n;
}

/* The model with all passes, in some threads, against the references; returns the windows of its plan. */
static int compare_with_reference(const char *text, const int64_t dims[4], int threads) {
  int found = 0;
  runner want, got;
  session_options reference = {.threads = 1, .reference_only = true}, fast = {.threads = threads};
  if (!runner_open(&want, text, false, &reference)) return 0;
  if (runner_open(&got, text, true, &fast)) {
    runner_set(&want, 0, 4, dims);
    runner_set(&got, 0, 4, dims);
    if (!runner_run(&want) && !runner_run(&got) && !runner_run(&got)) {
      check_plan(session_last_plan(got.s));
      found = count_windows(session_last_plan(got.s));
      for (int i = 0; i < want.m->graph->n_outputs; i++) {
        const tensor *a = runner_output(&want, i), *b = runner_output(&got, i);
        double most = 0, worst = 0;
        for (int64_t e = 0; e < tensor_elements(a); e++) {
          most = fmax(most, fabs(tensor_f64(a, e)));
          worst = fmax(worst, fabs(tensor_f64(a, e) - tensor_f64(b, e)));
        }
        if (!(worst <= 1e-4 * most)) TEST_FAIL("output %d is off by %g of %g: %s", i, worst, most, text);
      }
    }
    runner_close(&got);
  }
  runner_close(&want);
  return found;
}

/* Random networks of convolutions, with Concats, Splits and Slices of all kinds between them: with all passes, in one
 * to three threads, against the references. */
static void test_windows(void) {
  enum { NODES = 14 };
  static const char *const forms[] = {
      "v%d = Conv %s w1;",
      "c%d = Conv %s w3 | pads=[1,1,1,1]; v%d = Tanh c%d;",
      "c%d = Conv %s wd | group=8 pads=[1,1,1,1]; v%d = Relu c%d;",
      "v%d = Add %s %s;",
      "c%d = Concat %s %s | axis=1; d%d = Conv c%d w16; v%d = Tanh d%d;",
      "p%d q%d = Split %s | axis=1 num_outputs=2; v%d = Concat q%d p%d | axis=1;",
      "p%d q%d = Split %s | axis=1 num_outputs=2; r%d = Conv p%d w4; v%d = Concat r%d q%d | axis=1;",
      "c%d = Concat %s %s | axis=1; v%d = Slice c%d n4 n12 one;",
      "c%d = Concat %s %s | axis=0; d%d = Conv c%d w1; v%d p%d = Split d%d | axis=0 num_outputs=2;",
      "c%d = Reshape %s s5; d%d = Transpose c%d | perm=[0,2,1,3,4]; v%d = Reshape d%d s4;",
      "p%d q%d = Split %s | axis=2 num_outputs=2; v%d = Concat q%d p%d | axis=2;",
      "p%d q%d r%d t%d = Split %s | axis=1 num_outputs=4; c%d = Add p%d r%d; v%d = Concat c%d q%d t%d p%d | axis=1;",
      "c%d = Concat %s %s %s | axis=1; p%d q%d r%d = Split c%d | axis=1 num_outputs=3; d%d = Conv q%d w1; v%d = Add "
      "r%d "
      "d%d;",
      "c%d = Conv %s w1; d%d = Sigmoid c%d; v%d = Mul d%d %s;"};
  int found = 0;
  for (int round = 0; round < 60; round++) {
    writer w = {0};
    writer_text(&w,
                "input x f32 N 8 6 6; const w1 f32 8 8 1 1 = *; const w3 f32 8 8 3 3 = *; const wd f32 8 1 3 3 = *;"
                "const w16 f32 8 16 1 1 = *; const w4 f32 4 4 1 1 = *; const n4 i64 1 = 4; const n12 i64 1 = 12;"
                "const one i64 1 = 1; const s5 i64 5 = 0 2 4 6 6; const s4 i64 4 = 0 8 6 6; v0 = Conv x w1;");
    for (int k = 1; k <= NODES; k++) {
      const char *f = forms[draw((int)(sizeof forms / sizeof *forms))];
      for (const char *at; (at = strchr(f, '%')); f = at + 2) {
        writer_bytes(&w, f, (size_t)(at - f));
        int from = k > 4 && draw(3) ? k - 4 : 0;
        writer_format(&w, at[1] == 'd' ? "%d" : "v%d", at[1] == 'd' ? k : from + draw(k - from));
      }
      writer_text(&w, f);
    }
    writer_format(&w, "output v%d f32 any; output v%d f32 any", NODES, NODES - 3);
    writer_u8(&w, 0);
    found += compare_with_reference((const char *)w.data, (const int64_t[]){1 + round % 2, 8, 6, 6}, 1 + round % 3);
    writer_deinit(&w);
  }
  CHECK(found > 200);
}

/* A batch norm inside a convolution reads, writes and adds windows. */
static void test_prologue_windows(void) {
  static const char text[] =
      "input x f32 N 16 50 47; const k f32 16 16 1 1 = *; const w f32 16 32 1 1 = *; const u f32 8 48 3 3 = *; const s "
      "f32 32 = *;"
      "const t f32 32 = *; const m f32 32 = *; const v f32 32 = 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 "
      "2 "
      "1 2 1 2;"
      "a = Conv x k; b = Tanh a; c = Conv x k; d = Relu c; e = Concat b d | axis=1; n = BatchNormalization e s t m v;"
      "r = Relu n; f = Conv r w; g = Add f b; h = Concat b d g | axis=1; y = Conv h u | pads=[1,1,1,1]; output y f32 "
      "any";
  for (int threads = 1; threads <= 3; threads++)
    for (int64_t batch = 1; batch <= 2; batch++)
      CHECK(compare_with_reference(text, (const int64_t[]){batch, 16, 50, 47}, threads) >= 3);
}

/* And so do operators of elements. */
static void test_element_windows(void) {
  static const char text[] =
      "input x f32 N 16 9 7; const k f32 16 16 1 1 = *; const w f32 16 32 1 1 = *; const m f32 16 1 1 = *;"
      "a = Conv x k; b = Exp a; c = Sin a; d = Concat b c | axis=1; e = Conv d w; p q = Split d | axis=1 num_outputs=2;"
      "f = Abs q; g = Mul p e; h = Mul q m; i = Sub p q; j = Concat f g h i | axis=1; y = Neg j; output y f32 any;"
      "output i f32 any";
  for (int threads = 1; threads <= 3; threads++)
    for (int64_t batch = 1; batch <= 2; batch++)
      CHECK(compare_with_reference(text, (const int64_t[]){batch, 16, 9, 7}, threads) >= 3);
}

/* Each operator that may write over an input, where that is read once, twice, and by another input of the node. */
static void test_in_place_operators(void) {
  static const char *const nodes[] = {"Relu h",
                                      "PRelu h k",
                                      "PRelu h h",
                                      "Gelu h",
                                      "Elu h",
                                      "LeakyRelu h",
                                      "Selu h",
                                      "HardSigmoid h",
                                      "HardSwish h",
                                      "Mish h",
                                      "Shrink h",
                                      "Softplus h",
                                      "Softsign h",
                                      "Tanh h",
                                      "Celu h",
                                      "ThresholdedRelu h",
                                      "Clip h lo hi",
                                      "Clip h",
                                      "Dropout h",
                                      "Add h h",
                                      "Sub h k",
                                      "Sub k h",
                                      "Div h h",
                                      "Mul h h",
                                      "Pow h two",
                                      "Pow two h",
                                      "Mod h k | fmod=1",
                                      "Max h",
                                      "Max h k h",
                                      "Max k h h",
                                      "Min k h h",
                                      "Sum h k h",
                                      "Sum k h k h h",
                                      "Mean h k h",
                                      "Mean h h k",
                                      "Where c h h",
                                      "Where c k h",
                                      "Where c h k",
                                      "CumSum h axis | reverse=1",
                                      "CumSum h axis | exclusive=1",
                                      "CumProd h axis",
                                      "ScatterElements h i h",
                                      "ScatterElements h i h | reduction='add'",
                                      "ScatterElements h i k",
                                      "ScatterND h nd h",
                                      "Softmax h | axis=0",
                                      "LogSoftmax h | axis=1",
                                      "Trilu h",
                                      "Trilu h one",
                                      "Hardmax h",
                                      "LpNormalization h | axis=0",
                                      "LpNormalization h | p=1",
                                      "Identity h",
                                      "Cast h | to=1",
                                      "CastLike h h",
                                      "Erf h",
                                      "Round h",
                                      "Sign h",
                                      "Sin h",
                                      "Sqrt h",
                                      "Reciprocal h",
                                      "BitCast h | to=1",
                                      "Swish h",
                                      "com.microsoft:QuickGelu h",
                                      "com.microsoft:Gelu h",
                                      "TensorScatter h4 u w",
                                      "TensorScatter h4 h4",
                                      "ai.onnx.ml:Binarizer h",

                                      "SwiGLU h h"};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    char text[2048], alias[2048], op[64];
    static const char head[] =
        "opset 28; input x f32 4 4; const k f32 4 4 = *; const lo f32 = -0.2; const hi f32 = 0.5; const two f32 = 2; "
        "const one i64 = 1;"
        "const axis i64 = 1; const c bool 4 4 = 1 0 1 0 0 1 1 0 1 1 1 0 0 0 1 1; const w i64 1 = 1;"
        "const i i64 4 4 = 0 1 2 3 1 2 3 0 2 3 0 1 3 0 1 2; const nd i64 4 1 = 2 0 3 1; const s4 i64 4 = 1 1 4 4;"
        "const s2 i64 2 = 4 4; const u4 i64 4 = 1 1 1 4; const at i64 2 = 1 4; h = Neg x;";
    snprintf(op, sizeof op, "%s", nodes[i]);
    bool four = strstr(op, "h4") != NULL;
    snprintf(text, sizeof text, "%s%s y = %s; z = Neg y;", head,
             four ? "h4 = Reshape h s4; u0 = Slice k zero1 one1; u = Reshape u0 u4; const zero1 i64 1 = 0; const one1 "
                    "i64 1 = 1;"
                  : "",
             op);
    const char *values[] = {"h", "y"};
    for (int reference = 0; reference < 2; reference++) {
      compare_with_all_outputs(text, values, four ? 2 : 2, "output z f32 any", "", reference);
      /* The same memory under another name and shape: h2 is h. */
      if (four) continue;
      snprintf(alias, sizeof alias, "%s h2 = Reshape h s2; h3 = Sub h2 k; y0 = %s; y = Add y0 h3; z = Neg y;", head,
               op);
      const char *more[] = {"h", "h2", "h3", "y0", "y"};
      compare_with_all_outputs(alias, more, 5, "output z f32 any", "", reference);
    }
  }
}

/* ---- limits ---- */

static void test_limit_is_exact(void) {
  for (int m = 0; m < N_MODELS; m++) {
    runner r;
    if (!runner_open(&r, models[m].text, true, NULL)) continue;
    set_dims(&r, m, 3);
    const plan *p;
    CHECK_INT(session_plan(r.s, r.given, &p, &r.error), LEDGE_OK);
    size_t need = p->arena_bytes + p->folded_bytes;
    runner_close(&r);
    char figure[32];
    snprintf(figure, sizeof figure, "%zu bytes", need);
    for (int less = 0; less < 2 && need > 100; less++) {
      if (!runner_open(&r, models[m].text, true, &(session_options){.threads = 1, .memory_limit = need - (size_t)less}))
        continue;
      set_dims(&r, m, 3);
      CHECK_INT(session_plan(r.s, r.given, &p, &r.error), less ? LEDGE_ERROR_LIMIT : LEDGE_OK);
      if (less && !strstr(r.error.message, figure)) TEST_FAIL("\"%s\" does not say %s", r.error.message, figure);
      runner_close(&r);
    }
  }
}

/* Sizes whose sum wraps: refused, and nothing is allocated for them. */
static void test_wrapping_sizes(void) {
  runner r;
  if (!runner_open(
          &r,
          "input x f32 1; const s i64 1 = 1152921504606846976; a = Expand x s; b = Neg a; c = Neg a; d = Neg a;"
          "e = Add a b; f = Add c d; g = Add e f; y = ReduceSum g | keepdims=0; output y f32 ",
          false, &(session_options){.threads = 1, .memory_limit = SIZE_MAX}))
    return;
  runner_set(&r, 0, 1, (const int64_t[]){1});
  const plan *p;
  ledge_status status = session_plan(r.s, r.given, &p, &r.error);
  CHECK(status == LEDGE_ERROR_LIMIT || status == LEDGE_ERROR_SHAPE);
  runner_close(&r);
}

/* ---- what is folded for one shape ---- */

/* The weights are a piece of a table that the length of x chooses: constant for a plan, different for the next. Plans
 * come and go, so that one's folded piece comes to lie where another's was. */
static void test_folded_weights(void) {
  enum { N = 24, W = 48 };
  runner r;
  if (!runner_open(
          &r,
          "input x f32 8 48; input n f32 N; const table f32 3456 = *; const one i64 1 = 1; const w i64 1 = 2304;"
          "const sq i64 2 = 48 48; l = Shape n; e = Add l w; p = Slice table l e; m = Reshape p sq;"
          "y = MatMul x m; output y f32 8 48",
          true, NULL))
    return;
  runner_set(&r, 0, 2, (const int64_t[]){8, W});
  float table[3456], want[8 * W];
  for (int i = 0; i < 3456; i++) table[i] = (float)sin((i + 1) * 0.7 + 5);
  for (int round = 0; round < 3; round++) {
    for (int n = 0; n < N; n++) {
      runner_set(&r, 1, 1, (const int64_t[]){n * 37 % 29});
      if (runner_run(&r)) break;
      const float *piece = table + n * 37 % 29, *x = r.in[0].tensor.data, *y = runner_output(&r, 0)->data;
      memset(want, 0, sizeof want);
      for (int i = 0; i < 8; i++)
        for (int k = 0; k < W; k++)
          for (int j = 0; j < W; j++) want[i * W + j] += x[i * W + k] * piece[k * W + j];
      double most = 0;
      for (int i = 0; i < 8 * W; i++) most = fmax(most, fabs((double)(y[i] - want[i])));
      if (!(most < 1e-4)) TEST_FAIL("round %d, length %d: off by %g", round, n, most);
    }
  }
  runner_close(&r);
}

/* Memory that plans hold does not grow with the number of shapes that were seen. */
static void test_plans_are_dropped(void) {
  runner r;
  weight_store *weights = weight_store_create();
  if (!runner_open(&r, residual, true, &(session_options){.threads = 1, .weights = weights})) return;
  size_t most = 0;
  for (int n = 1; n <= 60; n++) {
    set_dims(&r, 0, n % 20 + 1);
    if (runner_run(&r)) break;
    if (n == 20) most = session_memory_bytes(r.s);
    if (n > 20) CHECK(session_memory_bytes(r.s) <= most * 2);
  }
  size_t packed = weight_store_bytes(weights);
  for (int n = 1; n <= 20; n++) {
    set_dims(&r, 0, n);
    if (runner_run(&r)) break;
  }
  CHECK_INT(weight_store_bytes(weights), packed); /* packed once a model, not once a plan */
  runner_close(&r);
  weight_store_unref(weights);
}

/* And all plans that are kept are within the memory limit. */
static void test_plans_within_limit(void) {
  runner r;
  const plan *p;
  if (!runner_open(&r, residual, true, NULL)) return;
  set_dims(&r, 0, 20);
  CHECK_INT(session_plan(r.s, r.given, &p, &r.error), LEDGE_OK);
  size_t limit = (p->arena_bytes + p->folded_bytes) * 5 / 4;
  runner_close(&r);
  if (!runner_open(&r, residual, true, &(session_options){.threads = 1, .memory_limit = limit})) return;
  for (int n = 1; n <= 20; n++) {
    set_dims(&r, 0, n);
    if (runner_run(&r)) break;
    CHECK(session_memory_bytes(r.s) <= limit);
  }
  runner_close(&r);
}

TEST_MAIN({"models", test_models}, {"random graphs", test_random_graphs}, {"windows", test_windows},
          {"prologue windows", test_prologue_windows}, {"element windows", test_element_windows},
          {"in place operators", test_in_place_operators}, {"limit is exact", test_limit_is_exact},
          {"wrapping sizes", test_wrapping_sizes}, {"folded weights", test_folded_weights},
          {"plans are dropped", test_plans_are_dropped}, {"plans within limit", test_plans_within_limit})
