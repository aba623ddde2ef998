/* base/beneath: see beneath.h. openat2(2) with RESOLVE_BENEATH, or the same by hand. */
#include "base/beneath.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

enum { BENEATH_PATH = 4096, BENEATH_DEPTH = 64, BENEATH_LINKS = 40, BENEATH_RETRIES = 16 };
/* O_NONBLOCK: a pipe without a writer must not hang us before it is refused. */
enum { BENEATH_FLAGS = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK };

/* The walk's state: the folders from the top down to where it is, and what is left to go. */
typedef struct beneath_walk {
  int folders[BENEATH_DEPTH + 1]; /* [0] is the caller's */
  int depth, n_links;
  char rest[BENEATH_PATH];
} beneath_walk;

static int beneath_fail(int code) {
  errno = code;
  return -1;
}

/* Puts a link's target before the rest. */
static int beneath_follow(beneath_walk *w, const char *name) {
  char target[BENEATH_PATH], whole[2 * BENEATH_PATH];
  ssize_t n = readlinkat(w->folders[w->depth], name, target, sizeof target);
  if (n < 0) return -1;
  if (n == 0 || (size_t)n >= sizeof target) return beneath_fail(ENAMETOOLONG);
  if (target[0] == '/') return beneath_fail(EXDEV);
  if (++w->n_links > BENEATH_LINKS) return beneath_fail(ELOOP);
  int length = snprintf(whole, sizeof whole, "%.*s/%s", (int)n, target, w->rest);
  if (length < 0 || (size_t)length >= sizeof w->rest) return beneath_fail(ENAMETOOLONG);
  memcpy(w->rest, whole, (size_t)length + 1);
  return 0;
}

/* Goes one component on. Returns the file when it was the last, -1 on failure (*failed) or when there is more to go. */
static int beneath_step(beneath_walk *w, bool *failed) {
  char name[BENEATH_PATH];
  size_t n = strcspn(w->rest, "/"), next = n + strspn(w->rest + n, "/");
  memcpy(name, w->rest, n);
  name[n] = 0;
  bool last = !w->rest[next];
  memmove(w->rest, w->rest + next, strlen(w->rest + next) + 1);
  *failed = true;
  if (!strcmp(name, "..")) {
    if (!w->depth) return beneath_fail(EXDEV);
    close(w->folders[w->depth--]);
    *failed = last;
    return last ? beneath_fail(EISDIR) : -1;
  }
  if (!n || !strcmp(name, ".")) {
    *failed = last;
    return last ? beneath_fail(EISDIR) : -1;
  }
  int flags = last ? BENEATH_FLAGS | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(w->folders[w->depth], name, flags);
  if (fd >= 0 && last) return fd;
  if (fd >= 0 && w->depth == BENEATH_DEPTH) {
    close(fd);
    return beneath_fail(ENAMETOOLONG);
  }
  if (fd >= 0) {
    w->folders[++w->depth] = fd;
    *failed = false;
    return -1;
  }
  int why = errno;
  if ((why == ELOOP || why == ENOTDIR || why == EMLINK) && !beneath_follow(w, name))
    *failed = false;
  else if (errno == EINVAL) /* no link after all */
    errno = why;
  return -1;
}

int file_walk_beneath(int folder, const char *path) {
  beneath_walk w = {.folders = {folder}};
  if (strlen(path) >= sizeof w.rest) return beneath_fail(ENAMETOOLONG);
  if (*path == '/') return beneath_fail(EXDEV);
  memcpy(w.rest, path, strlen(path) + 1);
  int fd = -1;
  for (bool failed = false; fd < 0 && !failed;) fd = beneath_step(&w, &failed);
  int why = errno;
  while (w.depth) close(w.folders[w.depth--]);
  errno = why;
  return fd;
}

static int beneath_open(int folder, const char *path) {
#ifdef SYS_openat2
  struct { /* struct open_how of <linux/openat2.h>, which older headers lack */
    uint64_t flags, mode, resolve;
  } how = {.flags = BENEATH_FLAGS, .resolve = 0x08 | 0x02 /* RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS */};
  for (int i = 0; i < BENEATH_RETRIES; i++) {
    long fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0) return (int)fd;
    if (errno == ENOSYS || errno == EPERM) break;     /* an old kernel, or a filter */
    if (errno != EAGAIN && errno != EINTR) return -1; /* EAGAIN: a folder was moved meanwhile */
  }
#endif
  return file_walk_beneath(folder, path);
}

/* Whether a component of the path is "..". */
static bool beneath_climbs(const char *path) {
  for (const char *at = path; *at;) {
    size_t n = strcspn(at, "/");
    if (n == 2 && at[0] == '.' && at[1] == '.') return true;
    at += n + strspn(at + n, "/");
  }
  return false;
}

static ledge_status beneath_explain(const char *path, int why, ledge_error *error) {
  if (why == EXDEV)
    return error_set(error, LEDGE_ERROR_IO,
                     "'%s' leads out of its folder by a symbolic link: allow links (--allow-links) if you trust it",
                     path);
  if (why == ELOOP) return error_set(error, LEDGE_ERROR_IO, "'%s': too many symbolic links", path);
  return error_set(error, LEDGE_ERROR_IO, "cannot open '%s': %s", path, strerror(why));
}

ledge_status file_open_beneath(int folder, const char *path, bool allow_links, int *ret_fd, ledge_error *error) {
  if (!*path) return error_set(error, LEDGE_ERROR_FORMAT, "a file's name is empty");
  if (*path == '/' || beneath_climbs(path))
    return error_set(error, LEDGE_ERROR_FORMAT, "'%s' leaves its folder: a path must be relative and without '..'",
                     path);
  int fd;
  if (allow_links) {
    do fd = openat(folder, path, BENEATH_FLAGS);
    while (fd < 0 && errno == EINTR);
  } else {
    fd = beneath_open(folder, path);
  }
  if (fd < 0) return beneath_explain(path, errno, error);
  struct stat s;
  if (fstat(fd, &s) || !S_ISREG(s.st_mode)) {
    close(fd);
    return error_set(error, LEDGE_ERROR_IO, "'%s' is no regular file", path);
  }
  *ret_fd = fd;
  return LEDGE_OK;
}

ledge_status file_open_beneath_path(const char *folder, const char *path, bool allow_links, int *ret_fd,
                                    ledge_error *error) {
  int at = open(*folder ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) return error_set(error, LEDGE_ERROR_IO, "cannot open the folder '%s': %s", folder, strerror(errno));
  ledge_status status = file_open_beneath(at, path, allow_links, ret_fd, error);
  close(at);
  return status;
}
