/* kernels/qlinear: convolutions and sums of 8-bit numbers.
 *
 *   convolution   y = saturate(round((sum (x - x_zero) (w - w_zero) + bias) * multiplier[channel]) + y_zero)
 *   addition      y = saturate(round(((a - a_zero) a_scale + (b - b_zero) b_scale) / y_scale + y_zero))
 *
 * with exact int32 sums (modulo 2^32), float32 steps, and ties to even. Images are [batch,
 * channels, spatial...] or, channels_last, [batch, spatial..., channels]; weights [out, in / groups, kernel...]. A
 * convolution goes strip by strip of output pixels, each within one thread's caches:
 *
 *   x --transpose--> image [pixels, channels] --window--> rows [strip, k] --gemm_i8--> sums [strip, out] --scale--> y
 *
 * A convolution of one tap reads the image itself as its rows; a depthwise one (one channel a group) has no rows: the
 * sums come straight from the image. k is (tap, channel). Taps outside the image read x_zero, which adds nothing.
 * Aliasing: none allowed but addition's y == a or b. */
#ifndef KERNELS_QLINEAR_H
#define KERNELS_QLINEAR_H

#include "kernels/fixed/fixed.h"
#include "kernels/gemm_i8/gemm_i8.h"

/* The addition in the form that ONNX Runtime computes: fma(a, a_ratio, fma(b, b_ratio, fixed)), then rounded, with
 * a_ratio = a_scale / y_scale and fixed = y_zero - (a_ratio a_zero + b_ratio b_zero). A tie is one of the whole sum. */
typedef struct qlinear_add_params {
  float a_ratio, b_ratio, fixed;
  bool is_signed;
} qlinear_add_params;
qlinear_add_params qlinear_add_prepare(float a_scale, int32_t a_zero, float b_scale, int32_t b_zero, float y_scale,
                                       int32_t y_zero, bool is_signed);

typedef struct qlinear_kernels {
  /* sums[i] = start[i] + sum_t taps[t][i] * w[t * c + i] for i < c; taps are u8, or i8 where is_signed. */
  void (*depthwise)(const uint8_t *const *taps, int64_t n_taps, int64_t c, const int32_t *w, const int32_t *start,
                    int32_t *sums, bool is_signed);
  void (*add)(const qlinear_add_params *p, const void *a, const void *b, void *y, int64_t n);
} qlinear_kernels;
KERNEL_VARIANTS_DECLARE(qlinear);
extern const qlinear_kernels qlinear__ref;
/* The reference's add, for machines without fused multiply-add too. */
void qlinear_add_ref(const qlinear_add_params *p, const void *a, const void *b, void *y, int64_t n);

void qlinear_add(const qlinear_add_params *p, const void *a, const void *b, void *y, int64_t n, pool *threads);

enum { QLINEAR_CONV_RANK = 3, QLINEAR_CONV_TAPS_MAX = 4096 };

typedef struct qlinear_conv_params {
  int64_t batch, channels_in, channels_out, groups;
  int rank; /* spatial dims, 1 to 3 */
  int64_t in[QLINEAR_CONV_RANK], out[QLINEAR_CONV_RANK], kernel[QLINEAR_CONV_RANK], stride[QLINEAR_CONV_RANK],
      dilation[QLINEAR_CONV_RANK], pad_begin[QLINEAR_CONV_RANK];
  bool channels_last, x_signed, w_signed, y_signed;
  bool sums; /* y is the int32 sums themselves */
  int32_t x_zero, y_zero;
  int threads;
} qlinear_conv_params;

typedef struct qlinear_conv_plan {
  qlinear_conv_params params; /* its dims brought to rank 3 */
  const gemm_i8_kernels *gemm;
  bool depthwise, direct;
  int64_t taps, k, in_span, out_span, strip, n_strips;
  size_t packed_bytes, temp_bytes, scratch_bytes;
  size_t group_bytes, sums_at, weights_at;                         /* of the packing */
  size_t image_bytes, worker_bytes, rows_at, lines_at, windows_at; /* of the scratch */
} qlinear_conv_plan;

/* False where it does not fit: more than 3 spatial dims, too many taps, sizes that overflow, nothing to do. */
bool qlinear_conv_plan_init(qlinear_conv_plan *s, const qlinear_conv_params *p);
/* packed: packed_bytes, zeroed, 64-byte aligned; temp: temp_bytes. w_zero holds n_zero (1 or channels_out) of w's type,
 * NULL means 0. */
void qlinear_conv_pack(const qlinear_conv_plan *s, const void *w, const void *w_zero, int64_t n_zero, void *packed,
                       void *temp);
/* bias (or NULL) and multiplier hold channels_out numbers; both are ignored where y is sums. scratch: scratch_bytes,
 * 64-byte aligned; threads has at most params.threads threads. */
void qlinear_conv_run(const qlinear_conv_plan *s, const void *x, const void *packed, const int32_t *bias,
                      const float *multiplier, void *y, void *scratch, pool *threads);
/* The same with TensorFlow Lite's rounding: f has channels_out columns. */
void qlinear_conv_run_fixed(const qlinear_conv_plan *s, const void *x, const void *packed, const fixed_columns *f,
                            void *y, void *scratch, pool *threads);

#endif
