/* Every variant of rnn's fused steps against the oracle, and the general steps against the equations. */
#include "kernels/rnn/rnn.h"

#include "base/mem.h"
#include "kernel_test.h"

enum { MAX = 80 };

static void test_fused(void) {
  size_t n_variants;
  const rnn_variant *variants = rnn_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  float gates[4 * MAX], extra[MAX], state[MAX], want[2][MAX];
  for (int64_t n = 1; n < MAX; n++)
    for (int form = 0; form < 4; form++) {
      fill_uniform(&r, gates, 4 * n, -6, 6);
      fill_uniform(&r, extra, n, -2, 2);
      fill_uniform(&r, state, n, -2, 2);
      float clip = form & 1 ? 3 : INFINITY;
      for (size_t v = 0; v < n_variants; v++) {
        if (!can_run(variants[v].isa)) continue;
        const rnn_kernels *k = variants[v].kernels;
        guarded c = guarded_make((size_t)n * 4, 4), h = guarded_make((size_t)n * 4, 8);
        rnn__ref.lstm(gates, state, want[0], want[1], n, clip);
        k->lstm(gates, state, (float *)c.data, (float *)h.data, n, clip);
        check_near("lstm, c", (float *)c.data, want[0], n, 2e-6, 5e-7);
        check_near("lstm, h", (float *)h.data, want[1], n, 2e-6, 5e-7);
        rnn__ref.gru(gates, form & 2 ? extra : NULL, state, want[0], n, clip);
        memcpy(h.data, state, (size_t)n * 4);
        k->gru(gates, form & 2 ? extra : NULL, (float *)h.data, (float *)h.data, n, clip);
        check_near("gru", (float *)h.data, want[0], n, 4e-6, 4e-7);
        rnn__ref.gru_reset(gates, state, want[0], n, clip);
        k->gru_reset(gates, state, (float *)h.data, n, clip);
        check_near("gru, reset", (float *)h.data, want[0], n, 1e-6, 1e-7);
        guarded_free(&c, variants[v].name), guarded_free(&h, variants[v].name);
      }
    }
}

/* The general path with the default activations named must agree with the fused one. */
static void test_general(void) {
  enum { B = 3, H = 21 };
  const unary_op sigmoid = {UNARY_SIGMOID, 0, 0}, tanh_ = {UNARY_TANH, 0, 0}, relu = {UNARY_RELU, 0, 0};
  rng r;
  rng_init(&r, 2);
  float gates[2][B * 90], h_gate[B * H], c_prev[B * H], c[2][B * H], h[2][B * 30], rh[2][B * H];
  fill_uniform(&r, gates[0], B * 90, -4, 4);
  fill_uniform(&r, h_gate, B * H, -2, 2);
  fill_uniform(&r, c_prev, B * H, -2, 2);
  memset(h, 0, sizeof h);
  memcpy(gates[1], gates[0], sizeof gates[0]);
  const rnn_options plain = {.clip = 2.5f}, named = {.f = &sigmoid, .g = &tanh_, .h = &tanh_, .clip = 2.5f};
  rnn_lstm_step_f32(&plain, gates[0], 90, c_prev, c[0], h[0], 30, B, H);
  rnn_lstm_step_f32(&named, gates[1], 90, c_prev, c[1], h[1], 30, B, H);
  check_near("lstm, c", c[1], c[0], B * H, 1e-6, 1e-6);
  check_near("lstm, h", h[1], h[0], B * 30, 1e-6, 1e-6);
  for (int lbr = 0; lbr < 2; lbr++) {
    fill_uniform(&r, gates[0], B * 90, -4, 4);
    memcpy(gates[1], gates[0], sizeof gates[0]);
    rnn_gru_reset_f32(&plain, gates[0], 90, c_prev, H, rh[0], H, B, H);
    rnn_gru_reset_f32(&named, gates[1], 90, c_prev, H, rh[1], H, B, H);
    check_near("gru, reset", rh[1], rh[0], B * H, 1e-6, 1e-6);
    rnn_gru_step_f32(&plain, gates[0], 90, lbr ? h_gate : NULL, H, c_prev, H, h[0], 30, B, H);
    rnn_gru_step_f32(&named, gates[1], 90, lbr ? h_gate : NULL, H, c_prev, H, h[1], 30, B, H);
    check_near("gru", h[1], h[0], B * 30, 1e-6, 1e-6);
  }
  /* Peepholes and coupled gates, by the equations. */
  float peep[3] = {0.5f, -0.25f, 0.75f}, one[4] = {0.3f, -0.2f, 0.9f, 1.1f}, before = 0.7f, cell, out;
  rnn_options o = {.peep_i = peep, .peep_o = peep + 1, .peep_f = peep + 2, .g = &relu};
  rnn_lstm_step_f32(&o, one, 4, &before, &cell, &out, 1, 1, 1);
#define S(v) (1 / (1 + exp(-(v))))
  double want = S(0.9 + 0.75 * 0.7) * 0.7 + S(0.3 + 0.5 * 0.7) * 1.1;
  CHECK_NEAR(cell, want, 1e-6);
  CHECK_NEAR(out, S(-0.2 - 0.25 * want) * tanh(want), 1e-6);
  float two[4] = {0.3f, -0.2f, 0.9f, 1.1f};
  rnn_lstm_step_f32(&(rnn_options){.input_forget = true}, two, 4, &before, &cell, &out, 1, 1, 1);
  CHECK_NEAR(cell, (1 - S(0.3)) * 0.7 + S(0.3) * tanh(1.1), 1e-6);
}

static float *alloc(size_t bytes) {
  float *p = mem_alloc_aligned(bytes, 64);
  CHECK(p);
  return p;
}

/* Whole steps with their products, forwards and from the end. */
static void check_rows(const rnn_variant *v, int64_t n, rng *r) {
  const rnn_kernels *k = v->kernels;
  float *weights = alloc((size_t)(4 * n * n) * 4), gates[2][4 * MAX], h_prev[MAX], c[2][MAX], h[2][MAX];
  float rh[2][MAX], bias[MAX], *packed[2][2];
  fill_uniform(r, weights, 4 * n * n, -1, 1);
  fill_uniform(r, gates[0], 4 * n, -3, 3);
  fill_uniform(r, h_prev, n, -1, 1);
  fill_uniform(r, bias, n, -1, 1);
  memcpy(gates[1], gates[0], sizeof gates[0]);
  for (int form = 0; form < 6; form++) {
    int n_gates = (const int[]){4, 4, 3, 3, 2, 2}[form];
    float clip = form & 1 ? 2.5f : INFINITY;
    for (int w = 0; w < 2; w++) {
      const rnn_kernels *own = w ? k : &rnn__ref;
      packed[w][0] = alloc(rnn_packed_bytes(own, n_gates, n));
      packed[w][1] = alloc(rnn_packed_bytes(own, 1, n));
      rnn_pack_f32(own, n_gates, n, weights, packed[w][0]);
      rnn_pack_f32(own, 1, n, weights, packed[w][1]);
      for (int64_t i = 0; i < n; i++) c[w][i] = bias[i];
      if (n_gates == 4) own->lstm_row(packed[w][0], gates[w], h_prev, c[w], h[w], n, clip, w && form & 1);
      if (n_gates == 3) own->gru_row(packed[w][0], bias, gates[w], h_prev, h[w], n, clip, w && form & 1);
      if (n_gates == 2) {
        own->gru_early_row(packed[w][0], gates[w], h_prev, rh[w], n, clip, w && form & 1);
        own->gru_late_row(packed[w][1], gates[w], rh[w], h_prev, h[w], n, clip, w && !(form & 1));
      }
      mem_free(packed[w][0]), mem_free(packed[w][1]);
    }
    check_near("row, h", h[1], h[0], n, 4e-6, 4e-6);
    check_near("row, c", c[1], c[0], n, 4e-6, 4e-6);
  }
  mem_free(weights);
}

static void test_rows(void) {
  size_t n_variants;
  const rnn_variant *variants = rnn_variants(&n_variants);
  rng r;
  rng_init(&r, 3);
  for (size_t v = 0; v < n_variants; v++) {
    if (!can_run(variants[v].isa)) continue;
    for (int64_t n = 1; n < MAX; n += n < 20 ? 1 : 7) check_rows(&variants[v], n, &r);
  }
}

TEST_MAIN({"fused", test_fused}, {"general", test_general}, {"rows", test_rows})
