/* Every variant of attention against the oracle: masks, causality, windows, lengths, grouped heads, odd sizes; threads.
 */
#include "kernels/attention/attention.h"

#include "kernel_test.h"

static int64_t pick(rng *r, int64_t lo, int64_t hi) { return lo + (int64_t)(rng_u64(r) % (uint64_t)(hi - lo + 1)); }

typedef struct problem {
  attention_shape s;
  attention_tensors t;
  float *q, *k, *v, *mask;
  int64_t offsets[3], lengths[3], y_floats;
} problem;

static problem problem_make(rng *r, int round) {
  problem p = {.s = {.batch = pick(r, 1, 2), .kv_heads = pick(r, 1, 3), .window_left = -1, .window_right = -1}};
  attention_shape *s = &p.s;
  s->q_heads = s->kv_heads * pick(r, 1, 3);
  s->q_len = round % 3 == 0 ? pick(r, 1, 3) : pick(r, 1, 90);
  s->kv_len = pick(r, 1, round % 4 == 0 ? 300 : 70);
  s->head_dim = pick(r, 1, 40), s->v_dim = pick(r, 1, 70);
  s->scale = 0.3f;
  if (round % 5 == 1) s->softcap = 2;
  if (round % 2) s->causal = true, s->offset = pick(r, -3, s->kv_len);
  if (round % 6 == 2) s->window_left = pick(r, 0, 9), s->window_right = pick(r, -1, 5), s->offset = pick(r, 0, 9);
  if (round % 7 == 3) {
    for (int b = 0; b < 3; b++) p.offsets[b] = pick(r, -2, 20), p.lengths[b] = pick(r, -1, s->kv_len + 2);
    s->offsets = p.offsets, s->kv_lengths = p.lengths;
  }
  /* [batch, seq, head, dim] or [batch, head, seq, dim] */
  bool inner = round % 2;
  int64_t hq = s->q_heads, hk = s->kv_heads;
  p.q = malloc((size_t)(s->batch * hq * s->q_len * s->head_dim) * 4);
  p.k = malloc((size_t)(s->batch * hk * s->kv_len * s->head_dim) * 4);
  p.v = malloc((size_t)(s->batch * hk * s->kv_len * s->v_dim) * 4);
  fill_uniform(r, p.q, s->batch * hq * s->q_len * s->head_dim, -2, 2);
  fill_uniform(r, p.k, s->batch * hk * s->kv_len * s->head_dim, -2, 2);
  fill_uniform(r, p.v, s->batch * hk * s->kv_len * s->v_dim, -2, 2);
  attention_view vq = {p.q, hq * s->q_len * s->head_dim, inner ? s->head_dim : s->q_len * s->head_dim,
                       inner ? hq * s->head_dim : s->head_dim};
  attention_view vk = {p.k, hk * s->kv_len * s->head_dim, inner ? s->head_dim : s->kv_len * s->head_dim,
                       inner ? hk * s->head_dim : s->head_dim};
  attention_view vv = {p.v, hk * s->kv_len * s->v_dim, inner ? s->v_dim : s->kv_len * s->v_dim,
                       inner ? hk * s->v_dim : s->v_dim};
  p.t = (attention_tensors){vq,
                            vk,
                            vv,
                            NULL,
                            hq * s->q_len * s->v_dim,
                            inner ? s->v_dim : s->q_len * s->v_dim,
                            inner ? hq * s->v_dim : s->v_dim};
  p.y_floats = s->batch * hq * s->q_len * s->v_dim;
  if (round % 3 != 1) {
    int64_t n = s->batch * hq * s->q_len * s->kv_len;
    p.mask = malloc((size_t)n * 4);
    fill_uniform(r, p.mask, n, -1, 1);
    for (int64_t i = 0; i < n; i += pick(r, 1, 6)) p.mask[i] = -INFINITY;
    s->mask = p.mask;
    s->mask_k = round % 8 == 0 ? s->q_len : 1, s->mask_q = round % 8 == 0 ? 1 : round % 8 == 2 ? 0 : s->kv_len;
    s->mask_head = round % 5 ? 0 : s->q_len * s->kv_len;
    s->mask_batch = round % 5 > 2 ? 0 : hq * s->q_len * s->kv_len;
  }
  return p;
}

static void problem_free(problem *p) { free(p->q), free(p->k), free(p->v), free(p->mask); }

static void run_blocks(const attention_kernels *k, const attention_shape *s, attention_tensors *t, float *y,
                       float *scratch) {
  int64_t rows = s->q_heads / s->kv_heads * s->q_len;
  t->y = y;
  for (int64_t b = 0; b < s->batch; b++)
    for (int64_t g = 0; g < s->kv_heads; g++)
      for (int64_t r = 0; r < rows; r += ATTENTION_ROWS)
        k->block(s, t, b, g, r, r + ATTENTION_ROWS < rows ? r + ATTENTION_ROWS : rows, scratch);
}

static void test_variants(void) {
  size_t n_variants;
  const attention_variant *variants = attention_variants(&n_variants);
  rng r;
  rng_init(&r, 1);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  for (int round = 0; round < 240; round++) {
    problem p = problem_make(&r, round);
    if (round % 30 == 29) p.v[0] = NAN, p.k[0] = INFINITY;
    if (p.s.offsets) p.s.offsets = p.offsets, p.s.kv_lengths = p.lengths; /* of this copy */
    size_t bytes = (size_t)p.y_floats * 4;
    float *want = malloc(bytes), *got = malloc(bytes);
    float *scratch = aligned_alloc(64, attention_f32_scratch(&p.s, TEST_THREADS));
    memset(scratch, 0xff, attention_f32_scratch(&p.s, TEST_THREADS)); /* NaN */
    run_blocks(&attention__ref, &p.s, &p.t, want, NULL);
    for (size_t v = 0; v < n_variants; v++) {
      if (!can_run(variants[v].isa)) continue;
      guarded y = guarded_make(bytes, 4);
      run_blocks(variants[v].kernels, &p.s, &p.t, (float *)y.data, scratch);
      if (round % 30 != 29) check_near(variants[v].name, (float *)y.data, want, p.y_floats, 1e-5, 2e-6);
      guarded_free(&y, variants[v].name);
    }
    for (int threads = 1; threads <= TEST_THREADS; threads++) {
      attention_f32(&p.s, p.t.q, p.t.k, p.t.v, threads == 1 ? want : got, p.t.y_batch, p.t.y_head, p.t.y_row, scratch,
                    pools[threads]);
      if (threads > 1) check_same("threads", got, want, bytes);
    }
    problem_free(&p);
    free(want), free(got), free(scratch);
  }
  pools_free(pools);
}

TEST_MAIN({"variants", test_variants})
