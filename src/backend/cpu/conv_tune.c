/* backend/cpu/conv_tune: convolutions whose modelled times are close are timed: see backend/tune.h. On one thread, on
 * small random numbers in all that is read; weights are not packed for it, since their values take no time. */
#include "backend/cpu/conv.h"
#include "backend/tune.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/writer.h"

enum { TRIAL_BYTES_MAX = 64 << 20, FILL_FLOATS = 4096 };
static const double close_factor = 1.4, runs = 4, bytes_a_cycle = 1;

typedef struct conv_trial {
  conv_f32_plan plan[TUNE_MOST];
  float *x, *y, *packed[TUNE_MOST], *scratch[TUNE_MOST];
  size_t x_bytes, y_bytes;
} conv_trial;

/* bytes of random floats; NULL: no memory */
static float *random_floats(size_t bytes) {
  float *to = mem_alloc_aligned(mem_align(bytes + 1, 64), 64), some[FILL_FLOATS];
  rng r;
  rng_init(&r, 1);
  if (!to) return NULL;
  for (int i = 0; i < FILL_FLOATS; i++) some[i] = (float)(rng_uniform(&r) - 0.5);
  mem_expect_write(to, bytes);
  for (size_t at = 0; at < bytes; at += sizeof some)
    memcpy((char *)to + at, some, bytes - at < sizeof some ? bytes - at : sizeof some);
  return to;
}

static uint64_t conv_trial_time(void *arg, int i) {
  conv_trial *t = arg;
  if (!t->x) t->x = random_floats(t->x_bytes);
  if (!t->y) t->y = random_floats(t->y_bytes);
  if (!t->packed[i]) t->packed[i] = random_floats(t->plan[i].packed_bytes);
  if (!t->scratch[i]) t->scratch[i] = random_floats(t->plan[i].scratch_bytes);
  if (!t->x || !t->y || !t->packed[i] || !t->scratch[i]) return 0;
  uint64_t start = clock_now_ns();
  conv_f32_run(&t->plan[i], t->x, t->packed[i], t->y, NULL, t->scratch[i], NULL);
  uint64_t ns = clock_now_ns() - start;
  return ns ? ns : 1;
}

/* "conv_f32 1x56x56x64 to 56x56x64, 3x3", and what is not the usual. False: longer than anybody reads. */
static bool conv_shape(const conv_f32_params *p, char *to, size_t size) {
  writer w = {0};
  writer_format(&w, "conv_f32 %lld", (long long)p->batch);
  for (int i = 0; i < p->rank; i++) writer_format(&w, "x%lld", (long long)p->in[i]);
  writer_format(&w, "x%lld to ", (long long)p->channels_in);
  for (int i = 0; i < p->rank; i++) writer_format(&w, "%lldx", (long long)p->out[i]);
  writer_format(&w, "%lld, ", (long long)p->channels_out);
  for (int i = 0; i < p->rank; i++) writer_format(&w, i ? "x%lld" : "%lld", (long long)p->kernel[i]);
  const struct {
    const char *name;
    const int64_t *values;
    int64_t usual;
  } rows[] = {{"stride", p->stride, 1}, {"dilation", p->dilation, 1}, {"pad", p->pad_begin, 0}};
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    bool usual = true;
    for (int i = 0; i < p->rank; i++) usual = usual && rows[k].values[i] == rows[k].usual;
    if (usual) continue;
    writer_format(&w, " %s ", rows[k].name);
    for (int i = 0; i < p->rank; i++) writer_format(&w, i ? ":%lld" : "%lld", (long long)rows[k].values[i]);
  }
  if (p->groups > 1) writer_format(&w, " groups %lld", (long long)p->groups);
  bool ok = !w.failed && w.size < size;
  if (ok) memcpy(to, w.data, w.size), to[w.size] = 0;
  writer_deinit(&w);
  return ok;
}

/* Plans the close candidates; sums what they take. Returns how many, 0 where memory would pass the limit. */
static int plan_close(const conv_f32_params *p, uint32_t isa, conv_trial *t, tune_question *q) {
  conv_candidate c[CONV_ALGO_COUNT];
  int n = conv_f32_candidates(p, isa, c), k = 0;
  size_t bytes = 0;
  if (n < 2 || c[1].cycles > close_factor * c[0].cycles) return 0;
  t->x_bytes = t->y_bytes = (size_t)p->batch * sizeof(float);
  for (int i = 0; i < p->rank; i++) t->x_bytes *= (size_t)p->in[i], t->y_bytes *= (size_t)p->out[i];
  for (int i = 0; i < n && k < TUNE_MOST && c[i].cycles <= close_factor * c[0].cycles; i++) {
    conv_f32_params one = *p;
    one.algo = c[i].algo;
    one.threads = 1;
    if (!conv_f32_plan_init(&t->plan[k], &one, isa) || t->plan[k].params.algo != c[i].algo) return 0;
    if (!mem_add(bytes, t->plan[k].packed_bytes, &bytes) || !mem_add(bytes, t->plan[k].scratch_bytes, &bytes)) return 0;
    q->names[k++] = conv_algo_name(c[i].algo);
    q->cycles += runs * c[i].cycles;
  }
  const conv_f32_params *whole = &t->plan[0].params; /* plan_init has checked these products */
  t->x_bytes *= (size_t)whole->x_pixel_stride, t->y_bytes *= (size_t)whole->y_pixel_stride;
  if (!mem_add(bytes, t->x_bytes, &bytes) || !mem_add(bytes, t->y_bytes, &bytes) || bytes > TRIAL_BYTES_MAX) return 0;
  q->cycles += (double)bytes / bytes_a_cycle;
  return k;
}

conv_algo cpu_conv_tuned(const kernel_request *r, const conv_f32_params *p) {
  tuner *load = weight_store_tuner(r->weights);
  char shape[TUNE_SHAPE_MAX];
  if (!load || p->y_step[p->rank - 1] || !conv_shape(p, shape, sizeof shape)) return CONV_AUTO;
  conv_trial t = {0};
  tune_question q = {.shape = shape, .isa = r->isa, .time = conv_trial_time, .arg = &t};
  q.n = plan_close(p, r->isa, &t, &q);
  if (q.n < 2) return CONV_AUTO;
  conv_algo algo = t.plan[tuner_choose(load, &q)].params.algo;
  mem_free(t.x);
  mem_free(t.y);
  for (int i = 0; i < TUNE_MOST; i++) mem_free(t.packed[i]), mem_free(t.scratch[i]);
  return algo;
}
