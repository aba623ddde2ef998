/* cli/cmd_bench: `ledge bench`: latency, memory, deadline misses, and where the time goes. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct bench_options {
  int64_t threads, seed;
  double seconds, deadline_ms;
  size_t memory_limit;
  text_list shapes, ints;
  bool json, profile, quiet, reference, allow_links, no_cache, no_autotune;
  const char *no_pass, *precision_name;
  ledge_precision precision;
  double precision_error;
} bench_options;

typedef struct bench_result {
  const char *model;
  int threads;
  double load_ms, *times;
  size_t runs, capacity;
  int64_t misses;
  ledge_memory memory;
  double multiply_adds;
  size_t peak_rss;
} bench_result;

enum { WARM_RUNS = 5, LEAST_RUNS = 10 };

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(const bench_result *r, double q) {
  size_t i = (size_t)((double)r->runs * q);
  return r->times[i < r->runs ? i : r->runs - 1];
}

static ledge_status run_timed(ledge_session *s, const bench_options *o, bench_result *r, ledge_error *error) {
  ledge_status status = LEDGE_OK;
  for (int i = 0; !status && i < WARM_RUNS; i++) status = ledge_session_run(s, error);
  double end = cli_now_ms() + o->seconds * 1e3;
  while (!status && (cli_now_ms() < end || r->runs < LEAST_RUNS)) {
    if (r->runs == r->capacity) {
      size_t capacity = r->capacity ? r->capacity * 2 : 1 << 16;
      double *times = realloc(r->times, capacity * sizeof *times);
      if (!times) break; /* as many runs as there is memory for */
      r->times = times;
      r->capacity = capacity;
    }
    double start = cli_now_ms();
    status = ledge_session_run(s, error);
    r->times[r->runs++] = cli_now_ms() - start;
  }
  for (size_t i = 0; i < r->runs; i++) r->misses += o->deadline_ms > 0 && r->times[i] > o->deadline_ms;
  if (r->runs) qsort(r->times, r->runs, sizeof *r->times, compare_doubles);
  return status;
}

/* ---- profile ---- */

/* Multiply-adds a second that one core reaches; 0 where they are not wanted, or there are no instructions for them. */
typedef struct peaks {
  double float32, bf16;
} peaks;
static double peak_of(const peaks *p, bool bf16) { return bf16 && p->bf16 > 0 ? p->bf16 : p->float32; }
/* A kernel's name says what it multiplies. */
static double kernel_peak(const peaks *p, const char *kernel) { return peak_of(p, strstr(kernel, "bf16") != NULL); }
static double run_peak(const peaks *p, const ledge_session *s) {
  ledge_precision_report r;
  ledge_session_precision(s, &r);
  return peak_of(p, r.precision == LEDGE_PRECISION_BF16);
}

typedef struct profile_row {
  const char *op, *kernel, *node;
  double ms, multiply_adds;
  int count;
} profile_row;

static int by_time(const void *a, const void *b) {
  double x = ((const profile_row *)a)->ms, y = ((const profile_row *)b)->ms;
  return (x < y) - (x > y);
}

static void print_rows(FILE *out, const char *title, const profile_row *rows, size_t n, size_t most, double total,
                       const peaks *all) {
  fprintf(out, "\n%-24s %-26s %6s %10s %6s %10s %8s %6s\n", title, "kernel", "steps", "ms a run", "share", "M mul-adds",
          "G/s", "peak");
  for (size_t i = 0; i < n && i < most; i++) {
    double peak = kernel_peak(all, rows[i].kernel);
    double rate = rows[i].ms > 0 ? rows[i].multiply_adds / rows[i].ms * 1e-6 : 0;
    fprintf(out, "%-24.24s %-26.26s %6d %10.4f %5.1f%% %10.2f %8.1f %5.1f%%\n",
            rows[i].node ? rows[i].node : rows[i].op, rows[i].kernel, rows[i].count, rows[i].ms,
            total > 0 ? 100 * rows[i].ms / total : 0, rows[i].multiply_adds * 1e-6, rate,
            peak > 0 ? 100 * rate * 1e9 / peak : 0);
  }
}

/* Steps of the last plan, and the same added up by operator and kernel. */
typedef struct profile_table {
  profile_row *steps, *kinds;
  size_t n_steps, n_kinds;
  double total_ms;
} profile_table;

static bool profile_read(const ledge_session *s, profile_table *t) {
  ledge_profile p;
  while (ledge_session_profile(s, t->n_steps, &p)) t->n_steps++;
  t->steps = calloc(t->n_steps + 1, sizeof *t->steps);
  t->kinds = calloc(t->n_steps + 1, sizeof *t->kinds);
  if (!t->steps || !t->kinds) return false;
  for (size_t i = 0; i < t->n_steps && ledge_session_profile(s, i, &p); i++) {
    double ms = p.runs ? (double)p.time_ns / (double)p.runs * 1e-6 : 0;
    t->steps[i] = (profile_row){p.op, p.kernel, p.node[0] ? p.node : p.op, ms, p.multiply_adds, 1};
    t->total_ms += ms;
    size_t k = 0;
    while (k < t->n_kinds && (strcmp(t->kinds[k].op, p.op) || strcmp(t->kinds[k].kernel, p.kernel))) k++;
    if (k == t->n_kinds) t->kinds[t->n_kinds++] = (profile_row){.op = p.op, .kernel = p.kernel};
    t->kinds[k].ms += ms;
    t->kinds[k].multiply_adds += p.multiply_adds;
    t->kinds[k].count++;
  }
  qsort(t->steps, t->n_steps, sizeof *t->steps, by_time);
  qsort(t->kinds, t->n_kinds, sizeof *t->kinds, by_time);
  return true;
}

static void profile_free(profile_table *t) {
  free(t->steps);
  free(t->kinds);
}

static void print_profile(const profile_table *t, const peaks *peak) {
  print_rows(stdout, "operator", t->kinds, t->n_kinds, t->n_kinds, t->total_ms, peak);
  print_rows(stdout, "node", t->steps, t->n_steps, 20, t->total_ms, peak);
}

static void json_profile(json *j, const profile_table *t, const peaks *all) {
  json_key(j, "operators"), json_open(j, '[');
  for (size_t i = 0; i < t->n_kinds; i++) {
    const profile_row *r = &t->kinds[i];
    double peak = kernel_peak(all, r->kernel);
    json_open(j, '{');
    json_key(j, "op"), json_text(j, r->op);
    json_key(j, "kernel"), json_text(j, r->kernel);
    json_key(j, "steps"), json_int(j, r->count);
    json_key(j, "ms"), json_real(j, r->ms);
    json_key(j, "share"), json_real(j, t->total_ms > 0 ? r->ms / t->total_ms : 0);
    json_key(j, "multiply_adds"), json_real(j, r->multiply_adds);
    json_key(j, "share_of_peak"), json_real(j, peak > 0 && r->ms > 0 ? r->multiply_adds / (r->ms * 1e-3) / peak : 0);
    json_close(j, '}');
  }
  json_close(j, ']');
}

/* ---- results ---- */

static void print_json(const bench_options *o, const bench_result *r, const ledge_session *s,
                       const profile_table *profile, const peaks *all) {
  double peak = run_peak(all, s);
  static const struct {
    const char *name;
    double q;
  } quantiles[] = {{"min", 0}, {"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}, {"max", 1}};
  json j = json_start(stdout);
  json_open(&j, '{');
  json_key(&j, "model"), json_text(&j, r->model);
  json_key(&j, "ledge"), json_text(&j, ledge_version());
  json_key(&j, "threads"), json_int(&j, r->threads);
  cli_precision_json(&j, s);
  json_key(&j, "runs"), json_int(&j, (int64_t)r->runs);
  json_key(&j, "load_ms"), json_real(&j, r->load_ms);
  json_key(&j, "latency_ms"), json_open(&j, '{');
  for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
    json_key(&j, quantiles[i].name), json_real(&j, quantile(r, quantiles[i].q));
  json_close(&j, '}');
  json_key(&j, "peak_rss_bytes"), json_int(&j, (int64_t)r->peak_rss);
  json_key(&j, "planned_bytes"), json_int(&j, (int64_t)(r->memory.planned_bytes + r->memory.folded_bytes));
  json_key(&j, "packed_bytes"), json_int(&j, (int64_t)r->memory.packed_bytes);
  json_key(&j, "cached_bytes"), json_int(&j, (int64_t)r->memory.cached_bytes);
  json_key(&j, "dynamic_bytes"), json_int(&j, (int64_t)r->memory.dynamic_bytes);
  json_key(&j, "multiply_adds"), json_real(&j, r->multiply_adds);
  if (peak > 0)
    json_key(&j, "share_of_peak"), json_real(&j, r->multiply_adds / (quantile(r, .5) * 1e-3) / peak / r->threads);
  if (o->deadline_ms > 0) {
    json_key(&j, "deadline_ms"), json_real(&j, o->deadline_ms);
    json_key(&j, "deadline_misses"), json_int(&j, r->misses);
  }
  if (o->profile) json_profile(&j, profile, all);
  json_close(&j, '}');
  json_end(&j);
}

static void print_table(const bench_options *o, const bench_result *r, const ledge_session *s) {
  char a[32], b[32], c[32], precision[160];
  printf("%s, %d thread%s, %zu runs\n", r->model, r->threads, r->threads == 1 ? "" : "s", r->runs);
  printf("  load      %10.2f ms\n", r->load_ms);
  printf("  latency   %10.3f ms min, %.3f p50, %.3f p90, %.3f p99, %.3f p99.9, %.3f max\n", quantile(r, 0),
         quantile(r, .5), quantile(r, .9), quantile(r, .99), quantile(r, .999), quantile(r, 1));
  printf("  rate      %10.1f runs a second\n", 1e3 / quantile(r, .5));
  if (r->multiply_adds > 0)
    printf("  work      %10.1f million multiply-adds a run, %.1f billion a second\n", r->multiply_adds * 1e-6,
           r->multiply_adds / quantile(r, .5) * 1e-6);
  printf("  memory    %10s planned%s, %s packed weights, %s peak of the process\n",
         cli_bytes((double)(r->memory.planned_bytes + r->memory.folded_bytes), a, sizeof a),
         r->memory.exact ? "" : " (and more as data ask)", cli_bytes((double)r->memory.packed_bytes, b, sizeof b),
         cli_bytes((double)r->peak_rss, c, sizeof c));
  if (o->precision) printf("  precision %s\n", cli_precision_text(s, precision, sizeof precision));
  if (o->deadline_ms > 0)
    printf("  deadline  %10.3f ms missed %lld times of %zu\n", o->deadline_ms, (long long)r->misses, r->runs);
}

static int bench(const bench_options *o, const char *path) {
  ledge_error error = {.message = ""};
  ledge_model *m = NULL;
  ledge_session *s = NULL;
  cli_inputs inputs = {0};
  const char *slash = strrchr(path, '/');
  bench_result r = {.model = slash ? slash + 1 : path};
  ledge_session_options so = {.threads = (int)o->threads,
                              .memory_limit = o->memory_limit,
                              .seed = (uint64_t)o->seed,
                              .profile = o->profile,
                              .reference = o->reference,
                              .precision = o->precision,
                              .precision_error = o->precision_error};
  double start = cli_now_ms();
  ledge_status status = ledge_model_open(path,
                                         &(ledge_model_options){.disable_passes = o->no_pass,
                                                                .allow_links = o->allow_links,
                                                                .no_cache = o->no_cache,
                                                                .no_autotune = o->no_autotune},
                                         &m, &error);
  if (!status) status = ledge_session_create(m, &so, &s, &error);
  double made = cli_now_ms();
  if (!status) status = cli_inputs_make(m, &o->shapes, &o->ints, (uint64_t)o->seed, &inputs, &error);
  start += cli_now_ms() - made; /* random numbers are no part of loading */
  if (!status) status = cli_inputs_set(&inputs, s, &error);
  if (!status) status = ledge_session_plan(s, &error);
  r.load_ms = cli_now_ms() - start;
  if (!status) status = run_timed(s, o, &r, &error);
  if (status == LEDGE_ERROR_SHAPE && inputs.count) cli_inputs_hint(m, &o->shapes, &error);
  if (!status) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    r.peak_rss = (size_t)usage.ru_maxrss * 1024;
    r.threads = ledge_session_threads(s);
    r.multiply_adds = ledge_session_multiply_adds(s);
    ledge_session_memory(s, &r.memory);
    peaks peak = {0};
    if (o->profile) peak = (peaks){ledge_machine_peak_multiply_adds(), ledge_machine_peak_bf16_multiply_adds()};
    profile_table profile = {0};
    if (o->profile && !profile_read(s, &profile)) profile.n_steps = profile.n_kinds = 0;
    if (!o->quiet) cli_precision_note(s);
    if (o->json)
      print_json(o, &r, s, &profile, &peak);
    else
      print_table(o, &r, s);
    if (o->profile && !o->json) print_profile(&profile, &peak);
    profile_free(&profile);
  }
  ledge_session_destroy(s);
  ledge_model_close(m);
  cli_inputs_free(&inputs);
  free(r.times);
  return status ? cli_fail(&error) : CLI_OK;
}

static int bench_main(const verb *v, int argc, char **argv) {
  bench_options o = {.seconds = 2};
  const option options[] = {
      {"threads", OPTION_COUNT, &o.threads, "N", "threads (default: the big cores that this process may use)"},
      {"seconds", OPTION_REAL, &o.seconds, "S", "how long to measure (default 2; at least 10 runs)"},
      {"shape", OPTION_LIST, &o.shapes, "NAME=1x3x8x8", "shape of an input; open dims are 1 otherwise"},
      {"int", OPTION_LIST, &o.ints, "NAME=VALUE", "what an integer input is filled with (default 1)"},
      {"deadline", OPTION_REAL, &o.deadline_ms, "MS", "count the runs that take longer"},
      {"profile", OPTION_FLAG, &o.profile, NULL, "time, multiply-adds and share of the peak of every operator"},
      {"precision", OPTION_TEXT, &o.precision_name, "P", "float32 (default), bf16, or auto: bf16 where it is faster"},
      {"precision-error", OPTION_REAL, &o.precision_error, "E",
       "auto: the most that outputs may be off, of their largest magnitude (default 0.01)"},
      {"memory-limit", OPTION_BYTES, &o.memory_limit, "BYTES", "refuse a plan that needs more (512M, 2G, ...)"},
      {"seed", OPTION_INT, &o.seed, "N", "of the random inputs"},
      {"no-pass", OPTION_TEXT, &o.no_pass, "NAMES", "graph passes to leave out, separated by commas; all: none runs"},
      {"allow-links", OPTION_FLAG, &o.allow_links, NULL,
       "external data may lie behind links that leave the model's folder"},
      {"no-cache", OPTION_FLAG, &o.no_cache, NULL, "pack the weights anew: neither read nor write the cache of them"},
      {"no-autotune", OPTION_FLAG, &o.no_autotune, NULL, "time no kernels: the same ones on every start"},
      {"reference", OPTION_FLAG, &o.reference, NULL, "run the plain reference of every operator (slow)"},
      {"json", OPTION_FLAG, &o.json, NULL, "one line of JSON"},
      {"quiet", OPTION_FLAG, &o.quiet, NULL, "nothing but the result"},
      {0},
  };
  char **files;
  int n, status = options_parse(v, options, argc, argv, &files, &n);
  if (status == CLI_OK && !cli_precision(v, o.precision_name, &o.precision)) status = CLI_USAGE;
  for (int i = 0; status == CLI_OK && i < n; i++) status = cli_flush(bench(&o, files[i]));
  options_free(options);
  return status;
}

const verb verb_bench = {"bench",
                         "MODEL...",
                         "Measures latency (min to p99.9 and max), memory and deadline misses on random inputs.",
                         "  ledge bench mobilenet_v2.onnx --threads 1\n"
                         "  ledge bench model.onnx --shape x=1x3x320x240 --deadline 20 --seconds 30\n"
                         "  ledge bench model.onnx --profile          # where the time goes\n"
                         "  ledge bench model.onnx --json | jq .latency_ms.p99\n",
                         1,
                         -1,
                         bench_main};
