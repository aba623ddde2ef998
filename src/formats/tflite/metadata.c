/* formats/tflite/metadata: what a file says of itself beside its graph, as the model's properties. */
#include "formats/tflite/read.h"

#include <stdio.h>

enum { TEXT_MAX = 4096 };

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
