/* passes/broadcast: broadcasting by attribute. */
#include "backend/net_test.h"

static void test_broadcast(void) {
  static const net_case cases[] = {
      {"x = in f32[2x3x4x5]; b = f32[3]; y = Add-6 x b broadcast=1 axis=1; out y", "binary", 0},
      {"x = in f32[2x3x4x5]; b = in f32[3x4]; y = Mul-6 x b broadcast=1 axis=1; out y", "binary", 0},
      {"x = in f32[2x3x4x5]; b = in f32[3]; y = Div-6 x b broadcast=1 axis=-3; out y", "binary", 1e-6},
      {"x = in f32[2x3x4x5]; b = f32[5]; y = Sub-6 x b broadcast=1; out y", "binary", 0},
      {"x = in f32[2x3x4x5]; b = f32[4x5]; y = Sub-6 x b broadcast=1; out y", "binary", 0},
      {"x = in f32[2x3]; b = f32[1x1]; y = Add-6 x b broadcast=1; out y", "binary", 0},
      {"x = in f32[2x3]; b = in f32[2x3]; y = Add-6 x b; out y", "binary", 0},
      /* a bias of channels ends in the convolution */
      {"x = in f32[1x3x6x6]; w = f32[4x3x3x3]; c = Conv-1 x w; b = f32[4]; y = Add-6 c b broadcast=1 axis=1; z = "
       "Relu-6 "
       "y; out z",
       "~binary", 1e-5},
  };
  NET_CASES(cases);
}

TEST_MAIN({"broadcast", test_broadcast})
