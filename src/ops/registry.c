/* ops/registry: from (domain, name, version) to a row. kinds.def lists the files that hold rows; an open-addressing
 * table of their names is built on first use (once, thread-safe) and then only read. */
#include "ops/op.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#define KIND(kind) extern const op_def ops_##kind[];
#include "ops/kinds.def"
#undef KIND

static const op_def *const registry_kinds[] = {
#define KIND(kind) ops_##kind,
#include "ops/kinds.def"
#undef KIND
    NULL};

enum { REGISTRY_SLOTS = 4096 }; /* a power of two, at least twice the rows */
static const op_def *registry_table[REGISTRY_SLOTS];
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static unsigned registry_hash(const char *domain, const char *name) {
  unsigned h = 2166136261u; /* FNV-1a */
  for (; *domain; domain++) h = (h ^ (unsigned char)*domain) * 16777619u;
  h = (h ^ 0xff) * 16777619u;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619u;
  return h;
}

static void registry_build(void) {
  int rows = 0;
  for (int k = 0; registry_kinds[k]; k++) {
    for (const op_def *d = registry_kinds[k]; d->name; d++) {
      unsigned slot = registry_hash(d->domain, d->name) % REGISTRY_SLOTS;
      while (registry_table[slot]) slot = (slot + 1) % REGISTRY_SLOTS;
      registry_table[slot] = d;
      rows++;
    }
  }
  assert(rows < REGISTRY_SLOTS / 2);
  (void)rows;
}

static bool row_covers(const op_def *d, const char *domain, const char *op, int version) {
  return !strcmp(d->name, op) && !strcmp(d->domain, domain) && version >= d->since &&
         (!d->until || version <= d->until);
}

const op_def *ops_find(const char *domain, const char *op, int version) {
  pthread_once(&registry_once, registry_build);
  if (!strcmp(domain, "ai.onnx")) domain = "";
  for (unsigned slot = registry_hash(domain, op) % REGISTRY_SLOTS; registry_table[slot];
       slot = (slot + 1) % REGISTRY_SLOTS)
    if (row_covers(registry_table[slot], domain, op, version)) return registry_table[slot];
  return NULL;
}

const op_def *ops_at(int i) {
  for (int k = 0; i >= 0 && registry_kinds[k]; k++)
    for (const op_def *d = registry_kinds[k]; d->name; d++)
      if (i-- == 0) return d;
  return NULL;
}

static ledge_status check_counts(const graph *g, const node *n, ledge_error *error) {
  const op_def *d = n->def;
  const char *what = NULL;
  int given = 0, low = 0, high = 0;
  if (n->n_in < d->min_in || (d->max_in >= 0 && n->n_in > d->max_in))
    what = "inputs", given = n->n_in, low = d->min_in, high = d->max_in;
  else if (n->n_out < d->min_out || (d->max_out >= 0 && n->n_out > d->max_out))
    what = "outputs", given = n->n_out, low = d->min_out, high = d->max_out;
  for (int i = 0; !what && i < d->min_in; i++)
    if (n->in[i] == VALUE_ABSENT) what = "inputs that are not left out", given = i, low = d->min_in, high = d->max_in;
  if (!what) return LEDGE_OK;
  char label[160], most[24] = "any number";
  if (high >= 0) snprintf(most, sizeof most, "%d", high);
  error_set_at(error, LEDGE_ERROR_FORMAT, n->offset, "%s has %d %s; version %d of %s takes %d to %s",
               node_label(g, n, label, sizeof label), given, what, n->version, d->name, low, most);
  error_node(error, n->name);
  return LEDGE_ERROR_FORMAT;
}

ledge_status ops_resolve(graph *g, const op_def *extra, int n_extra, int *n_missing, ledge_error *error) {
  for (int i = 0; i < g->n_nodes; i++) {
    node *n = &g->nodes[i];
    n->def = NULL;
    for (int k = 0; !n->def && k < n_extra; k++)
      if (row_covers(&extra[k], n->domain, n->op, n->version)) n->def = &extra[k];
    if (!n->def) n->def = ops_find(n->domain, n->op, n->version);
    n->has_effect = n->def && n->def->flags & OP_EFFECT;
    if (n->def)
      TRY(check_counts(g, n, error));
    else
      ++*n_missing;
    int a = 0, k = 0;
    for (graph *sub; (sub = node_next_subgraph(n, &a, &k));) TRY(ops_resolve(sub, extra, n_extra, n_missing, error));
  }
  return LEDGE_OK;
}
