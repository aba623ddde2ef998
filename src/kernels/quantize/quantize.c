/* quantize: the choice of a variant, and the split over threads: stretches of elements, rows, or planes. */
#include "kernels/quantize/quantize.h"

#include <math.h>

#define VARIANT(isa, kernels) extern const quantize_kernels kernels;
#include "kernels/quantize/variants.def"
#undef VARIANT
static const quantize_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/quantize/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(quantize, variants)

enum { GRAIN = 16384 }; /* elements worth waking a thread for */

typedef struct job {
  const quantize_kernels *k;
  bool back; /* to float32 */
  const float *x;
  const uint8_t *q_in;
  uint8_t *q_out;
  float *y;
  int64_t channels, inner;
  const float *scale;
  const void *zero_point;
  bool is_signed;
} job;

static int32_t zero_at(const job *j, int64_t c) {
  if (!j->zero_point) return 0;
  return j->is_signed ? ((const int8_t *)j->zero_point)[c] : ((const uint8_t *)j->zero_point)[c];
}

static void run(const job *j, int64_t at, int64_t n, int64_t c) {
  if (j->back)
    j->k->dequantize(j->q_in + at, j->y + at, n, j->scale[c], zero_at(j, c), j->is_signed);
  else
    j->k->quantize(j->x + at, j->q_out + at, n, j->scale[c], zero_at(j, c), j->is_signed);
}

static void work_elements(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  run(arg, begin, end - begin, 0);
}

static void work_planes(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  for (int64_t i = begin; i < end; i++) run(j, i * j->inner, j->inner, i % j->channels);
}

static void work_rows(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  int64_t at = begin * j->channels, rows = end - begin;
  if (j->back)
    j->k->dequantize_columns(j->q_in + at, j->y + at, rows, j->channels, j->scale, j->zero_point, j->is_signed);
  else
    j->k->quantize_columns(j->x + at, j->q_out + at, rows, j->channels, j->scale, j->zero_point, j->is_signed);
}

static void run_job(job *j, int64_t outer, pool *p) {
  if (outer <= 0 || j->channels <= 0 || j->inner <= 0) return;
  if (j->channels == 1)
    pool_run(p, outer * j->inner, GRAIN, work_elements, j);
  else if (j->inner == 1)
    pool_run(p, outer, GRAIN / j->channels + 1, work_rows, j);
  else
    pool_run(p, outer * j->channels, GRAIN / j->inner + 1, work_planes, j);
}

void quantize_f32(const float *x, void *y, int64_t outer, int64_t channels, int64_t inner, const float *scale,
                  const void *zero_point, bool is_signed, pool *p) {
  job j = {.k = quantize_best(),
           .x = x,
           .q_out = y,
           .channels = channels,
           .inner = inner,
           .scale = scale,
           .zero_point = zero_point,
           .is_signed = is_signed};
  run_job(&j, outer, p);
}

void quantize_dequantize_f32(const void *x, float *y, int64_t outer, int64_t channels, int64_t inner,
                             const float *scale, const void *zero_point, bool is_signed, pool *p) {
  job j = {.k = quantize_best(),
           .back = true,
           .q_in = x,
           .y = y,
           .channels = channels,
           .inner = inner,
           .scale = scale,
           .zero_point = zero_point,
           .is_signed = is_signed};
  run_job(&j, outer, p);
}

typedef struct requantize_job {
  const quantize_kernels *k;
  const int32_t *acc, *bias;
  int64_t acc_row, y_row, c;
  uint8_t *y;
  const float *multiplier;
  int32_t zero_point;
  bool is_signed;
} requantize_job;

static void work_requantize(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const requantize_job *j = arg;
  j->k->requantize_columns(j->acc + begin * j->acc_row, j->acc_row, j->y + begin * j->y_row, j->y_row, end - begin,
                           j->c, j->bias, j->multiplier, j->zero_point, j->is_signed);
}

void quantize_requantize(const int32_t *acc, int64_t acc_row, void *y, int64_t y_row, int64_t rows, int64_t c,
                         const int32_t *bias, const float *multiplier, int32_t zero_point, bool is_signed, pool *p) {
  requantize_job j = {quantize_best(), acc, bias, acc_row, y_row, c, y, multiplier, zero_point, is_signed};
  if (rows > 0 && c > 0) pool_run(p, rows, GRAIN / c + 1, work_requantize, &j);
}

void quantize_dynamic_u8(const float *x, uint8_t *y, int64_t n, float *ret_scale, uint8_t *ret_zero_point, pool *p) {
  float lo, hi;
  quantize_best()->range(x, n, &lo, &hi);
  float scale = (lo == hi ? 1.0f : hi - lo) / 255.0f;
  float zero = rintf(-lo / scale);
  uint8_t zero_point = (uint8_t)(zero < 0 ? 0 : zero > 255 ? 255 : zero);
  *ret_scale = scale, *ret_zero_point = zero_point;
  quantize_f32(x, y, 1, 1, n, &scale, &zero_point, false, p);
}
