/* formats/tflite/flatbuffer: FlatBuffers in place (https://flatbuffers.dev, the binary format), all bytes hostile.
 *
 *   table    at [i32: back to its vtable | fields ...]        vtable  [u16 its bytes | u16 the table's | u16 a field
 * ...] vector   at [u32 count | elements ...]                    a field that holds a table or vector holds a u32
 * forward
 *
 * Nothing is trusted that was not looked at: every offset is tested against the file and for its alignment before it is
 * followed, a field against its table's bytes, a vector's count against what is left of the file. Scalars are copied
 * out. Each table or vector that is followed takes a step of a budget, because tables may be shared: a small file can
 * describe a walk without end.
 *
 * Errors say what was read and at which byte. */
#ifndef FORMATS_TFLITE_FLATBUFFER_H
#define FORMATS_TFLITE_FLATBUFFER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fb {
  const uint8_t *data;
  size_t size;
  uint64_t steps_left;
  ledge_error *error;
} fb;

typedef struct fb_table {
  fb *f; /* NULL: an absent table, all of whose fields are absent */
  const char *what;
  uint32_t at, vtable;
  uint16_t vtable_bytes, table_bytes;
} fb_table;

/* Elements lie side by side at data; count 0 where absent. */
typedef struct fb_vector {
  const uint8_t *data;
  uint32_t at, count;
} fb_vector;

/* The root table; `identifier` (4 characters) must stand behind the root's offset. */
ledge_status fb_root(fb *f, const char *identifier, const char *what, fb_table *ret);

/* Is the field there? (A field that is not has its default.) */
bool fb_has(const fb_table *t, int field);

/* Scalars: *ret is `otherwise` where the field is absent. */
ledge_status fb_i8(const fb_table *t, int field, int8_t otherwise, int8_t *ret);
ledge_status fb_i32(const fb_table *t, int field, int32_t otherwise, int32_t *ret);
ledge_status fb_u32(const fb_table *t, int field, uint32_t otherwise, uint32_t *ret);
ledge_status fb_u64(const fb_table *t, int field, uint64_t otherwise, uint64_t *ret);
ledge_status fb_f32(const fb_table *t, int field, float otherwise, float *ret);

/* A table within: *ret has f NULL where the field is absent. */
ledge_status fb_child(const fb_table *t, int field, const char *what, fb_table *ret);
/* A vector of elements of so many bytes. */
ledge_status fb_vec(const fb_table *t, int field, size_t element, const char *what, fb_vector *ret);
/* A string: like a vector of bytes, with a zero behind it. */
ledge_status fb_string(const fb_table *t, int field, const char *what, fb_vector *ret);
/* Element i (below v->count) of a vector of tables, which fb_vec has read with 4 bytes an element. */
ledge_status fb_at(const fb_table *t, const fb_vector *v, uint32_t i, const char *what, fb_table *ret);

/* Element i of a vector of numbers. */
int32_t fb_vec_i32(const fb_vector *v, uint32_t i);
int64_t fb_vec_i64(const fb_vector *v, uint32_t i);
float fb_vec_f32(const fb_vector *v, uint32_t i);
uint16_t fb_vec_u16(const fb_vector *v, uint32_t i);

#endif
