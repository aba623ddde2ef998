/* ops/tfidf: tables of TfIdfVectorizer that are built ahead of their runs. */
#ifndef OPS_TFIDF_H
#define OPS_TFIDF_H

#include "ops/op.h"

typedef struct tfidf tfidf;

/* Builds what the node (a TfIdfVectorizer) says, in memory of the arena. The operator's run takes it as c->kernel, with
 * c->scratch of tfidf_scratch_bytes. */
ledge_status tfidf_build(op_ctx *c, arena *a, tfidf **ret);
size_t tfidf_scratch_bytes(const op_ctx *c);

#endif
