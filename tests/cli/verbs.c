/* tests/cli/verbs: info, bench, convert, cpu, and what all verbs share: help, options, JSON. */
#include "program.h"

#include "test.h"

/* Before main, so that one case can be run alone. */
__attribute__((constructor)) static void setup(void) {
  cli_setup();
  put_model("net.onnx",
            "input x f32 N 3 8 8; const w f32 4 3 3 3 = *; const b f32 4 = 1 2 3 4;"
            "c = Conv x w b | pads=[1,1,1,1]; r = Relu c; y = GlobalAveragePool r;"
            "output y f32 N 4 1 1; meta author somebody; meta note with \"quotes\" and \\");
  put_model("ids.onnx", "input ids i64 N T; const table f32 10 4 = *; y = Gather table ids; output y f32 N T 4");
  put_model("own.onnx", "input x f32 2; a = Relu x; b = acme:Whirl a; y = acme:Twirl b; output y f32 2");
  put_model("two.onnx", "input a f32 2; input b f32 2; s = Add a b; d = Sub a b; output s f32 2; output d f32 2");
}

static void test_usage(void) {
  static const struct {
    const char *command;
    int status;
    const char *says; /* on stdout where the status is 0, else on stderr */
  } cases[] = {
      {"$LEDGE", 2, "usage: ledge VERB"},
      {"$LEDGE --help", 0, "usage: ledge VERB"},
      {"$LEDGE -h", 0, "bench"},
      {"$LEDGE help", 0, "convert"},
      {"$LEDGE --version", 0, "ledge 0."},
      {"$LEDGE fly", 2, "no verb 'fly'"},
      {"$LEDGE info", 2, "too few arguments"},
      {"$LEDGE run", 2, "too few arguments"},
      {"$LEDGE bench", 2, "too few arguments"},
      {"$LEDGE convert net.onnx", 2, "one input and one output"},
      {"$LEDGE convert net.onnx a.onnx b.onnx", 2, "unexpected argument 'b.onnx'"},
      {"$LEDGE convert net.onnx a.onnx -o b.onnx", 2, "one input and one output"},
      {"$LEDGE cpu net.onnx", 2, "unexpected argument"},
      {"$LEDGE bench net.onnx --treads 1", 2, "did you mean '--threads'"},
      {"$LEDGE bench net.onnx --nonsense", 2, "unknown option 'nonsense'"},
      {"$LEDGE bench net.onnx -t 1", 2, "unknown option"},
      {"$LEDGE bench net.onnx --threads", 2, "a value is missing after '--threads'"},
      {"$LEDGE bench net.onnx --threads two", 2, "--threads"},
      {"$LEDGE bench net.onnx --threads 1.5", 2, "--threads"},
      {"$LEDGE bench net.onnx --threads ''", 2, "--threads"},
      {"$LEDGE bench net.onnx --threads -1", 2, "--threads"},
      {"$LEDGE bench net.onnx --threads 4294967297", 2, "--threads"},
      {"$LEDGE bench net.onnx --threads 99999999999999999999", 2, "--threads"},
      {"$LEDGE bench net.onnx --seconds nan", 2, "--seconds"},
      {"$LEDGE bench net.onnx --seconds -1", 2, "--seconds"},
      {"$LEDGE bench net.onnx --seconds 1s", 2, "--seconds"},
      {"$LEDGE bench net.onnx --deadline inf", 2, "--deadline"},
      {"$LEDGE bench net.onnx --memory-limit 1T2", 2, "--memory-limit"},
      {"$LEDGE bench net.onnx --memory-limit -5", 2, "--memory-limit"},
      {"$LEDGE bench net.onnx --memory-limit 99999999999G", 2, "--memory-limit"},
      {"$LEDGE bench net.onnx --json=yes", 2, "no value belongs to"},
      {"$LEDGE bench net.onnx --no-pass nonsense", 1, "no pass 'nonsense'"},
      {"$LEDGE info net.onnx --threads -1", 2, "--threads"},
      {"$LEDGE run net.onnx --top -1", 2, "--top"},
      {"$LEDGE run net.onnx --threads 1000", 1, "256"},
      {"$LEDGE cache", 0, "0 files"},
      {"$LEDGE cache net.onnx", 2, "no 'net.onnx'"},
      {"$LEDGE cache clear all", 2, "argument"},
      {"$LEDGE cache --no-cache", 2, "unknown option 'no-cache'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sh("%s", cases[i].command);
    if (status != cases[i].status) TEST_FAIL("%s: exit status %d\n%s", cases[i].command, status, errs);
    const char *said = cases[i].status ? errs : out, *silent = cases[i].status ? out : errs;
    if (!strstr(said, cases[i].says)) TEST_FAIL("%s: says %s", cases[i].command, said);
    if (*silent) TEST_FAIL("%s: says %s", cases[i].command, silent);
  }
}

/* Each verb's --help shows its options and examples, and the manual page knows each of those options. */
static void test_help(void) {
  static const char *const verbs[] = {"info", "run", "bench", "convert", "cpu", "cache"};
  char *page = read_whole("docs/ledge.1", NULL);
  for (int v = 0; v < 6; v++) {
    sh("$LEDGE %s --help", verbs[v]);
    CHECK_INT(status, 0);
    CHECK(!*errs);
    if (!strstr(out, "\noptions:\n") || !strstr(out, "\nexamples:\n  ledge "))
      TEST_FAIL("%s --help: %s", verbs[v], out);
    for (char *at = out; (at = strstr(at, "\n  --")); at += 5) {
      char option[64], wanted[64] = "\\-\\-";
      snprintf(option, sizeof option, "%.*s", (int)strcspn(at + 5, " \n"), at + 5);
      size_t n = strlen(wanted);
      for (const char *p = option; *p && n + 3 < sizeof wanted; p++) { /* as roff spells it */
        if (*p == '-') wanted[n++] = '\\';
        wanted[n++] = *p;
      }
      wanted[n] = 0;
      if (!strstr(page, wanted)) TEST_FAIL("docs/ledge.1 lacks --%s of %s", option, verbs[v]);
    }
    sh("$LEDGE %s -h", verbs[v]);
    CHECK_INT(status, 0);
  }
  free(page);
}

/* What the manual page promises, the verbs know. */
static void test_manual(void) {
  char *page = read_whole("docs/ledge.1", NULL), *all = calloc(1, 1);
  static const char *const verbs[] = {"info", "run", "bench", "convert", "cpu", "cache"};
  for (int v = 0; v < 6; v++) {
    sh("$LEDGE %s --help", verbs[v]);
    all = realloc(all, strlen(all) + out_size + 1);
    strcat(all, out);
  }
  for (const char *at = page; (at = strstr(at, "\\-\\-")); at += 4) {
    char option[64] = "--";
    size_t n = 2;
    for (const char *p = at + 4; (isalpha((unsigned char)*p) || *p == '\\' || *p == '-') && n < 60; p++)
      if (*p != '\\') option[n++] = *p;
    option[n] = 0;
    if (strcmp(option, "--help") && strcmp(option, "--version") && !strstr(all, option))
      TEST_FAIL("no verb knows the manual's %s", option);
  }
  free(page);
  free(all);
}

static void test_info(void) {
  sh("$LEDGE info net.onnx");
  CHECK_INT(status, 0);
  static const char *const says[] = {"input    x", "[N x 3 x 8 x 8]", "output   y", "Conv 1",
                                     "Relu 1",     "planned",         "author",     "opset 21"};
  for (size_t i = 0; i < sizeof says / sizeof *says; i++)
    if (!strstr(out, says[i])) TEST_FAIL("info does not say \"%s\": %s", says[i], out);
  sh("$LEDGE info net.onnx --json");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  CHECK_STR(js_text("model"), "net.onnx");
  CHECK_STR(js_text("format"), "onnx");
  CHECK_INT(js_real("opset"), 21);
  CHECK_STR(js_text("inputs.0.name"), "x");
  CHECK_STR(js_text("inputs.0.kind"), "tensor");
  CHECK_STR(js_text("inputs.0.dtype"), "f32");
  CHECK_STR(js_raw("inputs.0.shape"), "[\"N\", 3, 8, 8]");
  CHECK_STR(js_text("outputs.0.name"), "y");
  CHECK_INT(js_real("parameters"), 4 * 3 * 3 * 3 + 4);
  CHECK_INT(js_real("operators.Conv"), 1);
  CHECK_STR(js_raw("unsupported"), "[]");
  CHECK(js_real("planned_bytes") > 0);
  CHECK_STR(js_text("metadata.note"), "with \\\"quotes\\\" and \\\\");
  double one = js_real("planned_bytes"), work = js_real("multiply_adds");
  sh("$LEDGE info net.onnx --json --shape x=4x3x8x8");
  CHECK(js_real("planned_bytes") > 2 * one);
  CHECK_NEAR(js_real("multiply_adds"), 4 * work, 1);
}

static void test_info_unsupported(void) {
  sh("$LEDGE info own.onnx --json");
  CHECK_INT(status, 0);
  CHECK_STR(js_raw("unsupported"), "[\"acme.Twirl\", \"acme.Whirl\"]");
  CHECK(strstr(js_text("not_planned"), "acme.Whirl") && strstr(js_text("not_planned"), "acme.Twirl"));
  sh("$LEDGE info own.onnx");
  CHECK(strstr(out, "acme.Whirl (UNSUPPORTED)"));
}

static void test_info_many(void) {
  sh("$LEDGE info net.onnx ids.onnx --json");
  CHECK_INT(status, 0);
  CHECK(strstr(out, "ids.onnx"));
  check_error("$LEDGE info none.onnx net.onnx", 1, "none.onnx|No such file");
}

/* The planned bytes that info and bench print are what the limit counts: just enough passes, one less does not. */
static void test_memory_limit(void) {
  char command[256];
  sh("$LEDGE info net.onnx --json --shape x=9x3x8x8");
  long long need = (long long)js_real("planned_bytes");
  CHECK(need > 1000);
  sh("$LEDGE bench net.onnx --json --seconds 0 --shape x=9x3x8x8 --memory-limit %lld", need);
  CHECK_INT(status, 0);
  CHECK_INT(js_real("planned_bytes"), need);
  snprintf(command, sizeof command, "$LEDGE bench net.onnx --json --seconds 0 --shape x=9x3x8x8 --memory-limit %lld",
           need - 1);
  char want[64];
  snprintf(want, sizeof want, "%lld bytes|--memory-limit|net.onnx", need);
  check_error(command, 1, want);
  sh("$LEDGE info net.onnx --json --shape x=9x3x8x8 --memory-limit %lld", need - 1);
  CHECK_INT(status, 3);
  snprintf(want, sizeof want, "%lld bytes", need);
  CHECK(strstr(js_text("not_planned"), want));
  sh("$LEDGE bench net.onnx --seconds 0 --memory-limit 512M");
  CHECK_INT(status, 0);
}

static void test_bench_json(void) {
  sh("$LEDGE bench net.onnx --json --seconds 0.05 --threads 1 --shape x=1x3x8x8");
  CHECK_INT(status, 0);
  CHECK(!*errs);
  CHECK(js_valid());
  CHECK_STR(js_text("model"), "net.onnx");
  CHECK_INT(js_real("threads"), 1);
  CHECK(js_real("runs") >= 10);
  CHECK(js_real("load_ms") > 0);
  static const char *const keys[] = {"min", "p50", "p90", "p99", "max"};
  double before = 0;
  for (int i = 0; i < 5; i++) {
    char path[32];
    snprintf(path, sizeof path, "latency_ms.%s", keys[i]);
    CHECK(js_real(path) >= before && js_real(path) > 0);
    before = js_real(path);
  }
  CHECK(js_real("peak_rss_bytes") > 1e6);
  CHECK(js_real("planned_bytes") > 0);
  sh("$LEDGE bench net.onnx two.onnx --json --seconds 0");
  CHECK_INT(status, 0);
  char *second = strchr(out, '\n');
  CHECK(second && strchr(second + 1, '\n') == out + out_size - 1); /* a line a model */
}

static void test_bench_options(void) {
  sh("$LEDGE bench net.onnx --json --seconds 0 --deadline 0.000001");
  CHECK_INT(status, 0);
  CHECK(js_real("deadline_misses") == js_real("runs"));
  CHECK_NEAR(js_real("deadline_ms"), 1e-6, 1e-12);
  sh("$LEDGE bench net.onnx --json --seconds 0 --deadline 60000");
  CHECK_INT(js_real("deadline_misses"), 0);
  sh("$LEDGE bench net.onnx --seconds 0 --deadline 60000");
  CHECK(strstr(out, "missed 0 times of 10"));
  sh("$LEDGE bench net.onnx --seconds 0 --profile --threads 1");
  CHECK_INT(status, 0);
  CHECK(strstr(out, "Conv") && strstr(out, "share") && strstr(out, "mul-adds") && strstr(out, "peak"));
  sh("$LEDGE bench net.onnx --seconds 0 --profile --json");
  CHECK(js_valid());
  CHECK(js_real("share_of_peak") > 0);
  CHECK_INT(*js_at("operators.0"), '{');
  CHECK(js_real("operators.0.ms") >= 0 && js_real("operators.0.multiply_adds") >= 0 &&
        js_real("operators.0.steps") >= 1);
  CHECK(*js_text("operators.0.op") && *js_text("operators.0.kernel"));
  sh("$LEDGE bench net.onnx --json --seconds 0 --reference --seed 7 --no-pass all --quiet");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  sh("$LEDGE bench net.onnx --json --seconds 0 --no-pass fold,epilogue");
  CHECK_INT(status, 0);
  sh("$LEDGE bench net.onnx --json --seconds 0.3");
  CHECK(js_real("runs") * js_real("latency_ms.p50") < 3000);
  sh("$LEDGE bench ids.onnx --json --seconds 0 --shape ids=2x5 --int ids=9");
  CHECK_INT(status, 0);
  sh("$LEDGE bench ids.onnx --json --seconds 0 --shape 0=2x5 --int 0=-10");
  CHECK_INT(status, 0);
  sh("$LEDGE bench two.onnx --json --seconds 0 --threads 2");
  CHECK_INT(js_real("threads"), 2);
}

static void test_bench_errors(void) {
  static const struct {
    const char *command;
    int status;
    const char *says;
  } cases[] = {
      {"$LEDGE bench ids.onnx --seconds 0 --int ids=10", 1, "ids.onnx|Gather|10"},
      {"$LEDGE bench ids.onnx --seconds 0 --int ids=ten", 1, "--int ids=ten"},
      {"$LEDGE bench ids.onnx --seconds 0 --int idz=1", 1, "--int idz=1|ids"},
      {"$LEDGE bench ids.onnx --seconds 0 --int ids", 1, "--int ids|NAME=VALUE"},
      {"$LEDGE bench net.onnx --seconds 0 --int x=3", 1, "--int x=3|f32"},
      {"$LEDGE bench net.onnx --seconds 0 --shape image=1x3x8x8", 1, "--shape image=1x3x8x8|x"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=1x3x8", 1, "net.onnx|'x'|[1x3x8]"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=1x4x8x8", 1, "'x'|[1x4x8x8]"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=1x3x8x8x", 1, "1x3x8x8x"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=", 1, "net.onnx|'x'|given []"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=1,3,8,8", 1, "1,3,8,8"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=-1x3x8x8", 1, "-1x3x8x8"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=99999999999999999999x3x8x8", 1, "shape"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=4611686018427387904x3x8x8", 1, "too large"},
      {"$LEDGE bench net.onnx --seconds 0 --shape x=100000000000x3x8x8", 1, "memory"},
      {"$LEDGE bench own.onnx --seconds 0", 1, "own.onnx|acme.Whirl|acme.Twirl|2 nodes"},
      {"$LEDGE info net.onnx --shape y=1x3x8x8", 1, "--shape y=1x3x8x8"},
      {"$LEDGE info ids.onnx --int ids=ten", 1, "--int ids=ten"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check_error(cases[i].command, cases[i].status, cases[i].says);
}

static void test_convert(void) {
  sh("$LEDGE convert net.onnx copy.onnx");
  CHECK_INT(status, 0);
  CHECK(!*out);
  sh("$LEDGE convert net.onnx -o copy2.onnx --quiet");
  CHECK_INT(status, 0);
  CHECK(!*out && !*errs);
  sh("cmp copy.onnx copy2.onnx");
  CHECK_INT(status, 0);
  sh("$LEDGE info copy.onnx --json");
  CHECK_INT(js_real("operators.Conv"), 1);
  CHECK_STR(js_text("metadata.author"), "somebody");
  put_model("shapes.onnx",
            "input x f32 2 3; const a i64 1 = 3; const b i64 1 = 2; s = Concat a b | axis=0;"
            "y = Reshape x s; output y f32 3 2");
  sh("$LEDGE convert shapes.onnx simple.onnx --simplify");
  CHECK_INT(status, 0);
  sh("$LEDGE info simple.onnx --json");
  CHECK_STR(js_raw("operators"), "{\"Reshape\": 1}");
  sh("$LEDGE convert net.onnx net.onnx"); /* onto itself */
  CHECK_INT(status, 0);
  sh("cmp copy.onnx net.onnx");
  CHECK_INT(status, 0);
}

static void test_convert_external(void) {
  put_model("big.onnx", "input x f32 1 40; const w f32 40 40 = *; y = MatMul x w; output y f32 1 40");
  sh("mkdir -p ext; $LEDGE convert big.onnx ext/big.onnx --external-data 1K");
  CHECK_INT(status, 0);
  CHECK(exists("ext/big.onnx.data"));
  sh("$LEDGE bench big.onnx --seconds 0 && $LEDGE bench ext/big.onnx --seconds 0");
  CHECK_INT(status, 0);
  sh("mkdir -p away; mv ext/big.onnx.data away; ln -s ../away/big.onnx.data ext; true");
  for (int i = 0; i < 4; i++) {
    static const char *const commands[] = {"$LEDGE info ext/big.onnx", "$LEDGE run ext/big.onnx x.npy",
                                           "$LEDGE bench ext/big.onnx", "$LEDGE convert ext/big.onnx z.onnx"};
    check_error(commands[i], 1, "big.onnx.data|--allow-links");
  }
  sh("head -c 160 /dev/zero > x.bin; $LEDGE run ext/big.onnx x.bin --allow-links --quiet && "
     "$LEDGE info ext/big.onnx --allow-links && $LEDGE bench ext/big.onnx --allow-links --seconds 0 && "
     "$LEDGE convert ext/big.onnx whole.onnx --allow-links");
  if (status) TEST_FAIL("%s", errs);
}

static void test_cpu(void) {
  sh("$LEDGE cpu");
  CHECK_INT(status, 0);
  CHECK(strstr(out, "processor ") && strstr(out, "cores") && strstr(out, "multiply-adds"));
  sh("$LEDGE cpu --json");
  CHECK(js_valid());
  CHECK(*js_text("architecture") && js_real("default_threads") >= 1 && js_real("allowed") >= 1);
  CHECK(js_real("default_threads") <= js_real("allowed"));
  CHECK(js_real("peak_multiply_adds_per_s") > 1e6 && js_real("peak_bf16_multiply_adds_per_s") >= 0);
  sh("taskset -c $(taskset -pc $$ | sed 's/.*: //; s/[-,].*//') $LEDGE cpu --json 2>/dev/null || true");
  if (*out == '{') CHECK_INT(js_real("default_threads"), 1);
}

static void test_precision(void) {
  sh("$LEDGE bench net.onnx --json --seconds 0 --precision bf16");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  CHECK_STR(js_text("precision"), "bf16");
  sh("$LEDGE bench net.onnx --json --seconds 0 --precision float32 --profile");
  CHECK_STR(js_text("precision"), "float32");
  CHECK(!strstr(out, "bf16") && !strstr(out, "precision_auto"));
  sh("$LEDGE bench net.onnx --json --seconds 0 --precision=auto --precision-error 0.5 --profile");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  CHECK(js_real("precision_auto.error") >= 0 && js_real("precision_auto.error_limit") == 0.5);
  CHECK(js_real("precision_auto.float32_ms") > 0 && js_real("precision_auto.bf16_ms") > 0);
  sh("$LEDGE bench net.onnx --seconds 0 --precision auto");
  CHECK(strstr(out, "  precision ") && strstr(out, " (auto: bf16 is ") && strstr(out, "% off, at most 1 %"));
  sh("$LEDGE bench net.onnx --seconds 0 --precision bf16 --profile");
  CHECK(strstr(out, "_bf16") && strstr(out, "\n  precision bf16\n"));
  sh("LEDGE_ISA=scalar $LEDGE bench net.onnx --seconds 0 --precision bf16");
  CHECK(!status && strstr(errs, "no instructions for bf16"));
  sh("LEDGE_ISA=scalar $LEDGE bench net.onnx --seconds 0 --precision bf16 --quiet");
  CHECK(!status && !*errs);
  sh("$LEDGE bench net.onnx --seconds 0 --precision fp8");
  CHECK_INT(status, 2);
  CHECK_STR(errs, "ledge bench: --precision is float32, bf16 or auto, not 'fp8'\n");
  sh("$LEDGE run net.onnx --precision");
  CHECK_INT(status, 2);
  sh("$LEDGE bench net.onnx --seconds 0 --precision-error -1");
  CHECK_INT(status, 2);
}

/* Kernels may be capped; the features that cpu prints say so, and each level's kernels give the same outputs, but for
 * the last bits of sums. */
static void test_isa(void) {
  sh("LEDGE_ISA=scalar $LEDGE cpu --json");
  CHECK(js_valid());
  CHECK(!strstr(js_text("features"), "avx") && !strstr(js_text("features"), "neon"));
  sh("LEDGE_ISA=scalar $LEDGE bench net.onnx --seconds 0 --profile");
  CHECK_INT(status, 0);
  CHECK(!strstr(out, "avx") && !strstr(out, "neon"));
  put_model("isa.onnx",
            "input x f32 1 3 20 20; const w f32 16 3 3 3 = *; const b f32 16 = *; const d f32 16 1 3 3 = *;"
            "const p f32 24 16 1 1 = *; c = Conv x w b | pads=[1,1,1,1] strides=[2,2]; r = Relu c;"
            "e = Conv r d | pads=[1,1,1,1] group=16; s = HardSwish e; f = Conv s p; m = MaxPool f | kernel_shape=[2,2];"
            "a = GlobalAveragePool m; g = Flatten a; const v f32 24 17 = *; l = MatMul g v; y = Softmax l | axis=1;"
            "const qs f32 = 0.01; const qz u8 = 128; const ws f32 = 0.02; const wz i8 = 0; const wq i8 24 24 = *;"
            "q = QuantizeLinear g qs qz; h = QLinearMatMul q qs qz wq ws wz qs qz; z = DequantizeLinear h qs qz;"
            "output f f32 any; output y f32 1 17; output z f32 1 24");
  float x[1200];
  for (int i = 0; i < 1200; i++) x[i] = (float)sin(i * 0.37);
  put_npy("isa.npy", "<f4", "(1, 3, 20, 20)", x, sizeof x);
  sh("$LEDGE run isa.onnx isa.npy --output ref --reference --quiet");
  if (status) TEST_FAIL("%s", errs);
  static const char *const caps[] = {
      "",           "scalar", "sse2", "avx2",      "avxvnni",      "avx512", "avx512vnni",   "avx512bf16",
      "avx512fp16", "amx",    "neon", "neon_fp16", "neon_dotprod", "sve",    "avx2+avxvnni", "nonsense"};
  for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
    static const struct {
      const char *name, *shape;
      size_t n;
      float tolerance;
    } outputs[] = {{"f", "(1, 24, 10, 10)", 2400, 1e-4f}, {"y", "(1, 17)", 17, 1e-5f}, {"z", "(1, 24)", 24, 0.0101f}};
    sh("LEDGE_ISA=%s $LEDGE run isa.onnx isa.npy --output isa --quiet --threads 2", caps[i]);
    if (status) TEST_FAIL("%s: %s", caps[i], errs);
    for (int k = 0; k < 3; k++) {
      char *all, *wanted, path[32];
      snprintf(path, sizeof path, "ref/%s.npy", outputs[k].name);
      const float *want = get_npy(path, "<f4", outputs[k].shape, &wanted);
      snprintf(path, sizeof path, "isa/%s.npy", outputs[k].name);
      const float *got = get_npy(path, "<f4", outputs[k].shape, &all);
      for (size_t e = 0; want && got && e < outputs[k].n; e++)
        if (!(fabsf(got[e] - want[e]) <= outputs[k].tolerance)) {
          TEST_FAIL("%s: output %s[%zu] is %g, not %g", caps[i], outputs[k].name, e, (double)got[e], (double)want[e]);
          break;
        }
      free(all);
      free(wanted);
    }
  }
}

/* Packed weights are written by run and bench, not by info or --no-cache; listed; used; cleared. */
static void test_cache(void) {
  put_model("packs.onnx", "input x f32 1 320; const w f32 320 320 = *; y = MatMul x w; output y f32 1 320");
  sh("sleep 0.3; $LEDGE bench packs.onnx --seconds 0 --json"); /* the times of files tick */
  CHECK(js_real("packed_bytes") >= 320 * 320 * 4);
  CHECK_INT((int)js_real("cached_bytes"), 0);
  sh("mkdir -m 700 cache; export XDG_CACHE_HOME=$PWD/cache; $LEDGE info packs.onnx --memory-limit 1G &&"
     "$LEDGE bench packs.onnx --seconds 0 --no-cache && $LEDGE cache --json");
  CHECK_INT(status, 0);
  CHECK(!exists("cache/ledge"));
  sh("export XDG_CACHE_HOME=$PWD/cache; $LEDGE bench packs.onnx --seconds 0 >first && $LEDGE cache --json");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  CHECK(strstr(js_text("folder"), "/cache/ledge") && strstr(js_text("files.0.model"), "/packs.onnx"));
  CHECK(js_real("files.0.bytes") >= 320 * 320 * 4 && js_real("bytes") == js_real("files.0.bytes"));
  CHECK_STR(js_raw("files.0.current"), "true");
  CHECK_INT((int)js_real("limit_bytes"), 1 << 30);
  sh("export XDG_CACHE_HOME=$PWD/cache; $LEDGE bench packs.onnx --seconds 0 --json");
  CHECK(js_real("cached_bytes") >= 320 * 320 * 4);
  sh("export XDG_CACHE_HOME=$PWD/cache; $LEDGE bench packs.onnx --seconds 0 --json --no-cache");
  CHECK_INT((int)js_real("cached_bytes"), 0);
  sh("export XDG_CACHE_HOME=$PWD/cache LEDGE_ISA=scalar; $LEDGE bench packs.onnx --seconds 0 --json");
  CHECK_INT((int)js_real("cached_bytes"), 0); /* other kernels */
  sh("export XDG_CACHE_HOME=$PWD/cache; $LEDGE cache");
  CHECK(strstr(out, "2 files") && strstr(out, "packs.onnx") && strstr(out, "of 1.0 GiB"));
  sh("export XDG_CACHE_HOME=$PWD/cache; touch cache/ledge/mine; $LEDGE cache clear --json");
  CHECK(js_valid());
  CHECK_INT((int)js_real("removed_files"), 2);
  CHECK(exists("cache/ledge/mine")); /* what is not the cache's stays */
  sh("export XDG_CACHE_HOME=$PWD/cache; $LEDGE cache clear --quiet && $LEDGE cache");
  CHECK(strstr(out, "0 files"));
}

/* Names that are not ASCII, or no valid UTF-8 at all, still make valid JSON. */
static void test_json_names(void) {
  put_model("names.onnx",
            "input \xc3\xa4\"\\\x01 f32 2; y\xed\xa0\x80\xff\xc0\xaf = Neg \xc3\xa4\"\\\x01;"
            "output y\xed\xa0\x80\xff\xc0\xaf f32 2");
  sh("$LEDGE info names.onnx --json");
  CHECK_INT(status, 0);
  CHECK(js_valid());
  CHECK_STR(js_text("inputs.0.name"), "\xc3\xa4\\\"\\\\\\u0001");
  CHECK(strstr(js_text("outputs.0.name"), "\xef\xbf\xbd") != NULL);
}

TEST_MAIN({"usage", test_usage}, {"help", test_help}, {"manual", test_manual}, {"info", test_info},
          {"info unsupported", test_info_unsupported}, {"info many", test_info_many},
          {"memory limit", test_memory_limit}, {"bench json", test_bench_json}, {"bench options", test_bench_options},
          {"bench errors", test_bench_errors}, {"convert", test_convert}, {"convert external", test_convert_external},
          {"cpu", test_cpu}, {"precision", test_precision}, {"isa", test_isa}, {"cache", test_cache},
          {"json names", test_json_names})
