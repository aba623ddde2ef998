/* formats/onnx/out: see out.h. */
#include "formats/onnx/out.h"

#include "base/error.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

void out_init(out *o, ledge_error *error) {
  memset(o, 0, sizeof *o);
  o->error = error;
}

void out_start(out *o, out_sink sink, void *arg) {
  o->sink = sink;
  o->arg = arg;
  o->pos = 0;
  o->next = 0;
  o->depth = 0;
}

static void out_flush(out *o) {
  if (!o->status && o->used) o->status = o->sink(o->arg, o->buffer, o->used, o->error);
  o->used = 0;
}

ledge_status out_finish(out *o) {
  out_flush(o);
  return o->status;
}

void out_deinit(out *o) {
  mem_free(o->sizes);
  o->sizes = NULL;
}

void out_fail(out *o, ledge_status status) {
  if (!o->status) o->status = status;
}

static void out_raw(out *o, const void *data, size_t size) {
  o->pos += size;
  if (o->status || !o->sink || !size) return;
  if (size > sizeof o->buffer - o->used) out_flush(o);
  if (o->status) return;
  if (size > sizeof o->buffer) {
    o->status = o->sink(o->arg, data, size, o->error);
    return;
  }
  memcpy(o->buffer + o->used, data, size);
  o->used += size;
}

void out_fields(out *o, const void *data, size_t size) { out_raw(o, data, size); }

int out_varint_size(uint64_t v) {
  int n = 1;
  while (v >= 128) v >>= 7, n++;
  return n;
}

static void out_varint(out *o, uint64_t v, int at_least) {
  unsigned char bytes[10];
  int n = 0;
  while (v >= 128 || n + 1 < at_least) {
    bytes[n++] = (unsigned char)(v | 128);
    v >>= 7;
  }
  bytes[n++] = (unsigned char)v;
  out_raw(o, bytes, (size_t)n);
}

static void out_tag(out *o, uint32_t field, unsigned type) { out_varint(o, (uint64_t)field << 3 | type, 1); }

/* The index of a new message's size. */
static size_t size_slot(out *o) {
  if (o->n_sizes == o->cap_sizes) {
    size_t cap = o->cap_sizes ? o->cap_sizes * 2 : 256;
    uint64_t *sizes = mem_realloc(o->sizes, cap * sizeof *sizes);
    if (!sizes) {
      out_fail(o, error_memory(o->error, cap * sizeof *sizes, "writing a model"));
      return 0;
    }
    o->sizes = sizes;
    o->cap_sizes = cap;
  }
  return o->n_sizes++;
}

void out_begin(out *o, uint32_t field) {
  if (o->depth == OUT_MAX_DEPTH)
    out_fail(o, error_set(o->error, LEDGE_ERROR_LIMIT, "graphs or types are nested deeper than ledge's limit"));
  if (o->status) return;
  struct out_open *open = &o->open[o->depth++];
  if (o->sink) {
    assert(o->next < o->n_sizes);
    uint64_t size = o->sizes[o->next++];
    out_tag(o, field, 2);
    out_varint(o, size, 1);
    *open = (struct out_open){.start = o->pos + size, .field = field};
  } else {
    *open = (struct out_open){.index = size_slot(o), .start = o->pos, .field = field};
  }
}

void out_end(out *o) {
  if (o->status) return;
  assert(o->depth > 0);
  const struct out_open *open = &o->open[--o->depth];
  if (o->sink) {
    assert(o->pos == open->start); /* both passes emit the same */
    return;
  }
  uint64_t size = o->sizes[open->index] = o->pos - open->start;
  o->pos += (uint64_t)(out_varint_size((uint64_t)open->field << 3) + out_varint_size(size));
}

void out_bytes(out *o, uint32_t field, const void *data, size_t size) {
  out_tag(o, field, 2);
  out_varint(o, size, 1);
  out_raw(o, data, size);
}

void out_name(out *o, uint32_t field, const char *text) { out_bytes(o, field, text, strlen(text)); }

void out_string(out *o, uint32_t field, const char *text) {
  if (text && text[0]) out_name(o, field, text);
}

void out_int(out *o, uint32_t field, int64_t v) { out_int_padded(o, field, v, 0); }

void out_int_padded(out *o, uint32_t field, int64_t v, int bytes) {
  int size = out_varint_size((uint64_t)v) + bytes;
  assert(size <= 10);
  out_tag(o, field, 0);
  out_varint(o, (uint64_t)v, size);
}

void out_float(out *o, uint32_t field, float v) {
  out_tag(o, field, 5);
  out_raw(o, &v, sizeof v);
}

void out_packed_ints(out *o, uint32_t field, const int64_t *v, int64_t count) {
  uint64_t size = 0;
  for (int64_t i = 0; i < count; i++) size += (uint64_t)out_varint_size((uint64_t)v[i]);
  if (!count) return;
  out_tag(o, field, 2);
  out_varint(o, size, 1);
  for (int64_t i = 0; i < count; i++) out_varint(o, (uint64_t)v[i], 1);
}

void out_packed_floats(out *o, uint32_t field, const float *v, int64_t count) {
  if (count) out_bytes(o, field, v, (size_t)count * sizeof *v);
}
