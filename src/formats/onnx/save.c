/* formats/onnx/save: a model to a file, with external data where asked for or needed, or to memory. Files appear whole
 * or not at all (base/writer). */
#include "base/writer.h"
#include "formats/onnx/write.h"
#include "tensor/mapped.h"

#include <stdio.h>
#include <sys/stat.h>

#define MAX_MODEL_BYTES INT32_MAX /* protobuf's own limit */
enum { EXTERNAL_MIN = 1024 };     /* smaller ones may be shapes, which others want to see in the model itself */

/* ---- the model ---- */

static ledge_status file_sink(void *arg, const void *data, size_t size, ledge_error *error) {
  return file_writer_append(arg, data, size, error);
}

static ledge_status write_data(const onnx_export *x, file_writer *f, ledge_error *error) {
  static const unsigned char zeros[EXTERNAL_MAX_ALIGN];
  for (size_t i = 0; i < x->n_spans; i++) {
    const onnx_span *span = &x->spans[i];
    TRY(file_writer_append(f, zeros, (size_t)(span->offset - file_writer_offset(f)), error));
    TRY(file_writer_append(f, span->data, (size_t)span->bytes, error));
  }
  return LEDGE_OK;
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

static ledge_status write_model(onnx_export *x, file_writer *f) {
  out_start(&x->out, file_sink, f);
  onnx_emit_model(x);
  return out_finish(&x->out);
}

/* The external data's name is made here, not given by the user: what stands there must not lead elsewhere. */
static ledge_status check_data_path(const char *path, ledge_error *error) {
  struct stat s;
  if (lstat(path, &s) || S_ISREG(s.st_mode)) return LEDGE_OK;
  return error_set(error, LEDGE_ERROR_IO, "%s: is a link or no plain file, so no weights are written there: remove it",
                   path);
}

/* Weights out of a file that shrank meanwhile would be zeros, or are what a failed write could not read. */
static ledge_status check_weights(const model *m, ledge_status status, ledge_error *error) {
  for (; m && (!status || status == LEDGE_ERROR_IO); m = m->origin)
    for (int i = 0; i < m->n_keep; i++) TRY(storage_check(m->keep[i], error));
  return status;
}

/* The data are put in place before the model that names them. */
static ledge_status save_files(onnx_export *x, const char *path, const char *data_path, ledge_error *error) {
  file_writer *model_file = NULL, *data_file = NULL;
  bool has_data = x->n_spans > 0;
  ledge_status status = has_data ? check_data_path(data_path, error) : LEDGE_OK;
  if (!status && has_data) status = file_writer_open(data_path, &data_file, error);
  if (!status && has_data) status = write_data(x, data_file, error);
  if (!status) status = file_writer_open(path, &model_file, error);
  if (!status) status = write_model(x, model_file);
  status = check_weights(x->m, status, error);
  if (!status && has_data) {
    status = file_writer_commit(data_file, error);
    data_file = NULL;
  }
  if (!status) {
    status = file_writer_commit(model_file, error);
    model_file = NULL;
  }
  file_writer_abort(data_file);
  file_writer_abort(model_file);
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
  x.changed = options && options->changed;
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
