/* ops/propagate: what shapes and small contents a graph's values have for inputs of given shapes, without running it:
 * for passes and listings, where a guess that is not there is no error. */
#ifndef OPS_PROPAGATE_H
#define OPS_PROPAGATE_H

#include "ops/op.h"

/* Fills vals[g->n_values] (zeroed; each is value_deinit'ed by the caller): kind VALUE_TENSOR with dtype and dims where
 * they are known, and data where the contents are (constants borrowed; small results of shape arithmetic owned). Values
 * that only data tell keep kind VALUE_NONE. inputs: one a graph input or NULL for its declared type. There each open
 * dim gets a number of its own (a multiple of 64; the same for the same name), so that two values whose shapes are
 * found equal are equal for every size of the open dims. */
ledge_status ops_propagate(const graph *g, const value *const *inputs, value *vals, ledge_error *error);
/* The same for one node whose inputs are in vals already: for nodes that a pass adds. */
void ops_propagate_node(const node *n, value *vals);

#endif
