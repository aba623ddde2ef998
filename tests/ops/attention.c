/* tests/ops/attention: Attention, RotaryEmbedding, LinearAttention, CausalConvWithState, FlexAttention without graphs.
 * A query of 0 attends to all keys alike: the output is the mean of the values that it may see. */
#include "op_test.h"

#define Q1 "f32[1x1x1x1] 0"
#define Q2 "f32[1x1x2x1] 0 0"
#define K2 "f32[1x1x2x1] 1 2"
#define V2 "f32[1x1x2x1] 10 20"
#define K3 "f32[1x1x3x1] 1 2 3"
#define V3 "f32[1x1x3x1] 10 20 60"

static void test_attention(void) {
  static const op_case cases[] = {
      {"Attention", 23, "", {Q1, K2, V2}, {"f32[1x1x1x1] 15"}},
      {"Attention", 23, "scale=1.0", {"f32[1x1x1x1] 1", "f32[1x1x2x1] 0 1.0986123", V2}, {"f32[1x1x1x1] 17.5"}},
      {"Attention", 23, "is_causal=1", {Q2, K2, V2}, {"f32[1x1x2x1] 10 15"}},
      {"Attention", 23, "", {Q2, K2, V2, "bool[2x2] 1 0 0 0"}, {"f32[1x1x2x1] 10 0"}},
      {"Attention", 23, "", {Q2, K2, V2, "bool[2] 0 1"}, {"f32[1x1x2x1] 20 20"}},
      {"Attention", 23, "", {Q1, K2, V2, "f32[1x2] 0 -inf"}, {"f32[1x1x1x1] 10"}},
      {"Attention", 23, "", {Q1, K2, V2, "f32[] 3"}, {"f32[1x1x1x1] 15"}},
      {"Attention", 23, "", {Q1, K2, V2, "i64[1x2] 0 0"}, {"f32[1x1x1x1] 15"}},
      {"Attention", 24, "", {Q1, K2, V2, "f32[1x1] 0"}, {"f32[1x1x1x1] 10"}},
      {"Attention",
       23,
       "is_causal=1",
       {Q1, K2, V2, "-", K2, V2},
       {"f32[1x1x1x1] 13.333333", "f32[1x1x4x1] 1 2 1 2", "f32[1x1x4x1] 10 20 10 20"}},
      {"Attention", 24, "", {Q1, K3, V3, "-", "-", "-", "i64[1] 2"}, {"f32[1x1x1x1] 15"}},
      {"Attention", 24, "is_causal=1", {Q2, K3, V3, "-", "-", "-", "i64[1] 1"}, {"f32[1x1x2x1] 0 10"}},
      {"Attention", 24, "", {Q1, K3, V3, "-", "-", "-", "i64[1] 4"}, {"error data"}},
      {"Attention", 25, "left_window_size=0 right_window_size=0", {Q2, K2, V2}, {"f32[1x1x2x1] 10 20"}},
      {"Attention", 25, "left_window_size=1", {"f32[1x1x3x1] 0 0 0", K3, V3}, {"f32[1x1x3x1] 30 30 40"}},
      {"Attention", 24, "left_window_size=0", {Q2, K2, V2}, {"f32[1x1x2x1] 15 15"}},
      {"Attention", 25, "left_window_size=-2", {Q2, K2, V2}, {"error format"}},
      {"Attention",
       23,
       "qk_matmul_output_mode=3",
       {Q1, K2, V2, "bool[2] 0 1"},
       {"f32[1x1x1x1] 20", "-", "-", "f32[1x1x1x2] 0 1"}},
      {"Attention",
       23,
       "qk_matmul_output_mode=2",
       {Q1, K2, V2, "f32[2] 5 7"},
       {"f32[1x1x1x1] *", "-", "-", "f32[1x1x1x2] 5 7"}},
      {"Attention",
       23,
       "scale=2.0 softcap=1.0 qk_matmul_output_mode=1",
       {"f32[1x1x1x1] 1", "f32[1x1x1x1] 1", "f32[1x1x1x1] 3"},
       {"f32[1x1x1x1] 3", "-", "-", "f32[1x1x1x1] 0.9640276"}},
      /* two query heads share a key head; packed rows */
      {"Attention",
       23,
       "q_num_heads=2 kv_num_heads=1",
       {"f32[1x1x2] 0 0", "f32[1x2x1] 1 2", "f32[1x2x1] 10 20"},
       {"f32[1x1x2] 15 15"}},
      {"Attention", 23, "", {"f64[1x1x1x1] 0", "f64[1x1x2x1] 1 2", "f16[1x1x2x1] 10 20"}, {"f64[1x1x1x1] 15"}},
      {"Attention", 23, "", {"bf16[1x1x1x1] 0", "bf16[1x1x2x1] 1 2", "bf16[1x1x2x1] 10 20"}, {"bf16[1x1x1x1] 15"}},
      {"Attention", 23, "", {"f32[1x1x0x1]", K2, V2}, {"f32[1x1x0x1]"}},
      {"Attention", 23, "", {Q1, "f32[1x1x0x1]", "f32[1x1x0x1]"}, {"f32[1x1x1x1] 0"}},
      {"Attention", 23, "", {"f32[1x1x2] 0 0", "f32[1x2x1] 1 2", "f32[1x2x1] 10 20"}, {"error shape"}},
      {"Attention", 23, "", {Q1, K2, "f32[1x2x1] 1 2"}, {"error shape"}},
      {"Attention", 23, "", {Q1, K2, V3}, {"error shape"}},
      {"Attention", 23, "", {Q1, K2, V2, "bool[3] 1 1 1"}, {"error shape"}},
      {"Attention", 23, "", {Q1, K2, V2, "-", K2}, {"error format"}},
      {"Attention", 23, "", {"i32[1x1x1x1] 0", K2, V2}, {"error shape"}},
      {"Attention", 23, "softmax_precision=7", {Q1, K2, V2}, {"error format"}},
      {"ai.onnx.preview:FlexAttention", 1, "", {Q1, K2, V2}, {"f32[1x1x1x1] 15"}},
      {"ai.onnx.preview:FlexAttention", 1, "", {"f32[1x2x1x1] 0 0", K2, V2}, {"f32[1x2x1x1] 15 15"}},
      {"ai.onnx.preview:FlexAttention", 1, "", {"f32[1x1x1] 0", K2, V2}, {"error shape"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_rotary(void) {
  static const op_case cases[] = {
      {"RotaryEmbedding", 23, "", {"f32[1x1x1x2] 1 0", "f32[1x1x1] 0", "f32[1x1x1] 1"}, {"f32[1x1x1x2] 0 1"}},
      {"RotaryEmbedding",
       23,
       "",
       {"f32[1x1x1x4] 1 2 3 4", "f32[1x1x2] 0 1", "f32[1x1x2] 1 0"},
       {"f32[1x1x1x4] -3 2 1 4"}},
      {"RotaryEmbedding",
       23,
       "interleaved=1",
       {"f32[1x1x1x4] 1 2 3 4", "f32[1x1x2] 0 1", "f32[1x1x2] 1 0"},
       {"f32[1x1x1x4] -2 1 3 4"}},
      {"RotaryEmbedding",
       23,
       "num_heads=2 rotary_embedding_dim=2",
       {"f16[1x1x6] 1 2 3 4 5 6", "f16[2x1] 1 0", "f16[2x1] 0 1", "i64[1x1] 1"},
       {"f16[1x1x6] -2 1 3 -5 4 6"}},
      {"RotaryEmbedding", 23, "", {"f32[1x1x1x2] 1 0", "f32[2x1] 0 1", "f32[2x1] 1 0", "i64[1x1] 2"}, {"error data"}},
      {"RotaryEmbedding", 23, "", {"f32[1x1x1x2] 1 0", "f32[2x1] 0 1", "f32[2x1] 1 0", "i64[1x1] -1"}, {"error data"}},
      {"RotaryEmbedding", 23, "", {"f32[1x1x1x3] 1 0 0", "f32[1x1x1] 0", "f32[1x1x1] 1"}, {"error shape"}},
      {"RotaryEmbedding", 23, "", {"f32[1x1x2] 1 0", "f32[1x1x1] 0", "f32[1x1x1] 1"}, {"error shape"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

#define LINEAR "q_num_heads=1 kv_num_heads=1 scale=1.0 "
#define LQ "f32[1x2x1] 1 1"
#define LK "f32[1x2x1] 2 3"
#define LV "f32[1x2x1] 5 7"

static void test_states(void) {
  static const op_case cases[] = {
      {"LinearAttention", 27, LINEAR "update_rule='linear'", {LQ, LK, LV}, {"f32[1x2x1] 10 31", "f32[1x1x1x1] 31"}},
      {"LinearAttention",
       27,
       LINEAR "update_rule='linear'",
       {LQ, LK, LV, "f32[1x1x1x1] 100"},
       {"f32[1x2x1] 110 131", "f32[1x1x1x1] 131"}},
      {"LinearAttention",
       27,
       LINEAR "update_rule='gated'",
       {LQ, LK, LV, "-", "f32[1x2x1] 0 -0.6931472"},
       {"f32[1x2x1] 10 26", "f32[1x1x1x1] 26"}},
      {"LinearAttention",
       27,
       LINEAR "update_rule='delta'",
       {LQ, LK, LV, "-", "-", "f32[1x2x1] 1 1"},
       {"f32[1x2x1] 10 -59", "f32[1x1x1x1] -59"}},
      {"LinearAttention",
       27,
       "q_num_heads=2 kv_num_heads=1 scale=1.0 update_rule='linear'",
       {"f32[1x1x2] 1 2", "f32[1x1x1] 3", "f32[1x1x1] 4"},
       {"f32[1x1x2] 12 24", "f32[1x1x1x1] 12"}},
      {"LinearAttention", 27, LINEAR, {LQ, LK, LV}, {"error format"}},
      {"LinearAttention",
       27,
       LINEAR "update_rule='linear'",
       {LQ, LK, LV, "-", "-", "f32[1x2x1] 1 1"},
       {"error format"}},
      {"LinearAttention", 27, "q_num_heads=1 kv_num_heads=2 update_rule='linear'", {LQ, LK, LV}, {"error shape"}},
      {"CausalConvWithState", 27, "", {"f32[1x1x3] 1 2 3", "f32[1x1x2] 10 1"}, {"f32[1x1x3] 1 12 23", "f32[1x1x1] 3"}},
      {"CausalConvWithState",
       27,
       "",
       {"f32[1x1x1] 2", "f32[1x1x3] 100 10 1", "f32[1] 1000", "f32[1x1x2] 5 6"},
       {"f32[1x1x1] 1562", "f32[1x1x2] 6 2"}},
      {"CausalConvWithState",
       27,
       "activation='silu'",
       {"f32[1x1x1] 1", "f32[1x1x1] 1"},
       {"f32[1x1x1] 0.7310586", "f32[1x1x0]"}},
      {"CausalConvWithState", 27, "activation='relu'", {"f32[1x1x1] 1", "f32[1x1x1] 1"}, {"error format"}},
      {"CausalConvWithState", 27, "", {"f32[1x2x1] 1 1", "f32[1x1x1] 1"}, {"error shape"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

TEST_MAIN({"attention", test_attention}, {"rotary", test_rotary}, {"states", test_states})
