/* tests/cli/files: `ledge run`: every kind of input file, recipes, labels, and the files and JSON that come out. */
#include "program.h"

#include "test.h"

static const float values[12] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12};
#define NEG(text) "input x f32 " text "; y = Neg x; output y f32 " text

__attribute__((constructor)) static void setup(void) {
  cli_setup();
  put_model("neg.onnx", NEG("2 3"));
  put_model("open.onnx", NEG("N 3"));
  put_model("sub.onnx", "input a f32 3; input b f32 3; d = Sub a b; s = Add a b; output d f32 3; output s f32 3");
  put_npy("x.npy", "<f4", "(2, 3)", values, 24);
  put_npy("a.npy", "<f4", "(3,)", values, 12);
  put_npy("b.npy", "<f4", "(3,)", values + 3, 12);
  put_file("x.bin", values, 24);
  put_file("x.txt", "1 -2 3\n-4,5e0, -6\n", 18);
}

static void check_negated(const char *command) {
  float want[6];
  for (int i = 0; i < 6; i++) want[i] = -values[i];
  sh("rm -rf out; %s", command);
  if (status) TEST_FAIL("%s: %s", command, errs);
  if (!status) check_floats("out/y.npy", "(2, 3)", want, 6);
}

static void test_kinds(void) {
  check_negated("$LEDGE run neg.onnx x.npy --output out");
  check_negated("$LEDGE run neg.onnx --input x=x.npy --output out");
  check_negated("$LEDGE run neg.onnx --input=x=x.npy --output=out");
  check_negated("$LEDGE run neg.onnx --input 0=x.npy --output out");
  check_negated("$LEDGE run neg.onnx --input x.npy --output out");
  check_negated("$LEDGE run neg.onnx x.bin --output out");
  check_negated("$LEDGE run neg.onnx x.txt --output out");
  check_negated("$LEDGE run open.onnx x.npy --output out");
  check_negated("$LEDGE run open.onnx x.bin --output out");
  check_negated("$LEDGE run open.onnx x.txt --output out");
  check_negated("$LEDGE run neg.onnx - --output out < x.npy");
  check_negated("cat x.npy | $LEDGE run neg.onnx - --output out");
  check_negated("cat x.bin | $LEDGE run neg.onnx --input x=- --output out");
  check_negated("$LEDGE run neg.onnx /dev/stdin --output out < x.txt");
  check_negated("mkfifo -m 600 fifo; cat x.npy > fifo & $LEDGE run neg.onnx fifo --output out; wait");
  check_negated("$LEDGE run neg.onnx --output out -- x.npy");
  check_negated("cp x.npy ./--odd; $LEDGE run neg.onnx --output out -- --odd");
  check_negated("mkdir -p 'a b'; cp x.npy 'a b/c=d.npy'; $LEDGE run neg.onnx --input 'x=a b/c=d.npy' --output out");
}

static void test_npz(void) { /* what `numpy.savez` makes: stored members, an array each */
  tensor t[2] = {{.dtype = LEDGE_F32, .rank = 2, .dims = {2, 3}, .data = (void *)(uintptr_t)values},
                 {.dtype = LEDGE_F32, .rank = 1, .dims = {3}, .data = (void *)(uintptr_t)values}};
  ledge_status npz_write(size_t n, const char *const *names, const tensor *const *tensors, uint8_t **ret_data,
                         size_t *ret_size, ledge_error *error);
  uint8_t *data;
  size_t size;
  CHECK_INT(
      npz_write(2, (const char *const[]){"other", "x"}, (const tensor *const[]){&t[1], &t[0]}, &data, &size, NULL), 0);
  put_file("x.npz", data, size);
  mem_free(data);
  CHECK_INT(npz_write(1, (const char *const[]){"arr_0"}, (const tensor *const[]){&t[0]}, &data, &size, NULL), 0);
  put_file("one.npz", data, size);
  mem_free(data);
  CHECK_INT(npz_write(2, (const char *const[]){"p", "q"}, (const tensor *const[]){&t[1], &t[0]}, &data, &size, NULL),
            0);
  put_file("none.npz", data, size);
  mem_free(data);
  check_negated("$LEDGE run neg.onnx x.npz --output out");
  check_negated("$LEDGE run neg.onnx one.npz --output out");
  check_error("$LEDGE run neg.onnx none.npz", 1, "none.npz|no array 'x'|'p'");
}

/* Bytes that look like the digits of a text are bytes all the same where the tensor takes so many. */
static void test_raw_or_text(void) {
  put_model("bytes.onnx", "input x u8 N; y = Identity x; output y u8 N");
  put_model("four.onnx", "input x u8 4; y = Identity x; output y u8 4");
  put_model("long.onnx", "input x i64 1; y = Identity x; output y i64 1");
  char *all;
  put_file("digits", "12 4", 4);
  sh("$LEDGE run bytes.onnx digits --output out && $LEDGE run four.onnx digits --output out2");
  CHECK_INT(status, 0);
  for (int i = 0; i < 2; i++) {
    const char *got = get_npy(i ? "out2/y.npy" : "out/y.npy", "|u1", "(4,)", &all);
    CHECK(got && !memcmp(got, "12 4", 4));
    free(all);
  }
  put_file("zeros", "\0\0\0\0\0\0\0", 8);
  put_file("text", "9007199254740993\n", 17);
  put_file("eight", "12345678", 8);
  static const struct {
    const char *file;
    int64_t want;
  } cases[] = {{"zeros", 0}, {"text", 9007199254740993}, {"eight", 12345678}};
  for (int i = 0; i < 3; i++) {
    sh("$LEDGE run long.onnx %s --output out", cases[i].file);
    CHECK_INT(status, 0);
    const char *got = get_npy("out/y.npy", "<i8", "(1,)", &all);
    int64_t v = -1;
    if (got) memcpy(&v, got, 8);
    CHECK_INT(v, cases[i].want);
    free(all);
  }
  put_file("numbers", "1 2 3 400", 9);
  check_error("$LEDGE run four.onnx numbers", 1, "numbers|number 4|'400'|u8");
  put_file("halves", "1.5", 3);
  check_error("$LEDGE run long.onnx halves", 1, "halves|number 1|'1.5'|i64");
}

static void test_two_inputs(void) {
  float difference[3], sum[3];
  for (int i = 0; i < 3; i++) difference[i] = values[i] - values[i + 3], sum[i] = values[i] + values[i + 3];
  static const char *const commands[] = {
      "$LEDGE run sub.onnx a.npy b.npy", "$LEDGE run sub.onnx --input b=b.npy --input a=a.npy",
      "$LEDGE run sub.onnx --input 1=b.npy --input 0=a.npy", "$LEDGE run sub.onnx --input a.npy --input b.npy",
      "$LEDGE run sub.onnx a.npy --input b=b.npy"};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    sh("rm -rf out; %s --output out --json", commands[i]);
    if (status) TEST_FAIL("%s: %s", commands[i], errs);
    check_floats("out/d.npy", "(3,)", difference, 3);
    check_floats("out/s.npy", "(3,)", sum, 3);
  }
}

static void test_json(void) {
  sh("rm -rf out; $LEDGE run sub.onnx a.npy b.npy --output out --json");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  CHECK(!*errs);
  CHECK_STR(js_text("outputs.0.name"), "d");
  CHECK_STR(js_text("outputs.0.dtype"), "f32");
  CHECK_STR(js_raw("outputs.0.shape"), "[3]");
  CHECK_STR(js_text("outputs.0.file"), "out/d.npy");
  CHECK_STR(js_text("outputs.1.name"), "s");
  CHECK_STR(js_text("outputs.1.file"), "out/s.npy");
  CHECK(!*js_at("outputs.2"));
  CHECK(js_real("latency_ms") > 0);
  sh("$LEDGE run sub.onnx a.npy b.npy --json --threads 1");
  CHECK_STR(js_raw("outputs.0.file"), "null");
  CHECK_INT(js_real("threads"), 1);
}

static void test_quiet(void) {
  sh("$LEDGE run sub.onnx a.npy b.npy --quiet");
  CHECK_INT(status, 0);
  CHECK(!*out && !*errs);
  sh("$LEDGE run sub.onnx a.npy b.npy");
  CHECK(strstr(out, "d: f32 [3]") && strstr(out, "min ") && strstr(errs, " planned, "));
  sh("$LEDGE run sub.onnx a.npy b.npy --reference --seed -3 --json");
  CHECK_INT(status, 0);
}

/* All types that NumPy has come out as they are; those that it lacks as raw void. */
static void test_dtypes(void) {
  static const struct {
    const char *dtype, *descr;
    int bits;
  } cases[] = {{"f32", "<f4", 32}, {"f64", "<f8", 64}, {"f16", "<f2", 16}, {"i8", "|i1", 8},      {"u8", "|u1", 8},
               {"i16", "<i2", 16}, {"u16", "<u2", 16}, {"i32", "<i4", 32}, {"u32", "<u4", 32},    {"i64", "<i8", 64},
               {"u64", "<u8", 64}, {"bool", "|b1", 8}, {"c64", "<c8", 64}, {"c128", "<c16", 128}, {"bf16", "<V2", 16}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[256], bytes[64] = {1, 0, 1, 1, 0, 0, 1};
    size_t n = (size_t)cases[i].bits / 8 * 3;
    snprintf(text, sizeof text, "input x %s 1 3; y = Identity x; output y %s 1 3", cases[i].dtype, cases[i].dtype);
    put_model("type.onnx", text);
    put_file("type.bin", bytes, n);
    sh("rm -rf out; $LEDGE run type.onnx type.bin --output out --json");
    if (status) TEST_FAIL("%s: %s", cases[i].dtype, errs);
    CHECK(js_valid());
    CHECK_STR(js_text("outputs.0.dtype"), cases[i].dtype);
    CHECK_STR(js_raw("outputs.0.shape"), "[1, 3]");
    char *all;
    const char *got = get_npy("out/y.npy", cases[i].descr, "(1, 3)", &all);
    if (got && memcmp(got, bytes, n)) TEST_FAIL("%s: other bytes", cases[i].dtype);
    free(all);
    sh("$LEDGE run type.onnx out/y.npy"); /* and back, in a table */
    if (status) TEST_FAIL("%s: %s", cases[i].dtype, errs);
    CHECK(strstr(out, cases[i].dtype));
  }
}

static void test_shapes(void) { /* scalars, empty tensors, strings */
  put_model("scalar.onnx", "input x f32 ; y = Neg x; output y f32 ");
  put_file("one.txt", "2.5", 3);
  float want = -2.5f;
  sh("$LEDGE run scalar.onnx one.txt --output out --json");
  CHECK_STR(js_raw("outputs.0.shape"), "[]");
  check_floats("out/y.npy", "()", &want, 1);
  put_npy("none.npy", "<f4", "(0, 3)", "", 0);
  sh("$LEDGE run open.onnx none.npy --output out --json");
  CHECK_STR(js_raw("outputs.0.shape"), "[0, 3]");
  check_floats("out/y.npy", "(0, 3)", NULL, 0);
  sh("$LEDGE run open.onnx none.npy");
  CHECK_INT(status, 0);
  put_model("string.onnx", "input x string ; const z string 1 = !; y = StringConcat x z; output y string 1");
  put_file("word.txt", "hello\033[31m w\xc3\xb6rld\n", 18);
  sh("$LEDGE run string.onnx word.txt");
  CHECK_INT(status, 0);
  CHECK(strstr(out, "\"hello?[31m w\xc3\xb6rld!\"")); /* no control characters to the terminal */
  sh("$LEDGE run string.onnx word.txt --output out --json");
  CHECK_STR(js_text("outputs.0.dtype"), "string");
  char *all;
  get_npy("out/y.npy", "<U17", "(1,)", &all);
  free(all);
}

static void test_names(void) {
  put_model("odd.onnx",
            "input x f32 2; a/b:0 = Neg x; a_b_0 = Abs x; .. = Identity x; \xc3\xa9~ = Exp x; A-b.C_9 = Neg x;"
            "output a/b:0 f32 2; output a_b_0 f32 2; output .. f32 2; output \xc3\xa9~ f32 2;"
            "output A-b.C_9 f32 2");
  put_npy("two.npy", "<f4", "(2,)", values, 8);
  sh("rm -rf out; $LEDGE run odd.onnx two.npy --output out --json");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  static const char *const files[] = {"out/a_b_0.npy", "out/a_b_0_2.npy", "out/...npy", "out/___.npy",
                                      "out/A-b.C_9.npy"};
  static const char *const names[] = {"a/b:0", "a_b_0", "..", "\xc3\xa9~", "A-b.C_9"};
  for (int i = 0; i < 5; i++) {
    char path[32];
    snprintf(path, sizeof path, "outputs.%d.file", i);
    CHECK_STR(js_text(path), files[i]);
    snprintf(path, sizeof path, "outputs.%d.name", i);
    CHECK_STR(js_text(path), names[i]);
    CHECK(exists(files[i]));
  }
  float want[2] = {-1, 2}, other[2] = {1, 2};
  check_floats("out/a_b_0.npy", "(2,)", want, 2);
  check_floats("out/a_b_0_2.npy", "(2,)", other, 2);
  char text[4096], name[1001];
  memset(name, 'n', 1000);
  name[1000] = 0;
  snprintf(text, sizeof text, "input x f32 2; %s = Neg x; %s2 = Abs x; output %s f32 2; output %s2 f32 2", name, name,
           name, name);
  put_model("long.onnx", text);
  sh("rm -rf out; $LEDGE run long.onnx two.npy --output out --json");
  CHECK_INT(status, 0);
  CHECK(strcmp(js_text("outputs.0.file"), js_text("outputs.1.file")) != 0);
  CHECK(exists(js_text("outputs.0.file")) && exists(js_text("outputs.1.file")));
}

/* Sequences, maps, and optionals that hold nothing. */
static void test_values(void) {
  put_model("sequence.onnx",
            "input x f32 4; q = SplitToSequence x | axis=0 keepdims=1; e = SequenceEmpty;"
            "output q seq:f32 any; output e seq:f32 any");
  put_npy("four.npy", "<f4", "(4,)", values, 16);
  sh("rm -rf out; $LEDGE run sequence.onnx four.npy --output out --json");
  if (status) TEST_FAIL("%s", errs);
  CHECK(js_valid());
  for (int i = 0; i < 4; i++) {
    char path[32], file[32];
    snprintf(path, sizeof path, "outputs.%d.name", i);
    CHECK_STR(js_text(path), "q");
    snprintf(file, sizeof file, "out/q.%d.npy", i);
    check_floats(file, "(1,)", values + i, 1);
  }
  CHECK_STR(js_text("outputs.4.name"), "e");
  CHECK_STR(js_raw("outputs.4.file"), "null");
  CHECK_STR(js_raw("outputs.4.shape"), "null");
  sh("$LEDGE run sequence.onnx four.npy");
  CHECK(strstr(out, "e: an empty sequence"));
  put_model("map.onnx",
            "input x f32 2 2; m = ai.onnx.ml:ZipMap x | classlabels_int64s=[7,9]; output m seq:map:f32 any");
  put_npy("map.npy", "<f4", "(2, 2)", values, 16);
  sh("rm -rf out; $LEDGE run map.onnx map.npy --output out --json");
  if (status) TEST_FAIL("%s", errs);
  CHECK_STR(js_text("outputs.1.file"), "out/m.1.npy");
  CHECK_STR(js_text("outputs.1.keys_file"), "out/m.1.keys.npy");
  check_floats("out/m.1.npy", "(2,)", values + 2, 2);
  char *all;
  const int64_t *keys = get_npy("out/m.1.keys.npy", "<i8", "(2,)", &all);
  CHECK(keys && !memcmp(keys, (int64_t[]){7, 9}, 16));
  free(all);
}

static void test_labels(void) {
  put_model("scores.onnx", "input x f32 3; y = Identity x; output y f32 3");
  put_file("labels.txt", "one\r\n\nthree\n", 12);
  put_npy("scores.npy", "<f4", "(3,)", (float[]){0.5f, 0.25f, 0.75f}, 12);
  sh("$LEDGE run scores.onnx scores.npy --labels labels.txt");
  CHECK_INT(status, 0);
  CHECK_STR(out, "     0.75000  three\n     0.50000  one\n     0.25000  \n");
  sh("$LEDGE run scores.onnx scores.npy --labels labels.txt --top 1 --json");
  CHECK(js_valid());
  CHECK_STR(js_text("outputs.0.top.0.label"), "three");
  CHECK_NEAR(js_real("outputs.0.top.0.value"), 0.75, 1e-6);
  CHECK(!*js_at("outputs.0.top.1"));
  put_npy("nan.npy", "<f4", "(3,)", (float[]){NAN, 1, INFINITY}, 12);
  sh("$LEDGE run scores.onnx nan.npy --labels labels.txt --json");
  CHECK(js_valid());
  CHECK_STR(js_text("outputs.0.top.0.label"), "three");
  CHECK_STR(js_raw("outputs.0.top.2.value"), "null");
  put_model("own.onnx", "input x f32 3; y = Identity x; output y f32 3; meta ledge.labels a\nb\nc");
  sh("$LEDGE run own.onnx scores.npy --top 1");
  CHECK_STR(out, "     0.75000  c\n");
  put_file("two.txt", "one\ntwo\n", 8);
  check_error("$LEDGE run scores.onnx scores.npy --labels two.txt", 1, "2 labels");
  check_error("$LEDGE run scores.onnx scores.npy --labels none.txt", 1, "labels|none.txt|No such file");
  check_error("$LEDGE run scores.onnx scores.npy --labels .", 1, "labels|directory");
  sh("printf 'a\\nb\\nc' | $LEDGE run scores.onnx scores.npy --labels /dev/stdin --top 1");
  CHECK_STR(out, "     0.75000  c\n");
}

/* ---- pictures and sound ---- */

/* Whether this build reads a kind of file; one that does not says so. */
static bool reads(const char *command) {
  sh("%s", command);
  if (!status || !strstr(errs, "built without")) return true;
  printf("skipped %s: %s", test_now_, errs);
  return false;
}

static void test_pictures(void) {
  put_model("picture.onnx", NEG("1 3 H W"));
  put_model("gray.onnx", NEG("1 1 5 4"));
  put_model("last.onnx", "input x u8 1 6 7 3; y = Identity x; output y u8 1 6 7 3");
  put_model("file.onnx", "input x u8 N; y = Identity x; output y u8 N");
  static const char *const seeds[] = {"rgb.png", "gray.png",      "444.jpg", "p6.ppm",
                                      "rgb.bmp", "lossless.webp", "lzw.tif", "rgb.jp2"};
  for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
    char command[256];
    snprintf(command, sizeof command, "$LEDGE run picture.onnx $SOURCE/tests/fuzz/seeds/image/%s --json --output out",
             seeds[i]);
    if (!reads(command)) continue;
    if (status) TEST_FAIL("%s: %s", seeds[i], errs);
    CHECK_STR(js_text("outputs.0.dtype"), "f32");
    sh("$LEDGE run gray.onnx $SOURCE/tests/fuzz/seeds/image/%s --json", seeds[i]);
    CHECK_STR(js_raw("outputs.0.shape"), "[1, 1, 5, 4]");
    sh("$LEDGE run last.onnx $SOURCE/tests/fuzz/seeds/image/%s --json", seeds[i]);
    CHECK_STR(js_raw("outputs.0.shape"), "[1, 6, 7, 3]");
    sh("$LEDGE run file.onnx $SOURCE/tests/fuzz/seeds/image/%s --output out --quiet; "
       "tail -c +129 out/y.npy | cmp - $SOURCE/tests/fuzz/seeds/image/%s",
       seeds[i], seeds[i]);
    if (status) TEST_FAIL("%s as bytes: %s", seeds[i], out);
  }
}

/* A 2 x 2 picture whose pixels are known, through recipes on the command line and in the metadata. */
static void test_recipes(void) {
  static const char ppm[] = "P6 2 2 255\n\x00\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0";
  put_file("p.ppm", ppm, sizeof ppm - 1);
  put_model("p.onnx", "input x f32 1 3 2 2; y = Identity x; output y f32 1 3 2 2");
  put_model("pm.onnx",
            "input x f32 1 3 2 2; y = Identity x; output y f32 1 3 2 2;"
            "meta ledge.input.0 image:color=bgr,scale=1/255");
  put_model("pn.onnx",
            "input x f32 1 3 2 2; y = Identity x; output y f32 1 3 2 2;"
            "meta ledge.input.x image:color=bgr,scale=1/255");
  float want[12], bgr[12];
  for (int c = 0; c < 3; c++)
    for (int i = 0; i < 4; i++) {
      want[c * 4 + i] = ((float)(i * 48 + c * 16) / 255 - 0.5f) / 0.25f;
      bgr[c * 4 + i] = (float)(i * 48 + (2 - c) * 16) / 255;
    }
  static const char *const commands[] = {
      "$LEDGE run p.onnx p.ppm --recipe x=image:scale=1/255,mean=0.5,std=0.25 --output out",
      "$LEDGE run p.onnx p.ppm --recipe 0=image:scale=1/255,mean=0.5,std=0.25 --output out",
      "$LEDGE run p.onnx p.ppm --recipe image:scale=1/255,mean=0.5:0.5:0.5,std=0.25:0.25:0.25 --output out",
      "$LEDGE run pm.onnx p.ppm --recipe image:scale=1/255,mean=0.5,std=0.25 --output out",
      "$LEDGE run pm.onnx p.ppm --output out",
      "$LEDGE run pn.onnx --input x=p.ppm --output out"};
  for (int i = 0; i < 6; i++) {
    sh("%s", commands[i]);
    if (status) TEST_FAIL("%s: %s", commands[i], errs);
    check_floats("out/y.npy", "(1, 3, 2, 2)", i < 4 ? want : bgr, 12);
  }
  check_error("$LEDGE run p.onnx p.ppm --recipe image:size=3", 1, "p.ppm|size");
  check_error("$LEDGE run p.onnx p.ppm --recipe z=image:scale=2", 1, "'z'|x");
  check_error("$LEDGE run p.onnx p.ppm --recipe nonsense", 1, "p.ppm|'nonsense'|image:");
  check_error("$LEDGE run pm.onnx p.ppm --recipe x=nonsense", 1, "p.ppm|'nonsense'|image:");
  check_error("$LEDGE run p.onnx p.ppm --recipe 'image:scale=2;audio:rate=8000'", 1, "p.ppm|'audio:rate=8000'");
  check_error("$LEDGE run p.onnx p.ppm --recipe 'image:scale=2;image:scale=3'", 1, "p.ppm|two parts for pictures");
  check_error("$LEDGE run p.onnx p.ppm --recipe mel:preset=htk", 1, "p.ppm|a picture|'mel:preset=htk'");
  check_error("$LEDGE run pm.onnx $SOURCE/models/keyword/recordings/yes.wav", 1, "yes.wav|sound|'image:");
  check_error("$LEDGE run sub.onnx a.npy b.npy --recipe image:scale=2", 1, "image:scale=2|NAME=RECIPE");
}

static void test_sound(void) {
  put_model("wave.onnx", NEG("1 N"));
  put_model("mel.onnx", NEG("1 40 T"));
  static const char *const seeds[] = {"pcm16.wav", "float.wav", "ulaw.wav", "a.flac", "a.ogg"};
  for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
    char command[256];
    snprintf(command, sizeof command, "$LEDGE run wave.onnx $SOURCE/tests/fuzz/seeds/audio/%s --json --output out",
             seeds[i]);
    if (!reads(command)) continue;
    if (status) TEST_FAIL("%s: %s", seeds[i], errs);
    CHECK(strncmp(js_raw("outputs.0.shape"), "[1, ", 4) == 0);
  }
  static const char *const presets[] = {"librosa", "librosa-htk", "torchaudio", "whisper",
                                        "kaldi",   "htk",         "tensorflow"};
  for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
    put_model("features.onnx", "input x f32 any; y = Neg x; output y f32 any");
    sh("$LEDGE run features.onnx $SOURCE/models/keyword/recordings/yes.wav --json --recipe mel:preset=%s,mels=40",
       presets[i]);
    if (status) TEST_FAIL("%s: %s", presets[i], errs);
    CHECK(strstr(js_raw("outputs.0.shape"), "40") != NULL);
    sh("$LEDGE run features.onnx $SOURCE/models/keyword/recordings/yes.wav --json --recipe "
       "mfcc:preset=%s,mels=40,ceps=13",
       presets[i]);
    if (status) TEST_FAIL("%s: %s", presets[i], errs);
    CHECK(strstr(js_raw("outputs.0.shape"), "13") != NULL);
  }
  check_error("$LEDGE run features.onnx $SOURCE/models/keyword/recordings/yes.wav --recipe mel:preset=nobody", 1,
              "nobody|librosa");
}

/* What the README shows first. */
static void test_keyword(void) {
  sh("$LEDGE run $SOURCE/models/keyword/keyword.onnx $SOURCE/models/keyword/recordings/yes.wav --json");
  if (status) TEST_FAIL("%s", errs);
  CHECK_STR(js_text("outputs.0.top.0.label"), "yes");
  sh("$LEDGE run $SOURCE/models/keyword/keyword.onnx - < $SOURCE/models/keyword/recordings/yes.wav");
  CHECK(strstr(out, "yes") && strstr(out, "yes") < strchr(out, '\n'));
}

TEST_MAIN({"kinds", test_kinds}, {"npz", test_npz}, {"raw or text", test_raw_or_text}, {"two inputs", test_two_inputs},
          {"json", test_json}, {"quiet", test_quiet}, {"dtypes", test_dtypes}, {"shapes", test_shapes},
          {"names", test_names}, {"values", test_values}, {"labels", test_labels}, {"pictures", test_pictures},
          {"recipes", test_recipes}, {"sound", test_sound}, {"keyword", test_keyword})
