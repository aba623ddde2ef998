/* tests/ops/move: operators that put elements at other places; strings and packed types among them. */
#include "op_test.h"

static const op_case transpose_cases[] = {
    {"Transpose", 1, "", {"f32[2x3] 1 2 3 4 5 6"}, {"f32[3x2] 1 4 2 5 3 6"}},
    {"Transpose", 13, "perm=[1,0,2]", {"i64[2x2x2] 1 2 3 4 5 6 7 8"}, {"i64[2x2x2] 1 2 5 6 3 4 7 8"}},
    {"Transpose", 13, "perm=[2,0,1]", {"u8[1x2x3] 1 2 3 4 5 6"}, {"u8[3x1x2] 1 4 2 5 3 6"}},
    {"Transpose", 13, "", {"string[2x2] a b c ''"}, {"string[2x2] a c b ''"}},
    {"Transpose", 21, "", {"i4[3x3] 1 2 3 4 5 6 7 -8 -1"}, {"i4[3x3] 1 4 7 2 5 -8 3 6 -1"}},
    {"Transpose", 25, "", {"u2[2x3] 1 2 3 0 1 2"}, {"u2[3x2] 1 0 2 1 3 2"}},
    {"Transpose", 21, "", {"f8e4m3fn[2x2] 1 2 3 4"}, {"f8e4m3fn[2x2] 1 3 2 4"}},
    {"Transpose", 13, "", {"c128[1x2] 1 2 3 4"}, {"c128[2x1] 1 2 3 4"}},
    {"Transpose", 13, "", {"f32[] 4"}, {"f32[] 4"}},
    {"Transpose", 13, "", {"f32[2x0x3]"}, {"f32[3x0x2]"}},
    {"Transpose", 13, "perm=[0,0]", {"f32[2x3] *"}, {"error shape"}},
    {"Transpose", 13, "perm=[0,2]", {"f32[2x3] *"}, {"error shape"}},
    {"Transpose", 13, "perm=[0]", {"f32[2x3] *"}, {"error shape"}},
};

static const op_case repeat_cases[] = {
    {"Expand", 8, "", {"f32[3x1] 1 2 3", "i64[3] 2 1 2"}, {"f32[2x3x2] 1 1 2 2 3 3 1 1 2 2 3 3"}},
    {"Expand", 13, "", {"string[1] ab", "i64[2] 2 1"}, {"string[2x1] ab ab"}},
    {"Expand", 13, "", {"bool[2] 1 0", "i64[0]"}, {"bool[2] 1 0"}},
    {"Expand", 13, "", {"f32[1x2] 1 2", "i64[2] 0 2"}, {"f32[0x2]"}},
    {"Expand", 13, "", {"u4[3] 1 2 3", "i64[2] 2 3"}, {"u4[2x3] 1 2 3 1 2 3"}},
    {"Expand", 13, "", {"f32[2] *", "i64[1] 3"}, {"error shape"}},
    {"Tile", 1, "", {"f32[2x1] 1 2", "f32[] 2", "f32[] 1"}, {"f32[2x2] 1 1 2 2"}},
    {"Tile", 6, "", {"f32[2x2] 1 2 3 4", "i64[2] 1 2"}, {"f32[2x4] 1 2 1 2 3 4 3 4"}},
    {"Tile", 13, "", {"string[2] a b", "i64[1] 2"}, {"string[4] a b a b"}},
    {"Tile", 13, "", {"i16[1x2] 1 2", "i64[2] 2 0"}, {"i16[2x0]"}},
    {"Tile", 13, "", {"i16[] 5", "i64[0]"}, {"i16[] 5"}},
    {"Tile", 13, "", {"i16[2] *", "i64[1] -1"}, {"error data"}},
    {"Tile", 13, "", {"i16[2] *", "i64[2] 1 1"}, {"error shape"}},
    {"Tile", 13, "", {"i16[2] *", "i64[1] 9223372036854775807"}, {"error shape"}},
};

static const op_case join_cases[] = {
    {"Concat", 1, "", {"f32[1x2] 1 2", "f32[1x1] 3"}, {"f32[1x3] 1 2 3"}},
    {"Concat", 4, "axis=0", {"f32[1x2] 1 2", "f32[2x2] 3 4 5 6"}, {"f32[3x2] 1 2 3 4 5 6"}},
    {"Concat", 13, "axis=-1", {"string[2x1] a b", "string[2x2] c d e f"}, {"string[2x3] a c d b e f"}},
    {"Concat", 13, "axis=1", {"u8[2x0]", "u8[2x1] 1 2"}, {"u8[2x1] 1 2"}},
    {"Concat", 13, "axis=0", {"i4[3] 1 2 3", "i4[2] 4 5", "i4[1] -1"}, {"i4[6] 1 2 3 4 5 -1"}},
    {"Concat", 13, "axis=0", {"c64[1] 1 2", "c64[1] 3 4"}, {"c64[2] 1 2 3 4"}},
    {"Concat", 13, "axis=0", {"f32[1] *", "f64[1] *"}, {"error shape"}},
    {"Concat", 13, "axis=0", {"f32[1x2] *", "f32[1x3] *"}, {"error shape"}},
    {"Concat", 13, "axis=0", {"f32[] *", "f32[] *"}, {"error shape"}},
    {"Concat", 13, "", {"f32[1] *", "f32[1] *"}, {"error format"}},
    {"Split", 1, "", {"f32[4] 1 2 3 4", "f32[2] 1 3"}, {"f32[1] 1", "f32[3] 2 3 4"}},
    {"Split", 2, "split=[1,2]", {"f32[3] 1 2 3"}, {"f32[1] 1", "f32[2] 2 3"}},
    {"Split", 11, "axis=-1", {"u8[2x2] 1 2 3 4"}, {"u8[2x1] 1 3", "u8[2x1] 2 4"}},
    {"Split", 13, "", {"string[3] a b c", "i64[2] 0 3"}, {"string[0]", "string[3] a b c"}},
    {"Split", 13, "", {"f32[4] 1 2 3 4", "i64[3] 1 1 2"}, {"f32[1] 1", "-", "f32[2] 3 4"}},
    {"Split", 18, "num_outputs=2", {"i4[5] 1 2 3 4 5"}, {"i4[3] 1 2 3", "i4[2] 4 5"}},
    {"Split", 18, "num_outputs=4", {"u8[5] 1 2 3 4 5"}, {"u8[2] 1 2", "u8[2] 3 4", "u8[1] 5", "u8[0]"}},
    {"Split", 18, "num_outputs=3 axis=1", {"u8[1x2] 1 2"}, {"u8[1x1] 1", "u8[1x1] 2", "u8[1x0]"}},
    {"Split", 13, "", {"u8[5] *"}, {"error shape", "*"}},
    {"Split", 13, "", {"u8[5] *", "i64[2] 2 2"}, {"error shape", "*"}},
    {"Split", 13, "", {"u8[5] *", "i64[2] 6 -1"}, {"error shape", "*"}},
    {"Split", 13, "", {"u8[5] *", "i64[1] 5"}, {"error shape", "*"}},
    {"Split", 18, "num_outputs=3", {"u8[5] *"}, {"error shape", "*"}},
};

static const op_case slice_cases[] = {
    {"Slice", 1, "starts=[1] ends=[9]", {"f32[3] 1 2 3"}, {"f32[2] 2 3"}},
    {"Slice", 1, "starts=[0] ends=[-1] axes=[1]", {"f32[2x2] 1 2 3 4"}, {"f32[2x1] 1 3"}},
    {"Slice", 10, "", {"i32[4] 1 2 3 4", "i32[1] 1", "i32[1] 4"}, {"i32[3] 2 3 4"}},
    {"Slice",
     10,
     "",
     {"i32[2x4] 1 2 3 4 5 6 7 8", "i64[2] 1 0", "i64[2] 2 3", "i64[2] 0 1", "i64[2] 1 2"},
     {"i32[1x2] 5 7"}},
    {"Slice", 13, "", {"u8[5] 1 2 3 4 5", "i64[1] -1", "i64[1] -9", "i64[1] 0", "i64[1] -2"}, {"u8[3] 5 3 1"}},
    {"Slice",
     13,
     "",
     {"u8[3] 1 2 3", "i64[1] 9223372036854775807", "i64[1] -9223372036854775808", "i64[1] 0",
      "i64[1] -9223372036854775808"},
     {"u8[1] 3"}},
    {"Slice", 13, "", {"u8[3] 1 2 3", "i64[1] 1", "i64[1] 3", "-", "i64[1] 9223372036854775807"}, {"u8[1] 2"}},
    {"Slice", 13, "", {"string[3] a b c", "i64[1] 2", "i64[1] 0", "i64[1] -1", "i64[1] -1"}, {"string[2] c b"}},
    {"Slice", 13, "", {"u4[5] 1 2 3 4 5", "i64[1] 1", "i64[1] 5", "i64[1] 0", "i64[1] 2"}, {"u4[2] 2 4"}},
    {"Slice", 13, "", {"u8[3] 1 2 3", "i64[1] 3", "i64[1] 1"}, {"u8[0]"}},
    {"Slice", 13, "", {"u8[0]", "i64[1] 0", "i64[1] -9", "i64[1] 0", "i64[1] -1"}, {"u8[0]"}},
    {"Slice", 13, "", {"u8[0x3]", "i64[1] 0", "i64[1] 2", "i64[1] 1"}, {"u8[0x2]"}},
    {"Slice", 13, "", {"u8[3] *", "i64[1] 0", "i64[1] 2", "i64[1] 0", "i64[1] 0"}, {"error data"}},
    {"Slice", 13, "", {"u8[3] *", "i64[1] 0", "i64[1] 2", "i64[1] 1"}, {"error shape"}},
    {"Slice", 13, "", {"u8[3] *", "i64[1] 0", "i64[2] 2 2"}, {"error shape"}},
    {"Slice", 13, "", {"u8[3x3] *", "i64[2] 0 0", "i64[2] 2 2", "i64[2] 1 1"}, {"error shape"}},
};

static const op_case block_cases[] = {
    {"DepthToSpace", 1, "blocksize=2", {"f32[1x4x1x2] 1 2 3 4 5 6 7 8"}, {"f32[1x1x2x4] 1 3 2 4 5 7 6 8"}},
    {"DepthToSpace", 11, "blocksize=2 mode='DCR'", {"u8[1x8x1x1] 1 2 3 4 5 6 7 8"}, {"u8[1x2x2x2] 1 3 5 7 2 4 6 8"}},
    {"DepthToSpace",
     13,
     "blocksize=2 mode='CRD'",
     {"string[1x8x1x1] a b c d e f g h"},
     {"string[1x2x2x2] a b c d e f g h"}},
    {"DepthToSpace", 13, "blocksize=2", {"u8[0x4x1x1]"}, {"u8[0x1x2x2]"}},
    {"DepthToSpace", 13, "blocksize=2", {"u8[1x3x1x1] *"}, {"error shape"}},
    {"DepthToSpace", 13, "blocksize=0", {"u8[1x4x1x1] *"}, {"error format"}},
    {"DepthToSpace", 13, "blocksize=2 mode='XYZ'", {"u8[1x4x1x1] *"}, {"error format"}},
    {"SpaceToDepth", 1, "blocksize=2", {"f32[1x1x2x4] 1 3 2 4 5 7 6 8"}, {"f32[1x4x1x2] 1 2 3 4 5 6 7 8"}},
    {"SpaceToDepth", 13, "blocksize=1", {"i64[1x1x1x2] 1 2"}, {"i64[1x1x1x2] 1 2"}},
    {"SpaceToDepth", 13, "blocksize=2", {"u8[1x1x2x2x1] *"}, {"error shape"}},
    {"SpaceToDepth", 13, "blocksize=2", {"u8[1x1x3x2] *"}, {"error shape"}},
    {"SpaceToDepth", 13, "blocksize=2147483647", {"u8[1x0x0x0] *"}, {"u8[1x0x0x0]"}},
};

static const op_case trilu_cases[] = {
    {"Trilu", 14, "", {"i64[2x3] 1 2 3 4 5 6"}, {"i64[2x3] 1 2 3 0 5 6"}},
    {"Trilu", 14, "upper=0", {"i64[2x3] 1 2 3 4 5 6"}, {"i64[2x3] 1 0 0 4 5 0"}},
    {"Trilu", 14, "upper=1", {"f32[1x2x2] 1 2 3 4", "i64[] 1"}, {"f32[1x2x2] 0 2 0 0"}},
    {"Trilu", 14, "upper=0", {"bool[2x2] 1 1 1 1", "i64[1] -1"}, {"bool[2x2] 0 0 1 0"}},
    {"Trilu", 14, "upper=0", {"string[2x2] a b c d", "-"}, {"string[2x2] a '' c d"}},
    {"Trilu", 14, "", {"u8[2x2] 1 2 3 4", "i64[] -9223372036854775808"}, {"u8[2x2] 1 2 3 4"}},
    {"Trilu", 14, "", {"u8[2x2] 1 2 3 4", "i64[] 9223372036854775807"}, {"u8[2x2] 0 0 0 0"}},
    {"Trilu", 14, "upper=0", {"u8[2x2] 1 2 3 4", "i64[] 9223372036854775807"}, {"u8[2x2] 1 2 3 4"}},
    {"Trilu", 14, "", {"u8[3x0]", "i64[] 0"}, {"u8[3x0]"}},
    {"Trilu", 14, "", {"u8[3] *"}, {"error shape"}},
    {"Trilu", 14, "", {"u8[2x2] *", "i64[2] 1 2"}, {"error shape"}},
};

static const op_case reverse_cases[] = {
    {"ReverseSequence", 10, "", {"f32[3x2] 1 2 3 4 5 6", "i64[2] 3 1"}, {"f32[3x2] 5 2 3 4 1 6"}},
    {"ReverseSequence",
     10,
     "batch_axis=0 time_axis=1",
     {"string[2x3] a b c d e f", "i64[2] 2 3"},
     {"string[2x3] b a c f e d"}},
    {"ReverseSequence", 10, "", {"i8[2x1x2] 1 2 3 4", "i64[1] 2"}, {"i8[2x1x2] 3 4 1 2"}},
    {"ReverseSequence", 10, "", {"i8[2x2] 1 2 3 4", "i64[2] 0 2"}, {"i8[2x2] 1 4 3 2"}},
    {"ReverseSequence", 10, "", {"i8[0x2]", "i64[2] 0 0"}, {"i8[0x2]"}},
    {"ReverseSequence", 10, "", {"i8[2x1] *", "i64[1] 3"}, {"error data"}},
    {"ReverseSequence", 10, "", {"i8[2x1] *", "i64[1] -1"}, {"error data"}},
    {"ReverseSequence", 10, "", {"i8[2x1] *", "i64[2] 1 1"}, {"error shape"}},
    {"ReverseSequence", 10, "batch_axis=1 time_axis=1", {"i8[2x1] *", "i64[1] 1"}, {"error format"}},
};

#define TEST(name) \
  static void test_##name(void) { op_test_cases(name##_cases, sizeof name##_cases / sizeof *name##_cases); }
TEST(transpose)
TEST(repeat)
TEST(join)
TEST(slice)
TEST(block)
TEST(trilu)
TEST(reverse)

TEST_MAIN({"transpose", test_transpose}, {"repeat", test_repeat}, {"join", test_join}, {"slice", test_slice},
          {"block", test_block}, {"trilu", test_trilu}, {"reverse", test_reverse})
