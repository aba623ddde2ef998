/* base/cpu_x86: CPUID says what the processor has, XGETBV which registers the system saves, and (AMX) the kernel grants
 * the tile state on request. A feature counts only when all that it stands on is there.
 * Intel SDM volume 1, chapter 13 (XSAVE) and volume 2, CPUID; Linux: Documentation/arch/x86/xstate. */
#include "base/cpu_arch.h"

#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { XCR0_AVX = 0x6, XCR0_AVX512 = 0xe6, XCR0_AMX = 0x60000 };
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

typedef struct cpuid_regs {
  uint32_t a, b, c, d;
} cpuid_regs;

static cpuid_regs x86_cpuid(uint32_t leaf, uint32_t sub) {
  cpuid_regs r = {0};
  if ((uint32_t)__get_cpuid_max(leaf & 0x80000000u, NULL) >= leaf) __cpuid_count(leaf, sub, r.a, r.b, r.c, r.d);
  return r;
}

static uint64_t x86_xcr0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static bool x86_bit(uint32_t word, int bit) { return (word >> bit) & 1; }

static bool x86_amx_granted(void) {
#if defined(__x86_64__) && defined(SYS_arch_prctl)
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return false;
#endif
}

static uint32_t x86_avx512(cpuid_regs seven, cpuid_regs seven_one) {
  if (!x86_bit(seven.b, 16) || !x86_bit(seven.b, 17) || !x86_bit(seven.b, 30) || !x86_bit(seven.b, 31)) return 0;
  uint32_t isa = CPU_ISA_AVX512;
  if (x86_bit(seven.c, 11)) isa |= CPU_ISA_AVX512VNNI;
  if (x86_bit(seven_one.a, 5)) isa |= CPU_ISA_AVX512BF16;
  if (x86_bit(seven.d, 23)) isa |= CPU_ISA_AVX512FP16;
  return isa;
}

uint32_t cpu_arch_isa(void) {
  cpuid_regs one = x86_cpuid(1, 0), seven = x86_cpuid(7, 0), seven_one = {0};
  if (seven.a >= 1) seven_one = x86_cpuid(7, 1);
  uint32_t isa = x86_bit(one.d, 26) ? CPU_ISA_SSE2 : CPU_ISA_NONE;
  if (!x86_bit(one.c, 27)) return isa; /* OSXSAVE: without it XGETBV faults */
  uint64_t saved = x86_xcr0();
  bool fma = x86_bit(one.c, 12), avx = x86_bit(one.c, 28), f16c = x86_bit(one.c, 29), avx2 = x86_bit(seven.b, 5);
  if ((saved & XCR0_AVX) != XCR0_AVX || !avx || !avx2 || !fma || !f16c) return isa;
  isa |= CPU_ISA_AVX2;
  if (x86_bit(seven_one.a, 4)) isa |= CPU_ISA_AVXVNNI;
  if ((saved & XCR0_AVX512) == XCR0_AVX512) isa |= x86_avx512(seven, seven_one);
  bool tile = x86_bit(seven.d, 24), amx_bf16 = x86_bit(seven.d, 22), amx_int8 = x86_bit(seven.d, 25);
  if ((isa & CPU_ISA_AVX512) && (saved & XCR0_AMX) == XCR0_AMX && tile && (amx_bf16 || amx_int8) && x86_amx_granted())
    isa |= (amx_bf16 ? CPU_ISA_AMX_BF16 : 0u) | (amx_int8 ? CPU_ISA_AMX_INT8 : 0u);
  return isa;
}

bool cpu_arch_brand(char *text, size_t size) {
  char brand[49] = {0};
  if (x86_cpuid(0x80000000u, 0).a < 0x80000004u || !size) return false;
  for (uint32_t i = 0; i < 3; i++) {
    cpuid_regs r = x86_cpuid(0x80000002u + i, 0);
    memcpy(brand + 16 * i, &r, sizeof r);
  }
  const char *from = brand;
  while (*from == ' ') from++;
  size_t n = strlen(from);
  if (n >= size) n = size - 1;
  memcpy(text, from, n);
  text[n] = 0;
  return n > 0;
}

bool cpu_arch_caches(cpu_caches *ret_caches) {
  cpu_caches found = {0};
  bool amd = x86_cpuid(0, 0).c == 0x444d4163u; /* "cAMD": the same table stands at another leaf */
  for (uint32_t i = 0; i < 16; i++) {
    cpuid_regs r = x86_cpuid(amd ? 0x8000001du : 4, i);
    uint32_t type = r.a & 31, level = (r.a >> 5) & 7; /* type 1: data, 3: unified */
    if (!type) break;
    size_t bytes = (size_t)((r.b >> 22) + 1) * (((r.b >> 12) & 1023) + 1) * ((r.b & 4095) + 1) * ((size_t)r.c + 1);
    if (level == 1 && type == 1) found.l1d_bytes = bytes;
    if (level == 2 && type != 2) found.l2_bytes = bytes;
    if (level == 3 && type != 2) found.l3_bytes = bytes;
  }
  if (!found.l1d_bytes) return false;
  *ret_caches = found;
  return true;
}
