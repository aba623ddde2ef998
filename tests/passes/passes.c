/* passes: each rewrite on small graphs: that it fires where it should and not where it must not, and that the outputs
 * stay what they are, with it alone, with all passes, without it, and with random choices of them; with declared shapes
 * and with open ones.
 *
 *   {"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3; s 4; t 4; m 4; v+ 4",
 *    "a = Conv x w; y = BatchNormalization a s t m v", "y", "!BatchNormalization"}
 *
 * inputs and constants: name dims, random in (-1, 1), float32; name+ dims: in (0.4, 1.8); "name h dims": float16; a
 * constant may also be given: "k = 0.5" (a scalar), "k = [1,2]" (int64), "k = [1.0,2.0]" (float32), "k = i3" (an int64
 * scalar), "k = b1" (bool). nodes: outs = Op ins | attributes (op_test.h), "-" for what is left out; Op is
 * [domain:]Name[-version], 17 where none is given. want: operators (with their domain, "ledge:Conv") that must be there
 * afterwards, or with ! must not; N*Op: exactly N of them; Op-7: of that version. with: other passes that must run too.
 */
#include "base/rng.h"
#include "passes/pass.h"
#include "runtime/session.h"

#include "../ops/op_test.h"

enum { PASS_VALUES_MAX = 64, PASS_IN_MAX = 4, PASS_OUT_MAX = 4 };

typedef struct pass_case {
  const char *pass, *with, *inputs, *constants, *nodes, *outs, *want;
  double tolerance;      /* 0: 1e-4 of the largest magnitude */
  bool closed;           /* not with open shapes: a constant says a size */
  const char *open_want; /* with open shapes, where that is another thing */
} pass_case;

static rng dice;

/* ---- text -> graph ---- */

/* The next word of *s up to white space or one of `stops`; empty at the end. */
static char *word(const char **s, const char *stops, char *to, size_t size) {
  while (**s == ' ' || **s == '\n') ++*s;
  size_t n = 0;
  while (**s && **s != ' ' && !strchr(stops, **s)) {
    if (n + 1 < size) to[n++] = **s;
    ++*s;
  }
  to[n] = 0;
  while (**s == ' ') ++*s;
  return to;
}

static int dims_of(const char *s, int64_t *dims) {
  int rank = 0;
  for (char *end; *s; s = *end == 'x' ? end + 1 : end) {
    dims[rank++] = strtoll(s, &end, 10);
    if (end == s) abort();
  }
  return rank;
}

static tensor random_tensor(ledge_dtype dtype, bool positive, int rank, const int64_t *dims) {
  tensor t = {0};
  tensor_set_shape(&t, dtype, rank, dims);
  if (tensor_alloc(&t, NULL)) abort();
  for (int64_t i = 0; i < tensor_elements(&t); i++) {
    double r = rng_uniform(&dice);
    dtype_store_f64(dtype, t.data, i, positive ? 0.4 + 1.4 * r : 2 * r - 1);
  }
  return t;
}

static tensor given_tensor(const char *s) {
  tensor t = {0};
  int64_t n = 1;
  if (*s == 'i' || *s == 'b') {
    tensor_set_shape(&t, *s == 'i' ? LEDGE_I64 : LEDGE_BOOL, 0, NULL);
    if (tensor_alloc(&t, NULL)) abort();
    dtype_store_i64(t.dtype, t.data, 0, atoll(s + 1));
    return t;
  }
  bool list = *s == '[', real = strchr(s, '.') || !list;
  for (const char *c = s; list && *c; c++) n += *c == ',';
  if (!strcmp(s, "[]")) n = 0;
  tensor_set_shape(&t, real ? LEDGE_F32 : LEDGE_I64, list, &n);
  if (tensor_alloc(&t, NULL)) abort();
  for (int64_t i = 0; i < n; i++) {
    s += list;
    char *end;
    double v = strtod(s, &end);
    if (real)
      dtype_store_f64(t.dtype, t.data, i, v);
    else
      dtype_store_i64(t.dtype, t.data, i, (int64_t)v);
    s = end;
  }
  return t;
}

/* One declaration: "name dims", "name+ dims", "name h dims", "name = value". */
static tensor declared_tensor(const char **s, char *name) {
  char text[128];
  int64_t dims[LEDGE_MAX_RANK];
  word(s, ";", name, 32);
  bool positive = strlen(name) && name[strlen(name) - 1] == '+', half = false;
  if (positive) name[strlen(name) - 1] = 0;
  word(s, ";", text, sizeof text);
  if (!strcmp(text, "=")) return given_tensor(word(s, ";", text, sizeof text));
  if (!strcmp(text, "h")) {
    half = true;
    word(s, ";", text, sizeof text);
  }
  return random_tensor(half ? LEDGE_F16 : LEDGE_F32, positive, dims_of(text, dims), dims);
}

typedef struct built {
  model *m;
  graph *g;
  tensor owned[16];
  int n_owned;
} built;

static value_id named(graph *g, const char *name) {
  value_id v = graph_find_value(g, name);
  return v == VALUE_ABSENT ? graph_add_value(g, name) : v;
}

static value_id declare(built *b, const char *name, const tensor *t, bool open) {
  value_id v = graph_add_value(b->g, name);
  int64_t *dims = arena_alloc_array(&b->m->arena, (size_t)t->rank + 1, sizeof *dims);
  const char **names = arena_alloc_array(&b->m->arena, (size_t)t->rank + 1, sizeof *names);
  memcpy(dims, t->dims, (size_t)t->rank * sizeof *dims);
  for (int d = 0; open && d < t->rank; d++) { /* the batch, and what is spatial of an image */
    if (d && (t->rank != 4 || d == 1)) continue;
    char text[32];
    snprintf(text, sizeof text, "n%lld", (long long)dims[d]);
    dims[d] = -1;
    names[d] = arena_strdup(&b->m->arena, text);
  }
  b->g->values[v].type = (graph_type){
      .kind = TYPE_TENSOR, .dtype = t->dtype, .rank = t->rank, .dims = dims, .dim_names = open ? names : NULL};
  return v;
}

static void build_nodes(built *b, const char *s) {
  while (*s) {
    char text[64], op[64], domain[64] = "";
    value_id in[12], out[4];
    int n_in = 0, n_out = 0, version = 17;
    while (strcmp(word(&s, "", text, sizeof text), "="))
      out[n_out++] = strcmp(text, "-") ? named(b->g, text) : VALUE_ABSENT;
    word(&s, ";|", op, sizeof op);
    char *name = op, *at = strchr(op, ':'), *minus = strchr(op, '-');
    if (at) *at = 0, strcpy(domain, op), name = at + 1;
    if (minus)
      *minus = 0, version = atoi(minus + 1);
    else if (*domain)
      version = 1;
    while (*s && *s != ';' && *s != '|') {
      word(&s, ";|", text, sizeof text);
      in[n_in++] = strcmp(text, "-") ? named(b->g, text) : VALUE_ABSENT;
    }
    node *n = graph_add_node(b->g, domain, name, version, name, in, n_in, out, n_out);
    if (!n) abort();
    if (*s == '|') {
      size_t size = strcspn(++s, ";");
      op_test_attrs(b->g, n, arena_strndup(&b->m->arena, s, size), b->owned, &b->n_owned);
      s += size;
    }
    if (*s == ';') s++;
  }
}

static built build(const pass_case *pc, const tensor *inputs, const tensor *constants, bool open) {
  built b = {.m = model_create()};
  char name[32];
  int i = 0;
  b.g = b.m->graph = graph_create(b.m, NULL, "test");
  b.m->ir_version = 8;
  b.g->inputs = arena_alloc_array(&b.m->arena, PASS_IN_MAX, sizeof *b.g->inputs);
  b.g->outputs = arena_alloc_array(&b.m->arena, PASS_OUT_MAX, sizeof *b.g->outputs);
  for (const char *s = pc->inputs; *s; s += *s == ';') {
    word(&s, ";", name, sizeof name);
    if (name[strlen(name) - 1] == '+') name[strlen(name) - 1] = 0;
    s += strcspn(s, ";");
    b.g->inputs[b.g->n_inputs] = declare(&b, name, &inputs[b.g->n_inputs], open);
    b.g->n_inputs++;
  }
  for (const char *s = pc->constants; *s; s += *s == ';', i++) {
    word(&s, ";", name, sizeof name);
    if (name[strlen(name) - 1] == '+') name[strlen(name) - 1] = 0;
    s += strcspn(s, ";");
    const tensor *t = &constants[i];
    value_id v = graph_add_value(b.g, name);
    tensor *copy = arena_alloc(&b.m->arena, sizeof *copy);
    *copy = *t;
    copy->own = NULL;
    b.g->values[v].constant = copy;
    b.g->values[v].type = (graph_type){.kind = TYPE_TENSOR, .dtype = t->dtype, .rank = t->rank, .dims = copy->dims};
  }
  build_nodes(&b, pc->nodes);
  for (const char *s = pc->outs; *s;) b.g->outputs[b.g->n_outputs++] = named(b.g, word(&s, "", name, sizeof name));
  int missing = 0;
  ledge_error e = {0};
  if (graph_sort(b.g, &e) || ops_resolve(b.g, NULL, 0, &missing, &e) || missing || graph_verify(b.g, &e))
    TEST_FAIL("%s: %s: %s, %d operators missing", pc->pass, pc->nodes, e.message, missing);
  return b;
}

static void unbuild(built *b) {
  for (int i = 0; i < b->n_owned; i++) tensor_deinit(&b->owned[i]);
  model_destroy(b->m);
}

/* ---- what is checked ---- */

static int count_ops(const graph *g, const char *op) {
  int n = 0;
  const char *colon = strchr(op, ':'), *name = colon ? colon + 1 : op, *minus = strchr(name, '-');
  size_t size = minus ? (size_t)(minus - name) : strlen(name);
  for (int i = 0; i < g->n_nodes; i++) {
    const node *k = &g->nodes[i];
    bool domain = colon ? strlen(k->domain) == (size_t)(colon - op) && !memcmp(k->domain, op, (size_t)(colon - op))
                        : !k->domain[0];
    n += domain && strlen(k->op) == size && !memcmp(k->op, name, size) && (!minus || k->version == atoi(minus + 1));
  }
  return n;
}

static void check_want(const pass_case *pc, const graph *g, bool open) {
  char text[64];
  for (const char *s = open && pc->open_want ? pc->open_want : pc->want; *s;) {
    word(&s, "", text, sizeof text);
    bool exact = strchr(text, '*') != NULL, none = *text == '!';
    const char *op = exact ? strchr(text, '*') + 1 : text + none;
    int n = count_ops(g, op);
    if (exact ? n != atoi(text) : none ? n != 0 : n == 0)
      TEST_FAIL("%s%s: %s: wanted %s; there are %d", pc->pass, open ? " (open)" : "", pc->nodes, text, n);
  }
}

/* Runs b's graph; the outputs are copied to ret (owned). */
static bool run_built(const pass_case *pc, built *b, const tensor *inputs, tensor *ret, const char *how) {
  const session_options so = {.threads = 1 + (int)(rng_u64(&dice) % 3)};
  value in[PASS_IN_MAX] = {0};
  const value *ins[PASS_IN_MAX];
  session *s = NULL;
  ledge_error e = {0};
  for (int i = 0; i < b->g->n_inputs; i++) {
    in[i] = (value){.kind = VALUE_TENSOR, .tensor = inputs[i]};
    in[i].tensor.own = NULL;
    ins[i] = &in[i];
  }
  bool fine = !graph_verify(b->g, &e) && !session_create(b->m, &so, &s, &e) && !session_run(s, ins, &e);
  if (!fine) TEST_FAIL("%s: %s: %s: %s", pc->pass, pc->nodes, how, e.message);
  for (int i = 0; fine && i < b->g->n_outputs; i++) {
    const tensor *t = &session_output(s, i)->tensor;
    tensor_set_shape(&ret[i], t->dtype, t->rank, t->dims);
    if (tensor_alloc(&ret[i], NULL)) abort();
    if (tensor_bytes(t)) memcpy(ret[i].data, t->data, tensor_bytes(t));
  }
  session_destroy(s);
  return fine;
}

static void compare(const pass_case *pc, const tensor *got, const tensor *want, const char *how) {
  double most = 0, worst = 0;
  if (got->dtype != want->dtype || !tensor_same_shape(got, want)) {
    TEST_FAIL("%s: %s: %s: another dtype or shape", pc->pass, pc->nodes, how);
    return;
  }
  for (int64_t i = 0; i < tensor_elements(want); i++) {
    double d = fabs(tensor_f64(got, i) - tensor_f64(want, i));
    most = fmax(most, fabs(tensor_f64(want, i)));
    worst = d > worst || isnan(d) ? d : worst;
  }
  if (!(worst <= (pc->tolerance != 0 ? pc->tolerance : 1e-4) * (most + 1e-3)))
    TEST_FAIL("%s: %s: %s: differs by %g of %g", pc->pass, pc->nodes, how, worst, most);
}

static bool in_words(const char *list, const char *name) {
  char text[64];
  while (*list)
    if (!strcmp(word(&list, "", text, sizeof text), name)) return true;
  return false;
}

/* How: 0 the pass (with those that it needs) alone; 1 all; 2 all but it; 3 on: a random choice. Into a list of names.
 */
static void disabled(const pass_case *pc, int how, char *list, size_t size) {
  *list = 0;
  for (int i = 0; passes_name(i); i++) {
    const char *name = passes_name(i);
    bool mine = !strcmp(name, pc->pass), needed = in_words(pc->with, name);
    bool off = how == 0 ? !mine && !needed : how == 1 ? false : how == 2 ? mine : rng_u64(&dice) % 2 == 0;
    if (off) snprintf(list + strlen(list), size - strlen(list), "%s%s", *list ? "," : "", name);
  }
}

static void run_case(const pass_case *pc, bool open) {
  tensor inputs[PASS_IN_MAX] = {0}, constants[PASS_VALUES_MAX] = {0}, want[PASS_OUT_MAX] = {0};
  int n_inputs = 0, n_constants = 0;
  char name[32], list[256];
  for (const char *s = pc->inputs; *s; s += *s == ';') inputs[n_inputs++] = declared_tensor(&s, name);
  for (const char *s = pc->constants; *s; s += *s == ';') constants[n_constants++] = declared_tensor(&s, name);
  const pass_options plain = {.required_only = true};
  ledge_error e = {0};
  built b = build(pc, inputs, constants, open);
  int n_outputs = b.g->n_outputs;
  bool fine = !passes_run(b.m, &plain, &e) && run_built(pc, &b, inputs, want, "no pass");
  unbuild(&b);
  for (int how = 0; fine && how < 6; how++) {
    tensor got[PASS_OUT_MAX] = {0};
    disabled(pc, how, list, sizeof list);
    const pass_options options = {.disable = list, .standard_only = !strcmp(pc->pass, "shapes")};
    b = build(pc, inputs, constants, open);
    if (passes_run(b.m, &options, &e)) TEST_FAIL("%s: %s: without %s: %s", pc->pass, pc->nodes, list, e.message);
    if (how == 0) check_want(pc, b.g, open);
    char what[300];
    snprintf(what, sizeof what, "%swithout [%s]", open ? "open, " : "", list);
    if (run_built(pc, &b, inputs, got, what))
      for (int i = 0; i < n_outputs; i++) compare(pc, &got[i], &want[i], what);
    for (int i = 0; i < n_outputs; i++) tensor_deinit(&got[i]);
    unbuild(&b);
  }
  for (int i = 0; i < n_inputs; i++) tensor_deinit(&inputs[i]);
  for (int i = 0; i < n_constants; i++) tensor_deinit(&constants[i]);
  for (int i = 0; i < n_outputs; i++) tensor_deinit(&want[i]);
}

static void run_cases(const pass_case *cases, size_t n) {
  rng_init(&dice, 11);
  for (size_t i = 0; i < n; i++) {
    run_case(&cases[i], false);
    if (!cases[i].closed) run_case(&cases[i], true);
  }
}

#define CASES(...)                                     \
  do {                                                 \
    static const pass_case cases_[] = {__VA_ARGS__};   \
    run_cases(cases_, sizeof cases_ / sizeof *cases_); \
  } while (0)

/* ---- the cases ---- */

static void test_gradient(void) {
  CASES({"gradient", "", "x 3; w 3", "",
         "y = Mul x w; dx dw = ai.onnx.preview.training:Gradient x w | xs=['x','w'] y='y'", "dx dw",
         "!ai.onnx.preview.training:Gradient"},
        {"gradient", "", "x 2x3; w 3x4", "",
         "a = MatMul x w; y = Tanh a; d = ai.onnx.preview.training:Gradient x | xs=['x'] y='y'", "d y",
         "!ai.onnx.preview.training:Gradient"});
}

static void test_fold(void) {
  CASES({"fold", "", "x 2x3", "a 3; b 3", "c = Add a b; d = Exp c; y = Mul x d", "y", "1*Mul !Add !Exp"},
        {"fold", "", "x 2x3", "a 6; s = [2,3]", "c = Reshape a s; y = Add x c", "y", "!Reshape"},
        {"fold", "", "x 2x3", "", "c = Constant | value_float=2.5; y = Mul x c", "y", "!Constant"},
        {"fold", "", "x 2x3", "a 3", "c = Exp a; y = Add x c; z = Identity c", "y z", "!Exp"},
        /* near: drawn anew in each run; much larger than what it is made of */
        {"fold", "", "x 2x3", "", "c = RandomNormal | shape=[3]; z = Sub c c; y = Add x z", "y", "RandomNormal"},
        {"fold", "", "x 1x3", "s = [40000,3]", "c = ConstantOfShape s; y = Add x c", "y", "ConstantOfShape"},
        {"fold", "", "x 2x3", "a 3", "c = Add x a; y = Exp c", "y", "Add Exp"});
}

static void test_clean(void) {
  CASES({"clean", "", "x 2x3", "", "a = Identity x; b = Exp a; c = Identity b; y = Neg c", "y", "!Identity"},
        {"clean", "", "x 2x3", "", "a = Dropout x; y = Neg a", "y", "!Dropout"},
        {"clean", "", "x 2x3", "r = 0.3; t = b0", "a m = Dropout x r t; y = Neg a", "y", "!Dropout"},
        {"clean", "", "x 2x3", "", "a = Dropout-6 x | is_test=1; y = Neg a", "y", "!Dropout"},
        {"clean", "", "x 2x3x4", "", "a = Transpose x | perm=[2,0,1]; b = Transpose a | perm=[1,2,0]; y = Neg b", "y",
         "!Transpose"},
        {"clean", "", "x 2x3x4", "",
         "a = Transpose x | perm=[2,0,1]; b = Transpose a | perm=[0,2,1]; y = Neg b; z = Neg a", "y z", "2*Transpose"},
        {"clean", "", "x 2x3x4", "", "a = Transpose x | perm=[2,0,1]; b = Transpose a | perm=[0,2,1]; y = Neg b", "y",
         "1*Transpose"},
        /* near: an output keeps its name; the mask is read; it trains (with nothing dropped); the default perm turns */
        {"clean", "", "x 2x3", "", "a = Exp x; y = Identity a; z = Neg a", "y z", "1*Identity"},
        {"clean", "", "x 2x3", "r = 0.3; t = b0", "a m = Dropout x r t; y = Neg a; z = Not m", "y z", "Dropout"},
        {"clean", "", "x 2x3", "r = 0.0; t = b1", "a = Dropout x r t; y = Neg a", "y", "Dropout"},
        {"clean", "", "x 2x3", "", "a = Transpose x; y = Neg a", "y", "Transpose"});
}

static void test_batchnorm(void) {
#define NORM "s 4; t 4; m 4; v+ 4"
  CASES({"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3;" NORM, "a = Conv x w; y = BatchNormalization a s t m v", "y",
         "!BatchNormalization 1*Conv"},
        {"batchnorm", "", "x 1x4x6x6", "w 4x2x3x3; b 4;" NORM,
         "a = Conv x w b | group=2 pads=[1,1,1,1]; y = BatchNormalization a s t m v | epsilon=0.1", "y",
         "!BatchNormalization"},
        {"batchnorm", "", "x 1x4x3x3", "w 4x2x2x2;" NORM,
         "a = ConvTranspose x w | group=2 strides=[2,2]; y = BatchNormalization a s t m v", "y", "!BatchNormalization"},
        {"batchnorm", "", "x 2x3x8", "w 4x3x3;" NORM, "a = Conv x w; y = BatchNormalization a s t m v", "y",
         "!BatchNormalization"},
        {"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3; k 4x1x1; c 1x4x1x1", "a = Conv x w; b = Mul a k; y = Add c b", "y",
         "!Mul !Add 1*Conv"},
        {"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3; k = 0.7", "a = Conv x w; y = Mul k a", "y", "!Mul"},
        /* near: read twice; trains; by column, not by channel; Sub; the weights are no constant */
        {"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3;" NORM, "a = Conv x w; y = BatchNormalization a s t m v; z = Neg a",
         "y z", "BatchNormalization"},
        {"batchnorm", "", "x 2x3x6x6", "w 4x3x3x3;" NORM,
         "a = Conv x w; y p q = BatchNormalization a s t m v | training_mode=1", "y p", "BatchNormalization"},
        {"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3; k 4", "a = Conv x w; y = Mul a k", "y", "Mul"},
        {"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3; k 4x4", "a = Conv x w; y = Mul a k", "y", "Mul"},
        {"batchnorm", "", "x 1x3x6x6", "w 4x3x3x3; k 1x4x1x1", "a = Conv x w; y = Sub a k", "y", "Sub"},
        {"batchnorm", "", "x 1x3x6x6; w 4x3x3x3", NORM, "a = Conv x w; y = BatchNormalization a s t m v", "y",
         "BatchNormalization"});
#undef NORM
}

static void test_pad(void) {
  CASES(
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [0,0,1,2,0,0,2,1]", "a = Pad x p; y = Conv a w", "y", "!Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [0,0,1,0,0,0,0,1]; z = 0.0",
       "a = Pad x p z; y = Conv a w | pads=[1,1,0,0] strides=[2,2]", "y", "!Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3", "a = Pad-2 x | pads=[0,0,1,1,0,0,1,1]; y = Conv a w", "y", "!Pad"},
      {"pad", "", "x 1x3x7", "w 4x3x3; p = [0,0,1,0,0,2]", "a = Pad x p; y = Conv a w | dilations=[2]", "y", "!Pad"},
      /* near: not zeros; not constant; over channels; read twice; pads of its own kind; cuts; axes */
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [0,0,1,2,0,0,2,1]; z = 0.5", "a = Pad x p z; y = Conv a w", "y", "Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [0,0,1,1,0,0,1,1]", "a = Pad x p | mode='reflect'; y = Conv a w", "y",
       "Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x4x3x3; p = [0,1,0,0,0,0,0,0]", "a = Pad x p; y = Conv a w", "y", "Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [0,0,1,2,0,0,2,1]", "a = Pad x p; y = Conv a w; q = Neg a", "y q",
       "Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [0,0,1,2,0,0,2,1]", "a = Pad x p; y = Conv a w | auto_pad='SAME_UPPER'",
       "y", "Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [0,0,-1,0,0,0,1,0]", "a = Pad x p; y = Conv a w", "y", "Pad"},
      {"pad", "", "x 1x3x5x6", "w 4x3x3x3; p = [1,1]; k = [3]", "a = Pad-18 x p - k; y = Conv a w", "y", "Pad"});
}

static void test_activation(void) {
#define GELU "r = 1.41421356; one = 1.0; h = 0.5; q = 0.70710678"
#define SWISH "three = 3.0; o = 0.0; six = 6.0; sixth = 0.16666667"
  CASES({"activation", "", "x 2x5", GELU, "a = Div x r; b = Erf a; c = Add b one; d = Mul x c; y = Mul d h", "y",
         "Gelu !Erf"},
        {"activation", "", "x 2x5", GELU, "a = Mul x q; b = Erf a; c = Add one b; d = Mul h x; y = Mul d c", "y",
         "Gelu !Erf"},
        {"activation", "", "x 2x5", GELU, "a = Mul q x; b = Erf a; c = Add b one; d = Mul c h; y = Mul x d", "y",
         "Gelu !Erf"},
        {"activation", "", "x 2x5", "", "a = Sigmoid x; y = Mul a x", "y", "Swish !Sigmoid"},
        {"activation", "", "x 2x5", "", "a = HardSigmoid x | alpha=0.16666667; y = Mul x a", "y",
         "HardSwish !HardSigmoid"},
        {"activation", "", "x 2x5", SWISH, "a = Add x three; b = Clip a o six; c = Mul x b; y = Div c six", "y",
         "HardSwish !Clip"},
        {"activation", "", "x 2x5", SWISH,
         "a = Add three x; b = Clip-6 a | min=0.0 max=6.0; c = Mul b sixth; y = Mul c x", "y", "HardSwish !Clip"},
        /* near: another number; another x; a value in between read twice */
        {"activation", "", "x 2x5", "r = 1.3; one = 1.0; h = 0.5",
         "a = Div x r; b = Erf a; c = Add b one; d = Mul x c; y = Mul d h", "y", "Erf !Gelu"},
        {"activation", "", "x 2x5; z 2x5", GELU, "a = Div x r; b = Erf a; c = Add b one; d = Mul z c; y = Mul d h", "y",
         "Erf !Gelu"},
        {"activation", "", "x 2x5", GELU, "a = Div x r; b = Erf a; c = Add b one; d = Mul x c; y = Mul d h; z = Neg b",
         "y z", "Erf !Gelu"},
        {"activation", "", "x 2x5; z 2x5", "", "a = Sigmoid x; y = Mul a z", "y", "Sigmoid !Swish"},
        {"activation", "", "x 2x5", "", "a = Sigmoid x; y = Mul a x; z = Neg a", "y z", "Sigmoid !Swish"},
        {"activation", "", "x 2x5", "", "a = HardSigmoid x; y = Mul x a", "y", "HardSigmoid !HardSwish"},
        {"activation", "", "x 2x5", "three = 3.0; o = 0.0; six = 5.0",
         "a = Add x three; b = Clip a o six; c = Mul x b; y = Div c six", "y", "Clip !HardSwish"});
#undef GELU
#undef SWISH
}

static void test_layernorm(void) {
#define ROWS "two = 2.0; e = 0.00001; s 6; t 6"
#define HEAD "m = ReduceMean x | axes=[-1]; d = Sub x m; "
  CASES(
      {"layernorm", "", "x 2x3x6", ROWS,
       HEAD
       "q = Pow d two; v = ReduceMean q | axes=[-1]; f = Add v e; r = Sqrt f; n = Div d r; g = Mul n s; y = Add g t",
       "y", "LayerNormalization !Sqrt !Mul"},
      {"layernorm", "", "x 2x3x6", ROWS,
       HEAD "q = Mul d d; v = ReduceMean q | axes=[-1]; f = Add e v; r = Sqrt f; n = Div d r; g = Mul s n; y = Add t g",
       "y", "LayerNormalization !Sqrt"},
      {"layernorm", "", "x 2x3x6", ROWS "; k = [-1]",
       "m = ReduceMean-18 x k; d = Sub x m; q = Pow d two; v = ReduceMean-18 q k; f = Add v e; r = Sqrt f; n = Div d "
       "r; y = Mul n s",
       "y", "LayerNormalization !Sqrt"},
      {"layernorm", "", "x 2x3x6", ROWS,
       "q = Pow x two; v = ReduceMean q | axes=[-1]; f = Add v e; r = Sqrt f; i = Reciprocal r; n = Mul x i; y = Mul n "
       "s",
       "y", "RMSNormalization !Sqrt"},
      /* near: another axis; dims dropped; another exponent; a middle read elsewhere; no scale; the scale no row */
      {"layernorm", "", "x 2x6x6", ROWS,
       "m = ReduceMean x | axes=[1]; d = Sub x m; q = Pow d two; v = ReduceMean q | axes=[1]; f = Add v e; r = Sqrt f; "
       "n = Div d r; y = Mul n s",
       "y", "Sqrt !LayerNormalization"},
      {"layernorm", "", "x 2x3x6", "two = 3.0; e = 2.0; s 6",
       HEAD "q = Pow d two; v = ReduceMean q | axes=[-1]; f = Add v e; r = Sqrt f; n = Div d r; y = Mul n s", "y",
       "Sqrt !LayerNormalization"},
      {"layernorm", "", "x 2x3x6", ROWS,
       HEAD "q = Pow d two; v = ReduceMean q | axes=[-1]; f = Add v e; r = Sqrt f; n = Div d r; y = Mul n s; z = Neg r",
       "y z", "Sqrt !LayerNormalization"},
      {"layernorm", "", "x 2x3x6", ROWS,
       HEAD "q = Pow d two; v = ReduceMean q | axes=[-1]; f = Add v e; r = Sqrt f; y = Div d r", "y",
       "Sqrt !LayerNormalization"},
      {"layernorm", "", "x 2x3x6", "two = 2.0; e = 0.00001; s 3x6",
       HEAD "q = Pow d two; v = ReduceMean q | axes=[-1]; f = Add v e; r = Sqrt f; n = Div d r; y = Mul n s", "y",
       "Sqrt !LayerNormalization"});
#undef ROWS
#undef HEAD
}

static void test_layout(void) {
  CASES(
      {"layout", "", "x 1x3x6x6", "w 4x3x3x3; b 4", "a = Conv x w b; y = Relu a", "y", "ledge:Conv 2*Transpose"},
      {"layout", "", "x 1x3x8x8", "w 4x3x3x3; v 4x4x1x1; k 4x1x1",
       "a = Conv x w | pads=[1,1,1,1]; r = Relu a; m = MaxPool r | kernel_shape=[2,2] strides=[2,2]; c = Conv m v; s = "
       "Add c m; y = Mul s k",
       "y", "2*ledge:Conv ledge:MaxPool 2*Transpose"},
      {"layout", "", "x 1x3x6x6", "w 4x3x3x3",
       "a = Conv x w; b = Sigmoid a; c = Concat a b | axis=1; g = GlobalAveragePool c; y = Flatten g", "y",
       "ledge:Conv ledge:GlobalAveragePool"},
      {"layout", "", "x 1x3x5x5", "w 3x4x2x2", "a = ConvTranspose x w | strides=[2,2]; y = Tanh a", "y",
       "ledge:ConvTranspose"},
      {"layout", "", "x 1x3x6x6", "w 4x3x3x3; s 4; t 4; m 4; v+ 4",
       "a = Conv x w; r = Relu a; n = BatchNormalization r s t m v; y = Neg n", "y", "ledge:Conv ledge:ScaleShift"},
      {"layout", "", "x 2x3x9", "w 4x3x3", "a = Conv x w | strides=[2]; y = Elu a", "y", "ledge:Conv"},
      {"layout", "", "x 1x4x6x6", "w 4x1x3x3",
       "a = Conv x w | group=4 pads=[1,1,1,1]; y = AveragePool a | kernel_shape=[2,2]", "y",
       "ledge:Conv ledge:AveragePool"},
      {"layout", "", "x 1x3x6x6", "w 4x3x3x3",
       "a = Conv x w; y = Softmax a | axis=1; z = ReduceMean a | axes=[2,3] keepdims=0", "y z", "ledge:Conv"},
      {"layout", "", "x 1x3x6x6", "w 4x3x3x3; p = [0,0,1,0,0,0,0,1]",
       "a = Conv x w; b = Pad a p; c d = Split b | axis=1; e = Sub c d; y = Transpose e | perm=[0,2,3,1]", "y",
       "ledge:Conv"},
      /* near: the weights are computed; nothing convolves; Indices are of the first form */
      {"layout", "", "x 1x3x6x6; w 4x3x3x3", "", "a = Conv x w; y = Relu a", "y", "Conv !ledge:Conv !Transpose"},
      {"layout", "", "x 1x3x6x6", "", "a = Relu x; y = MaxPool a | kernel_shape=[2,2]", "y", "MaxPool !ledge:MaxPool"},
      {"layout", "", "x 1x3x6x6", "w 4x3x3x3", "a = Conv x w; y i = MaxPool a | kernel_shape=[2,2]", "y i",
       "ledge:Conv MaxPool"});
}

static void test_transpose(void) {
  CASES({"transpose", "layout tidy", "x 1x3x4x5", "w 9x3x1x1; s = [1,1,3,3,4,5]; t = [1,1,12,15]",
         "a = Conv x w; b = Reshape a s; c = Transpose b | perm=[0,1,4,2,5,3]; y = Reshape c t", "y",
         "2*Transpose 2*Reshape", .closed = true},
        {"transpose", "", "x 2x6x5", "s = [5,2,2,3,1]",
         "a = Transpose x | perm=[2,0,1]; b = Reshape a s; y = Transpose b | perm=[3,0,4,1,2]", "y",
         "1*Transpose 1*Reshape", .closed = true},
        {"transpose", "", "x 2x6x1", "s = [1,1,2,2,3]",
         "a = Transpose x | perm=[2,0,1]; b = Reshape a s; y = Transpose b | perm=[3,0,4,1,2]", "y", "1*Transpose",
         .closed = true},
        /* near: dims are joined; a size is left open; read between */
        {"transpose", "", "x 2x6x5", "s = [10,6]",
         "a = Transpose x | perm=[2,0,1]; b = Reshape a s; y = Transpose b | perm=[1,0]", "y", "2*Transpose",
         .closed = true},
        {"transpose", "", "x 2x6x5", "s = [5,2,2,-1]",
         "a = Transpose x | perm=[2,0,1]; b = Reshape a s; y = Transpose b | perm=[3,0,1,2]", "y", "2*Transpose",
         .closed = true},
        {"transpose", "", "x 2x6x5", "s = [5,2,2,3]",
         "a = Transpose x | perm=[2,0,1]; b = Reshape a s; y = Transpose b | perm=[3,0,1,2]; z = Neg b", "y z",
         "2*Transpose", .closed = true});
}

static void test_shuffle(void) {
  CASES(
      /* of two convolutions that are concatenated; of one, in two and in three groups */
      {"shuffle", "layout tidy", "x 2x3x4x5", "w 6x3x1x1; v 12x12x1x1; s = [0,2,6,4,5]; t = [0,12,4,5]",
       "e = Conv x w; f = Relu e; a = Concat e f | axis=1; b = Reshape a s; c = Transpose b | perm=[0,2,1,3,4]; d = "
       "Reshape c t; y = Conv d v",
       "y", "ledge:Shuffle !Concat !Reshape 2*Transpose", .closed = true},
      {"shuffle", "layout tidy", "x 1x3x4x5", "w 12x3x1x1; v 12x12x1x1; s = [1,2,6,4,5]; t = [1,-1,4,5]",
       "a = Conv x w; b = Reshape a s; c = Transpose b | perm=[0,2,1,3,4]; d = Reshape c t; y = Conv d v", "y",
       "ledge:Shuffle !Reshape", .closed = true},
      {"shuffle", "layout tidy", "x 1x3x4x5", "w 51x3x1x1; s = [1,3,17,4,5]; t = [1,-1,4,5]",
       "a = Conv x w; b = Reshape a s; c = Transpose b | perm=[0,2,1,3,4]; d = Reshape c t; y = Relu d", "y",
       "ledge:Shuffle !Reshape", .closed = true},
      /* the halves, where shape arithmetic says where: no Transpose stands between */
      {"shuffle", "layout tidy", "x 1x3x4x5",
       "w 34x3x1x1; v 17x17x1x1; s = [0,2,17,4,5]; t = [0,34,4,5]; i = i1; n = [2]; z = [0]; u = [1]",
       "a = Conv x w; b = Reshape a s; c = Transpose b | perm=[0,2,1,3,4]; d = Reshape c t; h = Shape d; k = Gather h "
       "i "
       "| axis=0; j = Unsqueeze k z; q = Div j n; e = Slice d z q u; f = Slice d q j u; g = Conv f v; y = Add e g",
       "y", "ledge:Shuffle 2*Slice 2*Transpose", .closed = true},
      /* of rows without any image */
      {"shuffle", "", "x 3x10", "s = [3,2,5]; t = [3,10]",
       "a = Reshape x s; b = Transpose a | perm=[0,2,1]; y = Reshape b t", "y", "ledge:Shuffle", .closed = true},
      /* near: the concatenation is read; its parts differ; more than two dims turn; read between; another split */
      {"shuffle", "", "x 3x5; u 3x5", "s = [3,2,5]; t = [3,10]",
       "e = Concat x u | axis=1; a = Reshape e s; b = Transpose a | perm=[0,2,1]; y = Reshape b t; z = Neg e", "y z",
       "ledge:Shuffle Concat", .closed = true},
      {"shuffle", "", "x 3x4; u 3x6", "s = [3,2,5]; t = [3,10]",
       "e = Concat x u | axis=1; a = Reshape e s; b = Transpose a | perm=[0,2,1]; y = Reshape b t", "y",
       "ledge:Shuffle Concat", .closed = true},
      {"shuffle", "", "x 3x10", "s = [3,2,5]; t = [3,10]",
       "a = Reshape x s; b = Transpose a | perm=[2,0,1]; y = Reshape b t", "y", "!ledge:Shuffle", .closed = true},
      {"shuffle", "", "x 3x10", "s = [3,2,5]; t = [3,10]",
       "a = Reshape x s; b = Transpose a | perm=[0,2,1]; y = Reshape b t; z = Neg b", "y z", "!ledge:Shuffle",
       .closed = true},
      {"shuffle", "", "x 3x10", "s = [6,5,1]; t = [3,10]",
       "a = Reshape x s; b = Transpose a | perm=[0,2,1]; y = Reshape b t", "y", "!ledge:Shuffle", .closed = true});
}

static void test_concat(void) {
  CASES(
      {"concat", "", "x 2x3; z 2x3", "",
       "a = Neg x; b = Exp x; c = Concat x a | axis=1; d = Concat x a b | axis=1; e = Concat x a b z | axis=-1; f = "
       "Neg c; g = Neg d; y = Concat e f g | axis=1",
       "y", "4*Concat"},
      {"concat", "layout", "x 1x3x6x6", "w 8x3x3x3; v 4x8x1x1; u 4x12x3x3; t 4x16x1x1; k 16x1x1",
       "a = Conv x w; b = Conv a v; c = Concat a b | axis=1; d = Conv c u | pads=[1,1,1,1]; e = Concat a b d | axis=1; "
       "f = Mul e k; g = Conv f t; h = Concat a b d g | axis=1; y = Relu h; z = Relu c",
       "y z", "3*Concat"},
      /* near: another axis, another beginning, the whole */
      {"concat", "", "x 2x2; z 2x2", "",
       "a = Neg x; c = Concat x a | axis=0; d = Concat x a z | axis=1; e = Concat a x z | axis=1; f = Concat a x | "
       "axis=1; y = Neg c; s = Add d e; t = Neg f",
       "y s t", "4*Concat"},
      {"concat", "", "x 2x2", "", "a = Neg x; c = Concat x a | axis=1; d = Concat x a | axis=1; y = Add c d", "y",
       "2*Concat"});
}

static void test_prologue(void) {
#define NORM "s 16; t 16; m 16; v+ 16"
  CASES(
      {"prologue", "layout epilogue", "x 1x16x211x101", "k 16x16x1x1; w 8x16x1x1; b 8;" NORM,
       "i = Conv x k; a = Relu i; n = BatchNormalization a s t m v; r = Relu n; c = Conv r w b; y = Relu c", "y",
       "ledge:AffineConv !ledge:ScaleShift", .closed = true},
      {"prologue", "layout epilogue", "x 2x16x50x47", "k 16x16x1x1; w 16x16x1x1;" NORM,
       "i = Conv x k; a = Relu i; n = BatchNormalization a s t m v; c = Conv n w; y = Add c a", "y",
       "ledge:AffineConv !ledge:ScaleShift", .closed = true},
      {"prologue", "layout epilogue", "x 2x3x12x13", "k 20x3x1x1; q 20x20x1x1; w 7x20x1x1; b 7",
       "i = Conv x k; a = Relu i; g = GlobalAveragePool a; e = Conv g q; f = Sigmoid e; m = Mul f a; c = Conv m w b; y "
       "= Relu c",
       "y", "ledge:ScaledConv !Mul", .closed = true},
      {"prologue", "layout epilogue", "x 1x3x12x13", "k 20x3x1x1; q 20x20x1x1; w 20x20x1x1",
       "i = Conv x k; a = Relu i; g = GlobalAveragePool a; e = Conv g q; f = Sigmoid e; m = Mul a f; c = Conv m w; y = "
       "Add c a",
       "y", "Mul !ledge:ScaledConv", .closed = true}, /* as many outputs as that */
      {"prologue", "layout epilogue", "x 1x3x12x14", "k 20x3x1x1; q 20x20x1x1; w 20x20x1x1",
       "i = Conv x k; a = Relu i; g = GlobalAveragePool a; e = Conv g q; f = Sigmoid e; m = Mul a f; c = Conv m w; y = "
       "Add c a",
       "y", "ledge:ScaledConv !Mul", .closed = true},
      /* near: small; read twice; 3x3; another activation */
      {"prologue", "layout epilogue", "x 1x16x5x4", "k 16x16x1x1; w 8x16x1x1;" NORM,
       "i = Conv x k; a = Relu i; n = BatchNormalization a s t m v; y = Conv n w", "y", "ledge:ScaleShift",
       .closed = true},
      {"prologue", "layout epilogue", "x 1x16x50x47", "k 16x16x1x1; w 8x16x1x1;" NORM,
       "i = Conv x k; a = Relu i; n = BatchNormalization a s t m v; y = Conv n w; z = Neg n", "y z", "ledge:ScaleShift",
       .closed = true},
      {"prologue", "layout epilogue", "x 1x16x50x47", "k 16x16x1x1; w 8x16x3x3;" NORM,
       "i = Conv x k; a = Relu i; n = BatchNormalization a s t m v; y = Conv n w", "y", "ledge:ScaleShift",
       .closed = true},
      {"prologue", "layout epilogue", "x 1x16x50x47", "k 16x16x1x1; w 8x16x1x1;" NORM,
       "i = Conv x k; a = Relu i; n = BatchNormalization a s t m v; r = Tanh n; y = Conv r w", "y", "ledge:ScaleShift",
       .closed = true});
#undef NORM
}

static void test_matmul(void) {
  CASES({"matmul", "", "x 2x3x4", "w 4x5; b 5", "a = MatMul x w; y = Add a b", "y", "ledge:MatMul !Add !MatMul"},
        {"matmul", "", "x 3x4", "w 4x5; b 5", "a = MatMul x w; y = Add b a", "y", "ledge:MatMul !Add"},
        {"matmul", "", "x 3x4", "w 5x4; b 5", "y = Gemm x w b | transB=1 alpha=0.5", "y", "ledge:MatMul !Gemm"},
        {"matmul", "", "x 3x4", "w 4x5", "y = Gemm x w", "y", "ledge:MatMul !Gemm"},
        {"matmul", "", "x 3x4", "w 4x5; b 1x5", "a = MatMul x w; y = Add a b", "y", "ledge:MatMul !Add"},
        {"matmul", "", "x 4", "w 4x5; b 5", "a = MatMul x w; y = Add a b", "y", "ledge:MatMul"},
        /* near: computed; transposed on the left; a bias a row or scaled; the sum would grow; read twice */
        {"matmul", "", "x 3x4; w 4x5", "b 5", "a = MatMul x w; y = Add a b", "y", "MatMul Add"},
        {"matmul", "", "x 4x3", "w 4x5; b 5", "y = Gemm x w b | transA=1", "y", "Gemm"},
        {"matmul", "", "x 3x4", "w 4x5; b 3x1", "y = Gemm x w b", "y", "Gemm"},
        {"matmul", "", "x 3x4", "w 4x5; b 5", "y = Gemm x w b | beta=0.5", "y", "Gemm"},
        {"matmul", "", "x 3x4", "w 4x5; b 2x1x5", "a = MatMul x w; y = Add a b", "y", "Add"},
        {"matmul", "", "x 3x4", "w 4x1; b 5", "a = MatMul x w; y = Add a b", "y", "Add"},
        {"matmul", "", "x 3x4", "w 4x5; b 5", "a = MatMul x w; y = Add a b; z = Neg a", "y z", "Add"});
}

static void test_epilogue(void) {
#define IMAGE "w 4x3x3x3; v 4x4x1x1; b 4"
  CASES({"epilogue", "layout", "x 1x3x6x6", IMAGE, "a = Conv x w b; y = Relu a", "y", "ledge:Conv !Relu"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE, "a = Conv x w b; y = LeakyRelu a | alpha=0.2", "y", "!LeakyRelu"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE "; lo = -0.5; hi = 0.7", "a = Conv x w b; y = Clip a lo hi", "y",
         "!Clip"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE, "a = Conv x w; y = HardSwish a", "y", "!HardSwish"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE,
         "a = Conv x w; b0 = HardSigmoid a | alpha=0.3; c = Conv b0 v; d = Elu c | alpha=0.8; e = Conv d v; f = Tanh "
         "e; g = Conv f v; y = Gelu-20 g | approximate='tanh'",
         "y", "!HardSigmoid !Elu !Tanh !Gelu"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE, "a = Conv x w; r = Relu a; c = Conv r v b; s = Add c r; y = Relu s",
         "y", "!Add !Relu"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE, "a = Conv x w; r = Sigmoid a; c = Conv r v; d = Relu c; y = Add r d",
         "y", "!Add !Relu !Sigmoid"},
        {"epilogue", "layout", "x 1x3x5x5", "w 3x4x2x2", "a = ConvTranspose x w | strides=[2,2]; y = Relu a", "y",
         "!Relu"},
        {"epilogue", "matmul", "x 2x4", "w 4x5; b 5", "a = MatMul x w; c = Add a b; y = Relu c", "y", "!Relu !Add"},
        {"epilogue", "matmul", "x 2x4; r 2x5", "w 4x5; b 5", "a = MatMul x w; c = Add a b; d = Add c r; y = Gelu-20 d",
         "y", "!Gelu !Add"},
        {"epilogue", "matmul", "x 2x4", "w 4x4", "a = MatMul x w; c = Mish-18 a; y = Add c x", "y", "!Mish !Add"},
        /* near: the product is read twice; bounds are computed; the residual broadcasts; is the product itself */
        {"epilogue", "layout", "x 1x3x6x6", IMAGE, "a = Conv x w; y = Relu a; z = Neg a", "y z", "Relu"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE "; lo = -0.5",
         "h = ReduceMax x | keepdims=0; a = Conv x w; y = Clip a lo h", "y", "Clip"},
        {"epilogue", "layout", "x 1x3x6x6", IMAGE,
         "a = Conv x w; g = GlobalAveragePool a0; a0 = Exp a1; a1 = Conv x w; y = Add a g", "y", "Add"},
        {"epilogue", "matmul", "x 2x4; r 5", "w 4x5", "a = MatMul x w; y = Add a r", "y", "Add"},
        {"epilogue", "matmul", "x 2x4", "w 4x5", "a = MatMul x w; y = Add a a", "y", "Add"},
        {"epilogue", "matmul", "x 2x4", "w 4x5", "a = MatMul x w; y = Softplus a", "y", "Softplus"});
#undef IMAGE
}

static void test_separable(void) {
#define BLOCK "e 24x4x1x1; f 24; d 24x1x3x3; b 24; p 8x24x1x1; q 8; s 4x24x1x1"
#define WITH "layout epilogue"
  CASES({"separable", WITH, "x 1x4x100x90", BLOCK,
         "a = Conv x e f; r = Relu a; c = Conv r d b | group=24 pads=[1,1,1,1]; t = HardSwish c; y = Conv t p q", "y",
         "ledge:Separable !ledge:Conv"},
        {"separable", WITH, "x 2x4x180x150", BLOCK,
         "a = Conv x e; r = Sigmoid a; c = Conv r d | group=24 strides=[2,2] pads=[0,0,1,1]; t = LeakyRelu c; "
         "u = Conv t p; y = Elu u",
         "y", "ledge:Separable !ledge:Conv"},
        {"separable", WITH, "x 1x4x100x90", BLOCK,
         "a = Conv x e f; c = Conv a d | group=24 auto_pad='SAME_UPPER'; u = Conv c s; v = Relu u; y = Add v x", "y",
         "ledge:Separable !ledge:Conv"},
        {"separable", WITH, "x 1x24x100x90", BLOCK,
         "c = Conv x d b | group=24 pads=[1,1,1,1]; r = Relu c; y = Conv r p q", "y", "ledge:Separable !ledge:Conv"},
        {"separable", WITH, "x 1x4x100x90; z 1x24x98x88", BLOCK,
         "a = Conv x e f; c = Conv a d b | group=24; y = Add c z", "y", "ledge:Separable !ledge:Conv"},
        {"separable", WITH, "x 1x24x100x90", BLOCK "; w 24x24x1x1",
         "a = Conv x d b | group=24 pads=[1,1,1,1]; c = Relu a; t = Conv c w f; u = Conv t d | group=24; v = Elu u; "
         "y = Conv v p q",
         "y", "ledge:Separable !ledge:Conv"},
        /* near: small; what is between is read again, or added to; strides, padding, groups */
        {"separable", WITH, "x 1x4x10x9", BLOCK, "a = Conv x e f; c = Conv a d b | group=24; y = Conv c p", "y",
         "!ledge:Separable", .closed = true},
        {"separable", WITH, "x 1x4x100x90", BLOCK, "a = Conv x e f; c = Conv a d b | group=24; z = Exp a; y = Exp c",
         "y z", "!ledge:Separable"},
        {"separable", WITH, "x 1x4x100x90; z 1x24x100x90", BLOCK,
         "a = Conv x e f; n = Add a z; c = Conv n d b | group=24; y = Exp c", "y", "!ledge:Separable"},
        {"separable", WITH, "x 1x4x200x180", BLOCK,
         "a = Conv x e | strides=[2,2]; c = Conv a d b | group=24; y = Exp c", "y", "!ledge:Separable"},
        {"separable", WITH, "x 1x4x100x90", BLOCK,
         "a = Conv x e | pads=[1,1,1,1]; c = Conv a d b | group=24; y = Exp c", "y", "!ledge:Separable"},
        {"separable", WITH, "x 1x24x100x90", BLOCK, "c = Conv x d b | group=24 pads=[-1,0,0,0]; y = Conv c p", "y",
         "!ledge:Separable"});
#undef WITH
#undef BLOCK
}

static void test_half(void) {
  CASES({"half", "", "x h 3x8", "w h 8x5; b h 5", "a = MatMul x w; c = Add a b; y = Relu c", "y", "2*Cast", 4e-3},
        {"half", "", "x h 1x3x6x6", "w h 4x3x3x3", "a = Conv x w; r = Relu a; y = Transpose r | perm=[0,2,3,1]", "y",
         "2*Cast", 4e-3},
        /* near: nothing is computed; it is float32 already */
        {"half", "", "x h 3x8", "s = [8,3]", "y = Reshape x s", "y", "!Cast"},
        {"half", "", "x 3x8", "w 8x5", "y = MatMul x w", "y", "!Cast"});
}

static void test_attention(void) {
#define QKV "q 1x2x3x4; k 1x2x5x4; v 1x2x5x4"
  CASES({"attention", "", QKV, "c = 0.5",
         "t = Transpose k | perm=[0,1,3,2]; a = MatMul q t; b = Mul a c; p = Softmax b | axis=-1; y = MatMul p v", "y",
         "Attention !Softmax"},
        {"attention", "", QKV, "c = 2.0; m 3x5",
         "t = Transpose k | perm=[0,1,3,2]; a = MatMul q t; b = Div a c; d = Add b m; p = Softmax d | axis=-1; y = "
         "MatMul p v",
         "y", "Attention !Softmax", 0, true},
        /* near: another axis; the probabilities are read; keys not transposed */
        {"attention", "", QKV, "",
         "t = Transpose k | perm=[0,1,3,2]; a = MatMul q t; p = Softmax a | axis=2; y = MatMul p v", "y",
         "Softmax !Attention"},
        {"attention", "", QKV, "",
         "t = Transpose k | perm=[0,1,3,2]; a = MatMul q t; p = Softmax a | axis=-1; y = MatMul p v; z = Neg p", "y z",
         "Softmax !Attention"});
#undef QKV
}

static void test_unfold(void) {
  CASES({"unfold", "", "x 2x6", "b 6", "y = com.microsoft:FastGelu x b", "y", "!com.microsoft:FastGelu"},
        {"unfold", "", "x 2x6", "b 6", "y = com.microsoft:BiasGelu x b", "y", "!com.microsoft:BiasGelu"},
        {"unfold", "", "x 2x6", "", "y = com.microsoft:QuickGelu x", "y", "!com.microsoft:QuickGelu Swish"},
        {"unfold", "", "x 1x3x6x6", "w 4x3x3x3; b 4", "y = com.microsoft:FusedConv x w b | activation='Relu'", "y",
         "!com.microsoft:FusedConv Conv Relu"},
        {"unfold", "", "x 3x4", "w 4x5; b 5", "y = com.microsoft:FusedGemm x w b | activation='Tanh'", "y",
         "!com.microsoft:FusedGemm Gemm Tanh"},
        {"unfold", "", "x 3x4", "w 4x5", "y = com.microsoft:FusedMatMul x w | alpha=0.5", "y",
         "!com.microsoft:FusedMatMul MatMul"},
        /* near: the standard's own; nothing that is said in a few steps */
        {"unfold", "", "x 2x6", "", "y = Gelu-20 x", "y", "Gelu"},
        {"unfold", "", "x 2x3x6; z 2x3x6", "g 6; c 6", "y = com.microsoft:SkipLayerNormalization x z g c", "y", ""});
}

static void test_shapes(void) {
  CASES({"shapes", "", "x 2x3x4", "i = i1; m = [-1]; t = [1]",
         "s = Shape x; d = Gather s i; u = Unsqueeze d z; z = Constant | value_ints=[0]; r = Concat u m | axis=0; y = "
         "Reshape x r",
         "y", "!Shape !Gather !Concat Reshape", .open_want = "Shape Reshape"},
        {"shapes", "", "x 2x3x4", "i = i0; m = [-1]",
         "s = Shape x; d = Gather s i; z = Constant | value_ints=[0]; u = Unsqueeze d z; r = Concat u m | axis=0; y = "
         "Reshape x r",
         "y", "!Shape !Concat Reshape", .open_want = "Shape Concat"},
        {"shapes", "", "x 2x3", "", "s = Size x; c = Cast s | to=1; y = Div x c", "y", "!Size !Cast",
         .open_want = "Size Cast"},
        /* near: of the elements, not of the shape */
        {"shapes", "", "x 2x3", "", "c = ReduceSum x | keepdims=0; y = Div x c", "y", "ReduceSum"});
}

static void test_broadcast(void) {
  CASES({"broadcast", "", "x 2x4x3x3", "b 4", "y = Add-6 x b | broadcast=1 axis=1", "y", "Add-7 !Add-6"},
        {"broadcast", "", "x 2x4x3x3; b 4", "", "y = Mul-6 x b | broadcast=1 axis=1", "y", "Mul-7", .closed = true},
        {"broadcast", "", "x 2x3; z 2x3", "", "a = Sub-6 x z; y = Add-1 a x", "y", "Sub-7 Add-7"},
        {"broadcast", "", "x 2x3", "k = 0.5; r 3", "a = Mul-6 x k | broadcast=1; y = Div-6 a r | broadcast=1", "y",
         "Mul-7 Div-7"},
        /* near: it broadcasts by shapes already */
        {"broadcast", "", "x 2x4", "b 4", "y = Add-7 x b", "y", "1*Add-7 !Unsqueeze"},
        {"broadcast", "", "x 2x4", "b 4", "y = Add-14 x b", "y", "1*Add-14"});
}

/* If with branches that read x: Exp for true, Neg for false. `computed`: the condition hangs on x. */
static void branch_case(bool condition, bool computed) {
  static const pass_case pc = {"branch", "", "x 2x3", "", "If", "y", ""};
  double got[2][6];
  for (int with = 0; with < 2; with++) {
    model *m = model_create();
    graph *g = m->graph = graph_create(m, NULL, "test");
    built b = {.m = m, .g = g};
    int64_t dims[2] = {2, 3};
    value_id x = graph_add_value(g, "x"), y = graph_add_value(g, "y"), c;
    g->values[x].type = (graph_type){.kind = TYPE_TENSOR, .dtype = LEDGE_F32, .rank = 2, .dims = dims};
    if (computed) {
      value_id total = graph_add_value(g, NULL), zero;
      node *sum = graph_add_node(g, "", "ReduceSum", 13, "", &x, 1, &total, 1);
      node_set_int(g, sum, "keepdims", 0);
      zero = graph_add_constant_copy(g, NULL, LEDGE_F32, 0, NULL, &(float){0});
      c = graph_add_value(g, NULL);
      graph_add_node(g, "", condition ? "Greater" : "Less", 13, "", (value_id[]){total, zero}, 2, &c, 1);
    } else {
      c = graph_add_constant_copy(g, NULL, LEDGE_BOOL, 0, NULL, &condition);
    }
    node *n = graph_add_node(g, "", "If", 16, "if", &c, 1, &y, 1);
    for (int i = 0; i < 2; i++) {
      graph *sub = graph_create(m, g, i ? "else" : "then");
      value_id in = graph_capture(sub, x), *out = arena_alloc_array(&m->arena, 1, sizeof *out);
      *out = graph_add_value(sub, "out");
      graph_add_node(sub, "", i ? "Neg" : "Exp", 13, "", &in, 1, out, 1);
      sub->outputs = out;
      sub->n_outputs = 1;
      const attr a = {.name = i ? "else_branch" : "then_branch", .type = ATTR_GRAPH, .count = 1, .g = sub};
      node_set_attr(g, n, &a);
    }
    g->inputs = &x, g->n_inputs = 1, g->outputs = &y, g->n_outputs = 1;
    m->ir_version = 8;
    int missing = 0;
    ledge_error e = {0};
    const pass_options options = {.required_only = !with};
    float data[6] = {1, 2, -1, 0.5f, 3, -0.25f};
    tensor in = {.dtype = LEDGE_F32, .rank = 2, .dims = {2, 3}, .data = data}, out[1] = {{0}};
    if (ops_resolve(g, NULL, 0, &missing, &e) || missing || passes_run(m, &options, &e)) TEST_FAIL("If: %s", e.message);
    if (with) CHECK_INT(count_ops(g, "If"), computed);
    if (run_built(&pc, &b, &in, out, "If"))
      for (int i = 0; i < 6; i++) got[with][i] = tensor_f64(&out[0], i);
    tensor_deinit(&out[0]);
    model_destroy(m);
    for (int i = 0; i < 6; i++) CHECK_NEAR(got[with][i], condition ? exp(data[i]) : -data[i], 1e-5);
  }
}

static void test_branch(void) {
  branch_case(true, false);
  branch_case(false, false);
  branch_case(true, true);
}

/* A small network through everything at once. */
static void test_together(void) {
  CASES({"fold", "", "x 1x3x12x12",
         "w 8x3x3x3; s 8; t 8; m 8; n+ 8; d 8x1x3x3; k 8x8x1x1; two = 2.0; e = 0.00001; g 8; h 8; fc 8x5; fb 5; p = "
         "[0,0,1,1,0,0,1,1]",
         "a0 = Pad x p; a = Conv a0 w | strides=[2,2]; b = BatchNormalization a s t m n; c0 = Sigmoid b; c = Mul c0 b; "
         "i = Identity c; f = Conv i d | group=8 pads=[1,1,1,1]; f1 = Relu f; j = Conv f1 k; l = Add j c; q = "
         "GlobalAveragePool l; "
         "r = Flatten q; mu = ReduceMean r | axes=[-1]; de = Sub r mu; sq = Mul de de; va = ReduceMean sq | axes=[-1]; "
         "ve = Add va e; sd = Sqrt ve; no = Div de sd; sc = Mul no g; bi = Add sc h; lo = MatMul bi fc; lb = Add lo "
         "fb; y = Softmax lb",
         "y", ""});
}

TEST_MAIN({"gradient", test_gradient}, {"fold", test_fold}, {"unfold", test_unfold}, {"shapes", test_shapes},
          {"branch", test_branch}, {"broadcast", test_broadcast}, {"half", test_half}, {"clean", test_clean},
          {"batchnorm", test_batchnorm}, {"pad", test_pad}, {"activation", test_activation},
          {"layernorm", test_layernorm}, {"attention", test_attention}, {"layout", test_layout},
          {"transpose", test_transpose}, {"shuffle", test_shuffle}, {"concat", test_concat}, {"matmul", test_matmul},
          {"epilogue", test_epilogue}, {"separable", test_separable}, {"prologue", test_prologue},
          {"together", test_together})
