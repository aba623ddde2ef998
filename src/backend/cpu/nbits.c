/* backend/cpu/nbits: MatMulNBits of com.microsoft with constant weights: these are unpacked and dequantised to float32
 * while they are packed for the matrix product, once a model.
 *
 * B: [n][blocks][blob] bytes: each block of a row of K holds block_size numbers of `bits` bits, lowest first. scales:
 * [n][blocks]; zero points [n][...]: packed like B, a row from a byte on, or float32 [n][blocks]; absent: 2^(bits-1).
 */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/gemm/gemm.h"

enum { IN_A, IN_B, IN_SCALES, IN_ZEROS, IN_GROUPS, IN_BIAS };

typedef struct nbits_state {
  gemm_f32_plan plan;
  const float *packed;
  int64_t m;
} nbits_state;

typedef struct nbits_weights {
  const gemm_f32_plan *plan;
  int64_t n, k, block, blocks, blob, zero_row;
  int bits;
  const uint8_t *b, *zeros;
  const float *scales, *float_zeros;
  float *rows; /* [n, k]: all of B */
} nbits_weights;

/* Number i of numbers of `bits` bits, lowest bits first, in an array of `bytes`. */
static unsigned number_at(const uint8_t *p, int64_t bytes, int64_t i, int bits) {
  int64_t at = i * bits / 8;
  unsigned low = p[at], high = at + 1 < bytes ? p[at + 1] : 0;
  return ((low | high << 8) >> (i * bits % 8)) & ((1u << bits) - 1);
}

static void nbits_row(const nbits_weights *w, int64_t n, float *row) {
  const uint8_t *packed = w->b + n * w->blocks * w->blob;
  for (int64_t block = 0; block < w->blocks; block++, packed += w->blob) {
    float scale = w->scales[n * w->blocks + block];
    float zero = w->zeros         ? (float)number_at(w->zeros + n * w->zero_row, w->zero_row, block, w->bits)
                 : w->float_zeros ? w->float_zeros[n * w->blocks + block]
                                  : (float)(1 << (w->bits - 1));
    int64_t first = block * w->block, count = w->k - first < w->block ? w->k - first : w->block;
    if (w->bits == 4)
      for (int64_t i = 0; i < count; i++) row[first + i] = ((float)(packed[i / 2] >> (i % 2 * 4) & 15) - zero) * scale;
    else
      for (int64_t i = 0; i < count; i++)
        row[first + i] = ((float)number_at(packed, w->blob, i, w->bits) - zero) * scale;
  }
}

static void nbits_pack(const void *arg, void *dst) {
  const nbits_weights *w = arg;
  for (int64_t n = 0; n < w->n; n++) nbits_row(w, n, w->rows + n * w->k);
  gemm_f32_pack_b(w->plan, w->rows, 1, w->k, 1, dst, NULL);
}

static ledge_status nbits_run(op_ctx *c) {
  const nbits_state *s = c->kernel;
  int64_t n = s->plan.params.n, k = s->plan.params.k;
  gemm_f32_args args = {s->m, op_in(c, IN_A)->data, k, s->packed, cpu_f32(op_in(c, IN_BIAS)), NULL,
                        0,    op_out(c, 0)->data,   n};
  gemm_f32_run(&s->plan, &args, c->scratch, c->pool);
  return LEDGE_OK;
}

static ledge_status nbits_weights_get(const kernel_request *r, nbits_state *s, nbits_weights *w, ledge_error *error) {
  const int64_t key[] = {w->n, w->k, w->block, w->bits, w->float_zeros != NULL};
  size_t bytes = (size_t)w->n * (size_t)w->k * sizeof *w->rows;
  w->rows = mem_alloc(bytes);
  if (!w->rows) return error_memory(error, bytes, "dequantising weights");
  const void *packed;
  const weight_packing packing = {.kind = "nbits_f32",
                                  .params = key,
                                  .n_params = sizeof key / sizeof *key,
                                  .variant = s->plan.variant,
                                  .with = {op_in(r->ctx, IN_SCALES), op_in(r->ctx, IN_ZEROS)},
                                  .bytes = s->plan.packed_b_bytes,
                                  .pack = nbits_pack,
                                  .arg = w};
  ledge_status status = weight_store_pack(r->weights, op_in(r->ctx, IN_B), &packing, &packed, error);
  mem_free(w->rows);
  if (!status) s->packed = packed;
  return status;
}

static ledge_status nbits_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  op_ctx *c = r->ctx;
  const tensor *a = op_in(c, IN_A), *zeros = op_in(c, IN_ZEROS);
  if (!cpu_is_f32(r, IN_A) || !cpu_is_f32(r, IN_SCALES) || !cpu_constant(r, IN_B) || !cpu_constant(r, IN_SCALES))
    return LEDGE_OK;
  if (op_has(c, IN_GROUPS) || (op_has(c, IN_BIAS) && !cpu_is_f32(r, IN_BIAS)) || !tensor_elements(a)) return LEDGE_OK;
  if (zeros && (!cpu_constant(r, IN_ZEROS) || (zeros->dtype != LEDGE_U8 && zeros->dtype != LEDGE_F32))) return LEDGE_OK;
  nbits_state *s = cpu_state(r, sizeof *s, error);
  if (!s) return LEDGE_ERROR_MEMORY;
  bool bytes = zeros && zeros->dtype == LEDGE_U8;
  nbits_weights w = {.plan = &s->plan,
                     .n = op_int(c, "N", 0),
                     .k = op_int(c, "K", 0),
                     .block = op_int(c, "block_size", 0),
                     .bits = (int)op_int(c, "bits", 4),
                     .b = op_in(c, IN_B)->data,
                     .zeros = bytes ? zeros->data : NULL,
                     .scales = op_in(c, IN_SCALES)->data,
                     .float_zeros = zeros && !bytes ? zeros->data : NULL};
  w.blocks = (w.k + w.block - 1) / w.block;
  w.blob = w.block * w.bits / 8;
  w.zero_row = (w.blocks * w.bits + 7) / 8;
  s->m = tensor_span(a, 0, a->rank - 1);
  const gemm_f32_params p = {.m = s->m, .n = w.n, .k = w.k, .b_is_constant = true, .threads = r->threads};
  if (!gemm_f32_plan_init(&s->plan, &p, r->isa)) return LEDGE_OK;
  TRY(nbits_weights_get(r, s, &w, error));
  *ret = (kernel){nbits_run, s, s->plan.scratch_bytes, gemm_f32_plan_name(&s->plan),
                  (double)s->m * (double)w.n * (double)w.k};
  return LEDGE_OK;
}

const cpu_row cpu_rows_nbits[] = {
    {"com.microsoft", "MatMulNBits", nbits_prepare},
    {0},
};
