/* tests/plan/memory: offsets in one arena, on their own: random lifetimes, shapes that networks have, and sizes that no
 * machine has. */
#include "plan/plan.h"

#include "test.h"

enum { MOST = 300 };

static uint64_t state = 7;
static uint64_t draw(uint64_t below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (state >> 33) % below;
}

/* The most that is alive at once: no plan can do with less. */
static size_t live_peak(const memory_block *b, int n, int steps) {
  size_t most = 0;
  for (int s = 0; s <= steps; s++) {
    size_t now = 0;
    for (int i = 0; i < n; i++)
      if (b[i].first <= s && s <= b[i].last) now += mem_align(b[i].bytes, 64);
    if (now > most) most = now;
  }
  return most;
}

static void check_blocks(const memory_block *b, int n, size_t peak) {
  size_t end = 0;
  for (int i = 0; i < n; i++) {
    CHECK_INT(b[i].offset % 64, 0);
    if (b[i].offset + b[i].bytes > end) end = b[i].offset + b[i].bytes;
    for (int k = 0; k < i; k++) {
      bool together = b[i].first <= b[k].last && b[k].first <= b[i].last;
      bool apart = b[i].offset + b[i].bytes <= b[k].offset || b[k].offset + b[k].bytes <= b[i].offset;
      if (together && !apart) TEST_FAIL("blocks %d and %d are alive at once and overlap", k, i);
    }
  }
  CHECK_INT(end, peak);
}

static void test_random(void) {
  static memory_block b[MOST];
  static int order[2 * MOST];
  double worst = 1;
  for (int round = 0; round < 300; round++) {
    int n = 1 + (int)draw(MOST), steps = 1 + (int)draw(200);
    for (int i = 0; i < n; i++) {
      int first = (int)draw((uint64_t)steps), length = (int)draw(draw(4) ? 4 : (uint64_t)steps);
      b[i] = (memory_block){draw(draw(3) ? 5000 : 100), 0, first, first + length < steps ? first + length : steps};
    }
    size_t least = live_peak(b, n, steps), peak = memory_plan(b, n, order);
    check_blocks(b, n, peak);
    CHECK(peak >= least);
    if (least && (double)peak / (double)least > worst) worst = (double)peak / (double)least;
  }
  CHECK(worst < 1.5); /* greedy by size stays close to the bound */
}

static void test_chain(void) { /* each value is read by the next step alone: two buffers */
  memory_block b[50];
  int order[100];
  for (int i = 0; i < 50; i++) b[i] = (memory_block){1000, 0, i, i + 1};
  size_t peak = memory_plan(b, 50, order);
  CHECK_INT(peak, 2 * 1024);
  check_blocks(b, 50, peak);
}

static void test_none(void) {
  int order[2];
  memory_block b[1] = {{0, 99, 0, 5}};
  CHECK_INT(memory_plan(b, 0, order), 0);
  CHECK_INT(memory_plan(b, 1, order), 0);
  CHECK_INT(b[0].offset, 0);
}

/* Sums and roundings that wrap have no plan, whatever the order. */
static void test_wraps(void) {
  static const size_t sizes[][4] = {{SIZE_MAX, 1, 1, 1},
                                    {SIZE_MAX - 10, 0, 0, 0},
                                    {SIZE_MAX / 2, SIZE_MAX / 2, 200, 0},
                                    {SIZE_MAX / 4 + 1, SIZE_MAX / 4 + 1, SIZE_MAX / 4 + 1, SIZE_MAX / 4 + 1}};
  int order[8];
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    memory_block b[4];
    for (int k = 0; k < 4; k++) b[k] = (memory_block){sizes[i][k], 0, 0, 9};
    CHECK(memory_plan(b, 4, order) == SIZE_MAX);
  }
  memory_block apart[4]; /* one after another they fit */
  for (int k = 0; k < 4; k++) apart[k] = (memory_block){SIZE_MAX / 2, 0, k, k};
  CHECK_INT(memory_plan(apart, 4, order), mem_align(SIZE_MAX / 2, 64));
}

TEST_MAIN({"random", test_random}, {"chain", test_chain}, {"none", test_none}, {"wraps", test_wraps})
