/* formats/onnx/names: scopes, and the names that inlining makes up. See read.h. */
#include "formats/onnx/read.h"

#include <stdio.h>

void onnx_scope_deinit(onnx_scope *s) { hash_deinit(&s->names); }

void onnx_names_deinit(onnx_names *n) {
  hash_deinit(&n->captured);
  hash_deinit(&n->used);
}

ledge_status onnx_scope_reserve(onnx_in *in, onnx_scope *s, size_t count) {
  TRY(onnx_check_limit(in, count * sizeof(hash_slot) / 3 * 4, "a table of names"));
  return hash_reserve(&s->names, count) ? LEDGE_OK
                                        : error_memory(in->error, count * sizeof(hash_slot), "a table of names");
}

static const char *key_of(reader name) { return name.data ? (const char *)name.data : ""; }

static ledge_status put(onnx_in *in, hash *h, const char *key, size_t size, int32_t v) {
  return hash_put(h, key, size, v) == HASH_NO_MEMORY ? error_memory(in->error, size, "a table of names") : LEDGE_OK;
}

ledge_status onnx_scope_put(onnx_in *in, onnx_scope *s, reader name, value_id v, const char *what) {
  int32_t there;
  if (hash_get(&s->names, key_of(name), name.size, &there))
    return error_set_at(
        in->error, LEDGE_ERROR_FORMAT, reader_offset(&name),
        "%s '%.*s' has a name that is taken: in a graph each input, initialiser and node output needs one "
        "of its own",
        what, ONNX_SHOW(name));
  return put(in, &s->names, key_of(name), name.size, v);
}

/* Is a value of s->g named so? Until the first made-up name nobody needs to know, so the table is filled then. */
static ledge_status names_used(onnx_in *in, onnx_scope *s, const char *name, bool *ret) {
  onnx_names *all = s->all;
  if (!all->used_live) {
    for (int v = 0; v < s->g->n_values; v++)
      TRY(put(in, &all->used, s->g->values[v].name, strlen(s->g->values[v].name), v));
    all->used_live = true;
  }
  int32_t there;
  *ret = hash_get(&all->used, name, strlen(name), &there);
  return LEDGE_OK;
}

/* A value with the first free name of: text, text.1, text.2, ... counted over the whole model. */
static ledge_status add_fresh(onnx_in *in, onnx_scope *s, char *text, size_t size, value_id *ret) {
  size_t length = strlen(text);
  bool used;
  TRY(names_used(in, s, text, &used));
  while (used) {
    snprintf(text + length, size - length, ".%d", ++in->n_fresh);
    TRY(names_used(in, s, text, &used));
  }
  TRY(onnx_check_limit(in, size, "a value"));
  value_id v = graph_add_value(s->g, text);
  if (v == VALUE_ABSENT) return error_memory(in->error, size, "a value");
  const char *kept = s->g->values[v].name;
  TRY(put(in, &s->all->used, kept, strlen(kept), v));
  *ret = v;
  return LEDGE_OK;
}

ledge_status onnx_scope_fresh(onnx_in *in, onnx_scope *s, const char *prefix, reader name, value_id *ret) {
  size_t size = strlen(prefix) + name.size + 16;
  if (size > ONNX_MAX_NAME) name.size = 0; /* a chain of calls with long names: numbers alone will do */
  if (size > ONNX_MAX_NAME) prefix = "inlined";
  char local[512], *text = local;
  size = strlen(prefix) + name.size + 16;
  if (size > sizeof local) {
    text = mem_alloc(size);
    if (!text) return error_memory(in->error, size, "a name");
  }
  snprintf(text, size, "%s/%.*s", prefix, (int)name.size, key_of(name));
  ledge_status status = add_fresh(in, s, text, size, ret);
  if (text != local) mem_free(text);
  return status;
}

static ledge_status add_capture(onnx_in *in, onnx_scope *s, value_id outer, value_id *ret) {
  graph *g = s->g;
  const graph_value *from = &g->parent->values[outer];
  size_t size = strlen(from->name);
  int32_t inner;
  if (hash_get(&s->all->captured, from->name, size, &inner)) {
    *ret = inner;
    return LEDGE_OK;
  }
  if (g->n_captures == g->cap_captures) {
    int cap = g->cap_captures ? g->cap_captures * 2 : 8;
    capture *captures;
    TRY(onnx_alloc(in, (size_t)cap, sizeof *captures, "a subgraph's captures", &captures));
    if (g->n_captures) memcpy(captures, g->captures, (size_t)g->n_captures * sizeof *captures);
    g->captures = captures;
    g->cap_captures = cap;
  }
  char local[512], *text = local;
  if (size + 16 > sizeof local) {
    text = mem_alloc(size + 16);
    if (!text) return error_memory(in->error, size + 16, "a name");
  }
  memcpy(text, from->name, size + 1);
  ledge_status status = add_fresh(in, s, text, size + 16, &inner);
  if (text != local) mem_free(text);
  TRY(status);
  g->values[inner].type = from->type;
  g->captures[g->n_captures++] = (capture){inner, outer};
  *ret = inner;
  return put(in, &s->all->captured, from->name, size, inner);
}

ledge_status onnx_scope_find(onnx_in *in, onnx_scope *s, reader name, value_id *ret, bool *found) {
  int32_t v;
  *found = hash_get(&s->names, key_of(name), name.size, &v);
  if (*found) {
    *ret = v;
    return LEDGE_OK;
  }
  if (!s->parent) return LEDGE_OK;
  value_id outer;
  TRY(onnx_scope_find(in, s->parent, name, &outer, found));
  if (!*found) return LEDGE_OK;
  value_id inner = VALUE_ABSENT;
  if (outer != VALUE_ABSENT) TRY(add_capture(in, s, outer, &inner));
  *ret = inner;
  return put(in, &s->names, key_of(name), name.size, inner);
}
