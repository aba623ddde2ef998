/* backend/tune: see tune.h. */
#include "backend/tune.h"

#include "backend/cache.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/writer.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TUNE_VERSION = 1, ROUNDS = 3, FLOOR_NS = 2000000, CAP_NS = 100000000 };
static const double gain_least = 0.97, clearly_slower = 1.25;

typedef struct tune_header {
  char magic[8];
  uint64_t version, n_entries, credit_ns;
  double ns_per_cycle;
  digest entries;
  digest own; /* of this header up to here */
} tune_header;

static const char tune_magic[8] = "ledgetu";

struct tune_book {
  pthread_mutex_t mutex;
  uint64_t (*now)(void);
  bool read;
  tune_entry *entries; /* timed ones, the oldest first, and those settled without */
  bool *fresh;         /* timed here, not written yet */
  size_t n, room;
  uint64_t credit_ns;
  double ns_per_cycle; /* what a cycle of the model takes here */
};

struct tuner {
  tune_book *book;
  uint64_t start_ns, spent_ns, allowed_ns;
  bool ended, open; /* open: a question was left to a later start */
};

tune_book *tune_book_create(uint64_t (*now)(void)) {
  tune_book *b = mem_zalloc(sizeof *b);
  if (!b) return NULL;
  pthread_mutex_init(&b->mutex, NULL);
  b->now = now ? now : clock_now_ns;
  b->ns_per_cycle = 1;
  return b;
}

void tune_book_destroy(tune_book *b) {
  if (!b) return;
  pthread_mutex_destroy(&b->mutex);
  mem_free(b->entries);
  mem_free(b->fresh);
  mem_free(b);
}

static pthread_once_t shared_once = PTHREAD_ONCE_INIT;
static tune_book *shared_book;
static void make_shared(void) { shared_book = tune_book_create(NULL); }

tune_book *tune_book_shared(void) {
  pthread_once(&shared_once, make_shared);
  return shared_book;
}

/* ---- the file ---- */

static bool name_of(char ret[CACHE_NAME_MAX]) {
  digest d;
  if (!cache_maker(&d)) return false;
  snprintf(ret, CACHE_NAME_MAX, "%016llx%016llx.tune", (unsigned long long)d.a, (unsigned long long)d.b);
  return true;
}

bool tune_is_name(const char *name) {
  for (int i = 0; i < 32; i++)
    if (!isxdigit((unsigned char)name[i])) return false;
  return !strcmp(name + 32, ".tune");
}

bool tune_is_current(const char *name) {
  char own[CACHE_NAME_MAX];
  return name_of(own) && !strcmp(name, own);
}

static bool is_text(const char *text, size_t size) { return text[0] && memchr(text, 0, size); }

static bool entry_is_sane(const tune_entry *e) {
  if (!is_text(e->shape, sizeof e->shape) || e->n < 2 || e->n > TUNE_MOST || e->chosen >= e->n || e->timed != 1)
    return false;
  for (uint32_t i = 0; i < e->n; i++)
    if (!is_text(e->names[i], TUNE_NAME_MAX)) return false;
  return true;
}

/* The entries of the file in *ret, for mem_free; false where there is none that can be trusted. */
static bool file_read(int folder, const char *name, tune_header *h, tune_entry **ret) {
  tune_entry *entries = NULL;
  int fd = cache_folder_open_file(folder, name);
  if (fd < 0) return false;
  bool ok = read(fd, h, sizeof *h) == (ssize_t)sizeof *h && !memcmp(h->magic, tune_magic, sizeof tune_magic) &&
            h->version == TUNE_VERSION && digest_equal(h->own, digest_bytes(h, offsetof(tune_header, own))) &&
            h->n_entries <= TUNE_ENTRIES_MAX && h->credit_ns <= CAP_NS && h->ns_per_cycle > 0.01 &&
            h->ns_per_cycle < 1000;
  size_t bytes = ok ? (size_t)h->n_entries * sizeof *entries : 0;
  ok = ok && (entries = mem_alloc_array((size_t)h->n_entries + 1, sizeof *entries));
  /* One byte more is asked for, and must not be there. */
  ok = ok && read(fd, entries, bytes + 1) == (ssize_t)bytes && digest_equal(h->entries, digest_bytes(entries, bytes));
  for (size_t i = 0; ok && i < h->n_entries; i++) ok = entry_is_sane(&entries[i]);
  close(fd);
  if (ok)
    *ret = entries;
  else
    mem_free(entries);
  return ok;
}

static tune_entry *find(tune_entry *entries, size_t n, const char *shape, uint32_t isa) {
  for (size_t i = 0; i < n; i++)
    if (entries[i].isa == isa && !strcmp(entries[i].shape, shape)) return &entries[i];
  return NULL;
}

static bool add(tune_book *b, const tune_entry *e, bool fresh) {
  if (b->n == b->room) {
    size_t room = b->room ? b->room * 2 : 64;
    tune_entry *entries = mem_realloc(b->entries, room * sizeof *entries);
    if (entries) b->entries = entries;
    bool *flags = entries ? mem_realloc(b->fresh, room * sizeof *flags) : NULL;
    if (!flags) return false;
    b->fresh = flags;
    b->room = room;
  }
  b->entries[b->n] = *e;
  b->fresh[b->n++] = fresh;
  return true;
}

static void book_read(tune_book *b) {
  char path[CACHE_PATH_MAX], name[CACHE_NAME_MAX];
  tune_header h;
  tune_entry *entries = NULL;
  if (b->read) return;
  b->read = true;
  int folder = cache_folder_limit() && name_of(name) ? cache_folder_open(false, path) : -1;
  if (folder < 0) return;
  if (file_read(folder, name, &h, &entries)) {
    for (size_t i = 0; i < h.n_entries; i++) (void)add(b, &entries[i], false);
    b->credit_ns = h.credit_ns;
    b->ns_per_cycle = h.ns_per_cycle;
  }
  mem_free(entries);
  close(folder);
}

bool tune_book_list(tune_book *b, tune_entry **ret, size_t *ret_count) {
  size_t n = 0;
  pthread_mutex_lock(&b->mutex);
  book_read(b);
  tune_entry *entries = mem_alloc_array(b->n + 1, sizeof *entries);
  for (size_t i = 0; entries && i < b->n; i++)
    if (b->entries[i].timed) entries[n++] = b->entries[i];
  pthread_mutex_unlock(&b->mutex);
  if (!entries) return false;
  *ret = entries;
  *ret_count = n;
  return true;
}

static bool file_write(int folder, const char *name, tune_header *h, const tune_entry *entries) {
  file_writer *w;
  size_t bytes = (size_t)h->n_entries * sizeof *entries;
  memcpy(h->magic, tune_magic, sizeof tune_magic);
  h->version = TUNE_VERSION;
  h->entries = digest_bytes(entries, bytes);
  h->own = digest_bytes(h, offsetof(tune_header, own));
  if (!cache_folder_make_room(folder, sizeof *h + bytes, name)) return false;
  if (file_writer_open_private(folder, name, &w, NULL)) return false;
  if (!file_writer_append(w, h, sizeof *h, NULL) && !file_writer_append(w, entries, bytes, NULL))
    return !file_writer_commit(w, NULL);
  file_writer_abort(w);
  return false;
}

/* What the file has now, whose answers go before, and then what is fresh here. */
static void book_write(tune_book *b, int folder, const char *name) {
  tune_header h;
  tune_entry *old = NULL;
  size_t n = 0, n_old = file_read(folder, name, &h, &old) ? (size_t)h.n_entries : 0;
  tune_entry *all = mem_alloc_array(n_old + b->n + 1, sizeof *all);
  if (all && n_old) memcpy(all, old, n_old * sizeof *all);
  for (size_t i = 0; all && i < b->n; i++) {
    if (b->fresh[i] && !find(all, n_old, b->entries[i].shape, b->entries[i].isa)) all[n_old + n++] = b->entries[i];
    b->fresh[i] = false;
  }
  n += n_old;
  size_t skip = n > TUNE_ENTRIES_MAX ? n - TUNE_ENTRIES_MAX : 0;
  h = (tune_header){.n_entries = n - skip, .credit_ns = b->credit_ns, .ns_per_cycle = b->ns_per_cycle};
  if (all) (void)file_write(folder, name, &h, all + skip);
  mem_free(all);
  mem_free(old);
}

/* ---- a load ---- */

/* A folder that can be written to: else each start would time anew. */
static int folder_for_writing(char name[CACHE_NAME_MAX]) {
  char path[CACHE_PATH_MAX];
  int folder = cache_folder_limit() && name_of(name) ? cache_folder_open(true, path) : -1;
  if (folder >= 0 && faccessat(folder, ".", W_OK, 0)) {
    close(folder);
    return -1;
  }
  return folder;
}

tuner *tuner_create(tune_book *b, uint64_t start_ns) {
  tuner *t = b && cache_folder_limit() ? mem_zalloc(sizeof *t) : NULL;
  if (t) *t = (tuner){.book = b, .start_ns = start_ns};
  return t;
}

void tuner_destroy(tuner *t) { mem_free(t); }

static uint64_t allowance(const tuner *t) {
  uint64_t passed = t->book->now() - t->start_ns, own = passed > t->spent_ns ? passed - t->spent_ns : 0;
  uint64_t ns = own / 4 > FLOOR_NS ? own / 4 : FLOOR_NS;
  ns += t->book->credit_ns;
  return ns < CAP_NS ? ns : CAP_NS;
}

/* Fills e's times and choice. False: the time was over, or a way could not be run. */
static bool time_all(tuner *t, const tune_question *q, tune_entry *e) {
  tune_book *b = t->book;
  uint64_t start = b->now(), before = t->spent_ns;
  bool gone[TUNE_MOST] = {false}, ok = true;
  for (int round = -1; round < ROUNDS && ok; round++) { /* -1: warms up */
    for (int i = 0; i < q->n && ok; i++) {
      uint64_t ns = gone[i] ? 1 : q->time(q->arg, i);
      t->spent_ns = before + (b->now() - start);
      ok = ns && (t->spent_ns <= t->allowed_ns || (round == ROUNDS - 1 && i == q->n - 1));
      if (ok && round >= 0 && !gone[i] && (!e->ns[i] || ns < e->ns[i])) e->ns[i] = ns;
    }
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < q->n; i++)
      if (e->ns[i] && e->ns[i] < best) best = e->ns[i];
    for (int i = 0; i < q->n && round >= 1; i++) gone[i] = (double)e->ns[i] > clearly_slower * (double)best;
  }
  if (q->cycles > 0) {
    double rate = (double)(b->now() - start) / q->cycles;
    if (rate > 0.05 && rate < 100 && (ok || rate > b->ns_per_cycle)) b->ns_per_cycle = rate;
  }
  for (uint32_t i = 1; ok && i < e->n; i++) {
    double limit = (double)e->ns[e->chosen] * (e->chosen ? 1 : gain_least);
    if ((double)e->ns[i] < limit) e->chosen = i;
  }
  e->timed = ok;
  return ok;
}

static int settle(tuner *t, const tune_question *q) {
  tune_book *b = t->book;
  tune_entry *known = find(b->entries, b->n, q->shape, q->isa);
  if (known) {
    for (int i = 0; i < q->n; i++)
      if (!strcmp(known->names[known->chosen], q->names[i])) return i;
    return 0;
  }
  tune_entry e = {.isa = q->isa, .n = (uint32_t)q->n};
  snprintf(e.shape, sizeof e.shape, "%s", q->shape);
  for (int i = 0; i < q->n; i++) snprintf(e.names[i], TUNE_NAME_MAX, "%s", q->names[i]);
  double cost = q->cycles * b->ns_per_cycle;
  t->allowed_ns = t->ended ? 0 : allowance(t);
  char name[CACHE_NAME_MAX];
  if (!t->ended && cost <= CAP_NS) {
    int folder = folder_for_writing(name);
    if (folder < 0) {
      t->ended = true;
    } else {
      close(folder);
      if ((double)t->spent_ns + cost > (double)t->allowed_ns || !time_all(t, q, &e)) t->open = true;
    }
  }
  return add(b, &e, e.timed) ? (int)e.chosen : 0;
}

int tuner_choose(tuner *t, const tune_question *q) {
  if (!t || q->n < 2 || q->n > TUNE_MOST || strlen(q->shape) >= TUNE_SHAPE_MAX) return 0;
  pthread_mutex_lock(&t->book->mutex);
  book_read(t->book);
  int chosen = settle(t, q);
  pthread_mutex_unlock(&t->book->mutex);
  return chosen;
}

bool tuner_end(tuner *t) {
  if (!t) return false;
  pthread_mutex_lock(&t->book->mutex);
  bool dirty = t->open;
  for (size_t i = 0; !dirty && i < t->book->n; i++) dirty = t->book->fresh[i];
  if (!t->ended && dirty) {
    uint64_t allowed = allowance(t);
    t->book->credit_ns = t->open && allowed > t->spent_ns ? allowed - t->spent_ns : 0;
  }
  t->ended = true;
  pthread_mutex_unlock(&t->book->mutex);
  return dirty;
}

void tuner_save(tuner *t) {
  char name[CACHE_NAME_MAX];
  int folder = folder_for_writing(name);
  if (folder < 0) return;
  pthread_mutex_lock(&t->book->mutex);
  book_write(t->book, folder, name);
  t->open = false;
  pthread_mutex_unlock(&t->book->mutex);
  close(folder);
}
