/* base/cpu_arch: what only the architecture can tell. The build picks one of cpu_x86.c, cpu_arm.c, cpu_generic.c. */
#ifndef BASE_CPU_ARCH_H
#define BASE_CPU_ARCH_H

#include "base/cpu.h"

/* Bits of cpu_isa that the processor has and the system lets programs use. */
uint32_t cpu_arch_isa(void);
/* The processor's own name of itself; false where it has none. */
bool cpu_arch_brand(char *text, size_t size);
/* Data caches as the processor itself describes them; false where it cannot. */
bool cpu_arch_caches(cpu_caches *ret_caches);

#endif
