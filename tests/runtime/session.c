/* tests/runtime/session: what a session promises: no allocation in a steady state, outputs that stand until the next
 * run, buffers of the caller's, defaults, errors that leave it usable. */
#include "runtime/api_text.h"

#include "test.h"

enum { ROWS = 12 };

static long long allocations(void) { return atomic_load(&mem_stats_global.allocations); }

/* ---- steady state ---- */

static void test_steady_state(void) {
  float data[ROWS * 4];
  fill(data, ROWS * 4, 0);
  for (int m = 0; m < TEXT_MODELS; m++) {
    for (int threads = 1; threads <= 2; threads++) {
      fixture f;
      if (fixture_open(&f, text_models[m].text, &(ledge_session_options){.threads = threads})) continue;
      long long first[ROWS + 1] = {0}, most = 0;
      for (int round = 0; round < 4; round++)
        for (int n = 1; n <= 8; n++) { /* as many shapes as there are plans */
          set_input(&f, 0, floats_of(data, n, 4, 0, 0));
          long long before = allocations();
          run_once(&f);
          long long now = allocations() - before;
          if (!round) first[n] = now;
          if (round > 1 && now > most) most = now;
        }
      if (text_models[m].fixed && most) TEST_FAIL("%s: %lld allocations in a run", text_models[m].name, most);
      if (most >= first[8]) TEST_FAIL("%s: %lld allocations, %lld at first", text_models[m].name, most, first[8]);
      ledge_memory memory;
      ledge_session_memory(f.session, &memory);
      CHECK(memory.exact == text_models[m].fixed);
      fixture_close(&f);
    }
  }
}

/* Setting inputs, binding outputs and reading them costs nothing either. */
static void test_steady_calls(void) {
  float data[ROWS * 4], own[ROWS * 4];
  fill(data, ROWS * 4, 0);
  fixture f;
  if (fixture_open(&f, text_dense, &(ledge_session_options){.threads = 1, .profile = true})) return;
  long long before = 0;
  for (int i = 0; i < 20; i++) {
    if (i == 2) before = allocations();
    set_input(&f, 0, floats_of(data, 3, 4, 0, 0));
    check_ok(&f, ledge_session_bind_output(f.session, 0, i & 1 ? own : NULL, sizeof own, &f.error));
    check_ok(&f, ledge_session_plan(f.session, &f.error));
    run_once(&f);
    CHECK((output_of(&f, 0).data == own) == (i & 1));
  }
  CHECK_INT(allocations() - before, 0);
  fixture_close(&f);
}

/* A loop costs the same however many rounds it makes. */
static void test_steady_rounds(void) {
  fixture f;
  if (fixture_open(&f,
                   "input x f32 N 4; input trips i64 ; const go bool = 1; a = Neg x; y = Loop trips go x ; body {"
                   "input i i64 ; input k bool ; input v f32 any; w = Add v a; u = Mul w v; k2 = Identity k;"
                   "output k2 bool ; output u f32 any } ; output y f32 N 4",
                   &(ledge_session_options){.threads = 1}))
    return;
  float data[8];
  int64_t trips;
  long long few = 0;
  ledge_tensor t = {LEDGE_I64, 0, {0}, &trips, 8};
  fill(data, 8, 0);
  set_input(&f, 0, floats_of(data, 2, 4, 0, 0));
  set_input(&f, 1, t);
  for (int i = 0; i < 6; i++) {
    trips = i & 1 ? 40 : 4;
    long long before = allocations();
    run_once(&f);
    if (i == 4) few = allocations() - before;
    if (i == 5) CHECK_INT(allocations() - before, few);
  }
  fixture_close(&f);
}

/* ---- outputs ---- */

static void test_reference_agrees(void) {
  float data[ROWS * 4];
  fill(data, ROWS * 4, 1);
  for (int m = 0; m < TEXT_MODELS; m++) {
    fixture fast, slow;
    if (fixture_open(&fast, text_models[m].text, NULL)) continue;
    if (!fixture_open(&slow, text_models[m].text, &(ledge_session_options){.reference = true})) {
      set_input(&fast, 0, floats_of(data, 5, 4, 0, 0));
      set_input(&slow, 0, floats_of(data, 5, 4, 0, 0));
      run_once(&fast);
      run_once(&slow);
      ledge_tensor a = output_of(&fast, 0), b = output_of(&slow, 0);
      CHECK(a.bytes == b.bytes && a.rank == b.rank);
      for (size_t i = 0; i < a.bytes / 4 && i < b.bytes / 4; i++)
        CHECK_NEAR((double)((float *)a.data)[i], (double)((float *)b.data)[i], 1e-5);
    }
    fixture_close(&slow);
    fixture_close(&fast);
  }
}

/* Planning for other shapes, more than are kept, leaves the last run's outputs alone. */
static void test_outputs_stand(void) {
  float data[40 * 4], before[3 * 4];
  fill(data, 160, 0);
  for (int m = 0; m < TEXT_MODELS; m++) {
    fixture f;
    if (fixture_open(&f, text_models[m].text, &(ledge_session_options){.threads = 1})) continue;
    set_input(&f, 0, floats_of(data, 3, 4, 0, 0));
    run_once(&f);
    ledge_tensor y = output_of(&f, 0);
    CHECK_INT(y.bytes, sizeof before);
    memcpy(before, y.data, sizeof before);
    for (int n = 4; n < 30; n++) {
      set_input(&f, 0, floats_of(data, n, 4, 0, 0));
      check_ok(&f, ledge_session_plan(f.session, &f.error));
      ledge_memory memory;
      ledge_session_memory(f.session, &memory);
      CHECK(memory.planned_bytes + memory.dynamic_bytes > 0);
    }
    ledge_tensor again = output_of(&f, 0);
    CHECK(again.data == y.data && !memcmp(y.data, before, sizeof before));
    fixture_close(&f);
  }
}

/* ledge_session_memory and the like speak of the last plan, be it run or not. */
static void test_last_plan(void) {
  float data[40 * 4];
  fill(data, 160, 0);
  fixture f;
  ledge_memory small, large;
  if (fixture_open(&f, text_dense, NULL)) return;
  set_input(&f, 0, floats_of(data, 1, 4, 0, 0));
  run_once(&f);
  ledge_session_memory(f.session, &small);
  double work = ledge_session_multiply_adds(f.session);
  set_input(&f, 0, floats_of(data, 40, 4, 0, 0));
  check_ok(&f, ledge_session_plan(f.session, &f.error));
  ledge_session_memory(f.session, &large);
  CHECK(large.planned_bytes > small.planned_bytes * 2);
  CHECK(work == 0 || ledge_session_multiply_adds(f.session) > 20 * work);
  fixture_close(&f);
}

static void test_bound_outputs(void) { /* of every kind: arena, alias, input, constant, sized by the data */
  static const char text[] =
      "input x f32 N 4; const c f32 2 = 7 8; const s i64 2 = 4 -1; a = Neg x; b = Reshape a s; d = Abs a; i = Identity "
      "x;"
      "k = Identity c; z = NonZero x; e = Exp a; output a f32 N 4; output b f32 4 N; output d f32 N 4; output i f32 N "
      "4;"
      "output k f32 2; output z i64 any; output a f32 N 4";
  enum { OUTPUTS = 7 };
  float data[12];
  fill(data, 12, 0);
  fixture f;
  if (fixture_open(&f, text, NULL)) return;
  set_input(&f, 0, floats_of(data, 3, 4, 0, 0));
  run_once(&f);
  static char plain[OUTPUTS][256], buffers[OUTPUTS][300];
  size_t bytes[OUTPUTS];
  for (size_t i = 0; i < OUTPUTS; i++) {
    ledge_tensor t = output_of(&f, i);
    bytes[i] = t.bytes;
    memcpy(plain[i], t.data, t.bytes);
  }
  for (unsigned mask = 0; mask < 1u << OUTPUTS; mask++) {
    memset(buffers, 0x55, sizeof buffers);
    for (size_t i = 0; i < OUTPUTS; i++) /* at odd multiples of an element: the caller need not align */
      check_ok(&f,
               ledge_session_bind_output(f.session, i, mask >> i & 1 ? buffers[i] + 8 * i : NULL, bytes[i], &f.error));
    run_once(&f);
    for (size_t i = 0; i < OUTPUTS; i++) {
      ledge_tensor t = output_of(&f, i);
      CHECK(t.bytes == bytes[i] && !memcmp(t.data, plain[i], bytes[i]));
      if (!(mask >> i & 1)) continue;
      if (memcmp(buffers[i] + 8 * i, plain[i], bytes[i])) TEST_FAIL("mask %x: output %zu did not arrive", mask, i);
      CHECK(buffers[i][8 * i + bytes[i]] == 0x55);
    }
  }
  check_ok(&f, ledge_session_bind_output(f.session, 0, buffers[0], bytes[0] - 1, &f.error));
  CHECK_INT(ledge_session_run(f.session, &f.error), LEDGE_ERROR_ARGUMENT);
  CHECK(strstr(f.error.message, "47") != NULL);
  CHECK_INT(ledge_session_bind_output(f.session, OUTPUTS, buffers[0], 4, &f.error), LEDGE_ERROR_ARGUMENT);
  fixture_close(&f);
}

static void test_failed_run(void) { /* leaves no outputs, and a session that runs again */
  fixture f;
  if (fixture_open(&f, "input x f32 N; input i i64 1; g = Gather x i; n = Neg x; output g f32 1; output n f32 N", NULL))
    return;
  float data[4] = {1, 2, 3, 4};
  int64_t at = 2;
  ledge_tensor t, index = {LEDGE_I64, 1, {1}, &at, 8};
  CHECK_INT(ledge_session_output(f.session, 0, &t, &f.error), LEDGE_ERROR_ARGUMENT);
  CHECK_INT(ledge_session_run(f.session, &f.error), LEDGE_ERROR_NAME);
  CHECK(strstr(f.error.message, "'x'") != NULL);
  set_input(&f, 0, floats_of(data, 4, 0, 0, 0));
  set_input(&f, 1, index);
  for (int i = 0; i < 6; i++) {
    at = i;
    ledge_status status = ledge_session_run(f.session, &f.error);
    CHECK_INT(status, i < 4 ? LEDGE_OK : LEDGE_ERROR_DATA);
    if (i < 4) CHECK(*(float *)output_of(&f, 0).data == data[i]);
    if (i < 4) continue;
    CHECK(strstr(f.error.message, "Gather") && strstr(f.error.message, i == 4 ? " 4 " : " 5 "));
    for (size_t k = 0; k < 2; k++) CHECK_INT(ledge_session_output(f.session, k, &t, &f.error), LEDGE_ERROR_ARGUMENT);
  }
  at = -1;
  run_once(&f);
  CHECK(*(float *)output_of(&f, 0).data == 4);
  fixture_close(&f);
}

/* ---- inputs ---- */

/* An input with a default that is given after all: what is bound stays bound, what was made stays readable. */
static void test_defaults(void) {
  fixture f;
  if (fixture_open(&f, "input x f32 2; input w f32 2; const w f32 2 = 10 20; y = Mul x w; output y f32 2", NULL))
    return;
  float x[2] = {1, 2}, w[2] = {-1, -2}, own[2] = {0};
  set_input(&f, 0, floats_of(x, 2, 0, 0, 0));
  run_once(&f);
  ledge_tensor before = output_of(&f, 0);
  CHECK(((float *)before.data)[1] == 40);
  check_ok(&f, ledge_session_bind_output(f.session, 0, own, sizeof own, &f.error));
  set_input(&f, 1, floats_of(w, 2, 0, 0, 0));
  CHECK(((float *)before.data)[1] == 40 && output_of(&f, 0).data == before.data);
  run_once(&f);
  CHECK(own[0] == -1 && own[1] == -4);
  for (int i = 0; i < 2; i++) { /* the default again */
    check_ok(&f, i ? ledge_session_set_input_value(f.session, 1, NULL, &f.error)
                   : ledge_session_set_input(f.session, 1, NULL, &f.error));
    run_once(&f);
    CHECK(own[0] == 10 && own[1] == 40);
  }
  fixture_close(&f);
}

/* The contents may change between runs, in place. */
static void test_inputs_in_place(void) {
  fixture f;
  if (fixture_open(&f, "input x f32 2; y = Neg x; i = Identity x; output y f32 2; output i f32 2", NULL)) return;
  float x[2] = {1, 2};
  set_input(&f, 0, floats_of(x, 2, 0, 0, 0));
  for (int i = 0; i < 3; i++) {
    x[0] = (float)i;
    run_once(&f);
    CHECK(*(float *)output_of(&f, 0).data == -x[0] && *(float *)output_of(&f, 1).data == x[0]);
  }
  fixture_close(&f);
}

/* Inputs at any address, even one that is no multiple of their element's size. */
static void test_unaligned_inputs(void) {
  static char buffer[6 * 4 * 4 + 64];
  float data[24], aligned[24];
  fill(data, 24, 0);
  for (int m = 0; m < TEXT_MODELS; m++)
    for (size_t shift = 0; shift < 16; shift += 4) {
      fixture f;
      if (fixture_open(&f, text_models[m].text, NULL)) continue;
      memcpy(buffer + shift, data, sizeof data);
      set_input(&f, 0, floats_of((float *)(void *)(buffer + shift), 6, 4, 0, 0));
      run_once(&f);
      ledge_tensor y = output_of(&f, 0);
      CHECK_INT(y.bytes, sizeof aligned);
      if (!shift) memcpy(aligned, y.data, sizeof aligned);
      CHECK(!memcmp(y.data, aligned, sizeof aligned));
      fixture_close(&f);
    }
}

static void test_zero_sizes(void) {
  for (int m = 0; m < TEXT_MODELS; m++) {
    if (text_models[m].text == text_sequence) continue; /* its row of the sequence does not exist */
    fixture f;
    if (fixture_open(&f, text_models[m].text, NULL)) continue;
    float none[1];
    ledge_tensor x = {LEDGE_F32, 2, {0, 4}, none, 0};
    set_input(&f, 0, x);
    if (ledge_session_run(f.session, &f.error)) TEST_FAIL("%s: %s", text_models[m].name, f.error.message);
    fixture_close(&f);
  }
}

static void test_values(void) { /* what a session was given, and what it gave, outlives it */
  fixture f;
  if (fixture_open(&f,
                   "input q seq:f32 any; const z i64 = 1; y = SequenceAt q z; r = SequenceErase q; output y f32 any;"
                   "output r seq:f32 any",
                   NULL))
    return;
  float a[2] = {1, 2}, b[1] = {3};
  ledge_value *items[2], *list, *out;
  ledge_tensor ta = floats_of(a, 2, 0, 0, 0), tb = floats_of(b, 1, 0, 0, 0), t;
  check_ok(&f, ledge_value_create(&ta, &items[0], &f.error));
  check_ok(&f, ledge_value_create(&tb, &items[1], &f.error));
  check_ok(&f, ledge_value_create_sequence((const ledge_value *const *)items, 2, &list, &f.error));
  ledge_value_destroy(items[0]);
  ledge_value_destroy(items[1]);
  check_ok(&f, ledge_session_set_input_value(f.session, 0, list, &f.error));
  CHECK(ledge_session_set_input(f.session, 0, &ta, &f.error) == LEDGE_ERROR_SHAPE);
  ledge_value_destroy(list);
  run_once(&f);
  CHECK(*(float *)output_of(&f, 0).data == 3);
  CHECK_INT(ledge_session_output(f.session, 1, &t, &f.error), LEDGE_ERROR_ARGUMENT);
  check_ok(&f, ledge_session_output_value(f.session, 1, &out, &f.error));
  fixture_close(&f);
  CHECK_INT(ledge_value_count(out), 1);
  CHECK_INT(ledge_value_tensor(ledge_value_item(out, 0), &t, NULL), LEDGE_OK);
  CHECK(t.bytes == 8 && ((float *)t.data)[1] == 2);
  CHECK(ledge_value_item(out, 1) == NULL);
  ledge_value_destroy(out);
}

static void test_memory_limit_of_data(void) { /* values sized by the data count too */
  fixture f;
  if (fixture_open(&f, "input n i64 1; c = ConstantOfShape n; z = Exp c; y = ReduceSum z | keepdims=0; output y f32 ",
                   &(ledge_session_options){.memory_limit = 1 << 20}))
    return;
  int64_t n = 1000;
  ledge_tensor t = {LEDGE_I64, 1, {1}, &n, 8};
  set_input(&f, 0, t);
  run_once(&f);
  CHECK_NEAR((double)*(float *)output_of(&f, 0).data, 1000, 1e-3);
  n = 1 << 24;
  CHECK_INT(ledge_session_run(f.session, &f.error), LEDGE_ERROR_LIMIT);
  CHECK(strstr(f.error.message, "67108864") != NULL); /* the figure needed */
  n = INT64_MAX / 2;
  CHECK(ledge_session_run(f.session, &f.error) != LEDGE_OK);
  n = 10;
  run_once(&f);
  ledge_memory memory;
  ledge_session_memory(f.session, &memory);
  CHECK(!memory.exact && memory.dynamic_bytes > 0 && memory.dynamic_bytes <= 1 << 20);
  fixture_close(&f);
}

/* What is planned and what the data size are counted together. */
static void test_memory_limit_of_both(void) {
  static const char text[] =
      "input n i64 1; input x f32 N; a = Exp x; b = Neg a; y = Add a b; c = ConstantOfShape n;"
      "d = Exp c; s = ReduceSum d | keepdims=0; z = Add y s; output z f32 N";
  static float data[50000];
  int64_t n = 50000;
  ledge_tensor t = {LEDGE_I64, 1, {1}, &n, 8};
  for (int limited = 0; limited < 2; limited++) {
    fixture f;
    if (fixture_open(&f, text, &(ledge_session_options){.threads = 1, .memory_limit = limited ? 700000 : 1300000}))
      continue;
    set_input(&f, 0, t);
    set_input(&f, 1, floats_of(data, 50000, 0, 0, 0));
    check_ok(&f, ledge_session_plan(f.session, &f.error)); /* 400 kB; the data add as much and more */
    ledge_status status = ledge_session_run(f.session, &f.error);
    CHECK_INT(status, limited ? LEDGE_ERROR_LIMIT : LEDGE_OK);
    if (!limited && status) TEST_FAIL("%s", f.error.message);
    fixture_close(&f);
  }
}

/* Plans of several shapes are kept within the limit together. */
static void test_memory_limit_of_plans(void) {
  static float data[8 * 30000];
  fixture f;
  if (fixture_open(
          &f,
          "input x f32 N 30000; a = Exp x; b = Softmax a | axis=1; c = Transpose b; y = Neg c; output y f32 30000 N",
          &(ledge_session_options){.threads = 1, .memory_limit = 3000000}))
    return;
  fill(data, 8 * 30000, 0);
  for (int round = 0; round < 2; round++)
    for (int n = 1; n <= 8; n++) {
      set_input(&f, 0, floats_of(data, n, 30000, 0, 0));
      run_once(&f);
      CHECK_INT(output_of(&f, 0).dims[1], n);
    }
  long long before = allocations(); /* the last shapes are still there */
  run_once(&f);
  CHECK_INT(allocations(), before);
  fixture_close(&f);
}

TEST_MAIN({"steady state", test_steady_state}, {"steady calls", test_steady_calls},
          {"steady rounds", test_steady_rounds}, {"reference agrees", test_reference_agrees},
          {"outputs stand", test_outputs_stand}, {"last plan", test_last_plan}, {"bound outputs", test_bound_outputs},
          {"failed run", test_failed_run}, {"defaults", test_defaults}, {"inputs in place", test_inputs_in_place},
          {"unaligned inputs", test_unaligned_inputs}, {"zero sizes", test_zero_sizes}, {"values", test_values},
          {"memory limit of data", test_memory_limit_of_data}, {"memory limit of both", test_memory_limit_of_both},
          {"memory limit of plans", test_memory_limit_of_plans})
