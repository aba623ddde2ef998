/* reduce: the choice of a variant, and how a reduction is cut into units whose results are joined in a fixed order.
 *
 * inner = 1: each output's run is cut into stretches of STRETCH elements, whatever the threads; where the outputs are
 * few, the stretches are the units and their partial results stand on the stack, else the outputs are the units.
 * inner > 1: a unit is a block of COLUMNS neighbouring outputs. */
#include "kernels/reduce/reduce.h"

#include <math.h>

#define VARIANT(isa, kernels) extern const reduce_kernels kernels;
#include "kernels/reduce/variants.def"
#undef VARIANT
static const reduce_variant variants[] = {
#define VARIANT(isa, kernels) {#kernels, isa, &kernels},
#include "kernels/reduce/variants.def"
#undef VARIANT
};
KERNEL_VARIANTS_DEFINE(reduce, variants)

enum {
  STRETCH = 32768, /* elements */
  PARTIALS = 512,  /* stretches that may be units of their own */
  COLUMNS = 64,    /* whole vectors of every variant */
  GRAIN = 16384,   /* elements worth waking a thread for */
};

typedef struct job {
  const reduce_kernels *k;
  reduce_kind kind, base; /* base is what the kernel computes for kind */
  const float *x;
  float *y;
  int64_t n, inner, n_stretches, n_blocks;
  bool exponential;  /* this pass sums e^(x - max[output]) */
  double *partial;   /* [outputs, n_stretches] */
  const double *max; /* [outputs] */
} job;

static reduce_kind base_of(reduce_kind kind) {
  switch (kind) {
    case REDUCE_MEAN:
    case REDUCE_LOG_SUM: return REDUCE_SUM;
    case REDUCE_L2: return REDUCE_SUM_SQUARE;
    case REDUCE_LOG_SUM_EXP: return REDUCE_MAX; /* and then the sum of exponentials */
    default: return kind;
  }
}

static double join(reduce_kind base, double a, double b) {
  switch (base) {
    case REDUCE_MAX: return isnan(a) || a > b ? a : b;
    case REDUCE_MIN: return isnan(a) || a < b ? a : b;
    case REDUCE_PROD: return a * b;
    default: return a + b;
  }
}

static float finish(reduce_kind kind, double v, int64_t n) {
  switch (kind) {
    case REDUCE_MEAN: return (float)(v / (double)n);
    case REDUCE_L2: return (float)sqrt(v);
    case REDUCE_LOG_SUM: return (float)log(v);
    default: return (float)v;
  }
}

/* The logarithm of a sum of exponentials about max; max alone where it is infinite or NaN. */
static float finish_exp(double max, double sum) { return (float)(isfinite(max) ? max + log(sum) : max); }

static double run_stretch(const job *j, int64_t output, int64_t stretch, double max) {
  int64_t begin = stretch * STRETCH, n = j->n - begin < STRETCH ? j->n - begin : STRETCH;
  const float *x = j->x + output * j->n + begin;
  return j->exponential ? j->k->run_exp(x, n, (float)max) : j->k->run(j->base, x, n);
}

static void work_stretches(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t output = i / j->n_stretches;
    j->partial[i] = run_stretch(j, output, i % j->n_stretches, j->exponential ? j->max[output] : 0);
  }
}

/* The partial results of an output, joined. */
static double join_partials(reduce_kind base, const double *partial, int64_t n) {
  double acc = partial[0];
  for (int64_t i = 1; i < n; i++) acc = join(base, acc, partial[i]);
  return acc;
}

static void run_by_stretches(job *j, int64_t outer, pool *p) {
  double partial[PARTIALS], max[PARTIALS];
  int64_t units = outer * j->n_stretches;
  j->partial = partial;
  pool_run(p, units, 1, work_stretches, j);
  for (int64_t o = 0; o < outer; o++) {
    double v = join_partials(j->base, partial + o * j->n_stretches, j->n_stretches);
    if (j->kind == REDUCE_LOG_SUM_EXP)
      max[o] = v;
    else
      j->y[o] = finish(j->kind, v, j->n);
  }
  if (j->kind != REDUCE_LOG_SUM_EXP) return;
  j->exponential = true, j->max = max;
  pool_run(p, units, 1, work_stretches, j);
  for (int64_t o = 0; o < outer; o++)
    j->y[o] = finish_exp(max[o], join_partials(REDUCE_SUM, partial + o * j->n_stretches, j->n_stretches));
}

static void work_outputs(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *shared = arg;
  job j = *shared;
  for (int64_t o = begin; o < end; o++) {
    double v = 0, sum = 0;
    j.exponential = false;
    for (int64_t s = 0; s < j.n_stretches; s++) {
      double part = run_stretch(&j, o, s, 0);
      v = s ? join(j.base, v, part) : part;
    }
    if (j.kind != REDUCE_LOG_SUM_EXP) {
      j.y[o] = finish(j.kind, v, j.n);
      continue;
    }
    j.exponential = true;
    for (int64_t s = 0; s < j.n_stretches; s++) sum += run_stretch(&j, o, s, v);
    j.y[o] = finish_exp(v, sum);
  }
}

static void work_columns(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const job *j = arg;
  for (int64_t u = begin; u < end; u++) {
    int64_t o = u / j->n_blocks, c = u % j->n_blocks * COLUMNS;
    int64_t count = j->inner - c < COLUMNS ? j->inner - c : COLUMNS;
    const float *x = j->x + o * j->n * j->inner + c;
    float *y = j->y + o * j->inner + c, max[COLUMNS];
    double acc[COLUMNS];
    j->k->columns(j->base, x, j->n, count, j->inner, acc);
    if (j->kind == REDUCE_LOG_SUM_EXP) {
      for (int64_t i = 0; i < count; i++) max[i] = (float)acc[i];
      j->k->columns_exp(x, j->n, count, j->inner, max, acc);
    }
    for (int64_t i = 0; i < count; i++)
      y[i] = j->kind == REDUCE_LOG_SUM_EXP ? finish_exp(max[i], acc[i]) : finish(j->kind, acc[i], j->n);
  }
}

static void fill_empty(reduce_kind kind, float *y, int64_t n) {
  float v = 0;
  switch (kind) {
    case REDUCE_PROD: v = 1; break;
    case REDUCE_MIN: v = INFINITY; break;
    case REDUCE_MAX:
    case REDUCE_LOG_SUM:
    case REDUCE_LOG_SUM_EXP: v = -INFINITY; break;
    case REDUCE_MEAN: v = NAN; break;
    default: break;
  }
  for (int64_t i = 0; i < n; i++) y[i] = v;
}

void reduce_f32(reduce_kind kind, const float *x, float *y, int64_t outer, int64_t n, int64_t inner, pool *p) {
  if (outer <= 0 || inner <= 0) return;
  if (n <= 0) {
    fill_empty(kind, y, outer * inner);
    return;
  }
  job j = {.k = reduce_best(), .kind = kind, .base = base_of(kind), .x = x, .y = y, .n = n, .inner = inner};
  j.n_stretches = (n + STRETCH - 1) / STRETCH;
  j.n_blocks = (inner + COLUMNS - 1) / COLUMNS;
  if (inner > 1)
    pool_run(p, outer * j.n_blocks, GRAIN / (n * (inner < COLUMNS ? inner : COLUMNS)) + 1, work_columns, &j);
  else if (j.n_stretches > 1 && outer <= PARTIALS / j.n_stretches)
    run_by_stretches(&j, outer, p);
  else
    pool_run(p, outer, GRAIN / n + 1, work_outputs, &j);
}

void reduce_global_average_nchw_f32(const float *x, float *y, int64_t batch, int64_t channels, int64_t hw, pool *p) {
  reduce_f32(REDUCE_MEAN, x, y, batch * channels, hw, 1, p);
}
void reduce_global_average_nhwc_f32(const float *x, float *y, int64_t batch, int64_t hw, int64_t channels, pool *p) {
  reduce_f32(REDUCE_MEAN, x, y, batch, hw, channels, p);
}

typedef struct arg_job {
  const reduce_kernels *k;
  bool min, last;
  const float *x;
  int64_t *y, n, inner;
} arg_job;

/* A run: its extreme by the kernel, then the place where it stands. */
static int64_t find_in_run(const arg_job *j, const float *x) {
  float best = (float)j->k->run(j->min ? REDUCE_MIN : REDUCE_MAX, x, j->n);
  bool nan = isnan(best);
  if (nan || !j->last) {
    int64_t i = 0;
    while (i < j->n - 1 && !(nan ? isnan(x[i]) : x[i] == best)) i++;
    return i;
  }
  int64_t i = j->n - 1;
  while (i > 0 && x[i] != best) i--;
  return i;
}

static int64_t find_in_column(const arg_job *j, const float *x) {
  int64_t at = 0;
  float best = x[0];
  for (int64_t i = 1; i < j->n && !isnan(best); i++) {
    float v = x[i * j->inner];
    if (isnan(v) || (j->min ? v < best : v > best) || (j->last && v == best)) best = v, at = i;
  }
  return at;
}

enum { ARG_COLUMNS = 128 }; /* that are walked side by side */

/* y[c] = where column c of x, [n, inner], has its extreme, for `count` columns. A comparison with NaN is false: what is
 * taken is what is not worse, until NaN is the best. */
#define FIND_IN_COLUMNS(NAME, WORSE)                                                      \
  static void NAME(const float *x, int64_t n, int64_t inner, int64_t count, int64_t *y) { \
    float best[ARG_COLUMNS];                                                              \
    int32_t at[ARG_COLUMNS] = {0};                                                        \
    for (int64_t c = 0; c < count; c++) best[c] = x[c];                                   \
    for (int32_t i = 1; i < n; i++) {                                                     \
      const float *row = x + i * inner;                                                   \
      for (int64_t c = 0; c < count; c++) {                                               \
        bool take = !(row[c] WORSE best[c]) & (best[c] == best[c]);                       \
        best[c] = take ? row[c] : best[c];                                                \
        at[c] = take ? i : at[c];                                                         \
      }                                                                                   \
    }                                                                                     \
    for (int64_t c = 0; c < count; c++) y[c] = at[c];                                     \
  }
FIND_IN_COLUMNS(first_largest, <=)
FIND_IN_COLUMNS(last_largest, <)
FIND_IN_COLUMNS(first_smallest, >=)
FIND_IN_COLUMNS(last_smallest, >)

/* Outputs [begin, end) of rows of `inner` of them. */
static void find_in_columns(const arg_job *j, int64_t begin, int64_t end) {
  void (*find)(const float *, int64_t, int64_t, int64_t, int64_t *) =
      j->min ? (j->last ? last_smallest : first_smallest) : (j->last ? last_largest : first_largest);
  while (begin < end) {
    int64_t column = begin % j->inner, count = j->inner - column;
    if (count > end - begin) count = end - begin;
    if (count > ARG_COLUMNS) count = ARG_COLUMNS;
    find(j->x + begin / j->inner * j->n * j->inner + column, j->n, j->inner, count, j->y + begin);
    begin += count;
  }
}

static void work_arg(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  const arg_job *j = arg;
  if (j->inner > 1 && j->n <= INT32_MAX) {
    find_in_columns(j, begin, end);
    return;
  }
  for (int64_t i = begin; i < end; i++)
    j->y[i] = j->inner == 1 ? find_in_run(j, j->x + i * j->n)
                            : find_in_column(j, j->x + i / j->inner * j->n * j->inner + i % j->inner);
}

void reduce_arg_f32(bool min, bool last, const float *x, int64_t *y, int64_t outer, int64_t n, int64_t inner, pool *p) {
  arg_job j = {reduce_best(), min, last, x, y, n, inner};
  if (outer > 0 && inner > 0 && n > 0) pool_run(p, outer * inner, GRAIN / n + 1, work_arg, &j);
}
