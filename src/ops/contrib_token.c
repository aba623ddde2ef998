/* ops/contrib_token: NGramRepeatBlock and MurmurHash3 of domain com.microsoft, which search and embedding models hold.
 * Source: docs/ContribOperators.md of ONNX Runtime; MurmurHash3_x86_32 by A. Appleby (public domain). */
#include "ops/op.h"

#include <math.h>

#define MS "com.microsoft"

/* ---- NGramRepeatBlock: the scores of tokens that would repeat an n-gram of the sequence become -inf ---- */

static ledge_status ngram_infer(op_ctx *c) {
  const tensor *ids = op_in(c, 0), *scores = op_in(c, 1);
  if (ids->dtype != LEDGE_I64) return op_fail_dtype(c, 0);
  if (scores->dtype != LEDGE_F32) return op_fail_dtype(c, 1);
  if (ids->rank != 2 || scores->rank != 2 || ids->dims[0] != scores->dims[0])
    return op_fail(c, LEDGE_ERROR_SHAPE, "the ids and the scores are not [batch, rows] and [batch, tokens]");
  if (op_int(c, "ngram_size", 0) < 1) return op_fail(c, LEDGE_ERROR_FORMAT, "ngram_size is not given or not positive");
  return op_same_shape(c, 0, 1);
}

static ledge_status ngram_run(op_ctx *c) {
  const tensor *ids = op_in(c, 0), *scores = op_in(c, 1);
  tensor *y = op_out(c, 0);
  int64_t rows = ids->dims[1], tokens = scores->dims[1], n = op_int(c, "ngram_size", 0);
  if (y->data != scores->data) TRY(tensor_copy_data(y, scores, c->error));
  for (int64_t b = 0; b < ids->dims[0]; b++) {
    const int64_t *row = (const int64_t *)ids->data + b * rows;
    for (int64_t i = 0; i <= rows - n; i++) { /* the last n - 1 ids are what the next token would follow */
      int64_t k = 0;
      while (k < n - 1 && row[i + k] == row[rows - (n - 1) + k]) k++;
      if (k < n - 1) continue;
      int64_t token = row[i + k];
      if (token < 0 || token >= tokens)
        return op_fail(c, LEDGE_ERROR_DATA, "token %lld is outside of [0, %lld)", (long long)token, (long long)tokens);
      ((float *)y->data)[b * tokens + token] = -INFINITY;
    }
  }
  return LEDGE_OK;
}

/* ---- MurmurHash3: 32 bits of each element ---- */

static uint32_t rotate(uint32_t v, int by) { return v << by | v >> (32 - by); }

static uint32_t murmur(const uint8_t *p, size_t size, uint32_t h) {
  uint32_t k;
  size_t i = 0;
  for (; size - i >= 4; i += 4) {
    k = (uint32_t)p[i] | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2] << 16 | (uint32_t)p[i + 3] << 24;
    h = rotate(h ^ rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u, 13) * 5 + 0xe6546b64u;
  }
  k = 0;
  for (size_t r = size; r-- > i;) k = k << 8 | p[r];
  h ^= rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u;
  h ^= (uint32_t)size;
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

static ledge_status murmur_infer(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  bool bytes = dtype_bytes(x->dtype) == 4 || dtype_bytes(x->dtype) == 8;
  if (x->dtype != LEDGE_STRING && (!bytes || dtype_kind_of(x->dtype) == DTYPE_KIND_COMPLEX)) return op_fail_dtype(c, 0);
  return op_shape(c, 0, op_int(c, "positive", 1) ? LEDGE_U32 : LEDGE_I32, x->rank, x->dims);
}

static ledge_status murmur_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  uint32_t *y = op_out(c, 0)->data, seed = (uint32_t)op_int(c, "seed", 0);
  int64_t n = tensor_elements(x);
  size_t bytes = dtype_bytes(x->dtype);
  for (int64_t i = 0; i < n; i++) {
    const ledge_string *s = x->dtype == LEDGE_STRING ? (const ledge_string *)x->data + i : NULL;
    y[i] = s ? murmur((const uint8_t *)s->data, s->size, seed)
             : murmur((const uint8_t *)x->data + (size_t)i * bytes, bytes, seed); /* little-endian machines */
  }
  return LEDGE_OK;
}

const op_def ops_contrib_token[] = {{MS, "NGramRepeatBlock", 1, 0, 2, 2, 1, 1, OP_INPLACE(1), ngram_infer, ngram_run},
                                    {MS, "MurmurHash3", 1, 0, 1, 1, 1, 1, 0, murmur_infer, murmur_run},
                                    {0}};
