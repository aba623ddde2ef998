/* kernels/variant: how a kernel is chosen. Each operation has a struct of functions, <op>_kernels, which every ISA that
 * wins fills with its own; variants.def lists them, best first, plainest last:
 *
 *   VARIANT(CPU_ISA_AVX512, unary__avx512)
 *   VARIANT(CPU_ISA_NONE, unary__vec4)
 *
 * The same rows feed the choice at run time, the tests (every row that this machine can run against ref.c) and the
 * benches. The choice is a few compares of constants, so that nothing mutable is kept. */
#ifndef KERNELS_VARIANT_H
#define KERNELS_VARIANT_H

#include "base/cpu.h"

/* In <op>.h: the row's type and the table's accessor, which gives all the rows that were built. */
#define KERNEL_VARIANTS_DECLARE(op)  \
  typedef struct op##_variant {      \
    const char *name;                \
    uint32_t isa; /* cpu_isa bits */ \
    const op##_kernels *kernels;     \
  } op##_variant;                    \
  const op##_variant *op##_variants(size_t *ret_count)

/* In <op>.c, between the declarations of the rows and the first use: the table `rows` becomes the accessor and
 * <op>_best(), the first row that this machine can run. The last row needs nothing. */
#define KERNEL_VARIANTS_DEFINE(op, rows)                                     \
  const op##_variant *op##_variants(size_t *ret_count) {                     \
    *ret_count = sizeof rows / sizeof *rows;                                 \
    return rows;                                                             \
  }                                                                          \
  static inline const op##_kernels *op##_best(void) {                        \
    uint32_t have = cpu_isa_available();                                     \
    size_t i = 0;                                                            \
    while (i + 1 < sizeof rows / sizeof *rows && (rows[i].isa & ~have)) i++; \
    return rows[i].kernels;                                                  \
  }

#endif
