/* ops/move_util: see move_util.h. */
#include "ops/move_util.h"

#include <assert.h>

move_view move_view_of(int rank, const int64_t *dims) {
  move_view v = {0};
  shape_strides(rank, dims, v.strides);
  return v;
}

/* ---- packed elements: the first lies in a byte's lowest bits ---- */

static inline unsigned packed_get(const uint8_t *data, int64_t i, int bits) {
  int64_t bit = i * bits;
  return (unsigned)(data[bit >> 3] >> (bit & 7)) & ((1u << bits) - 1);
}

static inline void packed_set(uint8_t *data, int64_t i, int bits, unsigned v) {
  int64_t bit = i * bits;
  unsigned mask = ((1u << bits) - 1) << (bit & 7);
  data[bit >> 3] = (uint8_t)((data[bit >> 3] & ~mask) | (v << (bit & 7)));
}

/* Clears the bits behind the last element, so that equal tensors have equal bytes. */
static void packed_trim(tensor *t, int bits) {
  int64_t n = tensor_elements(t);
  int used = (int)(n * bits & 7);
  if (used) ((uint8_t *)t->data)[n * bits >> 3] &= (uint8_t)((1u << used) - 1);
}

/* ---- rows: n elements at a step on each side ---- */

#define ROW(bytes)                                                                                         \
  static void row_##bytes(char *dst, int64_t to_step, const char *src, int64_t from_step, int64_t n) {     \
    for (int64_t i = 0; i < n; i++) memcpy(dst + i * to_step * bytes, src + i * from_step * bytes, bytes); \
  }
ROW(1)
ROW(2)
ROW(4)
ROW(8)
ROW(16)
#undef ROW

static void row_bytes(size_t each, char *dst, int64_t to_step, const char *src, int64_t from_step, int64_t n) {
  if (to_step == 1 && from_step == 1) {
    memcpy(dst, src, (size_t)n * each);
    return;
  }
  switch (each) {
    case 1: row_1(dst, to_step, src, from_step, n); break;
    case 2: row_2(dst, to_step, src, from_step, n); break;
    case 4: row_4(dst, to_step, src, from_step, n); break;
    case 8: row_8(dst, to_step, src, from_step, n); break;
    case 16: row_16(dst, to_step, src, from_step, n); break;
    default: assert(!"an element has 1, 2, 4, 8 or 16 bytes");
  }
}

static void row_packed(int bits, uint8_t *dst, int64_t to, int64_t to_step, const uint8_t *src, int64_t from,
                       int64_t from_step, int64_t n) {
  int64_t i = 0;
  if (to_step == 1 && from_step == 1 && !(to * bits & 7) && !(from * bits & 7)) {
    int64_t whole = n * bits >> 3;
    memcpy(dst + (to * bits >> 3), src + (from * bits >> 3), (size_t)whole);
    i = whole * 8 / bits;
  }
  for (; i < n; i++) packed_set(dst, to + i * to_step, bits, packed_get(src, from + i * from_step, bits));
}

static ledge_status row_any(op_ctx *c, tensor *dst, int64_t to, int64_t to_step, const tensor *src, int64_t from,
                            int64_t from_step, int64_t n) {
  if (dst->dtype == LEDGE_STRING) {
    const ledge_string *s = src->data;
    for (int64_t i = 0; i < n; i++) {
      const ledge_string *one = &s[from + i * from_step];
      TRY(tensor_put_string(dst, to + i * to_step, one->data ? one->data : "", one->size, c->error));
    }
    return LEDGE_OK;
  }
  size_t each = dtype_bytes(dst->dtype);
  if (!each)
    row_packed(ledge_dtype_bits(dst->dtype), dst->data, to, to_step, src->data, from, from_step, n);
  else
    row_bytes(each, (char *)dst->data + (size_t)to * each, to_step, (const char *)src->data + (size_t)from * each,
              from_step, n);
  return LEDGE_OK;
}

static void finish(tensor *dst) {
  int bits = ledge_dtype_bits(dst->dtype);
  if (bits < 8) packed_trim(dst, bits);
}

ledge_status move_run(op_ctx *c, tensor *dst, int64_t di, const tensor *src, int64_t si, int64_t n) {
  assert(dst->dtype == src->dtype);
  if (n <= 0) return LEDGE_OK;
  TRY(row_any(c, dst, di, 1, src, si, 1, n));
  finish(dst);
  return LEDGE_OK;
}

ledge_status move_fill(op_ctx *c, tensor *dst, int64_t di, int64_t n, const tensor *src, int64_t si) {
  assert(dst->dtype == src->dtype);
  if (n <= 0) return LEDGE_OK;
  TRY(row_any(c, dst, di, 1, src, si, 0, n));
  finish(dst);
  return LEDGE_OK;
}

ledge_status move_zero(op_ctx *c, tensor *dst, int64_t di, int64_t n) {
  if (n <= 0) return LEDGE_OK;
  size_t each = dtype_bytes(dst->dtype);
  if (dst->dtype == LEDGE_STRING) {
    for (int64_t i = 0; i < n; i++) TRY(tensor_put_string(dst, di + i, "", 0, c->error));
  } else if (each) {
    memset((char *)dst->data + (size_t)di * each, 0, (size_t)n * each);
  } else {
    int bits = ledge_dtype_bits(dst->dtype);
    for (int64_t i = 0; i < n; i++) packed_set(dst->data, di + i, bits, 0);
    packed_trim(dst, bits);
  }
  return LEDGE_OK;
}

ledge_status move_strided(op_ctx *c, int rank, const int64_t *dims, tensor *dst, const move_view *to, const tensor *src,
                          const move_view *from) {
  assert(rank <= MOVE_RANK_MAX && dst->dtype == src->dtype);
  /* Drop dims of one and merge neighbours that are contiguous on both sides. */
  int64_t d[MOVE_RANK_MAX], ds[MOVE_RANK_MAX], ss[MOVE_RANK_MAX], at[MOVE_RANK_MAX] = {0};
  int r = 0;
  for (int i = 0; i < rank; i++) {
    if (dims[i] == 0) return LEDGE_OK;
    if (dims[i] == 1) continue;
    if (r && ds[r - 1] == dims[i] * to->strides[i] && ss[r - 1] == dims[i] * from->strides[i])
      r--, d[r] *= dims[i];
    else
      d[r] = dims[i];
    ds[r] = to->strides[i];
    ss[r] = from->strides[i];
    r++;
  }
  if (!r) d[0] = 1, ds[0] = ss[0] = 1, r = 1;
  int64_t di = to->offset, si = from->offset;
  for (;;) {
    TRY(row_any(c, dst, di, ds[r - 1], src, si, ss[r - 1], d[r - 1]));
    int k = r - 2;
    for (; k >= 0; k--) {
      di += ds[k], si += ss[k];
      if (++at[k] < d[k]) break;
      di -= ds[k] * d[k], si -= ss[k] * d[k];
      at[k] = 0;
    }
    if (k < 0) break;
  }
  finish(dst);
  return LEDGE_OK;
}

#define PICK(bytes)                                                                            \
  case bytes:                                                                                  \
    for (int64_t k = 0; k < n; k++)                                                            \
      memcpy(d + (to ? to[k] : di + k) * bytes, s + (from ? from[k] : si + k) * bytes, bytes); \
    break

/* dst[to ? to[k] : di + k] = src[from ? from[k] : si + k] */
static ledge_status pick(op_ctx *c, tensor *dst, const int64_t *to, int64_t di, const tensor *src, const int64_t *from,
                         int64_t si, int64_t n) {
  assert(dst->dtype == src->dtype);
  char *d = dst->data;
  const char *s = src->data;
  size_t each = dst->dtype == LEDGE_STRING ? 0 : dtype_bytes(dst->dtype);
  if (n <= 0) return LEDGE_OK;
  switch (each) {
    PICK(1);
    PICK(2);
    PICK(4);
    PICK(8);
    PICK(16);
    default:
      for (int64_t k = 0; k < n; k++) TRY(row_any(c, dst, to ? to[k] : di + k, 1, src, from ? from[k] : si + k, 1, 1));
      finish(dst);
  }
  return LEDGE_OK;
}
#undef PICK

ledge_status move_pick(op_ctx *c, tensor *dst, int64_t di, const tensor *src, const int64_t *at, int64_t n) {
  return pick(c, dst, NULL, di, src, at, 0, n);
}

ledge_status move_put(op_ctx *c, tensor *dst, const int64_t *at, const tensor *src, int64_t si, int64_t n) {
  return pick(c, dst, at, 0, src, NULL, si, n);
}

ledge_status move_all(op_ctx *c, tensor *dst, const tensor *src) {
  return dst->data == src->data ? LEDGE_OK : move_run(c, dst, 0, src, 0, tensor_elements(src));
}

ledge_status move_same_dtype(op_ctx *c, int a, int b) {
  const tensor *x = op_in(c, a), *y = op_in(c, b);
  if (x->dtype == y->dtype) return LEDGE_OK;
  return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has dtype %s, and input %d has dtype %s: they must be the same", a,
                 ledge_dtype_name(x->dtype), b, ledge_dtype_name(y->dtype));
}

ledge_status move_scalar(op_ctx *c, int i, int64_t *ret) {
  const tensor *t = op_in(c, i);
  if (t->dtype == LEDGE_STRING || dtype_kind_of(t->dtype) == DTYPE_KIND_COMPLEX) return op_fail_dtype(c, i);
  if (tensor_elements(t) != 1)
    return op_fail(c, LEDGE_ERROR_SHAPE, "input %d has %lld elements; it must have one", i,
                   (long long)tensor_elements(t));
  *ret = tensor_i64(t, 0);
  return LEDGE_OK;
}

ledge_status move_expect(op_ctx *c, int i, int rank, const int64_t *dims) {
  const tensor *y = op_out(c, i);
  if (!y || shape_equal(rank, dims, y->rank, y->dims)) return LEDGE_OK;
  char want[256], have[256];
  return op_fail(c, LEDGE_ERROR_DATA, "output %d was planned with the shape %s, but its inputs now ask for %s", i,
                 shape_print(y->rank, y->dims, have, sizeof have), shape_print(rank, dims, want, sizeof want));
}

ledge_status move_axes(op_ctx *c, const int64_t *given, int n, int rank, int *axes) {
  uint32_t seen = 0;
  for (int i = 0; i < n; i++) {
    int axis;
    TRY(op_axis(c, given[i], rank, &axis));
    if (seen >> axis & 1) return op_fail(c, LEDGE_ERROR_SHAPE, "axis %d is named twice", axis);
    seen |= UINT32_C(1) << axis;
    axes[i] = axis; /* no more than rank of them, since none is there twice */
  }
  return LEDGE_OK;
}

ledge_status move_index(op_ctx *c, const tensor *indices, int64_t k, int64_t limit, int64_t *ret) {
  int64_t i = indices->dtype == LEDGE_I64 ? ((const int64_t *)indices->data)[k] : ((const int32_t *)indices->data)[k];
  if (i < -limit || i >= limit)
    return op_fail(c, LEDGE_ERROR_DATA, "index %lld at position %lld is outside of [%lld, %lld)", (long long)i,
                   (long long)k, (long long)-limit, (long long)limit);
  *ret = i < 0 ? i + limit : i;
  return LEDGE_OK;
}

ledge_status move_index_dtype(op_ctx *c, int i) {
  ledge_dtype d = op_in(c, i)->dtype;
  return d == LEDGE_I64 || d == LEDGE_I32 ? LEDGE_OK : op_fail_dtype(c, i);
}
