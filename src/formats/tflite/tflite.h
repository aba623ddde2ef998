/* formats/tflite: TensorFlow Lite models (schema version 3) to the graph.
 *
 * What ONNX's operators say becomes those, with images turned by Transposes that the passes cancel; TensorFlow Lite's
 * integer arithmetic and what else is its own becomes operators of domain "tflite" (src/ops/tflite*.c). What has no
 * meaning here becomes a node of domain "tflite" without a row, so that it is reported as any operator without one is.
 *
 * Variables (resource variables, variable tensors: the state of recurrent layers) become inputs and outputs that the
 * model pairs up (graph.h, model_state); a session carries their contents from run to run.
 *
 * Bytes are hostile (flatbuffer.h). Limits, each with an error that names it: TFL_MAX_* below, and memory in all. */
#ifndef FORMATS_TFLITE_TFLITE_H
#define FORMATS_TFLITE_TFLITE_H

#include "base/map.h"
#include "graph/graph.h"

#define TFL_MAX_DEPTH 16      /* subgraphs within subgraphs */
#define TFL_MAX_NAME 65535    /* bytes of a name */
#define TFL_MAX_OPERANDS 8192 /* inputs or outputs of one operator */

typedef struct tfl_options {
  size_t limit_bytes; /* memory that the model may take beside its file; 0: 16 MiB and 10 times the file's size */
} tfl_options;

/* Does the file say that it is one? */
bool tfl_sniff(const void *bytes, size_t size);

/* Reads the model in bytes[size], which `owner` keeps alive (NULL: constants are copied). `source` (a path or "memory")
 * begins every error. options may be NULL. *ret: destroy with model_destroy.
 * Errors: FORMAT (with the byte offset, and the operator), LIMIT, UNSUPPORTED, MEMORY. */
ledge_status tfl_read(const void *bytes, size_t size, storage *owner, const char *source, const tfl_options *options,
                      model **ret, ledge_error *error);

#endif
