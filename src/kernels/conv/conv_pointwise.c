/* kernels/conv/conv_pointwise: 1x1, stride 1, no padding: one matrix product a group over all pixels, in place. */
#include "kernels/conv/conv_impl.h"

#include "kernels/thin/thin.h"

static gemm_f32_plan pointwise_gemm(const conv_f32_plan *plan, const conv_geometry *g) {
  return (gemm_f32_plan){
      .params = {.m = g->batch * g->x_image / g->xps,
                 .n = g->ng,
                 .k = g->k,
                 .b_is_constant = true,
                 .epilogue = plan->params.epilogue,
                 .threads = plan->params.threads},
      .variant = plan->gemm,
      .thread_scratch_bytes = plan->thread_scratch_bytes,
      .copied_rows = plan->layout[0],
  };
}

static bool pointwise_plan(conv_f32_plan *plan) {
  conv_geometry g = conv_geometry_of(&plan->params, plan->gemm);
  gemm_f32_plan gemm;
  gemm_f32_params params = {.m = g.batch * g.x_image / g.xps, .n = g.ng, .k = g.k, .b_is_constant = true};
  if (!conv_panels_bytes(plan, &plan->packed_bytes) || !gemm_f32_plan_init(&gemm, &params, plan->gemm->isa))
    return false;
  plan->thread_scratch_bytes = gemm.thread_scratch_bytes;
  plan->layout[0] = gemm.copied_rows;
  return true;
}

static void pointwise_run(const conv_run_args *a) {
  conv_geometry g = conv_geometry_of(&a->plan->params, a->plan->gemm);
  gemm_f32_plan gemm = pointwise_gemm(a->plan, &g);
  const thin_f32_variant *thin = thin_f32_find(a->plan->gemm, g.ng, g.k);
  for (int64_t i = 0; i < g.groups; i++) {
    gemm_f32_args args = {.m = gemm.params.m,
                          .a = a->x + i * g.cg,
                          .a_stride = g.xps,
                          .packed_b = a->packed + i * g.panels * g.k * a->plan->gemm->nr,
                          .bias = a->bias + i * g.ng,
                          .residual = a->residual ? a->residual + i * g.ng : NULL,
                          .residual_stride = g.rps,
                          .c = a->y + i * g.ng,
                          .c_stride = g.yps};
    if (thin && args.m > thin->mr)
      thin_f32_run(thin, a->plan->gemm, &a->plan->params.epilogue, &args, g.ng, g.k, a->pool);
    else
      gemm_f32_run(&gemm, &args, a->scratch, a->pool);
  }
}

const conv_algorithm conv_pointwise = {pointwise_plan, conv_panels_pack, pointwise_run};
