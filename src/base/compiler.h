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

/* Before a loop of a constant and small number of iterations: unrolled whole, so that arrays that are indexed in it
 * alone can live in registers. */
#if defined(__clang__)
#define LOOP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LOOP_UNROLL _Pragma("GCC unroll 16")
#endif

/* A float at any address: what is read through a pointer to it needs no alignment, as a weight in a mapped file. */
typedef float unaligned_f32 __attribute__((aligned(1)));

#endif
