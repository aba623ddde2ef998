/* formats/tflite/metadata: what a file says of itself beside its graph, as the model's properties. */
#include "formats/tflite/read.h"

#include <stdio.h>

enum { TEXT_MAX = 4096 };

/* ---- TFLITE_METADATA: a FlatBuffer of its own, and files in a zip archive behind the model ---- */

enum { META_NAME, META_DESCRIPTION, META_VERSION, META_AUTHOR = 4, META_LICENSE };
typedef ledge_status (*add_fn)(tfl_in *in, const char *key, const char *text);

static ledge_status read_described(tfl_in *in, const fb_vector *data, add_fn add) {
  static const struct {
    int field;
    const char *key;
  } fields[] = {{META_NAME, "name"},
                {META_DESCRIPTION, "description"},
                {META_VERSION, "version"},
                {META_AUTHOR, "author"},
                {META_LICENSE, "license"}};
  fb own = {data->data, data->count, 4096, in->error};
  fb_table t;
  TRY(fb_root(&own, "M001", "the model's metadata", &t));
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    fb_vector v;
    const char *text;
    TRY(fb_string(&t, fields[i].field, "a text of the model's metadata", &v));
    if (!v.count || v.count > TEXT_MAX) continue;
    TRY(tfl_name(in, &v, "a text of the model's metadata", &text));
    TRY(add(in, fields[i].key, text));
  }
  return LEDGE_OK;
}

static uint32_t u16_at(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32_at(const uint8_t *p) { return u16_at(p) | u16_at(p + 2) << 16; }

/* The files of the archive by their names; a label file that is not compressed with its lines. What is no archive is
 * passed over: it is no part of the model. */
static ledge_status read_archive(tfl_in *in, add_fn add) {
  enum { END_BYTES = 22, ENTRY_BYTES = 46, LOCAL_BYTES = 30, FILES_MAX = 64 };
  const uint8_t *d = in->f.data;
  size_t size = in->f.size, end = size < END_BYTES ? 0 : size - END_BYTES;
  for (size_t back = 0; end && back < 65536 && memcmp(d + end, "PK\5\6", 4); back++) end--;
  if (!end || memcmp(d + end, "PK\5\6", 4)) return LEDGE_OK;
  size_t n = u16_at(d + end + 10), at = u32_at(d + end + 16);
  for (size_t i = 0; i < n && i < FILES_MAX; i++) {
    if (size < ENTRY_BYTES || at > size - ENTRY_BYTES || memcmp(d + at, "PK\1\2", 4)) return LEDGE_OK;
    size_t name = u16_at(d + at + 28), extra = u16_at(d + at + 30) + u16_at(d + at + 32), local = u32_at(d + at + 42);
    uint32_t method = u16_at(d + at + 10), bytes = u32_at(d + at + 20);
    if (name > size - at - ENTRY_BYTES || memchr(d + at + ENTRY_BYTES, 0, name)) return LEDGE_OK;
    fb_vector key = {d + at + ENTRY_BYTES, (uint32_t)at, (uint32_t)name};
    const char *file;
    char *text = NULL;
    TRY(tfl_name(in, &key, "an associated file's name", &file));
    size_t from = local <= size && LOCAL_BYTES <= size - local
                      ? local + LOCAL_BYTES + u16_at(d + local + 26) + u16_at(d + local + 28)
                      : size;
    bool plain = !method && bytes <= 1 << 20 && from <= size && bytes <= size - from && !memchr(d + from, 0, bytes);
    TRY(tfl_alloc(in, plain ? (size_t)bytes + 1 : 64, 1, "an associated file", &text));
    if (plain)
      memcpy(text, d + from, bytes);
    else
      snprintf(text, 64, "(%u bytes, compressed)", bytes);
    TRY(add(in, file, text));
    if (extra > size - at - ENTRY_BYTES - name) return LEDGE_OK;
    at += ENTRY_BYTES + name + extra;
  }
  return LEDGE_OK;
}

/* Texts (min_runtime_version and the like), whose ends may be filled with zeros, go in as they are; tables of other
 * schemas as their size. */
static ledge_status read_entry(tfl_in *in, const fb_table *t,
                               ledge_status (*add)(tfl_in *, const char *, const char *)) {
  fb_vector name, data;
  uint32_t buffer;
  const char *key;
  char *text;
  TRY(fb_string(t, METADATA_NAME, "metadata's name", &name));
  TRY(fb_u32(t, METADATA_BUFFER, 0, &buffer));
  TRY(tfl_name(in, &name, "metadata's name", &key));
  TRY(tfl_buffer(in, buffer, &data));
  if (!strcmp(key, "TFLITE_METADATA") && data.count >= 8 && !memcmp(data.data + 4, "M001", 4)) {
    TRY(read_described(in, &data, add));
    return read_archive(in, add);
  }
  uint32_t n = data.count;
  while (n && !data.data[n - 1]) n--;
  bool is_text = n <= TEXT_MAX;
  for (uint32_t i = 0; is_text && i < n; i++) is_text = data.data[i] >= ' ' && data.data[i] < 127;
  TRY(tfl_alloc(in, (is_text ? n : 32) + 1, 1, "metadata", &text));
  if (is_text && n)
    memcpy(text, data.data, n);
  else if (!is_text)
    snprintf(text, 32, "(%u bytes)", data.count);
  return add(in, key, text);
}

static ledge_status signature_part(tfl_in *in, const fb_table *t, int field, const char *what, char *text,
                                   size_t size) {
  fb_vector list;
  TRY(fb_vec(t, field, 4, what, &list));
  size_t used = strlen(text);
  for (uint32_t i = 0; i < list.count && used < size - 1; i++) {
    fb_table map;
    fb_vector name;
    uint32_t index;
    TRY(fb_at(t, &list, i, what, &map));
    TRY(fb_string(&map, TENSOR_MAP_NAME, "a name", &name));
    TRY(fb_u32(&map, TENSOR_MAP_INDEX, 0, &index));
    int n = snprintf(text + used, size - used, "%s%.*s (tensor %u)", i ? ", " : "",
                     name.count > 200 ? 200 : (int)name.count, (const char *)name.data, index);
    used += n > 0 ? (size_t)n : 0;
  }
  (void)in;
  return LEDGE_OK;
}

ledge_status tfl_read_metadata(tfl_in *in, ledge_status (*add)(tfl_in *in, const char *key, const char *text)) {
  fb_vector list, signatures;
  TRY(fb_vec(&in->root, MODEL_METADATA, 4, "the model's metadata", &list));
  TRY(fb_vec(&in->root, MODEL_SIGNATURES, 4, "the model's signatures", &signatures));
  if (list.count > 4096 || signatures.count > 4096)
    return error_set(in->error, LEDGE_ERROR_LIMIT, "it has more than 4096 metadata or signatures");
  for (uint32_t i = 0; i < list.count; i++) {
    fb_table t;
    TRY(fb_at(&in->root, &list, i, "metadata", &t));
    TRY(read_entry(in, &t, add));
  }
  for (uint32_t i = 0; i < signatures.count; i++) {
    fb_table t;
    fb_vector name;
    char text[TEXT_MAX] = "", *copy, *key;
    TRY(fb_at(&in->root, &signatures, i, "a signature", &t));
    TRY(fb_string(&t, SIGNATURE_KEY, "a signature's name", &name));
    if (name.count > TFL_MAX_NAME || (name.count && memchr(name.data, 0, name.count)))
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, name.at, "a signature's name is none");
    TRY(signature_part(in, &t, SIGNATURE_INPUTS, "a signature's inputs", text, sizeof text));
    strncat(text, " -> ", sizeof text - strlen(text) - 1);
    TRY(signature_part(in, &t, SIGNATURE_OUTPUTS, "a signature's outputs", text, sizeof text));
    TRY(tfl_alloc(in, strlen(text) + 1, 1, "a signature", &copy));
    strcpy(copy, text);
    size_t size = (size_t)name.count + 16;
    TRY(tfl_alloc(in, size, 1, "a signature", &key));
    snprintf(key, size, "signature %.*s", (int)name.count, (const char *)name.data);
    TRY(add(in, key, copy));
  }
  return LEDGE_OK;
}
