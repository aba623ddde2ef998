/* tests/backend/tune: the book of choices, on a clock and on times of the test's own; and a model's outputs with it. */
#include "backend/tune.h"
#include "base/mem.h"
#include "base/tree.h"
#include "ledge/ledge.h"
#include "model_text.h"

#include "test.h"

#include <dirent.h>
#include <fcntl.h>

enum { MS = 1000000 };

static tree folder;
static uint64_t clock_ns;
static uint64_t test_now(void) { return clock_ns; }
__attribute__((destructor)) static void remove_folder(void) { tree_remove(&folder); }

static void setup(void) {
  static int turn;
  char path[64];
  if (!folder.root[0]) folder = tree_create();
  snprintf(path, sizeof path, "/cache%d", turn++);
  mkdir(tree_path(&folder, path), 0700);
  setenv("XDG_CACHE_HOME", tree_path(&folder, path), 1);
  unsetenv("LEDGE_CACHE_LIMIT");
}

typedef struct fake {
  uint64_t ns[TUNE_MOST];
  int calls;
} fake;

static uint64_t fake_time(void *arg, int i) {
  fake *f = arg;
  f->calls++;
  clock_ns += f->ns[i];
  return f->ns[i];
}

static tune_question question(const char *shape, fake *f) {
  return (tune_question){
      .shape = shape, .isa = 1, .n = 2, .names = {"a", "b"}, .cycles = 1000, .time = fake_time, .arg = f};
}

/* One start of a program that asks one question after a load of load_ns. */
static int start(const char *shape, fake *f, uint64_t load_ns) {
  tune_book *b = tune_book_create(test_now);
  tuner *t = tuner_create(b, clock_ns);
  clock_ns += load_ns;
  f->calls = 0;
  tune_question q = question(shape, f);
  q.cycles = 4 * (double)(f->ns[0] + f->ns[1]);
  int chosen = tuner_choose(t, &q);
  CHECK_INT(tuner_choose(t, &q), chosen);
  if (tuner_end(t)) tuner_save(t);
  tuner_destroy(t);
  tune_book_destroy(b);
  return chosen;
}

static bool book_file(char path[600]) {
  char at[512];
  snprintf(at, sizeof at, "%s/ledge", getenv("XDG_CACHE_HOME"));
  DIR *d = opendir(at);
  bool found = false;
  for (struct dirent *e; d && (e = readdir(d));)
    if (tune_is_name(e->d_name)) {
      snprintf(path, 600, "%s/%.60s", at, e->d_name);
      found = tune_is_current(e->d_name);
    }
  if (d) closedir(d);
  return found;
}

static void test_round_trip(void) {
  setup();
  fake f = {.ns = {10000, 8000}};
  CHECK_INT(start("x", &f, 0), 1);
  CHECK(f.calls > 0);
  CHECK_INT(start("x", &f, 0), 1); /* kept */
  CHECK_INT(f.calls, 0);
  fake near = {.ns = {10000, 9800}};
  CHECK_INT(start("near", &near, 0), 0); /* 2 % is noise */
  CHECK_INT(near.calls, 8);
  tune_book *b = tune_book_create(test_now);
  tune_entry *e;
  size_t n;
  CHECK(tune_book_list(b, &e, &n));
  CHECK_INT(n, 2);
  CHECK_STR(e[0].shape, "x");
  CHECK_INT(e[0].chosen, 1);
  CHECK_INT(e[0].ns[0], 10000);
  CHECK_INT(e[1].chosen, 0);
  mem_free(e);
  tune_book_destroy(b);
}

/* What a start has no time for is credited, until it fits. */
static void test_bounds(void) {
  setup();
  fake f = {.ns = {3 * MS, 2 * MS}};
  int starts = 0;
  uint64_t spent = 0;
  for (; starts < 50; starts++) {
    uint64_t before = clock_ns;
    int chosen = start("long", &f, 8 * MS);
    spent += clock_ns - before - 8 * MS;
    CHECK(clock_ns - before <= 8 * MS + 100 * MS + 3 * MS); /* the cap, and the run that passes it */
    if (chosen) break;
  }
  CHECK(starts > 1 && starts < 50);
  if (spent > (uint64_t)(starts + 1) * 5 * MS) TEST_FAIL("%llu ns in %d starts", (unsigned long long)spent, starts);
  fake endless = {.ns = {400 * MS, 300 * MS}};
  uint64_t before = clock_ns;
  tune_question q = question("endless", &endless);
  q.cycles = 1e12;
  tune_book *b = tune_book_create(test_now);
  tuner *t = tuner_create(b, clock_ns);
  CHECK_INT(tuner_choose(t, &q), 0);
  CHECK(clock_ns == before);
  fake ended = {.ns = {2000, 1000}};
  tuner_end(t);
  q = question("later", &ended); /* a shape of a later plan */
  CHECK_INT(tuner_choose(t, &q), 0);
  CHECK_INT(ended.calls, 0);
  CHECK_INT(tuner_choose(NULL, &q), 0);
  tuner_destroy(t);
  tune_book_destroy(b);
}

static void test_damage(void) {
  setup();
  char path[600];
  fake f = {.ns = {10000, 8000}};
  CHECK_INT(start("x", &f, 0), 1);
  CHECK(book_file(path));
  const int places[] = {0, 9, 17, 25, 33, 60, 80, 100, 250};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char byte;
    int fd = open(path, O_RDWR);
    CHECK(pread(fd, &byte, 1, places[i]) == 1);
    byte ^= 4;
    CHECK(pwrite(fd, &byte, 1, places[i]) == 1);
    close(fd);
    CHECK_INT(start("x", &f, 0), 1);
    if (!f.calls) TEST_FAIL("a changed byte at %d was not seen", places[i]);
    CHECK_INT(start("x", &f, 0), 1);
    CHECK_INT(f.calls, 0);
  }
  for (int size = 0; size < 300; size += 41) {
    CHECK_INT(truncate(path, size), 0);
    CHECK_INT(start("x", &f, 0), 1);
    CHECK(f.calls > 0);
  }
  CHECK_INT(chmod(path, 0622), 0);
  CHECK_INT(start("x", &f, 0), 1);
  CHECK(f.calls > 0);
}

/* Two books at once; and more than a file holds. */
static void test_merge(void) {
  setup();
  fake f = {.ns = {10000, 8000}};
  tune_book *a = tune_book_create(test_now);
  tuner *t = tuner_create(a, clock_ns);
  tune_question q = question("of a", &f);
  CHECK_INT(tuner_choose(t, &q), 1);
  CHECK_INT(start("of b", &f, 0), 1);
  CHECK(tuner_end(t));
  tuner_save(t);
  tuner_destroy(t);
  tune_book_destroy(a);
  CHECK_INT(start("of a", &f, 0), 1);
  CHECK_INT(f.calls, 0);
  CHECK_INT(start("of b", &f, 0), 1);
  CHECK_INT(f.calls, 0);
  a = tune_book_create(test_now);
  t = tuner_create(a, clock_ns);
  f.ns[0] = 20, f.ns[1] = 10;
  for (int i = 0; i < TUNE_ENTRIES_MAX; i++) {
    char shape[32];
    snprintf(shape, sizeof shape, "shape %d", i);
    q = question(shape, &f);
    q.cycles = 1;
    CHECK_INT(tuner_choose(t, &q), 1);
  }
  CHECK(tuner_end(t));
  tuner_save(t);
  tuner_destroy(t);
  tune_book_destroy(a);
  tune_entry *e;
  size_t n;
  a = tune_book_create(test_now);
  CHECK(tune_book_list(a, &e, &n));
  CHECK_INT(n, TUNE_ENTRIES_MAX);
  CHECK_STR(e[0].shape, "shape 0"); /* the oldest two went */
  mem_free(e);
  tune_book_destroy(a);
}

static void test_no_cache(void) {
  setup();
  fake f = {.ns = {10000, 8000}};
  setenv("LEDGE_CACHE_LIMIT", "0", 1);
  CHECK_INT(start("x", &f, 0), 0);
  CHECK_INT(f.calls, 0);
  unsetenv("LEDGE_CACHE_LIMIT");
  setenv("XDG_CACHE_HOME", "/dev/null", 1);
  CHECK_INT(start("x", &f, 0), 0);
  CHECK_INT(f.calls, 0);
}

/* ---- a model ---- */

enum { IN = 32 * 28 * 28, OUT = 32 * 28 * 28 };
static float x[IN];

static void run(const ledge_model_options *options, int threads, float y[OUT]) {
  ledge_model *m = NULL;
  ledge_session *s = NULL;
  ledge_tensor t;
  CHECK_INT(ledge_model_open(tree_path(&folder, "/conv.onnx"), options, &m, NULL), LEDGE_OK);
  CHECK_INT(ledge_session_create(m, &(ledge_session_options){.threads = threads}, &s, NULL), LEDGE_OK);
  CHECK_INT(ledge_session_set_input(s, 0, &(ledge_tensor){LEDGE_F32, 4, {1, 32, 28, 28}, x, sizeof x}, NULL), LEDGE_OK);
  CHECK_INT(ledge_session_run(s, NULL), LEDGE_OK);
  CHECK_INT(ledge_session_output(s, 0, &t, NULL), LEDGE_OK);
  CHECK(t.bytes == OUT * sizeof *y);
  memcpy(y, t.data, OUT * sizeof *y);
  ledge_session_destroy(s);
  ledge_model_close(m);
}

static void test_model(void) {
  static float a[OUT], b[OUT];
  setup();
  for (int i = 0; i < IN; i++) x[i] = (float)sin(i + 1);
  msg m = model_text(
      "input x f32 1 32 28 28; const w f32 32 32 3 3 = *; const v f32 32 32 3 3 = *;"
      "h = Conv x w | pads=[1,1,1,1]; y = Conv h v | pads=[1,1,1,1]; output y f32 1 32 28 28");
  tree_bytes(&folder, "/conv.onnx", m.data, m.size);
  writer_deinit(&m);
  const ledge_model_options plain = {.no_autotune = true};
  char path[600];
  run(&plain, 1, a);
  run(&plain, 2, b);
  CHECK(!memcmp(a, b, sizeof a));
  CHECK(!book_file(path)); /* nothing was timed */
  run(NULL, 1, b);
  float most = 0, worst = 0;
  for (int i = 0; i < OUT; i++) {
    most = fmaxf(most, fabsf(a[i]));
    worst = fmaxf(worst, fabsf(a[i] - b[i]));
  }
  if (worst > 1e-4f * most) TEST_FAIL("timed and untimed differ by %g of %g", (double)worst, (double)most);
  run(NULL, 2, a);
  CHECK(!memcmp(a, b, sizeof a)); /* one process, one choice */
}

TEST_MAIN({"round trip", test_round_trip}, {"bounds", test_bounds}, {"damage", test_damage}, {"merge", test_merge},
          {"no cache", test_no_cache}, {"model", test_model})
