/* tests/ops/index: operators that move elements to or from places that indices name. */
#include "op_test.h"

static const op_case gather_cases[] = {
    {"Gather", 1, "", {"f32[3] 1 2 3", "i64[2x1] 2 0"}, {"f32[2x1] 3 1"}},
    {"Gather", 11, "axis=1", {"u8[2x3] 1 2 3 4 5 6", "i32[2] -1 0"}, {"u8[2x2] 3 1 6 4"}},
    {"Gather", 13, "axis=-2", {"string[2x2] a b c d", "i64[] 1"}, {"string[2] c d"}},
    {"Gather", 13, "", {"i4[3] 1 2 3", "i64[5] 2 1 0 -1 -3"}, {"i4[5] 3 2 1 3 1"}},
    {"Gather", 13, "", {"c128[2] 1 2 3 4", "i64[1] 1"}, {"c128[1] 3 4"}},
    {"Gather", 13, "", {"f32[3x0]", "i64[2] 0 9"}, {"f32[2x0]"}},
    {"Gather", 13, "", {"f32[3] *", "i64[1] 3"}, {"error data"}},
    {"Gather", 13, "", {"f32[3] *", "i64[1] -4"}, {"error data"}},
    {"Gather", 13, "", {"f32[0]", "i64[1] 0"}, {"error data"}},
    {"Gather", 13, "", {"f32[3] *", "f32[1] 0"}, {"error shape"}},
    {"Gather", 13, "", {"f32[] *", "i64[1] 0"}, {"error shape"}},
    {"GatherElements", 11, "axis=1", {"f32[2x2] 1 2 3 4", "i64[2x2] 0 0 1 0"}, {"f32[2x2] 1 1 4 3"}},
    {"GatherElements", 13, "", {"string[3x2] a b c d e f", "i32[2x2] 1 2 0 -1"}, {"string[2x2] c f a f"}},
    {"GatherElements", 13, "", {"u8[3x2] 1 2 3 4 5 6", "i64[1x1] 2"}, {"u8[1x1] 5"}},
    {"GatherElements", 13, "axis=2", {"f32[1x1x2] 1 2", "i64[1x1x3] 1 1 0"}, {"f32[1x1x3] 2 2 1"}},
    {"GatherElements", 13, "", {"f32[3] 1 2 3", "i64[0]"}, {"f32[0]"}},
    {"GatherElements", 13, "", {"f32[3] *", "i64[1] 3"}, {"error data"}},
    {"GatherElements", 13, "", {"f32[2x2] *", "i64[2x3] *"}, {"error shape"}},
    {"GatherElements", 13, "", {"f32[2x2] *", "i64[2] *"}, {"error shape"}},
    {"GatherND", 11, "", {"f32[2x2] 1 2 3 4", "i64[2x2] 0 0 1 1"}, {"f32[2] 1 4"}},
    {"GatherND", 12, "", {"f32[2x2] 1 2 3 4", "i64[2x1] 1 0"}, {"f32[2x2] 3 4 1 2"}},
    {"GatherND", 12, "batch_dims=1", {"i8[2x2x2] 1 2 3 4 5 6 7 8", "i64[2x1] 1 0"}, {"i8[2x2] 3 4 5 6"}},
    {"GatherND", 13, "", {"string[2x2] a b c d", "i64[2] -1 -2"}, {"string[] c"}},
    {"GatherND", 13, "batch_dims=1", {"u8[0x2]", "i64[0x1]"}, {"u8[0]"}},
    {"GatherND", 13, "", {"f32[2x2] *", "i64[1x3] *"}, {"error shape"}},
    {"GatherND", 13, "", {"f32[2x2] *", "i64[1x2] 0 2"}, {"error data"}},
    {"GatherND", 13, "batch_dims=1", {"f32[2x2] *", "i64[3x1] *"}, {"error shape"}},
    {"GatherND", 13, "batch_dims=2", {"f32[2x2] *", "i64[2x2] *"}, {"error shape"}},
    {"GatherND", 13, "", {"f32[2] *", "i64[] 0"}, {"error shape"}},
};

static const op_case scatter_cases[] = {
    {"Scatter", 9, "axis=1", {"f32[1x5] 1 2 3 4 5", "i64[1x2] 1 3", "f32[1x2] 9 8"}, {"f32[1x5] 1 9 3 8 5"}},
    {"ScatterElements", 11, "", {"string[3] a b c", "i32[2] -1 0", "string[2] x y"}, {"string[3] y b x"}},
    {"ScatterElements", 13, "", {"u4[3] 1 2 3", "i64[1] 1", "u4[1] 9"}, {"u4[3] 1 9 3"}},
    {"ScatterElements", 16, "reduction='add'", {"i8[2] 127 1", "i64[3] 0 0 1", "i8[3] 1 1 2"}, {"i8[2] -127 3"}},
    {"ScatterElements", 16, "reduction='mul'", {"u16[1] 65535", "i64[1] 0", "u16[1] 65535"}, {"u16[1] 1"}},
    {"ScatterElements", 16, "reduction='mul'", {"c64[1] 1 2", "i64[1] 0", "c64[1] 3 4"}, {"c64[1] -5 10"}},
    {"ScatterElements", 18, "reduction='max'", {"f32[2] 1 nan", "i64[2] 0 1", "f32[2] 3 5"}, {"f32[2] 3 nan"}},
    {"ScatterElements", 18, "reduction='min'", {"f32[2] 1 2", "i64[2] 0 1", "f32[2] nan 1"}, {"f32[2] nan 1"}},
    {"ScatterElements", 18, "reduction='add'", {"bool[2] 0 0", "i64[1] 1", "bool[1] 1"}, {"bool[2] 0 1"}},
    {"ScatterElements", 18, "reduction='mul'", {"bool[2] 1 1", "i64[1] 1", "bool[1] 0"}, {"bool[2] 1 0"}},
    {"ScatterElements", 18, "reduction='add'", {"f16[1] 1", "i64[2] 0 0", "f16[2] 1 0.5"}, {"f16[1] 2.5"}},
    {"ScatterElements", 18, "reduction='max'", {"bf16[1] 1", "i64[1] 0", "bf16[1] 2"}, {"bf16[1] 2"}},
    {"ScatterElements", 18, "reduction='min'", {"u64[1] 18446744073709551615", "i64[1] 0", "u64[1] 7"}, {"u64[1] 7"}},
    {"ScatterElements", 18, "axis=1", {"u8[2x2] 1 2 3 4", "i64[1x1] 1", "u8[1x1] 9"}, {"u8[2x2] 1 9 3 4"}},
    {"ScatterElements", 18, "", {"u8[2] 1 2", "i64[0]", "u8[0]"}, {"u8[2] 1 2"}},
    {"ScatterElements", 16, "reduction='max'", {"f32[1] *", "i64[1] 0", "f32[1] *"}, {"error format"}},
    {"ScatterElements", 18, "reduction='add'", {"string[1] a", "i64[1] 0", "string[1] b"}, {"error shape"}},
    {"ScatterElements", 18, "reduction='max'", {"c64[1] *", "i64[1] 0", "c64[1] *"}, {"error shape"}},
    {"ScatterElements", 18, "", {"u8[2] *", "i64[1] 2", "u8[1] *"}, {"error data"}},
    {"ScatterElements", 18, "", {"u8[2] *", "i64[1] 0", "u8[2] *"}, {"error shape"}},
    {"ScatterElements", 18, "", {"u8[2] *", "i64[1] 0", "i8[1] *"}, {"error shape"}},
    {"ScatterND", 11, "", {"u8[4] 1 2 3 4", "i64[2x1] 3 0", "u8[2] 9 8"}, {"u8[4] 8 2 3 9"}},
    {"ScatterND", 13, "", {"string[2x2] a b c d", "i64[1x1] -1", "string[1x2] x y"}, {"string[2x2] a b x y"}},
    {"ScatterND",
     16,
     "reduction='add'",
     {"f32[2x2] 1 2 3 4", "i64[2x1] 0 0", "f32[2x2] 1 1 2 2"},
     {"f32[2x2] 4 5 3 4"}},
    {"ScatterND", 18, "reduction='max'", {"i32[3] 1 5 3", "i64[2x1] 0 1", "i32[2] 4 4"}, {"i32[3] 4 5 3"}},
    {"ScatterND", 18, "", {"u8[2x2] 1 2 3 4", "i64[2] 1 0", "u8[] 9"}, {"u8[2x2] 1 2 9 4"}},
    {"ScatterND", 18, "", {"u8[2] *", "i64[1x1] 2", "u8[1] *"}, {"error data"}},
    {"ScatterND", 18, "", {"u8[2] *", "i64[1x2] *", "u8[1] *"}, {"error shape"}},
    {"ScatterND", 18, "", {"u8[2] *", "i64[1x1] 0", "u8[2] *"}, {"error shape"}},
    {"ScatterND", 13, "reduction='add'", {"u8[2] *", "i64[1x1] 0", "u8[1] *"}, {"error format"}},
};

static const op_case cache_cases[] = {
    {"TensorScatter", 24, "", {"f32[1x3x1] 1 2 3", "f32[1x1x1] 9", "i64[1] 1"}, {"f32[1x3x1] 1 9 3"}},
    {"TensorScatter", 24, "", {"f32[1x3x1] 1 2 3", "f32[1x2x1] 8 9"}, {"f32[1x3x1] 8 9 3"}},
    {"TensorScatter",
     24,
     "mode='circular'",
     {"u8[2x3x1] 1 2 3 4 5 6", "u8[2x2x1] 7 8 9 0", "i64[2] 2 4"},
     {"u8[2x3x1] 8 2 7 4 9 0"}},
    {"TensorScatter", 24, "axis=1", {"i4[2x3] 1 2 3 4 5 6", "i4[2x1] -1 -2", "i64[2] 0 2"}, {"i4[2x3] -1 2 3 4 5 -2"}},
    {"TensorScatter", 24, "axis=-1", {"u8[1x2x2] 1 2 3 4", "u8[1x2x1] 8 9", "i64[1] 1"}, {"u8[1x2x2] 1 8 3 9"}},
    {"TensorScatter", 24, "", {"f32[1x3x1] *", "f32[1x2x1] *", "i64[1] 2"}, {"error data"}},
    {"TensorScatter", 24, "", {"f32[1x3x1] *", "f32[1x2x1] *", "i64[1] -1"}, {"error data"}},
    {"TensorScatter", 24, "", {"f32[1x3x1] *", "f32[1x4x1] *"}, {"error shape"}},
    {"TensorScatter", 24, "axis=0", {"f32[1x3] *", "f32[1x3] *"}, {"error shape"}},
    {"TensorScatter", 24, "", {"f32[1x3x1] *", "f32[1x2x1] *", "i64[2] 1 1"}, {"error shape"}},
};

static const op_case one_hot_cases[] = {
    {"OneHot", 9, "", {"i64[2] 1 -1", "i64[] 2", "f32[2] 0 1"}, {"f32[2x2] 0 1 0 0"}},
    {"OneHot", 11, "", {"i64[2] 1 -2", "i64[1] 2", "f32[2] 0 1"}, {"f32[2x2] 0 1 1 0"}},
    {"OneHot", 11, "axis=0", {"f32[2] 0.0 2.0", "f32[] 3", "u8[2] 5 6"}, {"u8[3x2] 6 5 5 5 5 6"}},
    {"OneHot", 11, "axis=-2", {"u8[2] 0 7", "i32[] 2", "string[2] no yes"}, {"string[2x2] yes no no no"}},
    {"OneHot", 11, "", {"i64[] 1", "i64[] 3", "bool[2] 0 1"}, {"bool[3] 0 1 0"}},
    {"OneHot", 11, "", {"i64[2] 0 0", "i64[] 0", "f32[2] 0 1"}, {"f32[2x0]"}},
    {"OneHot", 11, "", {"i64[0]", "i64[] 2", "f32[2] 0 1"}, {"f32[0x2]"}},
    {"OneHot", 11, "", {"i64[1] 0", "i64[] -1", "f32[2] 0 1"}, {"error data"}},
    {"OneHot", 11, "", {"i64[1] 0", "i64[2] 1 2", "f32[2] 0 1"}, {"error shape"}},
    {"OneHot", 11, "", {"i64[1] 0", "i64[] 1", "f32[3] 0 1 2"}, {"error shape"}},
    {"OneHot", 11, "axis=2", {"i64[1] 0", "i64[] 1", "f32[2] 0 1"}, {"error shape"}},
    {"OneHot", 11, "", {"string[1] a", "i64[] 1", "f32[2] 0 1"}, {"error shape"}},
};

#define TEST(name) \
  static void test_##name(void) { op_test_cases(name##_cases, sizeof name##_cases / sizeof *name##_cases); }
TEST(gather)
TEST(scatter)
TEST(cache)
TEST(one_hot)

TEST_MAIN({"gather", test_gather}, {"scatter", test_scatter}, {"cache", test_cache}, {"one_hot", test_one_hot})
