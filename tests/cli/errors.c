/* tests/cli/errors: what goes wrong is one line that names the file, the place, the reason and a remedy; the exit
 * status is 1, nothing is printed besides, and no file is left half written. */
#include "program.h"

#include "test.h"

#include <dirent.h>
#include <time.h>

static const float values[6] = {1, -2, 3, -4, 5, -6};

__attribute__((constructor)) static void setup(void) {
  cli_setup();
  put_model("m.onnx", "input x f32 2 3; h = Neg x; y = Exp h; output y f32 2 3");
  put_model("ab.onnx", "input a f32 2; input b i64 N; y = Identity a; z = Neg b; output y f32 2; output z i64 N");
  put_npy("x.npy", "<f4", "(2, 3)", values, 24);
  put_npy("a.npy", "<f4", "(2,)", values, 8);
  put_npy("b.npy", "<i8", "(3,)", values, 24);
}

typedef struct error_case {
  const char *command;
  int status;
  const char *says; /* parts, separated by '|' */
} error_case;

static void check_cases(const error_case *cases, size_t n) {
  for (size_t i = 0; i < n; i++) check_error(cases[i].command, cases[i].status, cases[i].says);
}

static void test_inputs(void) {
  put_npy("wide.npy", "<f8", "(2, 3)", "0123456701234567012345670123456701234567012345670", 48);
  put_npy("shape.npy", "<f4", "(3, 2)", values, 24);
  put_npy("rank.npy", "<f4", "(1, 2, 3)", values, 24);
  put_file("short.bin", values, 23);
  put_file("long.bin", values, 24 + 0);
  put_file("short.txt", "1 2 3", 5);
  put_file("empty", "", 0);
  put_file("words.txt", "one two three", 13);
  put_npy("cut.npy", "<f4", "(2, 3)", values, 20);
  put_npy("object.npy", "|O", "(2,)", values, 16);
  put_npy("lie.npy", "<f4", "(99999999999, 99999999999)", values, 24);
  put_file("cut.png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  put_file("cut.jpg", "\xff\xd8\xff\xe0\0\x10JFIF", 10);
  put_file("cut.wav", "RIFF\x24\0\0\0WAVEfmt ", 16);
  put_file("cut.npz", "PK\3\4\24\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0x.npy", 35);
  put_model("image.onnx", "input x f32 1 3 4 4; y = Neg x; output y f32 1 3 4 4");
  static const error_case cases[] = {
      {"$LEDGE run m.onnx", 1, "m.onnx|'x'|[2x3]|not set"},
      {"$LEDGE run ab.onnx a.npy", 1, "'b'|i64|not set"},
      {"$LEDGE run m.onnx none.npy", 1, "none.npy|No such file"},
      {"$LEDGE run m.onnx .", 1, "folder"},
      {"$LEDGE run m.onnx wide.npy", 1, "wide.npy|'x'|f32|f64"},
      {"$LEDGE run m.onnx shape.npy", 1, "shape.npy|'x'|[2x3]|[3x2]"},
      {"$LEDGE run m.onnx rank.npy", 1, "rank.npy|[2x3]|[1x2x3]"},
      {"$LEDGE run m.onnx short.bin", 1, "short.bin|23|'x'|[2x3]"},
      {"$LEDGE run m.onnx short.txt", 1, "short.txt|3 numbers|'x'|[2x3]"},
      {"$LEDGE run m.onnx words.txt", 1, "words.txt|13|'x'"},
      {"$LEDGE run m.onnx empty", 1, "empty|'x'"},
      {"$LEDGE run m.onnx cut.npy", 1, "cut.npy"},
      {"$LEDGE run m.onnx object.npy", 1, "object.npy|object"},
      {"$LEDGE run m.onnx lie.npy", 1, "lie.npy"},
      {"$LEDGE run m.onnx cut.npz", 1, "cut.npz|zip"},
      {"$LEDGE run image.onnx cut.png", 1, "cut.png"},
      {"$LEDGE run image.onnx cut.jpg", 1, "cut.jpg"},
      {"$LEDGE run image.onnx cut.wav", 1, "cut.wav"},
      {"$LEDGE run m.onnx x.npy x.npy", 1, "x.npy|1 inputs"},
      {"$LEDGE run m.onnx --input z=x.npy", 1, "no input 'z'|x"},
      {"$LEDGE run m.onnx --input 1=x.npy", 1, "no input '1'|x"},
      {"$LEDGE run ab.onnx --input a=a.npy --input a=a.npy", 1, "'a'|already"},
      {"$LEDGE run ab.onnx a.npy --input 0=a.npy", 1, "'a'|already"},
      {"$LEDGE run ab.onnx b.npy a.npy", 1, "b.npy|'a'|f32|i64"},
      {"$LEDGE run m.onnx - < /dev/null", 1, "stdin|'x'"},
      {"$LEDGE run m.onnx /dev/zero", 1, "/dev/zero|MiB"},
  };
  check_cases(cases, sizeof cases / sizeof *cases);
}

/* A chain of `depth` graphs, one in another. */
static void put_deep(const char *name, int depth) {
  writer text = {0};
  writer_text(&text, "input x f32 ; const c bool = 1; ");
  for (int i = 0; i < depth; i++) writer_format(&text, "y%d = If c; then { ", i);
  writer_format(&text, "y%d = Neg x; output y%d f32 ", depth, depth);
  for (int i = depth - 1; i >= 0; i--) writer_format(&text, "} else { z = Abs x; output z f32 } ; output y%d f32 ;", i);
  writer_u8(&text, 0);
  put_model(name, (const char *)text.data);
  writer_deinit(&text);
}

static void test_models(void) {
  size_t size;
  char path[512];
  snprintf(path, sizeof path, "%s/m.onnx", folder.root);
  char *whole = read_whole(path, &size);
  put_file("cut.onnx", whole, size - 7);
  put_file("empty.onnx", "", 0);
  put_file("text.onnx", "{\"hello\": 1}", 12);
  put_file("noise.onnx", "\x9a\x3b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02", 14);
  put_file("pickle.onnx", "\x80\x02}q\0.", 6);
  put_file("zip.onnx", "PK\3\4\x14\0\0\0", 8);
  put_file("t.tflite", "\x1c\0\0\0TFL3\0\0\0\0", 12);
  put_file("g.gguf", "GGUF\3\0\0\0", 8);
  free(whole);
  put_model("cycle.onnx", "input x f32 2; a = Add x b; b = Neg a; output b f32 2");
  put_model("nothing.onnx", "input x f32 2; a = Add x ghost; output a f32 2");
  put_model("twice.onnx", "input x f32 2; a = Neg x; a = Abs x; output a f32 2");
  put_model("shape.onnx", "input x f32 2 3; const w f32 4 5 = *; y = MatMul x w; output y f32 2 5");
  put_model("type.onnx", "input x f32 2; input i i64 2; y = Add x i; output y f32 2");
  put_model("ir.onnx", "ir 9999; input x f32 2; y = Neg x; output y f32 2");
  put_model("huge.onnx", "input x f32 ; const s i64 3 = 2097152 2097152 2097152; y = Expand x s; output y f32 any");
  put_model("attr.onnx",
            "input x f32 1 1 4 4; const w f32 1 1 3 3 = *; y = Conv x w | strides=[0,0]; output y f32 any");
  put_model("outside.onnx", "input x f32 2; external w f32 2 = ../secret 0; y = Add x w; output y f32 2");
  put_model("lost.onnx", "input x f32 2; external w f32 2 = lost.bin 0; y = Add x w; output y f32 2");
  put_model("behind.onnx", "input x f32 2; external w f32 2 = w.bin 4; y = Add x w; output y f32 2");
  put_file("w.bin", values, 8);
  put_deep("deep.onnx", 200);
  static const error_case cases[] = {
      {"$LEDGE info none.onnx", 1, "none.onnx|No such file"},
      {"$LEDGE info .", 1, "folder"},
      {"$LEDGE info /dev/null", 1, "/dev/null|device"},
      {"mkfifo -m 600 pipe; $LEDGE info pipe", 1, "pipe"},
      {"$LEDGE info cut.onnx", 1, "cut.onnx|byte"},
      {"$LEDGE info empty.onnx", 1, "empty.onnx is empty"},
      {"$LEDGE info text.onnx", 1, "text.onnx|a text|ONNX"},
      {"$LEDGE info noise.onnx", 1, "noise.onnx|byte"},
      {"$LEDGE info pickle.onnx", 1, "pickle.onnx|pickle"},
      {"$LEDGE info zip.onnx", 1, "zip.onnx|zip"},
      {"$LEDGE info t.tflite", 1, "t.tflite|byte|damaged"},
      {"$LEDGE info g.gguf", 1, "g.gguf|GGUF"},
      {"$LEDGE info x.npy", 1, "x.npy"},
      {"$LEDGE info cycle.onnx", 1, "cycle.onnx|cycle"},
      {"$LEDGE info nothing.onnx", 1, "nothing.onnx|'ghost'"},
      {"$LEDGE info twice.onnx", 1, "twice.onnx|'a'"},
      {"$LEDGE info ir.onnx", 1, "ir.onnx|9999"},
      {"$LEDGE info outside.onnx", 1, "outside.onnx|../secret"},
      {"$LEDGE info lost.onnx", 1, "lost.onnx|lost.bin"},
      {"$LEDGE info behind.onnx", 1, "behind.onnx|w.bin"},
      {"$LEDGE info deep.onnx", 1, "deep.onnx|64"},
      {"$LEDGE run shape.onnx x.npy", 1, "shape.onnx|MatMul|3|4"},
      {"$LEDGE run type.onnx a.npy a.npy", 1, "'i'|i64|f32"},
      {"$LEDGE bench type.onnx", 1, "type.onnx|Add|f32|i64"},
      {"$LEDGE bench huge.onnx", 1, "huge.onnx|memory"},
      {"$LEDGE bench attr.onnx", 1, "attr.onnx|Conv|stride"},
      {"$LEDGE convert cycle.onnx c.onnx", 1, "cycle.onnx|cycle"},
      {"$LEDGE convert m.onnx m.txt", 1, "m.txt|.onnx"},
      {"$LEDGE convert m.onnx nowhere/m.onnx", 1, "nowhere/m.onnx|No such file"},
  };
  check_cases(cases, sizeof cases / sizeof *cases);
  CHECK(!exists("c.onnx") && !exists("m.txt"));
}

/* Each byte of a model in turn cut off, or changed: an error or a model, within a second, and never a crash. */
static void test_damaged(void) {
  put_model("d.onnx",
            "input x f32 1 2 4 4; const w f32 2 2 3 3 = *; c = Conv x w | pads=[1,1,1,1]; y = Relu c;"
            "output y f32 1 2 4 4");
  sh("i=0; n=$(wc -c < d.onnx); while [ $i -lt $n ]; do head -c $i d.onnx > t.onnx; "
     "timeout 5 $LEDGE info t.onnx > /dev/null 2> t.err; s=$?; [ $s = 1 ] && [ $(wc -l < t.err) = 1 ] || "
     "[ $s = 0 ] || echo \"cut at $i: status $s: $(cat t.err)\"; i=$((i + 13)); done");
  CHECK_STR(out, "");
  sh("i=0; n=$(wc -c < d.onnx); while [ $i -lt $n ]; do cp d.onnx t.onnx; "
     "printf '\\377' | dd of=t.onnx bs=1 seek=$i conv=notrunc 2> /dev/null; timeout 5 $LEDGE bench --seconds 0 t.onnx "
     "> /dev/null 2> t.err; s=$?; [ $s = 1 ] && [ $(wc -l < t.err) = 1 ] || [ $s = 0 ] || "
     "echo \"byte $i: status $s: $(cat t.err)\"; i=$((i + 11)); done");
  CHECK_STR(out, "");
}

static void test_unreadable(void) {
  sh("cp m.onnx locked.onnx; cp x.npy locked.npy; chmod 0 locked.onnx locked.npy; [ ! -r locked.onnx ]");
  if (status) { /* root reads everything */
    printf("skipped %s: this user may read all files\n", test_now_);
    return;
  }
  check_error("$LEDGE info locked.onnx", 1, "locked.onnx|Permission denied");
  check_error("$LEDGE run m.onnx locked.npy", 1, "locked.npy|Permission denied");
}

/* ---- outputs ---- */

/* Files of the folder that begin so, hidden ones included. */
static int count_files(const char *name, const char *begin) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder.root, name);
  DIR *d = opendir(path);
  int n = 0;
  for (struct dirent *e; d && (e = readdir(d));)
    n += !strncmp(e->d_name, begin, strlen(begin)) && strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
  if (d) closedir(d);
  return n;
}

static void test_output_folder(void) {
  put_file("file", "", 0);
  static const error_case cases[] = {
      {"$LEDGE run m.onnx x.npy --output no/such/folder", 1, "no/such/folder|No such file"},
      {"$LEDGE run m.onnx x.npy --output file", 1, "file"},
      {"$LEDGE run m.onnx x.npy --output m.onnx/x", 1, "m.onnx/x"},
      {"$LEDGE run m.onnx x.npy --json --output /proc", 1, "/proc"},
  };
  check_cases(cases, sizeof cases / sizeof *cases);
  sh("mkdir -p closed; chmod 555 closed; [ ! -w closed ]");
  if (!status) check_error("$LEDGE run m.onnx x.npy --output closed", 1, "closed|Permission denied");
}

/* A full disk, a limit on the size of files: the old file stands, nothing else is left, nothing is printed. */
static void test_output_full(void) {
  put_model("big.onnx", "input x f32 N; y = Neg x; s = Abs x; output s f32 N; output y f32 N");
  sh("head -c 400000 /dev/zero > big.bin; mkdir -p full; echo old > full/y.npy");
  sh("ulimit -f 100; $LEDGE run big.onnx big.bin --output full --json");
  CHECK_INT(status, 1);
  CHECK(strstr(errs, "full/s.npy") && strstr(errs, "File too large"));
  CHECK_INT(out_size, 0);
  CHECK_INT(count_files("full", ""), 1);
  sh("cat full/y.npy");
  CHECK_STR(out, "old\n");
  if (access("/dev/full", W_OK)) return;
  sh("rm -rf full; mkdir full; ln -s /dev/full full/y.npy");
  check_error("$LEDGE run big.onnx big.bin --output full --json", 1, "y.npy|No space left");
  CHECK_INT(count_files("full", "."), 0);
  sh("ln -sf /dev/full c.onnx");
  check_error("$LEDGE convert m.onnx c.onnx", 1, "c.onnx|No space left");
  sh("ulimit -f 0; $LEDGE convert m.onnx new.onnx");
  CHECK_INT(status, 1);
  CHECK(!exists("new.onnx"));
  CHECK_INT(count_files(".", ".ledge"), 0);
}

static void test_stdout_full(void) {
  if (access("/dev/full", W_OK)) return;
  static const char *const commands[] = {"$LEDGE --help",
                                         "$LEDGE --version",
                                         "$LEDGE info m.onnx",
                                         "$LEDGE info m.onnx --json",
                                         "$LEDGE run m.onnx x.npy --json",
                                         "$LEDGE run m.onnx x.npy 2>&1 | cat",
                                         "$LEDGE bench m.onnx --seconds 0",
                                         "$LEDGE bench m.onnx --seconds 0 --json",
                                         "$LEDGE cpu --json"};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strchr(commands[i], '|')) continue;
    sh("%s > /dev/full", commands[i]);
    CHECK_INT(status, 1);
    if (!strstr(errs, "standard output: No space left")) TEST_FAIL("%s: %s", commands[i], errs);
  }
}

/* A reader that goes away ends the program as it ends others; where who started it ignores the signal, by a message. */
static void test_broken_pipe(void) {
  for (int i = 0; i < 2; i++) {
    sh("{ %s $LEDGE info m.onnx m.onnx m.onnx --json; echo $? > code; } | true", i ? "sleep 0.1;" : "");
    if (*errs && !strstr(errs, "Broken pipe")) TEST_FAIL("%s", errs);
    sh("cat code");
    int code = atoi(out);
    CHECK(code == 128 + SIGPIPE || code == 1 || (code == 0 && !i)); /* 0: it was done before */
  }
}

/* Ctrl-C during a long run or conversion: it ends at once, and no temporary file is left. */
static void test_interrupt(void) {
  sh("$LEDGE bench m.onnx --seconds 60 & sleep 0.2; kill -TERM $!; wait $!");
  CHECK_INT(status, 128 + SIGTERM);
  sh("(trap - INT; exec $LEDGE bench m.onnx --seconds 60) & sleep 0.1; kill -9 $!; wait $!; true");
  put_model("slow.onnx",
            "input x f32 1200 1200; a = MatMul x x; b = MatMul a a; c = MatMul b b; y = MatMul c c;"
            "output y f32 1200 1200");
  sh("mkdir -p kept; echo old > kept/y.npy; head -c 5760000 /dev/zero > slow.bin; "
     "$LEDGE run slow.onnx slow.bin --reference --output kept & sleep 0.2; kill -TERM $!; wait $!");
  CHECK_INT(status, 128 + SIGTERM);
  sh("cat kept/y.npy");
  CHECK_STR(out, "old\n");
  CHECK_INT(count_files("kept", ""), 1);
}

/* A model whose file is cut short while it runs: an error, not a bus error. The weights are large enough to be used
 * where they lie in the file. */
static void test_shrinks(void) {
  put_model("shrink.onnx",
            "input x f32 1; const t f32 400 400 = *; s = Add t x; y = ReduceSum s | keepdims=0;"
            "output y f32 ");
  sh("$LEDGE bench shrink.onnx --seconds 5 > bench.out & p=$!; "
     "until grep -q shrink.onnx /proc/$p/maps; do sleep 0.01; done; sleep 0.3; : > shrink.onnx; wait $p");
  CHECK_INT(status, 1);
  CHECK(strstr(errs, "shrink.onnx was cut short"));
}

/* Bad input is refused within a second, whatever it claims. */
static void test_quick(void) {
  put_model("claims.onnx",
            "input x f32 1; const s i64 1 = 4611686018427387903; a = Expand x s; b = Neg a; c = Add a b;"
            "d = Mul a b; e = Sub a b; f = Concat a b c d e | axis=0; y = ReduceSum f | keepdims=0;"
            "output y f32 ");
  put_model("wraps.onnx",
            "input x f32 1; const s i64 1 = 1152921504606846976; a = Expand x s; b = Neg a; c = Neg a;"
            "d = Neg a; e = Add a b; f = Add c d; g = Add e f; y = ReduceSum g | keepdims=0; output y f32 ");
  put_npy("one.npy", "<f4", "(1,)", values, 4);
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  check_error("$LEDGE run claims.onnx one.npy", 1, "claims.onnx");
  check_error("$LEDGE run wraps.onnx one.npy", 1, "wraps.onnx|memory");
  clock_gettime(CLOCK_MONOTONIC, &b);
  CHECK(b.tv_sec - a.tv_sec < 3);
}

/* A plan that folds more than there is memory for is refused before it takes it. */
static void test_folding(void) {
  writer text = {0};
  writer_text(&text, "input x f32 N; const s i64 1 = 8000000; ");
  writer_text(&text, "n = Shape x; ");
  for (int i = 0; i < 60; i++)
    writer_format(&text, "t%d = ConstantOfShape s; u%d = Expand t%d n; v%d = ReduceSum u%d | keepdims=0; ", i, i, i, i,
                  i);
  writer_text(&text, "y = Sum");
  for (int i = 0; i < 60; i++) writer_format(&text, " v%d", i);
  writer_text(&text, "; output y f32 ");
  writer_u8(&text, 0);
  put_model("folds.onnx", (const char *)text.data);
  writer_deinit(&text);
  put_npy("one.npy", "<f4", "(1,)", values, 4);
  sh("ulimit -v 1000000; $LEDGE --version"); /* a sanitizer's own memory does not fit in */
  sh("%s $LEDGE run folds.onnx one.npy --memory-limit 200M --json", status ? "" : "ulimit -v 1000000;");
  if (status) TEST_FAIL("%s", errs);
}

TEST_MAIN({"inputs", test_inputs}, {"models", test_models}, {"damaged", test_damaged}, {"unreadable", test_unreadable},
          {"output folder", test_output_folder}, {"output full", test_output_full}, {"stdout full", test_stdout_full},
          {"broken pipe", test_broken_pipe}, {"interrupt", test_interrupt}, {"shrinks", test_shrinks},
          {"quick", test_quick}, {"folding", test_folding})
