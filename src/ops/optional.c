/* ops/optional: Optional, OptionalGetElement, OptionalHasElement. An optional is the thing itself, or VALUE_NONE. */
#include "ops/move_util.h"

static bool optional_is_there(const op_ctx *c) { return op_has(c, 0) && c->in[0]->kind != VALUE_NONE; }

static ledge_status optional_run(op_ctx *c) {
  if (optional_is_there(c)) return op_forward(c, 0, c->in[0]);
  if (op_wants(c, 0)) value_deinit(c->out[0]);
  return LEDGE_OK;
}

static ledge_status get_run(op_ctx *c) {
  if (!optional_is_there(c)) return op_fail(c, LEDGE_ERROR_DATA, "the optional is empty");
  return op_forward(c, 0, c->in[0]);
}

static ledge_status has_run(op_ctx *c) {
  tensor *y;
  TRY(op_make(c, 0, LEDGE_BOOL, 0, NULL, &y));
  if (y) *(uint8_t *)y->data = optional_is_there(c);
  return LEDGE_OK;
}

const op_def ops_optional[] = {{"", "Optional", 15, 0, 0, 1, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, optional_run},
                               {"", "OptionalGetElement", 15, 0, 1, 1, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, get_run},
                               {"", "OptionalHasElement", 15, 0, 0, 1, 1, 1, OP_DYNAMIC | OP_ANY_KIND, NULL, has_run},
                               {0}};
