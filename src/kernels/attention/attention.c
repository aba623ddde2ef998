/* attention: the choice of a variant, and the split into (batch, key head, block of rows). */
#include "kernels/attention/attention.h"

#define VARIANT(isa, kernels) extern const attention_kernels kernels;
#include "kernels/attention/variants.def"
#undef VARIANT
static const attention_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/attention/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(attention, variants)

/* Of one thread: a block's keys and values, the rows' sums and scores, and a vector and three numbers a row. */
static size_t scratch_floats(const attention_shape *s) {
  size_t n = (size_t)(s->head_dim + s->v_dim) * ATTENTION_KEYS + (size_t)s->v_dim * ATTENTION_ROWS;
  n += ATTENTION_ROWS * (ATTENTION_KEYS + ATTENTION_LANES + 3);
  return (n + 15) & ~(size_t)15;
}

size_t attention_f32_scratch(const attention_shape *s, int threads) {
  return scratch_floats(s) * (size_t)threads * sizeof(float);
}

typedef struct job {
  const attention_shape *s;
  attention_tensors t;
  attention_block_fn run;
  float *scratch;
  int64_t n_rows, n_blocks; /* of a key head */
} job;

static void work(void *arg, int64_t begin, int64_t end, int worker) {
  const job *j = arg;
  float *scratch = j->scratch + scratch_floats(j->s) * (size_t)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t head = i / j->n_blocks, row = i % j->n_blocks * ATTENTION_ROWS;
    int64_t last = row + ATTENTION_ROWS < j->n_rows ? row + ATTENTION_ROWS : j->n_rows;
    j->run(j->s, &j->t, head / j->s->kv_heads, head % j->s->kv_heads, row, last, scratch);
  }
}

void attention_f32(const attention_shape *s, attention_view q, attention_view k, attention_view v, float *y,
                   int64_t y_batch, int64_t y_head, int64_t y_row, void *scratch, pool *p) {
  job j = {.s = s, .t = {q, k, v, y, y_batch, y_head, y_row}, .run = attention_best()->block, .scratch = scratch};
  j.n_rows = s->q_heads / s->kv_heads * s->q_len;
  j.n_blocks = (j.n_rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS;
  if (j.n_rows > 0 && s->batch > 0) pool_run(p, s->batch * s->kv_heads * j.n_blocks, 1, work, &j);
}
