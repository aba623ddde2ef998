/* tests/ops/pad: Pad in all versions, modes and types; CenterCropPad. */
#include "op_test.h"

static const op_case pad_cases[] = {
    {"Pad", 1, "paddings=[0,1,0,0] value=7.0", {"f32[1x2] 1 2"}, {"f32[1x3] 7 1 2"}},
    {"Pad", 2, "pads=[1,1] mode='edge'", {"f16[2] 1 2"}, {"f16[4] 1 1 2 2"}},
    {"Pad", 2, "pads=[-1,1] value=5.0", {"f64[3] 1 2 3"}, {"f64[3] 2 3 5"}},
    {"Pad", 11, "", {"i32[2] 1 2", "i64[2] 1 2", "i32[] 9"}, {"i32[5] 9 1 2 9 9"}},
    {"Pad", 13, "", {"string[1] a", "i64[2] 1 1"}, {"string[3] '' a ''"}},
    {"Pad", 13, "", {"string[1] a", "i64[2] 0 2", "string[] zz"}, {"string[3] a zz zz"}},
    {"Pad", 13, "mode='reflect'", {"u8[3] 1 2 3", "i64[2] 2 2"}, {"u8[7] 3 2 1 2 3 2 1"}},
    {"Pad", 13, "mode='reflect'", {"u8[3] 1 2 3", "i64[2] 5 0"}, {"u8[8] 2 1 2 3 2 1 2 3"}},
    {"Pad", 13, "mode='reflect'", {"u8[1] 4", "i64[2] 2 1"}, {"u8[4] 4 4 4 4"}},
    {"Pad", 13, "mode='edge'", {"bool[2x2] 1 0 0 1", "i64[4] 1 0 0 1"}, {"bool[3x3] 1 0 0 1 0 0 0 1 1"}},
    {"Pad", 18, "", {"f32[2x1] 1 2", "i64[2] 1 0", "f32[] 3", "i64[1] -1"}, {"f32[2x2] 3 1 3 2"}},
    {"Pad", 18, "", {"f32[1x2x1] 1 2", "i64[4] 1 0 0 1", "-", "i32[2] 2 0"}, {"f32[2x2x2] 0 1 0 2 0 0 0 0"}},
    {"Pad", 19, "mode='wrap'", {"i64[3] 1 2 3", "i64[2] 2 4"}, {"i64[9] 2 3 1 2 3 1 2 3 1"}},
    {"Pad", 19, "mode='wrap'", {"i64[3] 1 2 3", "i64[2] -1 2"}, {"i64[4] 2 3 2 3"}},
    {"Pad", 21, "", {"i4[3] 1 -2 3", "i64[2] 1 1", "i4[] -8"}, {"i4[5] -8 1 -2 3 -8"}},
    {"Pad", 21, "mode='reflect'", {"u4[2x2] 1 2 3 4", "i64[4] 0 1 0 0"}, {"u4[2x3] 2 1 2 4 3 4"}},
    {"Pad", 24, "", {"f8e5m2[1] 2", "i64[2] 0 1"}, {"f8e5m2[2] 2 0"}},
    {"Pad", 13, "", {"c64[1] 1 2", "i64[2] 1 0", "c64[] 3 4"}, {"c64[2] 3 4 1 2"}},
    {"Pad", 13, "", {"f32[] 4", "i64[0]"}, {"f32[] 4"}},
    {"Pad", 13, "", {"f32[0]", "i64[2] 1 1", "f32[] 2"}, {"f32[2] 2 2"}},
    {"Pad", 13, "", {"f32[2x2] 1 2 3 4", "i64[4] -1 0 -1 0"}, {"f32[0x2]"}},
    {"Pad", 13, "", {"f32[2x2] 1 2 3 4", "i64[4] 0 0 0 0"}, {"f32[2x2] 1 2 3 4"}},
    {"Pad", 13, "mode='edge'", {"f32[0]", "i64[2] 1 1"}, {"error data"}},
    {"Pad", 13, "mode='wrap'", {"f32[2] *", "i64[2] 1 1"}, {"error format"}},
    {"Pad", 13, "", {"f32[2] *", "i64[2] -2 -1"}, {"error data"}},
    {"Pad", 13, "", {"f32[2] *", "i64[2] -9223372036854775808 0"}, {"error data"}},
    {"Pad", 13, "", {"f32[2] *", "i64[2] 9223372036854775807 9223372036854775807"}, {"error shape"}},
    {"Pad", 13, "", {"f32[2] *", "i64[3] 1 1 1"}, {"error shape"}},
    {"Pad", 13, "", {"f32[2] *", "i64[2] 1 1", "f64[] 1"}, {"error shape"}},
    {"Pad", 18, "", {"f32[2x2] *", "i64[4] 1 1 1 1", "-", "i64[2] 1 -1"}, {"error shape"}},
};

static const op_case crop_cases[] = {
    {"CenterCropPad", 18, "", {"u8[5] 1 2 3 4 5", "i64[1] 2"}, {"u8[2] 2 3"}},
    {"CenterCropPad", 18, "", {"u8[2] 1 2", "i32[1] 5"}, {"u8[5] 0 1 2 0 0"}},
    {"CenterCropPad", 18, "", {"f32[3x1] 1 2 3", "i64[2] 1 3"}, {"f32[1x3] 0 2 0"}},
    {"CenterCropPad", 18, "axes=[-1]", {"string[2x2] a b c d", "i64[1] 1"}, {"string[2x1] a c"}},
    {"CenterCropPad", 18, "axes=[1,0]", {"u8[2x2] 1 2 3 4", "i64[2] 3 2"}, {"u8[2x3] 1 2 0 3 4 0"}},
    {"CenterCropPad", 18, "", {"u8[2] 1 2", "i64[1] 0"}, {"u8[0]"}},
    {"CenterCropPad", 18, "", {"u8[2] *", "i64[1] -1"}, {"error data"}},
    {"CenterCropPad", 18, "", {"u8[2] *", "i64[2] 1 1"}, {"error shape"}},
    {"CenterCropPad", 18, "axes=[0,0]", {"u8[2x2] *", "i64[2] 1 1"}, {"error shape"}},
};

static void test_pad(void) { op_test_cases(pad_cases, sizeof pad_cases / sizeof *pad_cases); }
static void test_crop(void) { op_test_cases(crop_cases, sizeof crop_cases / sizeof *crop_cases); }

TEST_MAIN({"pad", test_pad}, {"crop", test_crop})
