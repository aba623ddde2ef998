/* probe_bf16 with BFMMLA: 12 sums as in probe_body.h; a step adds four products to each of 4 lanes. */
#include <arm_neon.h>
#include <stdint.h>

#define PROBE_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PROBE_START(i) float32x4_t sum##i = vdupq_n_f32((float)i);
#define PROBE_STEP(i) sum##i = vbfmmlaq_f32(sum##i, a, a);
#define PROBE_ADD(i) all = vaddq_f32(all, sum##i);

double probe_bf16__bf16mm(int64_t rounds);
double probe_bf16__bf16mm(int64_t rounds) {
  bfloat16x8_t a = vreinterpretq_bf16_u16(vdupq_n_u16(0x3a83)); /* 1e-3 */
  float32x4_t all = vdupq_n_f32(0);
  PROBE_EACH(PROBE_START)
  for (int64_t r = 0; r < rounds; r++) {
    PROBE_EACH(PROBE_STEP)
  }
  PROBE_EACH(PROBE_ADD)
  double done = (double)rounds * 12 * 16;
  return vaddvq_f32(all) == 0 ? 0 : done; /* reads the sums */
}
