/* base/cpu_arm: features of 32- and 64-bit Arm as the kernel reports them (Linux: Documentation/arch/arm64/elf_hwcaps).
 * The bits are spelled here because the C library's header may be older than the machine. */
#include "base/cpu_arch.h"

#include <sys/auxv.h>

#ifdef __aarch64__

enum { ARM64_ASIMDHP = 1 << 10, ARM64_ASIMDDP = 1 << 20, ARM64_SVE = 1 << 22 }; /* AT_HWCAP */
enum { ARM64_2_I8MM = 1 << 13, ARM64_2_BF16 = 1 << 14 };                        /* AT_HWCAP2 */

uint32_t cpu_arch_isa(void) {
  unsigned long have = getauxval(AT_HWCAP), have2 = getauxval(AT_HWCAP2);
  uint32_t isa = CPU_ISA_NEON;
  if (have & ARM64_ASIMDHP) isa |= CPU_ISA_NEON_FP16;
  if (have & ARM64_ASIMDDP) isa |= CPU_ISA_NEON_DOTPROD;
  if (have2 & ARM64_2_I8MM) isa |= CPU_ISA_NEON_I8MM;
  if (have2 & ARM64_2_BF16) isa |= CPU_ISA_NEON_BF16;
  if (have & ARM64_SVE) isa |= CPU_ISA_SVE;
  return isa;
}

#else

enum { ARM32_NEON = 1 << 12, ARM32_VFPV4 = 1 << 16 }; /* AT_HWCAP */

uint32_t cpu_arch_isa(void) {
  unsigned long have = getauxval(AT_HWCAP);
  return (have & ARM32_NEON) && (have & ARM32_VFPV4) ? CPU_ISA_NEON : CPU_ISA_NONE;
}

#endif

bool cpu_arch_brand(char *text, size_t size) { return false; }

bool cpu_arch_caches(cpu_caches *ret_caches) { return false; } /* the registers are the kernel's alone */
