/* backend/tune: which of several kernels is the fastest here, where the model of their time cannot tell: timed once,
 * and kept for later starts.
 *
 *   $XDG_CACHE_HOME/ledge/<32 hex digits>.tune         one for each build of ledge on each processor
 *
 * A question is a shape and the ways to compute it, the one that is expected to be the fastest first. The book answers
 * from what was timed before; else the ways are timed, if the load that asks has time left for it; else the expected
 * one is taken, and the question left to a later start. An answer stands as long as the process: sessions of one model
 * agree to the bit, whatever their threads, which are no part of a question.
 *
 * A load's timing takes at most a quarter of the time that it took without, or 2 ms where that is more, and 100 ms at
 * most; what it leaves while questions are open is credited to the next start. A way other than the expected one must
 * win by 3 %.
 *
 * Nothing here fails: what cannot be read, written or trusted is as if it were not there. */
#ifndef BACKEND_TUNE_H
#define BACKEND_TUNE_H

#include "ledge/types.h"

enum { TUNE_MOST = 4, TUNE_SHAPE_MAX = 112, TUNE_NAME_MAX = 12, TUNE_ENTRIES_MAX = 4096 };

/* As the file has it. */
typedef struct tune_entry {
  char shape[TUNE_SHAPE_MAX]; /* kind and sizes, for people too; zeros behind it */
  char names[TUNE_MOST][TUNE_NAME_MAX];
  uint64_t ns[TUNE_MOST]; /* best times; 0: it was given up as clearly slower, or nothing was timed */
  uint32_t isa, n, chosen, timed;
} tune_entry;

typedef struct tune_question {
  const char *shape;
  uint32_t isa; /* bits of cpu_isa that may be used */
  int n;        /* 2 to TUNE_MOST */
  const char *names[TUNE_MOST];
  double cycles; /* that timing all of them is expected to take */
  /* Runs way i and returns the ns that it took, at least 1, or 0 where it cannot. The first call for an i prepares. */
  uint64_t (*time)(void *arg, int i);
  void *arg;
} tune_question;

typedef struct tune_book tune_book;
typedef struct tuner tuner;

/* `now`: ns of a clock; NULL: the monotonic one. NULL: no memory. */
tune_book *tune_book_create(uint64_t (*now)(void));
void tune_book_destroy(tune_book *b); /* NULL passes */
tune_book *tune_book_shared(void);    /* the process's; NULL: no memory */
/* What is kept, copied: *ret_count entries, which the caller mem_frees. False: no memory. */
bool tune_book_list(tune_book *b, tune_entry **ret, size_t *ret_count);
/* Is this the name of a book's file; and of this build's on this processor? */
bool tune_is_name(const char *name);
bool tune_is_current(const char *name);

/* One load of a model, which began at start_ns of the book's clock. NULL where there is no cache to keep answers in. */
tuner *tuner_create(tune_book *b, uint64_t start_ns);
void tuner_destroy(tuner *t); /* NULL passes */
/* The way to go: in [0, q->n). t NULL: 0. Any thread; questions are timed one after another. */
int tuner_choose(tuner *t, const tune_question *q);
/* The load is over: nothing is timed for it any more. True: tuner_save has something to write. */
bool tuner_end(tuner *t);
/* Writes what is new, with what other processes have written meanwhile. */
void tuner_save(tuner *t);

#endif
