/* backend/cpu/table: operators whose attributes hold a model or a dictionary: it is built once, with the plan, and the
 * operator's own run takes it as its kernel. Trees of ai.onnx.ml, LabelEncoder, CategoryMapper, TfIdfVectorizer. */
#include "backend/cpu/rows.h"
#include "base/error.h"
#include "ops/ml_encode.h"
#include "ops/ml_tree.h"
#include "ops/tfidf.h"

static ledge_status tree_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  tree_model *m = NULL;
  TRY(ml_tree_build(r->ctx, r->arena, &m));
  *ret = (kernel){r->ctx->def->run, m, ml_tree_scratch_bytes(m, r->ctx, r->threads), "trees", 0};
  return LEDGE_OK;
}

static ledge_status encoder_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  encoder *e = NULL;
  TRY(ml_encoder_build(r->ctx, r->arena, &e));
  *ret = (kernel){r->ctx->def->run, e, 0, "dictionary", 0};
  return LEDGE_OK;
}

static ledge_status tfidf_prepare(const kernel_request *r, kernel *ret, ledge_error *error) {
  tfidf *t = NULL;
  TRY(tfidf_build(r->ctx, r->arena, &t));
  *ret = (kernel){r->ctx->def->run, t, tfidf_scratch_bytes(r->ctx), "n-grams", 0};
  return LEDGE_OK;
}

#define ML "ai.onnx.ml"
const cpu_row cpu_rows_table[] = {{ML, "TreeEnsemble", tree_prepare},
                                  {ML, "TreeEnsembleRegressor", tree_prepare},
                                  {ML, "TreeEnsembleClassifier", tree_prepare},
                                  {ML, "LabelEncoder", encoder_prepare},
                                  {ML, "CategoryMapper", encoder_prepare},
                                  {"", "TfIdfVectorizer", tfidf_prepare},
                                  {0}};
