/* bench/kernels_ops: every variant that this machine can run of the kernels beside gemm and convolution, one thread.
 *
 *   bench_kernels_ops [PART-OF-A-NAME]       rows: kernel and size; columns: variants, in 10^9 elements (or operations)
 *                                            a second, or GB/s of bytes read and written where the row says so
 */
#include "bench.h"
#include "kernels/attention/attention.h"
#include "kernels/binary/binary.h"
#include "kernels/convert/convert.h"
#include "kernels/copy/copy.h"
#include "kernels/gemm_i8/gemm_i8.h"
#include "kernels/norm/norm.h"
#include "kernels/pooling/pooling.h"
#include "kernels/quantize/quantize.h"
#include "kernels/reduce/reduce.h"
#include "kernels/resize/resize.h"
#include "kernels/rnn/rnn.h"
#include "kernels/softmax/softmax.h"
#include "kernels/unary/unary.h"

enum { FLOATS = 1 << 20, L1 = 4096 };
static float *x, *y, *z; /* FLOATS each */
static const char *wanted;

/* What a call runs: the variant's kernels and the row's numbers. */
typedef struct call {
  const void *kernels;
  int64_t n, m, k;
  int kind;
  int repeats;
} call;

static double seconds(void (*run)(void *), call *c) { /* of one repetition */
  c->repeats = 1;
  double once = bench_seconds(run, c);
  c->repeats = once < 50e-6 ? (int)(50e-6 / (once + 1e-9)) + 1 : 1;
  return bench_seconds(run, c) / c->repeats;
}

/* A line: the rate of each variant, `work` units a call. */
#define ROW(op, title, run, numbers, work)                                                       \
  do {                                                                                           \
    if (wanted && !strstr(#op " " title, wanted)) break;                                         \
    size_t n_variants;                                                                           \
    const op##_variant *v = op##_variants(&n_variants);                                          \
    printf("%-10s %-34s", #op, title);                                                           \
    for (size_t i = 0; i < n_variants; i++) {                                                    \
      if (v[i].isa & ~cpu_isa_available()) continue;                                             \
      call c = numbers;                                                                          \
      c.kernels = v[i].kernels;                                                                  \
      printf("  %s %7.2f", strstr(v[i].name, "__") + 2, (double)(work)*1e-9 / seconds(run, &c)); \
    }                                                                                            \
    putchar('\n');                                                                               \
  } while (0)
#define REPEAT(type)          \
  const type *f = c->kernels; \
  for (int repeat = 0; repeat < c->repeats; repeat++)

static void run_unary(void *arg) {
  const call *c = arg;
  const unary_op op = {(unary_kind)c->kind, 1, 1};
  REPEAT(unary_kernels) f->f32(&op, x, y, c->n);
}
static void run_binary(void *arg) {
  const call *c = arg;
  const binary_op op = {BINARY_ADD, false, 0, 0};
  const binary_operand a = {x, c->n, 1}, b = {z, c->kind ? 1 : c->n, c->kind ? 0 : 1};
  REPEAT(binary_kernels) f->f32_2d(&op, c->m, c->n, a, b, y, c->n);
}
static void run_transpose(void *arg) {
  const call *c = arg;
  REPEAT(copy_kernels)(&f->transpose_1)[c->kind](c->m, c->n, x, c->n + 16, y, c->m + 16);
}
static void run_pooling(void *arg) {
  const call *c = arg;
  int64_t out = (c->n + 2 - 3) / 2 + 1;
  const pooling_shape s = {1, c->m, c->n, c->n, out, out, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, false};
  REPEAT(pooling_kernels) {
    for (int64_t i = 0; i < (c->kind ? c->m : out); i++) {
      if (c->kind)
        f->max_nchw_plane(&s, x + i * c->n * c->n, y + i * out * out);
      else
        f->max_nhwc_row(&s, x, i, y + i * out * c->m);
    }
  }
}
static void run_softmax(void *arg) {
  const call *c = arg;
  const softmax_options o = {.log = false};
  REPEAT(softmax_kernels)
  for (int64_t r = 0; r < c->m; r++) f->row(&o, NULL, x + r * c->n, y + r * c->n, c->n);
}
static void run_norm(void *arg) {
  const call *c = arg;
  const norm_row_options o = {.epsilon = 1e-5f, .rms = c->kind, .scale = z, .bias = c->kind ? NULL : z + c->n};
  REPEAT(norm_kernels) f->rows(&o, x, y, c->m, c->n);
}
static void run_affine(void *arg) {
  const call *c = arg;
  REPEAT(norm_kernels) f->affine_rows(x, c->n, y, c->n, c->m, c->n, NULL, z, z + c->n, 0, INFINITY);
}
static volatile double sink;
static void run_reduce(void *arg) {
  const call *c = arg;
  REPEAT(reduce_kernels) sink = f->run((reduce_kind)c->kind, x, c->n);
}
static void run_columns(void *arg) {
  const call *c = arg;
  double acc[2048];
  REPEAT(reduce_kernels) f->columns(REDUCE_SUM, x, c->m, c->n, c->n, acc);
}
static void run_attention(void *arg) {
  const call *c = arg;
  const attention_shape s = {.batch = 1,
                             .q_heads = 1,
                             .kv_heads = 1,
                             .q_len = c->m,
                             .kv_len = c->n,
                             .head_dim = c->k,
                             .v_dim = c->k,
                             .scale = 0.1f,
                             .window_left = -1,
                             .window_right = -1};
  const attention_view rows = {x, 0, 0, 3 * c->k}, keys = {x + FLOATS / 2, 0, 0, 3 * c->k};
  const attention_tensors t = {rows, keys, keys, y, 0, 0, c->k};
  REPEAT(attention_kernels)
  for (int64_t r = 0; r < c->m; r += ATTENTION_ROWS)
    f->block(&s, &t, 0, 0, r, r + ATTENTION_ROWS < c->m ? r + ATTENTION_ROWS : c->m, z);
}
static void run_rnn(void *arg) {
  const call *c = arg;
  REPEAT(rnn_kernels) {
    if (c->kind)
      f->gru(x, z, z, y, c->n, INFINITY);
    else
      f->lstm(x, z, y, y + c->n, c->n, INFINITY);
  }
}
static void run_resize(void *arg) {
  const call *c = arg;
  static int32_t lo[512], hi[512];
  static float weight[512];
  for (int i = 0; i < 512; i++) lo[i] = i / 2, hi[i] = i / 2 + (i < 510), weight[i] = 0.5f;
  const resize_taps taps = {lo, hi, weight, weight};
  const resize_shape s = {1, 2, c->n / 2 + 1, 4, c->n, c->m};
  REPEAT(resize_kernels) f->linear_row(&s, x, x + (c->n / 2 + 1) * c->m, 0.25f, 0.75f, &taps, y);
}
static void run_convert(void *arg) {
  const call *c = arg;
  REPEAT(convert_kernels) {
    if (c->kind == 0) f->f16_to_f32((const uint16_t *)(const void *)z, y, c->n);
    if (c->kind == 1) f->f32_to_f16(x, (uint16_t *)(void *)y, c->n);
    if (c->kind == 2) f->f32_to_bf16(x, (uint16_t *)(void *)y, c->n);
  }
}
static void run_quantize(void *arg) {
  const call *c = arg;
  REPEAT(quantize_kernels) {
    if (c->kind == 0) f->quantize(x, y, c->n, 0.01f, 3, true);
    if (c->kind == 1) f->dequantize(z, y, c->n, 0.01f, 3, true);
    if (c->kind == 2)
      f->requantize_columns((const int32_t *)(const void *)z, 64, y, 64, c->n / 64, 64, NULL, x, 3, true);
  }
}
static void run_gemm_i8(void *arg) {
  const call *c = arg;
  static const void *packed_for;
  static gemm_i8_b b;
  static int64_t n, k;
  const gemm_i8_kernels *kernels = c->kernels;
  if (packed_for != kernels || n != c->n || k != c->k) {
    b = gemm_i8_pack(kernels, c->k, c->n, x, c->n, 1, true, NULL, 1, z);
    packed_for = kernels, n = c->n, k = c->k;
  }
  for (int repeat = 0; repeat < c->repeats; repeat++)
    gemm_i8(c->m, x + FLOATS / 2, c->k, false, 3, &b, (int32_t *)(void *)y, c->n, NULL);
}

#define NUMBERS(...) ((call){__VA_ARGS__})
static void elementwise_rows(void) {
#define UNARY(kind_, title) ROW(unary, title, run_unary, NUMBERS(.n = L1, .kind = kind_), L1)
  UNARY(UNARY_RELU, "relu");
  UNARY(UNARY_EXP, "exp");
  UNARY(UNARY_LOG, "log");
  UNARY(UNARY_TANH, "tanh");
  UNARY(UNARY_SIGMOID, "sigmoid");
  UNARY(UNARY_SILU, "silu");
  UNARY(UNARY_HARD_SWISH, "hard swish");
  UNARY(UNARY_GELU_ERF, "gelu (erf)");
  UNARY(UNARY_GELU_TANH, "gelu (tanh)");
  UNARY(UNARY_SIN, "sin");
  ROW(binary, "add in L1, GB/s", run_binary, NUMBERS(.n = 2048, .m = 1), 2048 * 12);
  ROW(binary, "add of 4 MB, GB/s", run_binary, NUMBERS(.n = FLOATS, .m = 1), FLOATS * 12.0);
  ROW(binary, "960 x 49 + a column", run_binary, NUMBERS(.n = 49, .m = 960, .kind = 1), 960 * 49);
  ROW(convert, "float16 to float32", run_convert, NUMBERS(.n = L1, .kind = 0), L1);
  ROW(convert, "float32 to float16", run_convert, NUMBERS(.n = L1, .kind = 1), L1);
  ROW(convert, "float32 to bfloat16", run_convert, NUMBERS(.n = L1, .kind = 2), L1);
  ROW(quantize, "float32 to i8", run_quantize, NUMBERS(.n = L1, .kind = 0), L1);
  ROW(quantize, "i8 to float32", run_quantize, NUMBERS(.n = L1, .kind = 1), L1);
  ROW(quantize, "int32 to i8", run_quantize, NUMBERS(.n = L1, .kind = 2), L1);
}

static void movement_rows(void) {
  ROW(copy, "64 x 64 of 1 byte, GB/s", run_transpose, NUMBERS(.n = 64, .m = 64, .kind = 0), 2 * 4096);
  ROW(copy, "64 x 64 of 4 bytes, GB/s", run_transpose, NUMBERS(.n = 64, .m = 64, .kind = 2), 8 * 4096);
  ROW(pooling, "max 3x3/2 of 64x112x112 NHWC, GB/s", run_pooling, NUMBERS(.n = 112, .m = 64), 4.0 * 64 * 112 * 140);
  ROW(pooling, "max 3x3/2 of 64x112x112 NCHW, GB/s", run_pooling, NUMBERS(.n = 112, .m = 64, .kind = 1),
      4.0 * 64 * 112 * 140);
  ROW(resize, "bilinear row to 512, NCHW", run_resize, NUMBERS(.n = 512, .m = 1), 512);
  ROW(resize, "bilinear row to 56 x 64, NHWC", run_resize, NUMBERS(.n = 56, .m = 64), 56 * 64);
}

static void row_rows(void) {
  ROW(softmax, "rows of 49", run_softmax, NUMBERS(.n = 49, .m = 80), 49 * 80);
  ROW(softmax, "rows of 1000", run_softmax, NUMBERS(.n = 1000, .m = 4), 4000);
  ROW(norm, "layer norm, rows of 384", run_norm, NUMBERS(.n = 384, .m = 128), 384 * 128);
  ROW(norm, "RMS norm, rows of 2048", run_norm, NUMBERS(.n = 2048, .m = 16, .kind = 1), 2048 * 16);
  ROW(norm, "batch norm, NHWC 49 x 512", run_affine, NUMBERS(.n = 512, .m = 49), 512 * 49);
  ROW(reduce, "sum", run_reduce, NUMBERS(.n = L1, .kind = REDUCE_SUM), L1);
  ROW(reduce, "max", run_reduce, NUMBERS(.n = L1, .kind = REDUCE_MAX), L1);
  ROW(reduce, "mean of 49 x 1280, NHWC", run_columns, NUMBERS(.n = 1280, .m = 49), 1280 * 49);
  ROW(rnn, "LSTM step of 128, units", run_rnn, NUMBERS(.n = 128), 128);
  ROW(rnn, "GRU step of 128, units", run_rnn, NUMBERS(.n = 128, .kind = 1), 128);
}

static void product_rows(void) {
#define ATTENTION(q, keys, d, title) \
  ROW(attention, title, run_attention, NUMBERS(.m = q, .n = keys, .k = d), 4.0 * q * keys * d)
  ATTENTION(128, 128, 32, "128 x 128, 32, GFLOP");
  ATTENTION(50, 50, 64, "50 x 50, 64, GFLOP");
  ATTENTION(512, 512, 64, "512 x 512, 64, GFLOP");
  ATTENTION(1, 512, 64, "1 x 512, 64, GFLOP");
#define GEMM_I8(m_, n_, k_, title) \
  ROW(gemm_i8, title, run_gemm_i8, NUMBERS(.m = m_, .n = n_, .k = k_), 2.0 * m_ * n_ * k_)
  GEMM_I8(384, 384, 384, "384 x 384 x 384, GOP");
  GEMM_I8(784, 64, 128, "784 x 64 x 128, GOP");
  GEMM_I8(1, 1000, 1280, "1 x 1000 x 1280, GOP");
}

int main(int argc, char **argv) {
  wanted = argc > 1 ? argv[1] : NULL;
  rng r;
  rng_init(&r, 1);
  x = bench_random(&r, FLOATS), y = bench_random(&r, FLOATS), z = bench_random(&r, FLOATS);
  elementwise_rows();
  movement_rows();
  row_rows();
  product_rows();
  mem_free(x), mem_free(y), mem_free(z);
  return 0;
}
