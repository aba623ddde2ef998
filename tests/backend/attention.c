/* Attention: the kernel against the reference, and passes/attention, which makes it of its pieces. */
#include "backend/net_test.h"

static void test_operator(void) {
  static const net_case cases[] = {
      {"q = in f32[2x3x7x8]; k = in f32[2x3x9x8]; v = in f32[2x3x9x5]; y = Attention-23 q k v; out y", "attention",
       1e-5},
      {"q = in f32[2x70x24]; k = in f32[2x90x12]; v = in f32[2x90x6]; y = Attention-23 q k v q_num_heads=4 "
       "kv_num_heads=2 scale=0.7 is_causal=1; out y",
       "attention", 1e-5},
      {"q = in f32[1x2x5x8]; k = in f32[1x2x5x8]; v = in f32[1x2x5x8]; m = in f32[5x5]; y = Attention-23 q k v m "
       "softcap=2.0; out y",
       "attention", 1e-5},
      {"q = in f32[2x2x5x8]; k = in f32[2x2x6x8]; v = in f32[2x2x6x8]; m = in bool[2x1x5x6]; y = Attention-23 q k v m; "
       "out y",
       "attention", 1e-5},
      /* a mask that ends before the keys do */
      {"q = in f32[2x2x5x8]; k = in f32[2x2x6x8]; v = in f32[2x2x6x8]; m = in f32[2x1x5x4]; y = Attention-24 q k v m; "
       "out y",
       "attention", 1e-5},
      /* caches, with and without a present */
      {"q = in f32[1x3x8]; k = in f32[1x3x8]; v = in f32[1x3x8]; a = in f32[1x2x6x4]; b = in f32[1x2x6x4]; "
       "y n o = Attention-23 q k v - a b q_num_heads=2 kv_num_heads=2 is_causal=1; out y n o",
       "attention", 1e-5},
      {"q = in f32[1x2x3x4]; k = in f32[1x2x3x4]; v = in f32[1x2x3x4]; a = in f32[1x2x6x4]; b = in f32[1x2x6x4]; "
       "y = Attention-23 q k v - a b is_causal=1; out y",
       "attention", 1e-5},
      {"q = in f32[1x3x8]; k = in f32[1x3x8]; v = in f32[1x3x8]; y n o = Attention-23 q k v q_num_heads=2 "
       "kv_num_heads=2; out y n o",
       "attention", 1e-5},
      {"q = in f32[2x2x3x4]; k = in f32[2x2x7x4]; v = in f32[2x2x7x4]; l = in i64[2] 5 7; y = Attention-24 q k v - - - "
       "l is_causal=1; out y",
       "attention", 1e-5},
      {"q = in f32[2x2x9x4]; k = in f32[2x2x9x4]; v = in f32[2x2x9x4]; y = Attention-25 q k v left_window_size=2 "
       "right_window_size=1; out y",
       "attention", 1e-5},
      {"q = in f16[2x2x9x4]; k = in f16[2x2x9x4]; v = in f16[2x2x9x4]; y = Attention-23 q k v; out y", "attention",
       2e-3},
      /* asked for the scores: the reference */
      {"q = in f32[1x2x3x4]; k = in f32[1x2x3x4]; v = in f32[1x2x3x4]; y - - s = Attention-23 q k v; out y s",
       "~attention", 1e-5},
  };
  NET_CASES(cases);
}

#define HEADS(x) x "4 = Reshape-13 " x " h; " x "t = Transpose-13 " x "4 perm=[0,2,1,3]; "
static void test_pass(void) {
  static const net_case cases[] = {
      /* [batch, rows, heads * width]: no transpose is left */
      {"q = in f32[2x7x12]; k = in f32[2x7x12]; v = in f32[2x7x12]; h = i64[4] 2 7 3 4; " HEADS("q") HEADS("k")
           HEADS("v") "kk = Transpose-13 kt perm=[0,1,3,2]; s = MatMul-13 qt kk; c = f32[] 2; d = Div-13 s c; "
                      "p = Softmax-13 d axis=-1; o = MatMul-13 p vt; t = Transpose-13 o perm=[0,2,1,3]; g = i64[3] 2 7 "
                      "12; y = Reshape-13 t g; out y",
       "attention", 1e-5},
      /* a mask, a key transposed at once, scales on both sides */
      {"q = in f32[2x7x12]; k = in f32[2x9x12]; v = in f32[2x9x12]; h = i64[4] 0 -1 3 4; " HEADS("q")
           HEADS("v") "k4 = Reshape-13 k h; kk = Transpose-13 k4 perm=[0,2,3,1]; c = f32[] 0.8; qs = Mul-13 qt c; ks = "
                      "Mul-13 kk "
                      "c; s = MatMul-13 qs ks; m = in f32[2x1x1x9]; a = Add-13 s m; p = Softmax-13 a axis=-1; o = "
                      "MatMul-13 p vt; "
                      "t = Transpose-13 o perm=[0,2,1,3]; out t",
       "attention", 1e-5},
      /* one of the batch, rows first */
      {"q = in f32[7x12]; k = in f32[7x12]; v = in f32[7x12]; a = i64[3] 7 3 4; b = i64[4] 1 3 7 4; "
       "q3 = Reshape-13 q a; qt = Transpose-13 q3 perm=[1,0,2]; q4 = Reshape-13 qt b; k3 = Reshape-13 k a; kt = "
       "Transpose-13 k3 perm=[1,0,2]; k4 = Reshape-13 kt b; v3 = Reshape-13 v a; vt = Transpose-13 v3 perm=[1,0,2]; v4 "
       "= Reshape-13 vt b; kk = Transpose-13 k4 perm=[0,1,3,2]; s = MatMul-13 q4 kk; p = Softmax-13 s axis=-1; o = "
       "MatMul-13 p v4; t = Transpose-13 o perm=[2,0,1,3]; f = i64[2] 7 12; y = Reshape-13 t f; out y",
       "attention", 1e-5},
      /* heads first all along, and a key's rows first */
      {"q = in f32[2x3x7x4]; k = in f32[2x3x7x4]; v = in f32[2x3x7x5]; kk = Transpose-13 k perm=[0,1,3,2]; s = "
       "MatMul-13 q kk; m = in f32[7x7]; a = Add-13 m s; p = Softmax-13 a axis=3; y = MatMul-13 p v; out y",
       "attention", 1e-5},
      {"q = in f32[2x3x7x4]; k = in f32[2x7x3x4]; v = in f32[2x3x7x5]; kk = Transpose-13 k perm=[0,2,3,1]; s = "
       "MatMul-13 q kk; p = Softmax-13 s axis=3; y = MatMul-13 p v; out y",
       "attention", 1e-5},
      {"q = in f16[2x3x7x4]; k0 = in f16[2x3x7x4]; v = in f16[2x3x7x5]; k = Relu-14 k0; kk = Transpose-13 k "
       "perm=[0,1,3,2]; s = "
       "MatMul-13 q kk; p = Softmax-13 s axis=3; y = MatMul-13 p v; out y",
       "attention", 2e-3},
      /* not attention: the scores are read twice; another axis; a mask that widens; a scale by rows */
      {"q = in f32[2x3x7x4]; k = in f32[2x3x7x4]; v = in f32[2x3x7x5]; kk = Transpose-13 k perm=[0,1,3,2]; s = "
       "MatMul-13 q kk; p = Softmax-13 s axis=3; y = MatMul-13 p v; out y p",
       "~attention", 1e-5},
      {"q = in f32[2x3x7x4]; k = in f32[2x3x7x4]; v = in f32[2x3x7x5]; kk = Transpose-13 k perm=[0,1,3,2]; s = "
       "MatMul-13 q kk; p = Softmax-13 s axis=2; y = MatMul-13 p v; out y",
       "~attention", 1e-5},
      {"q = in f32[1x3x7x4]; k = in f32[1x3x7x4]; v = in f32[1x3x7x5]; kk = Transpose-13 k perm=[0,1,3,2]; s = "
       "MatMul-13 q kk; m = in f32[2x1x7x7]; a = Add-13 s m; p = Softmax-13 a axis=3; y = MatMul-13 p v; out y",
       "~attention", 1e-5},
      {"q = in f32[1x3x7x4]; k = in f32[1x3x7x4]; v = in f32[1x3x7x5]; kk = Transpose-13 k perm=[0,1,3,2]; s = "
       "MatMul-13 q kk; m = f32[7x1]; a = Mul-13 s m; p = Softmax-13 a axis=3; y = MatMul-13 p v; out y",
       "~attention", 1e-5},
  };
  NET_CASES(cases);
}

/* Those of com.microsoft, by passes/mha. */
static void test_microsoft(void) {
  static const net_case cases[] = {
      {"x = in f32[2x5x6]; w = f32[6x24]; b = f32[24]; y = com.microsoft:Attention-1 x w b num_heads=2; out y",
       "attention", 1e-5},
      {"x = in f32[2x5x6]; w = f32[6x20]; b = f32[20]; m = in i32[2x5]; y = com.microsoft:Attention-1 x w b m "
       "num_heads=2 qkv_hidden_sizes=[8,8,4] unidirectional=1 scale=0.3; out y",
       "!attention", 1e-5},
      {"x = in f32[2x5x6]; w = f32[6x24]; m = in i32[2x5x5]; e = in f32[1x2x5x5]; y = com.microsoft:Attention-1 x w - "
       "m "
       "- e num_heads=2; out y",
       "!attention", 1e-5},
      {"x = in f16[2x5x6]; w = f16[6x24]; b = f16[24]; y = com.microsoft:Attention-1 x w b num_heads=2; out y",
       "attention", 2e-3},
      {"q = in f32[2x5x8]; k = in f32[2x7x8]; v = in f32[2x7x12]; y = com.microsoft:MultiHeadAttention-1 q k v "
       "num_heads=2; out y",
       "attention", 1e-5},
      {"q = in f32[2x5x8]; k = in f32[2x7x8]; v = in f32[2x7x12]; b = f32[28]; m = in i32[2x7]; e = in f32[2x1x5x7]; y "
       "= "
       "com.microsoft:MultiHeadAttention-1 q k v b m e num_heads=2 mask_filter_value=-5.0; out y",
       "!attention", 1e-5},
      {"q = in f32[2x3x8]; k = in f32[2x3x8]; v = in f32[2x3x8]; p = in f32[2x2x4x4]; r = in f32[2x2x4x4]; y n o = "
       "com.microsoft:MultiHeadAttention-1 q k v - - - p r num_heads=2 unidirectional=1; out y n o",
       "attention", 1e-5},
      /* lengths, packed heads, a past in one: not this pass's */
      {"x = in f32[2x5x6]; w = f32[6x24]; b = f32[24]; m = in i32[2] 3 5; y = com.microsoft:Attention-1 x w b m "
       "num_heads=2; out y",
       "~attention", 1e-5},
      {"q = in f32[2x5x2x3x4]; y = com.microsoft:MultiHeadAttention-1 q num_heads=2; out y", "~attention", 1e-5},
      {"x = in f32[2x5x6]; w = f32[6x24]; b = f32[24]; p = in f32[2x2x2x3x4]; y n = com.microsoft:Attention-1 x w b - "
       "p "
       "num_heads=2; out y n",
       "~attention", 1e-5},
  };
  NET_CASES(cases);
}

#define GQA "com.microsoft:GroupQueryAttention-1 "
static void test_grouped(void) {
  static const net_case cases[] = {
      /* the first call: lengths differ, the present is the past's buffer */
      {"q = in f32[2x3x24]; k = in f32[2x3x12]; v = in f32[2x3x12]; a = in f32[2x2x8x6]; b = in f32[2x2x8x6]; l = in "
       "i32[2] 2 1; t = i32[1] 3; y n o = " GQA "q k v a b l t num_heads=4 kv_num_heads=2; out y n o",
       "attention", 1e-5},
      /* later, with turned positions and a total that is an input; its shapes are known from data alone */
      {"q = in f32[2x1x24]; k = in f32[2x1x12]; v = in f32[2x1x12]; a = in f32[2x2x8x6]; b = in f32[2x2x8x6]; l = in "
       "i32[2] 5 3; t = in i32[] 6; c = f32[16x3]; s = f32[16x3]; y n o = " GQA
       "q k v a b l t c s num_heads=4 kv_num_heads=2 do_rotary=1; out y n o",
       "attention", 1e-5},
      {"q = in f32[1x2x48]; a = in f32[1x2x5x6]; b = in f32[1x2x5x6]; l = in i32[1] 6; t = i32[1] 7; c = f32[16x2]; s "
       "= "
       "f32[16x2]; p = in i64[1x2] 9 11; y n o = " GQA "q - - a b l t c s p num_heads=4 kv_num_heads=2 do_rotary=1 "
       "rotary_interleaved=1 local_window_size=3 softcap=2.0 "
       "scale=0.4; out y n o",
       "attention", 1e-5},
      {"q = in f32[1x2x8]; k = in f32[1x2x8]; v = in f32[1x2x8]; l = in i32[1] 1; t = i32[1] 2; e = in f32[1x1x2x2]; y "
       "= " GQA "q k v - - l t - - - e num_heads=2 kv_num_heads=2; out y",
       "attention", 1e-5},
      {"q = in f16[1x1x8]; k = in f16[1x1x8]; v = in f16[1x1x8]; a = in f16[1x2x3x4]; b = in f16[1x2x3x4]; l = in "
       "i32[1] "
       "3; t = i32[1] 4; y n o = " GQA "q k v a b l t num_heads=2 kv_num_heads=2; out y n o",
       "attention", 2e-3},
      {"q = in f32[1x2x8]; k = in f32[1x2x8]; v = in f32[1x2x8]; l = in i32[1] 1; t = i32[1] 2; y = " GQA
       "q k v - - l t num_heads=2 kv_num_heads=2 smooth_softmax=1; out y",
       "~attention", 1e-5},
  };
  NET_CASES(cases);
}

TEST_MAIN({"operator", test_operator}, {"pass", test_pass}, {"microsoft", test_microsoft}, {"grouped", test_grouped})
