/* tests/fuzz/fuzz_npy: an array file or an archive of them from any bytes; what is read must be writable and read back
 * the same. The last byte says what raw elements are. */
#include "formats/npy/npy.h"
#include "fuzz.h"

static void check_tensor(const tensor *t) {
  size_t bytes = tensor_bytes(t), size;
  uint8_t *file = NULL;
  tensor back = {0};
  npy_options options = {.want = t->dtype};
  FUZZ_CHECK(bytes != SIZE_MAX);
  if (bytes > 1 << 20) return;
  FUZZ_CHECK(npy_write(t, &file, &size, NULL) == LEDGE_OK);
  FUZZ_CHECK(npy_read(file, size, &options, &back, NULL) == LEDGE_OK);
  FUZZ_CHECK(back.dtype == t->dtype && tensor_same_shape(&back, t));
  if (t->dtype != LEDGE_STRING && bytes) FUZZ_CHECK(memcmp(back.data, t->data, bytes) == 0);
  mem_free(file);
  npz *z = NULL;
  const char *const name = "name";
  FUZZ_CHECK(npz_write(1, &name, &t, &file, &size, NULL) == LEDGE_OK);
  FUZZ_CHECK(npz_sniff(file, size) && npz_open(file, size, &z, NULL) == LEDGE_OK && npz_find(z, "other") == -1);
  FUZZ_CHECK(npz_read(z, 0, &options, &back, NULL) == LEDGE_OK && tensor_same_shape(&back, t));
  npz_close(z);
  mem_free(file);
  tensor_deinit(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  npy_options options = {.want = (ledge_dtype)(data[size - 1] % LEDGE_DTYPE_COUNT)};
  tensor t = {0};
  ledge_error e = {0};
  ledge_status status = npy_read(data, size, &options, &t, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && e.message[0] && !t.data));
  if (status == LEDGE_OK) check_tensor(&t);
  npz *z = NULL;
  status = npz_open(data, size, &z, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && e.message[0] && !z));
  for (size_t i = 0; status == LEDGE_OK && i < npz_count(z) && i < 8; i++) {
    FUZZ_CHECK(npz_find(z, npz_name(z, i)) >= 0);
    if (npz_read(z, i, &options, &t, &e) == LEDGE_OK) check_tensor(&t);
  }
  npz_close(z);
  tensor_deinit(&t);
  return 0;
}
