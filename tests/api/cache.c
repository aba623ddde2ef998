/* tests/api/cache: the cache of packed weights: when it is used, and that nothing goes wrong where it is damaged,
 * somebody else's, full, too large, or the model is another one meanwhile. */
#include "base/tree.h"
#include "ledge/ledge.h"
#include "model_text.h"

#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { N = 320, WEIGHT = N * N * 4, PACKED_MIN = 2 * WEIGHT };

static tree folder;
static float x[N]; /* the input */
__attribute__((destructor)) static void remove_folder(void) { tree_remove(&folder); }

static void put(const char *name, const char *text) {
  msg m = model_text(text);
  tree_bytes(&folder, name, m.data, m.size);
  writer_deinit(&m);
}

/* Two weights of the file; two that a pass computes. */
static const char plain[] =
    "input x f32 1 320; const a f32 320 320 = *; const bb f32 320 320 = *; h = MatMul x a;"
    "r = Relu h; y = MatMul r bb; output y f32 1 320";
static const char other[] =
    "input x f32 1 320; const bb f32 320 320 = *; const a f32 320 320 = *; h = MatMul x bb;"
    "r = Relu h; y = MatMul r a; output y f32 1 320";
static const char computed[] =
    "input x f32 1 320; const a f32 320 320 = *; const k f32 = 0.5; const l f32 = 0.25;"
    "s = Mul a k; t = Mul a l; h = MatMul x s; y = MatMul h t; output y f32 1 320";

/* Times of files tick: until they have, a model's do not tell it from what it was. */
static void settle(void) { nanosleep(&(struct timespec){0, 300 * 1000 * 1000}, NULL); }

/* An empty cache of its own for each test. */
static void fresh_cache(void) {
  static int turn;
  char path[64];
  snprintf(path, sizeof path, "/cache%d", turn++);
  mkdir(tree_path(&folder, path), 0700);
  setenv("XDG_CACHE_HOME", tree_path(&folder, path), 1);
  unsetenv("LEDGE_CACHE_LIMIT");
}

static void setup(void) {
  static bool done;
  if (!done) {
    folder = tree_create();
    for (int i = 0; i < N; i++) x[i] = (float)sin(i + 1);
    put("/plain.onnx", plain);
    put("/second.onnx", other);
    put("/computed.onnx", computed);
    settle();
    done = true;
  }
  fresh_cache();
}

typedef struct result {
  ledge_status status;
  ledge_error error;
  ledge_memory memory;
  float y[N];
} result;

static const ledge_model_options uncached = {.no_cache = true};

static ledge_session *session_of(ledge_model *m, result *r) {
  ledge_session *s = NULL;
  r->status = ledge_session_create(m, &(ledge_session_options){.threads = 1}, &s, &r->error);
  if (!r->status)
    r->status = ledge_session_set_input(s, 0, &(ledge_tensor){LEDGE_F32, 2, {1, N}, x, sizeof x}, &r->error);
  return s;
}

static void run(ledge_session *s, result *r) {
  ledge_tensor y;
  r->status = ledge_session_run(s, &r->error);
  if (!r->status) r->status = ledge_session_output(s, 0, &y, &r->error);
  if (!r->status) memcpy(r->y, y.data, sizeof r->y);
}

static result run_model(ledge_model *m) {
  result r = {.error.message = ""};
  ledge_session *s = session_of(m, &r);
  if (!r.status) run(s, &r);
  if (s) ledge_session_memory(s, &r.memory);
  ledge_session_destroy(s);
  ledge_model_close(m);
  return r;
}

static result run_file(const char *name, const ledge_model_options *options) {
  ledge_model *m = NULL;
  result r = {.error.message = ""};
  r.status = ledge_model_open(tree_path(&folder, name), options, &m, &r.error);
  return r.status ? r : run_model(m);
}

/* Runs a model with the cache, and checks its result against one without. Returns what came from the cache. */
static size_t check_run(const char *name) {
  result want = run_file(name, &uncached), got = run_file(name, NULL);
  if (want.status || got.status) TEST_FAIL("%s: %s%s", name, want.error.message, got.error.message);
  CHECK_INT(want.memory.cached_bytes, 0);
  CHECK_INT(want.memory.packed_bytes, got.memory.packed_bytes);
  CHECK(!memcmp(want.y, got.y, sizeof want.y));
  return got.memory.cached_bytes;
}

/* The files of the cache's folder, all of them; the path of the last goes to `path`. */
static int count_files(char path[600]) {
  char whole[512];
  int n = 0;
  snprintf(whole, sizeof whole, "%s/ledge", getenv("XDG_CACHE_HOME"));
  DIR *d = opendir(whole);
  for (struct dirent *e; d && (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (path) snprintf(path, 600, "%s/%.60s", whole, e->d_name);
    n++;
  }
  if (d) closedir(d);
  return n;
}

static long long file_size(const char *path) {
  struct stat s;
  return stat(path, &s) ? -1 : (long long)s.st_size;
}

static void test_hit(void) {
  char path[600];
  struct stat s;
  setup();
  CHECK_INT(check_run("/plain.onnx"), 0);
  CHECK_INT(count_files(path), 1);
  CHECK(!stat(path, &s) && (s.st_mode & 07777) == 0600 && s.st_size >= PACKED_MIN);
  *strrchr(path, '/') = 0;
  CHECK(!stat(path, &s) && (s.st_mode & 07777) == 0700);
  for (int i = 0; i < 2; i++) CHECK(check_run("/plain.onnx") >= PACKED_MIN);
  CHECK_INT(check_run("/second.onnx"), 0); /* another model */
  CHECK_INT(count_files(NULL), 2);
  CHECK(check_run("/second.onnx") >= PACKED_MIN);
}

/* A pass's products are known by their contents. */
static void test_computed(void) {
  setup();
  CHECK_INT(check_run("/computed.onnx"), 0);
  CHECK(check_run("/computed.onnx") >= 2 * WEIGHT);
}

/* Who gives bytes or a descriptor has no cache, nor who does not want one. */
static void test_without(void) {
  setup();
  ledge_model *m = NULL;
  msg bytes = model_text(plain);
  CHECK_INT(ledge_model_open_memory(bytes.data, bytes.size, NULL, &m, NULL), LEDGE_OK);
  CHECK_INT(run_model(m).status, LEDGE_OK);
  writer_deinit(&bytes);
  int fd = open(tree_path(&folder, "/plain.onnx"), O_RDONLY);
  CHECK_INT(ledge_model_open_fd(fd, NULL, &m, NULL), LEDGE_OK);
  CHECK_INT(run_model(m).status, LEDGE_OK);
  close(fd);
  CHECK_INT(run_file("/plain.onnx", &uncached).status, LEDGE_OK);
  CHECK_INT(count_files(NULL), 0);
  static const char *const homes[] = {"/dev/null", "/proc/none", "relative"};
  setenv("HOME", "/dev/null", 1); /* where the relative one leads to */
  for (int i = 0; i < 3; i++) {
    setenv("XDG_CACHE_HOME", homes[i], 1);
    for (int k = 0; k < 2; k++) CHECK_INT(check_run("/plain.onnx"), 0);
  }
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  for (int i = 0; i < 2; i++) CHECK_INT(check_run("/plain.onnx"), 0);
  setenv("HOME", tree_path(&folder, ""), 1);
  CHECK_INT(check_run("/plain.onnx"), 0);
  CHECK(check_run("/plain.onnx") > 0); /* ~/.cache/ledge */
  CHECK(!access(tree_path(&folder, "/.cache/ledge"), F_OK));
}

/* Other contents of the same size, in the same inode and with the old time of writing. */
static void test_changed_model(void) {
  setup();
  struct stat s;
  const char *path = tree_path(&folder, "/changing.onnx");
  msg a = model_text(plain), b = model_text(other);
  CHECK_INT(a.size, b.size);
  tree_bytes(&folder, "/changing.onnx", a.data, a.size);
  CHECK_INT(check_run("/changing.onnx"), 0);
  CHECK_INT(count_files(NULL), 0); /* written a moment ago: its time may not tell it from what comes */
  settle();
  CHECK_INT(check_run("/changing.onnx"), 0);
  CHECK(check_run("/changing.onnx") > 0);
  CHECK_INT(stat(path, &s), 0);
  tree_bytes(&folder, "/changing.onnx", b.data, b.size);
  CHECK_INT(utimensat(AT_FDCWD, path, (struct timespec[]){s.st_atim, s.st_mtim}, 0), 0);
  for (int i = 0; i < 2; i++) {
    CHECK_INT(check_run("/changing.onnx"), 0);
    settle();
  }
  CHECK(check_run("/changing.onnx") > 0);
  writer_deinit(&a);
  writer_deinit(&b);
}

/* One changed byte anywhere: what it belongs to is packed anew, and written anew. */
static void test_damaged(void) {
  char path[600];
  setup();
  check_run("/plain.onnx");
  CHECK_INT(count_files(path), 1);
  long long size = file_size(path);
  const long long places[] = {0, 8, 17, 40, 90, 130, 150, 180, 1000, size / 2, size - 5000};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char byte;
    int fd = open(path, O_RDWR);
    CHECK(pread(fd, &byte, 1, places[i]) == 1);
    byte ^= 0x10;
    CHECK(pwrite(fd, &byte, 1, places[i]) == 1);
    close(fd);
    if (check_run("/plain.onnx") >= PACKED_MIN) TEST_FAIL("a changed byte at %lld was not seen", places[i]);
    if (check_run("/plain.onnx") < PACKED_MIN) TEST_FAIL("after a changed byte at %lld it was not written", places[i]);
    CHECK_INT(count_files(path), 1);
    CHECK_INT(file_size(path), size);
  }
}

static void test_truncated(void) {
  char path[600];
  setup();
  check_run("/plain.onnx");
  CHECK_INT(count_files(path), 1);
  long long size = file_size(path);
  const long long sizes[] = {0, 1, 100, 200, 4096, size / 2, size - 1, size + 1, size + 100000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    CHECK_INT(truncate(path, sizes[i]), 0);
    CHECK_INT(check_run("/plain.onnx"), 0);
    CHECK(check_run("/plain.onnx") >= PACKED_MIN);
  }
}

/* Cut short while it is mapped: an error or the right result, and no fault. */
static int shrink_under_run(const char *path, long long size) {
  ledge_model *m = NULL;
  result r = {.error.message = ""}, want = run_file("/plain.onnx", &uncached);
  if (ledge_model_open(tree_path(&folder, "/plain.onnx"), NULL, &m, &r.error)) return 1;
  ledge_session *s = session_of(m, &r);
  if (r.status || ledge_session_plan(s, &r.error)) return 2;
  if (truncate(path, size)) return 3;
  run(s, &r);
  if (r.status && r.status != LEDGE_ERROR_CHANGED) return 4;
  if (r.status && !strstr(r.error.message, "ledge cache clear")) return 5;
  if (!r.status && memcmp(r.y, want.y, sizeof want.y)) return 6;
  ledge_session_destroy(s);
  ledge_model_close(m);
  return r.status ? 0 : 100;
}

static void test_shrinks_under_run(void) {
  char path[600];
  setup();
  int errors = 0;
  for (long long size = 0; size < PACKED_MIN; size += WEIGHT - 1000) {
    check_run("/plain.onnx");
    CHECK_INT(count_files(path), 1);
    fflush(NULL);
    pid_t child = fork();
    if (!child) _exit(shrink_under_run(path, size));
    int status = 0;
    waitpid(child, &status, 0);
    errors += WIFEXITED(status) && !WEXITSTATUS(status);
    if (!WIFEXITED(status) || WEXITSTATUS(status) % 100)
      TEST_FAIL("cut to %lld: %s %d", size, WIFEXITED(status) ? "fault" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  }
  CHECK(errors > 0);
  check_run("/plain.onnx");
  CHECK(check_run("/plain.onnx") > 0);
}

static void test_foreign(void) {
  char path[600], at[600];
  setup();
  check_run("/plain.onnx");
  CHECK_INT(count_files(path), 1);
  snprintf(at, sizeof at, "%s/ledge", getenv("XDG_CACHE_HOME"));
  const mode_t modes[] = {0620, 0602, 0666};
  for (int i = 0; i < 3; i++) {
    CHECK_INT(chmod(path, modes[i]), 0);
    CHECK_INT(check_run("/plain.onnx"), 0); /* and replaces it */
    CHECK(check_run("/plain.onnx") > 0);
  }
  const mode_t folders[] = {0770, 0707, 01777};
  for (int i = 0; i < 3; i++) {
    CHECK_INT(chmod(at, folders[i]), 0);
    CHECK_INT(check_run("/plain.onnx"), 0);
    CHECK_INT(chmod(at, 0700), 0);
    CHECK(check_run("/plain.onnx") > 0);
  }
  char moved[700];
  snprintf(moved, sizeof moved, "%s/elsewhere", getenv("XDG_CACHE_HOME"));
  CHECK(!rename(path, moved) && !symlink(moved, path));
  CHECK_INT(check_run("/plain.onnx"), 0);
  if (geteuid()) return; /* only root gives files away */
  CHECK(check_run("/plain.onnx") > 0);
  CHECK_INT(chown(path, 1, 1), 0);
  CHECK_INT(check_run("/plain.onnx"), 0);
  CHECK(check_run("/plain.onnx") > 0);
  CHECK_INT(chown(at, 1, 1), 0);
  CHECK_INT(check_run("/plain.onnx"), 0);
  CHECK_INT(chown(at, 0, 0), 0);
}

static void test_limit(void) {
  char path[600], limit[32];
  setup();
  setenv("LEDGE_CACHE_LIMIT", "0", 1);
  CHECK_INT(check_run("/plain.onnx"), 0);
  setenv("LEDGE_CACHE_LIMIT", "500K", 1);
  CHECK_INT(check_run("/plain.onnx"), 0);
  CHECK_INT(count_files(NULL), 0);
  setenv("LEDGE_CACHE_LIMIT", "1G", 1);
  check_run("/plain.onnx");
  CHECK_INT(count_files(path), 1);
  long long size = file_size(path);
  snprintf(limit, sizeof limit, "%lld", size * 5 / 2); /* room for two */
  setenv("LEDGE_CACHE_LIMIT", limit, 1);
  CHECK_INT(check_run("/second.onnx"), 0);
  CHECK_INT(count_files(NULL), 2);
  CHECK_INT(check_run("/computed.onnx"), 0);
  CHECK_INT(count_files(NULL), 2); /* the one used longest ago went */
  CHECK(check_run("/second.onnx") > 0);
  CHECK(check_run("/computed.onnx") > 0);
  struct timespec old[] = {{1000, 0}, {1000, 0}};
  char name[700];
  snprintf(name, sizeof name, "%s/ledge/.ledge-1-abc.tmp", getenv("XDG_CACHE_HOME"));
  int fd = open(name, O_WRONLY | O_CREAT, 0600); /* left by a process that was killed */
  CHECK(fd >= 0 && !futimens(fd, old));
  close(fd);
  check_run("/plain.onnx");
  CHECK(access(name, F_OK) != 0);
  CHECK(check_run("/plain.onnx") > 0);
}

/* A file that is opened is used: it is not the next to go. */
static void test_last_used(void) {
  char path[600];
  struct stat s;
  setup();
  check_run("/plain.onnx");
  CHECK_INT(count_files(path), 1);
  CHECK_INT(utimensat(AT_FDCWD, path, (struct timespec[]){{1000, 0}, {1000, 0}}, 0), 0);
  check_run("/plain.onnx");
  CHECK(!stat(path, &s) && s.st_mtim.tv_sec > 1000000000);
}

static void *run_session(void *arg) {
  static result results[8];
  static atomic_int turn;
  result *r = &results[atomic_fetch_add(&turn, 1) % 8];
  ledge_session *s = session_of(arg, r);
  if (!r->status) run(s, r);
  ledge_session_destroy(s);
  return r;
}

/* Sessions that plan at once, while what the first has packed is on its way to the disk. */
static void test_threads(void) {
  setup();
  result want = run_file("/plain.onnx", &uncached);
  for (int k = 0; k < 2; k++) {
    pthread_t threads[4];
    ledge_model *m = NULL;
    CHECK_INT(ledge_model_open(tree_path(&folder, "/plain.onnx"), NULL, &m, NULL), LEDGE_OK);
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, run_session, m), 0);
    for (int i = 0; i < 4; i++) {
      void *r;
      pthread_join(threads[i], &r);
      CHECK_INT(((result *)r)->status, LEDGE_OK);
      CHECK(!memcmp(((result *)r)->y, want.y, sizeof want.y));
    }
    ledge_model_close(m);
  }
  CHECK(check_run("/plain.onnx") >= PACKED_MIN);
}

static void test_disk_full(void) {
  setup();
  fflush(NULL);
  pid_t child = fork();
  if (!child) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){WEIGHT, WEIGHT});
    check_run("/plain.onnx");
    check_run("/plain.onnx");
    _exit(test_failures_ > 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK_INT(status, 0);
  CHECK_INT(count_files(NULL), 0);
}

static void test_concurrent(void) {
  enum { PROCESSES = 6 };
  pid_t children[PROCESSES];
  setup();
  fflush(NULL);
  for (int i = 0; i < PROCESSES; i++) {
    children[i] = fork();
    if (!children[i]) {
      for (int k = 0; k < 4; k++) check_run(i % 2 ? "/plain.onnx" : "/second.onnx");
      _exit(test_failures_ > 0);
    }
  }
  for (int i = 0; i < PROCESSES; i++) {
    int status = 1;
    waitpid(children[i], &status, 0);
    CHECK_INT(status, 0);
  }
  CHECK_INT(count_files(NULL), 2);
  CHECK(check_run("/plain.onnx") > 0);
}

/* Bytes of the mappings of the cache's files that are this process's share, and in all. */
static void read_shares(long long *pss, long long *rss) {
  char line[1024];
  bool ours = false;
  FILE *f = fopen("/proc/self/smaps", "r");
  *pss = *rss = 0;
  while (f && fgets(line, sizeof line, f)) {
    long long kib;
    if (strchr(line, '-') && strchr(line, ':') > strchr(line, '-')) ours = strstr(line, ".pack") != NULL;
    if (ours && sscanf(line, "Pss: %lld", &kib) == 1) *pss += kib * 1024;
    if (ours && sscanf(line, "Rss: %lld", &kib) == 1) *rss += kib * 1024;
  }
  if (f) fclose(f);
}

static void test_shared(void) {
  setup();
  check_run("/plain.onnx");
  ledge_model *m = NULL;
  result r = {.error.message = ""};
  int ready[2], done[2];
  CHECK(!pipe(ready) && !pipe(done));
  fflush(NULL);
  pid_t child = fork(); /* before anything is mapped: two processes that open the model */
  CHECK_INT(ledge_model_open(tree_path(&folder, "/plain.onnx"), NULL, &m, NULL), LEDGE_OK);
  ledge_session *s = session_of(m, &r);
  run(s, &r);
  char byte = 0;
  if (!child) {
    byte = write(ready[1], "x", 1) == 1 && read(done[0], &byte, 1) == 1;
    _exit(!byte);
  }
  CHECK(read(ready[0], &byte, 1) == 1);
  long long pss, rss;
  read_shares(&pss, &rss);
  if (rss) { /* not where the system does not say */
    CHECK(rss >= PACKED_MIN);
    if (pss > rss * 0.55) TEST_FAIL("%lld of %lld bytes are this process's", pss, rss);
  }
  CHECK(write(done[1], "x", 1) == 1);
  waitpid(child, NULL, 0);
  ledge_session_destroy(s);
  ledge_model_close(m);
}

static void test_list(void) {
  ledge_cache *c = NULL;
  ledge_cache_entry e;
  char path[600];
  setup();
  CHECK_INT(ledge_cache_open(&c, NULL), LEDGE_OK);
  CHECK_INT(ledge_cache_count(c), 0);
  ledge_cache_close(c);
  check_run("/plain.onnx");
  CHECK_INT(ledge_cache_open(&c, NULL), LEDGE_OK);
  CHECK_INT(ledge_cache_count(c), 1);
  CHECK(ledge_cache_get(c, 0, &e) && e.current && e.bytes >= PACKED_MIN && e.used_s > 1000000000);
  CHECK(e.model && strstr(e.model, "/plain.onnx"));
  CHECK(!ledge_cache_get(c, 1, &e));
  CHECK(ledge_cache_remove(c, 1, NULL) == LEDGE_ERROR_ARGUMENT);
  CHECK_INT(ledge_cache_remove(c, 0, NULL), LEDGE_OK);
  CHECK_INT(ledge_cache_remove(c, 0, NULL), LEDGE_OK); /* gone already */
  ledge_cache_close(c);
  check_run("/plain.onnx");
  CHECK_INT(count_files(path), 1);
  CHECK_INT(truncate(path, 50), 0);
  CHECK_INT(ledge_cache_open(&c, NULL), LEDGE_OK);
  CHECK(ledge_cache_get(c, 0, &e) && !e.model && !e.current);
  ledge_cache_close(c);
  CHECK(ledge_cache_open(NULL, NULL) == LEDGE_ERROR_ARGUMENT);
}

TEST_MAIN({"hit", test_hit}, {"computed", test_computed}, {"without", test_without},
          {"changed model", test_changed_model}, {"damaged", test_damaged}, {"truncated", test_truncated},
          {"shrinks under a run", test_shrinks_under_run}, {"foreign", test_foreign}, {"limit", test_limit},
          {"last used", test_last_used}, {"threads", test_threads}, {"disk full", test_disk_full},
          {"concurrent", test_concurrent}, {"shared", test_shared}, {"list", test_list})
