/* convert: the choice of a variant, the split over threads, and the integers' casts. */
#include "kernels/convert/convert.h"

#define VARIANT(isa, kernels) extern const convert_kernels kernels;
#include "kernels/convert/variants.def"
#undef VARIANT
static const convert_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/convert/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(convert, variants)

enum { GRAIN = 32768 }; /* elements worth waking a thread for */

typedef struct job {
  void (*widen)(const uint16_t *x, float *y, int64_t n);
  void (*narrow)(const float *x, uint16_t *y, int64_t n);
  const uint16_t *half_in;
  uint16_t *half_out;
  const float *float_in;
  float *float_out;
} job;

static void work(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  if (j->widen)
    j->widen(j->half_in + begin, j->float_out + begin, end - begin);
  else
    j->narrow(j->float_in + begin, j->half_out + begin, end - begin);
}

void convert_f16_to_f32(const uint16_t *x, float *y, int64_t n, pool *p) {
  job j = {.widen = convert_best()->f16_to_f32, .half_in = x, .float_out = y};
  if (n > 0) pool_run(p, n, GRAIN, work, &j);
}
void convert_bf16_to_f32(const uint16_t *x, float *y, int64_t n, pool *p) {
  job j = {.widen = convert_best()->bf16_to_f32, .half_in = x, .float_out = y};
  if (n > 0) pool_run(p, n, GRAIN, work, &j);
}
void convert_f32_to_f16(const float *x, uint16_t *y, int64_t n, pool *p) {
  job j = {.narrow = convert_best()->f32_to_f16, .float_in = x, .half_out = y};
  if (n > 0) pool_run(p, n, GRAIN, work, &j);
}
void convert_f32_to_bf16(const float *x, uint16_t *y, int64_t n, pool *p) {
  job j = {.narrow = convert_best()->f32_to_bf16, .float_in = x, .half_out = y};
  if (n > 0) pool_run(p, n, GRAIN, work, &j);
}

bool convert_int_to_f32(ledge_dtype from, const void *x, float *y, int64_t n) {
#define TO_FLOAT(T)                                                \
  for (int64_t i = 0; i < n; i++) y[i] = (float)((const T *)x)[i]; \
  return true
  switch (from) {
    case LEDGE_U8: TO_FLOAT(uint8_t);
    case LEDGE_I8: TO_FLOAT(int8_t);
    case LEDGE_I32: TO_FLOAT(int32_t);
    case LEDGE_I64: TO_FLOAT(int64_t);
    case LEDGE_BOOL:
      for (int64_t i = 0; i < n; i++) y[i] = ((const uint8_t *)x)[i] ? 1.0f : 0.0f;
      return true;
    default: return false;
  }
}

bool convert_f32_to_int(const float *x, ledge_dtype to, void *y, int64_t n) {
  switch (to) {
    case LEDGE_I32: /* the largest float below 2^31 is 2^31 - 128 */
      for (int64_t i = 0; i < n; i++) {
        float v = x[i] == x[i] ? x[i] : 0;
        int32_t inside = (int32_t)(v < -2147483648.0f ? -2147483648.0f : v > 2147483520.0f ? 2147483520.0f : v);
        ((int32_t *)y)[i] = v >= 2147483648.0f ? INT32_MAX : inside;
      }
      return true;
    case LEDGE_I64:
      for (int64_t i = 0; i < n; i++) {
        float v = x[i] == x[i] ? x[i] : 0;
        ((int64_t *)y)[i] = v >= 9223372036854775808.0f    ? INT64_MAX
                            : v <= -9223372036854775808.0f ? INT64_MIN
                                                           : (int64_t)v;
      }
      return true;
    case LEDGE_BOOL:
      for (int64_t i = 0; i < n; i++) ((uint8_t *)y)[i] = x[i] != 0;
      return true;
    default: return false;
  }
}
