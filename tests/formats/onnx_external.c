/* formats/onnx: weights in files of their own: found, used in place, and only below the model's folder. */
#include "onnx_build.h"

#include "base/arena.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ledge-onnx-XXXXXX";
static char inner[64]; /* folder/inner: the models' own */
static float values[64];

static void write_file(const char *where, const char *name, const void *data, size_t size) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", where, name);
  FILE *f = fopen(path, "wb");
  CHECK(f && fwrite(data, 1, size, f) == size);
  if (f) fclose(f);
}

static msg make_external(const char *dims, const char *location, const char *offset, const char *length) {
  msg t = make_tensor("w", 1, dims, NULL, 0), g = make_unary("F");
  put_int(&t, 14, 1);
  if (location) put_pair(&t, 13, "location", location);
  if (offset) put_pair(&t, 13, "offset", offset);
  if (length) put_pair(&t, 13, "length", length);
  put_pair(&t, 13, "checksum", "0123");
  put_pair(&t, 13, "__class__", "whatever");
  put_msg(&g, GRAPH_INIT, t);
  return make_model(8, 17, g);
}

static void setup(void) {
  char path[256];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(inner, sizeof inner, "%s/inner", folder);
  CHECK(mkdir(inner, 0700) == 0);
  snprintf(path, sizeof path, "%s/sub", inner);
  CHECK(mkdir(path, 0700) == 0);
  for (int i = 0; i < 64; i++) values[i] = (float)i;
  write_file(inner, "w.bin", values, sizeof values);
  write_file(inner, "sub/w.bin", values, sizeof values);
  write_file(folder, "secret.bin", values, sizeof values);
  snprintf(path, sizeof path, "%s/link.bin", inner);
  CHECK(symlink("../secret.bin", path) == 0);
  snprintf(path, sizeof path, "%s/inside.bin", inner);
  CHECK(symlink("sub/w.bin", path) == 0);
  snprintf(path, sizeof path, "%s/away", inner);
  CHECK(symlink("..", path) == 0);
  snprintf(path, sizeof path, "%s/pipe", inner);
  CHECK(mkfifo(path, 0600) == 0);
}

static void cleanup(void) {
  static const char *const names[] = {"inner/w.bin",      "inner/sub/w.bin",  "inner/link.bin",
                                      "inner/inside.bin", "inner/away",       "inner/pipe",
                                      "secret.bin",       "inner/model.onnx", "inner/zeros.bin"};
  char path[256];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/sub", inner);
  CHECK(rmdir(path) == 0);
  CHECK(rmdir(inner) == 0);
  CHECK(rmdir(folder) == 0);
}

typedef struct external_case {
  const char *dims, *location, *offset, *length;
  ledge_status want;
  const char *says; /* of the message; of a model that loads, unused */
  int first;        /* the first value */
} external_case;

static const external_case cases_external[] = {
    {"64", "w.bin", NULL, NULL, LEDGE_OK, "", 0},
    {"64", "w.bin", "0", "256", LEDGE_OK, "", 0},
    {"2 4", "w.bin", "16", "32", LEDGE_OK, "", 4},
    {"4", "sub/w.bin", "240", NULL, LEDGE_OK, "", 60},
    {"4", "./sub/../w.bin", NULL, NULL, LEDGE_ERROR_FORMAT, "..", 0},
    {"4", "inside.bin", NULL, NULL, LEDGE_OK, "", 0},
    {"0", "w.bin", "256", NULL, LEDGE_OK, "", -1},
    {"4", "w.bin", "244", NULL, LEDGE_ERROR_FORMAT, "ends before the tensor does", 0},
    {"65", "w.bin", NULL, NULL, LEDGE_ERROR_FORMAT, "ends before the tensor does", 0},
    {"4", "w.bin", "18446744073709551615", NULL, LEDGE_ERROR_FORMAT, "ends before", 0},
    {"4", "w.bin", "18446744073709551616", NULL, LEDGE_ERROR_FORMAT, "no number of bytes", 0},
    {"4", "w.bin", "-4", NULL, LEDGE_ERROR_FORMAT, "no number of bytes", 0},
    {"4", "w.bin", "", NULL, LEDGE_ERROR_FORMAT, "no number of bytes", 0},
    {"4", "w.bin", "0x10", NULL, LEDGE_ERROR_FORMAT, "no number of bytes", 0},
    {"4", "w.bin", NULL, "-1", LEDGE_ERROR_FORMAT, "no number of bytes", 0},
    {"4", "w.bin", NULL, "12", LEDGE_ERROR_FORMAT, "another number of bytes", 0},
    {"4", "w.bin", NULL, "4503599627370496", LEDGE_ERROR_FORMAT, "another number of bytes", 0},
    {"1000000 1000000", "w.bin", NULL, NULL, LEDGE_ERROR_FORMAT, "ends before", 0},
    {"4", NULL, NULL, NULL, LEDGE_ERROR_FORMAT, "does not say in which file", 0},
    {"4", "missing.bin", NULL, NULL, LEDGE_ERROR_IO, "missing.bin", 0},
    {"4", "/etc/passwd", NULL, NULL, LEDGE_ERROR_FORMAT, "/etc/passwd", 0},
    {"4", "../secret.bin", NULL, NULL, LEDGE_ERROR_FORMAT, "..", 0},
    {"4", "sub/../../secret.bin", NULL, NULL, LEDGE_ERROR_FORMAT, "..", 0},
    {"4", "link.bin", NULL, NULL, LEDGE_ERROR_IO, "link.bin", 0},
    {"4", "away/secret.bin", NULL, NULL, LEDGE_ERROR_IO, "away/secret.bin", 0},
    {"4", "pipe", NULL, NULL, LEDGE_ERROR_IO, "pipe", 0},
    {"4", "sub", NULL, NULL, LEDGE_ERROR_IO, "sub", 0},
    {"4", "", NULL, NULL, LEDGE_ERROR_FORMAT, "", 0},
    {"4", "*/_ORT_MEM_ADDR_/*", "94000000000000", NULL, LEDGE_ERROR_IO, "ORT_MEM_ADDR", 0},
};

static void test_cases(void) {
  for (size_t i = 0; i < sizeof cases_external / sizeof *cases_external; i++) {
    const external_case *c = &cases_external[i];
    ledge_error e = {0};
    msg file = make_external(c->dims, c->location, c->offset, c->length);
    save_seed(&file);
    model *m = NULL;
    ledge_status status = onnx_read(file.data, file.size, NULL, "m", &(onnx_options){.folder = inner}, &m, &e);
    if (status != c->want || (status && !strstr(e.message, c->says)))
      TEST_FAIL("%s: %s %s", c->location ? c->location : "none", ledge_status_name(status), e.message);
    if (!status && c->first >= 0) {
      const tensor *t = constant(m, "w");
      CHECK(t && *(float *)t->data == (float)c->first);
    }
    if (!status) model_destroy(m);
    writer_deinit(&file);
  }
}

static void test_links(void) {
  ledge_error e = {0};
  msg file = make_external("4", "link.bin", NULL, NULL);
  model *m = NULL;
  CHECK(onnx_read(file.data, file.size, NULL, "m", &(onnx_options){.folder = inner, .allow_links = true}, &m, &e) ==
        LEDGE_OK);
  if (m) CHECK(((float *)constant(m, "w")->data)[3] == 3);
  model_destroy(m);
  m = NULL;
  CHECK(onnx_read(file.data, file.size, NULL, "m", NULL, &m, &e) == LEDGE_ERROR_ARGUMENT);
  CHECK(strstr(e.message, "folder"));
  writer_deinit(&file);
}

static void test_file(void) {
  ledge_error e = {0};
  char path[256];
  msg file = make_external("4", "w.bin", "16", NULL);
  write_file(inner, "model.onnx", file.data, file.size);
  writer_deinit(&file);
  snprintf(path, sizeof path, "%s/model.onnx", inner);
  model *m = NULL;
  CHECK(onnx_read_file(path, NULL, &m, &e) == LEDGE_OK);
  if (m) CHECK(*(float *)constant(m, "w")->data == 4);
  model_destroy(m);
  CHECK(onnx_read_file("/nowhere/model.onnx", NULL, &m, &e) == LEDGE_ERROR_IO);
}

/* Values in two places, and strings outside, are errors. */
static void test_mixed(void) {
  ledge_error e;
  msg t = make_tensor("w", 1, "1", "abcd", 4), g = make_unary("F");
  put_int(&t, 14, 1);
  put_pair(&t, 13, "location", "w.bin");
  put_msg(&g, GRAPH_INIT, t);
  CHECK(!read_msg(make_model(8, 17, g), &(onnx_options){.folder = inner}, &e));
  CHECK(strstr(e.message, "two places"));
  t = make_tensor("w", 8, "1", NULL, 0);
  put_int(&t, 14, 1);
  put_pair(&t, 13, "location", "w.bin");
  g = make_unary("F");
  put_msg(&g, GRAPH_INIT, t);
  CHECK(!read_msg(make_model(8, 17, g), &(onnx_options){.folder = inner}, &e));
  CHECK(strstr(e.message, "strings in an external file"));
}

/* More files than stay mapped, by as many names: all are read, most are copied. */
static void test_many_files(void) {
  ledge_error e = {0};
  msg g = make_unary("F");
  char name[300];
  for (int i = 0; i < 200; i++) {
    snprintf(name, sizeof name, "w%d", i);
    msg t = make_tensor(name, 1, "4", NULL, 0);
    put_int(&t, 14, 1);
    memset(name, 0, sizeof name); /* ././././w.bin */
    for (int k = 0; k < i / 2; k++) memcpy(name + 2 * k, "./", 2);
    memcpy(name + strlen(name), i & 1 ? "sub/w.bin" : "w.bin", i & 1 ? 10 : 6);
    put_pair(&t, 13, "location", name);
    put_pair(&t, 13, "offset", "8");
    put_msg(&g, GRAPH_INIT, t);
  }
  model *m = read_msg(make_model(8, 17, g), &(onnx_options){.folder = inner}, &e);
  if (!m) TEST_FAIL("%s", e.message);
  if (!m) return;
  for (int i = 0; i < 200; i++) {
    snprintf(name, sizeof name, "w%d", i);
    CHECK(*(float *)constant(m, name)->data == 2);
  }
  model_destroy(m);
}

/* A thousand tables out of one large file at an odd offset would each be copied: the limit says no in time. */
static void test_amplified(void) {
  ledge_error e = {0};
  char path[256], name[16];
  snprintf(path, sizeof path, "%s/zeros.bin", inner);
  write_file(inner, "zeros.bin", "", 0);
  CHECK(truncate(path, 1 << 22) == 0);
  msg g = make_unary("F");
  for (int i = 0; i < 1000; i++) {
    snprintf(name, sizeof name, "w%d", i);
    msg t = make_tensor(name, LEDGE_I64, "524000", NULL, 0);
    put_int(&t, 14, 1);
    put_pair(&t, 13, "location", "zeros.bin");
    put_pair(&t, 13, "offset", "1");
    put_msg(&g, GRAPH_INIT, t);
  }
  CHECK(!read_msg(make_model(8, 17, g), &(onnx_options){.folder = inner}, &e));
  CHECK_INT(e.code, LEDGE_ERROR_LIMIT);
}

TEST_MAIN({"setup", setup}, {"cases", test_cases}, {"links", test_links}, {"file", test_file}, {"mixed", test_mixed},
          {"many_files", test_many_files}, {"amplified", test_amplified}, {"cleanup", cleanup})
