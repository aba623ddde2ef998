/* formats/onnx/external: tensors whose elements stand in a file of their own, beside the model or below its folder
 * (docs/ExternalData.md of ONNX). Each file is mapped once and its elements are used in place. A path that is absolute,
 * has "..", or leaves the folder by a link is an error (base/beneath). A mapping holds a file open: of a model with a
 * file a weight, those after the first ONNX_MAX_MAPPED are copied and closed. */
#include "base/beneath.h"
#include "base/map.h"
#include "formats/onnx/read.h"
#include "tensor/mapped.h"

#include <unistd.h>

enum { ONNX_MAX_MAPPED = 64, ONNX_MAX_FILES = 65536 };

/* The files met so far, by the path that the model gives. */
struct onnx_external {
  hash names;      /* location -> index in files */
  storage **files; /* of those that stay mapped: borrowed, the model keeps them */
  int n_files, n_met;
  hash counted; /* device and inode of those whose size raised the memory limit */
};

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
    return onnx_check_name(text, "external data's location", error);
  }
  bool is_offset = onnx_equal(key, "offset");
  if (!is_offset && !onnx_equal(key, "length")) return LEDGE_OK; /* checksum, and what others add */
  uint64_t number;
  if (!parse_number(text, &number))
    return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&r),
                        "external data's %s '%.*s' is no number of bytes: the file is damaged",
                        is_offset ? "offset" : "length", ONNX_SHOW(text));
  *(is_offset ? &t->offset : &t->length) = number;
  return LEDGE_OK;
}

static ledge_status external_fail(onnx_in *in, const onnx_tensor *t, ledge_status code, const char *what) {
  return error_set_at(in->error, code, t->at, "tensor '%.*s' at byte %llu: its external file '%.*s' %s",
                      ONNX_SHOW(t->name), (unsigned long long)t->at, ONNX_SHOW(t->location), what);
}

static ledge_status open_map(onnx_in *in, const onnx_tensor *t, file_map **ret) {
  char local[512], *path = local;
  int fd = -1;
  if (!in->options.folder)
    return external_fail(in, t, LEDGE_ERROR_ARGUMENT,
                         "cannot be found, as the model comes from memory: say in which folder "
                         "its files are");
  if (t->location.size >= sizeof local && !(path = mem_alloc(t->location.size + 1)))
    return error_memory(in->error, t->location.size, "a path");
  if (t->location.size) memcpy(path, t->location.data, t->location.size);
  path[t->location.size] = 0;
  ledge_status status = file_open_beneath_path(in->options.folder, path, in->options.allow_links, &fd, in->error);
  if (!status) {
    status = file_map_fd(fd, path, ret, in->error);
    close(fd);
  }
  if (path != local) mem_free(path);
  if (status) onnx_prefix(in, status, "tensor '%.*s' at byte %llu", ONNX_SHOW(t->name), (unsigned long long)t->at);
  return status;
}

/* What a file holds may be copied (where it is not aligned): its size counts as the model's own does, but once. */
static ledge_status raise_limit(onnx_in *in, const file_map *m) {
  onnx_external *x = in->external;
  file_identity id;
  if (in->options.limit_bytes || !file_map_identity(m, &id)) return LEDGE_OK;
  uint64_t *key = arena_alloc(&in->scratch, 2 * sizeof *key);
  if (!key) return error_memory(in->error, 2 * sizeof *key, "external data");
  key[0] = id.device;
  key[1] = id.inode;
  switch (hash_put(&x->counted, (const char *)key, 2 * sizeof *key, 0)) {
    case HASH_NO_MEMORY: return error_memory(in->error, sizeof(hash_slot), "external data");
    case HASH_REPLACED: return LEDGE_OK;
    case HASH_NEW: break;
  }
  if (!mem_add(in->limit_bytes, file_map_size(m), &in->limit_bytes)) in->limit_bytes = SIZE_MAX;
  return LEDGE_OK;
}

static ledge_status keep_file(onnx_in *in, const onnx_tensor *t, storage *s) {
  onnx_external *x = in->external;
  TRY(model_keep(in->m, s, in->error));
  storage **files = mem_realloc(x->files, ((size_t)x->n_files + 1) * sizeof(storage *));
  if (!files) return error_memory(in->error, sizeof(storage *), "external data");
  x->files = files;
  const char *key = t->location.size ? (const char *)t->location.data : "";
  if (hash_put(&x->names, key, t->location.size, x->n_files) == HASH_NO_MEMORY)
    return error_memory(in->error, sizeof(hash_slot), "external data");
  x->files[x->n_files++] = s;
  return LEDGE_OK;
}

/* The storage of the tensor's file, with a reference for the caller. */
static ledge_status open_file(onnx_in *in, const onnx_tensor *t, storage **ret) {
  onnx_external *x = in->external;
  int32_t i;
  if (!x && !(x = in->external = mem_zalloc(sizeof *x))) return error_memory(in->error, sizeof *x, "external data");
  if (hash_get(&x->names, t->location.size ? (const char *)t->location.data : "", t->location.size, &i)) {
    *ret = storage_ref(x->files[i]);
    return LEDGE_OK;
  }
  if (x->n_met++ == ONNX_MAX_FILES)
    return external_fail(in, t, LEDGE_ERROR_LIMIT, "is one of more than 65536: save the weights in fewer files");
  file_map *m;
  TRY(open_map(in, t, &m));
  ledge_status status = raise_limit(in, m);
  storage *s = status ? NULL : storage_from_map(m);
  file_map_unref(m);
  TRY(status);
  if (!s) return error_memory(in->error, sizeof *s, "external data");
  status = x->n_files < ONNX_MAX_MAPPED ? keep_file(in, t, s) : LEDGE_OK;
  if (status)
    storage_unref(s);
  else
    *ret = s;
  return status;
}

static ledge_status load_from(onnx_in *in, const onnx_tensor *t, storage *file, tensor *ret) {
  uint64_t size = file->bytes;
  if (t->length != UINT64_MAX && t->length != t->bytes)
    return external_fail(in, t, LEDGE_ERROR_FORMAT,
                         "is said to hold another number of bytes than its shape and type take");
  if (t->offset > size || t->bytes > size - t->offset)
    return external_fail(in, t, LEDGE_ERROR_FORMAT, "ends before the tensor does: it is cut off, or of another model");
  /* From here on it is a tensor of raw data that lie elsewhere. */
  onnx_tensor raw = *t;
  raw.is_external = false;
  raw.field = t->bytes ? 9 : 0;
  raw.raw = reader_make((const uint8_t *)file->data + t->offset, t->bytes, t->offset);
  onnx_external *x = in->external;
  bool stays = false;
  for (int i = 0; i < x->n_files && !stays; i++) stays = x->files[i] == file;
  storage *owner = in->owner;
  in->owner = stays ? file : NULL;
  ledge_status status = onnx_load_tensor(in, &raw, ret);
  in->owner = owner;
  return status;
}

ledge_status onnx_load_external(onnx_in *in, const onnx_tensor *t, tensor *ret) {
  storage *file = NULL;
  TRY(open_file(in, t, &file));
  ledge_status status = load_from(in, t, file, ret);
  storage_unref(file);
  return status;
}

void onnx_external_close(onnx_in *in) {
  if (!in->external) return;
  hash_deinit(&in->external->names);
  hash_deinit(&in->external->counted);
  mem_free(in->external->files);
  mem_free(in->external);
  in->external = NULL;
}
