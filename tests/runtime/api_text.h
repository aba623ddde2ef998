/* tests/runtime/api_text.h: models written as text (model_text.h) through the public interface. */
#ifndef TESTS_RUNTIME_API_TEXT_H
#define TESTS_RUNTIME_API_TEXT_H

#include "ledge/ledge.h"
#include "model_text.h"

typedef struct fixture {
  msg bytes;
  ledge_error error;
  ledge_model *model;
  ledge_session *session;
} fixture;

static inline ledge_status fixture_open(fixture *f, const char *text, const ledge_session_options *options) {
  *f = (fixture){.bytes = model_text(text), .error = {.message = ""}};
  ledge_status status = ledge_model_open_memory(f->bytes.data, f->bytes.size, NULL, &f->model, &f->error);
  if (!status) status = ledge_session_create(f->model, options, &f->session, &f->error);
  if (status) TEST_FAIL("%s: %s", ledge_status_name(status), f->error.message);
  return status;
}

static inline void fixture_close(fixture *f) {
  ledge_session_destroy(f->session);
  ledge_model_close(f->model);
  writer_deinit(&f->bytes);
}

/* f32 of rank 1 to 4; dims end at 0. */
static inline ledge_tensor floats_of(float *data, int64_t a, int64_t b, int64_t c, int64_t d) {
  ledge_tensor t = {.dtype = LEDGE_F32, .dims = {a, b, c, d}, .data = data, .bytes = sizeof(float)};
  for (; t.rank < 4 && t.dims[t.rank]; t.rank++) t.bytes *= (size_t)t.dims[t.rank];
  return t;
}

static inline void check_ok(fixture *f, ledge_status status) {
  if (status) TEST_FAIL("%s: %s", ledge_status_name(status), f->error.message);
}

static inline void set_input(fixture *f, size_t i, ledge_tensor t) {
  check_ok(f, ledge_session_set_input(f->session, i, &t, &f->error));
}

static inline void run_once(fixture *f) { check_ok(f, ledge_session_run(f->session, &f->error)); }

static inline ledge_tensor output_of(fixture *f, size_t i) {
  ledge_tensor t = {0};
  check_ok(f, ledge_session_output(f->session, i, &t, &f->error));
  return t;
}

static inline void fill(float *data, size_t n, double phase) {
  for (size_t i = 0; i < n; i++) data[i] = (float)sin((double)i * 0.9 + phase + 0.1);
}

/* Models of many kinds; input 0 is f32 [N, 4], output 0 of its shape. */
static const char text_dense[] =
    "input x f32 N 4; const w f32 4 32 = *; const b f32 32 = *; const v f32 32 4 = *; h = MatMul x w; g = Add h b;"
    "r = Relu g; m = MatMul r v; s = Softmax m | axis=-1; y = Add s x; output y f32 N 4";
static const char text_shapes[] =
    "input x f32 N 4; const z i64 1 = 0; const one i64 1 = 1; const m i64 1 = -1; s = Shape x; n = Gather s z;"
    "f = Reshape x m; q = Shape f; r = ConstantOfShape q; e = Add f r; t = Concat n m | axis=0; y = Reshape e t;"
    "output y f32 N 4";
static const char text_control[] =
    "input x f32 N 4; const trips i64 = 3; const go bool = 1; const half f32 = 0.5; sum = ReduceSum x | keepdims=0;"
    "big = Greater sum half; a = Neg x;"
    "b = If big ; then { t = Add x a; output t f32 any } else { e = Sub x a; output e f32 any } ;"
    "y = Loop trips go b ; body { input i i64 ; input k bool ; input v f32 any; w = Add v a; k2 = Identity k;"
    "output k2 bool ; output w f32 any } ; output y f32 N 4";
static const char text_sequence[] =
    "input x f32 N 4; const at i64 = 0; q = SplitToSequence x | axis=1; a = SequenceAt q at; i = SequenceInsert q a;"
    "e = SequenceErase i ; c = ConcatFromSequence e | axis=1; n = SequenceLength q; y = Neg c; output y f32 N 4;"
    "output n i64 ";
static const char text_data[] =
    "input x f32 N 4; z = NonZero x; t = Transpose z | perm=[1,0]; g = GatherND x t; const m i64 2 = -1 4; y = Reshape "
    "g m;"
    "output y f32 any; output z i64 any";
static const char text_conv[] =
    "input x f32 N 4; const s i64 4 = -1 1 2 2; const back i64 2 = -1 4; i = Reshape x s; const w f32 8 1 3 3 = *;"
    "const d f32 8 1 3 3 = *; const p f32 1 8 1 1 = *; a = Conv i w | pads=[1,1,1,1]; r = Relu a;"
    "b = Conv r d | pads=[1,1,1,1] group=8; c = Sigmoid b; o = Conv c p; y = Reshape o back; output y f32 N 4";
static const char text_strings[] =
    "input x f32 N 4; s = Cast x | to=8; u = Cast s | to=1; y = Neg u; output y f32 N 4; output s string N 4";
static const struct {
  const char *name, *text;
  bool fixed; /* nothing of it depends on the data: a run allocates nothing */
} text_models[] = {{"dense", text_dense, true},        {"shapes", text_shapes, true}, {"control", text_control, false},
                   {"sequence", text_sequence, false}, {"data", text_data, false},    {"conv", text_conv, true},
                   {"strings", text_strings, false}};
enum { TEXT_MODELS = sizeof text_models / sizeof *text_models };

#endif
