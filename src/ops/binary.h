/* ops/binary: what binary.c and compare.c share: broadcasting of every version, and loops over two inputs. */
#ifndef OPS_BINARY_H
#define OPS_BINARY_H

#include "ops/elementwise.h"

/* infer: both inputs of one dtype of the set; the output is of dtype `out`, or NONE: of theirs. */
ledge_status binary_infer(op_ctx *c, uint32_t allowed, ledge_dtype out);
/* run: the loop on inputs loaded as dtype `in`, whose results are of dtype `out`. */
ledge_status binary_loops(op_ctx *c, elem_loop loop, ledge_dtype in, ledge_dtype out);
/* run: the table's loop for input 0's dtype, whose results have that dtype too. */
ledge_status binary_table(op_ctx *c, const elem_loop *table);
/* Before version 7: input 1's dims as they stand against input 0's (aligned at the right, 1 where broadcast). */
ledge_status binary_old_shape(op_ctx *c, tensor *shape_b);

#endif
