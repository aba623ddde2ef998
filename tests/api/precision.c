/* tests/api/precision: LEDGE_PRECISION_BF16 stays within its error of float32, at any number of threads the same to the
 * bit; LEDGE_PRECISION_AUTO is one of the two, says which and why, and stays with it. */
#include "ledge/ledge.h"
#include "model_text.h"

static const char text[] =
    "input x f32 1 32 14 14; input a f32 1; const w f32 64 32 3 3 = *; const b f32 64 = *; const p f32 96 64 1 1 = *;"
    "c = Conv x w b | pads=[1,1,1,1] strides=[2,2]; r = Relu c; d = Conv r p; e = Conv r p; s = Add d e; o = Conv r "
    "pp; cc = Concat s o | axis=1; const pp f32 96 64 1 1 = *; const qqq f32 96 192 1 1 = *; h = Conv cc qqq;"
    "m = GlobalAveragePool h; g = Flatten m; const v f32 96 40 = *; const z f32 40 = *; l = Gemm g v z; y = Mul l a;"
    "k = ArgMax l | axis=1; output y f32 1 40;";
enum { N_X = 32 * 14 * 14, N_Y = 40 };

/* Inputs by position, and outputs of a run. */
typedef struct setup {
  ledge_model *model;
  void *bytes; /* of its file */
  float x[N_X], a;
} setup;

static void setup_open(setup *s, const char *more) {
  char whole[1024];
  snprintf(whole, sizeof whole, "%s %s", text, more);
  msg m = model_text(whole);
  ledge_error error;
  if (ledge_model_open_memory(m.data, m.size, NULL, &s->model, &error)) {
    TEST_FAIL("%s", error.message);
    exit(1);
  }
  s->bytes = m.data;
  s->a = 1;
  for (int i = 0; i < N_X; i++) s->x[i] = (float)sin(i * 0.37);
}

static void setup_close(setup *s) {
  ledge_model_close(s->model);
  free(s->bytes);
}

static ledge_session *session_of(setup *s, ledge_session_options options) {
  ledge_error error = {.message = ""};
  ledge_session *session = NULL;
  const ledge_tensor x = {LEDGE_F32, 4, {1, 32, 14, 14}, s->x, sizeof s->x},
                     a = {LEDGE_F32, 1, {1}, &s->a, sizeof s->a};
  if (ledge_session_create(s->model, &options, &session, &error) || ledge_session_set_input(session, 0, &x, &error) ||
      ledge_session_set_input(session, 1, &a, &error))
    TEST_FAIL("%s", error.message);
  return session;
}

/* Runs, and copies output 0. */
static void run(ledge_session *session, float *y) {
  ledge_error error = {.message = ""};
  ledge_tensor t = {0};
  if (ledge_session_run(session, &error) || ledge_session_output(session, 0, &t, &error))
    TEST_FAIL("%s", error.message);
  else
    memcpy(y, t.data, N_Y * sizeof *y);
}

static void run_new(setup *s, ledge_session_options options, float *y) {
  ledge_session *session = session_of(s, options);
  run(session, y);
  ledge_session_destroy(session);
}

static double error_of(const float *got, const float *want, int n) {
  double most = 0, worst = 0;
  for (int i = 0; i < n; i++) {
    most = fmax(most, fabs((double)want[i]));
    worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
  }
  return worst / most;
}

static void test_bf16(void) {
  setup s;
  float whole[N_Y], first[N_Y], again[N_Y];
  setup_open(&s, "");
  run_new(&s, (ledge_session_options){.threads = 1}, whole);
  run_new(&s, (ledge_session_options){.threads = 1, .precision = LEDGE_PRECISION_BF16}, first);
  double e = error_of(first, whole, N_Y);
  if (!(e > 1e-6 && e < 0.05)) TEST_FAIL("bf16 is %g off", e); /* 0: it was float32 */
  for (int threads = 2; threads <= 3; threads++) {
    run_new(&s, (ledge_session_options){.threads = threads, .precision = LEDGE_PRECISION_BF16}, again);
    CHECK(!memcmp(first, again, sizeof first));
  }
  run_new(&s, (ledge_session_options){.threads = 1}, again); /* both packings stand side by side */
  CHECK(!memcmp(whole, again, sizeof whole));
  ledge_session *session = session_of(&s, (ledge_session_options){.precision = LEDGE_PRECISION_BF16});
  ledge_precision_report r;
  ledge_session_precision(session, &r);
  CHECK(r.precision == LEDGE_PRECISION_BF16 && !r.measured);
  ledge_session_destroy(session);
  session = session_of(&s, (ledge_session_options){.precision = LEDGE_PRECISION_BF16, .reference = true});
  ledge_session_precision(session, &r);
  CHECK(r.precision == LEDGE_PRECISION_F32);
  ledge_session_destroy(session);
  setup_close(&s);
}

/* A block of a mobile network, which is one operation: its convolutions are what they are one by one. */
static void test_separable(void) {
  enum { N = 32 * 14 * 14 };
  static float x[N], y[4][N];
  msg m = model_text(
      "input x f32 1 32 14 14; const w f32 1024 32 1 1 = *; const dd f32 1024 1 3 3 = *; const p f32 32 1024 1 1 = *;"
      "e = Conv x w; a = Clip e lo hi; d = Conv a dd | group=1024 pads=[1,1,1,1]; b = Clip d lo hi; q = Conv b p;"
      "const lo f32 = 0; const hi f32 = 6; y = Add q x; output y f32 1 32 14 14;");
  const ledge_tensor t = {LEDGE_F32, 4, {1, 32, 14, 14}, x, sizeof x};
  for (int i = 0; i < N; i++) x[i] = (float)sin(i * 0.37 + i / 196);
  for (int turn = 0; turn < 4; turn++) { /* one by one; as one with one to three threads */
    ledge_model *file = NULL;
    ledge_session *s = NULL;
    ledge_tensor out = {0};
    ledge_profile profile;
    bool found = false;
    const ledge_session_options options = {
        .threads = turn ? turn : 1, .precision = LEDGE_PRECISION_BF16, .profile = true};
    const ledge_model_options passes = {.disable_passes = turn ? NULL : "separable"};
    CHECK(!ledge_model_open_memory(m.data, m.size, &passes, &file, NULL) &&
          !ledge_session_create(file, &options, &s, NULL) && !ledge_session_set_input(s, 0, &t, NULL) &&
          !ledge_session_run(s, NULL) && !ledge_session_output(s, 0, &out, NULL) && out.bytes == sizeof x);
    if (out.bytes == sizeof x) memcpy(y[turn], out.data, sizeof x);
    for (size_t i = 0; ledge_session_profile(s, i, &profile); i++)
      found = found || !strcmp(profile.kernel, "separable_bf16");
    CHECK(found == (turn > 0));
    if (memcmp(y[turn], y[0], sizeof y[0])) TEST_FAIL("other bits with %d threads", turn);
    ledge_session_destroy(s);
    ledge_model_close(file);
  }
  free(m.data);
}

/* Half the bytes of weights. */
static void test_memory(void) {
  setup s;
  ledge_memory memory[2];
  for (int i = 0; i < 2; i++) {
    setup_open(&s, "");
    ledge_session *session = session_of(&s, (ledge_session_options){.precision = (ledge_precision)i});
    CHECK(!ledge_session_plan(session, NULL));
    ledge_session_memory(session, &memory[i]);
    ledge_session_destroy(session);
    setup_close(&s);
  }
  CHECK(memory[1].packed_bytes < memory[0].packed_bytes * 6 / 10);
}

static void test_auto(void) {
  setup s;
  float y[3][N_Y];
  ledge_precision_report r, same;
  setup_open(&s, "");
  run_new(&s, (ledge_session_options){.threads = 1}, y[0]);
  run_new(&s, (ledge_session_options){.threads = 1, .precision = LEDGE_PRECISION_BF16}, y[1]);
  const ledge_session_options options = {.threads = 1, .precision = LEDGE_PRECISION_AUTO, .precision_error = 0.1};
  ledge_session *session = session_of(&s, options);
  ledge_session_precision(session, &r);
  CHECK(r.precision == LEDGE_PRECISION_F32 && !r.measured);
  run(session, y[2]);
  ledge_session_precision(session, &r);
  CHECK(r.measured && r.float32_ms > 0 && r.bf16_ms > 0 && r.error_limit == 0.1);
  CHECK_NEAR(r.error, error_of(y[1], y[0], N_Y), 1e-7);
  CHECK(r.precision == LEDGE_PRECISION_F32 || r.bf16_ms < r.float32_ms);
  CHECK(!memcmp(y[2], y[r.precision], sizeof y[2]));
  s.x[7] = 3; /* it stays with its choice */
  run(session, y[2]);
  run_new(&s, (ledge_session_options){.threads = 1, .precision = r.precision}, y[0]);
  CHECK(!memcmp(y[2], y[0], sizeof y[2]));
  ledge_session_destroy(session);
  session = session_of(&s, options); /* and so do other sessions of the model */
  CHECK(!ledge_session_plan(session, NULL));
  ledge_session_precision(session, &same);
  CHECK(!memcmp(&r, &same, sizeof r));
  ledge_session_destroy(session);
  session = session_of(&s, (ledge_session_options){.precision = LEDGE_PRECISION_AUTO, .precision_error = 1e-9});
  run(session, y[2]);
  ledge_session_precision(session, &r);
  CHECK(r.measured && r.precision == LEDGE_PRECISION_F32 && r.error > 1e-9 && r.error_limit == 1e-9);
  ledge_session_destroy(session);
  setup_close(&s);
}

/* Inputs of zeros say nothing of the error; integers that differ are no small error. */
static void test_auto_inputs(void) {
  setup s;
  float y[N_Y];
  ledge_precision_report r;
  setup_open(&s, "");
  memset(s.x, 0, sizeof s.x);
  ledge_session *session = session_of(&s, (ledge_session_options){.precision = LEDGE_PRECISION_AUTO});
  run(session, y);
  ledge_session_precision(session, &r);
  CHECK(r.measured && r.error > 1e-6 && r.error < 0.05 && r.error_limit == 0.01);
  CHECK(r.error <= 0.01 || r.precision == LEDGE_PRECISION_F32);
  ledge_session_destroy(session);
  setup_close(&s);
  setup_open(&s, "f = Floor w2; const q f32 40 = *; w2 = Div l q; i = Cast f | to=7; output i i64 1 40;");
  session = session_of(&s, (ledge_session_options){.precision = LEDGE_PRECISION_AUTO});
  run(session, y);
  ledge_session_precision(session, &r);
  CHECK(r.measured && (r.error <= 0.01 || (isinf(r.error) && r.precision == LEDGE_PRECISION_F32)));
  ledge_session_destroy(session);
  setup_close(&s);
}

/* The model that ledge ships, on numbers like its features. */
static void test_keyword(void) {
  enum { N = 98 * 40, CLASSES = 16 };
  static float x[N];
  float y[2][CLASSES];
  ledge_model *m = NULL;
  const ledge_tensor t = {LEDGE_F32, 4, {1, 1, 98, 40}, x, sizeof x};
  if (ledge_model_open("models/keyword/keyword.onnx", NULL, &m, NULL)) return; /* not run from the source */
  double worst = 0;
  for (int turn = 0; turn < 8; turn++) {
    for (int i = 0; i < N; i++) x[i] = (float)(-20 + 15 * sin(i * (0.11 + 0.37 * turn)) * cos(i * 0.003 * turn));
    for (int p = 0; p < 2; p++) {
      ledge_session *s = NULL;
      ledge_tensor out = {0};
      CHECK(!ledge_session_create(m, &(ledge_session_options){.precision = (ledge_precision)p}, &s, NULL) &&
            !ledge_session_set_input(s, 0, &t, NULL) && !ledge_session_run(s, NULL) &&
            !ledge_session_output(s, 0, &out, NULL) && out.bytes == sizeof y[p]);
      if (out.bytes == sizeof y[p]) memcpy(y[p], out.data, sizeof y[p]);
      ledge_session_destroy(s);
    }
    worst = fmax(worst, error_of(y[1], y[0], CLASSES));
  }
  if (!(worst < 0.02)) TEST_FAIL("bf16 is %g off", worst);
  ledge_model_close(m);
}

static void test_refused(void) {
  setup s;
  ledge_session *session = NULL;
  setup_open(&s, "");
  const ledge_session_options bad[] = {{.precision = (ledge_precision)3},
                                       {.precision = (ledge_precision)-1},
                                       {.precision_error = -1},
                                       {.precision_error = NAN}};
  for (int i = 0; i < 4; i++) CHECK_INT(ledge_session_create(s.model, &bad[i], &session, NULL), LEDGE_ERROR_ARGUMENT);
  setup_close(&s);
}

TEST_MAIN({"bf16", test_bf16}, {"separable", test_separable}, {"memory", test_memory}, {"auto", test_auto},
          {"auto inputs", test_auto_inputs}, {"keyword", test_keyword}, {"refused", test_refused})
