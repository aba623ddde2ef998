/* passes/gradient: every rule against finite differences (grad_test.h). */
#include "grad_test.h"

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
        {"Swish", 24, "alpha=1.3", {"x[7]"}}, {"Gelu", 20, "", {"x[7]"}}, {"Gelu", 20, "approximate='tanh'", {"x[7]"}},
        {"com.microsoft:Gelu", 1, "", {"x[7]"}}, {"com.microsoft:FastGelu", 1, "", {"x[2x7]", "x[7]"}},
        {"com.microsoft:BiasGelu", 1, "", {"x[2x7]", "x[7]"}}, {"com.microsoft:QuickGelu", 1, "", {"x[7]"}},
        {"Clip", 13, "", {"d[9]", "f64[] -0.2", "f64[] 0.3"}}, {"Clip", 13, "", {"d[9]", "-", "f64[] 0.3"}},
        {"Clip", 13, "", {"d[9]", "f64[] -0.2"}}, {"Clip", 13, "", {"d[9]"}}, {"Clip", 6, "min=-0.2 max=0.3", {"d[9]"}},
        {"Clip", 13, "", {"d[9]", "u[]", "p[]"}}, {"Dropout", 13, "", {"x[7]"}}, {"Dropout", 7, "", {"x[7]"}},
        {"Dropout", 13, "seed=3", {"x[40]", "f64[] 0.3", "bool[] 1"}, "Lo"},
        {"Dropout", 13, "seed=3", {"x[40]", "f64[] 0.3", "bool[] 1"}, "L"},
        {"Dropout", 13, "seed=3", {"x[40]", "f64[] 0.3", "bool[] 0"}, "Lo"});
}

static void test_moves(void) {
  CASES({"Slice", 13, "", {"x[4x5]", "i64[2] 1 3", "i64[2] 4 -6", "i64[2] 0 1", "i64[2] 2 -1"}},
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
        {"CumProd", 26, "", {"p[2x4]", "i32[] 1"}}, {"CumProd", 26, "exclusive=1 reverse=1", {"p[2x4]", "i32[] 1"}},
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

TEST_MAIN({"arithmetic", test_arithmetic}, {"functions", test_functions}, {"activations", test_activations},
          {"moves", test_moves}, {"shapes", test_shapes}, {"resize", test_resize}, {"reductions", test_reductions},
          {"losses", test_losses}, {"products", test_products}, {"convolutions", test_convolutions},
          {"norms", test_norms}, {"pools", test_pools}, {"attention", test_attention})
