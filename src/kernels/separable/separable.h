/* kernels/separable: the blocks that mobile networks are made of, as one operation: up to three float32 convolutions in
 * a row, channels last.
 *
 *   x [h, w, in] --expand 1x1--> [h, w, c] --depthwise--> [h', w', c] --project 1x1--> y [h', w', out]
 *
 * (Howard et al., "MobileNets", 2017; with an expansion: Sandler et al., "MobileNetV2: Inverted Residuals and Linear
 * Bottlenecks", 2018.) expand or project may be missing. Each stage has a bias and an activation, the last may add a
 * residual of y's shape. What stands between the stages, often several times as wide as x and y, is made by bands of
 * rows and never leaves L2: one by one, the convolutions would write it to memory and read it again.
 *
 * Sums are those of the convolutions one by one, to the bit, at any number of threads. */
#ifndef KERNELS_SEPARABLE_H
#define KERNELS_SEPARABLE_H

#include "kernels/conv/conv.h"

typedef enum separable_stage {
  SEPARABLE_EXPAND,
  SEPARABLE_DEPTHWISE,
  SEPARABLE_PROJECT,
  SEPARABLE_STAGES,
} separable_stage;

/* The stages' own parameters, each one's input the output of that before it, dense; rank 0: there is no such stage.
 * Their `algo` and `threads` do not count. */
typedef struct separable_f32_params {
  conv_f32_params stage[SEPARABLE_STAGES];
  int threads; /* pool_threads of the pool that will run it; 0 means 1 */
} separable_f32_params;

typedef struct separable_f32_plan {
  conv_f32_plan stage[SEPARABLE_STAGES]; /* zeroed where there is none; conv_f32_pack packs its weights */
  bool expand, project;
  int threads;
  int64_t band, bands; /* output rows of a band, bands of an image */
  int64_t ring, ring_row,
      ring_pad;         /* rows that are kept of expand's output, floats of each; pixels of zeros before it */
  int64_t middle;       /* floats between pixels of what is kept */
  size_t scratch_bytes; /* in all; 64-byte aligned memory */
  size_t thread_scratch_bytes;
} separable_f32_plan;

/* False where the stages do not fit each other or this file: two dimensions, 1x1 stages without stride, padding or
 * groups, a depthwise stage without negative padding; at least one 1x1 stage; sizes that do not overflow. */
bool separable_f32_plan_init(separable_f32_plan *plan, const separable_f32_params *params, uint32_t isa_mask);

/* Whether it is expected to be faster than its convolutions one by one, which write so many bytes an image between
 * them: the outputs of expand and of the depthwise stage, 0 where the stage before or after it is missing. */
bool separable_f32_wins(int64_t expanded_bytes, int64_t filtered_bytes);

/* packed[i]: what conv_f32_pack made for plan->stage[i]; scratch: scratch_bytes; y may be the residual, but
 * where the last activation comes before it. */
void separable_f32_run(const separable_f32_plan *plan, const float *x, const void *const packed[SEPARABLE_STAGES],
                       float *y, const float *residual, void *scratch, pool *p);

#endif
