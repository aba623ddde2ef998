/* ops/elementwise: what the elementwise operators share: sets of dtypes, chunks of any dtype as float, double or int64,
 * maps of one tensor, and numpy's broadcasting of several.
 *
 * A few loops are written per operator (for f32, f64, i64 and what else is worth it); every other dtype goes through
 * them by chunks of ELEM_CHUNK elements on the stack: f16, bf16 and smaller floats through f32 and rounded once at the
 * end, the other integers through i64, whose low bits are right for wrapping arithmetic.
 *
 *   ELEM_UNARY(exp, exp(x))                               exp_f32, exp_f64 and exp_run(op_ctx *)
 *   ELEM_LOOP(add_i64, int64_t, int64_t, int64_t, ...)    a loop over (a, b) with strides 0 or 1
 *
 * In-place: y may be x, a or b exactly; each element is read before it is written. */
#ifndef OPS_ELEMENTWISE_H
#define OPS_ELEMENTWISE_H

#include "base/compiler.h"
#include "ops/op.h"

/* ---- sets of dtypes ---- */
#define DTYPE_BIT(d) (1u << (d))
#define DTYPES_FLOAT (DTYPE_BIT(LEDGE_F32) | DTYPE_BIT(LEDGE_F64) | DTYPE_BIT(LEDGE_F16) | DTYPE_BIT(LEDGE_BF16))
#define DTYPES_F8 \
  (DTYPE_BIT(LEDGE_F8E4M3FN) | DTYPE_BIT(LEDGE_F8E4M3FNUZ) | DTYPE_BIT(LEDGE_F8E5M2) | DTYPE_BIT(LEDGE_F8E5M2FNUZ))
#define DTYPES_SIGNED (DTYPE_BIT(LEDGE_I8) | DTYPE_BIT(LEDGE_I16) | DTYPE_BIT(LEDGE_I32) | DTYPE_BIT(LEDGE_I64))
#define DTYPES_UNSIGNED (DTYPE_BIT(LEDGE_U8) | DTYPE_BIT(LEDGE_U16) | DTYPE_BIT(LEDGE_U32) | DTYPE_BIT(LEDGE_U64))
#define DTYPES_INTEGER (DTYPES_SIGNED | DTYPES_UNSIGNED)
#define DTYPES_NUMERIC (DTYPES_FLOAT | DTYPES_INTEGER)
#define DTYPES_BOOL DTYPE_BIT(LEDGE_BOOL)
#define DTYPES_STRING DTYPE_BIT(LEDGE_STRING)
#define DTYPES_COMPLEX (DTYPE_BIT(LEDGE_C64) | DTYPE_BIT(LEDGE_C128))
#define DTYPES_PACKED \
  (DTYPE_BIT(LEDGE_U4) | DTYPE_BIT(LEDGE_I4) | DTYPE_BIT(LEDGE_U2) | DTYPE_BIT(LEDGE_I2) | DTYPE_BIT(LEDGE_F4E2M1))
#define DTYPES_ALL (DTYPE_BIT(LEDGE_DTYPE_COUNT) - 2)

/* Fails unless input i is a tensor of a dtype of the set. */
ledge_status elem_check(op_ctx *c, int i, uint32_t allowed);
/* Fails unless input i, where it is there, has input 0's dtype. */
ledge_status elem_check_same(op_ctx *c, int i);
/* Fails unless input i, where it is there, is a tensor of one element. */
ledge_status elem_check_scalar(op_ctx *c, int i);

/* infer of a map: input 0 is a float, a number, or a number or bool, and output 0 is like it. */
ledge_status elem_infer_float(op_ctx *c);
ledge_status elem_infer_numeric(op_ctx *c);

/* ---- chunks: n elements of any real dtype from element `at` on ---- */
enum { ELEM_CHUNK = 256 };
void elem_load_f32(ledge_dtype d, const void *p, int64_t at, int64_t n, float *dst);
void elem_load_f64(ledge_dtype d, const void *p, int64_t at, int64_t n, double *dst);
void elem_load_i64(ledge_dtype d, const void *p, int64_t at, int64_t n, int64_t *dst); /* u64: its bits; floats cut */
void elem_store_f32(ledge_dtype d, void *p, int64_t at, int64_t n, const float *src);
void elem_store_f64(ledge_dtype d, void *p, int64_t at, int64_t n, const double *src);
void elem_store_i64(ledge_dtype d, void *p, int64_t at, int64_t n, const int64_t *src); /* integers wrap */

/* ---- maps of one tensor ---- */
/* p holds two parameters (alpha, beta) of the function. */
typedef void (*elem_map_f32)(const float *x, float *y, int64_t n, const double *p);
typedef void (*elem_map_f64)(const double *x, double *y, int64_t n, const double *p);
/* Output 0 = f(input 0), any float dtype; f64 in double, all others in float. p may be NULL. */
ledge_status elem_map(op_ctx *c, elem_map_f32 f32, elem_map_f64 f64, const double *p);
/* The same for integers: f works on values of the input's dtype as int64 (u64: its bits), its result wraps. */
typedef void (*elem_map_i64)(const int64_t *x, int64_t *y, int64_t n, const int64_t *p);
ledge_status elem_map_int(op_ctx *c, elem_map_i64 f, const int64_t *p);

/* NAME_f32 and NAME_f64, from an expression of x, p0 and p1 of type T (tgmath.h gives its functions the right type). */
#define ELEM_MAP(NAME, EXPR)                                                         \
  static void NAME##_f32(const float *xs, float *ys, int64_t n, const double *p) {   \
    typedef float T;                                                                 \
    const T p0 = (T)p[0], p1 = (T)p[1];                                              \
    (void)p0, (void)p1;                                                              \
    LOOP_INDEPENDENT                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                \
      const T x = xs[i];                                                             \
      ys[i] = (T)(EXPR);                                                             \
    }                                                                                \
  }                                                                                  \
  static void NAME##_f64(const double *xs, double *ys, int64_t n, const double *p) { \
    typedef double T;                                                                \
    const T p0 = p[0], p1 = p[1];                                                    \
    (void)p0, (void)p1;                                                              \
    LOOP_INDEPENDENT                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                \
      const T x = xs[i];                                                             \
      ys[i] = (T)(EXPR);                                                             \
    }                                                                                \
  }
#define ELEM_UNARY(NAME, EXPR) \
  ELEM_MAP(NAME, EXPR)         \
  static ledge_status NAME##_run(op_ctx *c) { return elem_map(c, NAME##_f32, NAME##_f64, NULL); }

/* ---- broadcasting ---- */
/* The shape of several operands at once: neighbouring dims merged where every operand allows, so that the last dim is a
 * run in which each operand steps by 0 or 1.
 *
 *   for (row = 0; row < rows; row++)        at[k]: where operand k stands
 *     for (j = 0; j < inner; j++) ... in[k][at[k] + j * strides[k][rank - 1]]
 */
typedef struct elem_bcast {
  int rank, n; /* n operands */
  int64_t dims[LEDGE_MAX_RANK];
  int64_t rows, inner;
  int64_t (*strides)[LEDGE_MAX_RANK]; /* the caller's, [n] */
} elem_bcast;
/* shapes[n]: only their dims are read; each must broadcast to dims[rank], which infer has checked. */
void elem_bcast_init(elem_bcast *b, int64_t (*strides)[LEDGE_MAX_RANK], int rank, const int64_t *dims, int n,
                     const tensor *const *shapes);
/* Sets index[LEDGE_MAX_RANK] and at[n] to a row, and steps to the next one. */
void elem_bcast_seek(const elem_bcast *b, int64_t row, int64_t *index, int64_t *at);
void elem_bcast_next(const elem_bcast *b, int64_t *index, int64_t *at);

/* infer: all inputs from `first` on have one dtype of the set; the output (of dtype `out`, or NONE: the inputs') has
 * their common shape. */
ledge_status elem_infer_broadcast(op_ctx *c, int first, uint32_t allowed, ledge_dtype out);
/* The common shape of inputs [first, n_in) that are there. */
ledge_status elem_common_shape(op_ctx *c, int first, int *rank, int64_t *dims);

/* A loop over n pairs; sa and sb are 0 or 1. */
typedef void (*elem_loop)(const void *a, int64_t sa, const void *b, int64_t sb, void *y, int64_t n);
/* The loops of an operator by dtype, at least f32 or i64 of those its infer lets pass. */
typedef elem_loop elem_table[LEDGE_DTYPE_COUNT];
/* The dtype whose loop serves d: d itself where the table has it, else f32, i64 or (for u64 only) nothing else. */
ledge_dtype elem_table_dtype(const elem_loop *table, ledge_dtype d);

/* One broadcast operation: a and b are loaded as dtype `in`, the loop gives dtype `out`, stored as y's. */
typedef struct elem_binary {
  elem_loop loop;
  ledge_dtype in, out;
  const tensor *a, *b;
  tensor *y;
} elem_binary;
/* shape_b, where not NULL, stands for b's dims (the old axis attribute). */
void elem_binary_run(const elem_binary *e, const tensor *shape_b, pool *threads);

#define ELEM_LOOP(NAME, TA, TB, TY, EXPR)                                                         \
  static void NAME(const void *pa, int64_t sa, const void *pb, int64_t sb, void *py, int64_t n) { \
    const TA *as = pa;                                                                            \
    const TB *bs = pb;                                                                            \
    TY *ys = py;                                                                                  \
    if (sa && sb) {                                                                               \
      LOOP_INDEPENDENT                                                                            \
      for (int64_t i = 0; i < n; i++) {                                                           \
        const TA a = as[i];                                                                       \
        const TB b = bs[i];                                                                       \
        ys[i] = (TY)(EXPR);                                                                       \
      }                                                                                           \
    } else if (sa) {                                                                              \
      const TB b = *bs;                                                                           \
      LOOP_INDEPENDENT                                                                            \
      for (int64_t i = 0; i < n; i++) {                                                           \
        const TA a = as[i];                                                                       \
        ys[i] = (TY)(EXPR);                                                                       \
      }                                                                                           \
    } else if (sb) {                                                                              \
      const TA a = *as;                                                                           \
      LOOP_INDEPENDENT                                                                            \
      for (int64_t i = 0; i < n; i++) {                                                           \
        const TB b = bs[i];                                                                       \
        ys[i] = (TY)(EXPR);                                                                       \
      }                                                                                           \
    } else {                                                                                      \
      const TA a = *as;                                                                           \
      const TB b = *bs;                                                                           \
      const TY y = (TY)(EXPR);                                                                    \
      for (int64_t i = 0; i < n; i++) ys[i] = y;                                                  \
    }                                                                                             \
  }

#endif
