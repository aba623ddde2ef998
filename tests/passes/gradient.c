/* passes/gradient: every rule against finite differences (grad_test.h). */
#include "grad_test.h"

#include "base/mem.h"

#define CASES(...)                                      \
  do {                                                  \
    static const grad_case cases_[] = {__VA_ARGS__};    \
    grad_cases(cases_, sizeof cases_ / sizeof *cases_); \
  } while (0)

static void test_arithmetic(void) {
  CASES({"Add", 14, "", {"x[2x3]", "x[2x3]"}}, {"Add", 14, "", {"x[2x1x4]", "x[3x1]"}},
        {"Sub", 14, "", {"x[3]", "x[2x3]"}}, {"Sum", 13, "", {"x[2x3]", "x[3]", "x[2x1]"}}, {"Sum", 13, "", {"x[4]"}},
        {"Mean", 13, "", {"x[2x3]", "x[3]", "x[]"}}, {"Mul", 14, "", {"x[2x3]", "x[1x3]"}},
        {"Mul", 14, "", {"x[]", "x[2x3]"}}, {"Div", 14, "", {"x[2x3]", "p[3]"}}, {"Div", 14, "", {"x[1x3]", "p[4x1]"}},
        {"Mod", 13, "fmod=1", {"x[5]", "f64[5] 0.31 0.27 0.41 0.43 0.5"}}, {"Mod", 13, "fmod=1", {"p[3]", "p[2x3]"}},
        {"Pow", 15, "", {"p[2x3]", "x[3]"}}, {"Pow", 15, "", {"x[2x3]", "f64[] 3"}},
        {"Pow", 15, "", {"x[2x3]", "i64[] 2"}}, {"Max", 13, "", {"d[2x3]", "d[2x3]", "d[3]"}},
        {"Min", 13, "", {"d[2x3]", "d[2x1]"}}, {"Max", 13, "", {"x[3]"}}, {"Neg", 13, "", {"x[3]"}},
        {"Identity", 13, "", {"x[3]"}}, {"Where", 16, "", {"bool[2x1] 1 0", "x[3]", "x[2x3]"}},
        {"Cast", 13, "to=@f64", {"x[3]"}, NULL, NO_F32}, {"CastLike", 15, "", {"x[3]", "f64[] 1"}});
}

static void test_functions(void) {
  CASES({"Abs", 13, "", {"d[7]"}}, {"Acos", 7, "", {"u[5]"}}, {"Acosh", 9, "", {"f64[1] 1.5"}, NULL, NO_SECOND},
        {"Asin", 7, "", {"u[5]"}}, {"Asinh", 9, "", {"x[5]"}}, {"Atan", 7, "", {"x[5]"}}, {"Atanh", 9, "", {"u[5]"}},
        {"Cos", 7, "", {"x[5]"}}, {"Cosh", 9, "", {"x[5]"}}, {"Erf", 13, "", {"x[5]"}}, {"Exp", 13, "", {"x[5]"}},
        {"Log", 13, "", {"p[5]"}}, {"Reciprocal", 13, "", {"p[5]"}}, {"Sigmoid", 13, "", {"x[5]"}},
        {"Sin", 7, "", {"x[5]"}}, {"Sinh", 9, "", {"x[5]"}}, {"Softplus", 1, "", {"x[5]"}},
        {"Softsign", 1, "", {"d[5]"}}, {"Sqrt", 13, "", {"p[5]"}}, {"Tan", 7, "", {"x[5]"}},
        {"Tanh", 13, "", {"x[5]"}});
}

static void test_activations(void) {
  CASES({"Relu", 14, "", {"d[9]"}}, {"LeakyRelu", 16, "alpha=0.2", {"d[9]"}}, {"PRelu", 16, "", {"d[2x3x4]", "x[3x1]"}},
        {"ThresholdedRelu", 10, "alpha=0.3", {"d[9]"}}, {"Elu", 6, "alpha=1.5", {"d[9]"}}, {"Selu", 6, "", {"d[9]"}},
        {"Celu", 12, "alpha=1.7", {"d[9]"}, NULL, 0}, {"HardSigmoid", 6, "alpha=1.1 beta=0.45", {"d[15]"}},
        {"HardSwish", 14, "", {"d[60]"}}, {"Shrink", 9, "lambd=0.3 bias=0.1", {"d[15]"}}, {"Mish", 18, "", {"x[7]"}},
        {"Swish", 24, "alpha=1.3", {"x[7]"}}, {"SwiGLU", 28, "alpha=1.2", {"x[7]", "x[7]"}}, {"Gelu", 20, "", {"x[7]"}},
        {"Gelu", 20, "approximate='tanh'", {"x[7]"}}, {"com.microsoft:Gelu", 1, "", {"x[7]"}},
        {"com.microsoft:FastGelu", 1, "", {"x[2x7]", "x[7]"}}, {"com.microsoft:BiasGelu", 1, "", {"x[2x7]", "x[7]"}},
        {"com.microsoft:QuickGelu", 1, "", {"x[7]"}}, {"Clip", 13, "", {"d[9]", "f64[] -0.2", "f64[] 0.3"}},
        {"Clip", 13, "", {"d[9]", "-", "f64[] 0.3"}}, {"Clip", 13, "", {"d[9]", "f64[] -0.2"}},
        {"Clip", 13, "", {"d[9]"}}, {"Clip", 6, "min=-0.2 max=0.3", {"d[9]"}}, {"Clip", 13, "", {"d[9]", "u[]", "p[]"}},
        {"Dropout", 13, "", {"x[7]"}}, {"Dropout", 7, "", {"x[7]"}},
        {"Dropout", 13, "seed=3", {"x[40]", "f64[] 0.3", "bool[] 1"}, "Lo"},
        {"Dropout", 13, "seed=3", {"x[40]", "f64[] 0.3", "bool[] 1"}, "L"},
        {"Dropout", 13, "seed=3", {"x[40]", "f64[] 0.3", "bool[] 0"}, "Lo"});
}

static void test_moves(void) {
  CASES({"Slice", 13, "", {"x[4x5]", "i64[2] 1 3", "i64[2] 4 -6", "i64[2] 0 1", "i64[2] 2 -1"}},
        {"Slice", 13, "", {"x[4x5]", "i64[2] 1 -3", "i64[2] 9 -1", "i64[2] -2 1"}},
        {"Slice", 13, "", {"x[4x5]", "i64[1] -9", "i64[1] 2"}},
        {"Slice", 10, "", {"x[4x5]", "i32[1] 3", "i32[1] 99", "i32[1] 1", "i32[1] 1"}},
        {"Slice", 1, "starts=[1] ends=[3] axes=[1]", {"x[4x5]"}}, {"Tile", 13, "", {"x[2x3]", "i64[2] 2 3"}},
        {"DepthToSpace", 13, "blocksize=2", {"x[1x8x2x3]"}},
        {"DepthToSpace", 13, "blocksize=2 mode='CRD'", {"x[1x8x2x3]"}},
        {"SpaceToDepth", 13, "blocksize=2", {"x[1x2x4x6]"}},
        {"CenterCropPad", 18, "axes=[0,1]", {"x[5x2]", "i64[2] 3 4"}},
        {"Compress", 11, "axis=1", {"x[3x4]", "bool[3] 1 0 1"}}, {"Compress", 11, "", {"x[3x2]", "bool[5] 1 0 1 1 0"}},
        {"OneHot", 11, "", {"i64[4] 0 2 1 -1", "i64[] 3", "x[2]"}},
        {"Pad", 13, "", {"x[2x3]", "i64[4] 1 0 -1 2", "x[]"}},
        {"Pad", 13, "mode='reflect'", {"x[2x3]", "i64[4] 0 2 1 1"}},
        {"Pad", 13, "mode='edge'", {"x[2x3]", "i64[4] 0 2 1 1"}},
        {"Pad", 19, "mode='wrap'", {"x[2x3]", "i64[2] 2 1", "-", "i64[1] 1"}},
        {"Pad", 2, "pads=[0,1,1,0] value=0.5", {"x[2x3]"}}, {"Gather", 13, "", {"x[4x3]", "i64[2x2] 0 3 3 -1"}},
        {"Gather", 13, "axis=1", {"x[2x4x3]", "i64[3] 1 1 0"}}, {"Gather", 13, "axis=-1", {"x[2x4]", "i64[] 2"}},
        {"GatherElements", 13, "axis=1", {"x[2x3]", "i64[2x2] 0 0 2 -1"}},
        {"GatherND", 13, "", {"x[3x4x2]", "i64[2x2] 0 1 2 3"}}, {"GatherND", 13, "", {"x[3x4]", "i64[3x1] 1 1 0"}},
        {"GatherND", 13, "batch_dims=1", {"x[2x4x2]", "i64[2x1] 1 3"}},
        {"Scatter", 9, "axis=1", {"x[2x3]", "i64[2x2] 0 2 1 0", "x[2x2]"}},
        {"ScatterElements", 18, "axis=1", {"x[2x3]", "i64[2x2] 0 2 1 0", "x[2x2]"}},
        {"ScatterElements", 18, "reduction='add'", {"x[3x2]", "i64[2x2] 0 2 0 1", "x[2x2]"}},
        {"ScatterElements", 18, "reduction='mul'", {"p[3x2]", "i64[2x2] 0 2 0 1", "p[2x2]"}},
        {"ScatterElements", 18, "reduction='max'", {"d[3x2]", "i64[2x2] 0 2 0 1", "x[2x2]"}},
        {"ScatterElements", 18, "reduction='min'", {"d[3x2]", "i64[2x2] 0 2 0 1", "x[2x2]"}},
        {"ScatterND", 18, "", {"x[4x3]", "i64[2x1] 1 3", "x[2x3]"}},
        {"ScatterND", 18, "reduction='add'", {"x[4x3]", "i64[2x1] 1 1", "x[2x3]"}},
        {"ScatterND", 18, "reduction='mul'", {"p[4]", "i64[3x1] 1 1 0", "p[3]"}},
        {"ScatterND", 18, "reduction='max'", {"d[4]", "i64[3x1] 1 2 0", "x[3]"}},
        {"TensorScatter", 24, "", {"x[2x3x4]", "x[2x2x4]", "i64[2] 1 0"}},
        {"AffineGrid", 20, "", {"x[2x2x3]", "i64[4] 2 1 3 4"}, NULL, NO_OPEN},
        {"AffineGrid", 20, "align_corners=1", {"x[1x3x4]", "i64[5] 1 1 2 3 4"}, NULL, NO_OPEN},
        {"TopK", 11, "axis=1", {"d[2x5]", "i64[1] 3"}, "Lo"},
        {"TopK", 11, "axis=0 largest=0", {"d[4x2]", "i64[1] 2"}, "Lo"},
        {"MaxUnpool", 11, "kernel_shape=[2,2] strides=[2,2]", {"x[1x1x2x2]", "i64[1x1x2x2] 5 7 13 15"}});
}

static void test_shapes(void) {
  CASES({"Reshape", 14, "", {"x[2x6]", "i64[2] 3 -1"}}, {"Flatten", 13, "axis=2", {"x[2x3x4]"}},
        {"Squeeze", 13, "", {"x[2x1x3]", "i64[1] 1"}}, {"Unsqueeze", 13, "", {"x[2x3]", "i64[2] 0 2"}},
        {"Squeeze", 1, "axes=[1]", {"x[2x1x3]"}}, {"Expand", 13, "", {"x[2x1]", "i64[3] 3 1 4"}},
        {"Transpose", 13, "perm=[2,0,1]", {"x[2x3x4]"}}, {"Transpose", 13, "", {"x[2x3]"}},
        {"Concat", 13, "axis=1", {"x[2x3]", "x[2x1]", "x[2x2]"}},
        {"Concat", 13, "axis=-1", {"x[2x3]", "f64[2x1] 1 2", "x[2x2]"}}, {"Concat", 13, "axis=0", {"x[3]"}},
        {"Split", 13, "axis=1", {"x[2x6]", "i64[3] 1 2 3"}, "LoL"},
        {"Split", 18, "num_outputs=2 axis=-1", {"x[2x5]"}, "LL"}, {"Split", 2, "axis=0", {"x[4x2]"}, "L-"},
        {"Trilu", 14, "upper=0", {"x[2x3x4]", "i64[] 1"}}, {"Trilu", 14, "", {"x[3x3]"}},
        {"ReverseSequence", 10, "time_axis=0 batch_axis=1", {"x[4x3]", "i64[3] 2 4 1"}},
        {"CumSum", 14, "exclusive=1", {"x[2x4]", "i32[] 1"}}, {"CumSum", 14, "reverse=1", {"x[2x4]", "i32[] 0"}},
        {"CumProd", 26, "", {"p[2x4]", "i32[] 1"}, NULL, NO_SECOND},
        {"CumProd", 26, "", {"x[2x4]", "i32[] 0"}, NULL, NO_SECOND},
        {"CumProd", 26, "exclusive=1 reverse=1", {"p[2x4]", "i32[] 1"}, NULL, NO_SECOND},
        {"RotaryEmbedding", 23, "", {"x[1x2x3x4]", "f64[1x3x2] .1 .2 .3 .4 .5 .6", "f64[1x3x2] .9 .8 .7 .6 .5 .4"}},
        {"RotaryEmbedding",
         23,
         "num_heads=2 interleaved=1",
         {"x[1x3x8]", "f64[5x2] .1 .2 .3 .4 .5 .6 .7 .8 .9 1", "f64[5x2] .9 .8 .7 .6 .5 .4 .3 .2 .1 0",
          "i64[1x3] 0 4 2"}});
}

static void test_resize(void) {
  CASES({"Resize", 19, "", {"x[1x2x3x4]", "-", "f64[4] 1 1 2 2"}, NULL, NO_F32},
        {"Resize", 19, "mode='nearest'", {"x[1x2x3x4]", "-", "f32[4] 1 1 2 2"}},
        {"Resize", 19, "mode='linear'", {"x[1x2x3x4]", "-", "f32[4] 1 1 2 1.5"}},
        {"Resize",
         19,
         "mode='linear' coordinate_transformation_mode='align_corners'",
         {"x[1x2x3x4]", "-", "-", "i64[4] 1 2 5 6"}},
        {"Resize", 19, "mode='cubic'", {"x[1x1x4x4]", "-", "f32[4] 1 1 2 2"}},
        {"Resize", 19, "mode='linear' antialias=1", {"x[1x1x6x6]", "-", "f32[4] 1 1 0.5 0.5"}},
        {"Resize", 19, "mode='linear' axes=[3,2]", {"x[1x2x3x4]", "-", "f32[2] 2 1.5"}},
        {"Resize",
         11,
         "mode='linear' coordinate_transformation_mode='tf_crop_and_resize' extrapolation_value=10.0",
         {"x[1x1x4x4]", "f32[8] 0 0 0.2 0.3 1 1 0.8 1.2", "f32[0]", "i64[4] 1 1 3 3"}},
        {"Resize", 10, "mode='linear'", {"x[1x1x2x2]", "f32[4] 1 1 2 2"}},
        {"Upsample", 9, "mode='linear'", {"x[1x1x2x3]", "f32[4] 1 1 2 2"}},
        {"Upsample", 7, "mode='linear' scales=[1.0,1.0,2.0,3.0]", {"x[1x1x2x3]"}},
        {"Upsample", 9, "mode='nearest'", {"x[1x1x2x3]", "f32[4] 1 1 2 2"}});
}

static void test_sampling(void) {
  CASES({"GridSample", 20, "", {"x[1x2x4x5]", "u[1x2x3x2]"}, NULL, NO_SECOND | COARSE},
        {"GridSample",
         20,
         "align_corners=1 padding_mode='border'",
         {"x[1x2x4x5]", "f64[1x1x3x2] -1.3 0.2 0.4 -0.6 0.1 1.4"},
         NULL,
         NO_SECOND},
        {"GridSample", 20, "mode='cubic'", {"x[1x1x5x6]", "u[1x2x3x2]"}, NULL, NO_SECOND | COARSE},
        {"GridSample", 20, "padding_mode='reflection'", {"x[1x1x3x4]", "p[1x2x2x2]"}, NULL, NO_SECOND | COARSE},
        {"GridSample", 20, "mode='nearest'", {"x[2x1x3x4]", "f64[2x1x2x2] .1 .2 .3 -.8 -.5 .9 .7 .1"}, NULL, NO_SECOND},
        {"GridSample", 20, "", {"x[1x1x3x4x3]", "u[1x1x2x2x3]"}, NULL, NO_SECOND | COARSE},
        {"RoiAlign",
         16,
         "output_height=2 output_width=3 spatial_scale=0.5",
         {"x[2x2x6x7]", "f64[2x4] 1 2 9 8 0 0 6 11", "i64[2] 1 0"},
         NULL,
         NO_SECOND},
        {"RoiAlign",
         10,
         "output_height=2 output_width=2 sampling_ratio=2",
         {"x[1x1x6x7]", "f64[1x4] 0.5 1 4 5", "i64[1] 0"},
         NULL,
         NO_SECOND},
        {"RoiAlign",
         16,
         "mode='max' output_height=2 output_width=2",
         {"d[1x1x6x7]", "f64[1x4] 0.5 1 4 5", "i64[1] 0"},
         NULL,
         NO_SECOND},
        {"Det", 11, "", {"x[2x3x3]"}, NULL, NO_SECOND}, {"Det", 11, "", {"x[2x2]"}, NULL, NO_SECOND},
        {"Det", 11, "", {"x[3x1x1]"}, NULL, NO_SECOND});
}

static void test_reductions(void) {
  static const char *const ops[] = {"ReduceL1",   "ReduceL2",  "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
                                    "ReduceMean", "ReduceMin", "ReduceProd",   "ReduceSum",       "ReduceSumSquare"};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    const char *x = strstr(ops[i], "LogSum") ? "p[2x3x4]" : "d[2x3x4]";
    const grad_case cases[] = {{ops[i], 18, "", {x, "i64[1] 1"}},        {ops[i], 18, "keepdims=0", {x, "i64[2] 0 -1"}},
                               {ops[i], 18, "keepdims=0", {x}},          {ops[i], 18, "", {x}},
                               {ops[i], 11, "axes=[0] keepdims=0", {x}}, {ops[i], 18, "noop_with_empty_axes=1", {x}}};
    grad_cases(cases, sizeof cases / sizeof *cases - !strcmp(ops[i], "ReduceSum") * 0);
  }
  CASES({"Softmax", 13, "axis=1", {"x[2x3x4]"}}, {"Softmax", 11, "axis=1", {"x[2x3x4]"}},
        {"LogSoftmax", 13, "", {"x[2x5]"}}, {"LogSoftmax", 1, "axis=2", {"x[2x3x4]"}},
        {"LpNormalization", 1, "axis=1 p=2", {"x[2x3]"}}, {"LpNormalization", 1, "axis=0 p=1", {"d[2x3]"}},
        {"ReduceProd", 18, "", {"f64[3] 0 2 3"}, NULL, NO_SECOND});
}

static void test_losses(void) {
  CASES({"NegativeLogLikelihoodLoss", 13, "", {"x[3x4]", "i64[3] 0 3 1"}},
        {"NegativeLogLikelihoodLoss", 13, "reduction='sum'", {"x[2x3x2]", "i64[2x2] 0 2 1 1", "p[3]"}},
        {"NegativeLogLikelihoodLoss", 13, "reduction='mean' ignore_index=-7", {"x[3x4]", "i64[3] 0 -7 1", "p[4]"}},
        {"NegativeLogLikelihoodLoss", 13, "reduction='none' ignore_index=2", {"x[3x4]", "i32[3] 0 2 1"}},
        {"SoftmaxCrossEntropyLoss", 13, "", {"x[3x4]", "i64[3] 0 3 1"}},
        {"SoftmaxCrossEntropyLoss", 13, "ignore_index=3", {"x[3x4]", "i64[3] 0 3 1"}, "LL"},
        {"SoftmaxCrossEntropyLoss", 13, "reduction='sum'", {"x[2x3x2]", "i64[2x2] 0 2 1 1", "p[3]"}, "oL"},
        {"SoftmaxCrossEntropyLoss", 13, "reduction='none'", {"x[2x3x2]", "i64[2x2] 0 2 1 1", "f64[3] 1 2 3"}, "L"});
}

static void test_products(void) {
  CASES({"MatMul", 13, "", {"x[2x3]", "x[3x4]"}}, {"MatMul", 13, "", {"x[2x5x3]", "x[3x4]"}},
        {"MatMul", 13, "", {"x[2x1x2x3]", "x[3x3x2]"}}, {"MatMul", 13, "", {"x[3]", "x[3x2]"}},
        {"MatMul", 13, "", {"x[2x3]", "x[3]"}}, {"MatMul", 13, "", {"x[3]", "x[3]"}},
        {"MatMul", 13, "", {"x[2x4x3]", "x[3]"}}, {"MatMul", 13, "", {"x[3]", "x[2x3x4]"}},
        {"MatMul", 13, "", {"x[2x3]", "x[5x3x4]"}}, {"Gemm", 13, "alpha=0.5 beta=2.0", {"x[2x3]", "x[3x4]", "x[4]"}},
        {"Gemm", 13, "transA=1", {"x[3x2]", "x[3x4]", "x[2x1]"}}, {"Gemm", 13, "transB=1", {"x[2x3]", "x[4x3]"}},
        {"Gemm", 13, "transA=1 transB=1 alpha=3.0", {"x[3x2]", "x[4x3]", "x[]"}},
        {"com.microsoft:MatMulNBits",
         1,
         "K=16 N=2 bits=4 block_size=8",
         {"x[3x16]", "u8[2x2x4] 18 52 86 120 154 188 222 240 1 2 3 4 5 6 7 8", "f64[4] .1 -.2 .3 .4"}},
        {"com.microsoft:MatMulNBits",
         1,
         "K=16 N=2 bits=4 block_size=16",
         {"x[2x3x16]", "u8[2x1x8] 18 52 86 120 154 188 222 240 1 2 3 4 5 6 7 8", "f64[2] .1 -.2", "u8[2x1] 3 9", "-",
          "x[2]"}},
        {"Einsum", 12, "equation='ij,jk->ik'", {"x[2x3]", "x[3x4]"}},
        {"Einsum", 12, "equation='bij,bjk'", {"x[2x2x3]", "x[2x3x2]"}},
        {"Einsum", 12, "equation='...ij,...jk->...ik'", {"x[2x2x3]", "x[3x2]"}},
        {"Einsum", 12, "equation='ij->i'", {"x[2x3]"}}, {"Einsum", 12, "equation='ij,kl->ik'", {"x[2x3]", "x[2x2]"}},
        {"Einsum", 12, "equation='i,i,i->'", {"x[3]", "x[3]", "x[3]"}}, {"Einsum", 12, "equation='ij->ji'", {"x[2x3]"}},
        {"Einsum", 12, "equation='...i,i->...'", {"x[2x1x3]", "x[3]"}});
}

static void test_convolutions(void) {
  CASES({"Conv", 11, "", {"x[2x3x5x6]", "x[4x3x3x2]", "x[4]"}},
        {"Conv", 11, "strides=[2,1] pads=[1,0,2,1] dilations=[1,2]", {"x[1x2x6x7]", "x[3x2x3x2]", "x[3]"}},
        {"Conv", 11, "group=2", {"x[2x4x4x4]", "x[6x2x3x3]"}},
        {"Conv", 11, "group=4 pads=[1,1,1,1]", {"x[1x4x4x5]", "x[4x1x3x3]", "x[4]"}},
        {"Conv", 11, "auto_pad='SAME_UPPER' strides=[2,2]", {"x[1x2x5x6]", "x[2x2x3x3]", "x[2]"}},
        {"Conv", 11, "auto_pad='SAME_LOWER'", {"x[1x2x4x4]", "x[2x2x2x2]"}},
        {"Conv", 11, "auto_pad='VALID' strides=[3,2]", {"x[1x2x5x6]", "x[2x2x3x3]"}},
        {"Conv", 11, "strides=[2] pads=[2,1]", {"x[2x3x7]", "x[4x3x3]", "x[4]"}},
        {"Conv", 11, "strides=[2,1,1] pads=[1,0,1,0,1,1]", {"x[1x2x4x3x3]", "x[2x2x2x2x3]", "x[2]"}},
        {"Conv", 11, "strides=[3,3]", {"x[1x1x5x5]", "x[2x1x2x2]"}},
        {"ConvTranspose", 11, "", {"x[2x3x3x2]", "x[3x2x3x2]", "x[2]"}},
        {"ConvTranspose",
         11,
         "strides=[2,3] pads=[1,0,0,1] output_padding=[1,0] dilations=[1,2]",
         {"x[1x2x3x3]", "x[2x3x2x2]", "x[3]"}},
        {"ConvTranspose", 11, "group=2 strides=[2,2]", {"x[1x4x2x3]", "x[4x2x2x2]", "x[4]"}},
        {"ConvTranspose", 11, "output_shape=[6,7] strides=[2,2]", {"x[1x2x3x3]", "x[2x1x3x3]"}},
        {"ConvTranspose", 11, "auto_pad='SAME_UPPER' strides=[2,2]", {"x[1x2x3x3]", "x[2x1x3x3]"}},
        {"ConvTranspose", 11, "strides=[2]", {"x[1x2x3]", "x[2x2x3]", "x[2]"}});
}

static void test_columns(void) {
  CASES({"DeformConv",
         19,
         "",
         {"x[1x2x5x5]", "x[3x2x2x2]", "u[1x8x4x4]", "x[3]"},
         NULL,
         NO_SECOND | COARSE | NO_F16 | NO_OPEN},
        {"DeformConv",
         19,
         "group=2 offset_group=2 strides=[2,1] pads=[1,0,1,1] dilations=[1,2]",
         {"x[2x4x5x6]", "x[4x2x3x2]", "u[2x24x3x5]", "-", "x[2x12x3x5]"},
         NULL,
         NO_SECOND | COARSE | NO_F16 | NO_OPEN},
        {"Col2Im", 18, "strides=[1,2] pads=[1,0,0,1]", {"x[2x12x9]", "i64[2] 3 6", "i64[2] 2 3"}},
        {"Col2Im", 18, "dilations=[2]", {"x[1x6x3]", "i64[1] 7", "i64[1] 3"}},
        {"CausalConvWithState", 27, "", {"x[2x3x5]", "x[3x1x4]"}},
        {"CausalConvWithState", 27, "activation='silu'", {"x[2x3x5]", "x[3x1x3]", "x[3]", "x[2x3x2]"}, "LL"},
        {"CausalConvWithState", 27, "activation='none'", {"x[1x2x4]", "x[2x1x2]", "-", "x[1x2x1]"}, "L"});
}

/* Kernels against references in f32, over random shapes: sizes at which columns come in blocks, groups of one channel,
 * kernels of one tap. */
static void conv_kernel(const char *op, bool gradient, int round) {
  static const char *const autos[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
  bool transposed = strstr(op, "Transpose") != NULL, weights = strstr(op, "Weight") != NULL;
  int rank = 1 + (int)(rng_u64(&grad_dice) % 3);
  int64_t xs[5], ws[5], ys[5], list[3][6] = {{0}},
                               group = rng_u64(&grad_dice) % 3 ? 1 : 1 + (int64_t)(rng_u64(&grad_dice) % 4);
  bool deep = round % 4 == 0 && rank == 2;
  xs[0] = 1 + (int64_t)(rng_u64(&grad_dice) % 3);
  int64_t in = (1 + (int64_t)(rng_u64(&grad_dice) % 5)) * (deep ? 9 : 1),
          out = (1 + (int64_t)(rng_u64(&grad_dice) % 5)) * (deep ? 5 : 1);
  xs[1] = in * group;
  ws[0] = transposed ? xs[1] : out * group;
  ws[1] = transposed ? out : in;
  for (int i = 0; i < rank; i++) {
    xs[2 + i] = 4 + (int64_t)(rng_u64(&grad_dice) % (deep ? 60 : 9));
    ws[2 + i] = 1 + (int64_t)(rng_u64(&grad_dice) % 3);
    list[0][i] = 1 + (int64_t)(rng_u64(&grad_dice) % 3);
    list[1][i] = 1 + (int64_t)(rng_u64(&grad_dice) % 2);
    list[2][i] = (int64_t)(rng_u64(&grad_dice) % 2);
    list[2][rank + i] = (int64_t)(rng_u64(&grad_dice) % 2);
    if (round % 3 == 1) ws[2 + i] = list[0][i] = list[1][i] = 1, list[2][i] = list[2][rank + i] = 0;
  }
  if (deep) xs[0] = 2, ws[2] = ws[3] = 3;
  const char *auto_pad = autos[rng_u64(&grad_dice) % 8 < 5 ? 0 : rng_u64(&grad_dice) % 4];
  model *m = model_create();
  graph *g = m->graph = graph_create(m, NULL, "test");
  value_id in_ids[3] = {graph_add_value(g, NULL), graph_add_value(g, NULL), VALUE_ABSENT}, y = graph_add_value(g, NULL);
  tensor shape_x = {0}, shape_w = {0}, y_of = {0};
  tensor_set_shape(&shape_x, LEDGE_F32, rank + 2, xs);
  tensor_set_shape(&shape_w, LEDGE_F32, rank + 2, ws);
  /* The output's shape, by the operator's own inference. */
  value vx = {.kind = VALUE_TENSOR, .tensor = shape_x}, vw = {.kind = VALUE_TENSOR, .tensor = shape_w}, vy = {0};
  node *n = graph_add_node(g, "", transposed ? "ConvTranspose" : "Conv", 11, "", in_ids, 2, &y, 1);
  node_set_int(g, n, "group", group);
  node_set_ints(g, n, "strides", list[0], rank);
  node_set_ints(g, n, "dilations", list[1], rank);
  if (!strcmp(auto_pad, "NOTSET")) node_set_ints(g, n, "pads", list[2], 2 * rank);
  node_set_string(g, n, "auto_pad", auto_pad);
  n->def = ops_find("", n->op, 11);
  op_ctx c = {.node = n,
              .def = n->def,
              .n_in = 2,
              .n_out = 1,
              .in = (const value *[]){&vx, &vw},
              .out = (value *[]){&vy},
              .inferring = true};
  bool fits = !op_infer(&c) && tensor_elements(&vy.tensor) > 0;
  y_of = vy.tensor;
  memcpy(ys, y_of.dims, sizeof ys);
  const tensor *first = gradient && !weights ? &y_of : &shape_x, *second = weights ? &y_of : &shape_w;
  if (fits && gradient) { /* the node becomes its own gradient */
    tensor t = {.dtype = LEDGE_I64, .rank = 1, .dims = {rank + 2}, .data = weights ? ws : xs};
    in_ids[2] = graph_add_constant_copy(g, NULL, LEDGE_I64, 1, t.dims, t.data);
    n = &g->nodes[0];
    n->domain = "ledge", n->op = op, n->version = 1, n->n_in = 3;
    n->in = arena_alloc_array(&m->arena, 3, sizeof *n->in);
    memcpy(n->in, in_ids, sizeof in_ids);
    n->def = ops_find("ledge", op, 1);
  }
  g->inputs = in_ids, g->n_inputs = 2, g->outputs = &y, g->n_outputs = 1;
  value inputs[2] = {{.kind = VALUE_TENSOR}, {.kind = VALUE_TENSOR}};
  for (int i = 0; fits && i < 2; i++) {
    const tensor *of = i ? second : first;
    tensor_set_shape(&inputs[i].tensor, LEDGE_F32, of->rank, of->dims);
    if (tensor_alloc(&inputs[i].tensor, NULL)) abort();
    for (int64_t k = 0; k < tensor_elements(of); k++)
      ((float *)inputs[i].tensor.data)[k] = (float)(2 * grad_unit() - 1);
  }
  session *s[3] = {NULL};
  ledge_error e = {0};
  for (int i = 0; fits && i < 3; i++) { /* the reference, one thread, three */
    const session_options so = {.threads = i == 2 ? 3 : 1, .reference_only = i == 0};
    if (session_create(m, &so, &s[i], &e) || session_run(s[i], (const value *[]){&inputs[0], &inputs[1]}, &e))
      TEST_FAIL("%s: %s", op, e.message);
  }
  if (fits && !e.code) {
    const tensor *want = &session_output(s[0], 0)->tensor, *one = &session_output(s[1], 0)->tensor,
                 *three = &session_output(s[2], 0)->tensor;
    double most = 1, worst = 0;
    for (int64_t k = 0; k < tensor_elements(want); k++) {
      most = fmax(most, fabs(tensor_f64(want, k)));
      worst = fmax(worst, fabs(tensor_f64(want, k) - tensor_f64(one, k)));
    }
    if (!(worst <= 2e-5 * most)) TEST_FAIL("%s, round %d: off by %g of %g", op, round, worst, most);
    if (memcmp(one->data, three->data, tensor_bytes(one)))
      TEST_FAIL("%s, round %d: threads change the result", op, round);
    if (!session_last_plan(s[1])->steps[0].kernel_name) TEST_FAIL("%s, round %d: there is no kernel", op, round);
  }
  for (int i = 0; i < 3; i++) session_destroy(s[i]);
  for (int i = 0; i < 2; i++) value_deinit(&inputs[i]);
  model_destroy(m);
}

static void test_convolution_kernels(void) {
  rng_init(&grad_dice, 5);
  for (int round = 0; round < 25; round++) {
    conv_kernel("Conv", false, round);
    conv_kernel("ConvTranspose", false, round);
    conv_kernel("ConvInputGrad", true, round);
    conv_kernel("ConvWeightGrad", true, round);
    conv_kernel("ConvTransposeInputGrad", true, round);
    conv_kernel("ConvTransposeWeightGrad", true, round);
  }
}

static void test_norms(void) {
  CASES(
      {"BatchNormalization", 15, "", {"x[3x2x4]", "x[2]", "x[2]", "x[2]", "p[2]"}},
      {"BatchNormalization", 15, "epsilon=0.01", {"x[3x2x2x2]", "x[2]", "x[2]", "f64[2] .1 .2", "f64[2] .9 .8"}},
      {"BatchNormalization", 9, "", {"x[3x2]", "x[2]", "x[2]", "x[2]", "p[2]"}},
      {"BatchNormalization",
       15,
       "training_mode=1 epsilon=0.01",
       {"x[3x2x4]", "x[2]", "x[2]", "f64[2] .1 .2", "f64[2] .9 .8"},
       "Loo"},
      {"BatchNormalization", 15, "training_mode=1 momentum=0.7", {"x[3x2x2x2]", "x[2]", "x[2]", "x[2]", "p[2]"}, "LLL"},
      {"BatchNormalization", 15, "training_mode=1", {"x[4x2]", "x[2]", "x[2]", "x[2]", "p[2]"}, "LLL"},
      {"LayerNormalization", 17, "", {"x[2x3x4]", "x[4]", "x[4]"}},
      {"LayerNormalization", 17, "axis=1", {"x[2x3x4]", "x[3x4]", "x[3x4]"}},
      {"LayerNormalization", 17, "axis=-2 epsilon=0.1", {"x[2x3x4]", "x[4]"}},
      {"LayerNormalization", 17, "stash_type=11", {"x[3x4]", "x[4]", "x[4]"}, "LLL", NO_F32},
      {"RMSNormalization", 23, "", {"x[2x3x4]", "x[4]"}}, {"RMSNormalization", 23, "axis=1", {"x[2x3x4]", "x[3x4]"}},
      {"InstanceNormalization", 6, "", {"x[2x3x5]", "x[3]", "x[3]"}},
      {"InstanceNormalization", 22, "epsilon=0.01", {"x[2x2x3x3]", "x[2]", "x[2]"}},
      {"GroupNormalization", 21, "num_groups=2", {"x[2x4x3]", "x[4]", "x[4]"}},
      {"GroupNormalization", 18, "num_groups=2", {"x[2x4x3x2]", "x[2]", "x[2]"}},
      {"MeanVarianceNormalization", 13, "", {"x[2x3x2x2]"}},
      {"MeanVarianceNormalization", 13, "axes=[1]", {"x[2x3x2x2]"}},
      {"LRN", 13, "size=3 alpha=0.5 beta=0.6 bias=1.2", {"x[2x5x2x2]"}}, {"LRN", 13, "size=2 alpha=0.5", {"x[1x4x3]"}});
}

static void test_pools(void) {
  CASES({"MaxPool", 12, "kernel_shape=[2,2] strides=[2,2]", {"d[1x2x4x5]"}},
        {"MaxPool", 12, "kernel_shape=[3,3] strides=[2,1] pads=[1,1,1,1]", {"d[1x2x5x4]"}, "Lo"},
        {"MaxPool", 12, "kernel_shape=[2] dilations=[2] storage_order=1", {"d[2x2x6]"}, "Lo"},
        {"MaxPool", 12, "kernel_shape=[2,2] auto_pad='SAME_UPPER' ceil_mode=1", {"d[1x1x3x3]"}},
        {"MaxPool", 1, "kernel_shape=[2,2,2]", {"d[1x1x3x3x2]"}},
        {"MaxPool", 12, "kernel_shape=[3] strides=[2] pads=[1,1]", {"d[1x1x150]"}, NULL, NO_F16},
        {"AveragePool", 19, "kernel_shape=[2,2] strides=[2,1]", {"x[1x2x4x5]"}},
        {"AveragePool", 19, "kernel_shape=[3,3] pads=[1,1,0,1] strides=[2,2] ceil_mode=1", {"x[1x2x5x6]"}},
        {"AveragePool", 19, "kernel_shape=[3,3] pads=[1,1,1,1] count_include_pad=1", {"x[1x1x4x4]"}},
        {"AveragePool", 19, "kernel_shape=[2] dilations=[2]", {"x[1x2x6]"}},
        {"LpPool", 18, "kernel_shape=[2,2] p=3", {"d[1x2x3x4]"}, NULL, NO_SECOND},
        {"LpPool", 18, "kernel_shape=[2] strides=[2]", {"d[1x2x5]"}, NULL, NO_SECOND},
        {"GlobalAveragePool", 1, "", {"x[2x3x4x5]"}}, {"GlobalAveragePool", 1, "", {"x[2x3x4]"}},
        {"GlobalMaxPool", 1, "", {"d[2x3x4]"}}, {"GlobalLpPool", 2, "p=3", {"d[2x3x4]"}});
}

static void test_attention(void) {
  CASES({"Attention", 23, "", {"x[1x2x3x4]", "x[1x2x5x4]", "x[1x2x5x3]"}},
        {"Attention", 23, "is_causal=1", {"x[1x2x3x4]", "x[1x2x3x4]", "x[1x2x3x4]"}},
        {"Attention", 23, "scale=0.3 softcap=1.5", {"x[1x2x3x4]", "x[1x2x5x4]", "x[1x2x5x3]", "x[3x5]"}},
        {"Attention",
         23,
         "q_num_heads=4 kv_num_heads=2",
         {"x[2x3x8]", "x[2x4x4]", "x[2x4x6]", "bool[3x4] 1 1 0 1 0 0 0 0 1 1 1 1"},
         NULL,
         NO_OPEN},
        {"Attention",
         23,
         "is_causal=1",
         {"x[1x2x2x4]", "x[1x2x2x4]", "x[1x2x2x3]", "-", "x[1x2x3x4]", "x[1x2x3x3]"},
         "LLL"},
        {"Attention", 23, "qk_matmul_output_mode=3", {"x[1x1x2x4]", "x[1x1x3x4]", "x[1x1x3x4]"}, "L--L"},
        {"Attention",
         24,
         "is_causal=1",
         {"x[2x2x2x4]", "x[2x2x4x4]", "x[2x2x4x3]", "-", "-", "-", "i64[2] 3 2"},
         NULL,
         NO_OPEN});
}

static void test_recurrent(void) {
  CASES({"RNN", 14, "hidden_size=3", {"x[4x2x2]", "x[1x3x2]", "x[1x3x3]"}, "L", NO_SECOND},
        {"RNN",
         14,
         "hidden_size=3 direction='bidirectional' activations=['Relu','Softsign']",
         {"d[3x2x2]", "x[2x3x2]", "x[2x3x3]", "x[2x6]", "-", "x[2x2x3]"},
         "LL",
         NO_SECOND},
        {"RNN",
         22,
         "hidden_size=3 layout=1 clip=0.5 direction='reverse'",
         {"x[2x4x2]", "x[1x3x2]", "x[1x3x3]", "x[1x6]", "i32[2] 3 4"},
         "LL",
         NO_SECOND},
        {"GRU", 14, "hidden_size=3", {"x[4x2x2]", "x[1x9x2]", "x[1x9x3]", "x[1x18]"}, "LL", NO_SECOND},
        {"GRU",
         14,
         "hidden_size=3 linear_before_reset=1 direction='bidirectional'",
         {"x[3x2x2]", "x[2x9x2]", "x[2x9x3]", "x[2x18]", "i32[2] 2 3", "x[2x2x3]"},
         "LL",
         NO_SECOND},
        {"GRU",
         14,
         "hidden_size=2 activations=['HardSigmoid','Elu'] clip=0.9",
         {"x[3x2x2]", "x[1x6x2]", "x[1x6x2]", "-", "-", "x[1x2x2]"},
         "-L",
         NO_SECOND},
        {"LSTM", 14, "hidden_size=3", {"x[4x2x2]", "x[1x12x2]", "x[1x12x3]", "x[1x24]"}, "L", NO_SECOND},
        {"LSTM",
         14,
         "hidden_size=3 direction='bidirectional'",
         {"x[3x2x2]", "x[2x12x2]", "x[2x12x3]", "x[2x24]", "i32[2] 3 1", "x[2x2x3]", "x[2x2x3]", "x[2x9]"},
         "LLL",
         NO_SECOND},
        {"LSTM",
         14,
         "hidden_size=2 layout=1 input_forget=1 clip=0.8",
         {"x[2x3x2]", "x[1x8x2]", "x[1x8x2]", "-", "-", "x[2x1x2]", "x[2x1x2]", "x[1x6]"},
         "L-L",
         NO_SECOND},
        {"LSTM",
         14,
         "hidden_size=2 activations=['Softplus','ScaledTanh','LeakyRelu'] activation_alpha=[0.9,0.3] "
         "activation_beta=[1.2]",
         {"x[2x2x2]", "x[1x8x2]", "x[1x8x2]"},
         "LLL",
         NO_SECOND});
}

/* ---- whole graphs ---- */

typedef struct whole {
  model *m;
  graph *g;
} whole;

static whole whole_begin(void) {
  whole w = {.m = model_create()};
  w.g = w.m->graph = graph_create(w.m, NULL, "test");
  w.g->inputs = arena_alloc_array(&w.m->arena, 8, sizeof *w.g->inputs);
  return w;
}

static value_id whole_input(whole *w, int64_t n) {
  value_id v = graph_add_value(w->g, NULL);
  int64_t *dims = arena_alloc_array(&w->m->arena, 1, sizeof *dims);
  dims[0] = n;
  w->g->values[v].type = (graph_type){.kind = TYPE_TENSOR, .dtype = LEDGE_F64, .rank = 1, .dims = dims};
  w->g->inputs[w->g->n_inputs++] = v;
  return v;
}

static value_id whole_node(whole *w, const char *op, int version, value_id a, value_id b) {
  value_id v = grad_node(w->g, op, version, (value_id[]){a, b}, b == VALUE_ABSENT ? 1 : 2);
  w->g->nodes[w->g->n_nodes - 1].name = "here";
  return v;
}

/* Element k of value v at the inputs x. */
static double whole_at(const whole *w, const tensor *x, value_id v, int64_t k) {
  static const grad_case none = {"whole", 1, "", {NULL}, NULL, 0};
  value *vals = mem_alloc_array((size_t)w->g->n_values, sizeof *vals);
  double r = NAN;
  if (grad_eval(&none, w->g, w->g->n_nodes, w->g->inputs, x, w->g->n_inputs, vals)) r = tensor_f64(&vals[v].tensor, k);
  grad_free(vals, w->g->n_values);
  return r;
}

/* A value read many times, and a chain whose derivatives are known: y = sin(x) x + x^2 (x read four times). */
static void test_repeated_use(void) {
  whole w = whole_begin();
  value_id x = whole_input(&w, 2), z = whole_input(&w, 2), grads[2], third;
  value_id y = whole_node(&w, "Add", 14, whole_node(&w, "Mul", 14, whole_node(&w, "Sin", 7, x, VALUE_ABSENT), x),
                          whole_node(&w, "Mul", 14, x, x));
  double data[2] = {0.7, -1.2}, other[2] = {5, 6};
  const tensor in[2] = {{.dtype = LEDGE_F64, .rank = 1, .dims = {2}, .data = data},
                        {.dtype = LEDGE_F64, .rank = 1, .dims = {2}, .data = other}};
  CHECK_INT(gradient_build(w.g, y, (value_id[]){x, z}, 2, grads, NULL), LEDGE_OK);
  for (int i = 0; i < 2; i++) {
    CHECK_NEAR(whole_at(&w, in, grads[0], i), cos(data[i]) * data[i] + sin(data[i]) + 2 * data[i], 1e-12);
    CHECK_NEAR(whole_at(&w, in, grads[1], i), 0, 0); /* y does not depend on z */
  }
  CHECK_INT(gradient_build(w.g, grads[0], &x, 1, &third, NULL), LEDGE_OK);
  CHECK_INT(gradient_build(w.g, third, &x, 1, &third, NULL), LEDGE_OK);
  for (int i = 0; i < 2; i++) CHECK_NEAR(whole_at(&w, in, third, i), -3 * sin(data[i]) - data[i] * cos(data[i]), 1e-12);
  model_destroy(w.m);
}

/* Random graphs over values of 3 x 4, each value read any number of times: the gradient by both inputs against central
 * differences of the loss. */
static void random_graph(int round) {
  static const char *const unary[] = {"Tanh", "Sigmoid", "Softplus", "Sin", "Neg", "Identity", "Erf", "Softsign"};
  static const char *const binary[] = {"Add", "Sub", "Mul", "Max", "Min", "Mean"};
  const grad_case gc = {"random graph", round, "", {NULL}, NULL, 0};
  grad_graph gg = {.m = model_create()};
  graph *g = gg.g = gg.m->graph = graph_create(gg.m, NULL, "test");
  int64_t dims[2] = {3, 4};
  value_id of[20];
  int n = 2;
  for (int i = 0; i < 2; i++) {
    of[i] = gg.xs[i] = graph_add_value(g, NULL);
    g->values[of[i]].type = (graph_type){.kind = TYPE_TENSOR, .dtype = LEDGE_F64, .rank = 2, .dims = dims};
  }
  gg.n_xs = g->n_inputs = 2;
  g->inputs = gg.xs;
  while (n < 14) {
    value_id a = of[rng_u64(&grad_dice) % (uint64_t)n], b = of[rng_u64(&grad_dice) % (uint64_t)n], t, y;
    switch (rng_u64(&grad_dice) % 8) {
      case 0:
      case 1: y = grad_node(g, unary[rng_u64(&grad_dice) % 8], 14, &a, 1); break;
      case 2:
      case 3: y = grad_node(g, binary[rng_u64(&grad_dice) % 6], 14, (value_id[]){a, b}, 2); break;
      case 4: /* a (b^T a) */
        t = grad_node(g, "Transpose", 13, &b, 1);
        y = grad_node(g, "MatMul", 13, (value_id[]){a, grad_node(g, "MatMul", 13, (value_id[]){t, a}, 2)}, 2);
        break;
      case 5: /* what is reduced broadcasts again */
        t = grad_node(g, rng_u64(&grad_dice) % 2 ? "ReduceMean" : "ReduceLogSumExp", 13, &a, 1);
        if (node_set_ints(g, &g->nodes[g->n_nodes - 1], "axes", (int64_t[]){(int64_t)(rng_u64(&grad_dice) % 2)}, 1))
          abort();
        y = grad_node(g, "Sub", 14, (value_id[]){b, t}, 2);
        break;
      case 6: y = grad_node(g, "Softmax", 13, &a, 1); break;
      default: /* joined, and a piece that reaches into both */
        t = grad_node(g, "Concat", 13, (value_id[]){a, b}, 2);
        if (node_set_int(g, &g->nodes[g->n_nodes - 1], "axis", 1)) abort();
        y = grad_node(g, "Slice", 13,
                      (value_id[]){t, graph_add_constant_copy(g, NULL, LEDGE_I64, 1, (int64_t[]){1}, &(int64_t){3}),
                                   graph_add_constant_copy(g, NULL, LEDGE_I64, 1, (int64_t[]){1}, &(int64_t){7}),
                                   graph_add_constant_copy(g, NULL, LEDGE_I64, 1, (int64_t[]){1}, &(int64_t){1})},
                      4);
    }
    of[n++] = y;
  }
  tensor x[2] = {grad_tensor("x[3x4]"), grad_tensor("x[3x4]")}, weights = grad_tensor("x[3x4]");
  gg.loss = grad_total(g, of[n - 1], &weights, LEDGE_F64);
  gg.n_forward = g->n_nodes;
  ledge_error e = {0};
  if (gradient_build(g, gg.loss, gg.xs, 2, gg.grads, &e)) TEST_FAIL("round %d: %s", round, e.message);
  value *vals = mem_alloc_array((size_t)g->n_values, sizeof *vals);
  if (!e.code && grad_eval(&gc, g, g->n_nodes, gg.xs, x, 2, vals))
    grad_differences(&gc, &gg, gg.n_forward, gg.loss, x, vals, gg.grads, "the gradient");
  grad_free(vals, g->n_values);
  for (int i = 0; i < 2; i++) tensor_deinit(&x[i]);
  tensor_deinit(&weights);
  model_destroy(gg.m);
}

static void test_random_graphs(void) {
  rng_init(&grad_dice, 17);
  for (int round = 0; round < 60; round++) random_graph(round);
}

/* What rounds has slope zero, and what lies beside the way to y is not looked at. */
static void test_zero(void) {
  whole w = whole_begin();
  value_id x = whole_input(&w, 2), grad;
  value_id floor = whole_node(&w, "Floor", 13, x, VALUE_ABSENT), y = whole_node(&w, "Mul", 14, floor, x);
  whole_node(&w, "Unique", 11, x, VALUE_ABSENT); /* refused, were it read */
  double data[2] = {2.5, -1.5};
  const tensor in = {.dtype = LEDGE_F64, .rank = 1, .dims = {2}, .data = data};
  CHECK_INT(gradient_build(w.g, y, &x, 1, &grad, NULL), LEDGE_OK);
  CHECK_NEAR(whole_at(&w, &in, grad, 0), 2, 1e-12);
  CHECK_NEAR(whole_at(&w, &in, grad, 1), -2, 1e-12);
  model_destroy(w.m);
}

/* A small classifier learns four pictures by heart, in a session with all passes: the loss falls, step by step, to a
 * tenth, with the weights as inputs and plain gradient descent between the runs. */
static void test_training(void) {
  static const struct {
    const char *op;
    int version;
    const char *attrs;
    int in[6], out;
  } layers[] = {{"Conv", 11, "pads=[1,1,1,1]", {0, 2, 3, -1}, 10},
                {"BatchNormalization", 15, "training_mode=1", {10, 4, 5, 6, 7, -1}, 11},
                {"Relu", 14, "", {11, -1}, 12},
                {"MaxPool", 12, "kernel_shape=[2,2] strides=[2,2]", {12, -1}, 13},
                {"Flatten", 13, "", {13, -1}, 14},
                {"Gemm", 13, "transB=1", {14, 8, 9, -1}, 15},
                {"SoftmaxCrossEntropyLoss", 13, "", {15, 1, -1}, 16}};
  static const int64_t dims[10][4] = {{4, 1, 6, 6}, {4}, {5, 1, 3, 3}, {5}, {5}, {5}, {5}, {5}, {4, 45}, {4}};
  static const int ranks[10] = {4, 1, 4, 1, 1, 1, 1, 1, 2, 1}, trained[6] = {2, 3, 4, 5, 8, 9};
  model *m = model_create();
  graph *g = m->graph = graph_create(m, NULL, "test");
  value_id ids[17], grads[6], xs[6];
  tensor owned[8];
  int n_owned = 0;
  value in[10] = {0};
  const value *ins[10];
  rng_init(&grad_dice, 3);
  for (int i = 0; i < 17; i++) ids[i] = graph_add_value(g, NULL);
  for (int i = 0; i < 10; i++) {
    ledge_dtype dtype = i == 1 ? LEDGE_I64 : LEDGE_F32;
    in[i].kind = VALUE_TENSOR;
    ins[i] = &in[i];
    tensor_set_shape(&in[i].tensor, dtype, ranks[i], dims[i]);
    if (tensor_alloc(&in[i].tensor, NULL)) abort();
    g->values[ids[i]].type = (graph_type){.kind = TYPE_TENSOR, .dtype = dtype, .rank = ranks[i], .dims = dims[i]};
    for (int64_t k = 0; k < tensor_elements(&in[i].tensor); k++)
      if (i == 1)
        ((int64_t *)in[i].tensor.data)[k] = k;
      else
        ((float *)in[i].tensor.data)[k] = i == 4 || i == 7 ? 1 : i == 5 || i == 6 ? 0 : (float)(grad_unit() - 0.5);
  }
  g->inputs = ids;
  g->n_inputs = 10;
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    value_id of[6];
    int n = 0;
    for (; layers[i].in[n] >= 0; n++) of[n] = ids[layers[i].in[n]];
    node *k = graph_add_node(g, "", layers[i].op, layers[i].version, "", of, n, &ids[layers[i].out], 1);
    op_test_attrs(g, k, layers[i].attrs, owned, &n_owned);
    k->def = ops_find("", k->op, k->version);
  }
  for (int i = 0; i < 6; i++) xs[i] = ids[trained[i]];
  ledge_error e = {0};
  CHECK_INT(gradient_build(g, ids[16], xs, 6, grads, &e), LEDGE_OK);
  value_id outs[7] = {ids[16]};
  memcpy(outs + 1, grads, sizeof grads);
  g->outputs = outs;
  g->n_outputs = 7;
  const pass_options po = {0};
  const session_options so = {.threads = 2};
  session *s = NULL;
  double first = 0, loss = 0;
  if (passes_run(m, &po, &e) || session_create(m, &so, &s, &e)) TEST_FAIL("%s", e.message);
  for (int step = 0; s && step < 40; step++) {
    if (session_run(s, ins, &e)) TEST_FAIL("%s", e.message);
    double now = tensor_f64(&session_output(s, 0)->tensor, 0);
    if (step == 0) first = now;
    if (step == 1) CHECK(now < first);
    loss = now;
    for (int i = 0; i < 6; i++) {
      const float *d = session_output(s, i + 1)->tensor.data;
      float *w = in[trained[i]].tensor.data;
      for (int64_t k = 0; k < tensor_elements(&in[trained[i]].tensor); k++) w[k] -= 0.2f * d[k];
    }
  }
  if (!(loss < first / 10)) TEST_FAIL("the loss fell from %g to %g", first, loss);
  session_destroy(s);
  for (int i = 0; i < 10; i++) value_deinit(&in[i]);
  model_destroy(m);
}

/* ---- ONNX's Gradient ---- */

static value_id whole_gradient(whole *w, const char *attrs, value_id a, value_id b) {
  tensor owned[1];
  int n_owned = 0;
  value_id out = graph_add_value(w->g, NULL);
  node *n = graph_add_node(w->g, "ai.onnx.preview.training", "Gradient", 1, "g", (value_id[]){a, b},
                           b == VALUE_ABSENT ? 1 : 2, &out, 1);
  op_test_attrs(w->g, n, attrs, owned, &n_owned);
  n->def = ops_find("ai.onnx.preview.training", "Gradient", 1);
  return out;
}

static ledge_status whole_expand(whole *w, value_id out, ledge_error *error) {
  const pass_options options = {.required_only = true};
  w->g->outputs = arena_alloc_array(&w->m->arena, 1, sizeof *w->g->outputs);
  w->g->outputs[0] = out;
  w->g->n_outputs = 1;
  return passes_run(w->m, &options, error);
}

static value_id whole_name(whole *w, value_id v, const char *name) {
  w->g->values[v].name = name;
  return v;
}

/* A gradient at another value than the one named; by zs; and of a gradient, with a node in between. */
static void test_operator(void) {
  double data[2] = {0.5, -1.5}, other[2] = {2, 3};
  const tensor in[2] = {{.dtype = LEDGE_F64, .rank = 1, .dims = {2}, .data = data},
                        {.dtype = LEDGE_F64, .rank = 1, .dims = {2}, .data = other}};
  ledge_error e = {0};
  for (int round = 0; round < 3; round++) {
    whole w = whole_begin();
    value_id x = whole_name(&w, whole_input(&w, 2), "x"), z = whole_input(&w, 2),
             h = whole_name(&w, whole_node(&w, "Mul", 14, x, x), "h"), d;
    whole_name(&w, whole_node(&w, "Mul", 14, h, x), "y"); /* x^3 */
    if (round == 0) {                                     /* at z: 3 z^2 */
      d = whole_gradient(&w, "xs=['x'] y='y'", z, VALUE_ABSENT);
    } else if (round == 1) { /* y = h x by h, at h = z, x as it is: x */
      d = whole_gradient(&w, "xs=['h'] zs=['x'] y='y'", z, x);
    } else { /* (3 x^2)^2 by x: 36 x^3 */
      value_id first = whole_gradient(&w, "xs=['x'] y='y'", x, VALUE_ABSENT);
      whole_name(&w, whole_node(&w, "Mul", 14, first, first), "square");
      d = whole_gradient(&w, "xs=['x'] y='square'", x, VALUE_ABSENT);
    }
    if (whole_expand(&w, d, &e)) TEST_FAIL("round %d: %s", round, e.message);
    for (int i = 0; i < 2; i++) {
      double want = round == 0 ? 3 * other[i] * other[i] : round == 1 ? data[i] : 36 * pow(data[i], 3);
      CHECK_NEAR(whole_at(&w, in, d, i), want, 1e-10);
    }
    model_destroy(w.m);
  }
  static const char *const wrong[] = {"xs=['x'] y='nothing'", "xs=['q'] y='x'", "xs=['x'] zs=['x'] y='x'", "y='x'"};
  for (int i = 0; i < 4; i++) {
    whole w = whole_begin();
    value_id x = whole_name(&w, whole_input(&w, 2), "x"), d = whole_gradient(&w, wrong[i], x, VALUE_ABSENT);
    CHECK_INT(whole_expand(&w, d, &e), LEDGE_ERROR_FORMAT);
    model_destroy(w.m);
  }
}

static void refused(const char *domain, const char *op, int version, const char *part) {
  whole w = whole_begin();
  value_id x = whole_input(&w, 2), grad, y = graph_add_value(w.g, NULL);
  node *n = graph_add_node(w.g, domain, op, version, "here", (value_id[]){x, x}, 2, &y, 1);
  n->def = ops_find(domain, op, version);
  ledge_error e = {0};
  CHECK_INT(gradient_build(w.g, y, &x, 1, &grad, &e), LEDGE_ERROR_UNSUPPORTED);
  if (!strstr(e.message, part) || !strstr(e.message, op)) TEST_FAIL("%s: %s", op, e.message);
  CHECK_STR(e.node, "here");
  CHECK_INT(gradient_build(w.g, y, &x, 1, &grad, NULL), LEDGE_ERROR_UNSUPPORTED);
  model_destroy(w.m);
}

static void test_refused(void) {
  refused("", "Loop", 13, "control flow");
  refused("", "If", 13, "control flow");
  refused("", "SequenceConstruct", 11, "sequences");
  refused("", "QuantizeLinear", 13, "rounds");
  refused("", "LinearAttention", 27, "no rule");
  refused("", "Add", 6, "version 7");
  refused("example", "Own", 1, "no rule");
}

/* Each allocation fails in turn: an error each time, and nothing lost (the sanitizers' business). */
static void test_memory(void) {
  int failed = 0;
  for (int i = 0; i < 400; i++) {
    whole w = whole_begin();
    value_id x = whole_input(&w, 4), grad = VALUE_ABSENT;
    value_id y = whole_node(&w, "Softmax", 13, whole_node(&w, "Gelu", 20, x, VALUE_ABSENT), VALUE_ABSENT);
    atomic_store(&mem_stats_global.fail_after, i);
    ledge_status status = gradient_build(w.g, y, &x, 1, &grad, NULL);
    bool reached = atomic_load(&mem_stats_global.fail_after) < 0;
    atomic_store(&mem_stats_global.fail_after, -1);
    if (status) CHECK_INT(status, LEDGE_ERROR_MEMORY);
    failed += status != LEDGE_OK;
    model_destroy(w.m);
    if (!reached) break; /* in shape inference a failure only leaves a shape unknown */
  }
  CHECK(failed > 3);
}

/* Each operator of the standard has a line in the table, whatever it says. */
static void test_listed(void) {
  for (int i = 0; ops_at(i); i++) {
    const op_def *d = ops_at(i);
    if (!d->domain[0] && strcmp(d->name, "SimplifiedLayerNormalization") &&
        gradient_kind_of("", d->name) == GRADIENT_UNLISTED)
      TEST_FAIL("%s is not listed", d->name);
  }
  CHECK_INT(gradient_kind_of("", "Conv"), GRADIENT_RULE);
  CHECK_INT(gradient_kind_of("", "Shape"), GRADIENT_ZERO);
  CHECK_INT(gradient_kind_of("", "Loop"), GRADIENT_REFUSED);
  CHECK_INT(gradient_kind_of("example", "Conv"), GRADIENT_UNLISTED);
}

TEST_MAIN({"listed", test_listed}, {"repeated_use", test_repeated_use}, {"random_graphs", test_random_graphs},
          {"zero", test_zero}, {"training", test_training}, {"operator", test_operator}, {"refused", test_refused},
          {"memory", test_memory}, {"arithmetic", test_arithmetic}, {"functions", test_functions},
          {"activations", test_activations}, {"moves", test_moves}, {"shapes", test_shapes}, {"resize", test_resize},
          {"sampling", test_sampling}, {"reductions", test_reductions}, {"losses", test_losses},
          {"products", test_products}, {"convolutions", test_convolutions}, {"columns", test_columns},
          {"convolution_kernels", test_convolution_kernels}, {"norms", test_norms}, {"pools", test_pools},
          {"attention", test_attention}, {"recurrent", test_recurrent})
