// Makes tflite_samples.def: what TensorFlow Lite's reference kernels give in the third of three runs for the inputs that
// model_tflite.c makes alike. A model that TensorFlow Lite refuses (custom operators) gets a case without outputs.
// Usage, with the peers of ../shared: peers/run MODELS g++ -O2 -o /tmp/make /data/.../make_tflite_samples.cc
//   -ltensorflow-lite; peers/run MODELS sh -c 'cd /data && /tmp/make $(find . -name "*.tflite" | sort)'
#include <tensorflow/lite/interpreter.h>
#include <tensorflow/lite/interpreter_builder.h>
#include <tensorflow/lite/kernels/register_ref.h>
#include <tensorflow/lite/model_builder.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

static uint32_t mix(uint32_t i, uint32_t seed) {  // as model_tflite.c
  uint32_t x = i * 0x9E3779B1u + seed;
  x = (x ^ x >> 16) * 0x85EBCA6Bu;
  x = (x ^ x >> 13) * 0xC2B2AE35u;
  return x ^ x >> 16;
}

static double element(const TfLiteTensor *t, size_t i) {
  switch (t->type) {
    case kTfLiteFloat32: return t->data.f[i];
    case kTfLiteInt8: return t->data.int8[i];
    case kTfLiteUInt8: return t->data.uint8[i];
    case kTfLiteInt16: return t->data.i16[i];
    case kTfLiteInt32: return t->data.i32[i];
    case kTfLiteInt64: return (double)t->data.i64[i];
    default: return t->data.b[i];
  }
}

static void fill(TfLiteTensor *t, uint32_t seed) {
  size_t each = t->type == kTfLiteFloat32 ? 4 : 1;
  for (size_t i = 0; i < t->bytes / each; i++) {
    uint32_t bits = mix((uint32_t)i, seed);
    float v = (float)((bits >> 8) * 0x1p-23 - 1);
    if (each == 4) memcpy(t->data.raw + 4 * i, &v, 4);
    else t->data.raw[i] = (char)bits;
  }
}

static void empty_case(const char *path) { printf("CASE(\"%s\", 0, OUTPUTS({0}))\n", path); }

int main(int argc, char **argv) {
  printf("/* Made by make_tflite_samples.cc with TensorFlow Lite %s; see model_tflite.c. */\n", "2.14.1");
  for (int a = 1; a < argc; a++) {
    const char *path = argv[a] + (strncmp(argv[a], "./", 2) ? 0 : 2);
    auto m = tflite::FlatBufferModel::BuildFromFile(argv[a]);
    tflite::ops::builtin::BuiltinRefOpResolver resolver;
    std::unique_ptr<tflite::Interpreter> in;
    if (m) tflite::InterpreterBuilder(*m, resolver)(&in);
    if (!in || in->AllocateTensors() != kTfLiteOk) {
      empty_case(path);
      continue;
    }
    bool hybrid = false, floats = false;
    for (size_t i = 0; i < in->tensors_size(); i++) hybrid |= in->tensor(i)->type == kTfLiteInt8;
    for (int i : in->inputs()) floats |= in->tensor(i)->type == kTfLiteFloat32;
    double tolerance = floats ? (hybrid ? 0.06 : 1e-4) : 1e-6;
    bool ok = true;
    for (uint32_t run = 0; run < 3 && ok; run++) {
      for (size_t i = 0; i < in->inputs().size(); i++) fill(in->input_tensor(i), run * 16 + (uint32_t)i);
      ok = in->Invoke() == kTfLiteOk;
    }
    if (!ok) {
      empty_case(path);
      continue;
    }
    printf("CASE(\"%s\", %g,\n     OUTPUTS(", path, tolerance);
    for (size_t k = 0; k < in->outputs().size() && k < 4; k++) {
      const TfLiteTensor *t = in->output_tensor(k);
      size_t n = 1;
      for (int d = 0; d < t->dims->size; d++) n *= (size_t)t->dims->data[d];
      double magnitude = 0, mean = 0;
      for (size_t i = 0; i < n; i++) {
        magnitude = std::fmax(magnitude, std::fabs(element(t, i)));
        mean += element(t, i) / (double)n;
      }
      printf("%s{%zu, %.7g, %.7g, {", k ? ",\n             " : "", n, magnitude, mean);
      for (uint32_t i = 0; i < 8; i++) printf("%s%.7g", i ? ", " : "", element(t, mix(i, 77) % n));
      printf("}}");
    }
    printf("))\n");
  }
}
