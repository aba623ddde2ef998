/* formats/onnx/function: model-local functions. A call is replaced by the function's body: a scope of its own in the
 * caller's graph, in which the function's inputs mean the call's inputs and its outputs the call's outputs; all other
 * values get fresh names "call/name". A function that calls itself, however far round, is an error; what a few
 * functions can blow up to is bounded by onnx_in.steps_left and limit_bytes. */
#include "formats/onnx/read.h"

#include <stdio.h>

static ledge_status function_fail(onnx_in *in, uint64_t at, const onnx_function *f, const char *what) {
  return error_set_at(in->error, LEDGE_ERROR_FORMAT, at, "function '%.100s' at byte %llu %s", f->name,
                      (unsigned long long)at, what);
}

static ledge_status scratch(onnx_in *in, size_t count, size_t each, void *ret) {
  size_t bytes;
  if (!mem_mul(count, each, &bytes)) bytes = SIZE_MAX;
  TRY(onnx_check_limit(in, bytes, "functions"));
  void *block = arena_alloc(&in->scratch, bytes);
  if (!block) return error_memory(in->error, bytes, "functions");
  memcpy(ret, &block, sizeof block);
  return LEDGE_OK;
}

static ledge_status parse_default(onnx_in *in, reader r, struct onnx_default *ret) {
  ret->attr = r;
  wire w = wire_open(r, "AttributeProto", &in->steps_left);
  while (wire_next(&w))
    if (w.field == 1) TRY(wire_bytes(&w, "name", &ret->name, in->error));
  return wire_close(&w, in->error);
}

/* Fills the lists that parse_function counted. */
static ledge_status parse_signature(onnx_in *in, onnx_function *f) {
  int n_in = 0, n_out = 0, n_attrs = 0;
  TRY(scratch(in, (size_t)f->n_in, sizeof *f->inputs, &f->inputs));
  TRY(scratch(in, (size_t)f->n_out, sizeof *f->outputs, &f->outputs));
  TRY(scratch(in, (size_t)f->n_attrs, sizeof *f->attrs, &f->attrs));
  wire w = wire_open(f->body, "FunctionProto", &in->steps_left);
  while (wire_next(&w)) {
    bool full = (w.field == 4 && n_in == f->n_in) || (w.field == 5 && n_out == f->n_out) ||
                ((w.field == 6 || w.field == 11) && n_attrs == f->n_attrs);
    if (full) return onnx_changed(in);
    switch (w.field) {
      case 4: f->inputs[n_in++] = w.bytes; break;
      case 5: f->outputs[n_out++] = w.bytes; break;
      case 6: f->attrs[n_attrs++].name = w.bytes; break;
      case 11: TRY(parse_default(in, w.bytes, &f->attrs[n_attrs++])); break;
      default: break;
    }
  }
  for (int i = 0; i < n_in; i++) TRY(onnx_check_name(f->inputs[i], "a function's input", in->error));
  for (int i = 0; i < n_out; i++) TRY(onnx_check_name(f->outputs[i], "a function's output", in->error));
  return wire_close(&w, in->error);
}

static ledge_status scratch_text(onnx_in *in, reader r, const char *what, const char **ret) {
  char *copy = NULL;
  TRY(onnx_check_name(r, what, in->error));
  TRY(scratch(in, r.size + 1, 1, &copy));
  if (r.size) memcpy(copy, r.data, r.size);
  *ret = copy;
  return LEDGE_OK;
}

static ledge_status parse_function(onnx_in *in, reader r, onnx_function *f) {
  reader name = {0}, domain = {0}, overload = {0}, ignored;
  f->body = r;
  wire w = wire_open(r, "FunctionProto", &in->steps_left);
  while (wire_next(&w)) {
    switch (w.field) {
      case 1: TRY(wire_bytes(&w, "name", &name, in->error)); break;
      case 4:
        f->n_in++;
        TRY(wire_bytes(&w, "input", &ignored, in->error));
        break;
      case 5:
        f->n_out++;
        TRY(wire_bytes(&w, "output", &ignored, in->error));
        break;
      case 6:
        f->n_attrs++;
        TRY(wire_bytes(&w, "attribute", &ignored, in->error));
        break;
      case 7:
        f->n_nodes++;
        TRY(wire_bytes(&w, "node", &ignored, in->error));
        break;
      case 10: TRY(wire_bytes(&w, "domain", &domain, in->error)); break;
      case 11:
        f->n_attrs++;
        TRY(wire_bytes(&w, "attribute_proto", &ignored, in->error));
        break;
      case 13: TRY(wire_bytes(&w, "overload", &overload, in->error)); break;
      default: break;
    }
  }
  TRY(wire_close(&w, in->error));
  if (onnx_equal(domain, "ai.onnx")) domain.size = 0;
  TRY(scratch_text(in, name, "a function's name", &f->name));
  TRY(scratch_text(in, domain, "a function's domain", &f->domain));
  TRY(scratch_text(in, overload, "a function's overload", &f->overload));
  if (!name.size) return function_fail(in, reader_offset(&r), f, "has no name: the file is damaged");
  if (f->n_attrs > ONNX_MAX_ATTRIBUTES)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, reader_offset(&r),
                        "function '%.100s' has %d attributes, over the limit of %d", f->name, f->n_attrs,
                        ONNX_MAX_ATTRIBUTES);
  TRY(parse_signature(in, f));
  return onnx_read_opsets(in, r, 9, "FunctionProto", &f->opsets, &f->n_opsets);
}

/* "domain\0name\0overload" in memory of the scratch arena or of `local`. */
static ledge_status function_key(onnx_in *in, reader domain, reader name, reader overload, char *local,
                                 size_t local_size, char **key, size_t *size) {
  if (onnx_equal(domain, "ai.onnx")) domain.size = 0;
  *size = domain.size + name.size + overload.size + 2;
  *key = local;
  if (*size > local_size) TRY(scratch(in, *size, 1, key));
  char *at = *key;
  const reader parts[3] = {domain, name, overload};
  for (int i = 0; i < 3; i++) {
    if (parts[i].size) memcpy(at, parts[i].data, parts[i].size);
    at += parts[i].size;
    if (i < 2) *at++ = 0;
  }
  return LEDGE_OK;
}

static reader text_reader(const char *text) { return reader_make(text, strlen(text), 0); }

ledge_status onnx_read_functions(onnx_in *in, reader model_proto, int count) {
  TRY(scratch(in, (size_t)count, sizeof *in->functions, &in->functions));
  wire w = wire_open(model_proto, "ModelProto", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != 25) continue;
    if (in->n_functions == count) return onnx_changed(in);
    onnx_function *f = &in->functions[in->n_functions];
    TRY(parse_function(in, w.bytes, f));
    char *key;
    size_t size;
    TRY(function_key(in, text_reader(f->domain), text_reader(f->name), text_reader(f->overload), NULL, 0, &key, &size));
    int32_t there;
    if (hash_get(&in->function_names, key, size, &there))
      return function_fail(in, w.at, f, "is defined twice: the file is damaged");
    if (hash_put(&in->function_names, key, size, in->n_functions) == HASH_NO_MEMORY)
      return error_memory(in->error, size, "a table of functions");
    in->n_functions++;
  }
  return wire_close(&w, in->error);
}

ledge_status onnx_find_function(onnx_in *in, const onnx_node *n, const onnx_function **ret) {
  *ret = NULL;
  if (!in->n_functions) return LEDGE_OK;
  char local[512], *key;
  size_t size;
  TRY(function_key(in, n->domain, n->op, n->overload, local, sizeof local, &key, &size));
  int32_t at;
  if (hash_get(&in->function_names, key, size, &at)) *ret = &in->functions[at];
  return LEDGE_OK;
}

static ledge_status find_version(const opset_import *opsets, int n, reader domain, int *ret) {
  for (int i = 0; i < n; i++)
    if (onnx_equal(domain, opsets[i].domain)) return *ret = opsets[i].version, LEDGE_OK;
  return LEDGE_ERROR_NAME;
}

ledge_status onnx_opset_version(onnx_in *in, const onnx_call *call, reader domain, int *ret) {
  if (onnx_equal(domain, "ai.onnx")) domain.size = 0;
  if (call && find_version(call->f->opsets, call->f->n_opsets, domain, ret) == LEDGE_OK) return LEDGE_OK;
  if (find_version(in->m->opsets, in->m->n_opsets, domain, ret) == LEDGE_OK) return LEDGE_OK;
  if (!domain.size && in->m->ir_version >= 3)
    return error_set(
        in->error, LEDGE_ERROR_FORMAT,
        "the model uses operators of ai.onnx but imports no version of them (opset_import): export it anew");
  *ret = 1;
  return LEDGE_OK;
}

/* ---- calls ---- */

static ledge_status bind_attributes(onnx_in *in, onnx_scope *s, const onnx_node *n, onnx_binding *bindings) {
  int i = 0;
  wire w = wire_open(n->whole, "NodeProto", &in->steps_left);
  while (wire_next(&w)) {
    if (w.field != 5) continue;
    struct onnx_default d = {0};
    if (i == n->n_attrs) return onnx_changed(in);
    TRY(parse_default(in, w.bytes, &d));
    bindings[i++] = (onnx_binding){d.name, d.attr, s};
  }
  return wire_close(&w, in->error);
}

/* Gives the function's inputs their values in the body's scope; those that the call leaves out mean nothing. */
static ledge_status bind_inputs(onnx_in *in, onnx_scope *body, const onnx_function *f, const onnx_node *n,
                                const value_id *ids) {
  for (int i = 0; i < f->n_in; i++) {
    if (!f->inputs[i].size) continue;
    TRY(onnx_scope_put(in, body, f->inputs[i], i < n->n_in ? ids[i] : VALUE_ABSENT, "function input"));
  }
  return LEDGE_OK;
}

/* A function output that is an input as it came takes a node of its own. */
static ledge_status pass_through(onnx_in *in, onnx_scope *body, value_id from, value_id to) {
  int version;
  if (onnx_opset_version(in, body->call, (reader){0}, &version)) version = 1;
  TRY(onnx_check_limit(in, sizeof(node), "a node"));
  node *made = graph_add_node(body->g, "", "Identity", version, body->call->label, &from, 1, &to, 1);
  return made ? LEDGE_OK : error_memory(in->error, sizeof *made, "a node");
}

static ledge_status bind_outputs(onnx_in *in, onnx_scope *body, const onnx_function *f, const value_id *outs) {
  for (int i = 0; i < f->n_out; i++) {
    value_id v;
    bool found;
    TRY(onnx_scope_find(in, body, f->outputs[i], &v, &found));
    if (!found || (v == VALUE_ABSENT && outs[i] != VALUE_ABSENT))
      return function_fail(in, reader_offset(&f->body), f, "has an output that nothing in it makes");
    if (outs[i] != VALUE_ABSENT && v != outs[i]) TRY(pass_through(in, body, v, outs[i]));
  }
  return LEDGE_OK;
}

/* outs: one a function output, VALUE_ABSENT where the call leaves it out: then its value is made up like the others. */
static ledge_status read_body(onnx_in *in, onnx_scope *body, const onnx_function *f, const value_id *outs,
                              hash *outputs) {
  for (int i = 0; i < f->n_out; i++) {
    const char *key = f->outputs[i].data ? (const char *)f->outputs[i].data : "";
    switch (hash_put(outputs, key, f->outputs[i].size, i)) {
      case HASH_NEW: break;
      case HASH_REPLACED: return function_fail(in, reader_offset(&f->body), f, "has two outputs of one name");
      case HASH_NO_MEMORY: return error_memory(in->error, sizeof(hash_slot), "a table of names");
    }
  }
  wire w = wire_open(f->body, "FunctionProto", &in->steps_left);
  while (wire_next(&w))
    if (w.field == 7) TRY(onnx_declare_outputs(in, body, w.bytes, outputs, outs, body->call->label));
  TRY(wire_close(&w, in->error));
  w = wire_open(f->body, "FunctionProto", &in->steps_left);
  while (wire_next(&w))
    if (w.field == 7) TRY(onnx_read_node(in, body, w.bytes));
  TRY(wire_close(&w, in->error));
  return bind_outputs(in, body, f, outs);
}

static ledge_status check_call(onnx_in *in, const onnx_scope *s, const onnx_function *f, const onnx_node *n) {
  for (const onnx_call *c = s->call; c; c = c->caller)
    if (c->f == f)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, n->at, "function '%.100s' calls itself, which ONNX forbids",
                          f->name);
  if (n->n_in > f->n_in || n->n_out > f->n_out)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, n->at,
                        "a call of function '%.100s' has %d inputs and %d outputs; the function has %d and %d", f->name,
                        n->n_in, n->n_out, f->n_in, f->n_out);
  if (in->depth == ONNX_MAX_DEPTH)
    return error_set_at(in->error, LEDGE_ERROR_LIMIT, n->at,
                        "function '%.100s' is called at a depth over %d, ledge's limit", f->name, ONNX_MAX_DEPTH);
  return LEDGE_OK;
}

/* "outer call/this call": the node's name, or the function's where it has none. */
static ledge_status make_label(onnx_in *in, const onnx_scope *s, const onnx_function *f, const onnx_node *n,
                               const char **ret) {
  const char *outer = s->call ? s->call->label : "", *slash = s->call ? "/" : "";
  const char *own = n->name.size ? (const char *)n->name.data : f->name;
  size_t own_size = n->name.size ? n->name.size : strlen(f->name), size = strlen(outer) + own_size + 2;
  char *label;
  TRY(onnx_alloc(in, size, 1, "a name", &label));
  snprintf(label, size, "%s%s%.*s", outer, slash, (int)own_size, own);
  *ret = label;
  return LEDGE_OK;
}

ledge_status onnx_call_function(onnx_in *in, onnx_scope *s, const onnx_function *f, const onnx_node *n,
                                const value_id *ids) {
  onnx_call call = {.f = f, .n_bindings = n->n_attrs, .caller = s->call};
  TRY(check_call(in, s, f, n));
  TRY(make_label(in, s, f, n, &call.label));
  onnx_scope body = {.g = s->g, .all = s->all, .call = &call};
  hash outputs = {0};
  onnx_binding *bindings = mem_alloc_array((size_t)n->n_attrs, sizeof *bindings);
  value_id *outs = mem_alloc_array((size_t)f->n_out, sizeof *outs); /* ids does not outlive the next node */
  ledge_status status = LEDGE_OK;
  if (!bindings || !outs) status = error_memory(in->error, (size_t)f->n_out * sizeof *outs, "a function call");
  call.bindings = bindings;
  for (int i = 0; !status && i < f->n_out; i++) outs[i] = i < n->n_out ? ids[n->n_in + i] : VALUE_ABSENT;
  in->depth++;
  if (!status) status = bind_inputs(in, &body, f, n, ids);
  if (!status) status = bind_attributes(in, s, n, bindings);
  if (!status) status = read_body(in, &body, f, outs, &outputs);
  in->depth--;
  hash_deinit(&outputs);
  onnx_scope_deinit(&body);
  mem_free(bindings);
  mem_free(outs);
  return status ? onnx_prefix(in, status, "in function '%.100s'", f->name) : LEDGE_OK;
}
