/* ops/decode: ImageDecoder: an encoded picture (bytes) to [height, width, channels], by media/image. */
#include "media/image.h"
#include "ops/op.h"

static ledge_status decode_run(op_ctx *c) {
  const tensor *x = op_in(c, 0);
  if (x->dtype != LEDGE_U8) return op_fail_dtype(c, 0);
  if (x->rank != 1) return op_fail(c, LEDGE_ERROR_SHAPE, "the encoded picture has rank %d, not 1", x->rank);
  image_options o = {.color = IMAGE_COLOR_RGB};
  if (op_string_is(c, "pixel_format", "RGB", "BGR"))
    o.color = IMAGE_COLOR_BGR;
  else if (op_string_is(c, "pixel_format", "RGB", "Grayscale"))
    o.color = IMAGE_COLOR_GRAY;
  else if (!op_string_is(c, "pixel_format", "RGB", "RGB"))
    return op_fail(c, LEDGE_ERROR_FORMAT, "pixel_format must be RGB, BGR or Grayscale");
  value picture = {.kind = VALUE_TENSOR};
  ledge_status status = image_decode(x->data, (size_t)tensor_elements(x), &o, &picture.tensor, c->error);
  if (status) return error_prefix(c->error, status, "ImageDecoder");
  status = op_forward(c, 0, &picture);
  value_deinit(&picture);
  return status;
}

const op_def ops_decode[] = {
    {"", "ImageDecoder", 20, 0, 1, 1, 1, 1, OP_DYNAMIC, NULL, decode_run},
    {0},
};
