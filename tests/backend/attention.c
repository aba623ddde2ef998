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

TEST_MAIN({"operator", test_operator})
