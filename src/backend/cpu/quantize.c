/* backend/cpu/quantize: QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear between float32 and 8 bits, with a
 * scale of the tensor or of each index of an axis. */
#include "kernels/quantize/quantize.h"
#include "backend/cpu/rows.h"
#include "base/error.h"

typedef struct quantize_state {
  int64_t outer, channels, inner;
  bool is_signed;
} quantize_state;

static ledge_status quantize_run(op_ctx *c) {
  const quantize_state *s = c->kernel;
  const tensor *zero = op_in(c, 2);
  quantize_f32(op_in(c, 0)->data, op_out(c, 0)->data, s->outer, s->channels, s->inner, op_in(c, 1)->data,
               zero ? zero->data : NULL, s->is_signed, c->pool);
  return LEDGE_OK;
}

static ledge_status dequantize_run(op_ctx *c) {
  const quantize_state *s = c->kernel;
  const tensor *zero = op_in(c, 2);
  quantize_dequantize_f32(op_in(c, 0)->data, op_out(c, 0)->data, s->outer, s->channels, s->inner, op_in(c, 1)->data,
                          zero ? zero->data : NULL, s->is_signed, c->pool);
  return LEDGE_OK;
}

static bool is_byte(const tensor *t) { return t && (t->dtype == LEDGE_U8 || t->dtype == LEDGE_I8); }

static ledge_status quantize_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *x = op_in(c, 0), *scale = op_in(c, 1), *zero = op_in(c, 2), *y = op_out(c, 0);
  bool back = !strcmp(c->node->op, "DequantizeLinear");
  const tensor *q = back ? x : y, *f = back ? y : x;
  if (!is_byte(q) || !f || f->dtype != LEDGE_F32 || !cpu_is_f32(r, 1) || (zero && zero->dtype != q->dtype))
    return LEDGE_OK;
  int64_t precision = op_int(c, "precision", LEDGE_F32), n = tensor_elements(scale);
  if (op_int(c, "block_size", 0) || (precision && precision != LEDGE_F32) || !tensor_elements(x)) return LEDGE_OK;
  if (zero && tensor_elements(zero) != n) return LEDGE_OK;
  quantize_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  *s = (quantize_state){1, 1, tensor_elements(x), q->dtype == LEDGE_I8};
  if (n != 1) {
    int axis = 0;
    if (x->rank != 1) TRY(op_axis(c, op_int(c, "axis", 1), x->rank, &axis));
    if (scale->rank != 1 || n != x->dims[axis]) return LEDGE_OK;
    *s = (quantize_state){tensor_span(x, 0, axis), n, tensor_span(x, axis + 1, x->rank), s->is_signed};
  }
  *ret = (kernel){back ? dequantize_run : quantize_run, s, 0, back ? "dequantize" : "quantize", 0};
  return LEDGE_OK;
}

static ledge_status dynamic_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  quantize_dynamic_u8(x->data, op_out(c, 0)->data, tensor_elements(x), op_out(c, 1)->data, op_out(c, 2)->data, c->pool);
  return LEDGE_OK;
}

static ledge_status dynamic_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  (void)error;
  op_ctx *c = r->ctx;
  bool all = op_wants(c, 0) && op_wants(c, 1) && op_wants(c, 2);
  if (cpu_is_f32(r, 0) && all && tensor_elements(op_in(c, 0))) *ret = (kernel){dynamic_run, NULL, 0, "quantize", 0};
  return LEDGE_OK;
}

const cpu_row cpu_rows_quantize[] = {
    {"", "QuantizeLinear", quantize_prepare},
    {"", "DequantizeLinear", quantize_prepare},
    {"", "DynamicQuantizeLinear", dynamic_prepare},
    {0},
};
