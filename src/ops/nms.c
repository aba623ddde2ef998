/* ops/nms: NonMaxSuppression: for each sample and class, boxes by falling score, each kept unless it overlaps with one
 * kept before by more than the threshold. O(n log n + n * kept). */
#include "ops/move_util.h"
#include "ops/order_util.h"

typedef struct nms_box {
  float y1, x1, y2, x2, area; /* corners in order */
} nms_box;

typedef struct nms_job {
  const tensor *boxes, *scores;
  int64_t batches, classes, n, limit;
  float iou, score;
  bool by_score, centre;
  nms_box *box;
  int64_t *candidate; /* boxes that take part */
  order_item *items;
  int64_t (*found)[3];
  int64_t n_found, cap_found;
} nms_job;

static float least(float a, float b) { return a < b ? a : b; }
static float most(float a, float b) { return a > b ? a : b; }

static nms_box nms_box_of(const float *v, bool centre) {
  nms_box b;
  if (centre) /* x, y, width, height */
    b = (nms_box){v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2, 0};
  else /* any two opposite corners: y, x, y, x */
    b = (nms_box){least(v[0], v[2]), least(v[1], v[3]), most(v[0], v[2]), most(v[1], v[3]), 0};
  b.area = (b.y2 - b.y1) * (b.x2 - b.x1);
  return b;
}

static bool nms_overlap(const nms_box *a, const nms_box *b, float threshold) {
  float h = least(a->y2, b->y2) - most(a->y1, b->y1), w = least(a->x2, b->x2) - most(a->x1, b->x1);
  if (!(h > 0 && w > 0)) return false;
  float shared = h * w, all = a->area + b->area - shared;
  if (!(shared > 0 && a->area > 0 && b->area > 0 && all > 0)) return false;
  return shared / all > threshold;
}

static ledge_status nms_found(op_ctx *c, nms_job *j, int64_t batch, int64_t class, int64_t box) {
  if (j->n_found == j->cap_found) {
    int64_t cap = j->cap_found ? 2 * j->cap_found : 64;
    size_t bytes;
    void *grown = mem_mul((size_t)cap, sizeof *j->found, &bytes) ? mem_realloc(j->found, bytes) : NULL;
    if (!grown) return error_memory(c->error, (size_t)cap * sizeof *j->found, "the selected boxes");
    j->found = grown;
    j->cap_found = cap;
  }
  int64_t *row = j->found[j->n_found++];
  row[0] = batch, row[1] = class, row[2] = box;
  return LEDGE_OK;
}

static ledge_status nms_class(op_ctx *c, nms_job *j, int64_t batch, int64_t class) {
  const float *scores = (const float *)j->scores->data + (batch * j->classes + class) * j->n;
  int64_t n = 0, start = j->n_found;
  for (int64_t i = 0; i < j->n; i++) {
    if (scores[i] != scores[i] || (j->by_score && !(scores[i] > j->score))) continue;
    j->candidate[n++] = i;
  }
  order_first order = {.items = j->items, .k = n};
  for (int64_t i = 0; i < n; i++) {
    uint64_t key;
    order_keys(LEDGE_F32, scores, j->candidate[i], 0, 1, &key);
    order_add(&order, ~key, i);
  }
  order_finish(&order);
  for (int64_t i = 0; i < n && j->n_found - start < j->limit; i++) {
    int64_t box = j->candidate[j->items[i].index];
    bool keep = true;
    for (int64_t k = start; keep && k < j->n_found; k++)
      keep = !nms_overlap(&j->box[box], &j->box[j->found[k][2]], j->iou);
    if (keep) TRY(nms_found(c, j, batch, class, box));
  }
  return LEDGE_OK;
}

static ledge_status nms_all(op_ctx *c, nms_job *j) {
  size_t n = (size_t)j->n;
  j->box = op_scratch(c, n, sizeof *j->box);
  j->candidate = j->box ? op_scratch(c, n, sizeof *j->candidate) : NULL;
  j->items = j->candidate ? op_scratch(c, n, sizeof *j->items) : NULL;
  if (!j->items) return LEDGE_ERROR_MEMORY;
  for (int64_t b = 0; n && j->limit > 0 && b < j->batches; b++) {
    for (int64_t i = 0; i < j->n; i++)
      j->box[i] = nms_box_of((const float *)j->boxes->data + (b * j->n + i) * 4, j->centre);
    for (int64_t k = 0; k < j->classes; k++) TRY(nms_class(c, j, b, k));
  }
  tensor *y;
  TRY(op_make(c, 0, LEDGE_I64, 2, (int64_t[]){j->n_found, 3}, &y));
  if (y && j->n_found) memcpy(y->data, j->found, (size_t)j->n_found * sizeof *j->found);
  return LEDGE_OK;
}

static ledge_status nms_float(op_ctx *c, int i, float *ret) {
  const tensor *t = op_in(c, i);
  if (!t || !tensor_elements(t)) return LEDGE_OK;
  if (t->dtype != LEDGE_F32) return op_fail_dtype(c, i);
  if (tensor_elements(t) != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "input %d must have one element", i);
  *ret = ((const float *)t->data)[0];
  return LEDGE_OK;
}

static ledge_status nms_run(op_ctx *c) {
  const tensor *boxes = op_in(c, 0), *scores = op_in(c, 1), *threshold = op_in(c, 4);
  if (boxes->dtype != LEDGE_F32) return op_fail_dtype(c, 0);
  if (scores->dtype != LEDGE_F32) return op_fail_dtype(c, 1);
  if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 || boxes->dims[0] != scores->dims[0] ||
      boxes->dims[1] != scores->dims[2]) {
    char a[256], b[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "boxes %s and scores %s must be [batches, n, 4] and [batches, classes, n]",
                   shape_print(boxes->rank, boxes->dims, a, sizeof a),
                   shape_print(scores->rank, scores->dims, b, sizeof b));
  }
  nms_job j = {.boxes = boxes,
               .scores = scores,
               .batches = boxes->dims[0],
               .classes = scores->dims[1],
               .n = boxes->dims[1],
               .by_score = threshold && tensor_elements(threshold) > 0,
               .centre = op_int(c, "center_point_box", 0) != 0};
  if (op_in(c, 2) && tensor_elements(op_in(c, 2))) TRY(move_scalar(c, 2, &j.limit));
  TRY(nms_float(c, 3, &j.iou));
  TRY(nms_float(c, 4, &j.score));
  ledge_status status = nms_all(c, &j);
  mem_free(j.found);
  op_scratch_free(j.items);
  op_scratch_free(j.candidate);
  op_scratch_free(j.box);
  return status;
}

const op_def ops_nms[] = {{"", "NonMaxSuppression", 10, 0, 2, 5, 1, 1, OP_DYNAMIC, NULL, nms_run}, {0}};
