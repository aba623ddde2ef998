/* tests/fuzz/fuzz_recipe: preprocessing and sound feature recipes, which stand in a model's metadata, run on a small
 * input; and a regular expression (before a NUL) on a text (behind it). */
#include "base/mem.h"
#include "fuzz.h"
#include "media/features.h"
#include "media/preprocess.h"
#include "text/regex.h"

static void run_image(const char *spec) {
  static uint8_t pixels[5 * 7 * 3];
  tensor image = {.dtype = LEDGE_U8, .rank = 3, .dims = {5, 7, 3}, .data = pixels}, out = {0};
  preprocess p;
  int64_t h, w;
  ledge_error e = {0};
  if (preprocess_parse(spec, &p, &e)) {
    FUZZ_CHECK(e.code != LEDGE_OK && e.message[0]);
  } else if (preprocess_output_size(&p, 5, 7, &h, &w) && h * w < 1 << 20 && p.height < 4096 && p.width < 4096) {
    FUZZ_CHECK(preprocess_run(&p, &image, &out, &e) == LEDGE_OK || e.message[0]);
  }
  tensor_deinit(&out);
}

static void run_sound(const char *spec) {
  static const float samples[3000] = {1, -1, 0.5f};
  audio_features f;
  features_plan *plan = NULL;
  tensor out = {0};
  ledge_error e = {0};
  if (audio_features_parse(spec, &f, &e)) {
    FUZZ_CHECK(e.code != LEDGE_OK && e.message[0]);
  } else if (f.length < 10000 && (f.hop_length > 20 || f.kind == FEATURES_WAVE) && f.n_mels < 300 && f.n_fft < 3000) {
    FUZZ_CHECK(features_plan_create(&f, &plan, &e) == LEDGE_OK);
    FUZZ_CHECK(features_plan_run(plan, samples, 3000, &out, &e) == LEDGE_OK || e.message[0]);
  }
  features_plan_destroy(plan);
  tensor_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = mem_strndup((const char *)data, size);
  FUZZ_CHECK(text);
  run_image(text);
  run_sound(text);
  size_t pattern = strlen(text), rest = pattern < size ? size - pattern - 1 : 0;
  regex *r = NULL;
  bool matches;
  ledge_error e = {0};
  if (regex_compile(text, pattern, &r, &e))
    FUZZ_CHECK(e.message[0]);
  else if (regex_full_match(r, text + size - rest, rest, &matches, &e))
    FUZZ_CHECK(e.message[0]);
  regex_destroy(r);
  mem_free(text);
  return 0;
}
