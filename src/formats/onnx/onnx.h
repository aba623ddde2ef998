/* formats/onnx: ONNX models (https://onnx.ai, onnx/onnx.proto, IR versions 1 to 14) to the graph and back.
 *
 * Reading: every data type, external data, sparse tensors (made dense), subgraphs with captures, model-local functions
 * (inlined), unsorted nodes. The protobuf is parsed here; bytes are hostile (wire.h). Limits, each with an error that
 * names it, are the ONNX_MAX_* below; memory is bounded by onnx_options.limit_bytes.
 *
 * What a file has and the graph has no place for is dropped: doc strings of graphs, nodes and tensors, training_info,
 * quantization_annotation, device configurations, metadata of graphs and values. */
#ifndef FORMATS_ONNX_ONNX_H
#define FORMATS_ONNX_ONNX_H

#include "graph/graph.h"

#define ONNX_NEWEST_IR 14
#define ONNX_MAX_DEPTH 64       /* graphs within graphs and functions within functions */
#define ONNX_MAX_TYPE_DEPTH 16  /* sequence of optional of ... */
#define ONNX_MAX_NAME 65535     /* bytes of a name */
#define ONNX_MAX_ATTRIBUTES 128 /* of one node or function */
#define ONNX_MAX_OPSETS 128     /* imports of a model or function */

typedef struct onnx_options {
  const char *folder; /* the model's own: external data lie in it or below; NULL: the model may have none */
  bool allow_links;   /* external data may be reached through symbolic links that leave the folder */
  size_t limit_bytes; /* memory that the model may take beside its file; 0: 16 MiB and 10 times the file's size */
} onnx_options;

/* Reads the model in bytes[size]. With `owner`, a storage that keeps the bytes alive, constants are used in place where
 * their alignment allows and the model keeps the owner; with owner NULL everything is copied. `source` (a path or
 * "memory") begins every error. options may be NULL. *ret: destroy with model_destroy.
 * Errors: FORMAT (with the byte offset, and the node), LIMIT, UNSUPPORTED, IO (external data), MEMORY. */
ledge_status onnx_read(const void *bytes, size_t size, storage *owner, const char *source, const onnx_options *options,
                       model **ret, ledge_error *error);

/* Reads one value in ONNX's own file form (.pb): a TensorProto, or, where `type` says so, a SequenceProto, an
 * OptionalProto, a MapProto or a SparseTensorProto (made dense). type NULL: a tensor. *ret becomes an owned value: none
 * of it points into bytes. */
ledge_status onnx_read_value(const void *bytes, size_t size, const char *source, const graph_type *type, value *ret,
                             ledge_error *error);

#endif
