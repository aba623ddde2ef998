/* qlinear: the choice of a variant, packing, and the split over threads. */
#include "kernels/qlinear/qlinear.h"
#include "kernels/copy/copy.h"
#include "kernels/quantize/quantize.h"

#include <string.h>

#define VARIANT(isa, kernels) extern const qlinear_kernels kernels;
#include "kernels/qlinear/variants.def"
#undef VARIANT
static const qlinear_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/qlinear/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(qlinear, variants)

enum {
  GRAIN = 16384,        /* bytes of an addition worth waking a thread for */
  STRIP_SUMS = 24576,   /* sums of a strip: 96 KiB */
  STRIP_ROWS = 1 << 18, /* bytes of a strip's rows */
  STRIP_LEAST = 48,     /* pixels: a product of fewer rows wastes what it loads of the weights */
};

/* ---- addition ---- */

typedef struct add_job {
  const qlinear_add_params *p;
  const uint8_t *a, *b;
  uint8_t *y;
} add_job;

static void work_add(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const add_job *j = arg;
  qlinear_best()->add(j->p, j->a + begin, j->b + begin, j->y + begin, end - begin);
}

void qlinear_add(const qlinear_add_params *p, const void *a, const void *b, void *y, int64_t n, pool *threads) {
  add_job j = {p, a, b, y};
  if (n > 0) pool_run(threads, n, GRAIN, work_add, &j);
}

/* ---- the plan of a convolution ---- */

static bool multiply(int64_t *total, int64_t by) { return by >= 0 && !__builtin_mul_overflow(*total, by, total); }
static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* dst's dims, behind leading ones of size 1. */
static void widen(int rank, const int64_t *from, int64_t leading, int64_t *to) {
  for (int i = 0; i < QLINEAR_CONV_RANK; i++) {
    int at = i - (QLINEAR_CONV_RANK - rank);
    to[i] = at < 0 ? leading : from[at];
  }
}

static bool plan_spans(qlinear_conv_plan *s, const qlinear_conv_params *p) {
  s->taps = s->in_span = s->out_span = 1;
  bool plain = true;
  for (int i = 0; i < p->rank; i++) {
    if (!multiply(&s->taps, p->kernel[i]) || !multiply(&s->in_span, p->in[i]) || !multiply(&s->out_span, p->out[i]))
      return false;
    plain = plain && p->stride[i] == 1 && p->pad_begin[i] == 0 && p->out[i] == p->in[i];
  }
  s->direct = plain && s->taps == 1;
  int64_t in_bytes = p->batch, out_bytes = p->batch;
  if (!multiply(&in_bytes, s->in_span) || !multiply(&in_bytes, p->channels_in) || !multiply(&out_bytes, s->out_span) ||
      !multiply(&out_bytes, p->channels_out) || out_bytes > INT64_MAX / 16)
    return false;
  return s->taps <= QLINEAR_CONV_TAPS_MAX && in_bytes > 0 && out_bytes > 0 && s->taps > 0;
}

static void plan_scratch(qlinear_conv_plan *s) {
  const qlinear_conv_params *p = &s->params;
  int64_t strip = STRIP_SUMS / p->channels_out;
  if (!s->direct && strip > STRIP_ROWS / s->k) strip = STRIP_ROWS / s->k;
  if (strip < STRIP_LEAST) strip = STRIP_LEAST;
  s->n_strips = (s->out_span + strip - 1) / strip;
  s->strip = (s->out_span + s->n_strips - 1) / s->n_strips;
  s->n_strips = (s->out_span + s->strip - 1) / s->strip;
  size_t n = (size_t)s->strip, out = (size_t)p->channels_out;
  s->image_bytes = p->channels_last ? 0 : aligned((size_t)s->in_span * (size_t)p->channels_in);
  s->rows_at = aligned(n * out * sizeof(int32_t));
  s->lines_at = s->rows_at + (s->direct || s->depthwise ? 0 : aligned(n * (size_t)s->k));
  s->windows_at = s->lines_at + (p->channels_last || p->sums ? 0 : aligned(n * out));
  s->worker_bytes = s->windows_at + aligned((size_t)s->taps * (sizeof(int64_t) + sizeof(void *)));
  /* Behind the image, a pixel of zero points for the taps outside. */
  s->scratch_bytes = s->image_bytes + aligned((size_t)p->channels_in) + (size_t)p->threads * s->worker_bytes;
}

bool qlinear_conv_plan_init(qlinear_conv_plan *s, const qlinear_conv_params *p) {
  *s = (qlinear_conv_plan){.params = *p, .gemm = gemm_i8_choose()};
  if (p->rank < 1 || p->rank > QLINEAR_CONV_RANK || p->groups < 1 || !plan_spans(s, p)) return false;
  qlinear_conv_params *q = &s->params;
  widen(p->rank, p->in, 1, q->in), widen(p->rank, p->out, 1, q->out), widen(p->rank, p->kernel, 1, q->kernel);
  widen(p->rank, p->stride, 1, q->stride), widen(p->rank, p->dilation, 1, q->dilation);
  widen(p->rank, p->pad_begin, 0, q->pad_begin);
  q->rank = QLINEAR_CONV_RANK;
  if (q->threads < 1) q->threads = 1;
  int64_t in_group = p->channels_in / p->groups, out_group = p->channels_out / p->groups;
  s->depthwise = in_group == 1 && out_group == 1;
  s->k = s->taps;
  if (!multiply(&s->k, in_group)) return false;
  if (s->depthwise) {
    s->weights_at = aligned((size_t)p->channels_out * sizeof(int32_t));
    s->packed_bytes = s->weights_at + (size_t)s->taps * (size_t)p->channels_out * sizeof(int32_t);
  } else {
    s->group_bytes = gemm_i8_packed_bytes(s->gemm, s->k, out_group);
    if (s->group_bytes > SIZE_MAX / 2 / (size_t)p->groups) return false;
    s->group_bytes = aligned(s->group_bytes);
    s->packed_bytes = s->group_bytes * (size_t)p->groups;
    if (s->taps > 1) s->temp_bytes = (size_t)s->k * (size_t)out_group;
  }
  plan_scratch(s);
  return true;
}

/* ---- packing ---- */

static int32_t byte_at(const void *p, int64_t i, bool is_signed) {
  return is_signed ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

/* [taps][channels] of w - w_zero, and in front what x's zero point takes away. */
static void pack_depthwise(const qlinear_conv_plan *s, const void *w, const void *w_zero, int64_t n_zero,
                           char *packed) {
  const qlinear_conv_params *p = &s->params;
  int32_t *start = (int32_t *)(void *)packed, *to = (int32_t *)(void *)(packed + s->weights_at);
  for (int64_t c = 0; c < p->channels_out; c++) {
    int32_t zero = w_zero ? byte_at(w_zero, n_zero == 1 ? 0 : c, p->w_signed) : 0;
    uint32_t sum = 0;
    for (int64_t t = 0; t < s->taps; t++) {
      int32_t v = byte_at(w, c * s->taps + t, p->w_signed) - zero;
      to[t * p->channels_out + c] = v;
      sum += (uint32_t)v;
    }
    start[c] = (int32_t)(0 - sum * (uint32_t)p->x_zero);
  }
}

void qlinear_conv_pack(const qlinear_conv_plan *s, const void *w, const void *w_zero, int64_t n_zero, void *packed,
                       void *temp) {
  const qlinear_conv_params *p = &s->params;
  if (s->depthwise) {
    pack_depthwise(s, w, w_zero, n_zero, packed);
    return;
  }
  int64_t in_group = p->channels_in / p->groups, out_group = p->channels_out / p->groups;
  for (int64_t g = 0; g < p->groups; g++) {
    const uint8_t *from = (const uint8_t *)w + g * out_group * s->k;
    const uint8_t *zero = (const uint8_t *)w_zero;
    if (s->taps > 1) { /* [out, channel, tap] to [out, tap, channel] */
      for (int64_t m = 0; m < out_group; m++)
        copy_transpose_2d(1, in_group, s->taps, from + m * s->k, s->taps, (uint8_t *)temp + m * s->k, in_group, NULL);
      from = temp;
    }
    if (zero && n_zero > 1) zero += g * out_group;
    (void)gemm_i8_pack(s->gemm, s->k, out_group, from, 1, s->k, p->w_signed, zero, n_zero > 1 ? out_group : 1,
                       (char *)packed + (size_t)g * s->group_bytes);
  }
}

/* ---- the run ---- */

typedef struct conv_job {
  const qlinear_conv_plan *s;
  const qlinear_kernels *kernels;
  const uint8_t *image, *outside; /* of one batch: [pixels, channels]; a pixel of zero points */
  const char *packed;
  const int32_t *bias;
  const float *multiplier;
  const fixed_columns *fixed; /* instead of bias and multiplier; NULL: those */
  char *y;                    /* of one batch */
  char *workers;
} conv_job;

/* Where each tap of a pixel's window reads: the element of the image, or -1 outside. */
static void window_of(const qlinear_conv_plan *s, int64_t pixel, int64_t *from) {
  const qlinear_conv_params *p = &s->params;
  int64_t base[QLINEAR_CONV_RANK], t = 0;
  for (int i = QLINEAR_CONV_RANK - 1; i >= 0; i--) {
    base[i] = pixel % p->out[i] * p->stride[i] - p->pad_begin[i];
    pixel /= p->out[i];
  }
  for (int64_t z = 0; z < p->kernel[0]; z++) {
    int64_t at_z = base[0] + z * p->dilation[0];
    for (int64_t y = 0; y < p->kernel[1]; y++) {
      int64_t at_y = base[1] + y * p->dilation[1];
      bool in = at_z >= 0 && at_z < p->in[0] && at_y >= 0 && at_y < p->in[1];
      int64_t row = (at_z * p->in[1] + at_y) * p->in[2];
      for (int64_t x = 0; x < p->kernel[2]; x++) {
        int64_t at_x = base[2] + x * p->dilation[2];
        from[t++] = in && at_x >= 0 && at_x < p->in[2] ? (row + at_x) * p->channels_in : -1;
      }
    }
  }
}

/* One row of the product: (tap, channel) of group g; taps that stand side by side in the image are one copy. */
static void gather_row(const conv_job *j, const int64_t *from, int64_t g, uint8_t *row) {
  const qlinear_conv_params *p = &j->s->params;
  int64_t channels = p->channels_in / p->groups, taps = j->s->taps;
  for (int64_t t = 0, run; t < taps; t += run) {
    run = 1;
    if (from[t] < 0) {
      memset(row + t * channels, (uint8_t)p->x_zero, (size_t)channels);
      continue;
    }
    while (p->groups == 1 && t + run < taps && from[t + run] == from[t] + run * channels) run++;
    memcpy(row + t * channels, j->image + from[t] + g * channels, (size_t)(run * channels));
  }
}

static void strip_products(const conv_job *j, int64_t at, int64_t n, char *own, int32_t *sums) {
  const qlinear_conv_plan *s = j->s;
  const qlinear_conv_params *p = &s->params;
  int64_t *from = (int64_t *)(void *)(own + s->windows_at);
  int64_t in_group = p->channels_in / p->groups, out_group = p->channels_out / p->groups;
  for (int64_t g = 0; g < p->groups; g++) {
    gemm_i8_b b = {s->gemm, j->packed + (size_t)g * s->group_bytes, s->k, out_group};
    const uint8_t *rows = j->image + at * p->channels_in + g * in_group;
    int64_t stride = p->channels_in;
    if (!s->direct) {
      uint8_t *gathered = (uint8_t *)own + s->rows_at;
      for (int64_t i = 0; i < n; i++) {
        window_of(s, at + i, from);
        gather_row(j, from, g, gathered + i * s->k);
      }
      rows = gathered, stride = s->k;
    }
    gemm_i8(n, rows, stride, p->x_signed, p->x_zero, &b, sums + g * out_group, p->channels_out, NULL);
  }
}

static void strip_depthwise(const conv_job *j, int64_t at, int64_t n, char *own, int32_t *sums) {
  const qlinear_conv_plan *s = j->s;
  int64_t c = s->params.channels_out, *from = (int64_t *)(void *)(own + s->windows_at);
  const uint8_t **taps = (const uint8_t **)(void *)(from + s->taps);
  const int32_t *start = (const int32_t *)(const void *)j->packed,
                *w = (const int32_t *)(const void *)(j->packed + s->weights_at);
  for (int64_t i = 0; i < n; i++) {
    window_of(s, at + i, from);
    for (int64_t t = 0; t < s->taps; t++) taps[t] = from[t] < 0 ? j->outside : j->image + from[t];
    j->kernels->depthwise(taps, s->taps, c, w, start, sums + i * c, s->params.x_signed);
  }
}

static void work_strips(void *arg, int64_t begin, int64_t end, int worker) {
  const conv_job *j = arg;
  const qlinear_conv_plan *s = j->s;
  const qlinear_conv_params *p = &s->params;
  char *own = j->workers + (size_t)worker * s->worker_bytes;
  int64_t c = p->channels_out;
  size_t each = p->sums ? sizeof(int32_t) : 1;
  for (int64_t k = begin; k < end; k++) {
    int64_t at = k * s->strip, n = s->out_span - at < s->strip ? s->out_span - at : s->strip;
    bool in_place = p->sums && p->channels_last;
    int32_t *sums = (int32_t *)(void *)(in_place ? j->y + (size_t)(at * c) * each : own);
    s->depthwise ? strip_depthwise(j, at, n, own, sums) : strip_products(j, at, n, own, sums);
    if (in_place) continue;
    const void *lines = sums;
    if (!p->sums) {
      char *to = p->channels_last ? j->y + at * c : own + s->lines_at;
      if (j->fixed)
        fixed_requantize(sums, c, to, c, n, c, j->fixed);
      else
        quantize_requantize(sums, c, to, c, n, c, j->bias, j->multiplier, p->y_zero, p->y_signed, NULL);
      lines = to;
    }
    if (!p->channels_last) copy_transpose_2d(each, n, c, lines, c, j->y + (size_t)at * each, s->out_span, NULL);
  }
}

static void run(const qlinear_conv_plan *s, const void *x, const void *packed, const int32_t *bias,
                const float *multiplier, const fixed_columns *fixed, void *y, void *scratch, pool *threads) {
  const qlinear_conv_params *p = &s->params;
  uint8_t *image = scratch, *outside = image + s->image_bytes;
  char *workers = (char *)outside + aligned((size_t)p->channels_in);
  memset(outside, (uint8_t)p->x_zero, (size_t)p->channels_in);
  for (int64_t b = 0; b < p->batch; b++) {
    const uint8_t *from = (const uint8_t *)x + b * s->in_span * p->channels_in;
    size_t done = (size_t)(b * s->out_span * p->channels_out) * (p->sums ? sizeof(int32_t) : 1);
    if (!p->channels_last)
      copy_transpose_2d(1, p->channels_in, s->in_span, from, s->in_span, image, p->channels_in, threads);
    conv_job j = {s,          qlinear_best(), p->channels_last ? from : image,
                  outside,    packed,         bias,
                  multiplier, fixed,          (char *)y + done,
                  workers};
    pool_run(threads, s->n_strips, 1, work_strips, &j);
  }
}

void qlinear_conv_run(const qlinear_conv_plan *s, const void *x, const void *packed, const int32_t *bias,
                      const float *multiplier, void *y, void *scratch, pool *threads) {
  run(s, x, packed, bias, multiplier, NULL, y, scratch, threads);
}

void qlinear_conv_run_fixed(const qlinear_conv_plan *s, const void *x, const void *packed, const fixed_columns *f,
                            void *y, void *scratch, pool *threads) {
  run(s, x, packed, NULL, NULL, f, y, scratch, threads);
}
