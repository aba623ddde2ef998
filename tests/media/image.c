/* Pictures: every format and kind of tests/fuzz/seeds/image holds the same 16 by 11 picture, which picture() computes.
 */
#include "media/image.h"

#include "base/mem.h"
#include "test.h"

enum { W = 16, H = 11 };

static void picture(int x, int y, uint8_t p[4]) {
  p[0] = (uint8_t)(x * 16 + y), p[1] = (uint8_t)(y * 20 + x * 3), p[2] = (uint8_t)(x * y),
  p[3] = (uint8_t)(255 - x * 8);
}
static uint8_t gray(const uint8_t p[4]) { return (uint8_t)((p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 32768) >> 16); }

typedef enum content { COLOR, ALPHA, GRAY, GRAY_ALPHA, CHECKER, TURNED, COARSE } content;
typedef struct seed {
  const char *name;
  image_format format;
  content content;
  int tolerance;
} seed;

static const seed seeds[] = {
    {"rgb.png", IMAGE_FORMAT_PNG, COLOR, 0},
    {"rgba.png", IMAGE_FORMAT_PNG, ALPHA, 0},
    {"gray.png", IMAGE_FORMAT_PNG, GRAY, 0},
    {"grayalpha.png", IMAGE_FORMAT_PNG, GRAY_ALPHA, 0},
    {"gray16.png", IMAGE_FORMAT_PNG, GRAY, 0},
    {"rgb16.png", IMAGE_FORMAT_PNG, COLOR, 0},
    {"bits.png", IMAGE_FORMAT_PNG, CHECKER, 0},
    {"interlaced.png", IMAGE_FORMAT_PNG, COLOR, 0},
    {"palette.png", IMAGE_FORMAT_PNG, COARSE, 80},
    {"exif6.png", IMAGE_FORMAT_PNG, TURNED, 0},
    {"444.jpg", IMAGE_FORMAT_JPEG, COLOR, 16},
    {"420.jpg", IMAGE_FORMAT_JPEG, COLOR, 110},
    {"gray.jpg", IMAGE_FORMAT_JPEG, GRAY, 10},
    {"progressive.jpg", IMAGE_FORMAT_JPEG, COLOR, 110},
    {"cmyk.jpg", IMAGE_FORMAT_JPEG, COLOR, 110},
    {"exif6.jpg", IMAGE_FORMAT_JPEG, TURNED, 16},
    {"lossless.webp", IMAGE_FORMAT_WEBP, COLOR, 0},
    {"lossy.webp", IMAGE_FORMAT_WEBP, COLOR, 110},
    {"alpha.webp", IMAGE_FORMAT_WEBP, ALPHA, 0},
    {"animation.webp", IMAGE_FORMAT_WEBP, ALPHA, 0},
    {"exif6.webp", IMAGE_FORMAT_WEBP, TURNED, 0},
    {"raw.tif", IMAGE_FORMAT_TIFF, COLOR, 0},
    {"lzw.tif", IMAGE_FORMAT_TIFF, COLOR, 0},
    {"deflate.tif", IMAGE_FORMAT_TIFF, COLOR, 0},
    {"packbits.tif", IMAGE_FORMAT_TIFF, COLOR, 0},
    {"jpeg.tif", IMAGE_FORMAT_TIFF, COLOR, 110},
    {"rgba.tif", IMAGE_FORMAT_TIFF, ALPHA, 0},
    {"palette.tif", IMAGE_FORMAT_TIFF, COARSE, 8},
    {"g4.tif", IMAGE_FORMAT_TIFF, CHECKER, 0},
    {"gray.tif", IMAGE_FORMAT_TIFF, GRAY, 0},
    {"turned6.tif", IMAGE_FORMAT_TIFF, TURNED, 0},
    {"rgb.bmp", IMAGE_FORMAT_BMP, COLOR, 0},
    {"rgba.bmp", IMAGE_FORMAT_BMP, COLOR, 0},
    {"gray.bmp", IMAGE_FORMAT_BMP, GRAY, 0},
    {"bits.bmp", IMAGE_FORMAT_BMP, CHECKER, 0},
    {"palette.bmp", IMAGE_FORMAT_BMP, COARSE, 80},
    {"rle8.bmp", IMAGE_FORMAT_BMP, GRAY, 0},
    {"rle4.bmp", IMAGE_FORMAT_BMP, CHECKER, 0},
    {"565.bmp", IMAGE_FORMAT_BMP, COLOR, 8},
    {"os2.bmp", IMAGE_FORMAT_BMP, COLOR, 0},
    {"p1.pbm", IMAGE_FORMAT_PNM, CHECKER, 0},
    {"p2.pgm", IMAGE_FORMAT_PNM, GRAY, 0},
    {"p3.ppm", IMAGE_FORMAT_PNM, COLOR, 0},
    {"p4.pbm", IMAGE_FORMAT_PNM, CHECKER, 0},
    {"p5.pgm", IMAGE_FORMAT_PNM, GRAY, 0},
    {"p6.ppm", IMAGE_FORMAT_PNM, COLOR, 0},
    {"p6_16.ppm", IMAGE_FORMAT_PNM, COLOR, 0},
    {"p7.pam", IMAGE_FORMAT_PNM, ALPHA, 0},
    {"rgb.jp2", IMAGE_FORMAT_JPEG2000, COLOR, 0},
    {"rgba.jp2", IMAGE_FORMAT_JPEG2000, ALPHA, 0},
    {"gray.j2k", IMAGE_FORMAT_JPEG2000, GRAY, 0},
    {"tiles.jp2", IMAGE_FORMAT_JPEG2000, COLOR, 0},
    {"lossy.jp2", IMAGE_FORMAT_JPEG2000, COLOR, 110},
};
enum { N_SEEDS = sizeof seeds / sizeof *seeds };

static uint8_t file[8192];

/* From the source folder, or from a build folder in it. */
static size_t read_seed(const char *name) {
  static const char *const folders[] = {"tests/fuzz/seeds/image/", "../tests/fuzz/seeds/image/"};
  for (int i = 0; i < 2; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s%s", folders[i], name);
    FILE *f = fopen(path, "rb");
    if (!f) continue;
    size_t n = fread(file, 1, sizeof file, f);
    fclose(f);
    return n;
  }
  TEST_FAIL("no file %s", name);
  return 0;
}

/* What the pixel of a seed should be, as RGBA. */
static void expected(const seed *s, int x, int y, uint8_t p[4]) {
  if (s->content == TURNED) { /* orientation 6: the file's rows are the picture's columns, from below */
    int t = x;
    x = y, y = H - 1 - t;
  }
  picture(x, y, p);
  if (s->content == GRAY || s->content == GRAY_ALPHA) p[0] = p[1] = p[2] = gray(p);
  if (s->content == CHECKER) p[0] = p[1] = p[2] = (x + y) % 2 ? 255 : 0;
  if (s->content != ALPHA && s->content != GRAY_ALPHA) p[3] = 255;
}

static void check_pixels(const seed *s, const tensor *t, image_color color) {
  int h = s->content == TURNED ? W : H, w = s->content == TURNED ? H : W, c = image_color_channels(color), worst = 0;
  CHECK(t->dtype == LEDGE_U8 && t->rank == 3 && t->dims[0] == h && t->dims[1] == w && t->dims[2] == c);
  if (t->rank != 3 || tensor_elements(t) != h * w * c) return;
  const uint8_t *got = t->data;
  for (int y = 0; y < h; y++) {
    for (int x = 0; x < w; x++, got += c) {
      uint8_t p[4], want[4];
      expected(s, x, y, p);
      memcpy(want, p, 4);
      if (color == IMAGE_COLOR_BGR) want[0] = p[2], want[2] = p[0];
      if (color == IMAGE_COLOR_GRAY) want[0] = gray(p);
      for (int k = 0; k < c; k++) worst = abs(got[k] - want[k]) > worst ? abs(got[k] - want[k]) : worst;
    }
  }
  if (worst > s->tolerance) TEST_FAIL("%s as colour %d is off by %d, not %d", s->name, color, worst, s->tolerance);
}

static void test_formats(void) {
  for (int i = 0; i < N_SEEDS; i++) {
    size_t n = read_seed(seeds[i].name);
    CHECK_INT(image_sniff(file, n), seeds[i].format);
    for (int color = IMAGE_COLOR_RGB; color <= IMAGE_COLOR_RGBA; color++) {
      tensor t = {0};
      ledge_error error = {0};
      image_options options = {.color = (image_color)color, .apply_exif = true};
      ledge_status status = image_decode(file, n, &options, &t, &error);
      if (!image_format_built(seeds[i].format)) {
        CHECK_INT(status, LEDGE_ERROR_UNSUPPORTED);
        CHECK(strstr(error.message, "=enabled"));
      } else if (status) {
        TEST_FAIL("%s: %s", seeds[i].name, error.message);
      } else {
        check_pixels(&seeds[i], &t, (image_color)color);
      }
      tensor_deinit(&t);
    }
  }
}

static void test_exif_off(void) { /* ImageDecoder takes the picture as it stands */
  if (!image_format_built(IMAGE_FORMAT_JPEG)) return;
  size_t n = read_seed("exif6.jpg");
  tensor t = {0};
  CHECK_INT(image_decode(file, n, NULL, &t, NULL), LEDGE_OK);
  CHECK(t.dims[0] == H && t.dims[1] == W);
  tensor_deinit(&t);
}

/* A cut file is an error or, where only what follows the picture is gone, the picture; and nothing leaks. */
static void test_truncated(void) {
  for (int i = 0; i < N_SEEDS; i++) {
    if (!image_format_built(seeds[i].format)) continue;
    size_t n = read_seed(seeds[i].name);
    for (size_t cut = 0; cut < n; cut += 1 + n / 60) {
      uint8_t *part = mem_alloc(cut);
      memcpy(part, file, cut);
      tensor t = {0};
      ledge_error error = {0};
      ledge_status status = image_decode(part, cut, NULL, &t, &error);
      CHECK(status == LEDGE_OK ? t.data != NULL : t.data == NULL && error.code == status && error.message[0]);
      if (cut < n / 3 && status == LEDGE_OK) TEST_FAIL("%s of %zu bytes is read out of %zu", seeds[i].name, n, cut);
      tensor_deinit(&t);
      mem_free(part);
    }
  }
}

static void check_refused(const char *bytes, size_t n, ledge_status want, const char *part) {
  tensor t = {0};
  ledge_error error = {0};
  ledge_status status = image_decode(bytes, n, NULL, &t, &error);
  if (status != want || !strstr(error.message, part)) TEST_FAIL("status %d, not %d: %s", status, want, error.message);
  CHECK(t.data == NULL);
}

static void test_refused(void) {
  check_refused("GIF89a----------", 16, LEDGE_ERROR_UNSUPPORTED, "no picture that ledge knows");
  check_refused("", 0, LEDGE_ERROR_UNSUPPORTED, "no picture");
  check_refused("P6 99999 1 255\n", 15, LEDGE_ERROR_LIMIT, "65535");
  check_refused("P6 60000 60000 255\n", 19, LEDGE_ERROR_LIMIT, "limits");
  check_refused("P6 16000 16000 255\n", 19, LEDGE_ERROR_LIMIT, "not plausible");
  check_refused("P6 4000 4000 255\n", 17, LEDGE_ERROR_FORMAT, "truncated");
  check_refused("P6 0 4 255\n", 11, LEDGE_ERROR_FORMAT, "0 by 4");
  check_refused("P5 4 4 70000\n", 13, LEDGE_ERROR_FORMAT, "70000");
  check_refused("P7\nWIDTH 4\nHEIGHT 4\nDEPTH 9\nMAXVAL 255\nENDHDR\n", 47, LEDGE_ERROR_UNSUPPORTED, "9 samples");
#ifdef LEDGE_WITH_PNG
  size_t n = read_seed("rgb.png");
  memcpy(file + 16, "\0\0\x3f\xff\0\0\x3f\xff", 8); /* 16383 by 16383; the checksum is wrong, too */
  tensor t = {0};
  CHECK(image_decode(file, n, NULL, &t, NULL) != LEDGE_OK);
  n = read_seed("rgb.png");
  image_options options = {.pixels_max = 100};
  ledge_error error;
  CHECK_INT(image_decode(file, n, &options, &t, &error), LEDGE_ERROR_LIMIT);
#endif
#ifdef LEDGE_WITH_JPEG2000
  n = read_seed("gray.j2k");
  memcpy(file + 8 + 16, "\0\0\0\1\0\0\0\1", 8); /* tiles of one pixel */
  check_refused((const char *)file, n, LEDGE_ERROR_LIMIT, "176 tiles");
#endif
}

/* 4000 by 4000 pixels of precincts of one pixel, out of 200 bytes: OpenJPEG would take 9 GB. */
static void test_precincts(void) {
#ifdef LEDGE_WITH_JPEG2000
  static const char head[] =
      "\xff\x4f\xff\x51\0\x29\0\0\0\0\x0f\xa0\0\0\x0f\xa0\0\0\0\0\0\0\0\0\0\0\x0f\xa0\0\0\x0f\xa0\0\0\0\0\0\0\0\0"
      "\0\1\7\1\1\xff\x52\0\x0d\1\0\0\1\0\0\0\0\0\1\0\xff\x5c\0\4\x40\x40\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93";
  uint8_t bytes[16384] = {0};
  memcpy(bytes, head, sizeof head - 1);
  check_refused((char *)bytes, 200, LEDGE_ERROR_LIMIT, "more pixels");
  check_refused((char *)bytes, sizeof bytes, LEDGE_ERROR_LIMIT, "more precincts");
  bytes[48] = 0x6f; /* a marker that nobody knows, which would hide what follows */
  check_refused((char *)bytes, sizeof bytes, LEDGE_ERROR_FORMAT, "main header");
#endif
}

static void test_write(void) {
  tensor t = {.dtype = LEDGE_U8, .rank = 3, .dims = {H, W, 4}};
  CHECK_INT(tensor_alloc(&t, NULL), LEDGE_OK);
  for (int i = 0; i < H * W; i++) picture(i % W, i / W, (uint8_t *)t.data + 4 * i);
  for (int color = IMAGE_COLOR_RGB; color <= IMAGE_COLOR_RGBA; color++) {
    tensor in = {0}, back = {0};
    uint8_t *bytes = NULL;
    size_t size;
    seed s = {"written", IMAGE_FORMAT_PNG,
              color == IMAGE_COLOR_GRAY   ? GRAY
              : color == IMAGE_COLOR_RGBA ? ALPHA
                                          : COLOR,
              0};
    CHECK_INT(image_convert(&t, IMAGE_COLOR_RGBA, (image_color)color, &in, NULL), LEDGE_OK);
#ifdef LEDGE_WITH_PNG
    CHECK_INT(image_encode_png(&in, (image_color)color, &bytes, &size, NULL), LEDGE_OK);
    CHECK_INT(image_decode(bytes, size, &(image_options){.color = IMAGE_COLOR_RGBA}, &back, NULL), LEDGE_OK);
    check_pixels(&s, &back, IMAGE_COLOR_RGBA);
    mem_free(bytes);
#endif
    CHECK_INT(image_encode_pnm(&in, (image_color)color, &bytes, &size, NULL), LEDGE_OK);
    CHECK_INT(image_decode(bytes, size, NULL, &back, NULL), LEDGE_OK);
    check_pixels(&s, &back, IMAGE_COLOR_RGB);
    mem_free(bytes);
    tensor_deinit(&in);
    tensor_deinit(&back);
  }
  tensor_deinit(&t);
}

static void test_convert(void) {
  uint8_t bgr[3] = {10, 20, 200}, one;
  tensor in = {.dtype = LEDGE_U8, .rank = 3, .dims = {1, 1, 3}, .data = bgr}, out = {0};
  CHECK_INT(image_convert(&in, IMAGE_COLOR_BGR, IMAGE_COLOR_GRAY, &out, NULL), LEDGE_OK);
  one = gray((uint8_t[4]){200, 20, 10, 255});
  CHECK_INT(((uint8_t *)out.data)[0], one);
  CHECK_INT(image_convert(&in, IMAGE_COLOR_BGR, IMAGE_COLOR_RGBA, &out, NULL), LEDGE_OK);
  CHECK(memcmp(out.data, (uint8_t[4]){200, 20, 10, 255}, 4) == 0);
  CHECK_INT(image_convert(&in, IMAGE_COLOR_GRAY, IMAGE_COLOR_RGB, &out, NULL), LEDGE_ERROR_SHAPE);
  tensor_deinit(&out);
}

/* Real pictures, where they are there: Pillow's pixels, by checksum. */
static void test_models(void) {
  static const struct {
    const char *path;
    image_format format;
    int h, w;
    uint32_t hash;
  } cases[] = {{"../shared/models/test_data/cat_720p.jpg", IMAGE_FORMAT_JPEG, 720, 1280, 0x484a1a1c},
               {"../shared/models/test_data/bird.bmp", IMAGE_FORMAT_BMP, 343, 512, 0x987af984}};
  for (int i = 0; i < 2; i++) {
    FILE *f = fopen(cases[i].path, "rb");
    if (!f) continue;
    uint8_t *bytes = mem_alloc(1 << 20);
    size_t n = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    tensor t = {0};
    if (image_format_built(cases[i].format)) {
      CHECK_INT(image_decode(bytes, n, NULL, &t, NULL), LEDGE_OK);
      CHECK(t.rank == 3 && t.dims[0] == cases[i].h && t.dims[1] == cases[i].w);
      uint32_t h = 0x811c9dc5u;
      for (int64_t k = 0, bytes_n = tensor_elements(&t); k < bytes_n; k++)
        h = (h ^ ((uint8_t *)t.data)[k]) * 0x01000193u;
      CHECK_INT(h, cases[i].hash);
    }
    tensor_deinit(&t);
    mem_free(bytes);
  }
}

static void test_memory(void) {
  for (int i = 0; i < N_SEEDS; i++) {
    size_t n = read_seed(seeds[i].name);
    for (int fail = 0; fail < 12; fail++) {
      long long live = mem_stats_global.allocations - mem_stats_global.frees;
      tensor t = {0};
      mem_stats_global.fail_after = fail;
      ledge_status status =
          image_decode(file, n, &(image_options){.color = IMAGE_COLOR_RGBA, .apply_exif = true}, &t, NULL);
      mem_stats_global.fail_after = -1;
      CHECK(status == LEDGE_OK || t.data == NULL);
      tensor_deinit(&t);
      CHECK_INT(mem_stats_global.allocations - mem_stats_global.frees, live);
    }
  }
}

TEST_MAIN({"formats", test_formats}, {"exif off", test_exif_off}, {"truncated", test_truncated},
          {"refused", test_refused}, {"write", test_write}, {"precincts", test_precincts}, {"convert", test_convert},
          {"models", test_models}, {"memory", test_memory})
