/* qlinear's body, in the words of simd/. */
#include "kernels/qlinear/qlinear.h"
#include "kernels/simd/upto.h"

#include <string.h>

VF_WORD vi bytes_load(const uint8_t *p, bool is_signed) {
  return is_signed ? vi_load_i8((const int8_t *)p) : vi_load_u8(p);
}

/* The last channels, fewer than a vector's: by way of arrays that are read whole. */
static void depthwise_tail(const uint8_t *const *taps, int64_t n_taps, int64_t c, int64_t at, const int32_t *w,
                           const int32_t *start, int32_t *sums, bool is_signed) {
  for (int64_t i = at; i < c; i++) {
    uint32_t sum = (uint32_t)start[i];
    for (int64_t t = 0; t < n_taps; t++)
      sum += (uint32_t)(is_signed ? (int8_t)taps[t][i] : taps[t][i]) * (uint32_t)w[t * c + i];
    sums[i] = (int32_t)sum;
  }
}

VF_WORD void run_depthwise(const uint8_t *const *taps, int64_t n_taps, int64_t c, const int32_t *w,
                           const int32_t *start, int32_t *sums, bool is_signed) {
  int64_t i = 0;
  for (; i + 4 * VF_LANES <= c; i += 4 * VF_LANES) {
    vi a0 = vi_load(start + i), a1 = vi_load(start + i + VF_LANES), a2 = vi_load(start + i + 2 * VF_LANES),
       a3 = vi_load(start + i + 3 * VF_LANES);
    for (int64_t t = 0; t < n_taps; t++) {
      const uint8_t *x = taps[t] + i;
      const int32_t *v = w + t * c + i;
      a0 = vi_add(a0, vi_mul(bytes_load(x, is_signed), vi_load(v)));
      a1 = vi_add(a1, vi_mul(bytes_load(x + VF_LANES, is_signed), vi_load(v + VF_LANES)));
      a2 = vi_add(a2, vi_mul(bytes_load(x + 2 * VF_LANES, is_signed), vi_load(v + 2 * VF_LANES)));
      a3 = vi_add(a3, vi_mul(bytes_load(x + 3 * VF_LANES, is_signed), vi_load(v + 3 * VF_LANES)));
    }
    vi_store(sums + i, a0);
    vi_store(sums + i + VF_LANES, a1);
    vi_store(sums + i + 2 * VF_LANES, a2);
    vi_store(sums + i + 3 * VF_LANES, a3);
  }
  for (; i + VF_LANES <= c; i += VF_LANES) {
    vi a = vi_load(start + i);
    for (int64_t t = 0; t < n_taps; t++)
      a = vi_add(a, vi_mul(bytes_load(taps[t] + i, is_signed), vi_load(w + t * c + i)));
    vi_store(sums + i, a);
  }
  if (i < c) depthwise_tail(taps, n_taps, c, i, w, start, sums, is_signed);
}

static void depthwise(const uint8_t *const *taps, int64_t n_taps, int64_t c, const int32_t *w, const int32_t *start,
                      int32_t *sums, bool is_signed) {
  if (is_signed)
    run_depthwise(taps, n_taps, c, w, start, sums, true);
  else
    run_depthwise(taps, n_taps, c, w, start, sums, false);
}

#ifndef QLINEAR_ADD /* an ISA without fused multiply-add brings another */
#define QLINEAR_ADD add
/* Clamped before it is rounded, which gives the same and keeps the conversion within int32. NaN becomes the lowest. */
VF_WORD vi add_vector(const qlinear_add_params *p, vi a, vi b, bool is_signed) {
  const vf least = vf_set1(is_signed ? -128 : 0), most = vf_set1(is_signed ? 127 : 255);
  vf v = vf_fma(vf_from_vi(b), vf_set1(p->b_ratio), vf_set1(p->fixed));
  v = vf_fma(vf_from_vi(a), vf_set1(p->a_ratio), v);
  v = vf_select(vf_unordered(v, v), least, v);
  return vi_round(vf_min(vf_max(v, least), most));
}

VF_WORD void run_add(const qlinear_add_params *p, const uint8_t *a, const uint8_t *b, uint8_t *y, int64_t n,
                     bool is_signed) {
  int64_t i = 0;
  for (; i + VF_LANES <= n; i += VF_LANES)
    vi_store_8(y + i, add_vector(p, bytes_load(a + i, is_signed), bytes_load(b + i, is_signed), is_signed));
  if (i == n) return;
  uint8_t ta[VF_LANES] = {0}, tb[VF_LANES] = {0}, ty[VF_LANES];
  memcpy(ta, a + i, (size_t)(n - i));
  memcpy(tb, b + i, (size_t)(n - i));
  vi_store_8(ty, add_vector(p, bytes_load(ta, is_signed), bytes_load(tb, is_signed), is_signed));
  memcpy(y + i, ty, (size_t)(n - i));
}

static void add(const qlinear_add_params *p, const void *a, const void *b, void *y, int64_t n) {
  if (p->is_signed)
    run_add(p, a, b, y, n, true);
  else
    run_add(p, a, b, y, n, false);
}

#endif

const qlinear_kernels VF_NAME(qlinear);
const qlinear_kernels VF_NAME(qlinear) = {depthwise, QLINEAR_ADD};
