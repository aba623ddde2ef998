/* formats/onnx/attr: AttributeProto to the graph's attributes.
 *
 * Inside a function an attribute may stand for one of the function's own (ref_attr_name): it takes the contents of the
 * attribute at the call, which may itself be of an outer call, or the function's default, or goes when there is
 * neither. Contents are read anew for each use, so that no two nodes share a subgraph. */
#include "formats/onnx/read.h"

enum { /* AttributeProto.AttributeType where the graph has no like; the others are attr_type's numbers */
       A_SPARSE = 11,
       A_SPARSES = 12,
       A_TYPE_COUNT = 15,
};

/* A first look: the singular contents, and how many the lists hold. */
typedef struct attr_fields {
  uint64_t at;
  reader whole, name, ref;
  int64_t type;
  float f;
  int64_t i;
  reader s, t, g, sparse, tp;
  bool has_f, has_i, has_s, has_t, has_g, has_sparse, has_tp;
  size_t n_floats, n_ints, n_strings, n_tensors, n_graphs, n_types, n_sparses;
} attr_fields;

static ledge_status count_message(const wire *w, const char *name, size_t *count, ledge_error *error) {
  reader ignored;
  TRY(wire_bytes(w, name, &ignored, error));
  ++*count;
  return LEDGE_OK;
}

static ledge_status parse_field(const wire *w, attr_fields *a, ledge_error *error) {
  switch (w->field) {
    case 1: return wire_bytes(w, "name", &a->name, error);
    case 2: a->has_f = true; return wire_float(w, "f", &a->f, error);
    case 3: a->has_i = true; return wire_int(w, "i", &a->i, error);
    case 4: a->has_s = true; return wire_bytes(w, "s", &a->s, error);
    case 5: return wire_once(w, "t", &a->has_t, &a->t, error);
    case 6: return wire_once(w, "g", &a->has_g, &a->g, error);
    case 7: return wire_count(w, "floats", WIRE_FIXED32, &a->n_floats, error);
    case 8: return wire_count(w, "ints", WIRE_VARINT, &a->n_ints, error);
    case 9: return count_message(w, "strings", &a->n_strings, error);
    case 10: return count_message(w, "tensors", &a->n_tensors, error);
    case 11: return count_message(w, "graphs", &a->n_graphs, error);
    case 14: return wire_once(w, "tp", &a->has_tp, &a->tp, error);
    case 15: return count_message(w, "type_protos", &a->n_types, error);
    case 20: return wire_int(w, "type", &a->type, error);
    case 21: return wire_bytes(w, "ref_attr_name", &a->ref, error);
    case 22: return wire_once(w, "sparse_tensor", &a->has_sparse, &a->sparse, error);
    case 23: return count_message(w, "sparse_tensors", &a->n_sparses, error);
    default: return LEDGE_OK;
  }
}

/* IR version 1 has no type: it is what is there. An empty list cannot be told from another; ints are as good as any. */
static int64_t guess_type(const attr_fields *a) {
  if (a->has_f) return ATTR_FLOAT;
  if (a->has_i) return ATTR_INT;
  if (a->has_s) return ATTR_STRING;
  if (a->has_t) return ATTR_TENSOR;
  if (a->has_g) return ATTR_GRAPH;
  if (a->has_sparse) return A_SPARSE;
  if (a->has_tp) return ATTR_TYPE;
  if (a->n_floats) return ATTR_FLOATS;
  if (a->n_strings) return ATTR_STRINGS;
  if (a->n_tensors) return ATTR_TENSORS;
  if (a->n_graphs) return ATTR_GRAPHS;
  if (a->n_sparses) return A_SPARSES;
  if (a->n_types) return ATTR_TYPES;
  return ATTR_INTS;
}

static ledge_status parse_attr(onnx_in *in, reader r, attr_fields *ret) {
  attr_fields a = {.at = reader_offset(&r), .whole = r};
  wire w = wire_open(r, "AttributeProto", &in->steps_left);
  while (wire_next(&w)) TRY(parse_field(&w, &a, in->error));
  TRY(wire_close(&w, in->error));
  if (!a.name.size)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, a.at,
                        "an attribute at byte %llu has no name: the file is damaged", (unsigned long long)a.at);
  TRY(onnx_check_name(a.name, "an attribute's name", in->error));
  TRY(onnx_check_name(a.ref, "an attribute's reference", in->error));
  if (a.type < 0 || a.type >= A_TYPE_COUNT)
    return error_set_at(in->error, LEDGE_ERROR_FORMAT, a.at,
                        "attribute '%.*s' has type %lld, which ONNX does not define", ONNX_SHOW(a.name),
                        (long long)a.type);
  *ret = a;
  return LEDGE_OK;
}

/* ---- contents ---- */

static ledge_status read_string(onnx_in *in, reader r, ledge_string *ret) {
  char *copy;
  TRY(onnx_alloc(in, r.size + 1, 1, "a string", &copy));
  if (r.size) memcpy(copy, r.data, r.size);
  *ret = (ledge_string){copy, r.size};
  return LEDGE_OK;
}

static ledge_status read_tensor(onnx_in *in, reader r, tensor *ret) {
  onnx_tensor t;
  TRY(onnx_tensor_parse(r, &in->steps_left, &t, in->error));
  return onnx_load_tensor(in, &t, ret);
}

static ledge_status read_sparse(onnx_in *in, reader r, tensor *ret) {
  onnx_sparse s;
  TRY(onnx_sparse_parse(r, &in->steps_left, &s, in->error));
  return onnx_load_sparse(in, &s, ret);
}

/* Where an attribute's subgraphs look names up: in the scope of the call that it comes from (`home`, NULL: nowhere),
 * though the node that takes it may lie in a graph further in. */
typedef struct attr_place {
  onnx_scope *at; /* the node's */
  onnx_scope *home;
  bool is_foreign; /* comes from a call or a default */
} attr_place;

static ledge_status read_graph(onnx_in *in, const attr_place *p, reader r, graph **ret) {
  onnx_scope *at = p->at;
  if (!p->is_foreign) return onnx_read_graph(in, at, at->all, at->call, r, ret);
  if (!p->home) return onnx_read_graph(in, NULL, at->all, NULL, r, ret);
  if (p->home->g == at->g) return onnx_read_graph(in, p->home, at->all, p->home->call, r, ret);
  /* Scopes without names of their own lead from the node's graph out to the call's, and capture on the way. */
  onnx_scope bridge[ONNX_MAX_DEPTH + 1];
  int n = 0;
  for (onnx_names *names = at->all; names->g != p->home->g; names = names->outer)
    bridge[n++] = (onnx_scope){.g = names->g, .all = names, .call = p->home->call};
  for (int i = 0; i < n; i++) bridge[i].parent = i + 1 < n ? &bridge[i + 1] : p->home;
  ledge_status status = onnx_read_graph(in, &bridge[0], at->all, p->home->call, r, ret);
  for (int i = 0; i < n; i++) onnx_scope_deinit(&bridge[i]);
  return status;
}

static ledge_status read_type(onnx_in *in, reader r, graph_type *ret) { return onnx_read_type(in, r, ret); }

/* Lists of messages and strings: `field` of the attribute, each read into an element of dst. */
static ledge_status read_list(onnx_in *in, const attr_fields *a, const attr_place *p, uint32_t field, void *dst,
                              size_t max) {
  size_t i = 0;
  wire w = wire_open(a->whole, "AttributeProto", &in->steps_left);
  while (i < max && wire_next(&w)) {
    if (w.field != field) continue;
    switch (field) {
      case 9: TRY(read_string(in, w.bytes, (ledge_string *)dst + i)); break;
      case 10: TRY(read_tensor(in, w.bytes, (tensor *)dst + i)); break;
      case 11: TRY(read_graph(in, p, w.bytes, (graph **)dst + i)); break;
      case 15: TRY(read_type(in, w.bytes, (graph_type *)dst + i)); break;
      default: TRY(read_sparse(in, w.bytes, (tensor *)dst + i)); break;
    }
    i++;
  }
  TRY(wire_close(&w, in->error));
  return i == max ? LEDGE_OK : onnx_changed(in);
}

static void copy_numbers(const attr_fields *a, uint32_t field, void *dst, size_t max) {
  size_t n = 0;
  wire w = wire_open(a->whole, "AttributeProto", NULL);
  while (wire_next(&w)) {
    if (w.field != field) continue;
    if (field == 7)
      n += wire_copy_fixed(&w, (float *)dst + n, (max - n) * sizeof(float)) / sizeof(float);
    else
      n += wire_copy_ints(&w, (int64_t *)dst + n, max - n);
  }
}

/* A list attribute: `count` elements of `each` bytes from `field`; *ret gets the array. */
static ledge_status read_array(onnx_in *in, const attr_fields *a, const attr_place *p, uint32_t field, size_t count,
                               size_t each, attr *out, const void **ret) {
  void *array;
  TRY(onnx_alloc(in, count, each, "an attribute", &array));
  if (field == 7 || field == 8)
    copy_numbers(a, field, array, count);
  else
    TRY(read_list(in, a, p, field, array, count));
  out->count = (int64_t)count;
  *ret = array;
  return LEDGE_OK;
}

static ledge_status missing(onnx_in *in, const attr_fields *a, const char *what) {
  return error_set_at(in->error, LEDGE_ERROR_FORMAT, a->at, "attribute '%.*s' says that it is a %s, but holds none",
                      ONNX_SHOW(a->name), what);
}

static ledge_status read_contents(onnx_in *in, const attr_fields *a, const attr_place *p, attr *out) {
  int64_t type = a->type ? a->type : guess_type(a);
  tensor *t;
  graph_type *types;
  out->type = (attr_type)type;
  out->count = 1;
  switch (type) {
    case ATTR_FLOAT: out->f = a->f; return LEDGE_OK;
    case ATTR_INT: out->i = a->i; return LEDGE_OK;
    case ATTR_STRING: return read_string(in, a->s, &out->s);
    case ATTR_TENSOR:
    case A_SPARSE:
      out->type = ATTR_TENSOR;
      if (type == ATTR_TENSOR ? !a->has_t : !a->has_sparse) return missing(in, a, "tensor");
      if (type == A_SPARSE && !strcmp(out->name, "sparse_value")) out->name = "value"; /* of Constant, now dense */
      TRY(onnx_alloc(in, 1, sizeof *t, "an attribute", &t));
      out->t = t;
      return type == ATTR_TENSOR ? read_tensor(in, a->t, t) : read_sparse(in, a->sparse, t);
    case ATTR_GRAPH: return a->has_g ? read_graph(in, p, a->g, &out->g) : missing(in, a, "graph");
    case ATTR_TYPE:
      if (!a->has_tp) return missing(in, a, "type");
      TRY(onnx_alloc(in, 1, sizeof *types, "an attribute", &types));
      out->types = types;
      return read_type(in, a->tp, types);
    case ATTR_FLOATS: return read_array(in, a, p, 7, a->n_floats, sizeof(float), out, (const void **)&out->floats);
    case ATTR_INTS: return read_array(in, a, p, 8, a->n_ints, sizeof(int64_t), out, (const void **)&out->ints);
    case ATTR_STRINGS:
      return read_array(in, a, p, 9, a->n_strings, sizeof(ledge_string), out, (const void **)&out->strings);
    case ATTR_TENSORS: return read_array(in, a, p, 10, a->n_tensors, sizeof(tensor), out, (const void **)&out->tensors);
    case ATTR_GRAPHS: return read_array(in, a, p, 11, a->n_graphs, sizeof(graph *), out, (const void **)&out->graphs);
    case ATTR_TYPES: return read_array(in, a, p, 15, a->n_types, sizeof(graph_type), out, (const void **)&out->types);
    default:
      out->type = ATTR_TENSORS;
      return read_array(in, a, p, 23, a->n_sparses, sizeof(tensor), out, (const void **)&out->tensors);
  }
}

/* ---- references to a function's attributes ---- */

static bool same_name(reader a, reader b) { return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size)); }

/* What ref stands for in a call: its contents, or *found false where the attribute is to be left out. */
static ledge_status resolve(onnx_in *in, const attr_fields *a, const onnx_call *call, attr_fields *ret, attr_place *p,
                            bool *found) {
  reader name = a->ref;
  *found = false;
  while (call) {
    const onnx_binding *b = NULL;
    for (int i = 0; i < call->n_bindings && !b; i++)
      if (same_name(call->bindings[i].name, name)) b = &call->bindings[i];
    reader contents = {0};
    if (b) {
      contents = b->attr;
      p->home = b->scope;
    } else {
      for (int i = 0; i < call->f->n_attrs && !contents.data; i++)
        if (same_name(call->f->attrs[i].name, name)) contents = call->f->attrs[i].attr;
      p->home = NULL;
    }
    if (!contents.data) return LEDGE_OK;
    p->is_foreign = true;
    TRY(parse_attr(in, contents, ret));
    if (!ret->ref.size) {
      *found = true;
      return LEDGE_OK;
    }
    name = ret->ref; /* the call stands in a function's body and passes on one of that function's own */
    call = b && b->scope ? b->scope->call : NULL;
  }
  return error_set_at(in->error, LEDGE_ERROR_FORMAT, a->at,
                      "attribute '%.*s' refers to a function's attribute '%.*s', but stands in no function",
                      ONNX_SHOW(a->name), ONNX_SHOW(name));
}

static ledge_status read_attr(onnx_in *in, onnx_scope *s, reader r, attr *ret, bool *found) {
  attr_fields own, a;
  attr_place p = {.at = s};
  attr out = {0};
  TRY(parse_attr(in, r, &own));
  a = own;
  *found = true;
  if (own.ref.size) {
    TRY(resolve(in, &own, s->call, &a, &p, found));
    if (!*found) return LEDGE_OK;
    if (own.type && a.type && own.type != a.type)
      return error_set_at(in->error, LEDGE_ERROR_FORMAT, own.at,
                          "attribute '%.*s' is of type %lld, but the function's attribute '%.*s' is of type %lld",
                          ONNX_SHOW(own.name), (long long)own.type, ONNX_SHOW(own.ref), (long long)a.type);
  }
  TRY(onnx_name(in, own.name, "an attribute's name", &out.name));
  ledge_status status = read_contents(in, &a, &p, &out);
  if (!status) status = onnx_keep_extra(in, s, r, ONNX_EXTRA_ATTR, &out.extra);
  if (status) return onnx_prefix(in, status, "attribute '%.*s'", ONNX_SHOW(own.name));
  *ret = out;
  return LEDGE_OK;
}

ledge_status onnx_read_attrs(onnx_in *in, onnx_scope *s, reader node_proto, int count, attr **ret, int *ret_count) {
  attr *attrs;
  int n = 0;
  TRY(onnx_alloc(in, (size_t)count, sizeof *attrs, "a node's attributes", &attrs));
  wire w = wire_open(node_proto, "NodeProto", &in->steps_left);
  while (n < count && wire_next(&w)) {
    if (w.field != 5) continue;
    bool found;
    TRY(read_attr(in, s, w.bytes, &attrs[n], &found));
    if (!found) continue;
    for (int i = 0; i < n; i++)
      if (!strcmp(attrs[i].name, attrs[n].name))
        return error_set_at(in->error, LEDGE_ERROR_FORMAT, w.at,
                            "attribute '%.100s' is there twice: the file is damaged", attrs[n].name);
    n++;
  }
  TRY(wire_close(&w, in->error));
  *ret = attrs;
  *ret_count = n;
  return LEDGE_OK;
}
