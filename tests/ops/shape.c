/* tests/ops/shape: operators that read or change a shape; all opset versions. */
#include "op_test.h"

static const op_case shape_cases[] = {
    {"Shape", 1, "", {"f32[2x3] *"}, {"i64[2] 2 3"}},
    {"Shape", 13, "start=1", {"u8[2x3x4] *"}, {"i64[3] 2 3 4"}}, /* unknown to version 13 */
    {"Shape", 15, "start=1", {"u4[2x3x4] *"}, {"i64[2] 3 4"}},
    {"Shape", 15, "start=-1", {"string[2x3x4] *"}, {"i64[1] 4"}},
    {"Shape", 19, "end=-1", {"f32[2x3x4] *"}, {"i64[2] 2 3"}},
    {"Shape", 21, "start=-9 end=9", {"f32[2x3x4] *"}, {"i64[3] 2 3 4"}},
    {"Shape", 25, "start=2 end=1", {"f32[2x3x4] *"}, {"i64[0]"}},
    {"Shape", 25, "", {"f32[] 1"}, {"i64[0]"}},
    {"Size", 1, "", {"f32[2x3] *"}, {"i64[] 6"}},
    {"Size", 21, "", {"c64[0x3]"}, {"i64[] 0"}},
    {"Size", 13, "", {"bool[] 1"}, {"i64[] 1"}},
};

static const op_case reshape_cases[] = {
    {"Reshape", 1, "shape=[3,2]", {"f32[2x3] 1 2 3 4 5 6"}, {"f32[3x2] 1 2 3 4 5 6"}},
    {"Reshape", 1, "shape=[0,-1]", {"f16[2x2x2] 1 2 3 4 5 6 7 8"}, {"f16[2x4] 1 2 3 4 5 6 7 8"}},
    {"Reshape", 5, "", {"string[3] a b c", "i64[2] 1 -1"}, {"string[1x3] a b c"}},
    {"Reshape", 13, "", {"i4[3] 1 -2 7", "i64[3] 1 3 1"}, {"i4[1x3x1] 1 -2 7"}},
    {"Reshape", 14, "", {"f32[1] 5", "i64[0]"}, {"f32[] 5"}},
    {"Reshape", 14, "allowzero=1", {"f32[0x3]", "i64[2] 3 0"}, {"f32[3x0]"}},
    {"Reshape", 14, "", {"f32[0x3]", "i64[2] 0 -1"}, {"f32[0x3]"}},
    {"Reshape", 14, "", {"f32[0x3x4]", "i64[2] 0 -1"}, {"f32[0x12]"}},
    {"Reshape", 14, "", {"f32[2x0]", "i64[2] 3 -1"}, {"f32[3x0]"}},
    {"Reshape", 21, "", {"u2[5] 0 1 2 3 0", "i64[2] 5 1"}, {"u2[5x1] 0 1 2 3 0"}},
    {"Reshape", 14, "allowzero=1", {"f32[0x3]", "i64[2] 0 -1"}, {"error shape"}},
    {"Reshape", 14, "", {"f32[6] *", "i64[2] -1 -1"}, {"error shape"}},
    {"Reshape", 14, "", {"f32[6] *", "i64[2] 4 -1"}, {"error shape"}},
    {"Reshape", 14, "", {"f32[6] *", "i64[1] 7"}, {"error shape"}},
    {"Reshape", 14, "", {"f32[6] *", "i64[2] -2 -3"}, {"error shape"}},
    {"Reshape", 14, "", {"f32[6] *", "i64[2] 6 0"}, {"error shape"}},
    {"Reshape", 14, "", {"f32[6] *", "i64[3] 4611686018427387904 4611686018427387904 16"}, {"error shape"}},
    {"Reshape", 14, "", {"f32[6] *", "f32[1] 6"}, {"error shape"}},
    {"Flatten", 1, "", {"f32[2x3x2] 1 2 3 4 5 6 7 8 9 10 11 12"}, {"f32[2x6] 1 2 3 4 5 6 7 8 9 10 11 12"}},
    {"Flatten", 9, "axis=0", {"i32[2x2] 1 2 3 4"}, {"i32[1x4] 1 2 3 4"}},
    {"Flatten", 11, "axis=-1", {"u8[2x2] 1 2 3 4"}, {"u8[2x2] 1 2 3 4"}},
    {"Flatten", 13, "axis=2", {"u8[2x2] 1 2 3 4"}, {"u8[4x1] 1 2 3 4"}},
    {"Flatten", 13, "axis=0", {"f32[] 7"}, {"f32[1x1] 7"}},
    {"Flatten", 13, "", {"f32[3x0]"}, {"f32[3x0]"}},
    {"Flatten", 9, "axis=-1", {"u8[2x2] *"}, {"error shape"}},
    {"Flatten", 13, "axis=3", {"u8[2x2] *"}, {"error shape"}},
};

static const op_case squeeze_cases[] = {
    {"Squeeze", 1, "axes=[0]", {"f32[1x3x1] 1 2 3"}, {"f32[3x1] 1 2 3"}},
    {"Squeeze", 11, "", {"f64[1x3x1] 1 2 3"}, {"f64[3] 1 2 3"}},
    {"Squeeze", 11, "axes=[-1,0]", {"bf16[1x3x1] 1 2 3"}, {"bf16[3] 1 2 3"}},
    {"Squeeze", 13, "", {"string[1x1] 'a b'"}, {"string[] 'a b'"}},
    {"Squeeze", 13, "", {"f32[1x3] 1 2 3", "i64[1] -2"}, {"f32[3] 1 2 3"}},
    {"Squeeze", 13, "", {"f32[1x3] 1 2 3", "i64[0]"}, {"f32[1x3] 1 2 3"}},
    {"Squeeze", 25, "", {"i2[1x3] 1 -2 0", "-"}, {"i2[3] 1 -2 0"}},
    {"Squeeze", 13, "", {"f32[1x3] *", "i64[1] 1"}, {"error shape"}},
    {"Squeeze", 13, "", {"f32[1x3] *", "i64[2] 0 0"}, {"error shape"}},
    {"Squeeze", 13, "", {"f32[1x3] *", "i64[1] 2"}, {"error shape"}},
    {"Unsqueeze", 1, "axes=[0,4]", {"f32[2x1x2] 1 2 3 4"}, {"f32[1x2x1x2x1] 1 2 3 4"}},
    {"Unsqueeze", 11, "axes=[-1]", {"f32[2] 1 2"}, {"f32[2x1] 1 2"}},
    {"Unsqueeze", 13, "", {"c128[2] 1 2 3 4", "i64[2] 2 0"}, {"c128[1x2x1] 1 2 3 4"}},
    {"Unsqueeze", 21, "", {"f32[] 3", "i64[1] 0"}, {"f32[1] 3"}},
    {"Unsqueeze", 13, "", {"f32[2] *", "i64[2] 1 -2"}, {"error shape"}},
    {"Unsqueeze", 13, "", {"f32[2] *", "i64[1] 2"}, {"error shape"}},
    {"Unsqueeze", 11, "", {"f32[2] *"}, {"error format"}},
    {"Unsqueeze", 13, "", {"f32[1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1] 1", "i64[1] 0"}, {"error limit"}},
};

static void test_shape(void) { op_test_cases(shape_cases, sizeof shape_cases / sizeof *shape_cases); }
static void test_reshape(void) { op_test_cases(reshape_cases, sizeof reshape_cases / sizeof *reshape_cases); }
static void test_squeeze(void) { op_test_cases(squeeze_cases, sizeof squeeze_cases / sizeof *squeeze_cases); }

TEST_MAIN({"shape", test_shape}, {"reshape", test_reshape}, {"squeeze", test_squeeze})
