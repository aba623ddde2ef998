/* formats/onnx/save: a model to a file, with external data where asked for or needed, or to memory.
 *
 * Files are written beside their final names and moved there when they are whole and on the disk, the data before the
 * model that names it. A link at the final name is replaced, never followed. */
#include "base/clock.h"
#include "formats/onnx/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_MODEL_BYTES INT32_MAX /* protobuf's own limit */
enum { EXTERNAL_MIN = 1024 };     /* smaller ones may be shapes, which others want to see in the model itself */

/* ---- a file in the making ---- */

typedef struct save_file {
  const char *path; /* final */
  char *beside;     /* while it is written; NULL: nothing there */
  int fd;
} save_file;

static ledge_status save_fail(const char *path, const char *what, ledge_error *error) {
  return error_set(error, LEDGE_ERROR_IO, "%s: %s: %s", path, what, strerror(errno));
}

static ledge_status save_open(save_file *f, const char *path, ledge_error *error) {
  enum { TRIES = 100 };
  size_t size = strlen(path) + 32;
  *f = (save_file){.path = path, .beside = mem_alloc(size), .fd = -1};
  if (!f->beside) return error_memory(error, size, "a path");
  for (int i = 0; i < TRIES && f->fd < 0; i++) {
    snprintf(f->beside, size, "%s.%08x", path, (unsigned)(clock_now_ns() ^ (uint64_t)getpid() << 20));
    f->fd = open(f->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno != EEXIST) break;
  }
  if (f->fd >= 0) return LEDGE_OK;
  ledge_status status = save_fail(path, "cannot be written", error);
  mem_free(f->beside);
  f->beside = NULL;
  return status;
}

static ledge_status save_write(void *arg, const void *data, size_t size, ledge_error *error) {
  save_file *f = arg;
  const char *at = data;
  while (size) {
    ssize_t n = write(f->fd, at, size < ((size_t)1 << 30) ? size : (size_t)1 << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return save_fail(f->path, "writing failed", error);
    at += n;
    size -= (size_t)n;
  }
  return LEDGE_OK;
}

static ledge_status save_finish(save_file *f, ledge_error *error) {
  if (fsync(f->fd) && errno != EINVAL && errno != EROFS) return save_fail(f->path, "writing failed", error);
  int failed = close(f->fd);
  f->fd = -1;
  if (failed) return save_fail(f->path, "writing failed", error);
  return LEDGE_OK;
}

static ledge_status save_move(save_file *f, ledge_error *error) {
  if (rename(f->beside, f->path)) return save_fail(f->path, "cannot be replaced", error);
  mem_free(f->beside);
  f->beside = NULL;
  return LEDGE_OK;
}

/* Takes away what was not moved into place. */
static void save_close(save_file *f) {
  if (f->fd >= 0) close(f->fd);
  if (f->beside) unlink(f->beside);
  mem_free(f->beside);
  *f = (save_file){.fd = -1};
}

/* ---- the model ---- */

static ledge_status write_data(const onnx_export *x, const char *path, save_file *f, ledge_error *error) {
  static const unsigned char zeros[4096];
  uint64_t pos = 0;
  TRY(save_open(f, path, error));
  for (size_t i = 0; i < x->n_spans; i++) {
    const onnx_span *span = &x->spans[i];
    TRY(save_write(f, zeros, (size_t)(span->offset - pos), error)); /* gaps are shorter than the largest alignment */
    TRY(save_write(f, span->data, (size_t)span->bytes, error));
    pos = span->offset + span->bytes;
  }
  return save_finish(f, error);
}

/* Counts the model; one that is too large for one file is counted anew, with its weights outside. */
static ledge_status count_model(onnx_export *x, const char *external_name) {
  onnx_emit_model(x);
  if (!x->out.status && x->out.pos > MAX_MODEL_BYTES && !x->external_name && external_name) {
    x->external_name = external_name;
    x->external_bytes = EXTERNAL_MIN;
    x->out.pos = 0;
    x->out.n_sizes = 0;
    onnx_emit_model(x);
  }
  TRY(x->out.status);
  if (x->out.pos <= MAX_MODEL_BYTES) return LEDGE_OK;
  return error_set(
      x->out.error, LEDGE_ERROR_LIMIT, "the model takes %llu bytes, over the 2 GiB of an ONNX file: %s",
      (unsigned long long)x->out.pos,
      external_name ? "its attributes alone are too large" : "write it to a file, with its weights in external data");
}

static ledge_status write_model(onnx_export *x, save_file *f, const char *path, ledge_error *error) {
  TRY(save_open(f, path, error));
  out_start(&x->out, save_write, f);
  onnx_emit_model(x);
  TRY(out_finish(&x->out));
  return save_finish(f, error);
}

static ledge_status save_files(onnx_export *x, const char *path, const char *data_path, ledge_error *error) {
  save_file model_file = {.fd = -1}, data_file = {.fd = -1};
  ledge_status status = LEDGE_OK;
  bool has_data = x->n_spans > 0;
  if (has_data) status = write_data(x, data_path, &data_file, error);
  if (!status) status = write_model(x, &model_file, path, error);
  if (!status && has_data) status = save_move(&data_file, error);
  if (!status) status = save_move(&model_file, error);
  save_close(&data_file);
  save_close(&model_file);
  return status;
}

ledge_status onnx_write_file(const model *m, const char *path, const onnx_write_options *options, ledge_error *error) {
  size_t size = strlen(path) + 8;
  char *data_path = mem_alloc(size);
  if (!data_path) return error_memory(error, size, "a path");
  snprintf(data_path, size, "%s.data", path);
  const char *slash = strrchr(data_path, '/'), *name = slash ? slash + 1 : data_path;
  onnx_export x;
  ledge_status status = onnx_export_init(&x, m, error);
  if (options && options->external_bytes) {
    x.external_name = name;
    x.external_bytes = options->external_bytes > EXTERNAL_MIN ? options->external_bytes : EXTERNAL_MIN;
  }
  if (!status) status = count_model(&x, name);
  if (status) status = error_prefix(error, status, "%s", path);
  if (!status) status = save_files(&x, path, data_path, error);
  onnx_export_deinit(&x);
  mem_free(data_path);
  return status;
}

typedef struct save_memory {
  uint8_t *data;
  size_t size, used;
} save_memory;

static ledge_status memory_write(void *arg, const void *data, size_t size, ledge_error *error) {
  save_memory *to = arg;
  if (size > to->size - to->used) return error_set(error, LEDGE_ERROR_INTERNAL, "a model is larger than counted");
  memcpy(to->data + to->used, data, size);
  to->used += size;
  return LEDGE_OK;
}

ledge_status onnx_write_memory(const model *m, uint8_t **ret, size_t *ret_size, ledge_error *error) {
  onnx_export x;
  save_memory to = {0};
  ledge_status status = onnx_export_init(&x, m, error);
  if (!status) status = count_model(&x, NULL);
  if (!status) {
    to.size = (size_t)x.out.pos;
    to.data = mem_alloc(to.size);
    if (!to.data) status = error_memory(error, to.size, "a model");
  }
  if (!status) {
    out_start(&x.out, memory_write, &to);
    onnx_emit_model(&x);
    status = out_finish(&x.out);
  }
  onnx_export_deinit(&x);
  if (status) {
    mem_free(to.data);
    return status;
  }
  *ret = to.data;
  *ret_size = to.used;
  return LEDGE_OK;
}
