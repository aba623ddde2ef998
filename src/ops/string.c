/* ops/string: operators on strings: StringNormalizer, StringConcat, StringSplit, RegexFullMatch. */
#include "ops/move_util.h"
#include "text/regex.h"
#include "text/unicode.h"

static ledge_status string_in(op_ctx *c, int i) {
  return op_in(c, i)->dtype == LEDGE_STRING ? LEDGE_OK : op_fail_dtype(c, i);
}

static bool string_equal(ledge_string a, ledge_string b) {
  return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}

static ledge_status put(op_ctx *c, tensor *y, int64_t i, const char *text, size_t size) {
  return tensor_put_string(y, i, size ? text : "", size, c->error);
}

/* ---- StringNormalizer: stop words leave the list, then the case changes ---- */

typedef struct normalizer {
  enum { CASE_NONE, CASE_LOWER, CASE_UPPER } action;
  bool case_sensitive;
  const ledge_string *stops;
  int64_t n_stops;
  unicode_text *folded; /* the stop words in lower case, where case does not count */
} normalizer;

static ledge_status normalizer_init(op_ctx *c, normalizer *m) {
  static const char *const actions[] = {"NONE", "LOWER", "UPPER"};
  int action = -1;
  for (int i = 0; i < 3; i++)
    if (op_string_is(c, "case_change_action", "NONE", actions[i])) action = i;
  if (action < 0) return op_fail(c, LEDGE_ERROR_FORMAT, "case_change_action is none of NONE, LOWER and UPPER");
  m->action = action;
  m->case_sensitive = op_int(c, "is_case_sensitive", 0) != 0;
  m->stops = op_strings(c, "stopwords", &m->n_stops);
  if (m->case_sensitive) return LEDGE_OK;
  m->folded = op_scratch(c, (size_t)m->n_stops, sizeof *m->folded);
  if (!m->folded) return LEDGE_ERROR_MEMORY;
  for (int64_t i = 0; i < m->n_stops; i++)
    TRY(unicode_lower(m->stops[i].data, m->stops[i].size, &m->folded[i], c->error));
  return LEDGE_OK;
}

static void normalizer_deinit(normalizer *m) {
  for (int64_t i = 0; m->folded && i < m->n_stops; i++) unicode_text_deinit(&m->folded[i]);
  op_scratch_free(m->folded);
}

static ledge_status normalizer_keeps(op_ctx *c, const normalizer *m, ledge_string s, unicode_text *scratch, bool *ret) {
  *ret = true;
  if (!s.size) s.data = "";
  if (!m->case_sensitive && m->n_stops) {
    TRY(unicode_lower(s.data, s.size, scratch, c->error));
    s = (ledge_string){scratch->data, scratch->size};
  }
  for (int64_t i = 0; *ret && i < m->n_stops; i++)
    *ret = !string_equal(s, m->case_sensitive ? m->stops[i] : (ledge_string){m->folded[i].data, m->folded[i].size});
  return LEDGE_OK;
}

static ledge_status normalizer_apply(op_ctx *c, const normalizer *m, int64_t *kept, unicode_text *scratch) {
  const tensor *x = op_in(c, 0);
  const ledge_string *s = x->data;
  int64_t n = tensor_elements(x), count = 0;
  for (int64_t i = 0; i < n; i++) {
    bool keep;
    TRY(normalizer_keeps(c, m, s[i], scratch, &keep));
    if (keep) kept[count++] = i;
  }
  int64_t most = count ? count : 1; /* nothing left: one empty string */
  tensor *y;
  TRY(op_make(c, 0, LEDGE_STRING, x->rank, x->rank == 2 ? (int64_t[]){1, most} : (int64_t[]){most}, &y));
  if (!y) return LEDGE_OK;
  if (!count) return put(c, y, 0, "", 0);
  for (int64_t i = 0; i < count; i++) {
    ledge_string one = s[kept[i]];
    if (m->action != CASE_NONE && one.size) {
      TRY((m->action == CASE_LOWER ? unicode_lower : unicode_upper)(one.data, one.size, scratch, c->error));
      one = (ledge_string){scratch->data, scratch->size};
    }
    TRY(put(c, y, i, one.data, one.size));
  }
  return LEDGE_OK;
}

static ledge_status normalizer_run(op_ctx *c) {
  TRY(string_in(c, 0));
  const tensor *x = op_in(c, 0);
  if (x->rank != 1 && (x->rank != 2 || x->dims[0] != 1)) {
    char text[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "the input has shape %s; it must be [C] or [1, C]",
                   shape_print(x->rank, x->dims, text, sizeof text));
  }
  normalizer m = {0};
  unicode_text scratch = {0};
  int64_t *kept = op_scratch(c, (size_t)tensor_elements(x), sizeof *kept);
  ledge_status status = kept ? normalizer_init(c, &m) : LEDGE_ERROR_MEMORY;
  if (!status) status = normalizer_apply(c, &m, kept, &scratch);
  normalizer_deinit(&m);
  unicode_text_deinit(&scratch);
  op_scratch_free(kept);
  return status;
}

/* ---- StringConcat ---- */

static ledge_status concat_infer(op_ctx *c) {
  int64_t dims[LEDGE_MAX_RANK];
  TRY(string_in(c, 0));
  TRY(string_in(c, 1));
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  int rank = shape_broadcast(a->rank, a->dims, b->rank, b->dims, dims);
  if (rank < 0) {
    char p[256], q[256];
    return op_fail(c, LEDGE_ERROR_SHAPE, "%s does not broadcast with %s", shape_print(a->rank, a->dims, p, sizeof p),
                   shape_print(b->rank, b->dims, q, sizeof q));
  }
  return op_shape(c, 0, LEDGE_STRING, rank, dims);
}

/* Strides with which t is read in the shape of y: 0 along what repeats. */
static void broadcast_strides(const tensor *t, const tensor *y, int64_t *strides) {
  int64_t plain[LEDGE_MAX_RANK];
  shape_strides(t->rank, t->dims, plain);
  for (int i = 0, k = t->rank - y->rank; i < y->rank; i++, k++) strides[i] = k < 0 || t->dims[k] == 1 ? 0 : plain[k];
}

static ledge_status concat_run(op_ctx *c) {
  const tensor *a = op_in(c, 0), *b = op_in(c, 1);
  tensor *y = op_out(c, 0);
  int64_t as[LEDGE_MAX_RANK], bs[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK] = {0}, n = tensor_elements(y), ia = 0, ib = 0;
  broadcast_strides(a, y, as);
  broadcast_strides(b, y, bs);
  unicode_text text = {0};
  ledge_status status = LEDGE_OK;
  for (int64_t i = 0; !status && i < n; i++) {
    ledge_string p = ((const ledge_string *)a->data)[ia], q = ((const ledge_string *)b->data)[ib];
    text.size = 0;
    if ((p.size && !unicode_text_append(&text, p.data, p.size)) ||
        (q.size && !unicode_text_append(&text, q.data, q.size)))
      status = error_memory(c->error, p.size + q.size, "a string");
    else
      status = put(c, y, i, text.data, text.size);
    for (int k = y->rank - 1; k >= 0; k--) {
      ia += as[k], ib += bs[k];
      if (++at[k] < y->dims[k]) break;
      ia -= as[k] * y->dims[k], ib -= bs[k] * y->dims[k];
      at[k] = 0;
    }
  }
  unicode_text_deinit(&text);
  return status;
}

/* ---- StringSplit ---- */

static bool is_space(int32_t p) {
  return (p >= 9 && p <= 13) || (p >= 0x1c && p <= 0x20) || p == 0x85 || p == 0xa0 || p == 0x1680 ||
         (p >= 0x2000 && p <= 0x200a) || p == 0x2028 || p == 0x2029 || p == 0x202f || p == 0x205f || p == 0x3000;
}

/* A cursor over the parts of a string. Without a delimiter white space parts them, however much of it, and none stands
 * before the first part; after the last allowed split the rest follows whole (as Python's str.split). */
typedef struct splitter {
  ledge_string delimiter;
  const char *at, *end;
  int64_t splits_left; /* < 0: no limit */
  bool done;
} splitter;

static bool split_next_space(splitter *s, ledge_string *part) {
  const char *p = s->at;
  while (p < s->end) {
    const char *next = p;
    if (!is_space(unicode_next(&next, s->end))) break;
    p = next;
  }
  s->at = p;
  if (p == s->end) return false;
  if (s->splits_left == 0) {
    *part = (ledge_string){p, (size_t)(s->end - p)};
    s->at = s->end;
    return true;
  }
  const char *stop = p;
  while (stop < s->end) {
    const char *next = stop;
    if (is_space(unicode_next(&next, s->end))) break;
    stop = next;
  }
  *part = (ledge_string){p, (size_t)(stop - p)};
  s->at = stop;
  s->splits_left -= s->splits_left > 0;
  return true;
}

static bool split_next(splitter *s, ledge_string *part) {
  if (!s->delimiter.size) return split_next_space(s, part);
  if (s->done) return false;
  size_t left = (size_t)(s->end - s->at);
  const char *hit = s->splits_left && left ? memmem(s->at, left, s->delimiter.data, s->delimiter.size) : NULL;
  *part = (ledge_string){s->at, hit ? (size_t)(hit - s->at) : left};
  s->done = !hit;
  if (hit) s->at = hit + s->delimiter.size;
  s->splits_left -= s->splits_left > 0;
  return true;
}

static splitter split_start(op_ctx *c, ledge_string s) {
  int64_t most = op_int(c, "maxsplit", -1);
  const char *at = s.size ? s.data : "";
  return (splitter){op_string(c, "delimiter"), at, at + s.size, most < 0 ? -1 : most, false};
}

static ledge_status split_run(op_ctx *c) {
  TRY(string_in(c, 0));
  const tensor *x = op_in(c, 0);
  const ledge_string *in = x->data;
  int64_t n = tensor_elements(x), most = 0, dims[LEDGE_MAX_RANK + 1];
  ledge_string part = {"", 0};
  tensor *y, *counts;
  TRY(op_make(c, 1, LEDGE_I64, x->rank, x->dims, &counts));
  for (int64_t i = 0; i < n; i++) {
    splitter s = split_start(c, in[i]);
    int64_t found = 0;
    while (split_next(&s, &part)) found++;
    if (counts) ((int64_t *)counts->data)[i] = found;
    if (found > most) most = found;
  }
  if (x->rank) memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
  dims[x->rank] = most;
  TRY(op_make(c, 0, LEDGE_STRING, x->rank + 1, dims, &y));
  for (int64_t i = 0; y && i < n; i++) {
    splitter s = split_start(c, in[i]);
    for (int64_t k = 0; k < most; k++) {
      bool more = split_next(&s, &part);
      TRY(put(c, y, i * most + k, part.data, more ? part.size : 0));
    }
  }
  return LEDGE_OK;
}

/* ---- RegexFullMatch ---- */

static ledge_status regex_infer(op_ctx *c) {
  TRY(string_in(c, 0));
  return op_shape(c, 0, LEDGE_BOOL, op_in(c, 0)->rank, op_in(c, 0)->dims);
}

static ledge_status regex_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  const ledge_string *in = x->data;
  uint8_t *y = op_out(c, 0)->data;
  int64_t n = tensor_elements(x);
  ledge_string pattern = op_string(c, "pattern");
  regex *r;
  ledge_status status = regex_compile(pattern.size ? pattern.data : "", pattern.size, &r, c->error);
  if (status) return error_prefix(c->error, status, "RegexFullMatch");
  for (int64_t i = 0; !status && i < n; i++) {
    bool matches = false;
    status = regex_full_match(r, in[i].size ? in[i].data : "", in[i].size, &matches, c->error);
    y[i] = matches;
  }
  regex_destroy(r);
  return status ? error_prefix(c->error, status, "RegexFullMatch") : LEDGE_OK;
}

const op_def ops_string[] = {{"", "StringNormalizer", 10, 0, 1, 1, 1, 1, OP_DYNAMIC, NULL, normalizer_run},
                             {"", "StringConcat", 20, 0, 2, 2, 1, 1, 0, concat_infer, concat_run},
                             {"", "StringSplit", 20, 0, 1, 1, 1, 2, OP_DYNAMIC, NULL, split_run},
                             {"", "RegexFullMatch", 20, 0, 1, 1, 1, 1, 0, regex_infer, regex_run},
                             {0}};
