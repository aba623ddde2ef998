/* Shapes, tensors, values and sequences: who owns what, and that nothing is left when memory runs out. */
#include "tensor/tensor.h"

#include "base/error.h"
#include "tensor/mapped.h"
#include "test.h"

static ledge_error error;

static long long standing(void) {
  return atomic_load(&mem_stats_global.allocations) - atomic_load(&mem_stats_global.frees);
}

static void test_elements(void) {
  CHECK_INT(shape_elements(0, NULL), 1);
  CHECK_INT(shape_elements(3, (int64_t[]){2, 3, 4}), 24);
  CHECK_INT(shape_elements(2, (int64_t[]){2, -1}), -1);
  CHECK_INT(shape_elements(3, (int64_t[]){INT64_MAX, 0, INT64_MAX}), -1); /* what is not zero must not overflow */
  CHECK_INT(shape_elements(2, (int64_t[]){INT64_MAX, 0}), 0);
  CHECK_INT(shape_elements(2, (int64_t[]){INT64_MAX, 2}), -1);
  CHECK_INT(shape_elements(2, (int64_t[]){0, -1}), -1);
  CHECK_INT(shape_elements(1, (int64_t[]){INT64_MAX}), INT64_MAX);
}

static void test_equal(void) {
  int64_t a[] = {2, 3}, b[] = {2, 3, 1};
  CHECK(shape_equal(2, a, 2, b) && !shape_equal(2, a, 3, b) && shape_equal(0, NULL, 0, a) &&
        !shape_equal(0, NULL, 1, a));
  b[1] = 4;
  CHECK(!shape_equal(2, a, 2, b));
}

static void test_strides(void) {
  int64_t s[3];
  shape_strides(3, (int64_t[]){2, 3, 4}, s);
  CHECK(s[0] == 12 && s[1] == 4 && s[2] == 1);
  shape_strides(3, (int64_t[]){2, 0, 4}, s);
  CHECK(s[0] == 0 && s[1] == 4 && s[2] == 1);
  shape_strides(0, NULL, s);
}

static void test_broadcast(void) {
  static const struct {
    int rank_a, rank_b, rank;
    int64_t a[4], b[4], want[4];
  } rows[] = {
      {0, 0, 0, {0}, {0}, {0}},
      {0, 2, 2, {0}, {3, 4}, {3, 4}},
      {2, 1, 2, {3, 4}, {4}, {3, 4}},
      {2, 1, 2, {3, 1}, {4}, {3, 4}},
      {3, 4, 4, {5, 1, 7}, {2, 1, 6, 1}, {2, 5, 6, 7}},
      {2, 2, 2, {0, 1}, {1, 5}, {0, 5}},
      {1, 1, 1, {0}, {1}, {0}},
      {1, 1, -1, {2}, {3}, {0}},
      {2, 1, -1, {3, 4}, {3}, {0}},
      {1, 1, -1, {0}, {2}, {0}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t got[LEDGE_MAX_RANK] = {99, 99};
    int rank = shape_broadcast(rows[i].rank_a, rows[i].a, rows[i].rank_b, rows[i].b, got);
    CHECK_INT(rank, rows[i].rank);
    for (int k = 0; k < rank; k++) CHECK_INT(got[k], rows[i].want[k]);
    if (rank < 0) CHECK_INT(got[0], 99);
  }
  int64_t in_place[LEDGE_MAX_RANK] = {1, 4};
  CHECK_INT(shape_broadcast(2, in_place, 1, (int64_t[]){4}, in_place), 2);
  CHECK(in_place[0] == 1 && in_place[1] == 4);
}

static void test_print(void) {
  char text[32];
  CHECK_STR(shape_print(3, (int64_t[]){2, -1, 4}, text, sizeof text), "[2x?x4]");
  CHECK_STR(shape_print(0, NULL, text, sizeof text), "[]");
  CHECK_STR(shape_print(2, (int64_t[]){-1, INT64_MAX}, text, sizeof text), "[?x9223372036854775807]");
  int64_t many[LEDGE_MAX_RANK];
  for (int i = 0; i < LEDGE_MAX_RANK; i++) many[i] = 1000000;
  for (size_t size = 1; size < sizeof text; size++) CHECK(strlen(shape_print(LEDGE_MAX_RANK, many, text, size)) < size);
  text[0] = 'x';
  CHECK(shape_print(1, many, text, 0)[0] == 'x');
}

static void test_bytes(void) {
  tensor t = {0};
  tensor_set_shape(&t, LEDGE_I4, 2, (int64_t[]){3, 5});
  CHECK_INT(tensor_elements(&t), 15);
  CHECK_INT(tensor_bytes(&t), 8);
  CHECK_INT(tensor_span(&t, 0, 2), 15);
  CHECK_INT(tensor_span(&t, 1, 1), 1);
  tensor_set_shape(&t, LEDGE_F32, 1, (int64_t[]){INT64_MAX});
  CHECK(tensor_bytes(&t) == SIZE_MAX);
  CHECK_INT(tensor_alloc(&t, &error), LEDGE_ERROR_LIMIT);
  tensor_set_shape(&t, LEDGE_F32, 1, (int64_t[]){-1});
  CHECK(tensor_bytes(&t) == SIZE_MAX);
  tensor_set_shape(&t, LEDGE_F32, 1, (int64_t[]){8});
  atomic_store(&mem_stats_global.fail_after, 0);
  CHECK_INT(tensor_alloc(&t, &error), LEDGE_ERROR_MEMORY);
  atomic_store(&mem_stats_global.fail_after, -1);
  CHECK(!t.data && !t.own);
  tensor_set_shape(&t, LEDGE_F32, 0, NULL);
  CHECK_INT(tensor_bytes(&t), 4);
}

static void test_ownership(void) {
  long long before = standing();
  tensor a = {0}, b = {0}, c = {0};
  tensor_set_shape(&a, LEDGE_F32, 2, (int64_t[]){2, 2});
  CHECK_INT(tensor_alloc(&a, &error), LEDGE_OK);
  CHECK((uintptr_t)a.data % 64 == 0);
  for (int i = 0; i < 4; i++) ((float *)a.data)[i] = (float)i;
  CHECK(tensor_f64(&a, 3) == 3 && tensor_i64(&a, 2) == 2);
  tensor_share(&b, &a);
  CHECK(b.data == a.data && b.own == a.own && a.own->refs == 2 && tensor_same_shape(&a, &b));
  tensor_share(&b, &b); /* with itself */
  CHECK(a.own->refs == 2);
  CHECK_INT(tensor_copy(&c, &a, &error), LEDGE_OK);
  CHECK(c.data != a.data && !memcmp(c.data, a.data, 16));
  tensor_deinit(&a);
  CHECK(tensor_f64(&b, 3) == 3 && b.own->refs == 1);
  CHECK_INT(tensor_copy(&b, &b, &error), LEDGE_OK);
  CHECK(tensor_f64(&b, 3) == 3);
  tensor_deinit(&b);
  tensor_deinit(&c);
  float here[4] = {5, 6, 7, 8};
  tensor borrowed = {.dtype = LEDGE_F32, .rank = 1, .dims = {4}, .data = here};
  tensor_share(&a, &borrowed);
  CHECK(a.data == here && !a.own);
  tensor_deinit(&a);
  CHECK_INT(standing(), before);
  CHECK(storage_ref(NULL) == NULL);
  storage_unref(NULL);
}

static void test_strings(void) {
  long long before = standing();
  tensor a = {0}, b = {0};
  tensor_set_shape(&a, LEDGE_STRING, 1, (int64_t[]){3});
  CHECK_INT(tensor_alloc(&a, &error), LEDGE_OK);
  const ledge_string *s = a.data;
  CHECK(s[0].data == NULL && s[2].size == 0);
  char text[] = "changing";
  CHECK_INT(tensor_put_string(&a, 0, text, 8, &error), LEDGE_OK);
  CHECK_INT(tensor_put_string(&a, 1, "", 0, &error), LEDGE_OK);
  text[0] = 'X';
  CHECK(s[0].size == 8 && !memcmp(s[0].data, "changing", 8) && s[1].size == 0);
  CHECK_INT(tensor_copy(&b, &a, &error), LEDGE_OK); /* the third was never put */
  tensor_deinit(&a);
  s = b.data;
  CHECK(!memcmp(s[0].data, "changing", 8) && s[2].size == 0);
  tensor_deinit(&b);
  CHECK_INT(standing(), before);
}

static ledge_status make_value(value *v) {
  *v = (value){.kind = VALUE_SEQUENCE, .list = sequence_create(2, LEDGE_F32)};
  if (!v->list) return LEDGE_ERROR_MEMORY;
  tensor *t = &v->list->items[0].tensor;
  v->list->items[0].kind = VALUE_TENSOR;
  tensor_set_shape(t, LEDGE_F32, 1, (int64_t[]){4});
  return tensor_alloc(t, &error);
}

static void test_values(void) {
  long long before = standing();
  value v = {0}, w = {0};
  CHECK_INT(make_value(&v), LEDGE_OK);
  value_share(&w, &v);
  CHECK(w.list == v.list && w.list->refs == 2);
  value_deinit(&v);
  CHECK(w.list->refs == 1);
  CHECK_INT(value_keep(&v, &w, &error), LEDGE_OK);
  CHECK(v.list == w.list);
  value_deinit(&v);
  value_deinit(&w);
  value_deinit(&w);
  float here[2] = {1, 2};
  int64_t keys[2] = {7, 9};
  value map = {.kind = VALUE_MAP,
               .tensor = {.dtype = LEDGE_F32, .rank = 1, .dims = {2}, .data = here},
               .keys = {.dtype = LEDGE_I64, .rank = 1, .dims = {2}, .data = keys}};
  CHECK_INT(value_keep(&v, &map, &error), LEDGE_OK); /* borrowed memory is copied */
  here[0] = 5, keys[0] = 5;
  CHECK(v.kind == VALUE_MAP && tensor_f64(&v.tensor, 0) == 1 && tensor_i64(&v.keys, 0) == 7);
  CHECK_INT(value_keep(&w, &v, &error), LEDGE_OK); /* owned memory is shared */
  CHECK(w.tensor.own == v.tensor.own);
  CHECK_INT(value_keep(&w, &w, &error), LEDGE_OK);
  value_share(&w, &w);
  CHECK(tensor_f64(&w.tensor, 1) == 2 && w.tensor.own->refs == 2);
  value_deinit(&v);
  value_deinit(&w);
  CHECK(!sequence_create(-1, LEDGE_F32) && !sequence_create(INT64_MAX, LEDGE_F32));
  sequence_unref(NULL);
  CHECK(sequence_ref(NULL) == NULL);
  CHECK_INT(standing(), before);
}

/* A borrowed tensor of strings, kept while each allocation fails in turn. */
static void test_out_of_memory(void) {
  ledge_string strings[2] = {{"one", 3}, {"two", 3}};
  value map = {.kind = VALUE_MAP,
               .tensor = {.dtype = LEDGE_STRING, .rank = 1, .dims = {2}, .data = strings},
               .keys = {.dtype = LEDGE_STRING, .rank = 1, .dims = {2}, .data = strings}};
  for (int fail = 0;; fail++) {
    long long before = standing();
    value v = {0}, w = {0};
    atomic_store(&mem_stats_global.fail_after, fail);
    ledge_status status = value_keep(&v, &map, &error);
    ledge_status made = status ? LEDGE_OK : make_value(&w);
    atomic_store(&mem_stats_global.fail_after, -1);
    if (status) CHECK(status == LEDGE_ERROR_MEMORY && v.kind == VALUE_NONE && !v.tensor.data);
    value_deinit(&v);
    value_deinit(&w);
    CHECK_INT(standing(), before);
    if (!status && !made) {
      CHECK(fail >= 10);
      break;
    }
  }
}

static void test_mapped(void) {
  long long before = standing();
  static const float numbers[] = {1, 2, 3};
  file_map *m = NULL;
  CHECK_INT(file_map_memory(numbers, sizeof numbers, "numbers", &m, &error), LEDGE_OK);
  storage *s = storage_from_map(m);
  file_map_unref(m);
  CHECK(s && s->data == numbers && s->bytes == sizeof numbers && storage_map(s) == m);
  CHECK_INT(storage_check(s, &error), LEDGE_OK);
  storage *heap = storage_create(8);
  CHECK(storage_map(heap) == NULL && storage_map(NULL) == NULL && storage_check(heap, &error) == LEDGE_OK);
  storage_unref(heap);
  storage_unref(s);
  CHECK_INT(standing(), before);
}

TEST_MAIN({"elements", test_elements}, {"equal", test_equal}, {"strides", test_strides}, {"broadcast", test_broadcast},
          {"print", test_print}, {"bytes", test_bytes}, {"ownership", test_ownership}, {"strings", test_strings},
          {"values", test_values}, {"out_of_memory", test_out_of_memory}, {"mapped", test_mapped})
