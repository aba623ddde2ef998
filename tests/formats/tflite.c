/* formats/tflite: small models made by hand, read and run through the library, against figures worked out here; files
 * that are wrong; files cut and flipped; allocations that fail. */
#include "tflite_build.h"

#include "base/mem.h"
#include "base/rng.h"
#include "ledge/ledge.h"
#include "test.h"

typedef struct opened {
  tb_bytes bytes;
  ledge_model *model;
  ledge_session *session;
  ledge_error error;
} opened;

static opened open_graphs(const tb_graph *g, int n) {
  opened o = {.bytes = tb_model(g, n)};
  const char *seeds = getenv("LEDGE_SEEDS");
  if (seeds) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.tflite", seeds, test_now_);
    FILE *f = fopen(path, "wb");
    if (f) fwrite(o.bytes.data, 1, o.bytes.size, f), fclose(f);
  }
  ledge_status status = ledge_model_open_memory(o.bytes.data, o.bytes.size, NULL, &o.model, &o.error);
  if (!status) status = ledge_session_create(o.model, &(ledge_session_options){.threads = 1}, &o.session, &o.error);
  if (status) TEST_FAIL("%s", o.error.message);
  return o;
}

static void shut(opened *o) {
  ledge_session_destroy(o->session);
  ledge_model_close(o->model);
  free(o->bytes.data);
}

static void give(opened *o, size_t i, const void *data, size_t bytes) {
  ledge_value_info want;
  if (!o->session || ledge_model_input(o->model, i, &want, &o->error)) return;
  ledge_tensor t = {.dtype = want.dtype, .rank = want.rank, .data = (void *)(uintptr_t)data, .bytes = bytes};
  memcpy(t.dims, want.dims, sizeof t.dims);
  if (ledge_session_set_input(o->session, i, &t, &o->error)) TEST_FAIL("%s", o->error.message);
}

static const void *run(opened *o, size_t bytes) {
  static const double nothing[64];
  ledge_tensor t = {0};
  if (!o->session) return nothing;
  if (ledge_session_run(o->session, &o->error) || ledge_session_output(o->session, 0, &t, &o->error)) {
    TEST_FAIL("%s", o->error.message);
    return nothing;
  }
  CHECK_INT(t.bytes, bytes);
  return t.bytes == bytes ? t.data : nothing;
}

/* ---- floats ---- */

static void conv_options(tb_bytes *b, uint32_t t) {
  tb_i8(b, t, 0, PADDING_SAME);
  tb_i32(b, t, 1, 1);
  tb_i32(b, t, 2, 1);
  tb_i8(b, t, 3, ACT_RELU6);
}

/* A 3x3 window of ones over a 3x3 image of two channels, of which the filter takes the first. */
static void test_conv(void) {
  static float w[3 * 3 * 2];
  static const float bias[] = {0.5f};
  float x[18];
  for (int i = 0; i < 9; i++) w[2 * i] = 1, w[2 * i + 1] = 0, x[2 * i] = (float)i / 10, x[2 * i + 1] = 99;
  tb_graph g = {.tensors = {{"x", TFL_FLOAT32, 4, {1, 3, 3, 2}},
                            {"w", TFL_FLOAT32, 4, {1, 3, 3, 2}, w, sizeof w},
                            {"b", TFL_FLOAT32, 1, {1}, bias, sizeof bias},
                            {"y", TFL_FLOAT32, 4, {1, 3, 3, 1}}},
                .n_tensors = 4,
                .ops = {{.builtin = 3, .n_in = 3, .in = {0, 1, 2}, .n_out = 1, .out = {3}, .options = conv_options}},
                .n_ops = 1,
                .inputs = {0},
                .n_in = 1,
                .outputs = {3},
                .n_out = 1};
  opened o = open_graphs(&g, 1);
  give(&o, 0, x, sizeof x);
  const float *y = run(&o, 36);
  CHECK_NEAR(y[0], 0.5 + 0 + 0.1 + 0.3 + 0.4, 1e-6);
  CHECK_NEAR(y[4], 0.5 + 3.6, 1e-6);
  CHECK_NEAR(y[8], 0.5 + 0.4 + 0.5 + 0.7 + 0.8, 1e-6);
  ledge_model_summary s;
  ledge_model_summarize(o.model, &s);
  CHECK_STR(s.format, "tflite");
  shut(&o);
}

/* A float16 constant behind a DEQUANTIZE, and a sparse one: rows 0 and 2 of [3, 2] are there. */
static void csr(tb_bytes *b, uint32_t t) {
  static const int32_t order[] = {0, 1}, segments[] = {0, 2}, indices[] = {0, 2};
  tb_vec(b, t, SPARSITY_ORDER, order, 2, 4);
  uint32_t from = tb_field(b, t, SPARSITY_DIMS), list = tb_vector(b, NULL, 2, 4);
  tb_link(b, from, list);
  uint32_t rows = tb_table(b);
  tb_link(b, list + 4, rows);
  tb_i8(b, rows, SPARSE_DIM_FORMAT, SPARSE_CSR);
  tb_i8(b, rows, SPARSE_DIM_SEGMENTS_TYPE, SPARSE_I32);
  tb_vec(b, tb_child(b, rows, SPARSE_DIM_SEGMENTS), 0, segments, 2, 4);
  tb_i8(b, rows, SPARSE_DIM_INDICES_TYPE, SPARSE_I32);
  tb_vec(b, tb_child(b, rows, SPARSE_DIM_INDICES), 0, indices, 2, 4);
  uint32_t columns = tb_table(b);
  tb_link(b, list + 8, columns);
  tb_i32(b, columns, SPARSE_DIM_SIZE, 2);
}

static void test_constants(void) {
  static const uint16_t half[] = {0x3C00, 0xC000}; /* 1, -2 */
  static const float sparse[] = {1, 2, 3, 4};
  const float x[] = {10, 20};
  tb_graph g = {.tensors = {{"x", TFL_FLOAT32, 2, {1, 2}},
                            {"h", TFL_FLOAT16, 1, {2}, half, sizeof half},
                            {"f", TFL_FLOAT32, 1, {2}},
                            {"sum", TFL_FLOAT32, 2, {1, 2}},
                            {"s", TFL_FLOAT32, 2, {3, 2}, sparse, sizeof sparse, .sparsity = csr},
                            {"w", TFL_FLOAT32, 2, {3, 2}},
                            {"y", TFL_FLOAT32, 2, {1, 3}}},
                .n_tensors = 7,
                .ops = {{.builtin = 6, .n_in = 1, .in = {1}, .n_out = 1, .out = {2}},
                        {.builtin = 0, .n_in = 2, .in = {0, 2}, .n_out = 1, .out = {3}},
                        {.builtin = 124, .n_in = 1, .in = {4}, .n_out = 1, .out = {5}},
                        {.builtin = 9, .n_in = 3, .in = {3, 5, -1}, .n_out = 1, .out = {6}}},
                .n_ops = 4,
                .inputs = {0},
                .n_in = 1,
                .outputs = {6},
                .n_out = 1};
  opened o = open_graphs(&g, 1);
  give(&o, 0, x, sizeof x);
  const float *y = run(&o, 12);
  CHECK_NEAR(y[0], 11 + 2 * 18, 1e-5);
  CHECK_NEAR(y[1], 0, 0);
  CHECK_NEAR(y[2], 3 * 11 + 4 * 18, 1e-5);
  shut(&o);
}

static void slice_options(tb_bytes *b, uint32_t t) {
  tb_i32(b, t, 1, 1);      /* to the end of dim 0 */
  tb_i32(b, t, 4, 1 << 1); /* dim 1 goes */
}

static void test_strided_slice(void) {
  static const int32_t begin[] = {1, -1}, end[] = {0, 0}, step[] = {1, 1};
  const float x[] = {1, 2, 3, 4, 5, 6};
  tb_graph g = {
      .tensors = {{"x", TFL_FLOAT32, 2, {3, 2}},
                  {"b", TFL_INT32, 1, {2}, begin, 8},
                  {"e", TFL_INT32, 1, {2}, end, 8},
                  {"s", TFL_INT32, 1, {2}, step, 8},
                  {"y", TFL_FLOAT32, 1, {2}}},
      .n_tensors = 5,
      .ops = {{.builtin = 45, .n_in = 4, .in = {0, 1, 2, 3}, .n_out = 1, .out = {4}, .options = slice_options}},
      .n_ops = 1,
      .inputs = {0},
      .n_in = 1,
      .outputs = {4},
      .n_out = 1};
  opened o = open_graphs(&g, 1);
  give(&o, 0, x, sizeof x);
  const float *y = run(&o, 8);
  CHECK_NEAR(y[0], 4, 0);
  CHECK_NEAR(y[1], 6, 0);
  shut(&o);
}

/* ---- integers ---- */

/* The sum in real numbers, quantised: TensorFlow Lite's roundings are within one unit of it. */
static void test_integer_product(void) {
  enum { IN = 37, OUT = 9 };
  static int8_t w[OUT * IN];
  static int32_t bias[OUT];
  static float scales[OUT];
  int8_t x[IN];
  rng r;
  rng_init(&r, 7);
  for (int i = 0; i < OUT * IN; i++) w[i] = (int8_t)(rng_u64(&r) % 255 - 127);
  for (int i = 0; i < IN; i++) x[i] = (int8_t)rng_u64(&r);
  for (int i = 0; i < OUT; i++) bias[i] = (int32_t)(rng_u64(&r) % 4001) - 2000, scales[i] = 0.01f + 0.003f * (float)i;
  tb_graph g = {.tensors = {{"x", TFL_INT8, 2, {1, IN}, .scale = 0.05f, .zero = -3},
                            {"w", TFL_INT8, 2, {OUT, IN}, w, sizeof w, .scales = scales, .n_scales = OUT},
                            {"b", TFL_INT32, 1, {OUT}, bias, sizeof bias},
                            {"y", TFL_INT8, 2, {1, OUT}, .scale = 0.5f, .zero = 11}},
                .n_tensors = 4,
                .ops = {{.builtin = 9, .n_in = 3, .in = {0, 1, 2}, .n_out = 1, .out = {3}}},
                .n_ops = 1,
                .inputs = {0},
                .n_in = 1,
                .outputs = {3},
                .n_out = 1};
  opened o = open_graphs(&g, 1);
  give(&o, 0, x, sizeof x);
  const int8_t *y = run(&o, OUT);
  for (int j = 0; j < OUT; j++) {
    double sum = bias[j];
    for (int i = 0; i < IN; i++) sum += (x[i] + 3) * w[j * IN + i];
    double want = sum * 0.05 * (double)scales[j] / 0.5 + 11;
    want = want < -128 ? -128 : want > 127 ? 127 : want;
    if (fabs(y[j] - want) > 1) TEST_FAIL("output %d is %d, not %g", j, y[j], want);
  }
  shut(&o);
}

static void test_integer_sum(void) {
  const uint8_t a[] = {0, 100, 200, 255}, b[] = {255, 3, 77, 255};
  tb_graph g = {.tensors = {{"a", TFL_UINT8, 1, {4}, .scale = 0.1f, .zero = 10},
                            {"b", TFL_UINT8, 1, {4}, .scale = 0.2f, .zero = 100},
                            {"y", TFL_UINT8, 1, {4}, .scale = 0.25f, .zero = 50}},
                .n_tensors = 3,
                .ops = {{.builtin = 0, .n_in = 2, .in = {0, 1}, .n_out = 1, .out = {2}}},
                .n_ops = 1,
                .inputs = {0, 1},
                .n_in = 2,
                .outputs = {2},
                .n_out = 1};
  opened o = open_graphs(&g, 1);
  give(&o, 0, a, 4);
  give(&o, 1, b, 4);
  const uint8_t *y = run(&o, 4);
  for (int i = 0; i < 4; i++) {
    double want = ((a[i] - 10) * 0.1 + (b[i] - 100) * 0.2) / 0.25 + 50;
    want = want < 0 ? 0 : want > 255 ? 255 : want;
    if (fabs(y[i] - want) > 0.51) TEST_FAIL("output %d is %d, not %g", i, y[i], want);
  }
  shut(&o);
}

/* ---- variables ---- */

static void handle_options(tb_bytes *b, uint32_t t) { tb_text(b, t, 1, "total"); }
static void once_options(tb_bytes *b, uint32_t t) { tb_i32(b, t, 0, 1); }

/* total starts at 100; each run adds x to it and gives it. */
static void test_variable(void) {
  static const float start[] = {100};
  const float x[] = {5};
  tb_graph g[2] = {{.tensors = {{"x", TFL_FLOAT32, 1, {1}},
                                {"v", TFL_RESOURCE, 0, {0}},
                                {"r", TFL_FLOAT32, 1, {1}},
                                {"y", TFL_FLOAT32, 1, {1}}},
                    .n_tensors = 4,
                    .ops = {{.builtin = 129, .options = once_options},
                            {.builtin = 142, .n_out = 1, .out = {1}, .options = handle_options},
                            {.builtin = 143, .n_in = 1, .in = {1}, .n_out = 1, .out = {2}},
                            {.builtin = 0, .n_in = 2, .in = {0, 2}, .n_out = 1, .out = {3}},
                            {.builtin = 144, .n_in = 2, .in = {1, 3}}},
                    .n_ops = 5,
                    .inputs = {0},
                    .n_in = 1,
                    .outputs = {3},
                    .n_out = 1},
                   {.tensors = {{"v", TFL_RESOURCE, 0, {0}}, {"c", TFL_FLOAT32, 1, {1}, start, sizeof start}},
                    .n_tensors = 2,
                    .ops = {{.builtin = 142, .n_out = 1, .out = {0}, .options = handle_options},
                            {.builtin = 144, .n_in = 2, .in = {0, 1}}},
                    .n_ops = 2}};
  opened o = open_graphs(g, 2);
  CHECK_INT(ledge_model_input_count(o.model), 1);
  CHECK_INT(ledge_model_output_count(o.model), 1);
  give(&o, 0, x, sizeof x);
  CHECK_NEAR(((const float *)run(&o, 4))[0], 105, 0);
  CHECK_NEAR(((const float *)run(&o, 4))[0], 110, 0);
  CHECK_NEAR(((const float *)run(&o, 4))[0], 115, 0);
  ledge_session *second;
  CHECK(!ledge_session_create(o.model, NULL, &second, &o.error)); /* with a total of its own */
  ledge_session *first = o.session;
  o.session = second;
  give(&o, 0, x, sizeof x);
  CHECK_NEAR(((const float *)run(&o, 4))[0], 105, 0);
  ledge_session_destroy(first);
  shut(&o);
}

/* ---- control flow ---- */

static void branches_options(tb_bytes *b, uint32_t t) {
  tb_i32(b, t, 0, 1);
  tb_i32(b, t, 1, 2);
}

/* One operator `builtin` of a float and itself, or of an int and a constant. */
static tb_graph step_graph(int builtin) {
  return (tb_graph){.tensors = {{"x", TFL_FLOAT32, 1, {2}}, {"y", TFL_FLOAT32, 1, {2}}},
                    .n_tensors = 2,
                    .ops = {{.builtin = builtin, .n_in = 1, .in = {0}, .n_out = 1, .out = {1}}},
                    .n_ops = 1,
                    .inputs = {0},
                    .n_in = 1,
                    .outputs = {1},
                    .n_out = 1};
}

static void test_if(void) {
  const float x[] = {3, -4};
  tb_graph g[3] = {
      {.tensors = {{"c", TFL_BOOL, 0, {0}}, {"x", TFL_FLOAT32, 1, {2}}, {"y", TFL_FLOAT32, 1, {2}}},
       .n_tensors = 3,
       .ops = {{.builtin = 118, .n_in = 2, .in = {0, 1}, .n_out = 1, .out = {2}, .options = branches_options}},
       .n_ops = 1,
       .inputs = {0, 1},
       .n_in = 2,
       .outputs = {2},
       .n_out = 1},
      step_graph(59),   /* NEG */
      step_graph(101)}; /* ABS */
  opened o = open_graphs(g, 3);
  for (uint8_t c = 0; c < 2; c++) {
    give(&o, 0, &c, 1);
    give(&o, 1, x, sizeof x);
    const float *y = run(&o, 8);
    CHECK_NEAR(y[0], c ? -3 : 3, 0);
    CHECK_NEAR(y[1], 4, 0);
  }
  shut(&o);
}

/* While i < 5: i += 1, x += x. */
static void test_while(void) {
  static const int32_t five[] = {5}, one[] = {1};
  const int32_t from[] = {2};
  const float x[] = {1, 3};
  tb_graph g[3] = {
      {.tensors =
           {{"i", TFL_INT32, 0, {0}}, {"x", TFL_FLOAT32, 1, {2}}, {"j", TFL_INT32, 0, {0}}, {"y", TFL_FLOAT32, 1, {2}}},
       .n_tensors = 4,
       .ops = {{.builtin = 119, .n_in = 2, .in = {0, 1}, .n_out = 2, .out = {2, 3}, .options = branches_options}},
       .n_ops = 1,
       .inputs = {0, 1},
       .n_in = 2,
       .outputs = {3},
       .n_out = 1},
      {.tensors = {{"i", TFL_INT32, 0, {0}},
                   {"x", TFL_FLOAT32, 1, {2}},
                   {"n", TFL_INT32, 0, {0}, five, 4},
                   {"c", TFL_BOOL, 0, {0}}},
       .n_tensors = 4,
       .ops = {{.builtin = 58, .n_in = 2, .in = {0, 2}, .n_out = 1, .out = {3}}},
       .n_ops = 1,
       .inputs = {0, 1},
       .n_in = 2,
       .outputs = {3},
       .n_out = 1},
      {.tensors = {{"i", TFL_INT32, 0, {0}},
                   {"x", TFL_FLOAT32, 1, {2}},
                   {"n", TFL_INT32, 0, {0}, one, 4},
                   {"j", TFL_INT32, 0, {0}},
                   {"y", TFL_FLOAT32, 1, {2}}},
       .n_tensors = 5,
       .ops = {{.builtin = 0, .n_in = 2, .in = {0, 2}, .n_out = 1, .out = {3}},
               {.builtin = 0, .n_in = 2, .in = {1, 1}, .n_out = 1, .out = {4}}},
       .n_ops = 2,
       .inputs = {0, 1},
       .n_in = 2,
       .outputs = {3, 4},
       .n_out = 2}};
  opened o = open_graphs(g, 3);
  give(&o, 0, from, 4);
  give(&o, 1, x, sizeof x);
  const float *y = run(&o, 8);
  CHECK_NEAR(y[0], 8, 0);
  CHECK_NEAR(y[1], 24, 0);
  shut(&o);
}

/* ---- wrong files ---- */

static tb_graph small(void) {
  static const float c[] = {1, 2};
  return (tb_graph){
      .tensors = {{"x", TFL_FLOAT32, 1, {2}}, {"c", TFL_FLOAT32, 1, {2}, c, sizeof c}, {"y", TFL_FLOAT32, 1, {2}}},
      .n_tensors = 3,
      .ops = {{.builtin = 0, .n_in = 2, .in = {0, 1}, .n_out = 1, .out = {2}}},
      .n_ops = 1,
      .inputs = {0},
      .n_in = 1,
      .outputs = {2},
      .n_out = 1};
}

static void refused(tb_bytes b, const char *says) {
  ledge_error e = {0};
  ledge_model *m = NULL;
  ledge_session *s = NULL;
  ledge_status status = ledge_model_open_memory(b.data, b.size, NULL, &m, &e);
  if (!status) status = ledge_session_create(m, NULL, &s, &e);
  CHECK(status);
  if (!strstr(e.message, says)) TEST_FAIL("\"%s\" does not say \"%s\"", e.message, says);
  ledge_session_destroy(s);
  ledge_model_close(m);
  free(b.data);
}

static void self_options(tb_bytes *b, uint32_t t) { tb_i32(b, t, 0, 0); }

static void test_wrong(void) {
  tb_graph g = small();
  g.ops[0].in[1] = 99;
  refused(tb_model(&g, 1), "there is no tensor 99");
  g = small(), g.tensors[1].bytes = 4;
  refused(tb_model(&g, 1), "contents have 4 bytes");
  g = small(), g.tensors[1].dims[0] = -2;
  refused(tb_model(&g, 1), "dim 0 is -2");
  g = small(), g.tensors[1].type = 100;
  refused(tb_model(&g, 1), "data type 100");
  g = small(), g.tensors[1].data = NULL;
  refused(tb_model(&g, 1), "nothing has made");
  g = small(), g.tensors[1].scale = -1;
  refused(tb_model(&g, 1), "scale 0 is -1");
  g = small(), g.ops[0].out[0] = 0;
  refused(tb_model(&g, 1), "which is there already");
  g = small(), g.ops[0].builtin = 4000;
  refused(tb_model(&g, 1), "BUILTIN_4000");
  g = small(), g.ops[0].builtin = 32, g.ops[0].custom = "MyOwn";
  refused(tb_model(&g, 1), "MyOwn");
  g = small(), g.ops[0] = (tb_op){.builtin = 129, .options = self_options};
  refused(tb_model(&g, 1), "makes");
  tb_graph loop[2] = {step_graph(59), step_graph(59)}; /* a branch that holds itself */
  loop[0].ops[0] =
      (tb_op){.builtin = 118, .n_in = 2, .in = {0, 0}, .n_out = 1, .out = {1}, .options = branches_options};
  loop[0].tensors[0].type = TFL_BOOL, loop[0].tensors[1].type = TFL_BOOL;
  loop[1] = loop[0];
  refused(tb_model(loop, 2), "calls itself");
  tb_bytes b = tb_model(&(tb_graph){0}, 0);
  refused(b, "no graph");
}

/* Every length and many flips: an error or a model, never a crash. */
static void test_damaged(void) {
  tb_graph g = small();
  g.tensors[1].sparsity = csr;
  tb_bytes b = tb_model(&g, 1);
  rng r;
  rng_init(&r, 3);
  uint8_t *copy = malloc(b.size);
  for (uint32_t i = 0; i < b.size + 4000; i++) {
    ledge_error e = {0};
    ledge_model *m = NULL;
    memcpy(copy, b.data, b.size);
    if (i >= b.size)
      for (int k = 0; k < 3; k++) copy[8 + rng_u64(&r) % (b.size - 8)] = (uint8_t)rng_u64(&r);
    ledge_status status = ledge_model_open_memory(copy, i < b.size ? i : b.size, NULL, &m, &e);
    CHECK(status || m);
    CHECK(!status || e.message[0]);
    ledge_model_close(m);
  }
  free(copy);
  free(b.data);
}

static void test_memory(void) {
  tb_graph g = small();
  tb_bytes b = tb_model(&g, 1);
  for (int i = 0; i < 400; i++) {
    ledge_error e = {0};
    ledge_model *m = NULL;
    atomic_store(&mem_stats_global.fail_after, i);
    ledge_status status = ledge_model_open_memory(b.data, b.size, NULL, &m, &e);
    bool failed = atomic_load(&mem_stats_global.fail_after) < 0;
    atomic_store(&mem_stats_global.fail_after, -1);
    if (status) CHECK_INT(status, LEDGE_ERROR_MEMORY);
    ledge_model_close(m);
    if (!status && !failed) break;
  }
  free(b.data);
}

TEST_MAIN({"conv", test_conv}, {"constants", test_constants}, {"strided_slice", test_strided_slice},
          {"integer_product", test_integer_product}, {"integer_sum", test_integer_sum}, {"variable", test_variable},
          {"if", test_if}, {"while", test_while}, {"wrong", test_wrong}, {"damaged", test_damaged},
          {"memory", test_memory})
