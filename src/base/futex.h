/* base/futex: sleeping until a 32-bit word changes. On Linux the system call; elsewhere mutexes and condition variables
 * (the build picks futex_linux.c or futex_generic.c). Neither allocates. */
#ifndef BASE_FUTEX_H
#define BASE_FUTEX_H

#include <stdatomic.h>

/* Sleeps while *word == expected; may return early, so the caller tests again. */
void futex_wait(atomic_uint *word, unsigned expected);
/* Wakes at most n threads that sleep on word. The caller has changed *word before. */
void futex_wake(atomic_uint *word, int n);

#endif
