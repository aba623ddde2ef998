/* backend/cpu/separable: blocks of separable convolutions; their weights are packed as those of single convolutions. */
#include "backend/cpu/bf16.h"
#include "backend/cpu/conv.h"
#include "base/error.h"
#include "ops/fused.h"

/* The weights, which are packed: every second input from 2 on. */
enum { SEPARABLE_WEIGHTS = 0x15554 };

typedef struct separable_state {
  separable_f32_plan plan;
  const void *packed[SEPARABLE_MOST];
} separable_state;

static ledge_status separable_run(op_ctx *c) {
  const separable_state *s = c->kernel;
  separable_f32_run(&s->plan, op_in(c, 0)->data, s->packed, op_out(c, 0)->data, cpu_f32(op_in(c, 1)), c->scratch,
                    c->pool);
  return LEDGE_OK;
}

static ledge_status separable_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  for (int i = 2; i < c->n_in; i++)
    if (op_has(c, i) && !cpu_constant(r, i)) return LEDGE_OK;
  separable_f32_params p;
  TRY(fused_separable_params(c, &p));
  p.threads = r->threads;
  TRY(cpu_bf16_separable(r, &p, ret, error));
  if (ret->run) return LEDGE_OK;
  separable_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  if (!separable_f32_plan_init(&s->plan, &p, r->isa)) return LEDGE_OK;
  double multiply_adds = 0;
  for (int i = 0; i < p.n; i++) {
    TRY(cpu_conv_pack(r, &s->plan.stage[i], op_in(c, 2 + 2 * i), op_in(c, 3 + 2 * i), &s->packed[i], error));
    multiply_adds += cpu_conv_multiply_adds(&p.stage[i]);
  }
  *ret = (kernel){.run = separable_run,
                  .state = s,
                  .scratch_bytes = s->plan.scratch_bytes,
                  .name = "separable",
                  .multiply_adds = multiply_adds,
                  .any_address = SEPARABLE_WEIGHTS};
  return LEDGE_OK;
}

const cpu_row cpu_rows_separable[] = {
    {"ledge", "Separable", separable_prepare, SEPARABLE_WEIGHTS},
    {0},
};
