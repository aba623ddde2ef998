/* backend/cache_folder: where the files of packed weights are, and how many; see cache.h. Everything goes through the
 * descriptor of a folder that was looked at, so that a link put in its place meanwhile leads nowhere. */
#include "backend/cache.h"

#include "backend/tune.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { CACHE_LIMIT_DEFAULT = 1 << 30, CACHE_FILES_MAX = 4096, CACHE_STALE_S = 3600 };

/* Only the user can change it. */
static bool is_own(const struct stat *s) { return s->st_uid == geteuid() && !(s->st_mode & (S_IWGRP | S_IWOTH)); }

/* Opens folder/name, made where it is missing and wanted; -1 where it is not the user's own. */
static int open_own(int folder, const char *name, bool make) {
  struct stat s;
  int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  int fd = openat(folder, name, flags);
  if (fd < 0 && errno == ENOENT && make && (!mkdirat(folder, name, 0700) || errno == EEXIST))
    fd = openat(folder, name, flags);
  if (fd >= 0 && (fstat(fd, &s) || !is_own(&s))) {
    close(fd);
    return -1;
  }
  return fd;
}

int cache_folder_open(bool make, char ret[CACHE_PATH_MAX]) {
  const char *base = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
  bool xdg = base && base[0] == '/'; /* a relative one is to be ignored, says the specification */
  if (!xdg && (!home || home[0] != '/')) return -1;
  int n = snprintf(ret, CACHE_PATH_MAX, xdg ? "%s/ledge" : "%s/.cache/ledge", xdg ? base : home);
  if (n < 0 || n >= CACHE_PATH_MAX) return -1;
  /* Each folder above must be the user's own too: else a sudo would leave root's in somebody's home. */
  int above = open_own(AT_FDCWD, xdg ? base : home, make && xdg), cache = above;
  if (above >= 0 && !xdg) {
    cache = open_own(above, ".cache", make);
    close(above);
  }
  if (cache < 0) return -1;
  int folder = open_own(cache, "ledge", make);
  close(cache);
  return folder;
}

int cache_folder_open_file(int folder, const char *name) {
  struct stat s;
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && (fstat(fd, &s) || !S_ISREG(s.st_mode) || !is_own(&s))) {
    close(fd);
    return -1;
  }
  return fd;
}

/* Packed files are named by 32 hex digits and ".pack". */
static bool is_packed_name(const char *name) {
  for (int i = 0; i < 32; i++)
    if (!isxdigit((unsigned char)name[i])) return false;
  return !strcmp(name + 32, ".pack");
}

static bool is_temporary_name(const char *name) {
  size_t n = strlen(name);
  return n > 11 && !memcmp(name, ".ledge-", 7) && !strcmp(name + n - 4, ".tmp");
}

static int by_use(const void *a, const void *b) {
  const cache_file *x = a, *y = b;
  if (x->used_s != y->used_s) return x->used_s < y->used_s ? -1 : 1;
  if (x->used_ns != y->used_ns) return x->used_ns < y->used_ns ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* A stream of its own over the folder. */
static DIR *open_stream(int folder) {
  int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  if (!d && fd >= 0) close(fd);
  return d;
}

bool cache_folder_list(int folder, cache_file **ret, size_t *ret_count) {
  size_t n = 0, room = 0;
  cache_file *files = NULL;
  DIR *d = open_stream(folder);
  bool whole = true;
  for (struct dirent *e; d && (e = readdir(d)) && n < CACHE_FILES_MAX;) {
    struct stat s;
    if (!(is_packed_name(e->d_name) || tune_is_name(e->d_name)) ||
        fstatat(folder, e->d_name, &s, AT_SYMLINK_NOFOLLOW) || !S_ISREG(s.st_mode))
      continue;
    if (n == room) {
      cache_file *more = mem_realloc(files, (room = room ? room * 2 : 64) * sizeof *files);
      if (!more) {
        whole = false;
        break;
      }
      files = more;
    }
    files[n] = (cache_file){
        .bytes = (uint64_t)s.st_size, .used_s = (int64_t)s.st_mtim.tv_sec, .used_ns = (int64_t)s.st_mtim.tv_nsec};
    memcpy(files[n++].name, e->d_name, strlen(e->d_name) + 1);
  }
  if (d) closedir(d);
  if (!whole) {
    mem_free(files);
    return false;
  }
  if (n) qsort(files, n, sizeof *files, by_use);
  *ret = files;
  *ret_count = n;
  return true;
}

uint64_t cache_folder_limit(void) {
  const char *text = secure_getenv("LEDGE_CACHE_LIMIT");
  if (!text || !isdigit((unsigned char)*text)) return CACHE_LIMIT_DEFAULT;
  char *end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  const char *units = "KMGT", *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
  if (errno || (*end && (!unit || end[1]))) return CACHE_LIMIT_DEFAULT;
  int shift = unit ? 10 * (int)(unit - units + 1) : 0;
  return n > UINT64_MAX >> shift ? UINT64_MAX : (uint64_t)n << shift;
}

/* What a process that was killed has left. */
static void remove_stale(int folder) {
  DIR *d = open_stream(folder);
  time_t now = time(NULL);
  for (struct dirent *e; d && (e = readdir(d));) {
    struct stat s;
    if (is_temporary_name(e->d_name) && !fstatat(folder, e->d_name, &s, AT_SYMLINK_NOFOLLOW) &&
        s.st_mtim.tv_sec < now - CACHE_STALE_S)
      unlinkat(folder, e->d_name, 0);
  }
  if (d) closedir(d);
}

bool cache_folder_make_room(int folder, uint64_t bytes, const char *keep) {
  uint64_t limit = cache_folder_limit(), all = 0;
  cache_file *files = NULL;
  size_t n = 0;
  struct statvfs fs;
  if (bytes > limit || !cache_folder_list(folder, &files, &n)) return false;
  remove_stale(folder);
  for (size_t i = 0; i < n; i++)
    if (strcmp(files[i].name, keep)) all += files[i].bytes;
  for (size_t i = 0; i < n && all > limit - bytes; i++) {
    if (!strcmp(files[i].name, keep) || unlinkat(folder, files[i].name, 0)) continue;
    all -= files[i].bytes;
  }
  mem_free(files);
  if (all > limit - bytes) return false;
  /* As much must be left as is written: a full disk is worse than no cache. */
  return !fstatvfs(folder, &fs) && (uint64_t)fs.f_bavail * fs.f_frsize / 2 >= bytes;
}
