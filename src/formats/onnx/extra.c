/* formats/onnx/extra: fields that the graph has no place for are kept as they stand, and written again: doc strings,
 * quantisation annotations, training information, device configurations, metadata of values, and whatever a version of
 * ONNX has that ledge does not know. */
#include "formats/onnx/read.h"

typedef struct field_bits {
  const char *message;
  uint64_t taken; /* bit i: field i is the graph's */
} field_bits;

#define BIT(i) ((uint64_t)1 << (i))
static const field_bits records[] = {
    [ONNX_EXTRA_MODEL] = {"ModelProto",
                          BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(14) | BIT(25)},
    [ONNX_EXTRA_CALLS] = {"ModelProto",
                          BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(14)},
    [ONNX_EXTRA_GRAPH] = {"GraphProto", BIT(1) | BIT(2) | BIT(5) | BIT(11) | BIT(12) | BIT(13) | BIT(15)},
    [ONNX_EXTRA_NODE] = {"NodeProto", BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(8) | BIT(9)},
    [ONNX_EXTRA_VALUE] = {"ValueInfoProto", BIT(1) | BIT(2)},
    [ONNX_EXTRA_TENSOR] = {"TensorProto", BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) |
                                              BIT(9) | BIT(10) | BIT(11) | BIT(13) | BIT(14)},
    [ONNX_EXTRA_ATTR] = {"AttributeProto", BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) |
                                               BIT(9) | BIT(10) | BIT(11) | BIT(14) | BIT(15) | BIT(20) | BIT(21) |
                                               BIT(22) | BIT(23)},
};

/* Copies the fields that are not taken to `to`, at most max bytes (to NULL: only counts); returns how many. */
static size_t copy_fields(onnx_in *in, reader r, const field_bits *of, uint8_t *to, size_t max) {
  uint64_t start = reader_offset(&r);
  const uint8_t *bytes = r.data + r.pos;
  size_t size = 0;
  wire w = wire_open(r, of->message, &in->steps_left);
  while (wire_next(&w)) {
    if (w.field < 64 && of->taken >> w.field & 1) continue;
    size_t at = (size_t)(w.at - start), n = (size_t)(reader_offset(&w.rest) - w.at);
    if (to && n > max - size) break;
    if (to) memcpy(to + size, bytes + at, n);
    size += n;
  }
  return size;
}

ledge_status onnx_keep_extra(onnx_in *in, const onnx_scope *s, reader r, onnx_extra_of of, graph_extra *ret) {
  if (s && s->call) return LEDGE_OK;
  size_t size = copy_fields(in, r, &records[of], NULL, 0);
  uint8_t *data;
  if (!size) return LEDGE_OK;
  TRY(onnx_alloc(in, size, 1, "fields to keep", &data));
  *ret = (graph_extra){data, copy_fields(in, r, &records[of], data, size)};
  return ret->size == size ? LEDGE_OK : onnx_changed(in);
}
