/* tests/fuzz/fuzz_tflite: a TensorFlow Lite model read from any bytes; where it is one that ledge can plan and that is
 * small, it runs twice on zeros, so that what the reader lets pass meets the operators. A file begins with the
 * identifier whatever the mutation says: else few inputs would reach the reader. */
#include "fuzz.h"
#include "ledge/ledge.h"

#include <string.h>

enum { BYTES_MAX = 1 << 20, RUN_BYTES_MAX = 1 << 20 };

static void run(ledge_model *m) {
  ledge_error e = {0};
  ledge_session *s = NULL;
  const ledge_session_options options = {.threads = 1, .memory_limit = 32 << 20};
  if (ledge_session_create(m, &options, &s, &e)) return;
  static uint64_t zeros[RUN_BYTES_MAX / 8];
  for (size_t i = 0; i < ledge_model_input_count(m); i++) {
    ledge_value_info want;
    if (ledge_model_input(m, i, &want, &e) || want.rank < 0 || want.dtype == LEDGE_STRING) goto done;
    ledge_tensor t = {.dtype = want.dtype, .rank = want.rank, .data = zeros};
    double bytes = ledge_dtype_bits(want.dtype) / 8.0;
    for (int d = 0; d < want.rank; d++) {
      t.dims[d] = want.dims[d] < 0 ? 1 : want.dims[d];
      bytes *= (double)t.dims[d];
    }
    if (bytes > RUN_BYTES_MAX) goto done;
    t.bytes = (size_t)(bytes + 0.5);
    if (ledge_session_set_input(s, i, &t, &e)) goto done;
  }
  ledge_memory memory;
  if (ledge_session_plan(s, &e)) goto done;
  ledge_session_memory(s, &memory);
  if (memory.planned_bytes > RUN_BYTES_MAX || ledge_session_multiply_adds(s) > 1e6) goto done;
  for (int i = 0; i < 2; i++)
    if (ledge_session_run(s, &e)) break;
done:
  ledge_session_destroy(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ledge_error e = {0};
  ledge_model *m = NULL;
  if (size < 8 || size > BYTES_MAX) return 0;
  uint8_t *bytes = malloc(size);
  FUZZ_CHECK(bytes);
  memcpy(bytes, data, size);
  memcpy(bytes + 4, "TFL3", 4);
  ledge_status status = ledge_model_open_memory(bytes, size, NULL, &m, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && e.message[0]));
  FUZZ_CHECK(status != LEDGE_ERROR_INTERNAL && status != LEDGE_ERROR_MEMORY);
  if (m) run(m);
  ledge_model_close(m);
  free(bytes);
  return 0;
}
