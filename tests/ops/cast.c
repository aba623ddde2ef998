/* tests/ops/cast: Cast, CastLike, BitCast between all kinds of dtypes. */
#include "op_test.h"

static void test_numbers(void) {
  static const op_case cases[] = {
      {"Cast", 13, "to=@i32", {"f32[6] 1.9 -1.9 nan 3e9 -3e9 0"}, {"i32[6] 1 -1 0 2147483647 -2147483648 0"}},
      {"Cast", 13, "to=@u8", {"f32[4] 255.9 256 -1 300"}, {"u8[4] 255 0 255 44"}},
      {"Cast",
       13,
       "to=@i64",
       {"f64[3] 1e300 -1e300 9007199254740993"},
       {"i64[3] 9223372036854775807 -9223372036854775808 9007199254740992"}},
      {"Cast", 13, "to=@u64", {"f32[3] 1.8446743e19 1e30 5"}, {"u64[3] 18446742974197923840 18446744073709551615 5"}},
      {"Cast", 13, "to=@i8", {"i16[2] 200 -200"}, {"i8[2] -56 56"}},
      {"Cast", 13, "to=@f32", {"u64[1] 18446744073709551615"}, {"f32[1] 18446744073709551616"}},
      {"Cast", 13, "to=@f32", {"i64[1] -16777217"}, {"f32[1] -16777216"}},
      {"Cast", 13, "to=@f64", {"i64[1] 9007199254740991"}, {"f64[1] 9007199254740991"}},
      {"Cast", 13, "to=@bool", {"f32[4] 0 -0 0.1 nan"}, {"bool[4] 0 0 1 1"}},
      {"Cast", 13, "to=@bool", {"i64[3] 0 256 -1"}, {"bool[3] 0 1 1"}},
      {"Cast", 13, "to=@f16", {"bool[2] 1 0"}, {"f16[2] 1 0"}},
      {"Cast", 13, "to=@f16", {"f64[3] 1.00048828125000001 65520 65519"}, {"f16[3] 1.0009765625 inf 65504"}},
      {"Cast", 13, "to=@bf16", {"f32[3] 1.00390625 1.01171875 nan"}, {"bf16[3] 1 1.015625 nan"}},
      {"Cast", 13, "to=@bf16", {"f64[1] 1.003906250000000222"}, {"bf16[1] 1.0078125"}},
      {"Cast", 13, "to=@f32", {"bf16[2] 1.5 -inf"}, {"f32[2] 1.5 -inf"}},
      {"Cast", 1, "to='INT32'", {"f32[1] 2.5"}, {"i32[1] 2"}},
      {"Cast", 13, "to=@f32", {"f32[0]"}, {"f32[0]"}},
      {"Cast", 13, "to=0", {"f32[1] 1"}, {"error argument"}},
      {"Cast", 13, "to=99", {"f32[1] 1"}, {"error argument"}},
      {"Cast", 13, "to=@c64", {"f32[1] 1"}, {"error shape"}},
      {"Cast", 13, "to=@f32", {"c64[1] 1 2"}, {"error shape"}},
      {"CastLike", 15, "", {"f32[2] 1.7 -2", "i16[0]"}, {"i16[2] 1 -2"}},
      {"CastLike", 21, "", {"i32[3] 1 9 -9", "u4[1] 0"}, {"u4[3] 1 9 7"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_small(void) {
  static const op_case cases[] = {
      {"Cast", 21, "to=@i4", {"f32[5] 7 8 -9 15.5 -1"}, {"i4[5] 7 -8 7 -1 -1"}},
      {"Cast", 21, "to=@f32", {"u4[3] 0 9 15"}, {"f32[3] 0 9 15"}},
      {"Cast", 25, "to=@i2", {"i8[5] 0 1 2 3 -1"}, {"i2[5] 0 1 -2 -1 -1"}},
      {"Cast", 25, "to=@i8", {"i2[3] -2 1 0"}, {"i8[3] -2 1 0"}},
      {"Cast", 25, "to=@u4", {"u2[3] 3 1 0"}, {"u4[3] 3 1 0"}},
      {"Cast", 23, "to=@f4e2m1", {"f32[6] 0.25 0.75 5 1e6 -inf 2.5"}, {"f4e2m1[6] 0 1 4 6 -6 2"}},
      {"Cast", 23, "to=@f4e2m1", {"f32[1] nan"}, {"f4e2m1[1] 0"}},
      {"Cast", 19, "to=@f8e4m3fn", {"f32[5] 1.06 1000 -inf nan 1e-7"}, {"f8e4m3fn[5] 1 448 -448 nan 0"}},
      {"Cast", 19, "to=@f8e4m3fn saturate=0", {"f32[3] 1000 -inf 448"}, {"f8e4m3fn[3] nan nan 448"}},
      {"Cast", 19, "to=@f8e5m2 saturate=0", {"f32[3] 1e6 -inf 57344"}, {"f8e5m2[3] inf -inf 57344"}},
      {"Cast", 19, "to=@f8e5m2", {"f16[2] 60000 -inf"}, {"f8e5m2[2] 57344 -57344"}},
      {"Cast", 19, "to=@f8e4m3fnuz saturate=0", {"f32[2] 1e6 -0.0"}, {"f8e4m3fnuz[2] nan 0"}},
      {"Cast", 19, "to=@f8e5m2fnuz", {"i64[2] 1000000 3"}, {"f8e5m2fnuz[2] 57344 3"}},
      {"Cast", 19, "to=@f8e4m3fn", {"f8e5m2[2] 57344 1.25"}, {"f8e4m3fn[2] 448 1.25"}},
      {"Cast", 24, "to=@f8e8m0", {"f32[4] 1.1 2 0.124 nan"}, {"f8e8m0[4] 2 2 0.125 nan"}},
      {"Cast", 24, "to=@f8e8m0 round_mode='down'", {"f32[3] 1.9 2 inf"}, {"f8e8m0[3] 1 2 1.7014118e38"}},
      {"Cast", 24, "to=@f8e8m0 round_mode='nearest'", {"f32[4] 1.4 1.5 2.9 3"}, {"f8e8m0[4] 1 2 2 4"}},
      {"Cast", 24, "to=@f8e8m0 round_mode='nearest' saturate=0", {"f32[3] 0 inf 1"}, {"f8e8m0[3] nan nan 1"}},
      {"Cast", 24, "to=@f8e8m0 round_mode='odd'", {"f32[1] 1"}, {"error argument"}},
      {"Cast", 24, "to=@f16", {"f8e8m0[2] 0.25 4"}, {"f16[2] 0.25 4"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_strings(void) {
  static const op_case cases[] = {
      {"Cast",
       13,
       "to=@string",
       {"f32[6] 0.47892547 1 -2.5 1e10 1e-5 0.1"},
       {"string[6] 0.47892547 1.0 -2.5 10000000000.0 1e-05 0.1"}},
      {"Cast",
       13,
       "to=@string",
       {"f64[5] 0.1 1e16 123456.789 -0.0001 1e-300"},
       {"string[5] 0.1 1e+16 123456.789 -0.0001 1e-300"}},
      {"Cast", 13, "to=@string", {"f32[3] nan inf -inf"}, {"string[3] nan inf -inf"}},
      {"Cast", 13, "to=@string", {"f16[3] 0.1 1000 65504"}, {"string[3] 0.1 1000.0 65500.0"}},
      {"Cast", 13, "to=@string", {"bf16[1] 0.3"}, {"string[1] 0.3"}},
      {"Cast", 13, "to=@string", {"i8[2] -5 7"}, {"string[2] -5 7"}},
      {"Cast", 13, "to=@string", {"u64[1] 18446744073709551615"}, {"string[1] 18446744073709551615"}},
      {"Cast", 13, "to=@string", {"bool[2] 1 0"}, {"string[2] True False"}},
      {"Cast", 13, "to=@string", {"string[1] a"}, {"string[1] a"}},
      {"Cast",
       13,
       "to=@f32",
       {"string[7] 3.14 1000 1e-5 1E8 +INF -inf NaN"},
       {"f32[7] 3.14 1000 1e-5 1e8 inf -inf nan"}},
      {"Cast", 13, "to=@f64", {"string[3] ' 0.1 ' .5 5."}, {"f64[3] 0.1 0.5 5"}},
      {"Cast", 13, "to=@i64", {"string[3] 9223372036854775807 -1 100.5"}, {"i64[3] 9223372036854775807 -1 100"}},
      {"Cast", 13, "to=@u64", {"string[1] 18446744073709551615"}, {"u64[1] 18446744073709551615"}},
      {"Cast", 13, "to=@bool", {"string[4] true False 0 2"}, {"bool[4] 1 0 0 1"}},
      {"Cast", 21, "to=@i4", {"string[3] -8 7 1"}, {"i4[3] -8 7 1"}},
      {"Cast", 13, "to=@f32", {"string[1] hello"}, {"error data"}},
      {"Cast", 13, "to=@f32", {"string[1] ''"}, {"error data"}},
      {"Cast", 13, "to=@f32", {"string[1] 0x10"}, {"error data"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_bit_cast(void) {
  static const op_case cases[] = {
      {"BitCast", 26, "to=@i32", {"f32[2] 1 -2"}, {"i32[2] 1065353216 -1073741824"}},
      {"BitCast", 26, "to=@f64", {"u64[1] 4607182418800017408"}, {"f64[1] 1"}},
      {"BitCast", 26, "to=@bf16", {"f16[1] 1"}, {"bf16[1] 0.0078125"}},
      {"BitCast", 26, "to=@u4", {"i4[3] -1 7 -8"}, {"u4[3] 15 7 8"}},
      {"BitCast", 26, "to=@u8", {"bool[2] 1 0"}, {"u8[2] 1 0"}},
      {"BitCast", 26, "to=@c64", {"i64[1] 1065353216"}, {"c64[1] 1 0"}},
      {"BitCast", 26, "to=@i64", {"f32[2] 1 2"}, {"error shape"}},
      {"BitCast", 26, "to=@string", {"c128[1] 1 2"}, {"error shape"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

/* Every pair of real dtypes keeps the values that both hold. */
static void test_pairs(void) {
  static const char *const signed_text = "-1 0 1", *const unsigned_text = "0 1 1";
  for (int from = 1; from < LEDGE_DTYPE_COUNT; from++) {
    for (int to = 1; to < LEDGE_DTYPE_COUNT; to++) {
      ledge_dtype d[2] = {(ledge_dtype)from, (ledge_dtype)to};
      bool negative = true, skip = false;
      for (int k = 0; k < 2; k++) {
        skip |= dtype_kind_of(d[k]) == DTYPE_KIND_COMPLEX || d[k] == LEDGE_STRING || d[k] == LEDGE_F8E8M0;
        negative &= dtype_kind_of(d[k]) != DTYPE_KIND_UINT && d[k] != LEDGE_BOOL;
      }
      if (skip) continue;
      char attrs[32], in[64], out[64];
      const char *text = negative ? signed_text : unsigned_text;
      snprintf(attrs, sizeof attrs, "to=@%s", ledge_dtype_name(d[1]));
      snprintf(in, sizeof in, "%s[3] %s", ledge_dtype_name(d[0]), text);
      snprintf(out, sizeof out, "%s[3] %s", ledge_dtype_name(d[1]), text);
      op_case oc = {"Cast", 25, attrs, {in}, {out}};
      op_test_run(&oc, NULL);
    }
  }
}

TEST_MAIN({"numbers", test_numbers}, {"small", test_small}, {"strings", test_strings}, {"bit_cast", test_bit_cast},
          {"pairs", test_pairs})
