/* tests/models/model_answers: real models must give the known right answers: faces, classes, digits, flowers, file
 * types. The boxes are decoded here as the detectors' authors do. */
#include "models.h"

#include "base/map.h"
#include "formats/npy/npy.h"

#ifdef LEDGE_WITH_ZLIB
#include <zlib.h>
#endif

#define ULTRAFACE "Ultra-Light-Fast-Generic-Face-Detector-1MB/"
#define MICROSOFT "Windows-Machine-Learning/"
#define CROWD ULTRAFACE "tf/imgs/test_input.jpg"

/* ---- faces ---- */

typedef struct face {
  float score, x0, y0, x1, y1; /* in parts of the picture's width and height */
} face;

enum { MAX_FACES = 512 };

static float overlap(const face *a, const face *b) {
  float w = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0), h = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
  if (w <= 0 || h <= 0) return 0;
  float both = w * h;
  return both / ((a->x1 - a->x0) * (a->y1 - a->y0) + (b->x1 - b->x0) * (b->y1 - b->y0) - both);
}

static int by_score(const void *a, const void *b) {
  float x = ((const face *)a)->score, y = ((const face *)b)->score;
  return (x < y) - (x > y);
}

/* Of boxes that overlap by more than 0.3 the best stays; returns how many do. */
static int suppress(face *f, int n) {
  int kept = 0;
  qsort(f, (size_t)n, sizeof *f, by_score);
  for (int i = 0; i < n; i++) {
    int k = 0;
    while (k < kept && overlap(&f[k], &f[i]) <= 0.3f) k++;
    if (k == kept) f[kept++] = f[i];
  }
  return kept;
}

/* scores [1, 4420, 2]: background, face; boxes [1, 4420, 4]: corners. */
static int ultraface(const net *n, face faces[MAX_FACES]) {
  enum { ANCHORS = 4420 };
  const float *scores = net_floats(n, "scores", ANCHORS * 2), *boxes = net_floats(n, "boxes", ANCHORS * 4);
  int count = 0;
  if (!scores || !boxes) return 0;
  for (int i = 0; i < ANCHORS && count < MAX_FACES; i++)
    if (scores[2 * i + 1] > 0.7f)
      faces[count++] = (face){scores[2 * i + 1], boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3]};
  return suppress(faces, count);
}

/* Three grids of strides 8, 16, 32: cls and obj [1, cells, 1], bbox [1, cells, 4]: offset of the middle in cells, and
 * the logarithm of the size. */
static int yunet(const net *n, int size, face faces[MAX_FACES]) {
  int count = 0;
  for (int stride = 8; stride <= 32; stride *= 2) {
    int side = size / stride, cells = side * side;
    char name[3][16];
    snprintf(name[0], 16, "cls_%d", stride);
    snprintf(name[1], 16, "obj_%d", stride);
    snprintf(name[2], 16, "bbox_%d", stride);
    const float *cls = net_floats(n, name[0], cells), *obj = net_floats(n, name[1], cells),
                *box = net_floats(n, name[2], cells * 4);
    if (!cls || !obj || !box) return 0;
    for (int i = 0; i < cells && count < MAX_FACES; i++) {
      float score = sqrtf(cls[i] * obj[i]), s = (float)stride / (float)size;
      if (!(score > 0.6f)) continue;
      float x = ((float)(i % side) + box[4 * i]) * s, y = ((float)(i / side) + box[4 * i + 1]) * s,
            w = expf(box[4 * i + 2]) * s / 2, h = expf(box[4 * i + 3]) * s / 2;
      faces[count++] = (face){score, x - w, y - h, x + w, y + h};
    }
  }
  return suppress(faces, count);
}

/* Sets an input to the array "in:NAME" of a stored golden, which *keep holds. */
static bool set_golden(net *n, const char *golden, const char *input, tensor *keep) {
  char path[4096], member[64];
  file_map *map = NULL;
  npz *z = NULL;
  ledge_error e = {.message = ""};
  snprintf(member, sizeof member, "in:%s", input);
  ledge_status status = file_map_open(models_path(golden, path), &map, &e);
  if (!status) status = npz_open(file_map_data(map), file_map_size(map), &z, &e);
  int64_t at = status ? -1 : npz_find(z, member);
  if (at >= 0) status = npz_read(z, (size_t)at, NULL, keep, &e);
  npz_close(z);
  file_map_unref(map);
  if (status || at < 0) {
    TEST_FAIL("%s: %s", golden, status ? e.message : "no such input");
    return false;
  }
  return net_set(n, input, keep->dtype, keep->rank, keep->dims, keep->data);
}

/* The middles of the five faces, from left to right. */
static const float five_x[5] = {0.2125f, 0.3315f, 0.4355f, 0.5805f, 0.7715f};

static void check_five(const face *f, int n, float tolerance) {
  CHECK_INT(n, 5);
  for (int i = 0; i < 5; i++) {
    float nearest = 1;
    for (int k = 0; k < n; k++) nearest = fminf(nearest, fabsf((f[k].x0 + f[k].x1) / 2 - five_x[i]));
    CHECK_NEAR(nearest, 0, tolerance);
  }
}

static void test_five_faces(void) {
  static const char *const kinds[] = {"RFB", "slim"};
  face f[MAX_FACES];
  for (int k = 0; k < 2; k++) {
    net n;
    tensor keep = {0};
    char model[128], golden[128];
    snprintf(model, sizeof model, ULTRAFACE "models/onnx/version-%s-320.onnx", kinds[k]);
    snprintf(golden, sizeof golden, "derived/golden/ultraface_%s-320_test_jpg.npz", kinds[k]);
    if (net_open(&n, model) && set_golden(&n, golden, "input", &keep) && net_run(&n))
      check_five(f, ultraface(&n, f), 0.005f);
    net_close(&n);
    tensor_deinit(&keep);
  }
}

static void test_five_faces_yunet(void) {
  net n;
  tensor keep = {0};
  face f[MAX_FACES];
  if (net_open(&n, "libfacedetection.train/onnx/yunet_n_320_320.onnx") &&
      set_golden(&n, "derived/golden/yunet_n_320_test_jpg.npz", "input", &keep) && net_run(&n))
    check_five(f, yunet(&n, 320, f), 0.3f); /* the picture was put into a square */
  net_close(&n);
  tensor_deinit(&keep);
}

/* A crowd, from the JPEG: two detectors of different makers must find the same faces. */
static void test_crowd(void) {
  net a, b;
  face x[MAX_FACES], y[MAX_FACES];
  int nx = 0, ny = 0, agreed = 0;
  if (net_open(&a, ULTRAFACE "models/onnx/version-RFB-320.onnx") &&
      net_load(&a, "input", CROWD, "image:resize=240x320,filter=linear,mean=127,std=128") && net_run(&a))
    nx = ultraface(&a, x);
  if (net_open(&b, "libfacedetection.train/onnx/yunet_n_640_640.onnx") &&
      net_load(&b, "input", CROWD, "image:resize=640x640,filter=linear,color=bgr") && net_run(&b))
    ny = yunet(&b, 640, y);
  net_close(&a);
  net_close(&b);
  for (int i = 0; i < nx; i++) {
    float best = 0;
    for (int k = 0; k < ny; k++) best = fmaxf(best, overlap(&x[i], &y[k]));
    agreed += best > 0.3f;
  }
  if (nx < 36 || ny < 44 || agreed < nx - 2)
    TEST_FAIL("UltraFace finds %d faces, YuNet %d, %d of them the same", nx, ny, agreed);
}

/* ---- classes ---- */

typedef struct picture {
  const char *file;
  int64_t label;
} picture;

static void classify(const char *model, const char *input, const char *output, const char *recipe, const picture *p,
                     int count) {
  net n;
  bool ok = net_open(&n, model);
  for (int i = 0; ok && i < count; i++) {
    ledge_tensor t;
    float scores[1000];
    if (!net_load(&n, input, p[i].file, recipe) || !net_run(&n) || !net_output(&n, output, &t)) break;
    for (int k = 0; k < 1000; k++) scores[k] = (float)dtype_load_f64(t.dtype, t.data, k);
    int64_t label = models_argmax(scores, 1000);
    if (label != p[i].label)
      TEST_FAIL("%s: class %lld instead of %lld", p[i].file, (long long)label, (long long)p[i].label);
  }
  net_close(&n);
}

static void test_squeezenet(void) {
  static const picture pictures[] = {{MICROSOFT "SharedContent/media/kitten_224.png", 281}, {"test_data/cat.bmp", 285}};
  classify(MICROSOFT "SharedContent/models/SqueezeNet_fp16.onnx", "data_0", "softmaxout_1",
           "image:resize=224x224,color=bgr,mean=103.94:116.78:123.68,dtype=f16", pictures, 2);
}

static void test_mobilenet(void) {
  static const picture pictures[] = {
      {"test_data/cat.bmp", 285},
      {"test_data/bird.bmp", 19}, /* a chickadee; in the stored outputs 18, a magpie, has the same logit */
      {"test_data/hot_dog.jpg", 934},
      {"nnstreamer/data/orange.png", 950},
      {MICROSOFT "SharedContent/media/kitten_224.png", 281}};
  classify("nnstreamer/models/mobilenet_v2_quant.onnx", "input", "output",
           "image:resize=224x224,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225", pictures, 5);
}

/* ---- digits ---- */

#ifdef LEDGE_WITH_ZLIB
/* The first `size` bytes behind a header of an IDX file. */
static bool read_idx(const char *name, size_t header, uint8_t *data, size_t size) {
  char path[4096];
  uint8_t skipped[16];
  gzFile f = gzopen(models_path(name, path), "rb");
  bool ok = f && gzread(f, skipped, (unsigned)header) == (int)header && gzread(f, data, (unsigned)size) == (int)size;
  if (f) gzclose(f);
  if (!ok) TEST_FAIL("%s: cannot be read", path);
  return ok;
}

static void test_mnist(void) {
  enum { COUNT = 1000, PIXELS = 28 * 28 };
  static uint8_t images[COUNT][PIXELS], labels[COUNT];
  static float pixels[PIXELS];
  net n;
  int right = 0;
  if (!net_open(&n, MICROSOFT "SharedContent/models/mnist.onnx") ||
      !read_idx("derived/mnist-idx/t10k-images-idx3-ubyte.gz", 16, images[0], sizeof images) ||
      !read_idx("derived/mnist-idx/t10k-labels-idx1-ubyte.gz", 8, labels, sizeof labels) ||
      !net_set(&n, "Input3", LEDGE_F32, 4, (int64_t[]){1, 1, 28, 28}, pixels)) {
    net_close(&n);
    return;
  }
  for (int i = 0; i < COUNT; i++) {
    for (int k = 0; k < PIXELS; k++) pixels[k] = images[i][k];
    const float *scores = net_run(&n) ? net_floats(&n, "Plus214_Output_0", 10) : NULL;
    if (!scores) break;
    right += models_argmax(scores, 10) == labels[i];
  }
  CHECK_INT(right, 987);
  net_close(&n);
}
#else
static void test_mnist(void) { printf("skipped: MNIST's test images are compressed, and there is no zlib\n"); }
#endif

/* ---- flowers ---- */

/* Iris.csv: Id, four lengths, the species. The network was trained on most of it. */
static void test_iris(void) {
  char path[4096], line[256];
  static float x[4];
  net n;
  int rows = 0, right = 0;
  if (!net_open(&n, MICROSOFT "PyTorch_Data_Analysis/PyTorch_Training_-_Data_Analysis/Network.onnx") ||
      !net_set(&n, "input", LEDGE_F32, 2, (int64_t[]){1, 4}, x)) {
    net_close(&n);
    return;
  }
  FILE *f = fopen(models_path(MICROSOFT "PyTorch_Data_Analysis/PyTorch_Training_-_Data_Analysis/Iris.csv", path), "r");
  CHECK(f != NULL);
  while (f && fgets(line, sizeof line, f)) {
    char species[64];
    if (sscanf(line, "%*d,%f,%f,%f,%f,%63s", &x[0], &x[1], &x[2], &x[3], species) != 5) continue;
    const float *scores = net_run(&n) ? net_floats(&n, "output", 3) : NULL;
    if (!scores) break;
    int64_t want = strstr(species, "virginica") ? 2 : strstr(species, "versicolor") ? 1 : 0;
    right += models_argmax(scores, 3) == want;
    rows++;
  }
  if (f) fclose(f);
  CHECK_INT(rows, 150);
  CHECK_INT(right, 147);
  net_close(&n);
}

/* ---- file types ---- */

typedef struct file_type {
  const char *file;
  int64_t label; /* in Magika's list of 213 for standard_v2_1 */
} file_type;

enum {
  MAGIKA_BMP = 15,
  MAGIKA_CSV = 32,
  MAGIKA_FLAC = 53,
  MAGIKA_GZIP = 64,
  MAGIKA_JPEG = 86,
  MAGIKA_JSON = 87,
  MAGIKA_MARKDOWN = 100,
  MAGIKA_NPZ = 111,
  MAGIKA_ONNX = 120,
  MAGIKA_PNG = 133,
  MAGIKA_TXT = 184,
  MAGIKA_WAV = 194,
};

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* What the model reads: the first 2,048 bytes without leading white space, and the last without trailing, 256 where
 * there are none. */
static void magika_features(const uint8_t *data, size_t size, int32_t features[4096]) {
  enum { SIDE = 2048, BLOCK = 4096, PADDING = 256 };
  size_t block = size < BLOCK ? size : BLOCK, from = 0, to = size;
  while (from < block && is_space(data[from])) from++;
  while (to > size - block && is_space(data[to - 1])) to--;
  size_t head = block - from < SIDE ? block - from : SIDE,
         tail = to - (size - block) < SIDE ? to - (size - block) : SIDE;
  for (size_t i = 0; i < 2 * SIDE; i++) features[i] = PADDING;
  for (size_t i = 0; i < head; i++) features[i] = data[from + i];
  for (size_t i = 0; i < tail; i++) features[2 * SIDE - tail + i] = data[to - tail + i];
}

static void test_magika(void) {
  static const file_type files[] = {
      {"test_data/bird.bmp", MAGIKA_BMP},
      {"NAB/data/realKnownCause/nyc_taxi.csv", MAGIKA_CSV},
      {"whisper/tests/jfk.flac", MAGIKA_FLAC},
      {"derived/mnist-idx/t10k-images-idx3-ubyte.gz", MAGIKA_GZIP},
      {CROWD, MAGIKA_JPEG},
      {"NAB/labels/combined_windows.json", MAGIKA_JSON},
      {"Speech-Commands-Classification-by-LSTM-PyTorch/README.md", MAGIKA_MARKDOWN},
      {"whisper/whisper/assets/mel_filters.npz", MAGIKA_NPZ},
      {"silero-vad/src/silero_vad/data/silero_vad.onnx", MAGIKA_ONNX},
      {MICROSOFT "SharedContent/media/kitten_224.png", MAGIKA_PNG},
      {"whisper/LICENSE", MAGIKA_TXT},
      {"silero-vad/tests/data/test.wav", MAGIKA_WAV},
  };
  static int32_t features[4096];
  net n;
  if (!net_open(&n, "magika/assets/models/standard_v2_1/model.onnx") ||
      !net_set(&n, "bytes", LEDGE_I32, 2, (int64_t[]){1, 4096}, features)) {
    net_close(&n);
    return;
  }
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[4096];
    ledge_error e = {.message = ""};
    file_map *map = NULL;
    if (file_map_open(models_path(files[i].file, path), &map, &e)) {
      TEST_FAIL("%s", e.message);
      continue;
    }
    magika_features(file_map_data(map), file_map_size(map), features);
    file_map_unref(map);
    const float *scores = net_run(&n) ? net_floats(&n, "target_label", 213) : NULL;
    if (!scores) break;
    int64_t label = models_argmax(scores, 213);
    if (label != files[i].label || scores[label] < 0.5f)
      TEST_FAIL("%s: file type %lld (%.3f) instead of %lld", files[i].file, (long long)label, scores[label],
                (long long)files[i].label);
  }
  net_close(&n);
}

MODELS_MAIN({"five_faces", test_five_faces}, {"five_faces_yunet", test_five_faces_yunet}, {"crowd", test_crowd},
            {"squeezenet", test_squeezenet}, {"mobilenet", test_mobilenet}, {"mnist", test_mnist}, {"iris", test_iris},
            {"magika", test_magika})
