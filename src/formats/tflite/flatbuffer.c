/* formats/tflite/flatbuffer: see flatbuffer.h. All tests subtract: no sum of a file's numbers can wrap. */
#include "formats/tflite/flatbuffer.h"

#include <string.h>

static uint16_t load_u16(const fb *f, size_t at) {
  uint16_t v;
  memcpy(&v, f->data + at, sizeof v);
  return v;
}
static uint32_t load_u32(const fb *f, size_t at) {
  uint32_t v;
  memcpy(&v, f->data + at, sizeof v);
  return v;
}

static ledge_status damaged(fb *f, const char *what, size_t at, const char *why) {
  return error_set_at(f->error, LEDGE_ERROR_FORMAT, at, "%s at byte %zu %s: the file is damaged or cut short", what, at,
                      why);
}

static ledge_status step(fb *f) {
  if (f->steps_left) return f->steps_left--, LEDGE_OK;
  return error_set(
      f->error, LEDGE_ERROR_LIMIT,
      "its tables name each other more often than a file of %zu bytes has reason to: it is damaged, or made "
      "to harm",
      f->size);
}

/* Reads the table at `at`, which is within the file and a multiple of 4. */
static ledge_status open_table(fb *f, size_t at, const char *what, fb_table *ret) {
  TRY(step(f));
  if (f->size < 4 || at > f->size - 4) return damaged(f, what, at, "does not fit");
  int64_t vtable = (int64_t)at - (int32_t)load_u32(f, at);
  if (vtable < 0 || (uint64_t)vtable > f->size - 4 || vtable % 2) return damaged(f, what, at, "has its vtable outside");
  uint16_t vtable_bytes = load_u16(f, (size_t)vtable), table_bytes = load_u16(f, (size_t)vtable + 2);
  if (vtable_bytes < 4 || vtable_bytes % 2 || vtable_bytes > f->size - (size_t)vtable)
    return damaged(f, what, at, "has a vtable that does not fit");
  if (table_bytes < 4 || table_bytes > f->size - at) return damaged(f, what, at, "does not fit");
  *ret = (fb_table){f, what, (uint32_t)at, (uint32_t)vtable, vtable_bytes, table_bytes};
  return LEDGE_OK;
}

/* Where the forward offset at `at` leads. */
static ledge_status follow(fb *f, size_t at, const char *what, size_t *ret) {
  uint32_t by = load_u32(f, at);
  if (by > f->size - at || f->size - at - by < 4) return damaged(f, what, at, "has an offset that leads outside");
  if (by < 4 || (at + by) % 4) return damaged(f, what, at, "has an offset that is none");
  *ret = at + by;
  return LEDGE_OK;
}

ledge_status fb_root(fb *f, const char *identifier, const char *what, fb_table *ret) {
  size_t at = 0;
  if (f->size < 8 || memcmp(f->data + 4, identifier, 4)) return damaged(f, what, 0, "is not marked as one");
  if (f->size > INT32_MAX)
    return error_set(f->error, LEDGE_ERROR_LIMIT, "it has %zu bytes; a FlatBuffer has at most 2 GiB", f->size);
  TRY(follow(f, 0, what, &at));
  return open_table(f, at, what, ret);
}

/* Where the field of so many bytes lies, or 0 in *ret where it is absent. */
static ledge_status find(const fb_table *t, int field, size_t bytes, size_t *ret) {
  *ret = 0;
  size_t slot = 4 + 2 * (size_t)field;
  if (!t->f || slot + 2 > t->vtable_bytes) return LEDGE_OK;
  uint16_t by = load_u16(t->f, t->vtable + slot);
  if (!by) return LEDGE_OK;
  if (by < 4 || by > t->table_bytes || bytes > (size_t)t->table_bytes - by)
    return damaged(t->f, t->what, t->at, "has a field outside of it");
  *ret = (size_t)t->at + by;
  return LEDGE_OK;
}

bool fb_has(const fb_table *t, int field) {
  size_t slot = 4 + 2 * (size_t)field;
  return t->f && slot + 2 <= t->vtable_bytes && load_u16(t->f, t->vtable + slot);
}

#define SCALAR(name, type)                                                          \
  ledge_status fb_##name(const fb_table *t, int field, type otherwise, type *ret) { \
    size_t at;                                                                      \
    TRY(find(t, field, sizeof *ret, &at));                                          \
    *ret = otherwise;                                                               \
    if (at) memcpy(ret, t->f->data + at, sizeof *ret);                              \
    return LEDGE_OK;                                                                \
  }
SCALAR(i8, int8_t)
SCALAR(i32, int32_t)
SCALAR(u32, uint32_t)
SCALAR(u64, uint64_t)
SCALAR(f32, float)

ledge_status fb_child(const fb_table *t, int field, const char *what, fb_table *ret) {
  size_t at;
  *ret = (fb_table){.what = what};
  TRY(find(t, field, 4, &at));
  if (!at) return LEDGE_OK;
  if (at % 4) return damaged(t->f, what, at, "has an offset that is none");
  TRY(follow(t->f, at, what, &at));
  return open_table(t->f, at, what, ret);
}

ledge_status fb_vec(const fb_table *t, int field, size_t element, const char *what, fb_vector *ret) {
  size_t at;
  *ret = (fb_vector){0};
  TRY(find(t, field, 4, &at));
  if (!at) return LEDGE_OK;
  fb *f = t->f;
  TRY(step(f));
  if (at % 4) return damaged(f, what, at, "has an offset that is none");
  TRY(follow(f, at, what, &at));
  uint32_t count = load_u32(f, at);
  if (count > (f->size - at - 4) / element) return damaged(f, what, at, "has more elements than the file has room for");
  *ret = (fb_vector){f->data + at + 4, (uint32_t)at, count};
  return LEDGE_OK;
}

ledge_status fb_string(const fb_table *t, int field, const char *what, fb_vector *ret) {
  fb_vector v;
  TRY(fb_vec(t, field, 1, what, &v));
  if (v.data && (t->f->size - v.at - 4 == v.count || v.data[v.count]))
    return damaged(t->f, what, v.at, "does not end in a zero");
  *ret = v;
  return LEDGE_OK;
}

ledge_status fb_at(const fb_table *t, const fb_vector *v, uint32_t i, const char *what, fb_table *ret) {
  size_t at = (size_t)v->at + 4 + 4 * (size_t)i;
  TRY(follow(t->f, at, what, &at));
  return open_table(t->f, at, what, ret);
}

#define ELEMENT(name, type)                               \
  type fb_vec_##name(const fb_vector *v, uint32_t i) {    \
    type x;                                               \
    memcpy(&x, v->data + (size_t)i * sizeof x, sizeof x); \
    return x;                                             \
  }
ELEMENT(i32, int32_t)
ELEMENT(i64, int64_t)
ELEMENT(f32, float)
ELEMENT(u16, uint16_t)
