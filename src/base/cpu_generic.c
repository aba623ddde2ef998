/* base/cpu_generic: an architecture that no kernel is written for: plain C runs. */
#include "base/cpu_arch.h"

uint32_t cpu_arch_isa(void) { return CPU_ISA_NONE; }

bool cpu_arch_brand(char *text, size_t size) { return false; }

bool cpu_arch_caches(cpu_caches *ret_caches) { return false; }
