/* api: models that are written and read again: they give the same outputs, and simplified ones have the nodes that they
 * should be left with. */
#include "base/mem.h"
#include "ledge/ledge.h"
#include "model_text.h"
#include "test.h"

#include <unistd.h>

typedef struct save_case {
  const char *model;
  int64_t nodes;  /* of the simplified model */
  int64_t inputs; /* of it */
} save_case;

static const save_case cases[] = {
    /* shape arithmetic that the declared shape decides, and that it does not */
    {"input x f32 2 3 4; const zero i64 1 = 0; const rest i64 1 = -1; s = Shape x; b = Gather s zero | axis=0;"
     "r = Concat b rest | axis=0; y = Reshape x r; output y f32 2 12",
     1, 1},
    {"input x f32 N 3 4; const zero i64 1 = 0; const rest i64 1 = -1; s = Shape x; b = Gather s zero | axis=0;"
     "r = Concat b rest | axis=0; y = Reshape x r; output y f32 N 12",
     4, 1},
    /* open dims that are 1, or less than something, are not decided */
    {"input x f32 N 3; const hundred i64 1 = 100; s = Shape x; m = Min s hundred; y = Expand x m; output y f32 any", 3,
     1},
    {"input x f32 N 3 1; q = Squeeze x; s = Shape q; y = Size s; output y i64", 3, 1},
    {"input x f32 N 3 1; const a i64 1 = 2; q = Squeeze x a; s = Shape q; y = Size s; output y i64", 0, 1},
    /* a branch by rank, within a branch by rank; what it captures */
    {"input x f32 N 3; const two i64 = 2; const w f32 3 = 1 2 3; s = Shape x; n = Size s; c = Equal n two; y = If c;"
     "then { z = If c; then { a = Mul x w; output a f32 any }; else { b = Neg x; output b f32 any }; output z f32 any "
     "};"
     "else { d = Neg x; output d f32 any }; z2 = Relu y; output z2 f32 any",
     2, 1},
    {"input x f32 N 3; input c bool; y = If c; then { a = Neg x; output a f32 any }; else { b = Relu x; output b f32 "
     "any"
     "}; output y f32 any",
     3, 2},
    /* constants; what does nothing */
    {"input x f32 2 3; const a f32 3 = *; const b f32 3 = *; s = Add a b; t = Mul s s; y = Add x t; output y f32 2 3",
     1, 1},
    {"input x f32 2 3; a = Identity x; b = Dropout a; c = Transpose b | perm=[1,0]; d = Transpose c | perm=[1,0];"
     "y = Relu d; output y f32 2 3",
     1, 1},
    {"input x f32 2 3; y = Identity x; z = Identity x; output y f32 2 3; output z f32 2 3", 2, 1},
    /* inputs with defaults become constants, of which batch norms are folded */
    {"input x f32 1 2 5 5; input w f32 3 2 3 3; input s f32 3; const w f32 3 2 3 3 = *; const s f32 3 = 1 2 3;"
     "const t f32 3 = *; const m f32 3 = *; const v f32 3 = 1 2 3; h = Conv x w; y = BatchNormalization h s t m v;"
     "output y f32 1 3 3 3",
     1, 1},
    {"ir 3; opset 7; input x f32 2 3; input w f32 3; const w f32 3 = *; y = Mul x w; output y f32 2 3", 1, 1},
    /* Range of one element of rank 1, which runs, but which no checker lets pass as a constant */
    {"input x f32 3; const from i64 = 0; const step i64 = 1; const one i64 1 = 1; s = Shape x; t = Add s one;"
     "q = Range from t step; f = Cast q | to=1; y = ReduceSum f; output y f32 any",
     0, 1},
    /* names that a subgraph has too; strings; a sequence */
    {"input x f32 3; input c bool; h = Neg x; y = If c; then { h2 = Add h x; output h2 f32 3 }; else { h3 = Identity h;"
     "output h3 f32 3 }; z = Relu h; output y f32 3; output z f32 3",
     5, 2},
    {"input x f32 3; const k string 2 = b a; const n i64 1 = 1; y = Gather k n; z = Relu x; output z f32 3;"
     "output y string 1",
     1, 1},
    {"input x f32 4; p = SplitToSequence x | axis=0; y = ConcatFromSequence p | axis=0; output y f32 any", 2, 1},
};

/* Fills input i with numbers; open dims are 2. Optional ones are left out. */
static bool set_input(ledge_session *s, const ledge_model *m, size_t i, float *data, ledge_error *e) {
  ledge_value_info info;
  if (ledge_model_input(m, i, &info, e)) return false;
  if (info.optional) return true;
  ledge_tensor t = {.dtype = info.dtype, .rank = info.rank, .data = data};
  size_t count = 1;
  for (int d = 0; d < info.rank; d++) count *= (size_t)(t.dims[d] = info.dims[d] < 0 ? 2 : info.dims[d]);
  for (size_t k = 0; k < count && info.dtype == LEDGE_F32; k++) data[k] = sinf((float)k * 0.9f + 0.3f);
  if (info.dtype == LEDGE_BOOL) memset(data, 1, count);
  t.bytes = count * (size_t)ledge_dtype_bits(info.dtype) / 8;
  return ledge_session_set_input(s, i, &t, e) == LEDGE_OK;
}

static ledge_session *run_model(ledge_model *m, float inputs[][256], ledge_error *e) {
  ledge_session *s = NULL;
  if (ledge_session_create(m, &(ledge_session_options){.threads = 1}, &s, e)) return NULL;
  bool ok = true;
  for (size_t i = 0; ok && i < ledge_model_input_count(m); i++) ok = set_input(s, m, i, inputs[i], e);
  if (ok && ledge_session_run(s, e) == LEDGE_OK) return s;
  ledge_session_destroy(s);
  return NULL;
}

static bool same_outputs(const ledge_model *m, const ledge_session *a, const ledge_session *b) {
  ledge_error e;
  bool same = true;
  for (size_t i = 0; same && i < ledge_model_output_count(m); i++) {
    ledge_tensor x, y;
    if (ledge_session_output(a, i, &x, &e) || ledge_session_output(b, i, &y, &e)) return false;
    same = x.dtype == y.dtype && x.rank == y.rank && x.bytes == y.bytes;
    for (int d = 0; same && d < x.rank; d++) same = x.dims[d] == y.dims[d];
    const ledge_string *p = x.data, *q = y.data;
    const float *f = x.data, *g = y.data;
    if (same && x.dtype == LEDGE_STRING)
      same = p[0].size == q[0].size && !memcmp(p[0].data, q[0].data, p[0].size);
    else if (same && x.dtype == LEDGE_F32)
      for (size_t k = 0; same && k < x.bytes / sizeof *f; k++) same = fabsf(f[k] - g[k]) <= 1e-5f * (1 + fabsf(f[k]));
    else
      same = same && !memcmp(x.data, y.data, x.bytes);
  }
  return same;
}

static int64_t nodes_of(const ledge_model *m) {
  ledge_model_summary summary;
  ledge_model_summarize(m, &summary);
  return summary.nodes;
}

static void check_case(const save_case *c) {
  char path[] = "/tmp/ledge-save-XXXXXX.onnx";
  static float inputs[8][256], more[8][256];
  ledge_error e = {.message = ""};
  ledge_model *m = NULL;
  msg bytes = model_text(c->model);
  int file = mkstemps(path, 5);
  CHECK(file >= 0);
  close(file);
  ledge_status status = ledge_model_open_memory(bytes.data, bytes.size, NULL, &m, &e);
  ledge_session *want = status ? NULL : run_model(m, inputs, &e);
  if (!want) TEST_FAIL("%s: %s", c->model, e.message);
  for (int simplify = 0; want && simplify < 2; simplify++) {
    ledge_model *again = NULL;
    ledge_session *got = NULL;
    status = ledge_model_save(m, path, &(ledge_save_options){.simplify = simplify}, &e);
    if (!status) status = ledge_model_open(path, NULL, &again, &e);
    if (!status) got = run_model(again, more, &e);
    if (!got) {
      TEST_FAIL("%s: %s: %s", c->model, simplify ? "simplified" : "written", e.message);
    } else {
      if (!same_outputs(m, want, got))
        TEST_FAIL("%s: %s: outputs differ", c->model, simplify ? "simplified" : "written");
      int64_t nodes = simplify ? c->nodes : nodes_of(m);
      size_t n_inputs = simplify ? (size_t)c->inputs : ledge_model_input_count(m);
      if (nodes_of(again) != nodes || ledge_model_input_count(again) != n_inputs)
        TEST_FAIL("%s: %s: %lld nodes and %zu inputs instead of %lld and %zu", c->model,
                  simplify ? "simplified" : "written", (long long)nodes_of(again), ledge_model_input_count(again),
                  (long long)nodes, n_inputs);
    }
    ledge_session_destroy(got);
    ledge_model_close(again);
  }
  ledge_session_destroy(want);
  ledge_model_close(m);
  writer_deinit(&bytes);
  unlink(path);
}

static void test_cases(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
}

static long long standing(void) {
  return atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
}

/* Each allocation of reading and writing fails in turn: an error, or a file that is as good (a fold less); nothing is
 * lost, and what stood at the path stands while there is an error. */
static void sweep(const msg *bytes, bool simplify, const char *path) {
  long long n = 0;
  for (;; n++) {
    ledge_model *m = NULL, *again = NULL;
    ledge_error e = {.message = ""};
    long long before = standing();
    atomic_store(&mem_stats_global.fail_after, n);
    ledge_status status = ledge_model_open_memory(bytes->data, bytes->size, NULL, &m, &e);
    if (!status) status = ledge_model_save(m, path, &(ledge_save_options){.simplify = simplify}, &e);
    bool failed = atomic_load(&mem_stats_global.fail_after) <= 0;
    atomic_store(&mem_stats_global.fail_after, -1);
    ledge_model_close(m);
    if (status && (status != LEDGE_ERROR_MEMORY || !e.message[0]))
      TEST_FAIL("allocation %lld: status %d, '%s'", n, (int)status, e.message);
    if (standing() != before) TEST_FAIL("allocation %lld: %lld blocks are lost", n, standing() - before);
    if (!status && ledge_model_open(path, NULL, &again, &e)) TEST_FAIL("allocation %lld: %s", n, e.message);
    ledge_model_close(again);
    if (!failed || test_failures_ > 5) break;
  }
  CHECK(n > 20);
}

static void test_memory(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char path[] = "/tmp/ledge-save-XXXXXX.onnx";
    int file = mkstemps(path, 5);
    CHECK(file >= 0);
    close(file);
    msg bytes = model_text(cases[i].model);
    for (int simplify = 0; simplify < 2; simplify++) sweep(&bytes, simplify, path);
    writer_deinit(&bytes);
    unlink(path);
  }
}

TEST_MAIN({"cases", test_cases}, {"memory", test_memory})
