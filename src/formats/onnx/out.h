/* formats/onnx/out: writing protobuf's wire format. A message is preceded by its length, so everything is emitted twice
 * by the same code: the first time it is only counted, and the size of each nested message kept; the second time it is
 * put out, buffered, with those sizes.
 *
 *   out_begin(o, 7);  out_string(o, 1, "x");  ...  out_end(o);       // field 7, a message
 *
 * A failure sticks in o->status, and whatever follows does nothing. */
#ifndef FORMATS_ONNX_OUT_H
#define FORMATS_ONNX_OUT_H

#include "ledge/types.h"

#define OUT_MAX_DEPTH 512 /* of messages: more than ONNX_MAX_DEPTH graphs, attributes and types can nest */

/* Takes the next bytes of the file. */
typedef ledge_status (*out_sink)(void *arg, const void *data, size_t size, ledge_error *error);

typedef struct out {
  out_sink sink; /* NULL while counting */
  void *arg;
  ledge_status status;
  ledge_error *error;
  uint64_t pos;    /* bytes so far; while counting, without the headers of the open messages */
  uint64_t *sizes; /* of the messages, in the order of their beginnings */
  size_t n_sizes, cap_sizes, next;
  struct out_open {
    size_t index;
    uint64_t start;
    uint32_t field;
  } open[OUT_MAX_DEPTH];
  int depth;
  size_t used;
  unsigned char buffer[8192];
} out;

void out_init(out *o, ledge_error *error);
/* From counting to writing. */
void out_start(out *o, out_sink sink, void *arg);
/* Puts out what is buffered and returns the status. */
ledge_status out_finish(out *o);
void out_deinit(out *o);

void out_begin(out *o, uint32_t field);
void out_end(out *o);
void out_bytes(out *o, uint32_t field, const void *data, size_t size);
void out_string(out *o, uint32_t field, const char *text); /* left out where empty */
void out_name(out *o, uint32_t field, const char *text);   /* empty or not */
void out_int(out *o, uint32_t field, int64_t v);
void out_float(out *o, uint32_t field, float v);
/* A number in a varint of `bytes` more bytes than it needs: as good to any reader, and it shifts what follows. */
void out_int_padded(out *o, uint32_t field, int64_t v, int bytes);
void out_packed_ints(out *o, uint32_t field, const int64_t *v, int64_t count);
void out_packed_floats(out *o, uint32_t field, const float *v, int64_t count);
void out_fields(out *o, const void *data, size_t size); /* whole fields, as they are */
int out_varint_size(uint64_t v);
void out_fail(out *o, ledge_status status); /* the error is set already */

#endif
