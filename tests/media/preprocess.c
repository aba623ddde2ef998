/* Preprocessing. The checksums are of Pillow 13's and torchvision 0.27's pixels for the same picture and sizes: the
 * output must be theirs to the byte. */
#include "media/preprocess.h"

#include "base/mem.h"
#include "test.h"

enum { W = 16, H = 11 };

static uint8_t pixels[H * W * 3];

static tensor picture(void) {
  for (int y = 0; y < H; y++) {
    for (int x = 0; x < W; x++) {
      uint8_t *p = pixels + 3 * (y * W + x);
      p[0] = (uint8_t)(x * 16 + y), p[1] = (uint8_t)(y * 20 + x * 3), p[2] = (uint8_t)(x * y);
    }
  }
  return (tensor){.dtype = LEDGE_U8, .rank = 3, .dims = {H, W, 3}, .data = pixels};
}

static ledge_status run(const char *spec, const tensor *image, tensor *out, ledge_error *error) {
  preprocess p;
  ledge_status status = preprocess_parse(spec, &p, error);
  return status ? status : preprocess_run(&p, image, out, error);
}

static uint32_t fnv1a(const void *data, size_t n) {
  uint32_t h = 0x811c9dc5u;
  for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)data)[i]) * 0x01000193u;
  return h;
}

static void test_pillow(void) {
  static const struct {
    const char *spec;
    int h, w;
    uint32_t hash;
  } cases[] = {
      {"resize=5x7,filter=bilinear", 5, 7, 0xa5d331dd},     {"resize=11x5,filter=bilinear", 11, 5, 0x9e48e478},
      {"resize=30x16,filter=bilinear", 30, 16, 0x06411383}, {"resize=23x37,filter=bilinear", 23, 37, 0x4eff42d9},
      {"resize=1x1,filter=bilinear", 1, 1, 0x6164439d},     {"resize=5x7,filter=bicubic", 5, 7, 0x08111dc6},
      {"resize=11x5,filter=bicubic", 11, 5, 0xad2d5494},    {"resize=30x16,filter=bicubic", 30, 16, 0x7cf809a3},
      {"resize=23x37,filter=bicubic", 23, 37, 0xc7345dfe},  {"resize=1x1,filter=bicubic", 1, 1, 0x6164439d},
      {"resize=5x7,filter=lanczos", 5, 7, 0xfe9b8ad8},      {"resize=11x5,filter=lanczos", 11, 5, 0xf22a4d82},
      {"resize=30x16,filter=lanczos", 30, 16, 0xfea8ca80},  {"resize=23x37,filter=lanczos", 23, 37, 0xa1187412},
      {"resize=1x1,filter=lanczos", 1, 1, 0x6164439d},      {"resize=5x7,filter=box", 5, 7, 0x5a998b9f},
      {"resize=11x5,filter=box", 11, 5, 0x80633f80},        {"resize=30x16,filter=box", 30, 16, 0x99ecc6b5},
      {"resize=23x37,filter=box", 23, 37, 0x81afb9d2},      {"resize=1x1,filter=box", 1, 1, 0x6164439d},
      {"resize=5x7,filter=nearest", 5, 7, 0xc0aafb0a},      {"resize=11x5,filter=nearest", 11, 5, 0x92524538},
      {"resize=30x16,filter=nearest", 30, 16, 0x99ecc6b5},  {"resize=23x37,filter=nearest", 23, 37, 0x81afb9d2},
      {"resize=1x1,filter=nearest", 1, 1, 0xeccbc254},      {"resize=8,crop=6x6", 6, 6, 0x224703fe},
      {"resize=22,crop=20x24", 20, 24, 0xbc16d8cb},         {"resize=11,crop=13x13", 13, 13, 0x49a0636e},
  };
  tensor in = picture();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char spec[128];
    tensor out = {0};
    snprintf(spec, sizeof spec, "%s,layout=hwc,dtype=u8", cases[i].spec);
    CHECK_INT(run(spec, &in, &out, NULL), LEDGE_OK);
    CHECK(out.rank == 3 && out.dims[0] == cases[i].h && out.dims[1] == cases[i].w && out.dims[2] == 3);
    if (fnv1a(out.data, tensor_bytes(&out)) != cases[i].hash) TEST_FAIL("%s differs", cases[i].spec);
    tensor_deinit(&out);
  }
}

/* torchvision: Resize(8), CenterCrop(6), ToTensor, Normalize. */
static void test_imagenet(void) {
  tensor in = picture(), out = {0};
  CHECK_INT(run("resize=8, crop=6, layout=nchw, color=rgb, mean=0.485:0.456:0.406, std=0.229:0.224:0.225, scale=1/255",
                &in, &out, NULL),
            LEDGE_OK);
  CHECK(out.dtype == LEDGE_F32 && out.rank == 4 && out.dims[0] == 1 && out.dims[1] == 3 && out.dims[2] == 6 &&
        out.dims[3] == 6);
  static const double want[3][2] = {{0.00556549, -1.1246684}, {-0.10994396, 1.0805323}, {-1.229281, -1.3512855}};
  for (int c = 0; c < 3; c++) {
    CHECK_NEAR(tensor_f64(&out, c * 36 + 2 * 6 + 3), want[c][0], 1e-6);
    CHECK_NEAR(tensor_f64(&out, c * 36 + 5 * 6 + 0), want[c][1], 1e-6);
  }
  tensor_deinit(&out);
}

static void test_gray(void) {
  static const uint8_t want[12] = {33, 57, 84, 108, 74, 99, 128, 154, 115, 142, 172, 199};
  tensor in = picture(), out = {0};
  CHECK_INT(run("resize=3x4,color=gray,dtype=u8", &in, &out, NULL), LEDGE_OK);
  CHECK(out.rank == 4 && out.dims[1] == 1 && memcmp(out.data, want, 12) == 0);
  tensor_deinit(&out);
}

/* Every layout and dtype against the definition, pixel by pixel, at the picture's own size. */
static void test_layouts(void) {
  static const char *const layouts[] = {"nchw", "nhwc", "chw", "hwc"}, *const dtypes[] = {"f32", "f16", "u8", "i8"};
  static const char *const colors[] = {"rgb", "bgr", "gray"};
  tensor in = picture();
  for (int k = 0; k < 4 * 4 * 3; k++) {
    const char *layout = layouts[k % 4], *dtype = dtypes[k / 4 % 4], *color = colors[k / 16];
    char spec[128];
    tensor out = {0}, gray = {0};
    snprintf(spec, sizeof spec, "layout=%s,dtype=%s,color=%s,mean=60:80:100,std=2,scale=0.5", layout, dtype, color);
    CHECK_INT(run(spec, &in, &out, NULL), LEDGE_OK);
    CHECK_INT(image_convert(&in, IMAGE_COLOR_RGB, IMAGE_COLOR_GRAY, &gray, NULL), LEDGE_OK);
    int n = *color == 'g' ? 1 : 3, planar = layout[strlen(layout) - 3] == 'c';
    CHECK_INT(tensor_elements(&out), n * W * H);
    CHECK_INT(out.rank, *layout == 'n' ? 4 : 3);
    for (int i = 0; i < n * W * H; i++) {
      int c = planar ? i / (W * H) : i % n, at = planar ? i % (W * H) : i / n;
      double v = n == 1 ? ((uint8_t *)gray.data)[at] : pixels[3 * at + (*color == 'b' ? 2 - c : c)];
      double want = (v * 0.5 - (60 + 20 * c)) / 2;
      if (out.dtype == LEDGE_U8 || out.dtype == LEDGE_I8)
        want = fmin(fmax(nearbyint(want), out.dtype == LEDGE_U8 ? 0 : -128), 127);
      CHECK_NEAR(tensor_f64(&out, i), want, 0);
    }
    tensor_deinit(&out);
    tensor_deinit(&gray);
  }
}

static void test_letterbox(void) {
  tensor in = picture(), out = {0};
  CHECK_INT(run("letterbox=20,layout=hwc,dtype=u8,pad=1:2:3", &in, &out, NULL), LEDGE_OK);
  CHECK(out.dims[0] == 20 && out.dims[1] == 20); /* 11 by 16 -> 14 by 20, three rows above and below */
  const uint8_t *p = out.data;
  for (int y = 0; y < 20; y++) {
    bool pad =
        memcmp(p + 60 * y, (uint8_t[3]){1, 2, 3}, 3) == 0 && memcmp(p + 60 * y + 57, (uint8_t[3]){1, 2, 3}, 3) == 0;
    CHECK_INT(pad, y < 3 || y >= 17);
  }
  CHECK_INT(run("letterbox=20x16,align=topleft,layout=hwc,dtype=u8", &in, &out, NULL), LEDGE_OK);
  CHECK(out.dims[0] == 20 && out.dims[1] == 16);
  CHECK(memcmp(out.data, pixels, sizeof pixels) == 0); /* it fits as it is */
  CHECK_INT(((uint8_t *)out.data)[sizeof pixels], 114);
  CHECK_INT(run("letterbox=20,crop=4x30,layout=hwc,dtype=u8,pad=9", &in, &out, NULL), LEDGE_OK);
  CHECK(out.dims[0] == 4 && out.dims[1] == 30);
  CHECK_INT(((uint8_t *)out.data)[0], 9);
  tensor_deinit(&out);
}

static void test_linear(void) { /* half-pixel centres, two samples, no antialias */
  uint8_t row[4] = {0, 100, 200, 40};
  tensor in = {.dtype = LEDGE_U8, .rank = 3, .dims = {1, 4, 1}, .data = row}, out = {0};
  CHECK_INT(preprocess_resize(&in, 1, 8, PREPROCESS_FILTER_LINEAR, &out, NULL), LEDGE_OK);
  CHECK(memcmp(out.data, (uint8_t[8]){0, 25, 75, 125, 175, 160, 80, 40}, 8) == 0);
  CHECK_INT(preprocess_resize(&in, 1, 2, PREPROCESS_FILTER_LINEAR, &out, NULL), LEDGE_OK);
  CHECK(memcmp(out.data, (uint8_t[2]){50, 120}, 2) == 0);
  CHECK_INT(preprocess_resize(&in, 3, 4, PREPROCESS_FILTER_LINEAR, &out, NULL), LEDGE_OK);
  for (int y = 0; y < 3; y++) CHECK(memcmp((uint8_t *)out.data + 4 * y, row, 4) == 0);
  tensor_deinit(&out);
}

static void test_inputs(void) { /* grey, flat and RGBA pictures */
  uint8_t rgba[8] = {10, 20, 30, 0, 40, 50, 60, 255}, gray[2] = {7, 9};
  tensor in = {.dtype = LEDGE_U8, .rank = 3, .dims = {1, 2, 4}, .data = rgba}, out = {0};
  CHECK_INT(run("layout=hwc,dtype=u8,color=bgr", &in, &out, NULL), LEDGE_OK);
  CHECK(memcmp(out.data, (uint8_t[6]){30, 20, 10, 60, 50, 40}, 6) == 0);
  in = (tensor){.dtype = LEDGE_U8, .rank = 2, .dims = {1, 2}, .data = gray};
  CHECK_INT(run("layout=hwc,dtype=u8", &in, &out, NULL), LEDGE_OK);
  CHECK(memcmp(out.data, (uint8_t[6]){7, 7, 7, 9, 9, 9}, 6) == 0);
  CHECK_INT(run("layout=hwc,dtype=u8,color=gray", &in, &out, NULL), LEDGE_OK);
  CHECK(out.dims[2] == 1 && memcmp(out.data, gray, 2) == 0);
  in.dtype = LEDGE_F32;
  CHECK_INT(run("", &in, &out, NULL), LEDGE_ERROR_SHAPE);
  tensor_deinit(&out);
}

static void test_errors(void) {
  static const struct {
    const char *spec, *part;
  } cases[] = {
      {"size=224", "there is no item \"size\"; the items are resize"},
      {"resize", "\"resize\" is not of the form item=value"},
      {"resize=0", "resize=0 is not allowed: give N or HEIGHTxWIDTH"},
      {"resize=224x", "HEIGHTxWIDTH"},
      {"resize=224,letterbox=4", "once"},
      {"crop=-3", "crop=-3"},
      {"filter=cubic", "bilinear, bicubic, lanczos"},
      {"layout=hcw", "nchw, nhwc, chw or hwc"},
      {"color=yuv", "rgb, bgr or gray"},
      {"mean=1:2", "three with colons"},
      {"mean=1:2:3:4", "three with colons"},
      {"mean=1:2:", "three with colons"},
      {"std=0", "std=0"},
      {"std=1:0:1", "std=1:0:1"},
      {"scale=1/0", "scale=1/0"},
      {"scale=nan", "scale=nan"},
      {"scale=", "a number or a/b"},
      {"dtype=f64", "f32, f16, u8 or i8"},
      {"pad=256", "0 to 255"},
      {"align=left", "center or topleft"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    preprocess p;
    ledge_error error = {0};
    CHECK_INT(preprocess_parse(cases[i].spec, &p, &error), LEDGE_ERROR_ARGUMENT);
    if (!strstr(error.message, cases[i].part)) TEST_FAIL("%s: %s", cases[i].spec, error.message);
  }
}

static void test_limits(void) { /* a picture of one row that is to be 60,000 high */
  static uint8_t row[60000];
  tensor in = {.dtype = LEDGE_U8, .rank = 3, .dims = {1, 60000, 1}, .data = row}, out = {0};
  ledge_error error;
  CHECK_INT(run("resize=60000", &in, &out, &error), LEDGE_ERROR_LIMIT);
  CHECK_INT(run("resize=60000x60000", &in, &out, &error), LEDGE_ERROR_LIMIT);
  CHECK_INT(preprocess_resize(&in, 60000, 60000, PREPROCESS_FILTER_BILINEAR, &out, &error), LEDGE_ERROR_LIMIT);
  CHECK(out.data == NULL);
  for (int fail = 0; fail < 12; fail++) {
    tensor small = picture();
    long long live = mem_stats_global.allocations - mem_stats_global.frees;
    mem_stats_global.fail_after = fail;
    ledge_status status = run("resize=5x6,color=bgr", &small, &out, NULL);
    mem_stats_global.fail_after = -1;
    CHECK(status == LEDGE_OK || status == LEDGE_ERROR_MEMORY);
    tensor_deinit(&out);
    CHECK_INT(mem_stats_global.allocations - mem_stats_global.frees, live);
  }
}

TEST_MAIN({"pillow", test_pillow}, {"imagenet", test_imagenet}, {"gray", test_gray}, {"layouts", test_layouts},
          {"letterbox", test_letterbox}, {"linear", test_linear}, {"inputs", test_inputs}, {"errors", test_errors},
          {"limits", test_limits})
