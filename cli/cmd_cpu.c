/* cli/cmd_cpu: `ledge cpu`: what this machine offers to models. */
#include "cli.h"

typedef struct cpu_options {
  bool json, choices;
} cpu_options;

static void print_choices(void) {
  ledge_choice c;
  for (size_t i = 0, n = ledge_machine_choice(0, NULL); i < n && ledge_machine_choice(i, &c) > i; i++) {
    printf("  %-60s", c.shape);
    for (int k = 0; k < c.count; k++)
      printf("  %s%s %.3f ms", k == c.chosen ? "*" : "", c.candidates[k].kernel, c.candidates[k].ms);
    printf("\n");
  }
}

static void choices_json(json *j) {
  ledge_choice c;
  json_key(j, "choices"), json_open(j, '[');
  for (size_t i = 0, n = ledge_machine_choice(0, NULL); i < n && ledge_machine_choice(i, &c) > i; i++) {
    json_open(j, '{');
    json_key(j, "shape"), json_text(j, c.shape);
    json_key(j, "chosen"), json_text(j, c.candidates[c.chosen].kernel);
    json_key(j, "ms"), json_open(j, '{');
    for (int k = 0; k < c.count; k++) json_key(j, c.candidates[k].kernel), json_real(j, c.candidates[k].ms);
    json_close(j, '}');
    json_close(j, '}');
  }
  json_close(j, ']');
}

static void print_json(const ledge_machine *m, double peak, double bf16) {
  json j = json_start(stdout);
  json_open(&j, '{');
  json_key(&j, "model"), json_text(&j, m->model);
  json_key(&j, "architecture"), json_text(&j, m->architecture);
  json_key(&j, "features"), json_text(&j, m->features);
  json_key(&j, "processors"), json_int(&j, m->processors);
  json_key(&j, "allowed"), json_int(&j, m->allowed);
  json_key(&j, "big"), json_int(&j, m->big);
  json_key(&j, "quota"), json_real(&j, m->quota);
  json_key(&j, "default_threads"), json_int(&j, m->default_threads);
  json_key(&j, "l1d_bytes"), json_int(&j, (int64_t)m->l1d_bytes);
  json_key(&j, "l2_bytes"), json_int(&j, (int64_t)m->l2_bytes);
  json_key(&j, "l3_bytes"), json_int(&j, (int64_t)m->l3_bytes);
  json_key(&j, "memory_available_bytes"), json_int(&j, (int64_t)m->memory_available_bytes);
  json_key(&j, "peak_multiply_adds_per_s"), json_real(&j, peak);
  json_key(&j, "peak_bf16_multiply_adds_per_s"), json_real(&j, bf16);
  choices_json(&j);
  json_close(&j, '}');
  json_end(&j);
}

static int cpu_main(const verb *v, int argc, char **argv) {
  cpu_options o = {0};
  const option options[] = {
      {"json", OPTION_FLAG, &o.json, NULL, "a JSON document instead of a table"},
      {"choices", OPTION_FLAG, &o.choices, NULL, "the kernels that were timed here, the chosen starred"},
      {0}};
  char **files, a[32], b[32], c[32], d[32];
  int n, status = options_parse(v, options, argc, argv, &files, &n);
  if (status != CLI_OK) return status;
  ledge_machine m;
  ledge_machine_get(&m);
  double peak = ledge_machine_peak_multiply_adds(), bf16 = ledge_machine_peak_bf16_multiply_adds();
  if (o.json) {
    print_json(&m, peak, bf16);
    return CLI_OK;
  }
  printf("processor   %s (%s)\n", m.model, m.architecture);
  printf("kernels     %s\n", m.features);
  printf("cores       %d in the machine, %d allowed, %d of the fastest kind", m.processors, m.allowed, m.big);
  if (m.quota > 0) printf(", quota %.2f", m.quota);
  printf("; %d thread%s by default\n", m.default_threads, m.default_threads == 1 ? "" : "s");
  printf("caches      %s L1d, %s L2, %s L3\n", cli_bytes((double)m.l1d_bytes, a, sizeof a),
         cli_bytes((double)m.l2_bytes, b, sizeof b), cli_bytes((double)m.l3_bytes, c, sizeof c));
  printf("memory      %s free for this process\n", cli_bytes((double)m.memory_available_bytes, d, sizeof d));
  printf("float32     %.1f billion multiply-adds a second on one core, measured\n", peak * 1e-9);
  if (bf16 > 0)
    printf("bf16        %.1f billion multiply-adds a second on one core, measured\n", bf16 * 1e-9);
  else
    printf("bf16        by float32's instructions\n");
  printf("choices     %zu of kernels timed and kept%s\n", ledge_machine_choice(0, NULL), o.choices ? ":" : "");
  if (o.choices) print_choices();
  return CLI_OK;
}

const verb verb_cpu = {"cpu",
                       "",
                       "Shows what this machine offers: instruction sets, cores, caches, memory, measured peak.",
                       "  ledge cpu\n  ledge cpu --json\n",
                       0,
                       0,
                       cpu_main};
