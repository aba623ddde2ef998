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
  CPU_ISA_NEON = 1 << 16, /* aarch64 floor; on 32-bit Arm where the kernel says so */
  CPU_ISA_NEON_FP16 = 1 << 17,
  CPU_ISA_NEON_DOTPROD = 1 << 18,
  CPU_ISA_NEON_I8MM = 1 << 19,
  CPU_ISA_NEON_BF16 = 1 << 20,
  CPU_ISA_SVE = 1 << 21,
} cpu_isa;

/* Bits of cpu_isa that this machine has, capped by the environment's LEDGE_ISA (scalar, sse2, avx2, avx512, amx, neon,
 * ...; an unknown name leaves the machine's own). Read once, then constant. */
uint32_t cpu_isa_available(void);
const char *cpu_isa_name(cpu_isa one_bit);
/* The name of the processor as the system gives it, and the sizes of its data caches; 0 where unknown. */
const char *cpu_model(void);
typedef struct cpu_caches {
  size_t l1d_bytes, l2_bytes, l3_bytes;
} cpu_caches;
cpu_caches cpu_cache_sizes(void);
/* The big cores within the affinity mask, within the cgroup's CPU quota (rounded up), at least 1. */
int cpu_default_threads(void);
typedef struct cpu_topology {
  int online, allowed, big; /* logical processors: of the machine, of the affinity mask, of the fastest kind in it */
  double quota;             /* CPUs that the cgroup grants, 0 where unlimited */
} cpu_topology;
cpu_topology cpu_topology_get(void);
/* Memory that this process may still use: the least of what the machine and the cgroups have free. */
size_t cpu_memory_available(void);

#endif
