/* tests/ops/generate: constants, ranges, windows, random numbers, and the operators of the first versions. */
#include "op_test.h"

static void test_constants(void) {
  static const op_case cases[] = {
      {"Constant", 1, "value={f32[2] 1 2}", {NULL}, {"f32[2] 1 2"}},
      {"Constant", 13, "value={string[2] a bc}", {NULL}, {"string[2] a bc"}},
      {"Constant", 21, "value={u4[3] 1 15 2}", {NULL}, {"u4[3] 1 15 2"}},
      {"Constant", 12, "value_float=1.5", {NULL}, {"f32[] 1.5"}},
      {"Constant", 12, "value_floats=[1.5,2.0]", {NULL}, {"f32[2] 1.5 2"}},
      {"Constant", 12, "value_int=-3", {NULL}, {"i64[] -3"}},
      {"Constant", 12, "value_ints=[1,2,3]", {NULL}, {"i64[3] 1 2 3"}},
      {"Constant", 12, "value_string='abc'", {NULL}, {"string[] abc"}},
      {"Constant", 12, "value_strings=['a','b']", {NULL}, {"string[2] a b"}},
      {"Constant", 12, "", {NULL}, {"error format"}},
      {"ConstantOfShape", 9, "", {"i64[2] 2 3"}, {"f32[2x3] 0 0 0 0 0 0"}},
      {"ConstantOfShape", 9, "value={i32[1] 7}", {"i64[1] 2"}, {"i32[2] 7 7"}},
      {"ConstantOfShape", 25, "value={i2[1] -2}", {"i64[1] 5"}, {"i2[5] -2 -2 -2 -2 -2"}},
      {"ConstantOfShape", 9, "value={bool[1] 1}", {"i64[0]"}, {"bool[] 1"}},
      {"ConstantOfShape", 9, "", {"i64[2] 0 3"}, {"f32[0x3]"}},
      {"ConstantOfShape", 9, "", {"i64[1] -1"}, {"error"}},
      {"ConstantOfShape", 9, "", {"i64[3] 4611686018427387904 4 4"}, {"error"}},
      {"ConstantOfShape", 9, "value={f32[2] 1 2}", {"i64[1] 1"}, {"error shape"}},
      {"EyeLike", 9, "", {"f32[2x3] 9 9 9 9 9 9"}, {"f32[2x3] 1 0 0 0 1 0"}},
      {"EyeLike", 22, "k=1 dtype=@bool", {"i32[2x2] 0 0 0 0"}, {"bool[2x2] 0 1 0 0"}},
      {"EyeLike", 9, "k=-1 dtype=@f16", {"u8[2x2] 0 0 0 0"}, {"f16[2x2] 0 0 1 0"}},
      {"EyeLike", 9, "k=-9223372036854775808", {"u8[1x1] 5"}, {"u8[1x1] 0"}},
      {"EyeLike", 9, "dtype=@string", {"u8[1x1] 0"}, {"error argument"}},
      {"EyeLike", 9, "", {"u8[1x1x1] 0"}, {"error shape"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_range(void) {
  static const op_case cases[] = {
      {"Range", 11, "", {"i64[] 3", "i64[] 9", "i64[] 3"}, {"i64[2] 3 6"}},
      {"Range", 11, "", {"i32[] 10", "i32[] 4", "i32[] -2"}, {"i32[3] 10 8 6"}},
      {"Range", 11, "", {"f32[] 1", "f32[] 2", "f32[] 0.3"}, {"f32[4] 1 1.3 1.6 1.9"}},
      {"Range", 11, "", {"i64[] 5", "i64[] 5", "i64[] 1"}, {"i64[0]"}},
      {"Range", 11, "", {"i64[] 5", "i64[] 1", "i64[] 1"}, {"i64[0]"}},
      {"Range",
       11,
       "",
       {"i64[] -9223372036854775807", "i64[] 9223372036854775807", "i64[] 9223372036854775807"},
       {"i64[2] -9223372036854775807 0"}},
      {"Range", 27, "", {"f16[] 2040", "f16[] 2060", "f16[] 10"}, {"f16[2] 2040 2050"}},
      {"Range", 27, "stash_type=1", {"bf16[] 0", "bf16[] 3", "bf16[] 1"}, {"bf16[3] 0 1 2"}},
      {"Range", 11, "", {"i16[1] 0", "i16[1] 3", "i16[1] 2"}, {"i16[2] 0 2"}},
      {"Range", 11, "", {"i64[] 0", "i64[] 3", "i64[] 0"}, {"error data"}},
      {"Range", 11, "", {"f32[] 0", "f32[] inf", "f32[] 1"}, {"error data"}},
      {"Range", 11, "", {"i64[] -9223372036854775807", "i64[] 9223372036854775807", "i64[] 1"}, {"error limit"}},
      {"Range", 11, "", {"i64[2] 0 1", "i64[] 3", "i64[] 1"}, {"error shape"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

static void test_windows(void) {
  static const op_case cases[] = {
      {"HannWindow", 17, "", {"i64[] 4"}, {"f32[4] 0 0.5 1 0.5"}},
      {"HannWindow", 17, "periodic=0", {"i32[] 5"}, {"f32[5] 0 0.5 1 0.5 0"}},
      {"HannWindow", 17, "periodic=0", {"i32[] 1"}, {"f32[1] 1"}},
      {"HammingWindow", 17, "output_datatype=@f64", {"i64[] 2"}, {"f64[2] 0.08695652174 1"}},
      {"BlackmanWindow", 17, "output_datatype=@f16", {"i64[] 4"}, {"f16[4] 0 0.34 1 0.34"}},
      {"HannWindow", 17, "output_datatype=@i32", {"i64[] 4"}, {"i32[4] 0 0 1 0"}},
      {"HannWindow", 17, "", {"i64[] 0"}, {"f32[0]"}},
      {"HannWindow", 17, "", {"i64[] -1"}, {"error data"}},
      {"HannWindow", 17, "output_datatype=@bool", {"i64[] 1"}, {"error argument"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

/* Means and deviations within four standard errors; what is not asked for stays in its range. */
static void look_random(const op_case *oc, value *out) {
  const tensor *t = &out[0].tensor;
  int64_t n = tensor_elements(t);
  double sum = 0, squares = 0, low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    double v = tensor_f64(t, i);
    sum += v, squares += v * v;
    low = fmin(low, v), high = fmax(high, v);
  }
  double mean = sum / (double)n, deviation = sqrt(squares / (double)n - mean * mean);
  if (!strncmp(oc->op, "RandomNormal", 12)) {
    CHECK_NEAR(mean, 3, 4 * 2 / sqrt((double)n));
    CHECK_NEAR(deviation, 2, 0.15);
  } else if (!strncmp(oc->op, "RandomUniform", 13)) {
    CHECK_NEAR(mean, 1, 4 * 1.1547 / sqrt((double)n));
    CHECK(low >= -1 && high <= 3);
  } else if (!strcmp(oc->op, "Bernoulli")) {
    CHECK_NEAR(mean, 0.25, 4 * 0.433 / sqrt((double)n));
    CHECK(low == 0 && high == 1);
  } else {
    CHECK_NEAR(mean, 0.75 * 2, 4 * 0.866 / sqrt((double)n)); /* classes 0 and 2, of 1/4 and 3/4 */
    CHECK(low == 0 && high == 2);
  }
}

static void test_random(void) {
  static const op_case cases[] = {
      {"RandomNormal", 1, "mean=3.0 scale=2.0 shape=[40,50]", {NULL}, {"f32[40x50] *"}},
      {"RandomNormal", 22, "mean=3.0 scale=2.0 shape=[2000] dtype=@bf16 seed=7.0", {NULL}, {"bf16[2000] *"}},
      {"RandomNormalLike", 1, "mean=3.0 scale=2.0 dtype=@f64", {"i8[50x40] *"}, {"f64[50x40] *"}},
      {"RandomUniform", 1, "low=-1.0 high=3.0 shape=[2000] dtype=@f16", {NULL}, {"f16[2000] *"}},
      {"RandomUniformLike", 1, "low=-1.0 high=3.0", {"f32[2000] *"}, {"f32[2000] *"}},
      {"Multinomial", 7, "sample_size=2000", {"f32[1x3] 0 -inf 1.0986123"}, {"i32[1x2000] *"}},
      {"Multinomial", 22, "sample_size=2000 dtype=@i64 seed=1.0", {"f64[1x3] 700 -700 701.0986123"}, {"i64[1x2000] *"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) op_test_run(&cases[i], look_random);
  static char quarters[2000 * 5 + 32];
  size_t at = (size_t)sprintf(quarters, "f32[2000]");
  for (int i = 0; i < 2000; i++) at += (size_t)sprintf(quarters + at, " .25");
  op_case bernoulli[] = {{"Bernoulli", 15, "", {quarters}, {"f32[2000] *"}},
                         {"Bernoulli", 22, "dtype=@i8 seed=3.0", {quarters}, {"i8[2000] *"}}};
  for (size_t i = 0; i < 2; i++) op_test_run(&bernoulli[i], look_random);
  static const op_case exact[] = {
      /* numpy.random.RandomState(0): rand and randn */
      {"RandomUniform", 1, "shape=[4] seed=0.0", {NULL}, {"f32[4] 0.54881352 0.71518934 0.60276335 0.54488319"}},
      {"RandomNormal", 1, "shape=[3] dtype=@f64 seed=0.0", {NULL}, {"f64[3] 1.764052346 0.4001572084 0.9787379841"}},
      {"Bernoulli", 15, "seed=0.0", {"f32[3] 0 1 0.5"}, {"f32[3] 0 1 1"}},
      {"Bernoulli", 15, "", {"f32[1] 1.5"}, {"error data"}},
      {"RandomNormal", 1, "", {NULL}, {"error format"}},
      {"RandomNormal", 1, "shape=[2] dtype=@i32", {NULL}, {"error argument"}},
      {"RandomNormal", 1, "shape=[-2]", {NULL}, {"error"}},
      {"RandomUniformLike", 1, "", {"i32[1] 1"}, {"error argument"}},
      {"Multinomial", 7, "", {"f32[1x2] nan -inf"}, {"error data"}},
      {"Multinomial", 7, "", {"f32[1x0]"}, {"error shape"}},
      {"Multinomial", 7, "", {"f32[2] 1 2"}, {"error shape"}},
  };
  op_test_cases(exact, sizeof exact / sizeof *exact);
}

static void test_legacy(void) {
  static const op_case cases[] = {
      {"Affine", 1, "alpha=2.0 beta=1.0", {"f32[2] 1 -3"}, {"f32[2] 3 -5"}},
      {"Scale", 1, "scale=0.5", {"f16[2] 1 -3"}, {"f16[2] 0.5 -1.5"}},
      {"ImageScaler", 1, "scale=2.0 bias=[10.0,20.0]", {"f32[1x2x1x2] 1 2 3 4"}, {"f32[1x2x1x2] 12 14 26 28"}},
      {"ImageScaler", 1, "bias=[10.0]", {"f32[1x2x1x2] 1 2 3 4"}, {"error shape"}},
      {"ParametricSoftplus", 1, "alpha=2.0 beta=3.0", {"f32[2] 0 1"}, {"f32[2] 1.3862944 6.0971748"}},
      {"ScaledTanh", 1, "alpha=2.0 beta=0.5", {"f64[2] 0 2"}, {"f64[2] 0 1.523188312"}},
      {"MeanVarianceNormalization", 9, "", {"f32[1x1x2x2] 1 3 1 3"}, {"f32[1x1x2x2] -1 1 -1 1"}},
      {"MeanVarianceNormalization", 13, "axes=[1]", {"f64[2x2] 1 5 0 4"}, {"f64[2x2] -1 1 -1 1"}},
      {"MeanVarianceNormalization", 1, "", {"f32[1x2x2] 1 3 10 30"}, {"f32[1x2x2] -1 1 -1 1"}},
      {"MeanVarianceNormalization", 1, "normalize_variance=0", {"f32[1x2x2] 1 3 10 30"}, {"f32[1x2x2] -1 1 -10 10"}},
      {"MeanVarianceNormalization", 9, "", {"f32[2x2] 1 3 1 3"}, {"error shape"}},
  };
  op_test_cases(cases, sizeof cases / sizeof *cases);
}

TEST_MAIN({"constants", test_constants}, {"range", test_range}, {"windows", test_windows}, {"random", test_random},
          {"legacy", test_legacy})
