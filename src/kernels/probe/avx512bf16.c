/* probe_bf16 with VDPBF16PS: 12 sums as in probe_body.h; a step adds two products to each of 16 lanes. */
#include <immintrin.h>
#include <stdint.h>

#define PROBE_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PROBE_START(i) __m512 sum##i = _mm512_set1_ps((float)i);
#define PROBE_STEP(i) sum##i = _mm512_dpbf16_ps(sum##i, a, a);
#define PROBE_ADD(i) all = _mm512_add_ps(all, sum##i);

double probe_bf16__avx512bf16(int64_t rounds);
double probe_bf16__avx512bf16(int64_t rounds) {
  __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3f), _mm512_set1_ps(1e-3f));
  __m512 all = _mm512_setzero_ps();
  PROBE_EACH(PROBE_START)
  for (int64_t r = 0; r < rounds; r++) {
    PROBE_EACH(PROBE_STEP)
  }
  PROBE_EACH(PROBE_ADD)
  double done = (double)rounds * 12 * 32;
  return _mm512_reduce_add_ps(all) == 0 ? 0 : done; /* reads the sums */
}
