/* base/cpu: what this processor can do and how much of the machine this process may use. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Instruction-set levels that kernels are written for, as bits. A kernel variant names all the bits that it needs. */
typedef enum cpu_isa {
  CPU_ISA_NONE = 0,        /* plain C */
  CPU_ISA_SSE2 = 1 << 0,   /* x86-64 floor */
  CPU_ISA_AVX2 = 1 << 1,   /* with FMA and F16C */
  CPU_ISA_AVX512 = 1 << 2, /* F, BW, DQ, VL */
  CPU_ISA_AVXVNNI = 1 << 3,
  CPU_ISA_AVX512VNNI = 1 << 4,
  CPU_ISA_AVX512BF16 = 1 << 5,
  CPU_ISA_AMX_BF16 = 1 << 6, /* the kernel granted the tile state */
  CPU_ISA_AMX_INT8 = 1 << 7,
  CPU_ISA_AVX512FP16 = 1 << 8,
  CPU_ISA_NEON = 1 << 16, /* aarch64 floor; on 32-bit Arm where the system has it with fused multiply-add (VFPv4) */
  CPU_ISA_NEON_FP16 = 1 << 17,
  CPU_ISA_NEON_DOTPROD = 1 << 18,
  CPU_ISA_NEON_I8MM = 1 << 19,
  CPU_ISA_NEON_BF16 = 1 << 20,
  CPU_ISA_SVE = 1 << 21,
} cpu_isa;

/* Bits of cpu_isa that this machine has, capped by the environment's LEDGE_ISA: one level (scalar, sse2, avx2, avxvnni,
 * avx512, avx512vnni, avx512bf16, avx512fp16, amx; neon, neon_fp16, neon_dotprod, neon_i8mm, neon_bf16, sve), which
 * takes in those before it on its architecture, or several joined by '+'. An unknown name leaves the machine's own.
 * Read once, then constant; any thread. Where the machine has AMX, the first call asks the kernel for its tile state.
 */
uint32_t cpu_isa_available(void);
/* "avx2" and so on; "none" for 0 and "?" for what is not one bit of cpu_isa. */
const char *cpu_isa_name(cpu_isa one_bit);
/* The name of the processor as the system gives it ("unknown" where it does not), and the sizes of its data caches; 0
 * where unknown. Read once, then constant; any thread. */
const char *cpu_model(void);
typedef struct cpu_caches {
  size_t l1d_bytes, l2_bytes, l3_bytes;
} cpu_caches;
cpu_caches cpu_cache_sizes(void);
/* The big cores within the affinity mask, within the cgroup's CPU quota (rounded up), at least 1. Hyper-threads of one
 * core count once: they share the units that kernels keep busy. */
int cpu_default_threads(void);
typedef struct cpu_topology {
  int online, allowed, big; /* logical processors: of the machine, of the affinity mask, of the fast kinds in it */
  int cores;                /* physical cores that `big` stands on */
  double quota;             /* CPUs that the cgroup grants, 0 where unlimited */
} cpu_topology;
cpu_topology cpu_topology_get(void); /* read afresh at each call, for the calling thread's affinity mask */
/* How many threads can run at once just now: the affinity masks of the `n` threads of those ids (0: the calling one)
 * together, within `quota` CPUs (0: unlimited; rounded up), at least 1. One system call a thread, no file is read. */
int cpu_usable(const int *thread_ids, int n, double quota);
/* The processor that the calling thread is on; -1 where the system does not say. No system call. */
int cpu_here(void);
/* Moves the calling thread off a processor, to any other one that it may use; false where there is none. */
bool cpu_leave(int cpu);
/* Asks for shorter turns of the calling thread than the scheduler's (milliseconds). Its share stays what it was; where
 * others use the core too, it then runs soon after it is woken. sched_setattr(2), Linux 6.12. */
void cpu_ask_short_turns(void);
/* The id by which cpu_usable knows the calling thread; 0 where the system has none. */
int cpu_thread_id(void);
/* The CPUs that the cgroup grants, read afresh; 0 where unlimited. */
double cpu_quota(void);
/* Memory that this process may still use: the least of what the machine, the cgroups and the address-space limit have
 * free. SIZE_MAX where nothing says. */
size_t cpu_memory_available(void);

#endif
