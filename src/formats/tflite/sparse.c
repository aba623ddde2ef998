/* formats/tflite/sparse: sparse tensors made dense. A tensor's elements are stored in the order of a walk over its
 * dims, and dims of blocks within them, some of which list the indices that are there (CSR):
 *
 *   traversal order   dims 0..rank-1 of the tensor and rank.. of the blocks, outermost first
 *   block map         which dim of the tensor each dim of the blocks cuts
 *   DENSE, size       every index                 CSR, segments, indices   of entry p of the level above: those listed
 *                                                                          in indices[segments[p] .. segments[p + 1])
 *
 * Format: tensorflow/lite/tools/optimize/sparsity and the schema's SparsityParameters. */
#include "formats/tflite/read.h"

enum { LEVELS_MAX = 2 * LEDGE_MAX_RANK };

typedef struct level {
  bool csr;
  int64_t size; /* of a dense one */
  fb_vector segments, indices;
  int segments_type, indices_type;
  int dim;      /* of the tensor, where the level's index goes */
  int64_t step; /* what one index is worth along that dim */
} level;

typedef struct walk {
  tfl_in *in;
  const tfl_tensor *t;
  level levels[LEVELS_MAX];
  int n;
  const fb_vector *data;
  tensor *out;
  int64_t strides[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK];
  int64_t next, left; /* value to come; steps that may still be taken */
} walk;

static ledge_status bad(tfl_in *in, const fb_table *t, const char *why) {
  return error_set_at(in->error, LEDGE_ERROR_FORMAT, t->at, "its sparsity %s: the file is damaged", why);
}

static ledge_status read_list(tfl_in *in, const fb_table *t, int type_field, int field, int *ret_type, fb_vector *ret) {
  static const size_t bytes[] = {[SPARSE_I32] = 4, [SPARSE_U16] = 2, [SPARSE_U8] = 1};
  int8_t type;
  fb_table list;
  TRY(fb_i8(t, type_field, 0, &type));
  if (type < SPARSE_I32 || type > SPARSE_U8) return bad(in, t, "has a list of no known type");
  TRY(fb_child(t, field, "a sparse index list", &list));
  *ret_type = type;
  return fb_vec(&list, 0, bytes[type], "sparse indices", ret);
}

static int64_t item(const fb_vector *v, int type, int64_t i) {
  uint32_t at = (uint32_t)i;
  return type == SPARSE_I32 ? fb_vec_i32(v, at) : type == SPARSE_U16 ? fb_vec_u16(v, at) : v->data[at];
}

static ledge_status read_levels(walk *w, const fb_table *sparsity) {
  fb_vector order, map, dims;
  int rank = w->t->rank;
  int64_t block[LEDGE_MAX_RANK];
  TRY(fb_vec(sparsity, SPARSITY_ORDER, 4, "a traversal order", &order));
  TRY(fb_vec(sparsity, SPARSITY_BLOCK_MAP, 4, "a block map", &map));
  TRY(fb_vec(sparsity, SPARSITY_DIMS, 4, "sparse dims", &dims));
  if (order.count != dims.count || order.count != (uint32_t)rank + map.count || map.count > (uint32_t)rank)
    return bad(w->in, sparsity, "does not fit its shape");
  w->n = (int)order.count;
  unsigned seen = 0;
  for (int d = 0; d < rank; d++) block[d] = 1;
  for (int i = 0; i < w->n; i++) {
    level *l = &w->levels[i];
    fb_table t;
    int8_t format;
    int32_t size, from = fb_vec_i32(&order, (uint32_t)i);
    TRY(fb_at(sparsity, &dims, (uint32_t)i, "a sparse dim", &t));
    TRY(fb_i8(&t, SPARSE_DIM_FORMAT, 0, &format));
    TRY(fb_i32(&t, SPARSE_DIM_SIZE, 0, &size));
    if (from < 0 || from >= w->n || (seen >> from & 1)) return bad(w->in, sparsity, "has a wrong order");
    seen |= 1u << from;
    l->csr = format == SPARSE_CSR;
    l->size = size;
    l->dim = from < rank ? from : fb_vec_i32(&map, (uint32_t)(from - rank));
    l->step = from < rank ? 0 : 1; /* 0: set below, when all blocks are known */
    if (l->dim < 0 || l->dim >= rank) return bad(w->in, sparsity, "maps a block to no dim");
    if (!l->csr && (size < 0 || (from >= rank && size < 1))) return bad(w->in, sparsity, "has a wrong size");
    if (from >= rank && l->csr) return bad(w->in, sparsity, "has blocks that are sparse themselves");
    if (from >= rank) block[l->dim] = size;
    if (l->csr) {
      TRY(read_list(w->in, &t, SPARSE_DIM_SEGMENTS_TYPE, SPARSE_DIM_SEGMENTS, &l->segments_type, &l->segments));
      TRY(read_list(w->in, &t, SPARSE_DIM_INDICES_TYPE, SPARSE_DIM_INDICES, &l->indices_type, &l->indices));
    }
  }
  for (int i = 0; i < w->n; i++)
    if (!w->levels[i].step) w->levels[i].step = block[w->levels[i].dim];
  return LEDGE_OK;
}

static ledge_status put(walk *w) {
  size_t bytes = dtype_bytes(w->t->dtype);
  int64_t to = 0;
  for (int d = 0; d < w->t->rank; d++) {
    if (w->at[d] >= w->t->dims[d]) return LEDGE_OK; /* the rest of a block at the edge */
    to += w->at[d] * w->strides[d];
  }
  if ((uint64_t)w->next >= w->data->count / bytes)
    return error_set(w->in->error, LEDGE_ERROR_FORMAT, "its sparsity asks for more values than its buffer has");
  memcpy((char *)w->out->data + (size_t)to * bytes, w->data->data + (size_t)w->next * bytes, bytes);
  w->next++;
  return LEDGE_OK;
}

/* Level i below entry `parent` of the level above. */
static ledge_status walk_level(walk *w, int i, int64_t parent) {
  if (i == w->n) return put(w);
  const level *l = &w->levels[i];
  int64_t from = 0, to = l->size;
  if (l->csr) {
    if (parent < 0 || parent + 1 >= (int64_t)l->segments.count)
      return error_set(w->in->error, LEDGE_ERROR_FORMAT, "its sparsity has too few segments");
    from = item(&l->segments, l->segments_type, parent);
    to = item(&l->segments, l->segments_type, parent + 1);
    if (from < 0 || to < from || to > (int64_t)l->indices.count)
      return error_set(w->in->error, LEDGE_ERROR_FORMAT, "its sparsity has segments outside of their indices");
  }
  for (int64_t k = from; k < to; k++) {
    int64_t index = l->csr ? item(&l->indices, l->indices_type, k) : k;
    if (w->left-- <= 0 || index < 0 || index > INT32_MAX)
      return error_set(w->in->error, LEDGE_ERROR_FORMAT, "its sparsity walks further than its shape reaches");
    w->at[l->dim] += index * l->step;
    ledge_status status = walk_level(w, i + 1, l->csr ? k : parent * l->size + k);
    w->at[l->dim] -= index * l->step;
    TRY(status);
  }
  return LEDGE_OK;
}

ledge_status tfl_densify(tfl_in *in, const tfl_tensor *t, const fb_table *sparsity, const fb_vector *data,
                         tensor **ret) {
  walk w = {.in = in, .t = t, .data = data};
  if (!dtype_bytes(t->dtype) || t->dtype == LEDGE_STRING)
    return error_set_at(in->error, LEDGE_ERROR_UNSUPPORTED, sparsity->at, "it is sparse and of a type that is not");
  TRY(read_levels(&w, sparsity));
  TRY(tfl_new_tensor(in, t->dtype, t->rank, t->dims, &w.out));
  shape_strides(t->rank, t->dims, w.strides);
  w.left = (tensor_elements(w.out) + 16) * (w.n + 1);
  TRY(walk_level(&w, 0, 0));
  *ret = w.out;
  return LEDGE_OK;
}
