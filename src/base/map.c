/* base/map: see map.h.
 *
 *   map_slot table   [start, end, patches] of every live mapping; blocks of slots are added, never taken away, so that
 *                    the signal handler may walk them at any moment without a lock
 *
 * A slot is filled end first and start last, and emptied by start = 0 before the memory is unmapped; the handler reads
 * start, end, start and believes them only if start stood still. */
#include "base/map.h"

#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* A page is patched once, or by several threads that met it at the same moment. Faults that come back all the same have
 * another cause (an emulator that misreports addresses, as qemu-arm does by a page): then zeros for the whole mapping,
 * and at last the handler that was there before, rather than a loop without end. */
enum { MAP_SLOTS = 64, MAP_PATCHES_WHOLE = 1000, MAP_PATCHES_MAX = 1100 };

typedef struct map_slot {
  _Atomic uintptr_t start, end; /* start 0: free */
  atomic_uint patches;          /* more than 0: damaged */
} map_slot;
typedef struct map_block map_block;
struct map_block {
  map_slot slots[MAP_SLOTS];
  _Atomic(map_block *) next;
};

struct file_map {
  atomic_int refs;
  const uint8_t *data;
  size_t size;
  map_slot *slot; /* NULL where nothing is mapped */
  int fd;         /* -1: borrowed memory */
  file_identity identity;
  char path[];
};

static map_block map_blocks;                                 /* the first; the others hang on it */
static pthread_mutex_t map_lock = PTHREAD_MUTEX_INITIALIZER; /* over taking and giving back slots */
static pthread_once_t map_guard_once = PTHREAD_ONCE_INIT;
static struct sigaction map_sigbus_before;
static uintptr_t map_page_bytes;

/* ---- the guard: async-signal-safe from here to map_guard_install ---- */

static map_slot *map_slot_at(uintptr_t address) {
  for (map_block *b = &map_blocks; b; b = atomic_load_explicit(&b->next, memory_order_acquire))
    for (int i = 0; i < MAP_SLOTS; i++) {
      map_slot *s = &b->slots[i];
      uintptr_t start = atomic_load(&s->start), end = atomic_load(&s->end);
      if (start && start == atomic_load(&s->start) && address >= start && address < end) return s;
    }
  return NULL;
}

/* The bare system call: within a signal handler, and unseen by the thread sanitizer, which takes mmap for a write that
 * races with the readers. */
static bool map_zeros(uintptr_t start, uintptr_t end) {
#ifdef SYS_mmap2
  long number = SYS_mmap2;
#else
  long number = SYS_mmap;
#endif
  return syscall(number, start, end - start, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0L) != -1;
}

/* From the missing page to the end of the mapping: what lies behind the file's new end is missing too, and one mapping
 * of zeros costs less than a fault a page. */
static bool map_patch(uintptr_t address) {
  map_slot *s = map_slot_at(address);
  if (!s) return false;
  unsigned patches = atomic_fetch_add(&s->patches, 1);
  if (patches >= MAP_PATCHES_MAX) return false;
  uintptr_t page = address & ~(map_page_bytes - 1), end = atomic_load(&s->end);
  if (patches >= MAP_PATCHES_WHOLE) page = atomic_load(&s->start);
  return map_zeros(page, end);
}

static void map_on_sigbus(int signal_number, siginfo_t *info, void *context) {
  int saved = errno;
  bool fault = info->si_code > 0; /* raised by the kernel, not sent by a process */
  bool patched = fault && map_patch((uintptr_t)info->si_addr);
  errno = saved;
  if (patched) return;
  const struct sigaction *before = &map_sigbus_before;
  if (before->sa_flags & SA_SIGINFO) {
    before->sa_sigaction(signal_number, info, context);
  } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
    before->sa_handler(signal_number);
  } else if (fault || before->sa_handler == SIG_DFL) {
    /* Ends as it would have without us: a fault comes again on return, a sent signal is sent once more. */
    signal(signal_number, SIG_DFL);
    if (!fault) raise(signal_number);
  }
}

static void map_guard_install(void) {
  map_page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
  struct sigaction action = {.sa_sigaction = map_on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  if (sigaction(SIGBUS, NULL, &map_sigbus_before)) return; /* known before the handler can run */
  action.sa_mask = map_sigbus_before.sa_mask;
  sigaction(SIGBUS, &action, NULL);
}

static map_slot *map_slot_take(uintptr_t start, uintptr_t end) {
  map_slot *s = NULL;
  pthread_mutex_lock(&map_lock);
  for (map_block *b = &map_blocks; !s;) {
    for (int i = 0; i < MAP_SLOTS && !s; i++)
      if (!atomic_load(&b->slots[i].start)) s = &b->slots[i];
    if (s) break;
    map_block *next = atomic_load(&b->next);
    if (!next) {
      next = mem_zalloc(sizeof *next);
      if (!next) break;
      atomic_store_explicit(&b->next, next, memory_order_release);
    }
    b = next;
  }
  if (s) {
    atomic_store(&s->patches, 0);
    atomic_store(&s->end, end);
    atomic_store(&s->start, start);
  }
  pthread_mutex_unlock(&map_lock);
  return s;
}

static void map_slot_give(map_slot *s) {
  pthread_mutex_lock(&map_lock);
  atomic_store(&s->start, 0);
  pthread_mutex_unlock(&map_lock);
}

/* ---- opening ---- */

static file_map *map_create(const char *path, ledge_error *error) {
  size_t length = strlen(path);
  file_map *m = mem_zalloc(sizeof *m + length + 1);
  if (!m) {
    (void)error_memory(error, sizeof *m + length + 1, "a file's handle");
    return NULL;
  }
  memcpy(m->path, path, length + 1);
  m->data = (const uint8_t *)"";
  m->fd = -1;
  atomic_init(&m->refs, 1);
  return m;
}

static file_identity map_identity_of(const struct stat *s) {
  return (file_identity){.device = (uint64_t)s->st_dev,
                         .inode = (uint64_t)s->st_ino,
                         .bytes = (uint64_t)s->st_size,
                         .mtime_s = (int64_t)s->st_mtim.tv_sec,
                         .mtime_ns = (int64_t)s->st_mtim.tv_nsec,
                         .ctime_s = (int64_t)s->st_ctim.tv_sec,
                         .ctime_ns = (int64_t)s->st_ctim.tv_nsec};
}

static ledge_status map_check_kind(const char *name, const struct stat *s, ledge_error *error) {
  if (S_ISREG(s->st_mode)) {
    if (s->st_size >= 0 && (uintmax_t)s->st_size <= PTRDIFF_MAX) return LEDGE_OK;
    return error_set(error, LEDGE_ERROR_LIMIT, "%s: %lld bytes do not fit into this machine's address space", name,
                     (long long)s->st_size);
  }
  if (S_ISDIR(s->st_mode)) return error_set(error, LEDGE_ERROR_IO, "%s is a folder: name a file in it", name);
  return error_set(error, LEDGE_ERROR_IO, "%s is a %s and cannot be mapped: copy it into a regular file first", name,
                   S_ISFIFO(s->st_mode)   ? "pipe"
                   : S_ISSOCK(s->st_mode) ? "socket"
                                          : "device");
}

/* Takes over `fd`, on failure too. */
static ledge_status map_take_fd(int fd, const char *name, file_map **ret_map, ledge_error *error) {
  ledge_status status = LEDGE_OK;
  file_map *m = NULL;
  struct stat s;
  if (fstat(fd, &s)) {
    status = error_set(error, LEDGE_ERROR_IO, "cannot look at %s: %s", name, strerror(errno));
    goto failed;
  }
  if ((status = map_check_kind(name, &s, error))) goto failed;
  if (!(m = map_create(name, error))) {
    status = LEDGE_ERROR_MEMORY;
    goto failed;
  }
  m->identity = map_identity_of(&s);
  m->size = (size_t)s.st_size;
  if (m->size) {
    void *data = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      status = error_set(error, LEDGE_ERROR_IO, "cannot map the %zu bytes of %s: %s", m->size, name, strerror(errno));
      goto failed;
    }
    pthread_once(&map_guard_once, map_guard_install);
    uintptr_t start = (uintptr_t)data, pages = (m->size + map_page_bytes - 1) & ~(map_page_bytes - 1);
    m->slot = map_slot_take(start, start + pages);
    if (!m->slot) {
      munmap(data, m->size);
      status = error_memory(error, sizeof(map_block), "the table of mapped files");
      goto failed;
    }
    m->data = data;
  }
  m->fd = fd;
  *ret_map = m;
  return LEDGE_OK;

failed:
  mem_free(m);
  close(fd);
  return status;
}

ledge_status file_map_open(const char *path, file_map **ret_map, ledge_error *error) {
  int fd;
  do fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe without a writer must not hang us */
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return error_set(error, LEDGE_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
  return map_take_fd(fd, path, ret_map, error);
}

ledge_status file_map_fd(int fd, const char *name, file_map **ret_map, ledge_error *error) {
  int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0)
    return error_set(error, LEDGE_ERROR_IO, "cannot use file descriptor %d (%s): %s", fd, name, strerror(errno));
  return map_take_fd(own, name, ret_map, error);
}

ledge_status file_map_memory(const void *data, size_t size, const char *name, file_map **ret_map, ledge_error *error) {
  if (!data && size) return error_set(error, LEDGE_ERROR_ARGUMENT, "%s: %zu bytes at no address", name, size);
  file_map *m = map_create(name, error);
  if (!m) return LEDGE_ERROR_MEMORY;
  if (data) m->data = data;
  m->size = size;
  *ret_map = m;
  return LEDGE_OK;
}

file_map *file_map_ref(file_map *m) {
  if (m) atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
  return m;
}

void file_map_unref(file_map *m) {
  if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
  if (m->slot) {
    map_slot_give(m->slot);
    munmap((void *)m->data, m->size);
  }
  if (m->fd >= 0) close(m->fd);
  mem_free(m);
}

/* ---- asking ---- */

const uint8_t *file_map_data(const file_map *m) { return m->data; }

size_t file_map_size(const file_map *m) { return m->size; }

const char *file_map_path(const file_map *m) { return m->path; }

bool file_map_is_file(const file_map *m) { return m->fd >= 0; }

bool file_map_damaged(const file_map *m) {
  return m->slot && atomic_load_explicit(&m->slot->patches, memory_order_relaxed);
}

bool file_map_changed(const file_map *m) {
  struct stat s;
  if (m->fd < 0) return false;
  if (fstat(m->fd, &s)) return true;
  file_identity now = map_identity_of(&s), then = m->identity;
  return now.bytes != then.bytes || now.mtime_s != then.mtime_s || now.mtime_ns != then.mtime_ns;
}

ledge_status file_map_check(const file_map *m, ledge_error *error) {
  if (!file_map_damaged(m) && !file_map_changed(m)) return LEDGE_OK;
  return error_set(
      error, LEDGE_ERROR_CHANGED,
      "%s was %s while it was in use: open it again, and replace a model in use by renaming a new file over "
      "it",
      m->path, file_map_damaged(m) ? "cut short" : "written to");
}

bool file_map_identity(const file_map *m, file_identity *ret_identity) {
  if (m->fd < 0) return false;
  *ret_identity = m->identity;
  return true;
}

bool file_map_identity_now(const file_map *m, file_identity *ret_identity) {
  struct stat s;
  if (m->fd < 0 || fstat(m->fd, &s)) return false;
  *ret_identity = map_identity_of(&s);
  return true;
}

bool file_map_identity_tells(const file_map *m) {
  /* ext2 to ext4, XFS, Btrfs, F2FS, tmpfs, overlayfs, ZFS, UBIFS, bcachefs */
  static const uint32_t file_systems[] = {0xef53,     0x58465342, 0x9123683e, 0xf2f52010, 0x01021994,
                                          0x794c7630, 0x2fc12fc1, 0x24051905, 0xca451a4e};
  enum { SETTLED_MS = 250 }; /* many ticks of the clock that the times are taken from */
  struct statfs fs;
  struct timespec now;
  const file_identity *i = &m->identity;
  bool known = false;
  if (m->fd < 0 || fstatfs(m->fd, &fs) || clock_gettime(CLOCK_REALTIME, &now)) return false;
  for (size_t k = 0; k < sizeof file_systems / sizeof *file_systems; k++)
    known = known || (uint32_t)fs.f_type == file_systems[k];
  int64_t now_s = (int64_t)now.tv_sec, ms = now.tv_nsec / 1000000;
  bool settled = i->ctime_s < now_s - 3600 ||
                 (i->ctime_s <= now_s && (now_s - i->ctime_s) * 1000 + ms - i->ctime_ns / 1000000 > SETTLED_MS);
  return known && i->ctime_ns && settled;
}

void file_map_drop(const file_map *m, size_t offset, size_t bytes) {
  if (!m->slot || offset > m->size) return;
  if (bytes > m->size - offset) bytes = m->size - offset;
  uintptr_t start = (uintptr_t)m->data + offset, end = start + bytes;
  start = (start + map_page_bytes - 1) & ~(map_page_bytes - 1);
  /* The file's last, partial page is whole memory all the same. */
  end = offset + bytes == m->size ? atomic_load(&m->slot->end) : end & ~(map_page_bytes - 1);
  if (start < end) madvise((void *)start, end - start, MADV_DONTNEED);
}

void file_map_drop_at(const void *data, size_t bytes) {
  uintptr_t start = (uintptr_t)data;
  map_slot *s = bytes ? map_slot_at(start) : NULL;
  if (!s) return;
  uintptr_t most = atomic_load(&s->end), end = bytes < most - start ? start + bytes : most;
  start &= ~(map_page_bytes - 1);
  end = (end + map_page_bytes - 1) & ~(map_page_bytes - 1);
  madvise((void *)start, end - start, MADV_DONTNEED);
}
