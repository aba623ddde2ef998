/* tests/ops/reduce: reductions, places of extremes, softmax, running sums, determinants. */
#include "op_test.h"

static void test_reduce(void) {
  static const op_case cases[] = {
      {"ReduceSum", 1, "axes=[1]", {"f32[2x3] 1 2 3 4 5 6"}, {"f32[2x1] 6 15"}},
      {"ReduceSum", 11, "axes=[-2] keepdims=0", {"f32[2x3] 1 2 3 4 5 6"}, {"f32[3] 5 7 9"}},
      {"ReduceSum", 13, "", {"f32[2x3] 1 2 3 4 5 6"}, {"f32[1x1] 21"}},
      {"ReduceSum", 13, "keepdims=0", {"f32[2x3] 1 2 3 4 5 6", "i64[2] 0 1"}, {"f32[] 21"}},
      {"ReduceSum", 13, "noop_with_empty_axes=1", {"f32[2] 1 2", "i64[0]"}, {"f32[2] 1 2"}},
      {"ReduceSum", 13, "", {"f32[2] 1 2", "i64[0]"}, {"f32[1] 3"}},
      {"ReduceSum", 13, "", {"f32[] 7"}, {"f32[] 7"}},
      {"ReduceSum", 13, "", {"f32[2x3x2] 1 2 3 4 5 6 7 8 9 10 11 12", "i64[2] 0 2"}, {"f32[1x3x1] 18 26 34"}},
      {"ReduceSum", 13, "keepdims=0", {"f32[2x3x2] 1 2 3 4 5 6 7 8 9 10 11 12", "i64[1] 1"}, {"f32[2x2] 9 12 27 30"}},
      {"ReduceSum", 13, "", {"f32[2x0x2]", "i64[1] 1"}, {"f32[2x1x2] 0 0 0 0"}},
      {"ReduceSum", 13, "", {"f32[0x2]", "i64[1] 1"}, {"f32[0x1]"}},
      {"ReduceSum", 13, "", {"i32[2] 2147483647 1"}, {"i32[1] -2147483648"}},
      {"ReduceSum", 13, "", {"u64[2] 18446744073709551615 2"}, {"u64[1] 1"}},
      {"ReduceSum", 13, "", {"f16[3] 2000 0.5 0.5"}, {"f16[1] 2001"}},
      {"ReduceSum", 13, "", {"f32[2] 1 2", "i64[1] 1"}, {"error shape"}},
      {"ReduceSum", 13, "", {"f32[2] 1 2", "f32[1] 0"}, {"error shape"}},
      {"ReduceSum", 13, "", {"bool[2] 1 0"}, {"error shape"}},
      {"ReduceMean", 18, "", {"f32[2x2] 1 2 3 5", "i64[1] 0"}, {"f32[1x2] 2 3.5"}},
      {"ReduceMean", 13, "axes=[0]", {"i32[2] -3 0"}, {"i32[1] -1"}},
      {"ReduceMean", 18, "", {"u64[2] 18446744073709551614 0"}, {"u64[1] 9223372036854775807"}},
      {"ReduceMean", 18, "", {"f64[0]"}, {"f64[1] nan"}},
      {"ReduceMax", 20, "", {"f32[3] 1 nan 3"}, {"f32[1] nan"}},
      {"ReduceMax", 20, "keepdims=0", {"bool[2x2] 0 0 0 1", "i64[1] 1"}, {"bool[2] 0 1"}},
      {"ReduceMax", 20, "", {"i8[0]"}, {"i8[1] -128"}},
      {"ReduceMax", 20, "", {"u64[2] 18446744073709551615 1"}, {"u64[1] 18446744073709551615"}},
      {"ReduceMax", 13, "", {"bf16[2] 1 3"}, {"bf16[1] 3"}},
      {"ReduceMax", 18, "", {"f32[0]"}, {"f32[1] -inf"}},
      {"ReduceMin", 20, "", {"bool[0]"}, {"bool[1] 1"}},
      {"ReduceMin", 20, "", {"u32[0]"}, {"u32[1] 4294967295"}},
      {"ReduceMin", 20, "", {"i64[2] 5 -9223372036854775808"}, {"i64[1] -9223372036854775808"}},
      {"ReduceMin", 20, "", {"f32[2x2] 4 3 2 1", "i64[1] 0"}, {"f32[1x2] 2 1"}},
      {"ReduceProd", 18, "", {"f32[3] 2 3 4"}, {"f32[1] 24"}},
      {"ReduceProd", 18, "", {"i64[0]"}, {"i64[1] 1"}},
      {"ReduceProd", 18, "", {"i32[2] 65536 65537"}, {"i32[1] 65536"}},
      {"ReduceL1", 18, "", {"f32[3] -1 2 -3"}, {"f32[1] 6"}},
      {"ReduceL1", 18, "", {"i32[3] -1 2 -3"}, {"i32[1] 6"}},
      {"ReduceL2", 18, "", {"f32[2x2] 3 4 5 12", "i64[1] 1"}, {"f32[2x1] 5 13"}},
      {"ReduceL2", 13, "axes=[0]", {"i64[2] 3 4"}, {"i64[1] 5"}},
      {"ReduceL2", 18, "noop_with_empty_axes=1", {"f32[2] -3 4"}, {"f32[2] 3 4"}},
      {"ReduceSumSquare", 18, "", {"f32[2x2] 1 2 3 4", "i64[1] 0"}, {"f32[1x2] 10 20"}},
      {"ReduceSumSquare", 18, "", {"i32[2] -3 4"}, {"i32[1] 25"}},
      {"ReduceLogSum", 18, "", {"f32[2] 1 2"}, {"f32[1] 1.0986123"}},
      {"ReduceLogSum", 18, "", {"f32[0]"}, {"f32[1] -inf"}},
      {"ReduceLogSumExp", 18, "", {"f32[2] 1000 1000"}, {"f32[1] 1000.6931"}},
      {"ReduceLogSumExp", 18, "", {"f64[2x2] 5 1 20 2", "i64[1] 0"}, {"f64[1x2] 20.00000031 2.313261688"}},
      {"ReduceLogSumExp", 18, "", {"f32[2] -inf -inf"}, {"f32[1] -inf"}},
      {"ReduceLogSumExp", 18, "", {"f32[2] inf 1"}, {"f32[1] inf"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_arg(void) {
  static const op_case cases[] = {
      {"ArgMax", 1, "", {"f32[2x2] 1 5 2 3"}, {"i64[1x2] 1 0"}},
      {"ArgMax", 13, "axis=1 keepdims=0", {"f32[2x3] 1 5 5 3 2 nan"}, {"i64[2] 1 2"}},
      {"ArgMax", 13, "axis=-1 select_last_index=1", {"i32[4] 7 1 7 0"}, {"i64[1] 2"}},
      {"ArgMax", 13, "", {"u64[2] 1 18446744073709551615"}, {"i64[1] 1"}},
      {"ArgMin", 13, "", {"i8[3] 3 -128 -128"}, {"i64[1] 1"}},
      {"ArgMin", 12, "select_last_index=1", {"f16[3] 3 1 1"}, {"i64[1] 2"}},
      {"ArgMin", 13, "axis=1", {"bf16[1x2x2] 4 3 2 5"}, {"i64[1x1x2] 1 0"}},
      {"ArgMin", 13, "axis=2", {"f32[1x2] 4 3"}, {"error shape"}},
      {"ArgMax", 13, "", {"f32[0x2]"}, {"error shape"}},
      {"Hardmax", 13, "", {"f32[2x3] 1 3 3 2 1 0"}, {"f32[2x3] 0 1 0 1 0 0"}},
      {"Hardmax", 13, "axis=0", {"f64[2x2] 1 3 2 1"}, {"f64[2x2] 0 1 1 0"}},
      {"Hardmax", 11, "", {"f32[1x2x2] 1 4 3 2"}, {"f32[1x2x2] 0 1 0 0"}},
      {"Hardmax", 13, "axis=0", {"bf16[2] 1 2"}, {"bf16[2] 0 1"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_softmax(void) {
  static const op_case cases[] = {
      {"Softmax", 13, "", {"f32[1x3] -1 0 1"}, {"f32[1x3] 0.090030573 0.24472847 0.66524096"}},
      {"Softmax", 13, "axis=0", {"f32[2x2] 0 1000 0 1000"}, {"f32[2x2] 0.5 0.5 0.5 0.5"}},
      {"Softmax", 11, "", {"f32[1x2x2] 0 0 0 0"}, {"f32[1x2x2] 0.25 0.25 0.25 0.25"}},
      {"Softmax", 1, "", {"f32[3] 1 2 3"}, {"f32[3] 1 1 1"}},
      {"Softmax", 11, "axis=-1", {"f64[2x2] 0 0 1 1"}, {"f64[2x2] 0.5 0.5 0.5 0.5"}},
      {"Softmax", 13, "", {"f16[2] 0 -inf"}, {"f16[2] 1 0"}},
      {"Softmax", 13, "", {"f32[2] 0 nan"}, {"f32[2] nan nan"}},
      {"Softmax", 13, "", {"f32[2x0]"}, {"f32[2x0]"}},
      {"Softmax", 13, "axis=2", {"f32[2] 1 2"}, {"error shape"}},
      {"LogSoftmax", 13, "", {"f32[1x3] -1 0 1"}, {"f32[1x3] -2.4076059 -1.4076059 -0.40760596"}},
      {"LogSoftmax", 13, "axis=0", {"f64[2x1] 1000 1000"}, {"f64[2x1] -0.6931471806 -0.6931471806"}},
      {"LogSoftmax", 11, "axis=0", {"bf16[1x2] 0 0"}, {"bf16[1x2] -0.69314 -0.69314"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

/* Rows and blocks of more than one chunk agree with the shape turned over. */
static void test_long(void) {
  enum { N = 700 };
  static char row[N * 8 + 64], ones[N * 8 + 64];
  size_t a = (size_t)sprintf(row, "f32[1x%d]", N), b = (size_t)sprintf(ones, "i64[1x%d]", N);
  for (int i = 0; i < N; i++) {
    a += (size_t)sprintf(row + a, " %d", i == 513 ? 900 : i);
    b += (size_t)sprintf(ones + b, " %d", 0);
  }
  char sum[64];
  sprintf(sum, "f32[1x1] %d", N * (N - 1) / 2 - 513 + 900);
  op_case sum_case = {"ReduceSum", 11, "axes=[1]", {row}, {sum}};
  op_test_run(&sum_case, NULL);
  op_case arg_case = {"ArgMax", 13, "axis=1", {row}, {"i64[1x1] 513"}};
  op_test_run(&arg_case, NULL);
  op_case column_case = {"ArgMax", 13, "axis=0", {row}, {ones}};
  op_test_run(&column_case, NULL);
  op_case columns_case = {"ReduceSum", 11, "axes=[0]", {row}, {row}};
  op_test_run(&columns_case, NULL);
}

static void test_cumulative(void) {
  static const op_case cases[] = {
      {"CumSum", 14, "", {"f32[3] 1 2 3", "i64[] 0"}, {"f32[3] 1 3 6"}},
      {"CumSum", 11, "exclusive=1", {"f64[3] 1 2 3", "i32[] 0"}, {"f64[3] 0 1 3"}},
      {"CumSum", 14, "reverse=1", {"i32[2x2] 1 2 3 4", "i64[1] -2"}, {"i32[2x2] 4 6 3 4"}},
      {"CumSum", 14, "reverse=1 exclusive=1", {"u64[3] 1 2 3", "i64[] 0"}, {"u64[3] 5 3 0"}},
      {"CumSum", 14, "", {"f16[2x2] 1 2 3 4", "i64[] 1"}, {"f16[2x2] 1 3 3 7"}},
      {"CumSum", 14, "", {"f32[3] 1 2 3", "i64[] 1"}, {"error shape"}},
      {"CumSum", 14, "", {"f32[0]", "i64[] 0"}, {"f32[0]"}},
      {"CumProd", 26, "", {"f32[3] 1 2 3", "i64[] 0"}, {"f32[3] 1 2 6"}},
      {"CumProd", 26, "exclusive=1 reverse=1", {"i64[3] 1 2 3", "i64[] 0"}, {"i64[3] 6 3 1"}},
      {"CumProd", 26, "exclusive=1", {"bf16[3] 1 2 3", "i64[] 0"}, {"bf16[3] 1 1 2"}},
      {"Det", 11, "", {"f32[2x2] 0 1 2 3"}, {"f32[] -2"}},
      {"Det", 22, "", {"f64[2x2x2] 1 2 3 4 1 2 2 4"}, {"f64[2] -2 0"}},
      {"Det", 11, "", {"f32[3x3] 2 0 1 1 3 2 1 1 4"}, {"f32[] 18"}},
      {"Det", 11, "", {"f32[0x0]"}, {"f32[] 1"}},
      {"Det", 11, "", {"f32[2x3] 0 1 2 3 4 5"}, {"error shape"}},
      {"Det",
       11,
       "",
       {"f16[9x9] 2 0 0 0 0 0 0 0 0  0 1 0 0 0 0 0 0 0  0 0 1 0 0 0 0 0 0  0 0 0 1 0 0 0 0 0  0 0 0 0 1 0 0 0 0 "
        "0 0 0 0 0 1 0 0 0  0 0 0 0 0 0 1 0 0  0 0 0 0 0 0 0 0 1  0 0 0 0 0 0 0 3 0"},
       {"f16[] -6"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

TEST_MAIN({"reduce", test_reduce}, {"arg", test_arg}, {"softmax", test_softmax}, {"long", test_long},
          {"cumulative", test_cumulative})
