/* ops/attend: scaled dot-product attention in double, for the operators that differ in how they name its inputs and in
 * what hides keys from queries (attention.c, contrib_attention.c).
 *
 *   s[j] = softcap(scale * q . k_j) + bias[j]      p = softmax(s)      y = sum_j p[j] v_j
 *
 * Query head h reads head h / (q_heads / kv_heads) of K and V. A row whose bias is -inf everywhere sees no key: its p
 * and y are 0. A sink is one more logit in the softmax's sum that has no value of its own. */
#ifndef OPS_ATTEND_H
#define OPS_ATTEND_H

#include "ops/real.h"

/* Where the row of (batch, head, position) begins: steps count elements; its own elements lie side by side. */
typedef struct attend_view {
  double *data;
  int64_t batch, head, row;
} attend_view;

typedef struct attend {
  int64_t batch, q_heads, kv_heads, n_q, n_kv, width, v_width;
  attend_view q, k, v, y;
  double scale, softcap; /* softcap 0: none */
  /* Adds to row[n_kv], which is zero before; NULL: no bias. */
  void (*bias)(const void *arg, int64_t b, int64_t h, int64_t i, double *row);
  const void *arg;
  const double *sink; /* a logit for each query head, or NULL */
  double *qk;         /* [batch, q_heads, n_q, n_kv], or NULL: what qk_mode names */
  int qk_mode;        /* 0 scaled products, 1 after the softcap, 2 with the bias, 3 after the softmax */
} attend;

/* All rows. q_heads is a multiple of kv_heads. Errors: MEMORY. */
ledge_status attend_run(op_ctx *c, const attend *a);

/* The product of four dims: 0 where one is 0, INT64_MAX (which no allocation grants) where it overflows. */
int64_t attend_count(const int64_t dims[4]);
/* A product of strides: wraps where a tensor of no elements has absurd dims. */
static inline int64_t attend_times(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

/* [batch, heads, rows, width] and [batch, rows, heads, width] as views. */
static inline attend_view attend_heads_first(double *data, int64_t heads, int64_t rows, int64_t width) {
  return (attend_view){data, attend_times(heads, attend_times(rows, width)), attend_times(rows, width), width};
}
static inline attend_view attend_rows_first(double *data, int64_t heads, int64_t rows, int64_t width) {
  return (attend_view){data, attend_times(heads, attend_times(rows, width)), width, attend_times(heads, width)};
}
static inline double *attend_row(const attend_view *v, int64_t b, int64_t h, int64_t i) {
  return v->data + b * v->batch + h * v->head + i * v->row;
}

/* row[j] = softmax(row[j]) over n and the sink (NULL: none); all 0 where every element is -inf. */
void attend_softmax(double *row, int64_t n, const double *sink);

/* ---- rotary positions ---- */

typedef struct attend_rotary {
  int64_t dim; /* elements of a head that turn, even */
  bool pairs;  /* (0, 1), (2, 3), ... turn together; else (0, dim / 2), (1, dim / 2 + 1), ... */
} attend_rotary;

/* Turns x (a head at one position) by cos[dim / 2] and sin[dim / 2], in place. */
void attend_rotate(const attend_rotary *r, double *x, const double *cosine, const double *sine);

/* What RotaryEmbedding turns: input 0, as heads of `rows` positions. */
typedef struct attend_turned {
  int64_t batch, heads, rows, width;
  bool rows_first; /* [batch, rows, heads, width]; else [batch, heads, rows, width] */
  attend_rotary turn;
} attend_turned;

/* Output 0 is input 0 turned by the cosines and sines that are inputs `caches` and `caches` + 1. ids says which row of
 * the caches each [batch, rows] takes; one alone: the first, the others of its batch follow; NULL: its own.
 * Errors: DATA (a position outside), MEMORY. */
ledge_status attend_turn(op_ctx *c, const attend_turned *s, int caches, const tensor *ids);

/* v as it reads back from an array of dtype d. */
double attend_round(ledge_dtype d, double v);

#endif
