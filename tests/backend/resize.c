/* Resize and Upsample on their kernels. */
#include "backend/net_test.h"

static void test_resize(void) {
  static const net_case cases[] = {
      {"x = in f32[2x3x5x7]; s = f32[4] 1 1 2 2; y = Resize-11 x - s mode='nearest' "
       "coordinate_transformation_mode='asymmetric' nearest_mode='floor'; out y",
       "resize_nearest", 0},
      {"x = in i8[2x5x7x3]; s = i64[4] 2 9 4 3; y = Resize-13 x - - s; out y", "resize_nearest", 0},
      {"x = in f64[2x5x7x1]; s = i64[4] 2 9 4 1; y = Resize-13 x - - s nearest_mode='ceil'; out y", "resize_nearest",
       0},
      {"x = in f32[2x3x5x7]; s = f32[4] 1 1 2.5 1.5; y = Resize-13 x - s mode='linear'; out y", "resize_linear", 1e-6},
      {"x = in f32[2x3x5x7]; s = f32[4] 1 1 0.6 1; y = Resize-13 x - s mode='linear' "
       "coordinate_transformation_mode='align_corners'; out y",
       "resize_linear", 1e-6},
      {"x = in f32[2x5x7x3]; s = f32[2] 2 3; y = Resize-18 x - s mode='linear' axes=[1,2] "
       "coordinate_transformation_mode='pytorch_half_pixel' exclude_outside=1; out y",
       "resize_linear", 1e-6},
      {"x = in f32[2x3x5]; s = f32[3] 1 1 3; y = Resize-13 x - s mode='linear'; out y", "resize_linear", 1e-6},
      {"x = in f32[2x3x5]; s = f32[3] 1 1 1; y = Resize-13 x - s mode='linear'; out y", "resize_linear", 0},
      {"x = in f32[2x3x4x4]; y = Upsample-7 x scales=[1.0,1.0,2.0,3.0] mode='nearest'; out y", "resize_nearest", 0},
      {"x = in f32[2x3x4x4]; s = f32[4] 1 1 2 2; y = Upsample-9 x s mode='linear'; out y", "resize_linear", 1e-6},
      {"x = in f16[2x3x5x7]; s = f32[4] 1 1 2 2; y = Resize-13 x - s mode='linear'; out y", "resize_linear", 1e-3},
      /* channels last, between convolutions */
      {"x = in f32[1x3x6x6]; w = f32[8x3x1x1]; a = Conv-11 x w; s = f32[4] 1 1 2 2; b = Resize-13 a - s mode='linear'; "
       "v = f32[8x8x1x1]; y = Conv-11 b v; out y",
       "resize_linear", 1e-5},
      /* three axes, antialiasing, cubic, outside of the region, integers: the reference */
      {"x = in f32[2x3x5x7]; s = f32[4] 1 2 2 2; y = Resize-13 x - s mode='linear'; out y", "~resize", 1e-6},
      {"x = in f32[1x1x8x8]; s = f32[4] 1 1 0.5 0.5; y = Resize-18 x - s mode='linear' antialias=1; out y", "~resize",
       1e-6},
      {"x = in f32[1x1x8x8]; s = f32[4] 1 1 2 2; y = Resize-18 x - s mode='cubic'; out y", "~resize", 1e-6},
      {"x = in f32[1x1x4x4]; r = f32[8] 0 0 0.4 0.6 1 1 1.2 1.7; s = i64[4] 1 1 3 3; y = Resize-13 x r - s "
       "mode='linear' coordinate_transformation_mode='tf_crop_and_resize'; out y",
       "~resize", 1e-6},
      {"x = in i32[1x1x4x4]; s = f32[4] 1 1 2 2; y = Resize-13 x - s mode='linear'; out y", "~resize", 0},
  };
  NET_CASES(cases);
}

TEST_MAIN({"resize", test_resize})
