/* base/writer: see writer.h. */
#include "base/writer.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- in memory ---- */

enum { WRITER_CAPACITY_MIN = 256 };

void writer_init(writer *w) { *w = (writer){0}; }

void writer_deinit(writer *w) {
  mem_free(w->data);
  *w = (writer){0};
}

bool writer_reserve(writer *w, size_t more) {
  if (w->failed) return false;
  if (more <= w->capacity - w->size) return true;
  size_t need, capacity = w->capacity < SIZE_MAX / 2 ? w->capacity * 2 : SIZE_MAX;
  if (!mem_add(w->size, more, &need)) {
    w->failed = true;
    return false;
  }
  if (capacity < need) capacity = need;
  if (capacity < WRITER_CAPACITY_MIN) capacity = WRITER_CAPACITY_MIN;
  uint8_t *data = mem_realloc(w->data, capacity);
  if (!data) {
    w->failed = true;
    return false;
  }
  w->data = data;
  w->capacity = capacity;
  return true;
}

bool writer_bytes(writer *w, const void *data, size_t size) {
  if (!writer_reserve(w, size)) return false;
  if (size) memcpy(w->data + w->size, data, size);
  w->size += size;
  return true;
}

bool writer_fill(writer *w, uint8_t byte, size_t count) {
  if (!writer_reserve(w, count)) return false;
  if (count) memset(w->data + w->size, byte, count);
  w->size += count;
  return true;
}

bool writer_align(writer *w, size_t align) {
  assert(align && !(align & (align - 1)));
  return writer_fill(w, 0, (0 - w->size) & (align - 1));
}

bool writer_text(writer *w, const char *text) { return writer_bytes(w, text, strlen(text)); }

bool writer_format(writer *w, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  bool done = n >= 0 && writer_reserve(w, (size_t)n + 1);
  if (done) {
    vsnprintf((char *)w->data + w->size, (size_t)n + 1, format, again);
    w->size += (size_t)n;
  } else {
    w->failed = true;
  }
  va_end(again);
  va_end(args);
  return done;
}

/* The low `n` bytes of v, lowest first. */
static bool writer_le(writer *w, uint64_t v, size_t n) {
  uint8_t bytes[8];
  for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> (8 * i));
  return writer_bytes(w, bytes, n);
}

bool writer_u8(writer *w, uint8_t v) { return writer_bytes(w, &v, 1); }

bool writer_u16le(writer *w, uint16_t v) { return writer_le(w, v, sizeof v); }

bool writer_u32le(writer *w, uint32_t v) { return writer_le(w, v, sizeof v); }

bool writer_u64le(writer *w, uint64_t v) { return writer_le(w, v, sizeof v); }

bool writer_f32le(writer *w, float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  return writer_le(w, bits, sizeof bits);
}

bool writer_varint(writer *w, uint64_t v) {
  uint8_t bytes[10];
  size_t n = 0;
  for (; v > 127; v >>= 7) bytes[n++] = (uint8_t)(v | 128);
  bytes[n++] = (uint8_t)v;
  return writer_bytes(w, bytes, n);
}

bool writer_patch(writer *w, size_t at, const void *data, size_t size) {
  if (w->failed || at > w->size || size > w->size - at) return false;
  if (size) memcpy(w->data + at, data, size);
  return true;
}

uint8_t *writer_take(writer *w, size_t *ret_size) {
  uint8_t *data = NULL;
  if (!w->failed) {
    data = w->data;
    *ret_size = w->size;
    w->data = NULL;
  }
  writer_deinit(w);
  return data;
}

ledge_status writer_check(const writer *w, const char *what, ledge_error *error) {
  return w->failed ? error_memory(error, w->size, what) : LEDGE_OK;
}

/* ---- in a file ---- */

enum { FILE_BUFFER_BYTES = 64 << 10, FILE_NAME_TRIES = 100 };

struct file_writer {
  int fd, folder; /* folder -1: written directly */
  uint64_t offset;
  size_t buffered;
  ledge_status status; /* the first failure, which every later call repeats */
  int why;             /* its errno */
  char temporary[48];  /* in the folder */
  char target[PATH_MAX];
  uint8_t buffer[FILE_BUFFER_BYTES];
};

static ledge_status file_failed(file_writer *w, ledge_error *error) {
  return error_set(error, w->status, "cannot write %s: %s", w->target, strerror(w->why));
}

static ledge_status file_fail(file_writer *w, int why, ledge_error *error) {
  w->status = LEDGE_ERROR_IO;
  w->why = why;
  return file_failed(w, error);
}

static bool file_write_all(int fd, const uint8_t *data, size_t size) {
  while (size) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (!n) errno = EIO;
      return false;
    }
    data += n;
    size -= (size_t)n;
  }
  return true;
}

static ledge_status file_flush(file_writer *w, ledge_error *error) {
  if (w->status) return file_failed(w, error);
  if (!file_write_all(w->fd, w->buffer, w->buffered)) return file_fail(w, errno, error);
  w->buffered = 0;
  return LEDGE_OK;
}

/* The base name within w->target. */
static const char *file_base(const file_writer *w) {
  const char *slash = strrchr(w->target, '/');
  return slash ? slash + 1 : w->target;
}

static int file_open_folder(const file_writer *w) {
  char folder[PATH_MAX];
  size_t n = (size_t)(file_base(w) - w->target);
  if (!n) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  memcpy(folder, w->target, n); /* with its last slash, which stands for the root where it is alone */
  folder[n] = 0;
  return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A new file of a name that nobody has; its permissions are those of the file that it will replace. */
static bool file_open_temporary(file_writer *w, const struct stat *old, mode_t mode) {
  static atomic_uint turn;
  if (w->folder < 0) return false;
  for (int i = 0; i < FILE_NAME_TRIES && w->fd < 0; i++) {
    unsigned long long mixed = (unsigned long long)clock_now_ns() * 31 + atomic_fetch_add(&turn, 1);
    snprintf(w->temporary, sizeof w->temporary, ".ledge-%ld-%llx.tmp", (long)getpid(), mixed);
    w->fd = openat(w->folder, w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (w->fd < 0 && errno != EEXIST) break;
  }
  if (w->fd < 0) {
    w->temporary[0] = 0;
    return false;
  }
  if (old) {
    int ignored = fchown(w->fd, old->st_uid, old->st_gid); /* only root may; the file is then its writer's */
    (void)ignored;
    fchmod(w->fd, old->st_mode & 07777);
  }
  return true;
}

static void file_release(file_writer *w) {
  int saved = errno;
  if (w->fd >= 0) close(w->fd);
  if (w->folder >= 0 && w->temporary[0]) unlinkat(w->folder, w->temporary, 0);
  if (w->folder >= 0) close(w->folder);
  mem_free(w);
  errno = saved;
}

static file_writer *file_new(void) {
  file_writer *w = mem_alloc(sizeof *w);
  if (!w) return NULL;
  memset(w, 0, offsetof(file_writer, target));
  w->fd = w->folder = -1;
  return w;
}

static ledge_status file_opened(file_writer *w, bool ok, file_writer **ret_writer, ledge_error *error) {
  if (!ok) {
    ledge_status status = file_fail(w, errno, error);
    file_release(w);
    return status;
  }
  *ret_writer = w;
  return LEDGE_OK;
}

ledge_status file_writer_open(const char *path, file_writer **ret_writer, ledge_error *error) {
  struct stat old;
  if (strlen(path) >= PATH_MAX) return error_set(error, LEDGE_ERROR_IO, "the path of the output file is too long");
  bool exists = stat(path, &old) == 0;
  if ((exists && S_ISDIR(old.st_mode)) || !*path || path[strlen(path) - 1] == '/')
    return error_set(error, LEDGE_ERROR_IO, "cannot write '%s': it names a folder, not a file", path);
  if (exists && access(path, W_OK)) /* the folder alone would let us replace what somebody protected */
    return error_set(error, LEDGE_ERROR_IO, "cannot write %s: %s", path, strerror(errno));
  file_writer *w = file_new();
  if (!w) return error_memory(error, sizeof *w, "writing a file");
  bool special = (exists && !S_ISREG(old.st_mode)) || !strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6);
  /* realpath: through links, so that the file and not the link is replaced; a dangling link is replaced itself. */
  if (special || !exists || !realpath(path, w->target)) memcpy(w->target, path, strlen(path) + 1);
  if (special) w->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (!special) w->folder = file_open_folder(w);
  return file_opened(w, special ? w->fd >= 0 : file_open_temporary(w, exists ? &old : NULL, 0666), ret_writer, error);
}

ledge_status file_writer_open_private(int folder, const char *name, file_writer **ret_writer, ledge_error *error) {
  if (strlen(name) >= PATH_MAX) return error_set(error, LEDGE_ERROR_IO, "the path of the output file is too long");
  file_writer *w = file_new();
  if (!w) return error_memory(error, sizeof *w, "writing a file");
  memcpy(w->target, name, strlen(name) + 1);
  w->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
  return file_opened(w, file_open_temporary(w, NULL, 0600), ret_writer, error);
}

ledge_status file_writer_append(file_writer *w, const void *data, size_t size, ledge_error *error) {
  if (w->status) return file_failed(w, error);
  if (size > FILE_BUFFER_BYTES - w->buffered) TRY(file_flush(w, error));
  if (size >= FILE_BUFFER_BYTES) {
    if (!file_write_all(w->fd, data, size)) return file_fail(w, errno, error);
  } else if (size) {
    memcpy(w->buffer + w->buffered, data, size);
    w->buffered += size;
  }
  w->offset += size;
  return LEDGE_OK;
}

ledge_status file_writer_align(file_writer *w, size_t align, ledge_error *error) {
  static const uint8_t zeros[512];
  assert(align && !(align & (align - 1)));
  for (size_t left = (size_t)(0 - w->offset) & (align - 1), n; left; left -= n) {
    n = left < sizeof zeros ? left : sizeof zeros;
    TRY(file_writer_append(w, zeros, n, error));
  }
  return w->status ? file_failed(w, error) : LEDGE_OK;
}

uint64_t file_writer_offset(const file_writer *w) { return w->offset; }

/* Some file systems cannot flush some files: not a failure of the write. */
static bool file_sync(int fd) { return !fsync(fd) || errno == EINVAL || errno == EROFS || errno == ENOTSUP; }

ledge_status file_writer_commit(file_writer *w, ledge_error *error) {
  ledge_status status = file_flush(w, error);
  if (!status && !file_sync(w->fd)) status = file_fail(w, errno, error);
  int fd = w->fd;
  w->fd = -1;
  if (close(fd) && !status && errno != EINTR) status = file_fail(w, errno, error);
  if (!status && w->folder >= 0) {
    if (renameat(w->folder, w->temporary, w->folder, file_base(w))) {
      status = file_fail(w, errno, error);
    } else {
      w->temporary[0] = 0;
      (void)file_sync(w->folder); /* the file is whole whichever name a power cut leaves */
    }
  }
  file_release(w);
  return status;
}

void file_writer_abort(file_writer *w) {
  if (w) file_release(w);
}

ledge_status file_write_atomic(const char *path, const void *data, size_t size, ledge_error *error) {
  file_writer *w = NULL;
  TRY(file_writer_open(path, &w, error));
  ledge_status status = file_writer_append(w, data, size, error);
  if (status) {
    file_writer_abort(w);
    return status;
  }
  return file_writer_commit(w, error);
}
