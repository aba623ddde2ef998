/* .npy and .npz: files as NumPy writes them (the headers below are NumPy's own text), what must be refused, and the way
 * out and back for every dtype. */
#include "formats/npy/npy.h"

#include "base/mem.h"
#include "base/rng.h"
#include "test.h"

#include <unistd.h>
#ifdef LEDGE_WITH_ZLIB
#include <zlib.h>
#endif

static uint8_t file[4096];

/* A file of version `major` with this literal, padded as NumPy does, and n bytes of elements. */
static size_t make(int major, const char *literal, const void *elements, size_t n) {
  size_t head = major == 1 ? 10 : 12, length = (head + strlen(literal) + 1 + 63) / 64 * 64 - head;
  memcpy(file, "\x93NUMPY", 6);
  file[6] = (uint8_t)major, file[7] = 0;
  file[8] = (uint8_t)length, file[9] = (uint8_t)(length >> 8);
  if (major > 1) file[10] = file[11] = 0;
  memset(file + head, ' ', length);
  memcpy(file + head, literal, strlen(literal));
  file[head + length - 1] = '\n';
  if (n) memcpy(file + head + length, elements, n);
  return head + length + n;
}

static ledge_status read_made(const char *literal, const void *elements, size_t n, tensor *t, ledge_error *error) {
  return npy_read(file, make(1, literal, elements, n), NULL, t, error);
}

static void test_read(void) {
  static const float numbers[6] = {0, 1, 2, 3, 4, 5};
  tensor t = {0};
  CHECK_INT(read_made("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", numbers, 24, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_F32 && t.rank == 2 && t.dims[0] == 2 && t.dims[1] == 3 && memcmp(t.data, numbers, 24) == 0);
  CHECK_INT(read_made("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", numbers, 24, &t, NULL), LEDGE_OK);
  static const float turned[6] = {0, 2, 4, 1, 3, 5};
  CHECK(memcmp(t.data, turned, 24) == 0);
  CHECK_INT(read_made("{'shape':(6,),\"fortran_order\":False,'descr':\">i2\"}", "\0\1\0\2\377\375\1\0\0\0\177\377", 12,
                      &t, NULL),
            LEDGE_OK);
  static const int16_t shorts[6] = {1, 2, -3, 256, 0, 32767};
  CHECK(t.dtype == LEDGE_I16 && memcmp(t.data, shorts, 12) == 0);
  CHECK_INT(read_made("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", &(double){2.5}, 8, &t, NULL),
            LEDGE_OK);
  CHECK(t.dtype == LEDGE_F64 && t.rank == 0 && *(double *)t.data == 2.5);
  CHECK_INT(read_made("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\0\1\2", 3, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_BOOL && memcmp(t.data, "\0\1\1", 3) == 0);
  CHECK_INT(read_made("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0), }", NULL, 0, &t, NULL), LEDGE_OK);
  CHECK(t.rank == 2 && tensor_elements(&t) == 0);
  CHECK_INT(
      read_made("{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", "\x3f\x80\0\0\x40\0\0\0", 8, &t, NULL),
      LEDGE_OK);
  CHECK(t.dtype == LEDGE_C64 && ((float *)t.data)[0] == 1 && ((float *)t.data)[1] == 2);
  CHECK_INT(read_made("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }", &(int64_t){7}, 8, &t, NULL),
            LEDGE_OK);
  CHECK(t.dtype == LEDGE_I64 && tensor_i64(&t, 0) == 7);
  CHECK_INT(read_made("{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }", "\x80\x3f", 2, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_BF16 && tensor_f64(&t, 0) == 1);
  size_t n = make(3, "{'descr': '<i4', 'fortran_order': False, 'shape': (1L,), }", &(int32_t){-9}, 4);
  CHECK_INT(npy_read(file, n, NULL, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_I32 && tensor_i64(&t, 0) == -9);
  tensor_deinit(&t);
}

static bool text_is(const tensor *t, int64_t i, const char *want) {
  const ledge_string *s = (const ledge_string *)t->data + i;
  return s->size == strlen(want) && memcmp(s->data, want, s->size) == 0;
}

static void test_read_strings(void) {
  tensor t = {0};
  CHECK_INT(read_made("{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }",
                      "a\0\0\0\xac\x20\0\0\x00\xf6\x01\0\0\0\0\0", 16, &t, NULL),
            LEDGE_OK);
  CHECK(t.dtype == LEDGE_STRING && text_is(&t, 0, "a\xe2\x82\xac") && text_is(&t, 1, "\xf0\x9f\x98\x80"));
  CHECK_INT(read_made("{'descr': '>U1', 'fortran_order': False, 'shape': (1,), }", "\0\0\0z", 4, &t, NULL), LEDGE_OK);
  CHECK(text_is(&t, 0, "z"));
  CHECK_INT(read_made("{'descr': '|S3', 'fortran_order': True, 'shape': (2, 2), }", "a\0\0bcdef\0g\0h", 12, &t, NULL),
            LEDGE_OK);
  CHECK(text_is(&t, 0, "a") && text_is(&t, 1, "ef") && text_is(&t, 2, "bcd"));
  CHECK_INT(((const ledge_string *)t.data)[3].size, 3); /* a NUL inside stays */
  /* a width that no byte of the file stands behind reserves nothing: as many blocks as any empty array */
  static const char *empty[] = {"{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }",
                                "{'descr': '<U2147483647', 'fortran_order': False, 'shape': (0,), }"};
  long long blocks[2];
  for (int i = 0; i < 2; i++) {
    long long before = mem_stats_global.allocations;
    CHECK_INT(read_made(empty[i], "", 0, &t, NULL), LEDGE_OK);
    blocks[i] = mem_stats_global.allocations - before;
  }
  CHECK_INT(blocks[1], blocks[0]);
  CHECK_INT(tensor_elements(&t), 0);
  tensor_deinit(&t);
}

static void check_refused(const char *literal, size_t n, ledge_status want, const char *part) {
  tensor t = {0};
  ledge_error error = {0};
  static const uint8_t zeros[64];
  ledge_status status = read_made(literal, zeros, n, &t, &error);
  if (status != want || !strstr(error.message, part)) TEST_FAIL("%s: status %d, %s", literal, status, error.message);
  CHECK(t.data == NULL);
}

static void test_refused(void) {
  check_refused("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, LEDGE_ERROR_UNSUPPORTED, "pickled");
  check_refused("{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", 16, LEDGE_ERROR_UNSUPPORTED, "<f16");
  check_refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, LEDGE_ERROR_UNSUPPORTED,
                "structures");
  check_refused("{'descr': '|V1', 'fortran_order': False, 'shape': (1,), }", 4, LEDGE_ERROR_UNSUPPORTED, "<V2");
  check_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 11, LEDGE_ERROR_FORMAT, "truncated");
  check_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 16, LEDGE_ERROR_FORMAT,
                "truncated");
  check_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,), }", 0, LEDGE_ERROR_FORMAT,
                "truncated");
  check_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 0, LEDGE_ERROR_FORMAT,
                "dictionary");
  check_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 0, LEDGE_ERROR_FORMAT, "dictionary");
  check_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }", 4,
                LEDGE_ERROR_FORMAT, "16 dims");
  check_refused("{'descr': '<f4', 'fortran_order': False, }", 4, LEDGE_ERROR_FORMAT, "dictionary");
  check_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4, LEDGE_ERROR_FORMAT, "\"x\"");
  check_refused("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), } trailing", 4, LEDGE_ERROR_FORMAT,
                "dictionary");
  check_refused("{'descr': '<S0', 'fortran_order': False, 'shape': (1099511627776,), }", 0, LEDGE_ERROR_LIMIT,
                "empty strings");
  tensor t = {0};
  ledge_error error;
  size_t n = make(1, "{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", "\0\0\x11\0", 4);
  CHECK_INT(npy_read(file, n, NULL, &t, &error), LEDGE_ERROR_FORMAT);
  CHECK(strstr(error.message, "no character"));
  for (size_t cut = 0; cut < n; cut++) CHECK(npy_read(file, cut, NULL, &t, NULL) != LEDGE_OK);
  file[6] = 4;
  CHECK_INT(npy_read(file, n, NULL, &t, NULL), LEDGE_ERROR_UNSUPPORTED);
}

static void fill(tensor *t, rng *r) {
  if (t->dtype == LEDGE_STRING) {
    static const char *const words[] = {"", "one", "\xc3\xa9t\xc3\xa9", "\xf0\x9f\x98\x80"};
    for (int64_t i = 0; i < tensor_elements(t); i++)
      CHECK_INT(tensor_put_string(t, i, words[i % 4], strlen(words[i % 4]), NULL), LEDGE_OK);
    return;
  }
  size_t n = tensor_bytes(t);
  for (size_t i = 0; i < n; i++)
    ((uint8_t *)t->data)[i] = (uint8_t)(t->dtype == LEDGE_BOOL ? rng_u64(r) & 1 : rng_u64(r));
  int used = (int)(tensor_elements(t) * ledge_dtype_bits(t->dtype) % 8);
  if (used) ((uint8_t *)t->data)[n - 1] &= (uint8_t)((1 << used) - 1);
}

static void test_round_trip(void) {
  static const int64_t shapes[][3] = {{3, 5, 7}, {1, 1, 1}, {0, 2, 3}};
  rng r;
  rng_init(&r, 3);
  for (int d = 1; d < LEDGE_DTYPE_COUNT; d++) {
    for (int rank = 0; rank <= 3; rank++) {
      for (int s = 0; s < 3; s++) {
        tensor t = {0}, back = {0};
        tensor_set_shape(&t, (ledge_dtype)d, rank, shapes[s]);
        CHECK_INT(tensor_alloc(&t, NULL), LEDGE_OK);
        fill(&t, &r);
        uint8_t *bytes = NULL;
        size_t size = 0;
        CHECK_INT(npy_write(&t, &bytes, &size, NULL), LEDGE_OK);
        CHECK_INT(npy_read(bytes, size, &(npy_options){.want = (ledge_dtype)d}, &back, NULL), LEDGE_OK);
        CHECK(back.dtype == t.dtype && tensor_same_shape(&back, &t));
        bool same =
            t.dtype == LEDGE_STRING || (tensor_bytes(&t) == 0 || memcmp(t.data, back.data, tensor_bytes(&t)) == 0);
        for (int64_t i = 0; t.dtype == LEDGE_STRING && i < tensor_elements(&t); i++) {
          const ledge_string *a = (ledge_string *)t.data + i;
          same = same && a->size == ((ledge_string *)back.data)[i].size &&
                 memcmp(a->data, ((ledge_string *)back.data)[i].data, a->size) == 0;
        }
        if (!same) TEST_FAIL("%s of rank %d comes back different", ledge_dtype_name((ledge_dtype)d), rank);
        mem_free(bytes);
        tensor_deinit(&t);
        tensor_deinit(&back);
      }
    }
  }
}

static void test_packed(void) {
  tensor t = {0};
  npy_options options = {.want = LEDGE_I4};
  size_t n = make(1, "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }", "\1\370\7", 3);
  CHECK_INT(npy_read(file, n, &options, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_I4 && tensor_i64(&t, 0) == 1 && tensor_i64(&t, 1) == -8 && tensor_i64(&t, 2) == 7);
  n = make(1, "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }", "\1\370\10", 3);
  ledge_error error;
  CHECK_INT(npy_read(file, n, &options, &t, &error), LEDGE_ERROR_DATA);
  CHECK(strstr(error.message, "-8 to 7"));
  n = make(1, "{'descr': '|V1', 'fortran_order': False, 'shape': (2,), }", "\16\3", 2); /* as ml_dtypes saves int4 */
  CHECK_INT(npy_read(file, n, &options, &t, NULL), LEDGE_OK);
  CHECK(tensor_i64(&t, 0) == -2 && tensor_i64(&t, 1) == 3);
  tensor_deinit(&t);
}

static void test_header(void) { /* the text that NumPy itself would write */
  tensor t = {.dtype = LEDGE_F32, .rank = 1, .dims = {3}, .data = (float[3]){1, 2, 3}};
  uint8_t *bytes;
  size_t size;
  CHECK_INT(npy_write(&t, &bytes, &size, NULL), LEDGE_OK);
  CHECK_INT(size, 128 + 12);
  CHECK(memcmp(bytes, "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }  ", 69) == 0);
  CHECK(bytes[127] == '\n');
  mem_free(bytes);
  t.dims[0] = -1;
  CHECK_INT(npy_write(&t, &bytes, &size, NULL), LEDGE_ERROR_ARGUMENT);
}

static void test_file(void) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/ledge-test-%d.npy", (int)getpid());
  tensor t = {.dtype = LEDGE_I32, .rank = 2, .dims = {2, 2}, .data = (int32_t[4]){1, 2, 3, 4}}, back = {0};
  CHECK_INT(npy_write_file(path, &t, NULL), LEDGE_OK);
  FILE *f = fopen(path, "rb");
  size_t n = f ? fread(file, 1, sizeof file, f) : 0;
  if (f) fclose(f);
  unlink(path);
  CHECK_INT(npy_read(file, n, NULL, &back, NULL), LEDGE_OK);
  CHECK(tensor_same_shape(&t, &back) && memcmp(back.data, t.data, 16) == 0);
  tensor_deinit(&back);
  ledge_error error;
  CHECK_INT(npy_write_file("/nonexistent/x.npy", &t, &error), LEDGE_ERROR_IO);
  CHECK(strstr(error.message, "/nonexistent"));
}

static void test_npz(void) {
  tensor a = {.dtype = LEDGE_F32, .rank = 1, .dims = {3}, .data = (float[3]){1, 2, 3}};
  tensor b = {.dtype = LEDGE_U8, .rank = 2, .dims = {1, 2}, .data = (uint8_t[2]){7, 8}};
  uint8_t *bytes;
  size_t size;
  CHECK_INT(npz_write(2, (const char *const[]){"a", "dir/b"}, (const tensor *const[]){&a, &b}, &bytes, &size, NULL),
            LEDGE_OK);
  npz *z = NULL;
  CHECK(npz_sniff(bytes, size) && !npy_sniff(bytes, size));
  CHECK_INT(npz_open(bytes, size, &z, NULL), LEDGE_OK);
  CHECK_INT(npz_count(z), 2);
  CHECK_STR(npz_name(z, 1), "dir/b");
  CHECK_INT(npz_find(z, "a"), 0);
  CHECK_INT(npz_find(z, "c"), -1);
  tensor t = {0};
  CHECK_INT(npz_read(z, 0, NULL, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_F32 && memcmp(t.data, a.data, 12) == 0);
  CHECK_INT(npz_read(z, 1, NULL, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_U8 && memcmp(t.data, b.data, 2) == 0);
  ledge_error error;
  CHECK_INT(npz_read(z, 2, NULL, &t, &error), LEDGE_ERROR_NAME);
  npz_close(z);
  bytes[39 + 128] ^= 1; /* an element of the first member: 30 bytes, "a.npy", then the header */
  CHECK_INT(npz_open(bytes, size, &z, NULL), LEDGE_OK);
  CHECK_INT(npz_read(z, 0, NULL, &t, &error), LEDGE_ERROR_FORMAT);
  CHECK(strstr(error.message, "checksum"));
  npz_close(z);
  bytes[39 + 128] ^= 1;
  for (size_t cut = 0; cut < size; cut++) { /* a file cut anywhere is refused, never misread */
    uint8_t *part = mem_alloc(cut);
    memcpy(part, bytes, cut);
    CHECK(npz_open(part, cut, &z, NULL) != LEDGE_OK);
    mem_free(part);
  }
  tensor_deinit(&t);
  mem_free(bytes);
}

#ifdef LEDGE_WITH_ZLIB
/* An archive of one deflated member, x.npy, that claims `claimed` bytes. */
static size_t make_deflated(const uint8_t *npy, size_t n, uint32_t claimed, uint8_t *out) {
  static uint8_t packed[4096];
  z_stream s = {0};
  deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  s.next_in = (Bytef *)(uintptr_t)npy, s.avail_in = (uInt)n, s.next_out = packed, s.avail_out = sizeof packed;
  CHECK_INT(deflate(&s, Z_FINISH), Z_STREAM_END);
  uint32_t fields[3] = {(uint32_t)crc32_z(0, npy, n), (uint32_t)s.total_out, claimed};
  deflateEnd(&s);
  uint8_t *p = out;
  memcpy(p, "PK\3\4\24\0\0\0\10\0\0\0\0\0", 14);
  memcpy(p + 14, fields, 12);
  memcpy(p + 26, "\5\0\0\0x.npy", 9);
  memcpy(p + 35, packed, fields[1]);
  uint32_t directory = 35 + fields[1], bytes = 51;
  p += directory;
  memcpy(p, "PK\1\2\24\0\24\0\0\0\10\0\0\0\0\0", 16);
  memcpy(p + 16, fields, 12);
  memcpy(p + 28, "\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x.npy", 23);
  p += bytes;
  memcpy(p, "PK\5\6\0\0\0\0\1\0\1\0", 12);
  memcpy(p + 12, &bytes, 4);
  memcpy(p + 16, &directory, 4);
  p[20] = p[21] = 0;
  return (size_t)(p + 22 - out);
}
#endif

static void test_npz_deflated(void) {
#ifdef LEDGE_WITH_ZLIB
  static uint8_t archive[8192];
  static const float zeros[500];
  size_t n = make(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (500,), }", zeros, sizeof zeros);
  static const uint32_t lies[] = {0, 1, 100, 4096, 1u << 31};
  npz *z = NULL;
  tensor t = {0};
  size_t size = make_deflated(file, n, (uint32_t)n, archive);
  CHECK_INT(npz_open(archive, size, &z, NULL), LEDGE_OK);
  CHECK_INT(npz_read(z, 0, NULL, &t, NULL), LEDGE_OK);
  CHECK(t.dtype == LEDGE_F32 && t.dims[0] == 500);
  npz_close(z);
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    ledge_error error;
    size = make_deflated(file, n, lies[i], archive);
    CHECK_INT(npz_open(archive, size, &z, NULL), LEDGE_OK);
    ledge_status status = npz_read(z, 0, NULL, &t, &error);
    CHECK_INT(status, lies[i] > 1000000 ? LEDGE_ERROR_LIMIT : LEDGE_ERROR_FORMAT);
    npz_close(z);
  }
  tensor_deinit(&t);
#endif
}

/* Archives with the 64-bit records that large files need; numpy.savez writes the second kind always. */
static void test_npz_64(void) {
  static const char *const names[] = {"zip64.npz", "extra64.npz"}, *const folders[] = {"", "../"};
  for (int i = 0; i < 2; i++) {
    size_t n = 0;
    for (int k = 0; n == 0 && k < 2; k++) {
      char path[128];
      snprintf(path, sizeof path, "%stests/fuzz/seeds/npy/%s", folders[k], names[i]);
      FILE *f = fopen(path, "rb");
      if (f) n = fread(file, 1, sizeof file, f), fclose(f);
    }
    npz *z = NULL;
    tensor t = {0};
    CHECK_INT(npz_open(file, n, &z, NULL), LEDGE_OK);
    if (!z) continue;
    CHECK_INT(npz_count(z), 2 - i);
    for (size_t m = 0; m < npz_count(z); m++) CHECK_INT(npz_read(z, m, NULL, &t, NULL), LEDGE_OK);
    tensor_deinit(&t);
    npz_close(z);
  }
}

static void test_memory(void) {
  tensor a = {.dtype = LEDGE_STRING, .rank = 1, .dims = {2}};
  CHECK_INT(tensor_alloc(&a, NULL), LEDGE_OK);
  CHECK_INT(tensor_put_string(&a, 0, "word", 4, NULL), LEDGE_OK);
  CHECK_INT(tensor_put_string(&a, 1, "", 0, NULL), LEDGE_OK);
  for (int fail = 0; fail < 30; fail++) {
    long long live = mem_stats_global.allocations - mem_stats_global.frees;
    uint8_t *bytes = NULL;
    size_t size = 0;
    npz *z = NULL;
    tensor t = {0};
    mem_stats_global.fail_after = fail;
    ledge_status status = npz_write(1, (const char *const[]){"a"}, (const tensor *const[]){&a}, &bytes, &size, NULL);
    if (status == LEDGE_OK) status = npz_open(bytes, size, &z, NULL);
    if (status == LEDGE_OK) status = npz_read(z, 0, NULL, &t, NULL);
    mem_stats_global.fail_after = -1;
    CHECK(status == LEDGE_OK || status == LEDGE_ERROR_MEMORY);
    npz_close(z);
    tensor_deinit(&t);
    mem_free(bytes);
    CHECK_INT(mem_stats_global.allocations - mem_stats_global.frees, live);
  }
  tensor_deinit(&a);
}

TEST_MAIN({"read", test_read}, {"read strings", test_read_strings}, {"refused", test_refused},
          {"round trip", test_round_trip}, {"packed", test_packed}, {"header", test_header}, {"file", test_file},
          {"npz", test_npz}, {"npz deflated", test_npz_deflated}, {"npz 64", test_npz_64}, {"memory", test_memory})
