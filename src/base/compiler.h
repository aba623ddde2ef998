/* base/compiler: what compilers spell differently. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

/* Before a loop: its iterations depend on each other at most where two pointers are the same element of the same
 * iteration (y == x exactly). It may then be vectorised without a check of the pointers. */
#if defined(__GNUC__) && !defined(__clang__)
#define LOOP_INDEPENDENT _Pragma("GCC ivdep")
#else
#define LOOP_INDEPENDENT
#endif

/* Under a sanitizer, which checks every access: 1. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Before a loop of a constant and small number of iterations: unrolled whole, so that arrays that are indexed in it
 * alone can live in registers. Not with a sanitizer's checks in it, which compilers take minutes over. */
#if SANITIZED
#define LOOP_UNROLL
#elif defined(__clang__)
#define LOOP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LOOP_UNROLL _Pragma("GCC unroll 16")
#endif

/* A function that is compiled anew into each of its callers, with their constants in it: how one body becomes the
 * kernels of many sizes. With a sanitizer one body is compiled for all sizes: the accesses are the same, and compilers
 * take minutes over the others. */
#if SANITIZED
#define INLINE_BODY static __attribute__((noinline, unused))
#else
#define INLINE_BODY static inline __attribute__((always_inline))
#endif

/* A float at any address: what is read through a pointer to it needs no alignment, as a weight in a mapped file. */
typedef float unaligned_f32 __attribute__((aligned(1)));

#endif
