/* passes/fold: weights that stand in Constant nodes, of any size, are weights. */
#include "backend/net_test.h"

static void test_large_constant(void) {
  static const char head[] = "x = in f32[1x128x3x3]; w = Constant-13 value={f32[136x128x1x1]",
                    tail[] = "}; y = Conv-11 x w; out y";
  static char text[sizeof head + sizeof tail + 136 * 128 * 3];
  char *at = text + sprintf(text, "%s", head);
  for (int i = 0; i < 136 * 128; i++) at += sprintf(at, " %d", i % 7);
  sprintf(at, "%s", tail);
  const net_case cases[] = {{text, "pointwise", 1e-5}};
  NET_CASES(cases);
}

TEST_MAIN({"large_constant", test_large_constant})
