/* tensor/tensor: see tensor.h. */
#include "tensor/tensor.h"

#include "base/error.h"

#include <assert.h>
#include <stdio.h>

enum { STORAGE_ALIGN = 64 };

static void storage_release_heap(storage *s) {
  arena_deinit(&s->strings);
  mem_free(s->data);
  mem_free(s);
}

storage *storage_create(size_t bytes) {
  storage *s = mem_zalloc(sizeof *s);
  if (!s) return NULL;
  s->data = mem_alloc_aligned(bytes, STORAGE_ALIGN);
  if (!s->data) {
    mem_free(s);
    return NULL;
  }
  s->bytes = bytes;
  s->release = storage_release_heap;
  atomic_init(&s->refs, 1);
  arena_init(&s->strings);
  return s;
}

storage *storage_ref(storage *s) {
  if (s) atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
  return s;
}

void storage_unref(storage *s) {
  if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) s->release(s);
}

int64_t shape_elements(int rank, const int64_t *dims) {
  int64_t n = 1;
  bool zero = false;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 0) return -1;
    if (dims[i] == 0)
      zero = true;
    else if (__builtin_mul_overflow(n, dims[i], &n))
      return -1;
  }
  return zero ? 0 : n;
}

bool shape_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b) {
  return rank_a == rank_b && (rank_a == 0 || !memcmp(a, b, (size_t)rank_a * sizeof *a));
}

void shape_strides(int rank, const int64_t *dims, int64_t *strides) {
  int64_t n = 1;
  for (int i = rank - 1; i >= 0; i--) {
    strides[i] = n;
    n *= dims[i];
  }
}

int shape_broadcast(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int64_t *dims) {
  int rank = rank_a > rank_b ? rank_a : rank_b;
  int64_t out[LEDGE_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    int64_t x = i < rank - rank_a ? 1 : a[i - (rank - rank_a)], y = i < rank - rank_b ? 1 : b[i - (rank - rank_b)];
    if (x != y && x != 1 && y != 1) return -1;
    out[i] = x == 1 ? y : x;
  }
  memcpy(dims, out, (size_t)rank * sizeof *out);
  return rank;
}

char *shape_print(int rank, const int64_t *dims, char *text, size_t size) {
  size_t at = 0;
  if (!size) return text;
  text[0] = 0;
  for (int i = 0; i < rank + 2; i++) {
    int n;
    if (i == 0)
      n = snprintf(text + at, size - at, "[");
    else if (i == rank + 1)
      n = snprintf(text + at, size - at, "]");
    else if (dims[i - 1] < 0)
      n = snprintf(text + at, size - at, i > 1 ? "x?" : "?");
    else
      n = snprintf(text + at, size - at, i > 1 ? "x%lld" : "%lld", (long long)dims[i - 1]);
    if (n < 0 || (size_t)n >= size - at) break;
    at += (size_t)n;
  }
  return text;
}

size_t tensor_bytes(const tensor *t) {
  size_t bytes;
  return dtype_array_bytes(t->dtype, tensor_elements(t), &bytes) ? bytes : SIZE_MAX;
}

bool tensor_is_aligned(const tensor *t) {
  size_t bytes = dtype_bytes(t->dtype);
  if (t->dtype == LEDGE_STRING) bytes = _Alignof(ledge_string);
  if (t->dtype == LEDGE_C64 || t->dtype == LEDGE_C128) bytes /= 2;
  return bytes < 2 || (uintptr_t)t->data % bytes == 0;
}

int64_t tensor_span(const tensor *t, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++) n *= t->dims[i];
  return n;
}

void tensor_set_shape(tensor *t, ledge_dtype dtype, int rank, const int64_t *dims) {
  assert(rank >= 0 && rank <= LEDGE_MAX_RANK);
  t->dtype = dtype;
  t->rank = rank;
  if (rank) memmove(t->dims, dims, (size_t)rank * sizeof *dims);
}

ledge_status tensor_alloc(tensor *t, ledge_error *error) {
  size_t bytes = tensor_bytes(t);
  if (bytes == SIZE_MAX) return error_set(error, LEDGE_ERROR_LIMIT, "a tensor's size overflows");
  storage *s = storage_create(bytes);
  if (!s) return error_memory(error, bytes, "a tensor");
  if (t->dtype == LEDGE_STRING) memset(s->data, 0, bytes);
  storage_unref(t->own);
  t->own = s;
  t->data = s->data;
  return LEDGE_OK;
}

void tensor_deinit(tensor *t) {
  storage_unref(t->own);
  *t = (tensor){0};
}

void tensor_share(tensor *dst, const tensor *src) {
  tensor copy = *src;
  storage_ref(copy.own);
  storage_unref(dst->own);
  *dst = copy;
}

ledge_status tensor_put_string(tensor *t, int64_t i, const char *text, size_t size, ledge_error *error) {
  assert(t->dtype == LEDGE_STRING && t->own);
  char *copy = arena_strndup(&t->own->strings, text, size);
  if (!copy) return error_memory(error, size, "a string");
  ((ledge_string *)t->data)[i] = (ledge_string){copy, size};
  return LEDGE_OK;
}

ledge_status tensor_copy_data(tensor *dst, const tensor *src, ledge_error *error) {
  assert(dst->dtype == src->dtype);
  if (src->dtype == LEDGE_STRING) {
    int64_t n = tensor_elements(src);
    const ledge_string *from = src->data;
    for (int64_t i = 0; i < n; i++) TRY(tensor_put_string(dst, i, from[i].data, from[i].size, error));
    return LEDGE_OK;
  }
  size_t bytes = tensor_bytes(src);
  if (bytes) memmove(dst->data, src->data, bytes);
  return LEDGE_OK;
}

ledge_status tensor_copy(tensor *dst, const tensor *src, ledge_error *error) {
  tensor copy = {0};
  tensor_set_shape(&copy, src->dtype, src->rank, src->dims);
  ledge_status status = tensor_alloc(&copy, error);
  if (!status) status = tensor_copy_data(&copy, src, error);
  if (status) {
    tensor_deinit(&copy);
    return status;
  }
  storage_unref(dst->own);
  *dst = copy;
  return LEDGE_OK;
}

sequence *sequence_create(int64_t count, ledge_dtype dtype) {
  if (count < 0 || (uint64_t)count > SIZE_MAX / sizeof(value)) return NULL;
  sequence *s = mem_zalloc(sizeof *s);
  if (!s) return NULL;
  s->items = mem_alloc_array((size_t)count, sizeof *s->items);
  if (!s->items) {
    mem_free(s);
    return NULL;
  }
  s->count = count;
  s->dtype = dtype;
  atomic_init(&s->refs, 1);
  return s;
}

sequence *sequence_ref(sequence *s) {
  if (s) atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
  return s;
}

void sequence_unref(sequence *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  for (int64_t i = 0; i < s->count; i++) value_deinit(&s->items[i]);
  mem_free(s->items);
  mem_free(s);
}

void value_deinit(value *v) {
  tensor_deinit(&v->tensor);
  tensor_deinit(&v->keys);
  sequence_unref(v->list);
  *v = (value){0};
}

void value_share(value *dst, const value *src) {
  value copy = *src;
  storage_ref(copy.tensor.own);
  storage_ref(copy.keys.own);
  sequence_ref(copy.list);
  value_deinit(dst);
  *dst = copy;
}

static ledge_status tensor_keep(tensor *dst, const tensor *src, ledge_error *error) {
  if (src->dtype == LEDGE_DTYPE_NONE) return LEDGE_OK;
  if (src->own) {
    tensor_share(dst, src);
    return LEDGE_OK;
  }
  return tensor_copy(dst, src, error);
}

ledge_status value_keep(value *dst, const value *src, ledge_error *error) {
  value copy = {.kind = src->kind};
  ledge_status status = tensor_keep(&copy.tensor, &src->tensor, error);
  if (!status) status = tensor_keep(&copy.keys, &src->keys, error);
  if (status) {
    value_deinit(&copy);
    return status;
  }
  copy.list = sequence_ref(src->list); /* items of a sequence are always owned */
  value_deinit(dst);
  *dst = copy;
  return LEDGE_OK;
}
