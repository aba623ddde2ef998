/* kernels/probe: chooses the widest body; see probe.h. The floor counts plain scalar arithmetic. */
#include "kernels/probe/probe.h"

#include "base/cpu.h"

double probe_f32__avx512(int64_t rounds);
double probe_f32__avx2(int64_t rounds);
double probe_f32__neon(int64_t rounds);
double probe_bf16__amx(int64_t rounds);
double probe_bf16__avx512bf16(int64_t rounds);
double probe_bf16__bf16mm(int64_t rounds);

static double probe_f32__scalar(int64_t rounds) {
  volatile float keep;
  float sum[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int64_t r = 0; r < rounds; r++)
    for (int i = 0; i < 8; i++) sum[i] = sum[i] * 1.0000001f + 1e-7f;
  for (int i = 1; i < 8; i++) sum[0] += sum[i];
  keep = sum[0];
  (void)keep;
  return (double)rounds * 8;
}

double probe_f32(uint32_t isa, int64_t rounds) {
#if KERNELS_AVX512
  if (isa & CPU_ISA_AVX512) return probe_f32__avx512(rounds);
#endif
#if KERNELS_AVX2
  if (isa & CPU_ISA_AVX2) return probe_f32__avx2(rounds);
#endif
#if KERNELS_NEON
  if (isa & CPU_ISA_NEON) return probe_f32__neon(rounds);
#endif
  (void)isa;
  return probe_f32__scalar(rounds);
}

double probe_bf16(uint32_t isa, int64_t rounds) {
#if KERNELS_AMX
  if (isa & CPU_ISA_AMX_BF16) return probe_bf16__amx(rounds);
#endif
#if KERNELS_AVX512BF16
  if (isa & CPU_ISA_AVX512BF16) return probe_bf16__avx512bf16(rounds);
#endif
#if KERNELS_BF16MM
  if (isa & CPU_ISA_NEON_BF16) return probe_bf16__bf16mm(rounds);
#endif
  (void)isa, (void)rounds;
  return 0;
}
