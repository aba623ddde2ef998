/* kernels/probe: the body, on the vector words of the file that includes it: 12 sums, each one chain. They have names
 * and nothing holds them but the loop: an array, or an asm that names them, leaves them in memory with some compilers,
 * where every step waits for its own store. */
#include "kernels/probe/probe.h"

#define PROBE_CHAINS 12
#define PROBE_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PROBE_START(i) vf sum##i = vf_set1((float)i);
#define PROBE_STEP(i) sum##i = vf_fma(sum##i, a, b); /* rounds: no step can be merged or dropped */
#define PROBE_ADD(i) all = vf_add(all, sum##i);

double PROBE_NAME(int64_t rounds);
double PROBE_NAME(int64_t rounds) {
  vf a = vf_set1(1.0000001f), b = vf_set1(1e-7f), all = vf_set1(0);
  PROBE_EACH(PROBE_START)
  for (int64_t r = 0; r < rounds; r++) {
    PROBE_EACH(PROBE_STEP)
  }
  float out[VF_LANES];
  PROBE_EACH(PROBE_ADD)
  vf_store(out, all);
  double done = (double)rounds * PROBE_CHAINS * VF_LANES;
  return out[0] == 0 ? 0 : done; /* reads the sums */
}
