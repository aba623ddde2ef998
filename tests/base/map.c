/* Mapping files, and what happens when they shrink or change under the reader. */
#include "base/map.h"

#include "base/mem.h"
#include "test.h"
#include "tree.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static ledge_error error;

static void test_read(void) {
  tree t = tree_create();
  tree_file(&t, "/hello", "hello");
  tree_file(&t, "/empty", "");
  file_map *m = NULL, *e = NULL;
  CHECK_INT(file_map_open(tree_path(&t, "/hello"), &m, &error), LEDGE_OK);
  CHECK_INT(file_map_size(m), 5);
  CHECK(!memcmp(file_map_data(m), "hello", 5));
  CHECK_STR(file_map_path(m), tree_path(&t, "/hello"));
  CHECK(file_map_is_file(m) && !file_map_damaged(m) && !file_map_changed(m));
  CHECK_INT(file_map_check(m, &error), LEDGE_OK);
  file_identity id;
  CHECK(file_map_identity(m, &id) && id.bytes == 5 && id.inode);
  file_map_drop(m, 0, 5);
  file_map_drop(m, 3, SIZE_MAX);
  file_map_drop(m, 9, 1);
  CHECK(!memcmp(file_map_data(m), "hello", 5));
  file_map_drop_at(file_map_data(m) + 1, 2);
  file_map_drop_at(file_map_data(m), SIZE_MAX);
  file_map_drop_at(&error, sizeof error); /* in no mapped file */
  file_map_drop_at(NULL, 0);
  CHECK(!memcmp(file_map_data(m), "hello", 5));
  CHECK(file_map_ref(m) == m);
  file_map_unref(m);
  CHECK(!memcmp(file_map_data(m), "hello", 5));
  CHECK_INT(file_map_open(tree_path(&t, "/empty"), &e, &error), LEDGE_OK);
  CHECK(file_map_size(e) == 0 && file_map_data(e) && file_map_is_file(e) && !file_map_changed(e));
  file_map_unref(e);
  file_map_unref(m);
  file_map_unref(NULL);
  CHECK(file_map_ref(NULL) == NULL);
  tree_remove(&t);
}

static void test_memory(void) {
  file_map *m = NULL;
  static const char bytes[] = "bytes";
  CHECK_INT(file_map_memory(bytes, 5, "in memory", &m, &error), LEDGE_OK);
  CHECK(file_map_data(m) == (const uint8_t *)bytes && file_map_size(m) == 5);
  CHECK_STR(file_map_path(m), "in memory");
  file_identity id;
  CHECK(!file_map_is_file(m) && !file_map_damaged(m) && !file_map_changed(m) && !file_map_identity(m, &id));
  file_map_drop(m, 0, 5);
  file_map_unref(m);
  CHECK_INT(file_map_memory(NULL, 0, "", &m, &error), LEDGE_OK);
  CHECK(file_map_data(m) != NULL);
  file_map_unref(m);
  m = NULL;
  CHECK_INT(file_map_memory(NULL, 1, "x", &m, &error), LEDGE_ERROR_ARGUMENT);
  CHECK(m == NULL);
}

static void test_descriptor(void) {
  tree t = tree_create();
  tree_file(&t, "/file", "0123456789");
  int fd = open(tree_path(&t, "/file"), O_RDONLY);
  CHECK_INT(lseek(fd, 4, SEEK_SET), 4); /* the position does not matter */
  file_map *m = NULL;
  CHECK_INT(file_map_fd(fd, "a descriptor", &m, &error), LEDGE_OK);
  close(fd);
  CHECK(file_map_size(m) == 10 && !memcmp(file_map_data(m), "0123456789", 10) && !file_map_changed(m));
  file_map_unref(m);
  m = NULL;
  CHECK_INT(file_map_fd(-1, "nothing", &m, &error), LEDGE_ERROR_IO);
  fd = open(tree_path(&t, "/file"), O_WRONLY);
  CHECK_INT(file_map_fd(fd, "write-only", &m, &error), LEDGE_ERROR_IO);
  CHECK(strstr(error.message, "write-only") && m == NULL);
  close(fd);
  tree_remove(&t);
}

static void check_refused(const char *path, const char *says) {
  file_map *m = NULL;
  memset(&error, 0, sizeof error);
  CHECK_INT(file_map_open(path, &m, &error), LEDGE_ERROR_IO);
  CHECK(m == NULL);
  if (!strstr(error.message, says) || !strstr(error.message, path))
    TEST_FAIL("\"%s\" does not say \"%s\"", error.message, says);
}

static void test_refused(void) {
  tree t = tree_create();
  check_refused(tree_path(&t, "/none"), "No such file");
  check_refused(t.root, "folder");
  check_refused("/dev/null", "device");
  CHECK_INT(mkfifo(tree_path(&t, "/pipe"), 0600), 0);
  check_refused(tree_path(&t, "/pipe"), "pipe"); /* and does not wait for a writer */
  tree_remove(&t);
}

static sigjmp_buf probe_back;
static void *volatile probe_address;

static void probe_on_sigbus(int signal_number, siginfo_t *info, void *context) {
  probe_address = info->si_addr;
  siglongjmp(probe_back, 1);
}

/* Whether a fault's address is the one that was touched: qemu-arm gives one that lies a page behind. */
static bool addresses_are_true(const tree *t) {
  struct sigaction before, action = {.sa_sigaction = probe_on_sigbus, .sa_flags = SA_SIGINFO};
  tree_file(t, "/probe", "x");
  int fd = open(tree_path(t, "/probe"), O_RDWR);
  volatile char *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED || ftruncate(fd, 0)) return false;
  close(fd);
  sigaction(SIGBUS, &action, &before);
  if (!sigsetjmp(probe_back, 1)) (void)page[0];
  sigaction(SIGBUS, &before, NULL);
  munmap((void *)page, 1);
  bool true_address = probe_address == (void *)page;
  if (!true_address) printf("skipped %s: this machine misreports the addresses of faults\n", test_now_);
  return true_address;
}

static unsigned sum_bytes(const file_map *m) {
  unsigned sum = 0;
  for (size_t i = 0; i < file_map_size(m); i++) sum += file_map_data(m)[i];
  return sum;
}

static void *sum_in_thread(void *arg) {
  file_map **maps = arg;
  return (void *)(uintptr_t)(sum_bytes(maps[0]) + sum_bytes(maps[1]));
}

enum { PAGES = 9 };

static void put_pages(const tree *t, const char *path, uint8_t byte) {
  size_t size = (size_t)sysconf(_SC_PAGESIZE) * PAGES;
  uint8_t *data = malloc(size);
  memset(data, byte, size);
  tree_bytes(t, path, data, size);
  free(data);
}

/* Two mappings, of which one shrinks: it reads as zeros behind its new end and says so; the other is untouched. */
static void test_shrinks(void) {
  tree t = tree_create();
  if (!addresses_are_true(&t)) {
    tree_remove(&t);
    return;
  }
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  file_map *maps[2] = {NULL, NULL};
  put_pages(&t, "/a", 1);
  put_pages(&t, "/b", 2);
  CHECK_INT(file_map_open(tree_path(&t, "/a"), &maps[0], &error), LEDGE_OK);
  CHECK_INT(file_map_open(tree_path(&t, "/b"), &maps[1], &error), LEDGE_OK);
  CHECK_INT(sum_bytes(maps[0]), PAGES * page);
  CHECK_INT(truncate(tree_path(&t, "/a"), (off_t)(2 * page)), 0);
  CHECK(!file_map_damaged(maps[0]) && file_map_changed(maps[0]));
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) CHECK_INT(pthread_create(&threads[i], NULL, sum_in_thread, maps), 0);
  for (int i = 0; i < 3; i++) {
    void *sum;
    pthread_join(threads[i], &sum);
    CHECK_INT((uintptr_t)sum, 2 * page + 2 * PAGES * page);
  }
  CHECK(file_map_damaged(maps[0]) && !file_map_damaged(maps[1]));
  CHECK_INT(file_map_check(maps[0], &error), LEDGE_ERROR_CHANGED);
  CHECK(strstr(error.message, "cut short"));
  CHECK_INT(file_map_check(maps[1], &error), LEDGE_OK);
  file_map_drop(maps[0], 0, SIZE_MAX);
  CHECK_INT(sum_bytes(maps[0]), 2 * page);
  file_map_unref(maps[0]);
  /* The slot is used again and starts undamaged. */
  CHECK_INT(file_map_open(tree_path(&t, "/b"), &maps[0], &error), LEDGE_OK);
  CHECK(!file_map_damaged(maps[0]));
  file_map_unref(maps[0]);
  file_map_unref(maps[1]);
  tree_remove(&t);
}

static void test_changes(void) {
  tree t = tree_create();
  tree_file(&t, "/file", "old text");
  file_map *m = NULL;
  CHECK_INT(file_map_open(tree_path(&t, "/file"), &m, &error), LEDGE_OK);
  tree_file(&t, "/new", "new text");
  CHECK_INT(rename(tree_path(&t, "/new"), tree_path(&t, "/file")), 0);
  CHECK(!file_map_changed(m)); /* replaced by a rename: the mapped one lives on */
  CHECK(!memcmp(file_map_data(m), "old text", 8));
  file_map_unref(m);
  CHECK_INT(file_map_open(tree_path(&t, "/file"), &m, &error), LEDGE_OK);
  tree_file(&t, "/file", "longer than before");
  CHECK(file_map_changed(m));
  CHECK_INT(file_map_check(m, &error), LEDGE_ERROR_CHANGED);
  CHECK(strstr(error.message, "written to"));
  file_map_unref(m);
  tree_remove(&t);
}

/* More mappings than a block of the table holds. */
static void test_many(void) {
  enum { MANY = 150 };
  tree t = tree_create();
  if (!addresses_are_true(&t)) {
    tree_remove(&t);
    return;
  }
  put_pages(&t, "/a", 1);
  file_map *maps[MANY] = {NULL};
  for (int i = 0; i < MANY; i++) CHECK_INT(file_map_open(tree_path(&t, "/a"), &maps[i], &error), LEDGE_OK);
  CHECK_INT(truncate(tree_path(&t, "/a"), 0), 0);
  for (int i = 0; i < MANY; i += 7) CHECK_INT(sum_bytes(maps[i]), 0);
  for (int i = 0; i < MANY; i++) CHECK_INT(file_map_damaged(maps[i]), i % 7 == 0);
  for (int i = 0; i < MANY; i++) file_map_unref(maps[i]);
  tree_remove(&t);
}

static void exit_on_sigbus(int signal_number) { _exit(42); }

static void exit_on_sigbus_info(int signal_number, siginfo_t *info, void *context) { _exit(info->si_addr ? 43 : 1); }

/* In a child: a fault of somebody else's mapping after ours is in place. 1: a plain handler was there before; 2: one
 * with information; 3: none, and a signal that is sent; 4: none, and a fault. */
static int foreign_fault(const tree *t, int kind) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  if (kind == 1) action.sa_handler = exit_on_sigbus;
  if (kind == 2) {
    action.sa_sigaction = exit_on_sigbus_info;
    action.sa_flags = SA_SIGINFO;
  }
  sigaction(SIGBUS, &action, NULL);
  file_map *m = NULL;
  if (file_map_open(tree_path(t, "/ours"), &m, NULL)) return 2;
  int fd = open(tree_path(t, "/theirs"), O_RDWR);
  volatile char *theirs = mmap(NULL, 100, PROT_READ, MAP_SHARED, fd, 0);
  if (theirs == MAP_FAILED || ftruncate(fd, 0)) return 3;
  if (kind == 3) raise(SIGBUS);
  return theirs[0] ? 4 : 5;
}

static void test_foreign(void) {
  tree t = tree_create();
  for (int kind = 1; kind <= 4; kind++) {
    put_pages(&t, "/ours", 1);
    tree_file(&t, "/theirs", "x");
    pid_t child = fork();
    if (!child) _exit(foreign_fault(&t, kind));
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (kind <= 2)
      CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 41 + kind);
    else
      CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGBUS : WEXITSTATUS(status) == 1 /* a sanitizer's report */);
  }
  tree_remove(&t);
}

static void test_out_of_memory(void) {
  tree t = tree_create();
  tree_file(&t, "/a", "a");
  for (int fail = 0;; fail++) {
    long long before = atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
    file_map *m = NULL;
    atomic_store(&mem_stats_global.fail_after, fail);
    ledge_status status = file_map_open(tree_path(&t, "/a"), &m, &error);
    atomic_store(&mem_stats_global.fail_after, -1);
    if (status) CHECK_INT(status, LEDGE_ERROR_MEMORY);
    if (!status) file_map_unref(m);
    CHECK_INT(atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees), before);
    if (!status) {
      CHECK(fail > 0);
      break;
    }
  }
  tree_remove(&t);
}

/* `foreign` comes first: its children must be the first to install the handler. */
TEST_MAIN({"foreign", test_foreign}, {"read", test_read}, {"memory", test_memory}, {"descriptor", test_descriptor},
          {"refused", test_refused}, {"shrinks", test_shrinks}, {"changes", test_changes}, {"many", test_many},
          {"out_of_memory", test_out_of_memory})
