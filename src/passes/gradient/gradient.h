/* passes/gradient: the backward graph (reverse-mode differentiation, Griewank and Walther, 2008), of the same operators
 * as the forward one: what training stands on, and what ONNX's Gradient operator becomes. */
#ifndef PASSES_GRADIENT_H
#define PASSES_GRADIENT_H

#include "graph/graph.h"

/* Appends to g the nodes that compute dy/dx for each x, where y is summed over all its elements. ret_grads[i] has the
 * shape of xs[i]; an x that y does not depend on gets zeros. Nodes must be sorted and resolved. Error UNSUPPORTED names
 * a node on the way whose operator has no rule. Passes that write operators of com.microsoft, of old versions and
 * constant Ifs in others (unfold, broadcast, fold, branch) help, run before; those after them make operators without
 * rules. After an error g may hold nodes that nothing reads. */
ledge_status gradient_build(graph *g, value_id y, const value_id *xs, int n_xs, value_id *ret_grads,
                            ledge_error *error);

/* What the table says of an operator (at its newest version): for listings and tests. */
typedef enum gradient_kind { GRADIENT_UNLISTED, GRADIENT_RULE, GRADIENT_ZERO, GRADIENT_REFUSED } gradient_kind;
gradient_kind gradient_kind_of(const char *domain, const char *op);

#endif
