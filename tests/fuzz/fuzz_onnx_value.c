/* tests/fuzz/fuzz_onnx_value: a value (.pb) read from any bytes; the first says as what. */
#include "formats/onnx/onnx.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  graph_type type = {.kind = (type_kind)(data[0] % (TYPE_MAP + 1))};
  value v = {0};
  ledge_error e = {0};
  ledge_status status = onnx_read_value(data + 1, size - 1, "fuzz", &type, &v, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && e.message[0]));
  if (status == LEDGE_OK && v.kind == VALUE_TENSOR) {
    size_t bytes = tensor_bytes(&v.tensor);
    FUZZ_CHECK(bytes != SIZE_MAX);
    uint8_t sum = 0;
    for (size_t i = 0; i < bytes; i++) sum ^= ((const uint8_t *)v.tensor.data)[i];
    volatile uint8_t sink = sum;
    (void)sink;
  }
  value_deinit(&v);
  return 0;
}
