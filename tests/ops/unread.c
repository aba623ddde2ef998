/* tests/ops/unread: nodes whose outputs nobody reads, or whose first output is left out, and tensors without elements
 * whose other dims no loop is to walk; in sessions, with passes and kernels and without. */
#include "runtime/run_text.h"

#include "test.h"

#include <unistd.h>

static void run(const char *text, int rank, const int64_t *dims, int out_rank, const int64_t *out_dims) {
  for (int passes = 0; passes < 2; passes++)
    for (int reference = 0; reference < 2; reference++) {
      runner r;
      alarm(60);
      if (runner_open(&r, text, passes, &(session_options){.threads = 1, .reference_only = reference})) {
        runner_set(&r, 0, rank, dims);
        const tensor *y = runner_run(&r) ? NULL : runner_output(&r, 0);
        CHECK(y && shape_equal(y->rank, y->dims, out_rank, out_dims));
      }
      runner_close(&r);
      alarm(0);
    }
}

static void test_unread(void) {
  static const int64_t dims[] = {3, 3}, column[] = {3, 1};
  run("opset 22; input x f32 3 3; - = Relu x; - = Shape x; - = MatMul x x; - = Softmax x; - = ReduceSum x; y = Neg x;"
      "output y f32 3 3",
      2, dims, 2, dims);
  run("opset 22; input x f32 3 3; const w f32 3 = 1 2 3; - m = LayerNormalization x w; output m f32 3 1", 2, dims, 2,
      column);
}

static void test_empty(void) {
  static const int64_t dims[] = {(int64_t)1 << 40, 0}, image[] = {1, (int64_t)1 << 40, 0, 1};
  run("opset 22; input x f32 N 0; y = LpNormalization x | axis=1; output y f32 N 0", 2, dims, 2, dims);
  run("opset 22; input x f32 N 0; a = Neg x; y = Softmax a; output y f32 N 0", 2, dims, 2, dims);
  run("opset 22; input x f32 1 C 0 1; a = MaxPool x | kernel_shape=[1,1]; y = Relu a; output y f32 1 C 0 1", 4, image,
      4, image);
}

TEST_MAIN({"unread", test_unread}, {"empty", test_empty})
