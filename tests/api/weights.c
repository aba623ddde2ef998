/* tests/api/weights: constants of a model file that stand at any address. Whatever reads them gives the same outputs
 * wherever they stand; what is packed or looked up is not held twice; a file that shrinks under a model is an error. */
#include "base/mem.h"
#include "ledge/ledge.h"
#include "model_text.h"

#include <unistd.h>

enum { WEIGHT_BYTES = 48 * 16384 * 4 };

/* `pad` bytes of a constant that nobody reads stand in front, and shift the weights in the file. `input` is the first
 * input, floats of numbers below 1 or indices. */
typedef struct weights_case {
  const char *name, *text;
  ledge_dtype dtype;
  int rank;
  int64_t dims[4];
} weights_case;

static const weights_case cases[] = {
    {"MatMul",
     "input x f32 2 48; const w f32 48 16384 = *; y = MatMul x w; output y f32 2 16384;",
     LEDGE_F32,
     2,
     {2, 48}},
    {"Gemm",
     "input x f32 2 48; const w f32 9000 48 = *; const b f32 9000 = *; y = Gemm x w b | transB=1; output y f32 2 9000;",
     LEDGE_F32,
     2,
     {2, 48}},
    {"batch",
     "input x f32 3 2 48; const w f32 3 48 500 = *; y = MatMul x w; output y f32 3 2 500;",
     LEDGE_F32,
     3,
     {3, 2, 48}},
    {"Conv",
     "input x f32 1 64 7 7; const w f32 96 64 5 5 = *; y = Conv x w; output y f32 1 96 3 3;",
     LEDGE_F32,
     4,
     {1, 64, 7, 7}},
    {"Winograd",
     "input x f32 1 64 20 20; const w f32 80 64 3 3 = *; y = Conv x w; output y f32 1 80 18 18;",
     LEDGE_F32,
     4,
     {1, 64, 20, 20}},
    {"depthwise",
     "input x f32 1 512 6 6; const w f32 512 1 3 3 = *; y = Conv x w | group=512; output y f32 1 512 4 4;",
     LEDGE_F32,
     4,
     {1, 512, 6, 6}},
    {"grouped",
     "input x f32 1 64 6 6; const w f32 192 16 3 3 = *; y = Conv x w | group=4; output y f32 1 192 4 4;",
     LEDGE_F32,
     4,
     {1, 64, 6, 6}},
    {"ConvTranspose",
     "input x f32 1 32 5 5; const w f32 32 40 4 4 = *; y = ConvTranspose x w | strides=[2,2]; output y f32 1 40 12 12;",
     LEDGE_F32,
     4,
     {1, 32, 5, 5}},
    {"norm",
     "input x f32 1 8 5 5; const w f32 4200 8 1 1 = *; c = Conv x w; const s f32 4200 = *; const b f32 4200 = *;"
     "const m f32 4200 = *; e = Abs s; y = BatchNormalization c s b m e; output y f32 1 4200 5 5;",
     LEDGE_F32,
     4,
     {1, 8, 5, 5}},
    {"LSTM",
     "input x f32 3 2 64; const w f32 1 384 64 = *; const r f32 1 384 96 = *; const b f32 1 768 = *;"
     "y h = LSTM x w r b | hidden_size=96; output y f32 3 1 2 96; output h f32 1 2 96;",
     LEDGE_F32,
     3,
     {3, 2, 64}},
    {"Gather", "input x i64 3; const w f32 16384 48 = *; y = Gather w x; output y f32 3 48;", LEDGE_I64, 1, {3}},
    {"GatherElements",
     "input x i64 3 2; const w f32 100 48 = *; y = GatherElements w x; output y f32 3 2;",
     LEDGE_I64,
     2,
     {3, 2}},
    {"Add", "input x f32 1; const w f32 16384 48 = *; y = Add w x; output y f32 16384 48;", LEDGE_F32, 1, {1}},
    {"double",
     "input x f32 1; const w f64 5000 = *; c = Cast w | to=1; y = Mul c x; output y f32 5000;",
     LEDGE_F32,
     1,
     {1}},
    {"half",
     "input x f32 2 48; const w f16 48 500 = *; c = Cast w | to=1; y = MatMul x c; output y f32 2 500;",
     LEDGE_F32,
     2,
     {2, 48}},
    {"half math",
     "input x f16 2 48; const w f16 48 500 = *; y = MatMul x w; output y f16 2 500;",
     LEDGE_F16,
     2,
     {2, 48}},
    {"fold",
     "input x f32 2 48; const w f32 500 48 = *; t = Transpose w | perm=[1,0]; y = MatMul x t; output y f32 2 500;",
     LEDGE_F32,
     2,
     {2, 48}},
    {"transposed for Gemm",
     "input x f32 2 48; const w f32 48 500 = *; const b f32 500 = *; t = Transpose w; y = Gemm x t b | transB=1; "
     "output y f32 2 500;",
     LEDGE_F32,
     2,
     {2, 48}},
    {"transposed, not held twice",
     "input x f32 2 48; const w f32 16384 48 = *; t = Transpose w | perm=[1,0]; y = MatMul x t; output y f32 2 16384;",
     LEDGE_F32,
     2,
     {2, 48}},
    {"reshape",
     "input x f32 2 48; const w f32 6000 4 = *; const s i64 2 = 48 500; t = Reshape w s; y = MatMul x t; output y f32 "
     "2 500;",
     LEDGE_F32,
     2,
     {2, 48}},
    {"bits",
     "input x i32 1; const w f32 6000 = *; t = BitCast w | to=6; y = Add t x; output y i32 6000; opset 26;",
     LEDGE_I32,
     1,
     {1}},
    {"output",
     "input x f32 1; const w f32 6000 = *; y = Add w x; output y f32 6000; output w f32 6000;",
     LEDGE_F32,
     1,
     {1}},
    {"reshaped output",
     "input x f32 1; const w f32 6000 = *; const s i64 2 = 60 100; u = Reshape w s; y = Add u x; output y f32 60 100; "
     "output u f32 60 100;",
     LEDGE_F32,
     1,
     {1}},
    {"branch",
     "input x f32 1; const w f32 6000 = *; const s i64 2 = 60 100; u = Reshape w s; const z f32 1 = 0; c = Greater x z;"
     "q = Squeeze c; y = If q; then { t = Add u x; output t f32 60 100; }; else { t = Sub u x; output t f32 60 100; };"
     "output y f32 60 100;",
     LEDGE_F32,
     1,
     {1}},
    {"sizes of the data",
     "input x f32 40; const w f32 40 500 = *; n = NonZero x; const s i64 1 = -1; i = Reshape n s; r = Gather w i; d = "
     "MatMul r v;"
     "const v f32 500 60 = *; y = ReduceSum d; output y f32 1 1;",
     LEDGE_F32,
     1,
     {40}},
};

static int64_t elements(const ledge_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++) n *= t->dims[i];
  return n;
}

static ledge_tensor input_of(const weights_case *c) {
  static int64_t block[64 * 400];
  ledge_tensor t = {.dtype = c->dtype, .rank = c->rank, .data = block};
  memcpy(t.dims, c->dims, sizeof c->dims);
  int64_t n = elements(&t);
  t.bytes = (size_t)n * (c->dtype == LEDGE_I64 ? 8 : c->dtype == LEDGE_F16 ? 2 : 4);
  for (int64_t i = 0; i < n; i++) {
    if (c->dtype == LEDGE_I64) block[i] = (i * 37 + 11) % 100;
    if (c->dtype == LEDGE_I32) ((int32_t *)block)[i] = 3;
    if (c->dtype == LEDGE_F32) ((float *)block)[i] = (float)sin((double)i + 1);
    if (c->dtype == LEDGE_F16) ((uint16_t *)block)[i] = (uint16_t)(0x3000 + i * 5);
  }
  return t;
}

static msg file_of(const weights_case *c, int pad) {
  char text[2048];
  snprintf(text, sizeof text, "const pad u8 %d = *; %s", pad, c->text);
  return model_text(text);
}

/* Runs a model's bytes; the first output's bytes into y[most]. Every output must be aligned. */
static size_t run_bytes(const weights_case *c, const msg *file, const ledge_model_options *mo,
                        const ledge_session_options *so, void *y, size_t most) {
  ledge_error e = {.message = ""};
  ledge_model *m = NULL;
  ledge_session *s = NULL;
  ledge_tensor x = input_of(c), out = {0};
  bool ok = !ledge_model_open_memory(file->data, file->size, mo, &m, &e) && !ledge_session_create(m, so, &s, &e) &&
            !ledge_session_set_input(s, 0, &x, &e) && !ledge_session_run(s, &e);
  if (!ok) TEST_FAIL("%s: %s", c->name, e.message);
  for (size_t i = 0; ok && i < ledge_model_output_count(m); i++) {
    CHECK(ledge_session_output(s, i, &out, &e) == LEDGE_OK);
    CHECK((uintptr_t)out.data % 4 == 0);
  }
  if (ok) CHECK(ledge_session_output(s, 0, &out, &e) == LEDGE_OK);
  if (ok && out.bytes <= most) memcpy(y, out.data, out.bytes);
  ledge_session_destroy(s);
  ledge_model_close(m);
  return ok && out.bytes <= most ? out.bytes : 0;
}

static void test_same_anywhere(void) {
  static char first[16384 * 48 * 4], other[sizeof first], reference[sizeof first];
  static const ledge_session_options plain = {.threads = 2}, slow = {.threads = 1, .reference = true};
  static const ledge_model_options none = {.disable_passes = "all"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const weights_case *c = &cases[i];
    for (int pad = 1; pad <= 4; pad++) {
      msg file = file_of(c, pad);
      size_t n = run_bytes(c, &file, NULL, &plain, pad == 1 ? first : other, sizeof first);
      if (pad > 1 && memcmp(first, other, n))
        TEST_FAIL("%s: other outputs where weights are %d bytes on", c->name, pad);
      if (run_bytes(c, &file, &none, &plain, other, sizeof other) != n)
        TEST_FAIL("%s: other sizes without passes", c->name);
      if (run_bytes(c, &file, NULL, &slow, reference, sizeof first) != n)
        TEST_FAIL("%s: the reference differs", c->name);
      for (size_t k = 0; c->dtype != LEDGE_F16 && k < n / 4; k++) {
        double fast = ((float *)first)[k], want = ((float *)reference)[k], bare = ((float *)other)[k];
        if (!(fabs(fast - want) <= 1e-4 * (1 + fabs(want))) || !(fabs(bare - want) <= 1e-4 * (1 + fabs(want)))) {
          TEST_FAIL("%s: element %zu is %g, %g without passes, %g by the reference", c->name, k, fast, bare, want);
          break;
        }
      }
      writer_deinit(&file);
    }
  }
}

/* ---- files ---- */

typedef struct weights_file {
  char path[64];
  ledge_error error;
  ledge_model *model;
} weights_file;

static const weights_case *case_of(const char *name) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (!strcmp(cases[i].name, name)) return &cases[i];
  abort();
}

static void open_file(weights_file *f, const weights_case *c, int pad) {
  msg file = file_of(c, pad);
  *f = (weights_file){.path = "/tmp/ledge-weights-XXXXXX"};
  int fd = mkstemp(f->path);
  CHECK(fd >= 0 && write(fd, file.data, file.size) == (ssize_t)file.size);
  if (fd >= 0) close(fd);
  writer_deinit(&file);
  CHECK(ledge_model_open(f->path, NULL, &f->model, &f->error) == LEDGE_OK);
}

static void close_file(weights_file *f) {
  ledge_model_close(f->model);
  unlink(f->path);
}

/* NULL and f->error where there is none to be had. */
static ledge_session *session_of(weights_file *f, const weights_case *c, const ledge_session_options *options) {
  ledge_session *s = NULL;
  ledge_tensor x = input_of(c);
  if (ledge_session_create(f->model, options, &s, &f->error)) return NULL;
  CHECK(ledge_session_set_input(s, 0, &x, &f->error) == LEDGE_OK);
  return s;
}

/* Bytes that a session of the model asks for until its first run is over. */
static long long session_bytes(weights_file *f, const weights_case *c) {
  long long before = atomic_load(&mem_stats_global.bytes);
  ledge_session *s = session_of(f, c, &(ledge_session_options){.threads = 1});
  CHECK(s && ledge_session_run(s, &f->error) == LEDGE_OK);
  long long bytes = atomic_load(&mem_stats_global.bytes) - before;
  ledge_session_destroy(s);
  return bytes;
}

static void test_not_held_twice(void) {
  /* The weights once, packed; or not at all; or one aligned copy, and as much again for the output. */
  static const struct {
    const char *name;
    double first, next; /* sessions' bytes, in weights: at most */
  } rows[] = {{"MatMul", 1.2, 0.2}, {"transposed, not held twice", 1.2, 0.2}, {"Gather", 0.1, 0.1}, {"Add", 2.2, 1.2}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int pad = 1; pad <= 4; pad++) {
      weights_file f;
      const weights_case *c = case_of(rows[i].name);
      open_file(&f, c, pad);
      for (int k = 0; k < 3; k++) {
        double weights = (double)session_bytes(&f, c) / WEIGHT_BYTES;
        if (weights > (k ? rows[i].next : rows[i].first))
          TEST_FAIL("%s, session %d: %.2f times the weights", c->name, k, weights);
      }
      close_file(&f);
    }
  }
}

static void test_opening_copies_nothing(void) {
  for (int pad = 1; pad <= 4; pad++) {
    msg file = file_of(case_of("MatMul"), pad);
    ledge_model *m = NULL;
    ledge_error e;
    long long before = atomic_load(&mem_stats_global.bytes);
    CHECK(ledge_model_open_memory(file.data, file.size, NULL, &m, &e) == LEDGE_OK);
    CHECK(atomic_load(&mem_stats_global.bytes) - before < WEIGHT_BYTES / 10);
    ledge_model_close(m);
    writer_deinit(&file);
  }
}

/* ---- files that shrink ---- */

static void shrink(const weights_file *f) { CHECK(truncate(f->path, 4096) == 0); }

static void test_shrunk_before_packing(void) {
  static const char *const names[] = {"MatMul", "Conv", "Winograd", "depthwise", "LSTM", "Add", "half", "norm", "fold"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    weights_file f;
    const weights_case *c = case_of(names[i]);
    open_file(&f, c, 3);
    shrink(&f);
    ledge_session *s = session_of(&f, c, &(ledge_session_options){.threads = 2});
    ledge_status status = s ? ledge_session_run(s, &f.error) : f.error.code;
    if (status != LEDGE_ERROR_CHANGED) TEST_FAIL("%s: %d instead of an error", c->name, status);
    CHECK(strstr(f.error.message, f.path) != NULL);
    ledge_session_destroy(s);
    close_file(&f);
  }
}

static void test_shrunk_after_packing(void) {
  for (int k = 0; k < 2; k++) {
    weights_file f;
    const weights_case *c = case_of(k ? "Gather" : "MatMul");
    open_file(&f, c, 2);
    ledge_session *s = session_of(&f, c, &(ledge_session_options){.threads = 1});
    CHECK(s && ledge_session_run(s, &f.error) == LEDGE_OK);
    shrink(&f);
    /* Packed weights are not read from the file again; a table's rows are. */
    CHECK_INT(s ? ledge_session_run(s, &f.error) : LEDGE_OK, k ? LEDGE_ERROR_CHANGED : LEDGE_OK);
    ledge_session_destroy(s);
    close_file(&f);
  }
}

TEST_MAIN({"same anywhere", test_same_anywhere}, {"not held twice", test_not_held_twice},
          {"opening copies nothing", test_opening_copies_nothing},
          {"shrunk before packing", test_shrunk_before_packing}, {"shrunk after packing", test_shrunk_after_packing})
