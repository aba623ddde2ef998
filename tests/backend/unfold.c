/* passes/unfold: operators of com.microsoft as the standard ones that they are made of. */
#include "backend/net_test.h"

static void test_unfold(void) {
  static const net_case cases[] = {
      {"x = in f32[2x3x9x9]; w = f32[4x3x3x3]; b = f32[4]; y = com.microsoft:FusedConv-1 x w b pads=[1,1,1,1] "
       "activation='Relu'; out y",
       "strip", 1e-5},
      {"x = in f32[2x3x9x9]; w = f32[4x3x1x1]; b = f32[4]; z = in f32[2x4x9x9]; y = com.microsoft:FusedConv-1 x w b z "
       "activation='LeakyRelu' activation_params=[0.2]; out y",
       "pointwise", 1e-5},
      {"x = in f32[2x3x9x9]; w = f32[4x3x1x1]; y = com.microsoft:FusedConv-1 x w activation='Clip' "
       "activation_params=[0.0,1.0]; out y",
       "pointwise", 1e-5},
      {"x = in f32[2x9x9x3]; w = f32[4x3x1x1]; b = f32[4]; y = com.microsoft:NhwcFusedConv-1 x w b "
       "activation='HardSigmoid' activation_params=[0.3,0.4]; out y",
       "pointwise", 1e-5},
      {"x = in f16[2x3x9x9]; w = f16[4x3x3x3]; y = com.microsoft:FusedConv-1 x w activation='Relu'; out y", "strip",
       1e-3},
      {"x = in f32[5x6]; w = f32[7x6]; y = com.microsoft:FusedMatMul-1 x w transB=1 alpha=0.5; out y", "gemm", 1e-5},
      {"x = in f32[2x6x5]; w = in f32[2x6x7]; y = com.microsoft:FusedMatMul-1 x w transA=1; out y", "gemm", 1e-5},
      {"x = in f32[5x6]; w = f32[6x7]; b = f32[7]; y = com.microsoft:FusedGemm-1 x w b activation='Tanh'; out y",
       "gemm", 1e-5},
      {"x = in f32[5x6]; w = f32[6x7]; b = f32[7]; y = com.microsoft:GemmFastGelu-1 x w b; out y", "gemm", 1e-5},
      {"x = in f32[5x60]; y = com.microsoft:Gelu-1 x; out y", "unary", 1e-5},
      {"x = in f32[5x60]; b = in f32[60]; y = com.microsoft:FastGelu-1 x b; out y", "unary", 1e-5},
      {"x = in f32[5x60]; y = com.microsoft:FastGelu-1 x; out y", "unary", 1e-5},
      {"x = in f16[5x60]; b = f16[60]; y = com.microsoft:BiasGelu-1 x b; out y", "unary", 1e-3},
      {"x = in f32[5x60]; y = com.microsoft:QuickGelu-1 x alpha=1.5; out y", "unary", 1e-5},
      {"x = in f32[5x60]; y = com.microsoft:QuickGelu-1 x; out y", "unary", 1e-5},
      {"x = in u8[1x6x5x5]; s = f32[] 0.1; z = u8[] 3; y = com.microsoft:QLinearGlobalAveragePool-1 x s z s z; out y",
       "global_average_pool", 1},
      {"x = in u8[5x6]; s = f32[] 0.1; z = u8[] 3; y = com.microsoft:QLinearSigmoid-1 x s z s z; out y", "unary", 1},
      /* has a kernel of its own */
      {"x = in u8[5x6]; s = f32[] 0.1; z = u8[] 3; y = com.microsoft:QLinearAdd-1 x s z x s z s z; out y", "qlinear",
       0},
  };
  NET_CASES(cases);
}

TEST_MAIN({"unfold", test_unfold})
