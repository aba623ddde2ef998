/* base/cpu: see cpu.h. The system's files are parsed by cpu_sys.c and cpu_cgroup.c, the processor is asked by
 * cpu_x86.c, cpu_arm.c or cpu_generic.c; here they are put together. */
#include "base/cpu.h"

#include "base/cpu_arch.h"
#include "base/cpu_sys.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPU_TURN_NS = 200 * 1000 };

/* One row a bit: what LEDGE_ISA= calls it, and what a cap of that name leaves: its own level and those before it. */
#define X86_AVX2 (CPU_ISA_SSE2 | CPU_ISA_AVX2)
#define X86_AVX512 (X86_AVX2 | CPU_ISA_AVXVNNI | CPU_ISA_AVX512)
#define X86_BF16 (X86_AVX512 | CPU_ISA_AVX512VNNI | CPU_ISA_AVX512BF16)
#define ARM_DOTPROD (CPU_ISA_NEON | CPU_ISA_NEON_FP16 | CPU_ISA_NEON_DOTPROD)
#define ARM_BF16 (ARM_DOTPROD | CPU_ISA_NEON_I8MM | CPU_ISA_NEON_BF16)
static const struct {
  const char *name;
  uint32_t bit, cap;
} isa_rows[] = {
    {"none", CPU_ISA_NONE, CPU_ISA_NONE},
    {"scalar", CPU_ISA_NONE, CPU_ISA_NONE},
    {"sse2", CPU_ISA_SSE2, CPU_ISA_SSE2},
    {"avx2", CPU_ISA_AVX2, X86_AVX2},
    {"avxvnni", CPU_ISA_AVXVNNI, X86_AVX2 | CPU_ISA_AVXVNNI},
    {"avx512", CPU_ISA_AVX512, X86_AVX2 | CPU_ISA_AVX512},
    {"avx512vnni", CPU_ISA_AVX512VNNI, X86_AVX512 | CPU_ISA_AVX512VNNI},
    {"avx512bf16", CPU_ISA_AVX512BF16, X86_BF16},
    {"avx512fp16", CPU_ISA_AVX512FP16, X86_BF16 | CPU_ISA_AVX512FP16},
    {"amx_bf16", CPU_ISA_AMX_BF16, X86_BF16 | CPU_ISA_AVX512FP16 | CPU_ISA_AMX_BF16},
    {"amx_int8", CPU_ISA_AMX_INT8, X86_BF16 | CPU_ISA_AVX512FP16 | CPU_ISA_AMX_INT8},
    {"amx", CPU_ISA_NONE, 0xffff},
    {"neon", CPU_ISA_NEON, CPU_ISA_NEON},
    {"neon_fp16", CPU_ISA_NEON_FP16, CPU_ISA_NEON | CPU_ISA_NEON_FP16},
    {"neon_dotprod", CPU_ISA_NEON_DOTPROD, ARM_DOTPROD},
    {"neon_i8mm", CPU_ISA_NEON_I8MM, ARM_DOTPROD | CPU_ISA_NEON_I8MM},
    {"neon_bf16", CPU_ISA_NEON_BF16, ARM_BF16},
    {"sve", CPU_ISA_SVE, ARM_BF16 | CPU_ISA_SVE},
};
enum { N_ISA_ROWS = sizeof isa_rows / sizeof *isa_rows };

const char *cpu_isa_name(cpu_isa one_bit) {
  for (int i = 0; i < N_ISA_ROWS; i++)
    if (isa_rows[i].bit == (uint32_t)one_bit) return isa_rows[i].name;
  return "?";
}

uint32_t cpu_isa_cap(const char *text) {
  uint32_t cap = 0;
  if (!text || !*text) return UINT32_MAX;
  for (const char *at = text; at; at = strchr(at, '+')) {
    if (*at == '+') at++;
    size_t n = strcspn(at, "+");
    int row = 0;
    while (row < N_ISA_ROWS && (strlen(isa_rows[row].name) != n || memcmp(isa_rows[row].name, at, n))) row++;
    if (row == N_ISA_ROWS) return UINT32_MAX;
    cap |= isa_rows[row].cap;
  }
  return cap;
}

static struct {
  uint32_t isa;
  cpu_caches caches;
  char model[256];
} cpu_facts;
static pthread_once_t cpu_facts_once = PTHREAD_ONCE_INIT;

static cpu_mask cpu_affinity(int thread_id) {
  cpu_mask m = {{0}};
  _Static_assert(sizeof m % sizeof(long) == 0, "the kernel takes whole words");
  if (sched_getaffinity(thread_id, sizeof m, (cpu_set_t *)&m) != 0 || !cpu_mask_count(&m)) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    m = (cpu_mask){{0}};
    for (long cpu = 0; cpu < (online < 1 ? 1 : online); cpu++) cpu_mask_add(&m, (int)cpu);
  }
  return m;
}

static void cpu_facts_fill(void) {
  cpu_mask allowed = cpu_affinity(0);
  cpu_facts.isa = cpu_arch_isa() & cpu_isa_cap(getenv("LEDGE_ISA"));
  cpu_facts.caches = cpu_caches_read("", &allowed);
  if (!cpu_facts.caches.l1d_bytes) cpu_arch_caches(&cpu_facts.caches);
  if (!cpu_arch_brand(cpu_facts.model, sizeof cpu_facts.model) &&
      !cpu_model_read("", cpu_facts.model, sizeof cpu_facts.model))
    snprintf(cpu_facts.model, sizeof cpu_facts.model, "unknown");
}

uint32_t cpu_isa_available(void) {
  pthread_once(&cpu_facts_once, cpu_facts_fill);
  return cpu_facts.isa;
}

const char *cpu_model(void) {
  pthread_once(&cpu_facts_once, cpu_facts_fill);
  return cpu_facts.model;
}

cpu_caches cpu_cache_sizes(void) {
  pthread_once(&cpu_facts_once, cpu_facts_fill);
  return cpu_facts.caches;
}

cpu_topology cpu_topology_get(void) {
  cpu_mask allowed = cpu_affinity(0);
  return cpu_topology_read("", &allowed);
}

/* `n` processors within a quota, rounded up: half a CPU is still a thread. */
static int cpu_within(int n, double quota) {
  if (quota > 0 && quota < n) {
    int whole = (int)quota;
    n = whole + (quota > whole);
  }
  return n < 1 ? 1 : n;
}

int cpu_default_threads(void) {
  cpu_topology t = cpu_topology_get();
  return cpu_within(t.cores, t.quota);
}

int cpu_usable(const int *thread_ids, int n, double quota) {
  cpu_mask all = {{0}};
  for (int i = 0; i < n; i++) {
    cpu_mask one = cpu_affinity(thread_ids[i]);
    for (int j = 0; j < CPU_MASK_BITS / 64; j++) all.words[j] |= one.words[j];
  }
  return cpu_within(cpu_mask_count(&all), quota);
}

int cpu_here(void) { return sched_getcpu(); }

bool cpu_leave(int cpu) {
  cpu_set_t now, other;
  if (sched_getaffinity(0, sizeof now, &now) || cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &now)) return false;
  other = now;
  CPU_CLR(cpu, &other);
  if (!CPU_COUNT(&other) || sched_setaffinity(0, sizeof other, &other)) return false;
  return !sched_setaffinity(0, sizeof now, &now);
}

void cpu_ask_short_turns(void) {
#ifdef SYS_sched_setattr
  struct { /* linux/sched/types.h, which does not go with sched.h */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attr = {.size = sizeof attr};
  if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) || attr.policy != SCHED_OTHER) return;
  attr.runtime = CPU_TURN_NS;
  syscall(SYS_sched_setattr, 0, &attr, 0); /* refused or without effect before Linux 6.12: then all stays as it was */
#endif
}

int cpu_thread_id(void) { return (int)syscall(SYS_gettid); }

double cpu_quota(void) { return cpu_cgroup_quota(""); }

size_t cpu_memory_available(void) {
  uint64_t least = cpu_memory_read("");
  struct rlimit limit;
  char text[64];
  if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY &&
      cpu_sys_text("", "/proc/self/statm", text, sizeof text)) {
    uint64_t used = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t left = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
    if (left < least) least = left;
  }
  return least > SIZE_MAX ? SIZE_MAX : (size_t)least;
}
