/* api/machine: what this machine is, and how fast it multiplies and adds; see ledge.h. */
#include "backend/tune.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/probe/probe.h"
#include "ledge/ledge.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

void ledge_machine_get(ledge_machine *ret) {
  static char architecture[65];
  struct utsname u;
  if (!architecture[0] && uname(&u) == 0) snprintf(architecture, sizeof architecture, "%s", u.machine);
  cpu_topology t = cpu_topology_get();
  cpu_caches c = cpu_cache_sizes();
  *ret = (ledge_machine){.model = cpu_model(),
                         .architecture = architecture,
                         .processors = t.online,
                         .allowed = t.allowed,
                         .big = t.big,
                         .default_threads = cpu_default_threads(),
                         .quota = t.quota,
                         .l1d_bytes = c.l1d_bytes,
                         .l2_bytes = c.l2_bytes,
                         .l3_bytes = c.l3_bytes,
                         .memory_available_bytes = cpu_memory_available()};
  uint32_t isa = cpu_isa_available();
  size_t at = 0;
  for (int bit = 0; bit < 32 && at < sizeof ret->features; bit++) {
    if (!(isa >> bit & 1)) continue;
    int n = snprintf(ret->features + at, sizeof ret->features - at, "%s%s", at ? " " : "",
                     cpu_isa_name((cpu_isa)(1u << bit)));
    at += n > 0 ? (size_t)n : 0;
  }
}

/* Of the probe's multiply-adds a second, the best of a few rounds. */
static double peak_of(double (*probe)(uint32_t isa, int64_t rounds)) {
  enum { PROBE_ROUNDS = 12 };
  double best = 0;
  for (int i = 0; i < PROBE_ROUNDS; i++) {
    uint64_t start = clock_now_ns();
    double done = probe(cpu_isa_available(), 200000);
    uint64_t ns = clock_now_ns() - start;
    if (ns && done / (double)ns * 1e9 > best) best = done / (double)ns * 1e9;
  }
  return best;
}

double ledge_machine_peak_multiply_adds(void) { return peak_of(probe_f32); }
double ledge_machine_peak_bf16_multiply_adds(void) { return peak_of(probe_bf16); }

size_t ledge_machine_choice(size_t at, ledge_choice *ret) {
  tune_book *b = tune_book_shared();
  tune_entry *entries;
  size_t n;
  if (!b || !tune_book_list(b, &entries, &n)) return 0;
  if (ret && at < n) {
    const tune_entry *e = &entries[at];
    *ret = (ledge_choice){.count = (int)e->n, .chosen = (int)e->chosen};
    memcpy(ret->shape, e->shape, sizeof ret->shape);
    for (int i = 0; i < ret->count; i++) {
      memcpy(ret->candidates[i].kernel, e->names[i], sizeof e->names[i]);
      ret->candidates[i].ms = (double)e->ns[i] * 1e-6;
    }
  }
  mem_free(entries);
  return n;
}
