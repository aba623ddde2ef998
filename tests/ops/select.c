/* tests/ops/select: TopK, Unique, NonZero, Compress, NonMaxSuppression; Col2Im. */
#include "op_test.h"

static const op_case topk_cases[] = {
    {"TopK", 1, "k=2", {"f32[4] 1 4 2 3"}, {"f32[2] 4 3", "i64[2] 1 3"}},
    {"TopK", 10, "axis=0", {"f64[2x2] 1 4 3 2", "i64[1] 1"}, {"f64[1x2] 3 4", "i64[1x2] 1 0"}},
    {"TopK", 11, "largest=0", {"i32[4] 3 1 1 2", "i64[1] 3"}, {"i32[3] 1 1 2", "i64[3] 1 2 3"}},
    {"TopK", 11, "", {"i8[5] 3 5 5 -7 5", "i64[1] 4"}, {"i8[4] 5 5 5 3", "i64[4] 1 2 4 0"}},
    {"TopK", 11, "", {"u64[2] 1 18446744073709551615", "i64[1] 1"}, {"u64[1] 18446744073709551615", "i64[1] 1"}},
    {"TopK", 11, "", {"f32[4] -1 nan inf 2", "i64[1] 3"}, {"f32[3] nan inf 2", "i64[3] 1 2 3"}},
    {"TopK", 11, "largest=0", {"f32[4] -0.0 0 -inf nan", "i64[1] 4"}, {"f32[4] -inf 0 0 nan", "i64[4] 2 0 1 3"}},
    {"TopK", 11, "sorted=0", {"f16[3] 1 3 2", "i64[1] 1"}, {"f16[1] 3", "i64[1] 1"}},
    {"TopK", 24, "", {"bf16[3] 1 3 2", "i64[1] 2"}, {"bf16[2] 3 2", "-"}},
    {"TopK", 11, "", {"f32[3] 1 3 2", "i64[1] 0"}, {"f32[0]", "i64[0]"}},
    {"TopK", 11, "axis=1", {"f32[2x0x2]", "i64[1] 0"}, {"f32[2x0x2]", "i64[2x0x2]"}},
    {"TopK", 11, "", {"f32[3] *", "i64[1] 4"}, {"error data", "-"}},
    {"TopK", 11, "", {"f32[3] *", "i64[1] -1"}, {"error data", "-"}},
    {"TopK", 11, "", {"f32[] *", "i64[1] 1"}, {"error shape", "-"}},
    {"TopK", 11, "", {"string[1] a", "i64[1] 1"}, {"error shape", "-"}},
};

static const op_case unique_cases[] = {
    {"Unique", 11, "", {"f32[4] 2 1 1 3"}, {"f32[3] 1 2 3", "i64[3] 1 0 3", "i64[4] 1 0 0 2", "i64[3] 2 1 1"}},
    {"Unique",
     11,
     "sorted=0",
     {"i64[6] 2 1 1 3 4 3"},
     {"i64[4] 2 1 3 4", "i64[4] 0 1 3 4", "i64[6] 0 1 1 2 3 2", "i64[4] 1 2 2 1"}},
    {"Unique", 11, "", {"string[2x2] b a b ''"}, {"string[3] '' a b", "i64[3] 3 1 0", "i64[4] 2 1 2 0", "-"}},
    {"Unique",
     11,
     "axis=0",
     {"i32[3x2] 2 3 1 0 1 0"},
     {"i32[2x2] 1 0 2 3", "i64[2] 1 0", "i64[3] 1 0 0", "i64[2] 2 1"}},
    {"Unique", 11, "axis=-1 sorted=0", {"u8[1x3] 5 4 5"}, {"u8[1x2] 5 4", "i64[2] 0 1", "i64[3] 0 1 0", "i64[2] 2 1"}},
    {"Unique", 11, "", {"c64[3] 1 2 1 -2 1 2"}, {"c64[2] 1 -2 1 2", "i64[2] 1 0", "-", "i64[2] 1 2"}},
    {"Unique", 11, "", {"f32[4] nan 0 -0.0 nan"}, {"f32[2] 0 nan", "i64[2] 1 0", "i64[4] 1 0 0 1", "-"}},
    {"Unique", 11, "", {"bool[0]"}, {"bool[0]", "i64[0]", "i64[0]", "i64[0]"}},
    {"Unique", 11, "", {"bool[] 1"}, {"bool[1] 1"}},
    {"Unique", 11, "axis=0", {"f32[2x0]"}, {"f32[1x0]", "i64[1] 0", "i64[2] 0 0", "i64[1] 2"}},
    {"Unique", 11, "axis=1", {"f32[2] *"}, {"error shape"}},
};

static const op_case pick_cases[] = {
    {"NonZero", 9, "", {"f32[2x2] 1 0 nan -0.0"}, {"i64[2x2] 0 1 0 0"}},
    {"NonZero", 13, "", {"bool[3] 0 1 1"}, {"i64[1x2] 1 2"}},
    {"NonZero", 13, "", {"string[2] '' a"}, {"i64[1x1] 1"}},
    {"NonZero", 13, "", {"c64[2] 0 0 0 1"}, {"i64[1x1] 1"}},
    {"NonZero", 13, "", {"bf16[3] 0 -0.0 2"}, {"i64[1x1] 2"}},
    {"NonZero", 13, "", {"i64[] 3"}, {"i64[0x1]"}},
    {"NonZero", 13, "", {"i64[2x0]"}, {"i64[2x0]"}},
    {"Compress", 9, "axis=0", {"f32[3x2] 1 2 3 4 5 6", "bool[3] 0 1 1"}, {"f32[2x2] 3 4 5 6"}},
    {"Compress", 11, "axis=-1", {"string[2x2] a b c d", "bool[1] 1"}, {"string[2x1] a c"}},
    {"Compress", 11, "", {"u8[2x2] 1 2 3 4", "bool[4] 0 1 0 1"}, {"u8[2] 2 4"}},
    {"Compress", 11, "", {"u8[2] 1 2", "bool[3] 0 1 0"}, {"u8[1] 2"}},
    {"Compress", 11, "", {"u8[2] 1 2", "bool[0]"}, {"u8[0]"}},
    {"Compress", 11, "", {"u8[2] *", "bool[3] 0 0 1"}, {"error data"}},
    {"Compress", 11, "", {"u8[2] *", "u8[2] *"}, {"error shape"}},
    {"Compress", 11, "axis=1", {"u8[2] *", "bool[2] *"}, {"error shape"}},
};

static const op_case nms_cases[] = {
    {"NonMaxSuppression",
     10,
     "",
     {"f32[1x3x4] 0 0 1 1 0 0 1 1.1 2 2 3 3", "f32[1x1x3] 0.5 0.9 0.8", "i64[] 9", "f32[] 0.5"},
     {"i64[2x3] 0 0 1 0 0 2"}},
    {"NonMaxSuppression",
     11,
     "center_point_box=1",
     {"f32[1x2x4] 0.5 0.5 1 1 5 5 1 1", "f32[1x2x2] 0.5 0.9 0.2 0.1", "i64[1] 1", "f32[1] 0.5", "f32[1] 0.15"},
     {"i64[2x3] 0 0 1 0 1 0"}},
    {"NonMaxSuppression",
     11,
     "",
     {"f32[1x2x4] 1 1 0 0 3 3 2 2", "f32[1x1x2] 0.5 0.5", "i64[] 5", "-", "-"},
     {"i64[2x3] 0 0 0 0 0 1"}}, /* equal scores: the lower index first */
    {"NonMaxSuppression", 11, "", {"f32[1x1x4] 0 0 1 1", "f32[1x1x1] 1"}, {"i64[0x3]"}}, /* 0 boxes by default */
    {"NonMaxSuppression", 11, "", {"f32[1x1x4] 0 0 1 1", "f32[1x1x1] nan", "i64[] 1"}, {"i64[0x3]"}},
    {"NonMaxSuppression", 11, "", {"f32[0x3x4]", "f32[0x2x3]", "i64[] 1"}, {"i64[0x3]"}},
    {"NonMaxSuppression", 11, "", {"f32[1x2x4] *", "f32[1x1x3] *", "i64[] 1"}, {"error shape"}},
    {"NonMaxSuppression", 11, "", {"f64[1x1x4] *", "f32[1x1x1] *", "i64[] 1"}, {"error shape"}},
};

static const op_case col2im_cases[] = {
    {"Col2Im",
     18,
     "",
     {"f32[1x4x4] 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "i64[2] 3 3", "i64[2] 2 2"},
     {"f32[1x1x3x3] 1 7 6 12 34 22 11 27 16"}},
    {"Col2Im",
     18,
     "strides=[2,2] pads=[1,1,0,0]",
     {"f16[1x4x4] 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "i64[2] 3 3", "i64[2] 2 2"},
     {"f16[1x1x3x3] 13 10 14 7 4 8 15 12 16"}},
    {"Col2Im", 18, "dilations=[2]", {"i8[1x2x2] 1 2 3 127", "i64[1] 4", "i64[1] 2"}, {"i8[1x1x4] 1 2 3 127"}},
    {"Col2Im", 18, "", {"c64[1x2x1] 1 2 3 4", "i64[1] 2", "i64[1] 2"}, {"c64[1x1x2] 1 2 3 4"}},
    {"Col2Im", 18, "", {"f32[0x4x4]", "i64[2] 3 3", "i64[2] 2 2"}, {"f32[0x1x3x3]"}},
    {"Col2Im", 18, "pads=[9,9] strides=[7]", {"f32[1x1x3] 1 2 3", "i64[1] 1", "i64[1] 1"}, {"f32[1x1x1] 0"}},
    {"Col2Im", 18, "", {"f32[1x4x3] *", "i64[2] 3 3", "i64[2] 2 2"}, {"error shape"}},
    {"Col2Im", 18, "", {"f32[1x4x4] *", "i64[2] 3 3", "i64[2] 4 4"}, {"error data"}},
    {"Col2Im", 18, "", {"f32[1x4x4] *", "i64[2] 3 3", "i64[1] 2"}, {"error shape"}},
    {"Col2Im", 18, "strides=[0,1]", {"f32[1x4x4] *", "i64[2] 3 3", "i64[2] 2 2"}, {"error format"}},
};

#define TEST(name) \
  static void test_##name(void) { op_test_cases(name##_cases, sizeof name##_cases / sizeof *name##_cases); }
TEST(topk)
TEST(unique)
TEST(pick)
TEST(nms)
TEST(col2im)

TEST_MAIN({"topk", test_topk}, {"unique", test_unique}, {"pick", test_pick}, {"nms", test_nms}, {"col2im", test_col2im})
