/* formats/onnx/write: what the parts of the writer share.
 *
 *   out.c      protobuf's wire format: counted, then written
 *   export.c   the model, its graphs, nodes and types        names are made unique as ONNX asks
 *   save.c     to a file and its external data, or to memory
 */
#ifndef FORMATS_ONNX_WRITE_H
#define FORMATS_ONNX_WRITE_H

#include "base/error.h"
#include "base/hash.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/out.h"

enum { EXTERNAL_MAX_ALIGN = 4096 };

/* A tensor that goes to the external file, at `offset` of it. */
typedef struct onnx_span {
  const void *data;
  uint64_t offset, bytes;
} onnx_span;

typedef struct onnx_export {
  const model *m;
  out out;
  int64_t ir_version;
  const char *external_name; /* of the file beside the model; NULL: everything inside */
  size_t external_bytes;     /* the smallest that goes there */
  bool changed;              /* values are gone that the file had */
  uint64_t external_end;
  onnx_span *spans; /* in the order of their offsets */
  size_t n_spans, cap_spans;
  opset_import *opsets; /* the model's, and those that only its nodes name */
  int n_opsets;
  arena names; /* names that were made up */
} onnx_export;

/* Looks through the model for what it needs, and finds that ONNX can say it. */
ledge_status onnx_export_init(onnx_export *x, const model *m, ledge_error *error);
void onnx_export_deinit(onnx_export *x);
/* Emits the ModelProto into x->out, counting or writing; the status is x->out's. The spans are made while counting. */
void onnx_emit_model(onnx_export *x);

#endif
