/* The small modules: error, mem, arena, reader, rng, utf8, clock. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "test.h"

static void test_status(void) {
  for (int i = 0; i <= LEDGE_ERROR_INTERNAL; i++) {
    CHECK(!strncmp(ledge_status_name((ledge_status)i), i ? "LEDGE_ERROR_" : "LEDGE_OK", i ? 12 : 9));
    CHECK(strcmp(ledge_status_name((ledge_status)i), "LEDGE_ERROR_UNKNOWN") && ledge_status_text((ledge_status)i)[0]);
  }
  CHECK_STR(ledge_status_name((ledge_status)999), "LEDGE_ERROR_UNKNOWN");
  CHECK_STR(ledge_status_text((ledge_status)-1), "unknown status");
}

static ledge_status fail_inside(ledge_error *error) {
  TRY(LEDGE_OK);
  TRY(error_set_at(error, LEDGE_ERROR_FORMAT, 77, "field %d", 3));
  return LEDGE_OK;
}

static void test_error(void) {
  ledge_error e;
  CHECK_INT(fail_inside(&e), LEDGE_ERROR_FORMAT);
  CHECK(e.code == LEDGE_ERROR_FORMAT && e.offset == 77 && !e.node[0]);
  error_node(&e, "conv_1");
  error_node(&e, "outer");
  CHECK_STR(e.node, "conv_1");
  CHECK_INT(error_prefix(&e, LEDGE_ERROR_FORMAT, "loading %s", "m.onnx"), LEDGE_ERROR_FORMAT);
  CHECK_STR(e.message, "loading m.onnx: field 3");
  CHECK_INT(e.offset, 77);
  CHECK_INT(error_set(&e, LEDGE_ERROR_IO, "again: %s", e.message), LEDGE_ERROR_IO); /* its own old message */
  CHECK_STR(e.message, "again: loading m.onnx: field 3");
  CHECK(e.offset == UINT64_MAX && !e.node[0]);
  CHECK_INT(error_memory(&e, 10, "a test"), LEDGE_ERROR_MEMORY);
  CHECK_STR(e.message, "out of memory: 10 bytes for a test");
  CHECK_INT(error_set(NULL, LEDGE_ERROR_IO, "x"), LEDGE_ERROR_IO);
  CHECK_INT(error_prefix(NULL, LEDGE_ERROR_IO, "x"), LEDGE_ERROR_IO);
  error_node(NULL, "x");
}

/* Names come from files: no escape sequence reaches a terminal, and a long one is cut between characters. */
static void test_error_text(void) {
  ledge_error e;
  CHECK_INT(error_set(&e, LEDGE_ERROR_NAME, "no '%s' here", "a\033[31m\x7f\xc2\x9bz\xff"), LEDGE_ERROR_NAME);
  CHECK_STR(e.message, "no 'a?[31m???z?' here");
  error_node(&e, "\x1b]0;");
  CHECK_STR(e.node, "?]0;");
  char longest[3000];
  for (int shift = 0; shift < 4; shift++) {
    for (size_t i = 0; i + 3 < sizeof longest; i += 3) memcpy(longest + i, "\xe2\x82\xac", 4);
    CHECK_INT(error_set(&e, LEDGE_ERROR_NAME, "%.*s%s", shift, "xxx", longest), LEDGE_ERROR_NAME);
    size_t size = strlen(e.message);
    CHECK(size < sizeof e.message && size > sizeof e.message - 5 && utf8_valid(e.message, size));
    CHECK_INT(error_prefix(&e, LEDGE_ERROR_NAME, "in %.*s", shift, "xxx"), LEDGE_ERROR_NAME);
    CHECK(utf8_valid(e.message, strlen(e.message)) && !strncmp(e.message, "in ", 3));
    CHECK_INT(error_prefix(&e, LEDGE_ERROR_NAME, "%s", longest), LEDGE_ERROR_NAME);
    CHECK(utf8_valid(e.message, strlen(e.message)));
  }
}

static long long standing(void) {
  return atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
}

static void test_mem(void) {
  long long before = standing();
  void *a = mem_alloc(0), *b = mem_alloc(0);
  CHECK(a && b && a != b);
  mem_free(a);
  mem_free(b);
  mem_free(NULL);
  unsigned char *z = mem_alloc_array(10, 10);
  for (int i = 0; i < 100; i++) CHECK(z[i] == 0);
  z = mem_realloc(z, 1000);
  CHECK(z && z[99] == 0);
  CHECK_INT(standing(), before + 1);
  mem_free(z);
  z = mem_realloc(NULL, 10);
  CHECK_INT(standing(), before + 1);
  mem_free(z);
  CHECK(mem_alloc_array(SIZE_MAX / 2, 3) == NULL);
  CHECK(mem_alloc_aligned(SIZE_MAX - 3, 64) == NULL);
  for (size_t align = 1; align <= 4096; align *= 2) {
    void *p = mem_alloc_aligned(align + 1, align);
    CHECK(p && (uintptr_t)p % align == 0);
    mem_free(p);
  }
  char *s = mem_strndup("hello", 4);
  CHECK_STR(s, "hell");
  mem_free(s);
  CHECK(mem_strndup("", SIZE_MAX) == NULL);
  CHECK_INT(standing(), before);
  size_t n;
  CHECK(mem_mul(3, 4, &n) && n == 12 && !mem_mul(SIZE_MAX, 2, &n));
  CHECK(mem_add(3, 4, &n) && n == 7 && !mem_add(SIZE_MAX, 1, &n));
  CHECK(mem_align(0, 64) == 0 && mem_align(1, 64) == 64 && mem_align(64, 64) == 64);
}

static void test_fail_after(void) {
  for (int sticky = 0; sticky < 2; sticky++)
    for (int n = 0; n < 3; n++) {
      long long before = standing();
      void *p[6];
      atomic_store(&mem_stats_global.fail_sticky, sticky);
      atomic_store(&mem_stats_global.fail_after, n);
      p[0] = mem_alloc(1);
      p[1] = mem_zalloc(1);
      p[2] = mem_alloc_array(1, 1);
      p[3] = mem_alloc_aligned(1, 16);
      p[4] = mem_realloc(NULL, 1);
      p[5] = mem_strndup("x", 1);
      atomic_store(&mem_stats_global.fail_after, -1);
      atomic_store(&mem_stats_global.fail_sticky, false);
      int good = 0;
      for (int i = 0; i < 6; i++) {
        CHECK((p[i] == NULL) == (sticky ? i >= n : i == n));
        good += p[i] != NULL;
      }
      CHECK_INT(standing(), before + good);
      for (int i = 0; i < 6; i++) mem_free(p[i]);
      CHECK_INT(standing(), before);
    }
}

static void test_arena(void) {
  long long before = standing();
  arena a;
  arena_init(&a);
  unsigned char *blocks[500];
  for (int i = 0; i < 500; i++) {
    blocks[i] = arena_alloc(&a, (size_t)(i * 37 % 900));
    CHECK(blocks[i] && (uintptr_t)blocks[i] % 16 == 0);
    for (int k = 0; k < i * 37 % 900; k++) {
      CHECK(blocks[i][k] == 0);
      blocks[i][k] = (unsigned char)i;
    }
  }
  size_t wrong = 0;
  for (int i = 0; i < 500; i++)
    for (int k = 0; k < i * 37 % 900; k++) wrong += blocks[i][k] != (unsigned char)i;
  CHECK_INT(wrong, 0);
  for (size_t align = 16; align <= 4096; align *= 2) CHECK((uintptr_t)arena_alloc_aligned(&a, 5, align) % align == 0);
  unsigned char *big = arena_alloc(&a, 3 << 20);
  CHECK(big && !big[(3 << 20) - 1]);
  CHECK_STR(arena_strdup(&a, "text"), "text");
  CHECK_STR(arena_strndup(&a, "text", 2), "te");
  CHECK_STR(arena_strndup(&a, NULL, 0), "");
  CHECK(!arena_alloc(&a, SIZE_MAX) && !arena_alloc(&a, SIZE_MAX / 2 + 1) && !arena_strndup(&a, "x", SIZE_MAX));
  CHECK(!arena_alloc_array(&a, SIZE_MAX / 4, 8) && arena_alloc_array(&a, 0, 8));
  CHECK(a.total_bytes >= 3 << 20);
  atomic_store(&mem_stats_global.fail_after, 0);
  CHECK(!arena_alloc(&a, 4 << 20));
  atomic_store(&mem_stats_global.fail_after, -1);
  CHECK(arena_alloc(&a, 10) != NULL);
  arena_deinit(&a);
  CHECK_INT(standing(), before);
  CHECK(arena_alloc(&a, 10) != NULL);
  arena_deinit(&a);
  arena_deinit(&a);
}

static void test_reader(void) {
  static const uint8_t data[] = {1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x01, 0xff};
  reader r = reader_make(data, sizeof data, 1000), sub;
  uint8_t u8;
  uint16_t u16;
  uint32_t u32;
  uint64_t u64 = 9;
  CHECK(reader_u8(&r, &u8) && u8 == 1 && reader_offset(&r) == 1001);
  CHECK(reader_u16le(&r, &u16) && u16 == 2);
  CHECK(reader_u32le(&r, &u32) && u32 == 3);
  CHECK(reader_u64le(&r, &u64) && u64 == 4);
  CHECK(reader_varint(&r, &u64) && u64 == 128);
  CHECK(!reader_varint(&r, &u64) && u64 == 128 && reader_left(&r) == 1); /* the rest of it is missing */
  CHECK(!reader_u16le(&r, &u16) && !reader_take(&r, SIZE_MAX) && !reader_skip(&r, 2) && reader_left(&r) == 1);
  CHECK(reader_sub(&r, 1, &sub) && reader_end(&r) && reader_left(&sub) == 1 && reader_offset(&sub) == 1017);
  CHECK(!reader_sub(&r, 1, &sub) && reader_sub(&r, 0, &sub) && reader_end(&sub));
  static const uint8_t endless[11] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
  r = reader_make(endless, sizeof endless, 0);
  CHECK(!reader_varint(&r, &u64) && r.pos == 0);
  r = reader_make(NULL, 0, 0);
  CHECK(reader_take(&r, 0) && reader_sub(&r, 0, &sub) && !reader_take(&r, 1) && reader_end(&r));
}

static void test_rng(void) {
  rng a, b;
  rng_init(&a, 1);
  rng_init(&b, 1);
  for (int i = 0; i < 100; i++) CHECK(rng_u64(&a) == rng_u64(&b));
  rng_init(&b, 2);
  CHECK(rng_u64(&a) != rng_u64(&b));
  /* The first values of xoshiro256** from the state 1, 2, 3, 4, as its authors' code gives them. */
  static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
  rng known = {{1, 2, 3, 4}};
  for (int i = 0; i < 4; i++) CHECK(rng_u64(&known) == want[i]);
  enum { N = 200000 };
  double sum = 0, sum2 = 0, normal = 0, normal2 = 0;
  for (int i = 0; i < N; i++) {
    double u = rng_uniform(&a), g = rng_normal(&a);
    CHECK(u >= 0 && u < 1);
    sum += u;
    sum2 += u * u;
    normal += g;
    normal2 += g * g;
  }
  CHECK_NEAR(sum / N, 0.5, 0.005);
  CHECK_NEAR(sum2 / N, 1.0 / 3, 0.005);
  CHECK_NEAR(normal / N, 0, 0.01);
  CHECK_NEAR(normal2 / N, 1, 0.02);
}

/* Every code point there and back; every malformed shape refused. */
static void test_utf8(void) {
  char text[4];
  uint32_t code;
  for (uint32_t c = 0; c < 0x110000; c++) {
    size_t n = utf8_encode(c, text);
    bool surrogate = c >= 0xd800 && c < 0xe000;
    if (n != (surrogate ? 0u : c < 0x80 ? 1u : c < 0x800 ? 2u : c < 0x10000 ? 3u : 4u)) TEST_FAIL("U+%04X: %zu", c, n);
    if (n && (utf8_decode(text, n, &code) != n || code != c || utf8_decode(text, n - 1, &code)))
      TEST_FAIL("U+%04X does not come back", c);
  }
  CHECK(!utf8_encode(0x110000, text) && !utf8_encode(UINT32_MAX, text));
  static const char *const bad[] = {
      "\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
      "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
      "\xff",         "\xc3(",        "\xe2\x82(",        "\xf0\x9f\x98"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!utf8_valid(bad[i], strlen(bad[i])));
  CHECK(utf8_valid("", 0) && utf8_valid("a\0b", 3) && utf8_valid("gr\xc3\xbc\xc3\x9f", 6));
}

static void test_clock(void) {
  uint64_t last = clock_now_ns();
  for (int i = 0; i < 1000; i++) {
    uint64_t now = clock_now_ns();
    CHECK(now >= last);
    last = now;
  }
}

TEST_MAIN({"status", test_status}, {"error", test_error}, {"error_text", test_error_text}, {"mem", test_mem},
          {"fail_after", test_fail_after}, {"arena", test_arena}, {"reader", test_reader}, {"rng", test_rng},
          {"utf8", test_utf8}, {"clock", test_clock})
