/* kernels/probe: the body, on the vector words of the file that includes it: PROBE_CHAINS sums, each one chain. */
#include "kernels/probe/probe.h"

enum { PROBE_CHAINS = 12 };

double PROBE_NAME(int64_t rounds);
double PROBE_NAME(int64_t rounds) {
  vf sum[PROBE_CHAINS], a = vf_set1(1.0000001f), b = vf_set1(1e-7f);
  for (int i = 0; i < PROBE_CHAINS; i++) sum[i] = vf_set1((float)i);
  for (int64_t r = 0; r < rounds; r++) {
    _Pragma("GCC unroll 12") for (int i = 0; i < PROBE_CHAINS; i++) {
      sum[i] = vf_fma(sum[i], a, b);
      __asm__ volatile("" : PROBE_KEEP(sum[i])); /* neither merged nor dropped */
    }
  }
  float out[VF_LANES];
  for (int i = 1; i < PROBE_CHAINS; i++) sum[0] = vf_add(sum[0], sum[i]);
  vf_store(out, sum[0]);
  double done = (double)rounds * PROBE_CHAINS * VF_LANES;
  return out[0] == 0 ? 0 : done; /* reads the sums */
}
