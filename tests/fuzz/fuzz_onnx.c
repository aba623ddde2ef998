/* tests/fuzz/fuzz_onnx: a model read from any bytes; where it is one, it can be written, and what is written is read
 * again and is then the same to the byte. Its external data may be "w.bin", of 256 bytes, in a folder made for the run.
 */
#include "formats/onnx/onnx.h"
#include "protobuf_mutator.h"

#include <unistd.h>

static char folder[] = "/tmp/ledge-fuzz-XXXXXX";
static char weights[64], file[64];

static void remove_folder(void) {
  unlink(weights);
  unlink(file);
  rmdir(folder);
}

static void make_folder(void) {
  static bool made;
  if (made) return;
  made = true;
  FUZZ_CHECK(mkdtemp(folder));
  snprintf(weights, sizeof weights, "%s/w.bin", folder);
  snprintf(file, sizeof file, "%s/m.onnx", folder);
  FILE *f = fopen(weights, "wb");
  FUZZ_CHECK(f);
  for (int i = 0; i < 256; i++) putc(i, f);
  fclose(f);
  atexit(remove_folder);
}

static void release_nothing(storage *s) { (void)s; }

static void check_written(const model *m, const onnx_options *options) {
  ledge_error e = {0};
  model *again = NULL;
  uint8_t *first = NULL, *second = NULL;
  size_t n_first = 0, n_second = 0;
  ledge_status status = onnx_write_memory(m, &first, &n_first, &e);
  FUZZ_CHECK(status == LEDGE_OK || status == LEDGE_ERROR_UNSUPPORTED || status == LEDGE_ERROR_LIMIT);
  if (status == LEDGE_OK) {
    status = onnx_read(first, n_first, NULL, "written", options, &again, &e);
    if (status != LEDGE_OK) fprintf(stderr, "%s\n", e.message);
    FUZZ_CHECK(status == LEDGE_OK || status == LEDGE_ERROR_LIMIT);
  }
  if (again) {
    FUZZ_CHECK(onnx_write_memory(again, &second, &n_second, &e) == LEDGE_OK);
    FUZZ_CHECK(n_first == n_second && !memcmp(first, second, n_first));
  }
  mem_free(first);
  mem_free(second);
  model_destroy(again);
}

/* The same bytes as a mapped file beside the weights. */
static void check_file(const uint8_t *data, size_t size, ledge_status want) {
  ledge_error e = {0};
  model *m = NULL;
  FILE *f = fopen(file, "wb");
  FUZZ_CHECK(f && fwrite(data, 1, size, f) == size);
  fclose(f);
  ledge_status status = onnx_read_file(file, NULL, &m, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && strstr(e.message, "m.onnx")));
  FUZZ_CHECK(status == want || status == LEDGE_ERROR_IO); /* an empty file cannot be mapped */
  model_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  storage s = {.release = release_nothing};
  /* One in four with the default limit, the others with one that is reached sooner; one in eight without a folder. */
  const onnx_options options = {.limit_bytes = size / 2 % 4 ? 2 << 20 : 0, .folder = size / 8 % 8 ? folder : NULL};
  ledge_error e = {0};
  model *m = NULL;
  atomic_init(&s.refs, 1);
  make_folder();
  ledge_status status = onnx_read(data, size, size & 3 ? &s : NULL, "fuzz", &options, &m, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && e.message[0]));
  FUZZ_CHECK(status != LEDGE_ERROR_INTERNAL && status != LEDGE_ERROR_MEMORY);
  if (status == LEDGE_OK) check_written(m, &options);
  if (size % 32 == 0 && options.folder && !options.limit_bytes) check_file(data, size, status);
  model_destroy(m);
  FUZZ_CHECK(atomic_load(&s.refs) == 1);
  return 0;
}
