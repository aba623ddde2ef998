/* What a model may name below its folder, by openat2 and by hand alike. */
#include "base/beneath.h"

#include "test.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* `inside`: opens without allowing links; `links`: opens when they are allowed. */
static const struct {
  const char *path;
  bool inside, links;
} cases[] = {
    {"weights", true, true},
    {"./weights", true, true},
    {"sub/data", true, true},
    {"sub//data", true, true},
    {"sub/./data", true, true},
    {"to_data", true, true},        /* -> sub/data */
    {"sub/to_weights", true, true}, /* -> ../weights, which stays inside */
    {"to_sub/data", true, true},    /* a folder behind a link */
    {"to_to_data", true, true},     /* a link to a link */
    {"to_secret", false, true},     /* -> ../outside/secret */
    {"sub/to_secret", false, true}, /* -> ../../outside/secret */
    {"to_outside/secret", false, true},
    {"to_absolute", false, true}, /* -> an absolute path */
    {"to_back_in", false, true},  /* -> ../model/weights: it leaves on the way */
    {"../outside/secret", false, false},
    {"sub/../weights", false, false},
    {"..", false, false},
    {"sub/..", false, false},
    {"", false, false},
    {".", false, false},
    {"sub", false, false},    /* a folder */
    {"to_sub", false, false}, /* a link to one */
    {"to_up", false, false},  /* -> . */
    {"none", false, false},
    {"weights/data", false, false},
    {"loop", false, false}, /* -> loop */
    {"pipe", false, false},
};

static tree make(void) {
  tree t = tree_create();
  tree_file(&t, "/model/weights", "inside");
  tree_file(&t, "/model/sub/data", "inside");
  tree_file(&t, "/outside/secret", "secret");
  static const char *const links[][2] = {{"/model/to_data", "sub/data"},
                                         {"/model/sub/to_weights", "../weights"},
                                         {"/model/to_sub", "sub"},
                                         {"/model/to_to_data", "to_data"},
                                         {"/model/to_secret", "../outside/secret"},
                                         {"/model/sub/to_secret", "../../outside/secret"},
                                         {"/model/to_outside", "../outside"},
                                         {"/model/to_back_in", "../model/weights"},
                                         {"/model/to_up", "."},
                                         {"/model/loop", "loop"}};
  int made = 0;
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) made += symlink(links[i][1], tree_path(&t, links[i][0]));
  made += symlink(tree_path(&t, "/outside/secret"), tree_path(&t, "/model/to_absolute"));
  made += mkfifo(tree_path(&t, "/model/pipe"), 0600);
  CHECK_INT(made, 0);
  return t;
}

static void test_cases(void) {
  tree t = make();
  const char *folder = tree_path(&t, "/model");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int links = 0; links < 2; links++) {
      bool want = links ? cases[i].links : cases[i].inside;
      int fd = -7;
      ledge_error error = {0};
      ledge_status status = file_open_beneath_path(folder, cases[i].path, links, &fd, &error);
      if (!status != want) TEST_FAIL("'%s', links %d: %d %s", cases[i].path, links, status, error.message);
      if (status && (fd != -7 || !error.message[0])) TEST_FAIL("'%s': %d '%s'", cases[i].path, fd, error.message);
      if (!status) {
        char text[8] = "";
        CHECK_INT(read(fd, text, sizeof text - 1), 6);
        if (!links) CHECK_STR(text, "inside");
        close(fd);
      }
    }
  tree_remove(&t);
}

/* The walk by hand agrees with the kernel; a folder, a pipe and a ".." in the path are its caller's to refuse. */
static void test_walk(void) {
  tree t = make();
  int folder = open(tree_path(&t, "/model"), O_RDONLY | O_DIRECTORY);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int fd = file_walk_beneath(folder, cases[i].path);
    struct stat s;
    bool regular = fd >= 0 && !fstat(fd, &s) && S_ISREG(s.st_mode);
    bool want = cases[i].inside || !strcmp(cases[i].path, "sub/../weights");
    if (regular != want) TEST_FAIL("'%s': %s", cases[i].path, strerror(errno));
    if (fd >= 0) close(fd);
  }
  static const struct {
    const char *path;
    int why;
  } whys[] = {{"to_secret", EXDEV},   {"../outside/secret", EXDEV},
              {"to_absolute", EXDEV}, {"/etc/passwd", EXDEV},
              {"loop", ELOOP},        {"none", ENOENT},
              {"weights/x", ENOTDIR}, {"none/x", ENOENT}};
  for (size_t i = 0; i < sizeof whys / sizeof *whys; i++) {
    errno = 0;
    CHECK_INT(file_walk_beneath(folder, whys[i].path), -1);
    if (errno != whys[i].why) TEST_FAIL("'%s': %s", whys[i].path, strerror(errno));
  }
  char longest[5000];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  CHECK_INT(file_walk_beneath(folder, longest), -1);
  for (size_t i = 0; i + 2 < sizeof longest; i += 2) memcpy(longest + i, "a/", 2);
  CHECK_INT(file_walk_beneath(folder, longest), -1);
  close(folder);
  int probe = open("/dev/null", O_RDONLY); /* no descriptor was left open */
  CHECK_INT(probe, folder);
  close(probe);
  tree_remove(&t);
}

static void test_deep(void) {
  tree t = tree_create();
  char path[400] = "";
  for (int i = 0; i < 70; i++) strcat(path, "/d");
  strcat(path, "/f");
  tree_file(&t, path, "x");
  int folder = open(t.root, O_RDONLY | O_DIRECTORY);
  CHECK_INT(file_walk_beneath(folder, path + 1), -1); /* deeper than BENEATH_DEPTH */
  int fd = file_walk_beneath(folder, path + 1 + 70);
  CHECK(fd < 0); /* no such file from here, but within the depth */
  close(folder);
  tree_remove(&t);
}

static void test_messages(void) {
  tree t = make();
  ledge_error error;
  int fd;
  CHECK_INT(file_open_beneath_path(tree_path(&t, "/model"), "to_secret", false, &fd, &error), LEDGE_ERROR_IO);
  CHECK(strstr(error.message, "--allow-links"));
  CHECK_INT(file_open_beneath_path(tree_path(&t, "/model"), "../x", true, &fd, &error), LEDGE_ERROR_FORMAT);
  CHECK(strstr(error.message, "'../x' leaves its folder"));
  CHECK_INT(file_open_beneath_path(tree_path(&t, "/model"), "/etc/passwd", true, &fd, &error), LEDGE_ERROR_FORMAT);
  CHECK_INT(file_open_beneath_path(tree_path(&t, "/no"), "x", true, &fd, &error), LEDGE_ERROR_IO);
  CHECK(strstr(error.message, "folder"));
  tree_remove(&t);
}

TEST_MAIN({"cases", test_cases}, {"walk", test_walk}, {"deep", test_deep}, {"messages", test_messages})
