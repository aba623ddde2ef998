/* backend/cpu/cast: Cast between float32 and the 16-bit floats, and between float32 and the common integers. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "kernels/convert/convert.h"

static ledge_status cast_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  tensor *y = op_out(c, 0);
  int64_t n = tensor_elements(x);
  if (x->dtype == LEDGE_F16)
    convert_f16_to_f32(x->data, y->data, n, c->pool);
  else if (x->dtype == LEDGE_BF16)
    convert_bf16_to_f32(x->data, y->data, n, c->pool);
  else if (y->dtype == LEDGE_F16)
    convert_f32_to_f16(x->data, y->data, n, c->pool);
  else if (y->dtype == LEDGE_BF16)
    convert_f32_to_bf16(x->data, y->data, n, c->pool);
  else if (y->dtype == LEDGE_F32)
    (void)convert_int_to_f32(x->dtype, x->data, y->data, n);
  else
    (void)convert_f32_to_int(x->data, y->dtype, y->data, n);
  return LEDGE_OK;
}

static bool is_half(ledge_dtype d) { return d == LEDGE_F16 || d == LEDGE_BF16; }

static ledge_status cast_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  (void)error;
  const tensor *x = op_in(r->ctx, 0), *y = op_out(r->ctx, 0);
  if (!x || !y) return LEDGE_OK;
  bool fast = false;
  if (y->dtype == LEDGE_F32)
    fast = is_half(x->dtype) || convert_int_to_f32(x->dtype, NULL, NULL, 0);
  else if (x->dtype == LEDGE_F32)
    fast = is_half(y->dtype) || convert_f32_to_int(NULL, y->dtype, NULL, 0);
  if (fast) *ret = (kernel){cast_run, NULL, 0, "convert", 0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_cast[] = {
    {"", "Cast", cast_prepare},
    {"", "CastLike", cast_prepare},
    {0},
};
