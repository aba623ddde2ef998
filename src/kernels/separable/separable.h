/* kernels/separable: float32 convolutions in a row, channels last, as one operation: the blocks that mobile networks
 * are made of.
 *
 *   x [h, w, in] --expand 1x1--> [h, w, c] --depthwise--> [h', w', c] --project 1x1--> y [h', w', out]
 *
 * (Howard et al., "MobileNets", 2017; with an expansion: Sandler et al., "MobileNetV2: Inverted Residuals and Linear
 * Bottlenecks", 2018.) Any row of 1x1 and depthwise convolutions will do. Each stage has a bias and an activation, the
 * last may add a residual of y's shape. What stands between the stages, often several times as wide as x and y, is made
 * by bands of rows and never leaves L2: one by one, the convolutions would write it to memory and read it again.
 *
 * Sums are those of the convolutions one by one, to the bit, at any number of threads. */
#ifndef KERNELS_SEPARABLE_H
#define KERNELS_SEPARABLE_H

#include "kernels/conv/conv.h"

enum { SEPARABLE_MOST = 8 }; /* stages */

/* The stages' own parameters, each one's input the output of that before it, dense. Their `algo` and `threads` do not
 * count. */
typedef struct separable_f32_params {
  int n; /* stages, at least 2 */
  conv_f32_params stage[SEPARABLE_MOST];
  int threads; /* pool_threads of the pool that will run it; 0 means 1 */
} separable_f32_params;

/* The rows of a stage's output that the next one still reads. */
typedef struct separable_f32_rows {
  bool ring; /* row i in slot i % rows, with zeros at both ends, for a depthwise stage; else one band after another */
  int64_t rows, row; /* slots, floats of each */
  int64_t pad;       /* pixels of zeros before a row */
  int64_t pixel;     /* floats between pixels */
  int64_t at;        /* floats before it in a thread's scratch */
} separable_f32_rows;

typedef struct separable_f32_plan {
  int n, threads;
  conv_f32_plan stage[SEPARABLE_MOST];     /* conv_f32_pack packs their weights */
  separable_f32_rows rows[SEPARABLE_MOST]; /* of all stages but the last */
  int64_t band, bands;                     /* output rows of a band, bands of an image */
  size_t scratch_bytes;                    /* in all; 64-byte aligned memory */
  size_t thread_scratch_bytes;
} separable_f32_plan;

/* False where the stages do not fit each other or this file: two dimensions, 1x1 stages without stride, padding or
 * groups, depthwise stages without negative padding; sizes that do not overflow. */
bool separable_f32_plan_init(separable_f32_plan *plan, const separable_f32_params *params, uint32_t isa_mask);

/* Is it worth the while to keep so many bytes of an image from being written between two stages? */
bool separable_f32_wins(int64_t bytes);

/* packed[i]: what conv_f32_pack made for plan->stage[i]; scratch: scratch_bytes; y may be the residual, but where the
 * last activation comes before it. */
void separable_f32_run(const separable_f32_plan *plan, const float *x, const void *const *packed, float *y,
                       const float *residual, void *scratch, pool *p);

#endif
