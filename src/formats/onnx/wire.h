/* formats/onnx/wire: protobuf's wire format (https://protobuf.dev/programming-guides/encoding), one field after
 * another.
 *
 *   message   [tag value][tag value]...     tag = field number << 3 | wire type, a varint
 *   value     VARINT | 8 bytes | length + that many bytes | group: fields up to its end tag | 4 bytes
 *
 *   wire w = wire_open(bytes, "NodeProto", steps);
 *   while (wire_next(&w))
 *     switch (w.field) { case 3: TRY(wire_bytes(&w, "name", &name, error)); break; ... }   // others are skipped
 *   TRY(wire_close(&w, error));
 *
 * Nothing is allocated and nothing is read outside the message: a nested message is a reader over its own bytes. A
 * field whose wire type is not the one asked for is an error, where protobuf's own parser would skip it: what one tool
 * skips and another reads is how a checked file becomes another file. Scalars that come twice: the last one counts.
 *
 * The bytes may change while they are read (a mapped file that somebody writes to): whatever is looked at twice is
 * bounded the second time by what was counted the first time.
 *
 * `steps` (may be NULL) counts down with every field and stops the reading at 0: parts of a file that are read again
 * and again (functions) cost no more time than that. */
#ifndef FORMATS_ONNX_WIRE_H
#define FORMATS_ONNX_WIRE_H

#include "base/reader.h"
#include "ledge/types.h"

typedef enum wire_type {
  WIRE_VARINT = 0,
  WIRE_FIXED64 = 1,
  WIRE_BYTES = 2,
  WIRE_GROUP = 3, /* passed over whole; no field of ONNX is one */
  WIRE_FIXED32 = 5,
} wire_type;

#define WIRE_MAX_GROUP_DEPTH 64

typedef struct wire {
  reader rest;
  const char *message; /* its name in the schema, for errors */
  uint32_t field;
  wire_type type;
  uint64_t at;     /* file offset of the field's tag */
  uint64_t number; /* VARINT, FIXED32, FIXED64 */
  reader bytes;    /* BYTES */
  uint64_t *steps;
  const char *fault;
  ledge_status fault_code;
} wire;

wire wire_open(reader message, const char *name, uint64_t *steps);
/* Steps to the next field; false at the end and where the bytes are no field. */
bool wire_next(wire *w);
/* Says why wire_next stopped: LEDGE_OK at the end of the message. */
ledge_status wire_close(const wire *w, ledge_error *error);

/* The current field as ...; `name` is the field's, for errors. */
ledge_status wire_bytes(const wire *w, const char *name, reader *ret, ledge_error *error);
ledge_status wire_int(const wire *w, const char *name, int64_t *ret, ledge_error *error);
ledge_status wire_float(const wire *w, const char *name, float *ret, ledge_error *error);
/* A nested message that may stand there once: *seen is set, and being set already is an error. */
ledge_status wire_once(const wire *w, const char *name, bool *seen, reader *ret, ledge_error *error);

/* Repeated scalars, packed or not: how many the current field adds to *count. `type` is VARINT, FIXED32 or FIXED64. */
ledge_status wire_count(const wire *w, const char *name, wire_type type, size_t *count, ledge_error *error);
/* Copies what wire_count counted to dst, but no more than `max`; returns how many. */
size_t wire_copy_ints(const wire *w, int64_t *dst, size_t max);
/* The same for elements of 4 or 8 bytes; max and result are in bytes. */
size_t wire_copy_fixed(const wire *w, void *dst, size_t max);

#endif
