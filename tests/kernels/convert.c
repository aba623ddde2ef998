/* Every variant of convert against the single conversions: all 65,536 halves, random and awkward floats, lengths; the
 * integers' casts at their edges; gather. */
#include "kernels/convert/convert.h"

#include "kernel_test.h"
#include "kernels/gather/gather.h"

static bool same_half(uint16_t a, uint16_t b, uint16_t infinity) {
  return a == b || ((a & 0x7fff) > infinity && (b & 0x7fff) > infinity);
}

static void test_halves(void) {
  enum { N = 65536 };
  size_t n_variants;
  const convert_variant *variants = convert_variants(&n_variants);
  static uint16_t h[N];
  static float want[N], got[N];
  for (int i = 0; i < N; i++) h[i] = (uint16_t)i;
  for (size_t v = 0; v < n_variants; v++) {
    if (!can_run(variants[v].isa)) continue;
    convert__ref.f16_to_f32(h, want, N);
    variants[v].kernels->f16_to_f32(h, got, N);
    check_near(variants[v].name, got, want, N, 0, 0);
    convert__ref.bf16_to_f32(h, want, N);
    variants[v].kernels->bf16_to_f32(h, got, N);
    check_near(variants[v].name, got, want, N, 0, 0);
  }
}

static void test_floats(void) {
  enum { N = 50000 };
  size_t n_variants;
  const convert_variant *variants = convert_variants(&n_variants);
  static float x[N];
  static uint16_t want[N], got[N];
  rng r;
  rng_init(&r, 1);
  fill_bytes(&r, x, sizeof x); /* any bits: NaN of every kind among them */
  for (int i = 0; i < N; i += 2) {
    uint32_t near = (uint32_t)(rng_u64(&r) % 0x9000 + 0x3000) << 13 | (uint32_t)(rng_u64(&r) % 4 * 0x800);
    memcpy(&x[i], &near, 4); /* ties and the ends of float16's range */
  }
  for (size_t v = 0; v < n_variants; v++) {
    if (!can_run(variants[v].isa)) continue;
    for (int k = 0; k < 2; k++) {
      (k ? convert__ref.f32_to_bf16 : convert__ref.f32_to_f16)(x, want, N);
      (k ? variants[v].kernels->f32_to_bf16 : variants[v].kernels->f32_to_f16)(x, got, N);
      for (int i = 0; i < N; i++)
        if (!same_half(got[i], want[i], k ? 0x7f80 : 0x7c00)) {
          TEST_FAIL("%s, %d: %a gives %04x, not %04x", variants[v].name, k, x[i], got[i], want[i]);
          break;
        }
    }
    for (int64_t n = 0; n < 40; n++) {
      guarded h = guarded_make((size_t)n * 2, 2), f = guarded_make((size_t)n * 4, 4);
      variants[v].kernels->f32_to_f16(x, (uint16_t *)(void *)h.data, n);
      variants[v].kernels->f16_to_f32((uint16_t *)(void *)h.data, (float *)(void *)f.data, n);
      variants[v].kernels->f32_to_bf16(x, (uint16_t *)(void *)h.data, n);
      variants[v].kernels->bf16_to_f32((uint16_t *)(void *)h.data, (float *)(void *)f.data, n);
      guarded_free(&h, variants[v].name), guarded_free(&f, variants[v].name);
    }
  }
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  for (int t = 1; t <= TEST_THREADS; t++) {
    convert_f32_to_f16(x, got, N, pools[t]);
    if (t == 1) memcpy(want, got, sizeof want);
    check_same("threads", got, want, sizeof want);
  }
  pools_free(pools);
}

static void test_integers(void) {
  const float x[] = {0, -1.9f, 1.9f, 3e9f, -3e9f, NAN, 2147483520.0f, INFINITY, -INFINITY, 1e19f};
  const int32_t want32[] = {0, -1, 1, INT32_MAX, INT32_MIN, 0, 2147483520, INT32_MAX, INT32_MIN, INT32_MAX};
  const int64_t want64[] = {0, -1, 1, 3000000000, -3000000000, 0, 2147483520, INT64_MAX, INT64_MIN, INT64_MAX};
  int32_t y32[10];
  int64_t y64[10];
  CHECK(convert_f32_to_int(x, LEDGE_I32, y32, 10));
  check_same("int32", y32, want32, sizeof y32);
  CHECK(convert_f32_to_int(x, LEDGE_I64, y64, 10));
  check_same("int64", y64, want64, sizeof y64);
  CHECK(!convert_f32_to_int(x, LEDGE_F64, y64, 10));
  const int8_t bytes[] = {-128, 127, 0, 1};
  float f[4];
  CHECK(convert_int_to_f32(LEDGE_I8, bytes, f, 4) && f[0] == -128 && f[1] == 127);
  CHECK(convert_int_to_f32(LEDGE_U8, bytes, f, 4) && f[0] == 128);
  CHECK(convert_int_to_f32(LEDGE_BOOL, bytes, f, 4) && f[0] == 1 && f[2] == 0);
  CHECK(convert_int_to_f32(LEDGE_I64, y64, f, 4) && f[3] == 3e9f);
}

static void test_gather(void) {
  const int64_t index[] = {2, -1, 0, -3};
  const int32_t narrow[] = {2, -1, 0, -3};
  CHECK_INT(gather_check(index, true, 4, 3), -1);
  CHECK_INT(gather_check(narrow, false, 4, 2), 0);
  CHECK_INT(gather_check(index, true, 4, 2), 0);
  CHECK_INT(gather_check(index + 1, true, 3, 2), 2);
  pool *pools[TEST_THREADS + 1];
  pools_make(pools);
  static unsigned char src[2 * 3 * 40], dst[2 * 4 * 40];
  for (int i = 0; i < (int)sizeof src; i++) src[i] = (unsigned char)i;
  for (size_t bytes = 1; bytes <= 40; bytes++)
    for (int t = 1; t <= TEST_THREADS; t++) {
      gather_rows(src, 2, 3, bytes, t % 2 ? (const void *)index : narrow, t % 2, 4, dst, pools[t]);
      for (size_t o = 0; o < 2; o++)
        for (size_t i = 0; i < 4; i++)
          CHECK(!memcmp(dst + (o * 4 + i) * bytes, src + (o * 3 + (i % 2 ? (i == 1 ? 2 : 0) : 2 - i)) * bytes, bytes));
    }
  pools_free(pools);
}

TEST_MAIN({"halves", test_halves}, {"floats", test_floats}, {"integers", test_integers}, {"gather", test_gather})
