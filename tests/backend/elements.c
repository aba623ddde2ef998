/* Operators that move, choose, quantise and normalise: their kernels against the references. */
#include "backend/net_test.h"

static void test_where(void) {
  static const net_case cases[] = {
      {"c = in bool[3x5x33]; a = in f32[3x5x33]; b = in f32[3x5x33]; y = Where-16 c a b; out y", "where", 0},
      {"c = in bool[3x1x33]; a = in i64[5x1]; b = in i64[]; y = Where-16 c a b; out y", "where", 0},
      {"c = in bool[5x33]; a = in f16[]; b = in f16[2x5x33]; y = Where-16 c a b; out y", "where", 0},
      {"c = in bool[5x33]; a = in u8[5x33]; b = in u8[1]; y = Where-16 c a b; out y", "where", 0},
      {"c = in bool[1x1x1]; a = in f64[2x1x3]; b = in f64[1x4x1]; y = Where-16 c a b; out y", "where", 0},
      {"c = in bool[4x1x3]; a = in f32[4x2x3]; b = f32[3]; y = Where-16 c a b; out y", "where", 0},
  };
  NET_CASES(cases);
}

static void test_rearrange(void) {
  static const net_case cases[] = {
      {"x = in f32[2x1x3]; r = i64[3] 2 3 2; y = Tile-13 x r; out y", "tile", 0},
      {"x = in u8[2x3]; r = i64[2] 1 4; y = Tile-13 x r; out y", "tile", 0},
      {"x = in f32[2x8x3x5]; y = DepthToSpace-13 x blocksize=2; out y", "depth_to_space", 0},
      {"x = in i64[2x18x3x5]; y = DepthToSpace-13 x blocksize=3 mode='CRD'; out y", "depth_to_space", 0},
      {"x = in f32[2x3x4x6]; y = SpaceToDepth-13 x blocksize=2; out y", "space_to_depth", 0},
      {"x = in f32[2x3x4]; p = i64[6] 1 0 2 0 1 1; y = Pad-13 x p; out y", "pad", 0},
      {"x = in i64[2x3x4]; p = i64[6] -1 0 2 0 -1 1; v = i64[] 7; y = Pad-13 x p v; out y", "pad", 0},
      {"x = in f32[2x3]; p = i64[2] 1 -2; a = i64[1] 1; y = Pad-18 x p - a; out y", "pad", 0},
      {"x = in f32[2x3]; y = Pad-2 x pads=[1,0,0,2] value=1.5; out y", "pad", 0},
      {"x = in f32[2x3]; p = i64[4] 0 1 0 1; v = in f32[] 3; y = Pad-13 x p v; out y", "pad", 0},
      {"x = in f32[2x3]; p = i64[4] 0 -3 0 2; y = Pad-13 x p; out y", "pad", 0},
      {"x = in f32[2x5]; p = i64[4] 0 2 0 1; y = Pad-13 x p mode='reflect'; out y", "pad", 0},
      {"x = in f32[3x4x5]; p = i64[6] 2 3 4 1 0 4; y = Pad-13 x p mode='reflect'; out y", "pad", 0},
      {"x = in f16[3x4x5]; p = i64[6] 1 5 2 6 0 9; y = Pad-13 x p mode='edge'; out y", "pad", 0},
      {"x = in f32[3x4x5]; p = i64[6] 3 0 2 1 4 5; y = Pad-19 x p mode='wrap'; out y", "pad", 0},
      {"x = in f32[2x3]; y = Pad-2 x pads=[0,1,1,2] mode='reflect'; out y", "pad", 0},
      /* more than there is of the input; cut */
      {"x = in f32[2x3]; p = i64[4] 0 4 0 0; y = Pad-19 x p mode='wrap'; out y", "~pad", 0},
      {"x = in f32[2x3]; p = i64[4] 0 -1 0 2; y = Pad-13 x p mode='edge'; out y", "~pad", 0},
  };
  NET_CASES(cases);
}

static void test_quantize(void) {
  static const net_case cases[] = {
      {"x = in f32[2x3x50]; s = f32[] 0.02; z = u8[] 128; y = QuantizeLinear-13 x s z; out y", "quantize", 0},
      {"x = in f32[2x3x50]; s = in f32[3] 0.02 0.1 0.3; z = in i8[3]; y = QuantizeLinear-13 x s z axis=1; out y",
       "quantize", 0},
      {"x = in f32[50]; s = f32[50] + 9; y = QuantizeLinear-13 x s; out y", "quantize", 0},
      {"x = in f32[4x50]; s = f32[] 0.02; y = QuantizeLinear-10 x s; out y", "quantize", 0},
      {"x = in i8[4x50]; s = f32[50]; z = i8[50]; y = DequantizeLinear-13 x s z axis=-1; out y", "dequantize", 0},
      {"x = in u8[4x50]; s = f32[1] 0.3; z = u8[1] 3; y = DequantizeLinear-13 x s z; out y", "dequantize", 0},
      {"x = in f32[5x77]; y s z = DynamicQuantizeLinear-11 x; out y s z", "quantize", 0},
      {"x = in i32[4x50]; s = f32[] 0.02; y = DequantizeLinear-13 x s; out y", "~quantize", 0},
      {"x = in f32[4x6]; s = f32[4x3] + 9; y = QuantizeLinear-21 x s block_size=2 axis=1; out y", "~quantize", 0},
  };
  NET_CASES(cases);
}

static void test_norm(void) {
  static const net_case cases[] = {
      {"x = in f32[2x3x40]; s = in f32[2x3x40]; g = f32[40]; b = f32[40]; y = com.microsoft:SkipLayerNormalization-1 x "
       "s "
       "g b; out y",
       "skip_norm", 1e-5},
      {"x = in f32[2x3x40]; s = in f32[2x3x40]; g = f32[40]; b = f32[40]; c = f32[40]; y m v t = "
       "com.microsoft:SkipLayerNormalization-1 x s g b c epsilon=0.01; out y m v t",
       "skip_norm", 1e-5},
      {"x = in f32[2x3x40]; s = in f32[2x3x40]; g = f32[40]; c = f32[40]; y - v t = "
       "com.microsoft:SkipSimplifiedLayerNormalization-1 x s g c; out y v t",
       "skip_norm", 1e-5},
      {"x = in f16[2x3x40]; s = in f16[2x3x40]; g = f16[40]; y - - t = "
       "com.microsoft:SkipSimplifiedLayerNormalization-1 x s g; out y t",
       "skip_norm", 2e-3},
      {"x = in f32[2x3x40]; s = in f32[3x40]; g = f32[40]; b = f32[40]; y = com.microsoft:SkipLayerNormalization-1 x s "
       "g "
       "b; out y",
       "~skip_norm", 1e-5},
      {"x = in f32[2x3x40]; g = f32[40]; y v = SimplifiedLayerNormalization-1 x g; out y v", "rms_norm", 1e-5},
      {"x = in f32[2x8x40]; y = LpNormalization-1 x axis=1; out y", "lp_norm", 1e-5},
      {"x = in f32[2x8x40]; y = LpNormalization-1 x p=1; out y", "lp_norm", 1e-5},
      {"x = in f32[2x8x5x7]; y = LRN-13 x size=4 alpha=0.3; out y", "lrn", 1e-5},
      {"x = in f32[2x8x5x7]; y = GlobalMaxPool-1 x; out y", "global_max_pool", 0},
      {"x = in f32[2x8x5x7]; y = ArgMax-13 x axis=1 keepdims=0; z = ArgMin-13 x axis=-1; out y z", "arg", 0},
      {"x = in f32[3x4] 1 2 2 0 nan 1 nan 3 5 5 5 5; y = ArgMax-13 x axis=1; z = ArgMax-13 x axis=1 "
       "select_last_index=1; w = ArgMin-13 x axis=0; out y z w",
       "!arg", 0},
  };
  NET_CASES(cases);
}

static void test_nbits(void) {
  /* random constants of u8 are 0 to 3: enough of the low bits, and offsets put the high ones there */
  static const net_case cases[] = {
      {"x = in f32[3x64]; b = u8[20x2x16] + 77; s = f32[40]; y = com.microsoft:MatMulNBits-1 x b s K=64 N=20 bits=4 "
       "block_size=32; out y",
       "gemm", 1e-5},
      {"x = in f32[2x3x40]; b = u8[20x3x8] + 150; s = f32[20x3]; z = u8[20x2] + 40; y = com.microsoft:MatMulNBits-1 x "
       "b "
       "s z K=40 N=20 bits=4 block_size=16; out y",
       "gemm", 1e-5},
      {"x = in f32[3x64]; b = u8[20x2x32] + 100; s = f32[40]; z = u8[40] + 99; e = f32[20]; y = "
       "com.microsoft:MatMulNBits-1 x b s z - e K=64 N=20 bits=8 block_size=32; out y",
       "gemm", 1e-5},
      {"x = in f32[3x64]; b = u8[20x2x8] + 100; s = f32[40]; z = f32[40]; y = com.microsoft:MatMulNBits-1 x b s z K=64 "
       "N=20 bits=2 block_size=32; out y",
       "gemm", 1e-5},
      {"x = in f16[3x64]; b = u8[20x2x16] + 77; s = f16[40]; y = com.microsoft:MatMulNBits-1 x b s K=64 N=20 bits=4 "
       "block_size=32; out y",
       "gemm", 2e-3},
  };
  NET_CASES(cases);
}

/* passes/clean, after passes/layout: a detection head that wants its rows last needs no transpose at its end. */
static void test_tidy(void) {
  static const net_case c = {
      "x = in f32[1x3x6x6]; w = f32[4x3x1x1]; a = Conv-11 x w; t = Transpose-13 a "
      "perm=[0,2,3,1]; s = i64[3] 1 -1 4; r = Reshape-13 t s; y = Sigmoid-13 r; out y",
      "pointwise", 1e-5};
  net_check(&c);
  net t;
  net_init(&t, &c);
  session *s = net_run(&t, false, NULL, 1);
  int transposes = 0;
  for (int i = 0; s && i < session_last_plan(s)->n_steps; i++)
    transposes += node_is(session_last_plan(s)->steps[i].ctx.node, "", "Transpose");
  CHECK_INT(transposes, 1);
  session_destroy(s);
  net_deinit(&t);
}

TEST_MAIN({"tidy", test_tidy}, {"nbits", test_nbits}, {"where", test_where}, {"rearrange", test_rearrange},
          {"quantize", test_quantize}, {"norm", test_norm})
