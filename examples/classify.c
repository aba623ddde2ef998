/* examples/classify: runs a model on a tensor of zeros and prints the largest element of its first output.
 *
 *   cc classify.c $(pkg-config --cflags --libs ledge) -o classify && ./classify model.onnx
 */
#include <ledge/ledge.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(const ledge_error *error) {
  fprintf(stderr, "%s\n", error->message);
  return 1;
}

int main(int argc, char **argv) {
  ledge_error error;
  ledge_model *model;
  ledge_session *session;
  ledge_value_info input;
  if (argc != 2) return fprintf(stderr, "usage: classify MODEL\n"), 2;
  if (ledge_model_open(argv[1], NULL, &model, &error)) return fail(&error);
  if (ledge_session_create(model, NULL, &session, &error)) return fail(&error);
  if (ledge_model_input(model, 0, &input, &error)) return fail(&error);

  ledge_tensor x = {.dtype = input.dtype, .rank = input.rank};
  size_t n = 1;
  for (int i = 0; i < input.rank; i++) {
    x.dims[i] = input.dims[i] < 0 ? 1 : input.dims[i];
    n *= (size_t)x.dims[i];
  }
  x.bytes = n * (size_t)ledge_dtype_bits(x.dtype) / 8;
  x.data = calloc(1, x.bytes);
  if (!x.data) return 1;
  if (ledge_session_set_input(session, 0, &x, &error)) return fail(&error);
  if (ledge_session_run(session, &error)) return fail(&error);

  ledge_tensor y;
  if (ledge_session_output(session, 0, &y, &error)) return fail(&error);
  if (y.dtype == LEDGE_F32) {
    const float *v = y.data;
    size_t best = 0;
    for (size_t i = 1; i < y.bytes / sizeof *v; i++)
      if (v[i] > v[best]) best = i;
    printf("class %zu: %g\n", best, (double)v[best]);
  }
  ledge_session_destroy(session);
  ledge_model_close(model);
  free(x.data);
  return 0;
}
