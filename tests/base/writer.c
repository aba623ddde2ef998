/* Bytes that grow, and files that appear whole or not at all. */
#include "base/writer.h"

#include "base/mem.h"
#include "base/reader.h"
#include "test.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static ledge_error error;

static void test_scalars(void) {
  static const uint64_t varints[] = {0, 1, 127, 128, 300, 0xffffffff, UINT64_MAX};
  writer w = {0};
  writer_u8(&w, 0xab);
  writer_u16le(&w, 0x1234);
  writer_u32le(&w, 0xdeadbeef);
  writer_u64le(&w, 0x0123456789abcdef);
  writer_f32le(&w, -1.5f);
  for (size_t i = 0; i < sizeof varints / sizeof *varints; i++) writer_varint(&w, varints[i]);
  CHECK_INT(writer_check(&w, "a test", &error), LEDGE_OK);
  CHECK(w.data[1] == 0x34 && w.data[2] == 0x12);
  reader r = reader_make(w.data, w.size, 100);
  uint8_t u8;
  uint16_t u16;
  uint32_t u32;
  uint64_t u64;
  float f32;
  CHECK(reader_u8(&r, &u8) && u8 == 0xab);
  CHECK(reader_u16le(&r, &u16) && u16 == 0x1234);
  CHECK(reader_u32le(&r, &u32) && u32 == 0xdeadbeef);
  CHECK(reader_u64le(&r, &u64) && u64 == 0x0123456789abcdef);
  CHECK(reader_f32le(&r, &f32) && f32 == -1.5f);
  for (size_t i = 0; i < sizeof varints / sizeof *varints; i++) CHECK(reader_varint(&r, &u64) && u64 == varints[i]);
  CHECK(reader_end(&r));
  writer_deinit(&w);
}

static void test_grow(void) {
  writer w;
  writer_init(&w);
  for (int i = 0; i < 1000; i++) CHECK(writer_format(&w, "%d,", i));
  CHECK(w.size == 10 * 2 + 90 * 3 + 900 * 4 && !memcmp(w.data, "0,1,2,", 6));
  CHECK(writer_align(&w, 64) && w.size % 64 == 0);
  size_t before = w.size;
  CHECK(writer_align(&w, 64) && w.size == before);
  CHECK(writer_fill(&w, 7, 3) && w.data[before + 2] == 7);
  CHECK(writer_text(&w, "text") && writer_bytes(&w, NULL, 0));
  CHECK(writer_patch(&w, 0, "x", 1) && w.data[0] == 'x');
  CHECK(writer_patch(&w, w.size, "x", 0) && !writer_patch(&w, w.size, "x", 1));
  CHECK(!writer_patch(&w, SIZE_MAX, "x", 1) && !writer_patch(&w, 1, "x", SIZE_MAX));
  size_t size = 0;
  uint8_t *bytes = writer_take(&w, &size);
  CHECK(bytes && size == before + 7 && !w.data && !w.size);
  mem_free(bytes);
  CHECK(!writer_reserve(&w, SIZE_MAX) && w.failed);
  CHECK(!writer_u8(&w, 1) && !writer_patch(&w, 0, "", 0));
  CHECK_INT(writer_check(&w, "a test", &error), LEDGE_ERROR_MEMORY);
  CHECK(writer_take(&w, &size) == NULL && !w.failed);
  writer_u8(&w, 1);
  atomic_store(&mem_stats_global.fail_after, 0);
  CHECK(!writer_fill(&w, 0, 10000) && w.size == 1);
  atomic_store(&mem_stats_global.fail_after, -1);
  writer_deinit(&w);
}

static int count_files(const char *folder) {
  int n = 0;
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
  if (d) closedir(d);
  return n;
}

static void check_content(const char *path, const char *want) {
  char text[64] = "";
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  if (!file) return;
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  CHECK_STR(text, want);
}

static void test_atomic(void) {
  tree t = tree_create();
  const char *path = tree_path(&t, "/out");
  CHECK_INT(file_write_atomic(path, "one", 3, &error), LEDGE_OK);
  check_content(path, "one");
  struct stat s;
  CHECK(!stat(path, &s));
  mode_t mask = umask(022);
  umask(mask);
  CHECK_INT(s.st_mode & 0777, 0666 & ~mask);
  CHECK_INT(chmod(path, 0640), 0);
  file_writer *w = NULL;
  CHECK_INT(file_writer_open(path, &w, &error), LEDGE_OK);
  CHECK_INT(file_writer_append(w, "two", 3, &error), LEDGE_OK);
  CHECK_INT(file_writer_append(w, NULL, 0, &error), LEDGE_OK);
  CHECK_INT(file_writer_align(w, 8, &error), LEDGE_OK);
  CHECK_INT(file_writer_offset(w), 8);
  check_content(path, "one"); /* until the commit */
  CHECK_INT(file_writer_commit(w, &error), LEDGE_OK);
  check_content(path, "two");
  CHECK(!stat(path, &s) && s.st_size == 8 && (s.st_mode & 0777) == 0640);
  CHECK_INT(file_writer_open(path, &w, &error), LEDGE_OK);
  CHECK_INT(file_writer_append(w, "three", 5, &error), LEDGE_OK);
  file_writer_abort(w);
  file_writer_abort(NULL);
  check_content(path, "two");
  CHECK_INT(count_files(t.root), 1);
  tree_remove(&t);
}

/* Appends of all sizes around the buffer's. */
static void test_sizes(void) {
  static const size_t sizes[] = {1, 65535, 65536, 65537, 3, 131072, 0, 200000, 65535};
  tree t = tree_create();
  const char *path = tree_path(&t, "/out");
  static uint8_t data[200000];
  file_writer *w = NULL;
  CHECK_INT(file_writer_open(path, &w, &error), LEDGE_OK);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    memset(data, (int)i + 1, sizes[i]);
    CHECK_INT(file_writer_append(w, data, sizes[i], &error), LEDGE_OK);
  }
  CHECK_INT(file_writer_commit(w, &error), LEDGE_OK);
  FILE *file = fopen(path, "rb");
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    CHECK_INT(fread(data, 1, sizes[i], file), sizes[i]);
    size_t wrong = 0;
    for (size_t k = 0; k < sizes[i]; k++) wrong += data[k] != i + 1;
    CHECK_INT(wrong, 0);
  }
  CHECK(fgetc(file) == EOF);
  fclose(file);
  tree_remove(&t);
}

static void test_links_and_devices(void) {
  tree t = tree_create();
  tree_file(&t, "/real", "old");
  CHECK_INT(symlink("real", tree_path(&t, "/link")), 0);
  CHECK_INT(symlink("nowhere/at/all", tree_path(&t, "/dangling")), 0);
  CHECK_INT(file_write_atomic(tree_path(&t, "/link"), "new", 3, &error), LEDGE_OK);
  check_content(tree_path(&t, "/real"), "new");
  struct stat s;
  CHECK(!lstat(tree_path(&t, "/link"), &s) && S_ISLNK(s.st_mode));
  CHECK_INT(file_write_atomic(tree_path(&t, "/dangling"), "new", 3, &error), LEDGE_OK);
  check_content(tree_path(&t, "/dangling"), "new");
  CHECK_INT(file_write_atomic("/dev/null", "new", 3, &error), LEDGE_OK);
  CHECK(!stat("/dev/null", &s) && S_ISCHR(s.st_mode));
  CHECK_INT(mkfifo(tree_path(&t, "/pipe"), 0600), 0);
  int reader_end_fd = open(tree_path(&t, "/pipe"), O_RDONLY | O_NONBLOCK);
  CHECK_INT(file_write_atomic(tree_path(&t, "/pipe"), "new", 3, &error), LEDGE_OK);
  char got[4] = "";
  CHECK(read(reader_end_fd, got, 3) == 3 && !strcmp(got, "new"));
  close(reader_end_fd);
  CHECK_INT(count_files(t.root), 4);
  /* A file name alone stands in the current folder. */
  char before[1024];
  CHECK(getcwd(before, sizeof before) && !chdir(t.root));
  CHECK_INT(file_write_atomic("here", "x", 1, &error), LEDGE_OK);
  CHECK_INT(chdir(before), 0);
  check_content(tree_path(&t, "/here"), "x");
  tree_remove(&t);
}

static void test_refused(void) {
  tree t = tree_create();
  static const char *const paths[] = {"", "/", "/none/out"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    const char *path = i ? tree_path(&t, paths[i]) : "";
    CHECK_INT(file_write_atomic(path, "x", 1, &error), LEDGE_ERROR_IO);
    CHECK(strstr(error.message, "cannot write") && strstr(error.message, path));
  }
  char longest[5000];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  CHECK_INT(file_write_atomic(longest, "x", 1, &error), LEDGE_ERROR_IO);
  memset(longest, 'b', 300), longest[300] = 0; /* a name that no file may have: only the rename meets it */
  char path[1024];
  snprintf(path, sizeof path, "%s/%.300s", t.root, longest);
  CHECK_INT(file_write_atomic(path, "x", 1, &error), LEDGE_ERROR_IO);
  if (geteuid()) { /* root may write everywhere */
    tree_file(&t, "/protected", "x");
    CHECK_INT(chmod(tree_path(&t, "/protected"), 0400), 0);
    CHECK_INT(file_write_atomic(tree_path(&t, "/protected"), "y", 1, &error), LEDGE_ERROR_IO);
    check_content(tree_path(&t, "/protected"), "x");
    remove(tree_path(&t, "/protected"));
  }
  CHECK_INT(count_files(t.root), 0);
  tree_remove(&t);
}

/* The disk is "full" after 100,000 bytes: the old file stands, nothing is left beside it, the first error is repeated.
 */
static void test_full_disk(void) {
  tree t = tree_create();
  const char *path = tree_path(&t, "/out");
  tree_file(&t, "/out", "old");
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit before, limit;
  getrlimit(RLIMIT_FSIZE, &before);
  limit = before;
  limit.rlim_cur = 100000;
  CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
  static uint8_t data[70000];
  file_writer *w = NULL;
  CHECK_INT(file_writer_open(path, &w, &error), LEDGE_OK);
  CHECK_INT(file_writer_append(w, data, sizeof data, &error), LEDGE_OK);
  CHECK_INT(file_writer_append(w, data, sizeof data, &error), LEDGE_ERROR_IO);
  CHECK(strstr(error.message, path) && strstr(error.message, strerror(EFBIG)));
  CHECK_INT(file_writer_append(w, data, 1, &error), LEDGE_ERROR_IO);
  CHECK_INT(file_writer_align(w, 64, &error), LEDGE_ERROR_IO);
  memset(&error, 0, sizeof error);
  CHECK_INT(file_writer_commit(w, &error), LEDGE_ERROR_IO);
  CHECK(strstr(error.message, strerror(EFBIG)));
  check_content(path, "old");
  CHECK_INT(count_files(t.root), 1);
  /* The same when only the flush at the end meets it. */
  CHECK_INT(file_writer_open(path, &w, &error), LEDGE_OK);
  CHECK_INT(file_writer_append(w, data, sizeof data, &error), LEDGE_OK);
  CHECK_INT(file_writer_append(w, data, 60000, &error), LEDGE_OK);
  CHECK_INT(file_writer_commit(w, &error), LEDGE_ERROR_IO);
  CHECK_INT(count_files(t.root), 1);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_DFL);
  tree_remove(&t);
}

static void test_out_of_memory(void) {
  tree t = tree_create();
  atomic_store(&mem_stats_global.fail_after, 0);
  CHECK_INT(file_write_atomic(tree_path(&t, "/out"), "x", 1, &error), LEDGE_ERROR_MEMORY);
  atomic_store(&mem_stats_global.fail_after, -1);
  CHECK_INT(count_files(t.root), 0);
  tree_remove(&t);
}

TEST_MAIN({"scalars", test_scalars}, {"grow", test_grow}, {"atomic", test_atomic}, {"sizes", test_sizes},
          {"links_and_devices", test_links_and_devices}, {"refused", test_refused}, {"full_disk", test_full_disk},
          {"out_of_memory", test_out_of_memory})
