/* kernels/winograd/winograd_body: the transforms of winograd.h on the vector words, which the including file has
 * chosen. With the finite points 0, +-a, +-b and p(x) = product of (x - point), row j of B' is p(x) / (x - point j),
 * the last row p(x) itself, row i of A' the i-th powers of the points; even and odd parts are shared between +- points.
 */
#ifndef KERNELS_WINOGRAD_BODY_H
#define KERNELS_WINOGRAD_BODY_H

#include "base/compiler.h"
#include "base/cpu.h"
#include "kernels/winograd/winograd.h"

#define WINO_INLINE INLINE_BODY
#define WINO_UNROLL LOOP_UNROLL
#define WINO_A 0.625f
#define WINO_B 1.5f

/* B' d of one column or row; s: the step between its elements. */
WINO_INLINE void wino_input4(const vf *d, int s, vf *t, int ts) {
  const vf a = vf_set1(WINO_A), b = vf_set1(WINO_B), a2 = vf_set1(WINO_A * WINO_A), b2 = vf_set1(WINO_B * WINO_B);
  const vf sum = vf_set1(WINO_A * WINO_A + WINO_B * WINO_B), product = vf_set1(WINO_A * WINO_A * WINO_B * WINO_B);
  vf d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
  vf even = vf_fnma(b2, d2, d4), odd = vf_fnma(b2, d1, d3);
  t[0] = vf_fma(product, d0, vf_fnma(sum, d2, d4));
  t[ts] = vf_fma(a, odd, even);
  t[2 * ts] = vf_fnma(a, odd, even);
  even = vf_fnma(a2, d2, d4), odd = vf_fnma(a2, d1, d3);
  t[3 * ts] = vf_fma(b, odd, even);
  t[4 * ts] = vf_fnma(b, odd, even);
  t[5 * ts] = vf_fma(product, d1, vf_fnma(sum, d3, d5));
}
WINO_INLINE void wino_input2(const vf *d, int s, vf *t, int ts) {
  vf d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s];
  t[0] = vf_sub(d2, d0);
  t[ts] = vf_add(d2, d1);
  t[2 * ts] = vf_sub(d2, d1);
  t[3 * ts] = vf_sub(d3, d1);
}
/* G g of one column or row: the powers of each point over the product of its distances to the others. */
WINO_INLINE void wino_weights4(const vf *g, int s, vf *t, int ts) {
  const float a2 = WINO_A * WINO_A, b2 = WINO_B * WINO_B, at_a = 1 / (2 * a2 * (a2 - b2)),
              at_b = 1 / (2 * b2 * (b2 - a2));
  vf even = vf_mul(vf_set1(at_a), vf_fma(vf_set1(a2), g[2 * s], g[0])), odd = vf_mul(vf_set1(at_a * WINO_A), g[s]);
  t[0] = vf_mul(vf_set1(1 / (a2 * b2)), g[0]);
  t[ts] = vf_add(even, odd);
  t[2 * ts] = vf_sub(even, odd);
  even = vf_mul(vf_set1(at_b), vf_fma(vf_set1(b2), g[2 * s], g[0])), odd = vf_mul(vf_set1(at_b * WINO_B), g[s]);
  t[3 * ts] = vf_add(even, odd);
  t[4 * ts] = vf_sub(even, odd);
  t[5 * ts] = g[2 * s];
}
WINO_INLINE void wino_weights2(const vf *g, int s, vf *t, int ts) {
  vf half = vf_set1(0.5f), even = vf_mul(half, vf_add(g[0], g[2 * s])), odd = vf_mul(half, g[s]);
  t[0] = vf_sub(vf_set1(0), g[0]);
  t[ts] = vf_add(even, odd);
  t[2 * ts] = vf_sub(even, odd);
  t[3 * ts] = g[2 * s];
}
/* A' m of one column or row. */
WINO_INLINE void wino_output4(const vf *m, int s, vf *y, int ys) {
  const float a = WINO_A, b = WINO_B;
  vf s1 = vf_add(m[s], m[2 * s]), q1 = vf_sub(m[s], m[2 * s]);
  vf s2 = vf_add(m[3 * s], m[4 * s]), q2 = vf_sub(m[3 * s], m[4 * s]);
  y[0] = vf_add(m[0], vf_add(s1, s2));
  y[ys] = vf_fma(vf_set1(b), q2, vf_mul(vf_set1(a), q1));
  y[2 * ys] = vf_fma(vf_set1(b * b), s2, vf_mul(vf_set1(a * a), s1));
  y[3 * ys] = vf_fma(vf_set1(b * b * b), q2, vf_fma(vf_set1(a * a * a), q1, m[5 * s]));
}
WINO_INLINE void wino_output2(const vf *m, int s, vf *y, int ys) {
  vf sum = vf_add(m[s], m[2 * s]), difference = vf_sub(m[s], m[2 * s]);
  y[0] = vf_add(m[0], sum);
  y[ys] = vf_add(difference, m[3 * s]);
}

WINO_INLINE void wino_input_vector(const float *const *d, int64_t c, float *v, int64_t v_point, const int M,
                                   const bool full, int64_t n) {
  const int N = M + 2;
  vf x[36], t[36];
  WINO_UNROLL for (int i = 0; i < N; i++) {
    WINO_UNROLL for (int j = 0; j < N; j++) {
      const float *from = d[i * N + j] + c;
      x[j] = full ? vf_load(from) : vf_loadn(from, n);
    }
    if (M == 4)
      wino_input4(x, 1, t + i * N, 1);
    else
      wino_input2(x, 1, t + i * N, 1);
  }
  WINO_UNROLL for (int j = 0; j < N; j++) {
    vf u[6];
    if (M == 4)
      wino_input4(t + j, N, u, 1);
    else
      wino_input2(t + j, N, u, 1);
    WINO_UNROLL for (int i = 0; i < N; i++) {
      if (full)
        vf_store(v + (i * N + j) * v_point + c, u[i]);
      else
        vf_storen(v + (i * N + j) * v_point + c, u[i], n);
    }
  }
}

WINO_INLINE void wino_input(const float *const *d, int64_t channels, float *v, int64_t v_point, const int M) {
  int64_t c = 0;
  for (; c + VF_LANES <= channels; c += VF_LANES) wino_input_vector(d, c, v, v_point, M, true, 0);
  if (c < channels) wino_input_vector(d, c, v, v_point, M, false, channels - c);
}

WINO_INLINE void wino_output_vector(const winograd_f32_output *o, int64_t c, const int M, const bool full, int64_t n) {
  const int N = M + 2;
  vf x[6], t[24];
  WINO_UNROLL for (int j = 0; j < N; j++) {
    WINO_UNROLL for (int i = 0; i < N; i++) {
      const float *from = o->m + (i * N + j) * o->m_point + c;
      x[i] = full ? vf_load(from) : vf_loadn(from, n);
    }
    if (M == 4)
      wino_output4(x, 1, t + j, N);
    else
      wino_output2(x, 1, t + j, N);
  }
  vf bias = full ? vf_load(o->bias + c) : vf_loadn(o->bias + c, n), lo = vf_set1(o->lo), hi = vf_set1(o->hi);
  WINO_UNROLL for (int i = 0; i < M; i++) {
    if (i >= o->rows) break;
    vf y[4];
    if (M == 4)
      wino_output4(t + i * N, 1, y, 1);
    else
      wino_output2(t + i * N, 1, y, 1);
    WINO_UNROLL for (int j = 0; j < M; j++) {
      if (j >= o->cols) break;
      vf sum = vf_add(y[j], bias);
      if (o->residual) {
        const float *r = o->residual + i * o->r_row + j * o->r_pixel + c;
        sum = vf_add(sum, full ? vf_load(r) : vf_loadn(r, n));
      }
      sum = vf_min(hi, vf_max(lo, sum));
      float *to = o->y + i * o->y_row + j * o->y_pixel + c;
      if (full)
        vf_store(to, sum);
      else
        vf_storen(to, sum, n);
    }
  }
}

WINO_INLINE void wino_output(const winograd_f32_output *o, const int M) {
  int64_t c = 0;
  for (; c + VF_LANES <= o->channels; c += VF_LANES) wino_output_vector(o, c, M, true, 0);
  if (c < o->channels) wino_output_vector(o, c, M, false, o->channels - c);
}

WINO_INLINE void wino_weights_vector(const float *g, int64_t channels, int64_t c, float *u, int64_t u_point,
                                     const int M, const bool full, int64_t n) {
  const int N = M + 2;
  vf x[9], t[18];
  WINO_UNROLL for (int i = 0; i < 9; i++) {
    const float *from = g + i * channels + c;
    x[i] = full ? vf_load(from) : vf_loadn(from, n);
  }
  WINO_UNROLL for (int i = 0; i < 3; i++) {
    if (M == 4)
      wino_weights4(x + 3 * i, 1, t + i * N, 1);
    else
      wino_weights2(x + 3 * i, 1, t + i * N, 1);
  }
  WINO_UNROLL for (int j = 0; j < N; j++) {
    vf y[6];
    if (M == 4)
      wino_weights4(t + j, N, y, 1);
    else
      wino_weights2(t + j, N, y, 1);
    WINO_UNROLL for (int i = 0; i < N; i++) {
      float *to = u + (i * N + j) * u_point + c;
      if (full)
        vf_store(to, y[i]);
      else
        vf_storen(to, y[i], n);
    }
  }
}

WINO_INLINE void wino_weights(const float *g, int64_t channels, float *u, int64_t u_point, const int M) {
  int64_t c = 0;
  for (; c + VF_LANES <= channels; c += VF_LANES) wino_weights_vector(g, channels, c, u, u_point, M, true, 0);
  if (c < channels) wino_weights_vector(g, channels, c, u, u_point, M, false, channels - c);
}

static void wino_input_2(const float *const *d, int64_t channels, float *v, int64_t v_point) {
  wino_input(d, channels, v, v_point, 2);
}
static void wino_input_4(const float *const *d, int64_t channels, float *v, int64_t v_point) {
  wino_input(d, channels, v, v_point, 4);
}
static void wino_output_2(const winograd_f32_output *o) { wino_output(o, 2); }
static void wino_output_4(const winograd_f32_output *o) { wino_output(o, 4); }

static void wino_weights_2(const float *g, int64_t channels, float *u, int64_t u_point) {
  wino_weights(g, channels, u, u_point, 2);
}
static void wino_weights_4(const float *g, int64_t channels, float *u, int64_t u_point) {
  wino_weights(g, channels, u, u_point, 4);
}

#define WINO_VARIANT(variant, isa_bits)                                 \
  const winograd_f32_variant variant = {#variant,                       \
                                        isa_bits,                       \
                                        {wino_input_2, wino_input_4},   \
                                        {wino_output_2, wino_output_4}, \
                                        {wino_weights_2, wino_weights_4}}

#endif
