/* tests/base/tree.h: a made-up folder tree below a temporary folder. */
#ifndef TESTS_BASE_TREE_H
#define TESTS_BASE_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct tree {
  char root[256];
} tree;

static inline tree tree_create(void) {
  tree t;
  const char *tmp = getenv("TMPDIR");
  snprintf(t.root, sizeof t.root, "%s/ledge-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(t.root)) {
    perror(t.root);
    exit(1);
  }
  return t;
}

static inline const char *tree_path(const tree *t, const char *path) {
  static char whole[8][1024];
  static int turn;
  turn = (turn + 1) % 8;
  snprintf(whole[turn], sizeof whole[turn], "%s%s", t->root, path);
  return whole[turn];
}

/* Writes a file ("/a/b") and the folders that it needs. */
static inline void tree_bytes(const tree *t, const char *path, const void *data, size_t size) {
  char whole[1024];
  snprintf(whole, sizeof whole, "%s%s", t->root, path);
  for (char *at = whole + strlen(t->root) + 1; (at = strchr(at, '/')); *at++ = '/') {
    *at = 0;
    mkdir(whole, 0777);
  }
  FILE *file = fopen(whole, "wb");
  if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
    perror(whole);
    exit(1);
  }
}

static inline void tree_file(const tree *t, const char *path, const char *text) {
  tree_bytes(t, path, text, strlen(text));
}

static inline int tree_remove_one(const char *path, const struct stat *s, int type, struct FTW *at) {
  return remove(path);
}

static inline void tree_remove(const tree *t) { nftw(t->root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS); }

#endif
