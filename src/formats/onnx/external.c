/* formats/onnx/external: tensors whose elements stand in a file of their own, beside the model or below its folder
 * (docs/ExternalData.md of ONNX). A path that is absolute, has "..", or leaves the folder by a link is an error. */
#include "formats/onnx/read.h"

/* A decimal number of digits alone, no sign. */
static bool parse_number(reader text, uint64_t *ret) {
  uint64_t n = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(text.data[i] - '0'), &n))
      return false;
  }
  *ret = n;
  return text.size > 0;
}

ledge_status onnx_external_entry(reader r, uint64_t *steps, onnx_tensor *t, ledge_error *error) {
  reader key = {0}, text = {0};
  wire w = wire_open(r, "StringStringEntryProto", steps);
  while (wire_next(&w)) {
    if (w.field == 1) TRY(wire_bytes(&w, "key", &key, error));
    if (w.field == 2) TRY(wire_bytes(&w, "value", &text, error));
  }
  TRY(wire_close(&w, error));
  if (onnx_equal(key, "location")) {
    t->has_location = true;
    t->location = text;
    return LEDGE_OK;
  }
  bool is_offset = onnx_equal(key, "offset");
  if (!is_offset && !onnx_equal(key, "length")) return LEDGE_OK; /* checksum, and what others add */
  uint64_t number;
  if (!parse_number(text, &number))
    return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&r), "external data's %s '%.*s' is no number of bytes",
                        is_offset ? "offset" : "length", ONNX_SHOW(text));
  *(is_offset ? &t->offset : &t->length) = number;
  return LEDGE_OK;
}

ledge_status onnx_load_external(onnx_in *in, const onnx_tensor *t, tensor *ret) {
  return error_set_at(in->error, LEDGE_ERROR_UNSUPPORTED, t->at, "tensor '%.*s' is in the external file '%.*s'",
                      ONNX_SHOW(t->name), ONNX_SHOW(t->location));
}

void onnx_external_close(onnx_in *in) { (void)in; }
