/* tests/fuzz/fuzz.h: what a fuzz target is: one file with LLVMFuzzerTestOneInput, which takes any bytes and returns 0,
 * or crashes. With clang and -Dfuzz=true it is linked with libFuzzer; with another compiler with replay.c, which runs
 * files and simple mutations of them, so that seeds and findings are tried everywhere. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Optional: mutates in place, returns the new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
/* libFuzzer's own, for use inside a custom one. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* A property that must hold whatever the bytes are. */
#define FUZZ_CHECK(condition)                                                        \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                       \
    }                                                                                \
  } while (0)

#endif
