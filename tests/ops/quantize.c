/* tests/ops/quantize: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. */
#include "op_test.h"

static void test_quantize(void) {
  static const op_case cases[] = {
      {"QuantizeLinear",
       10,
       "",
       {"f32[6] 0 2 3 1000 -254 -1000", "f32[] 2", "u8[] 128"},
       {"u8[6] 128 129 130 255 1 0"}},
      {"QuantizeLinear", 10, "", {"f32[4] 1 3 5 nan", "f32[] 2"}, {"u8[4] 0 2 2 0"}},
      {"QuantizeLinear", 10, "", {"i32[2] 10 -7", "f32[] 2", "i8[] 0"}, {"i8[2] 5 -4"}},
      {"QuantizeLinear", 13, "axis=0", {"f32[2x2] 1 2 3 4", "f32[2] 1 2", "u8[2] 0 10"}, {"u8[2x2] 1 2 12 12"}},
      {"QuantizeLinear", 13, "", {"f32[2x2] 1 2 3 4", "f32[2] 1 2", "i8[2] 0 10"}, {"i8[2x2] 1 11 3 12"}},
      {"QuantizeLinear", 13, "axis=-2", {"f32[1x2x2] 1 2 3 4", "f32[2] 1 2"}, {"u8[1x2x2] 1 2 2 2"}},
      {"QuantizeLinear", 13, "", {"f32[3] 1 2 3", "f32[3] 1 2 1"}, {"u8[3] 1 1 3"}},
      {"QuantizeLinear", 21, "", {"f32[3] -40000 1 40000", "f32[] 1", "i16[] 5"}, {"i16[3] -32768 6 32767"}},
      {"QuantizeLinear", 21, "output_dtype=@u16", {"f16[2] 10 -1", "f16[] 0.5"}, {"u16[2] 20 0"}},
      {"QuantizeLinear", 21, "", {"f32[5] -9 -8 0 7 8", "f32[] 1", "i4[] 0"}, {"i4[5] -8 -8 0 7 7"}},
      {"QuantizeLinear", 25, "", {"f32[5] -3 -2 0 1 2", "f32[] 1", "i2[] 0"}, {"i2[5] -2 -2 0 1 1"}},
      {"QuantizeLinear", 25, "output_dtype=@u2", {"f32[3] -3 2 9", "f32[] 1"}, {"u2[3] 0 2 3"}},
      {"QuantizeLinear", 19, "", {"f32[3] 0 1000 -900", "f32[] 2", "f8e4m3fn[] 0"}, {"f8e4m3fn[3] 0 448 -448"}},
      {"QuantizeLinear", 19, "saturate=0", {"f32[2] 0 1e6", "f32[] 2", "f8e5m2[] 0"}, {"f8e5m2[2] 0 inf"}},
      {"QuantizeLinear", 23, "output_dtype=@f4e2m1", {"f32[3] 0.5 2.4 -99", "f32[] 1"}, {"f4e2m1[3] 0.5 2 -6"}},
      {"QuantizeLinear", 25, "", {"f32[2] 3 8", "f8e8m0[] 2", "u8[] 1"}, {"u8[2] 3 5"}},
      {"QuantizeLinear", 23, "precision=1", {"f16[1] 3", "f16[] 0.1"}, {"u8[1] 30"}},
      {"QuantizeLinear",
       21,
       "axis=1 block_size=2",
       {"f32[2x3] 1 2 3 4 5 6", "f32[2x2] 1 3 2 1"},
       {"u8[2x3] 1 2 1 2 2 6"}},
      {"QuantizeLinear",
       21,
       "axis=0 block_size=2",
       {"f32[3x2] 1 2 3 4 5 6", "f32[2x2] 1 2 5 6", "i8[2x2] 0 1 2 3"},
       {"i8[3x2] 1 2 3 3 3 4"}},
      {"QuantizeLinear", 21, "axis=1 block_size=2", {"f32[2x3] 1 2 3 4 5 6", "f32[2x3] 1 3 2 1 1 1"}, {"error shape"}},
      {"QuantizeLinear", 13, "", {"f32[2x3] 1 2 3 4 5 6", "f32[2] 1 3"}, {"error shape"}},
      {"QuantizeLinear", 13, "axis=2", {"f32[2x3] 1 2 3 4 5 6", "f32[3] 1 3 4"}, {"error shape"}},
      {"QuantizeLinear", 21, "output_dtype=@i8", {"f32[1] 1", "f32[] 1", "u8[] 0"}, {"error shape"}},
      {"QuantizeLinear", 21, "output_dtype=@f32", {"f32[1] 1", "f32[] 1"}, {"error argument"}},
      {"QuantizeLinear", 13, "", {"f32[0x2]", "f32[2] 1 2"}, {"u8[0x2]"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_dequantize(void) {
  static const op_case cases[] = {
      {"DequantizeLinear", 10, "", {"u8[3] 0 128 255", "f32[] 2", "u8[] 128"}, {"f32[3] -256 0 254"}},
      {"DequantizeLinear", 10, "", {"i32[2] 100 -7", "f32[] 0.5"}, {"f32[2] 50 -3.5"}},
      {"DequantizeLinear", 13, "axis=0", {"i8[2x2] 1 2 3 4", "f32[2] 1 2", "i8[2] 0 1"}, {"f32[2x2] 1 2 4 6"}},
      {"DequantizeLinear", 13, "", {"i8[2x2] 1 2 3 4", "f32[2] 1 2"}, {"f32[2x2] 1 4 3 8"}},
      {"DequantizeLinear", 19, "", {"u8[2] 1 2", "f16[] 0.5"}, {"f16[2] 0.5 1"}},
      {"DequantizeLinear", 19, "", {"f8e4m3fn[2] 1.5 -448", "f32[] 2"}, {"f32[2] 3 -896"}},
      {"DequantizeLinear", 21, "", {"u16[2] 30000 40000", "bf16[] 2", "u16[] 32768"}, {"bf16[2] -5536 14464"}},
      {"DequantizeLinear", 21, "", {"i4[3] -8 0 7", "f32[] 0.5", "i4[] 1"}, {"f32[3] -4.5 -0.5 3"}},
      {"DequantizeLinear", 25, "", {"u2[5] 0 1 2 3 1", "f32[] 2", "u2[] 1"}, {"f32[5] -2 0 2 4 0"}},
      {"DequantizeLinear", 23, "", {"f4e2m1[3] 0.5 6 -1.5", "f32[] 2"}, {"f32[3] 1 12 -3"}},
      {"DequantizeLinear", 23, "output_dtype=@f16", {"i8[2] 3 -3", "f32[] 0.5"}, {"f16[2] 1.5 -1.5"}},
      {"DequantizeLinear", 25, "output_dtype=@f32", {"i8[2] 3 -3", "f8e8m0[] 4"}, {"f32[2] 12 -12"}},
      {"DequantizeLinear", 25, "", {"i8[2] 3 -3", "f8e8m0[] 4"}, {"error argument"}},
      {"DequantizeLinear",
       21,
       "axis=1 block_size=2",
       {"i4[2x3] 1 2 3 4 5 6", "f32[2x2] 1 3 2 1", "i4[2x2] 0 1 0 0"},
       {"f32[2x3] 1 2 6 8 10 6"}},
      {"DequantizeLinear",
       21,
       "axis=0 block_size=2",
       {"u8[3x2] 1 2 3 4 5 6", "f32[2x2] 1 2 5 6", "u8[2x2] 0 1 2 3"},
       {"f32[3x2] 1 2 3 6 15 18"}},
      {"DequantizeLinear", 13, "", {"u8[1] 1", "f32[] 1", "i8[] 0"}, {"error shape"}},
      {"DequantizeLinear", 21, "axis=1 block_size=0", {"u8[2x2] 1 2 3 4", "f32[2x2] 1 1 1 1"}, {"error shape"}},
      {"DequantizeLinear", 21, "axis=1 block_size=-2", {"u8[2x2] 1 2 3 4", "f32[2x2] 1 1 1 1"}, {"error argument"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_dynamic(void) {
  static const op_case cases[] = {
      {"DynamicQuantizeLinear",
       11,
       "",
       {"f32[6] 0 2 -3 -2.5 1.34 0.5"},
       {"u8[6] 153 255 0 26 221 179", "f32[] 0.019607844", "u8[] 153"}},
      {"DynamicQuantizeLinear", 11, "", {"f32[2] 1 2"}, {"u8[2] 127 255", "f32[] 0.0078431377", "u8[] 0"}},
      {"DynamicQuantizeLinear", 11, "", {"f32[2] 0 0"}, {"u8[2] 0 0", "f32[] 0.0039215689", "u8[] 0"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

TEST_MAIN({"quantize", test_quantize}, {"dequantize", test_dequantize}, {"dynamic", test_dynamic})
