/* formats/onnx: ONNX models (https://onnx.ai, onnx/onnx.proto, IR versions 1 to 14) to the graph and back.
 *
 * Reading: every data type, external data, sparse tensors (made dense), subgraphs with captures, model-local functions
 * (inlined), unsorted nodes. The protobuf is parsed here; bytes are hostile (wire.h). Limits, each with an error that
 * names it, are the ONNX_MAX_* below; memory is bounded by onnx_options.limit_bytes.
 *
 * What a file has and the graph has no place for (doc strings, training_info, quantization_annotation, device
 * configurations, metadata of graphs and values, fields of newer versions) is kept as it is, and written again. */
#ifndef FORMATS_ONNX_ONNX_H
#define FORMATS_ONNX_ONNX_H

#include "base/map.h"
#include "graph/graph.h"

#define ONNX_NEWEST_IR 14
#define ONNX_MAX_DEPTH 64       /* graphs within graphs and functions within functions */
#define ONNX_MAX_TYPE_DEPTH 16  /* sequence of optional of ... */
#define ONNX_MAX_NAME 65535     /* bytes of a name */
#define ONNX_MAX_ATTRIBUTES 128 /* of one node or function */
#define ONNX_MAX_OPSETS 128     /* imports of a model or function */

typedef struct onnx_options {
  const char *folder; /* the model's own, where external data lie; "": the current one; NULL: there may be none */
  bool allow_links;   /* external data may be reached through symbolic links that leave the folder */
  bool keep_calls;    /* to write it again: calls of functions stay nodes, and the functions are kept unread */
  size_t limit_bytes; /* memory that the model may take beside its file; 0: 16 MiB and 10 times the file's size */
} onnx_options;

/* Reads the model in bytes[size]. With `owner`, a storage that keeps the bytes alive, constants are used in place where
 * their alignment allows and the model keeps the owner; with owner NULL everything is copied. `source` (a path or
 * "memory") begins every error. options may be NULL. *ret: destroy with model_destroy.
 * Errors: FORMAT (with the byte offset, and the node), LIMIT, UNSUPPORTED, IO (external data), MEMORY. */
ledge_status onnx_read(const void *bytes, size_t size, storage *owner, const char *source, const onnx_options *options,
                       model **ret, ledge_error *error);

/* The same from what is mapped already (a file, a descriptor, the caller's memory), which the model keeps. */
ledge_status onnx_read_map(file_map *m, const onnx_options *options, model **ret, ledge_error *error);
/* The same from a file, which is mapped. External data lie in its folder, unless options name another. */
ledge_status onnx_read_file(const char *path, const onnx_options *options, model **ret, ledge_error *error);

/* Reads one value in ONNX's own file form (.pb): a TensorProto, or, where `type` says so, a SequenceProto, an
 * OptionalProto, a MapProto or a SparseTensorProto (made dense). type NULL: a tensor. *ret becomes an owned value: none
 * of it points into bytes. */
ledge_status onnx_read_value(const void *bytes, size_t size, const char *source, const graph_type *type, value *ret,
                             ledge_error *error);

typedef struct onnx_write_options {
  /* Initialisers of at least so many bytes (1024 or more: less counts as 1024) go to a file of their own beside the
   * model, named as it with ".data" added. 0: none, unless the model would pass protobuf's 2 GiB; then as 1024. */
  size_t external_bytes;
  bool changed; /* values are gone: what else the file said of them, and its training_info, are left out */
} onnx_write_options;

/* Writes a model: its graph with subgraphs, as valid ONNX that others load too. Functions stay inlined where the reader
 * has inlined them; names that
 * would shadow an outer one get a number; the IR version is the model's own, or the first that has all that the model
 * uses, if that is newer. Elements of 256 bytes and more are placed at a multiple of 8 in the file, so that onnx_read
 * uses them in place. A node that came out of a function at another opset version is written as one of the model's:
 * ONNX asks that the two mean the same. Errors: UNSUPPORTED (a node of domain "ledge", which ONNX cannot say), LIMIT,
 * IO, MEMORY.
 *
 * onnx_write_file writes beside `path` and moves into place: what was there stands until the new file is whole. */
ledge_status onnx_write_file(const model *m, const char *path, const onnx_write_options *options, ledge_error *error);
/* The whole file in memory; *ret is the caller's to mem_free. No external data: over 2 GiB is an error. */
ledge_status onnx_write_memory(const model *m, uint8_t **ret, size_t *ret_size, ledge_error *error);

#endif
