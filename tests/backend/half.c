/* passes/half: 16-bit models inside of float32. */
#include "backend/net_test.h"

static void test_operators(void) {
  static const net_case cases[] = {
      {"x = in f16[2x3x9x9]; w = f16[4x3x3x3]; b = f16[4]; y = Conv-11 x w b pads=[1,1,1,1]; out y", "convert", 1e-3},
      {"x = in bf16[2x3x9x9]; w = bf16[4x3x3x3]; y = Conv-11 x w; out y", "convert", 1e-2},
      {"x = in f16[3x5]; w = f16[5x7]; c = f16[7]; y = Gemm-13 x w c; out y", "gemm", 1e-3},
      {"x = in f16[3x5]; y = in f16[5x7]; z = MatMul-13 x y; out z", "gemm", 1e-3},
      {"x = in f16[3x500]; y = Softmax-13 x; out y", "softmax", 1e-3},
      {"x = in f16[3x64]; s = f16[64]; b = f16[64]; y = LayerNormalization-17 x s b; out y", "layer_norm", 2e-3},
      {"x = in f16[1x4x8x8]; y = MaxPool-12 x kernel_shape=[2,2] strides=[2,2]; out y", "max_pool", 0},
      {"x = in f16[7x3]; y = Relu-14 x; out y", "unary", 0},
      {"x = in f16[7x3]; y = in f16[3]; z = Add-14 x y; out z", "binary", 1e-3},
      {"x = in f16[7x31]; y = ReduceMean-18 x; out y", "reduce", 2e-3},
  };
  NET_CASES(cases);
}

/* A chain is not rounded between its operators; what moves elements follows. */
static void test_chains(void) {
  static const net_case cases[] = {
      {"x = in f16[1x3x8x8]; w = f16[4x3x3x3]; y = Conv-11 x w; z = Relu-14 y; t = Transpose-13 z perm=[0,2,3,1]; "
       "s = i64[2] -1 4; r = Reshape-13 t s; v = f16[4x5]; u = MatMul-13 r v; out u",
       "gemm", 2e-3},
      /* two readers of different kinds, and an output in the middle */
      {"x = in f16[4x6]; w = f16[6x6]; y = MatMul-13 x w; z = Sigmoid-13 y; q = ArgMax-13 y axis=1; out y z q", "!gemm",
       1e-3},
      {"x = in f16[4x6]; w = f16[6x6]; y = MatMul-13 x w; z = Cast-13 y to=@f32; u = Exp-13 z; out u", "unary", 5e-3},
      {"x = in f16[4x6]; w = f16[6x6]; y = MatMul-13 x w; z = Cast-13 y to=@f32; out z", "gemm", 2e-3},
      {"x = in f32[4x6]; h = Cast-13 x to=@f16; w = f16[6x6]; y = MatMul-13 h w; out y", "gemm", 1e-3},
      {"x = in f16[4x6]; w = f16[6x6]; y = MatMul-13 x w; c = in bool[4x6]; z = Where-16 c y x; out z", "!gemm", 1e-3},
      {"x = in f16[4x6]; w = f16[6x6]; a = MatMul-13 x w; b = Add-14 a x; c = Concat-13 a b x axis=1; out c", "blocks",
       2e-3},
      /* nothing computes: nothing is cast */
      {"x = in f16[4x6]; y = in f16[4x6]; z = Concat-13 x y axis=0; t = Transpose-13 z; out t", "~convert", 0},
  };
  NET_CASES(cases);
}

/* With and without the pass, and with all others off. */
static void test_without(void) {
  static const net_case c = {
      "x = in f16[1x8x6x6]; w = f16[8x8x1x1]; y = Conv-11 x w; z = Relu-14 y; a = Add-14 z x; out a", "", 0};
  static const char *const disable[] = {"half", "all", NULL};
  net t;
  net_init(&t, &c);
  session *with = net_run(&t, false, NULL, 1);
  for (int i = 0; disable[i]; i++) {
    session *without = net_run(&t, false, disable[i], 1);
    if (with && without)
      net_compare(&t, 0, &session_output(with, 0)->tensor, &session_output(without, 0)->tensor, 2e-3);
    session_destroy(without);
  }
  session_destroy(with);
  net_deinit(&t);
}

TEST_MAIN({"operators", test_operators}, {"chains", test_chains}, {"without", test_without})
