/* media/preprocess: reading a recipe, and running it:
 *
 *   picture -> colour -> resize.c -> placed on a canvas (crop, letterbox) -> 256-entry table of the arithmetic ->
 * layout
 *
 * A pixel has 8 bits, so scale, mean, deviation and dtype are one table a channel: exact, and one load a value. */
#include "media/preprocess.h"

#include "base/error.h"
#include "media/spec.h"

#include <inttypes.h>
#include <math.h>

static const char *const filter_words[] = {"bilinear", "bicubic", "lanczos", "box", "nearest", "linear", NULL};
static const char *const layout_words[] = {"nchw", "nhwc", "chw", "hwc", NULL};
static const char *const color_words[] = {"rgb", "bgr", "gray", NULL};
static const char *const dtype_words[] = {"f32", "f16", "u8", "i8", NULL};
static const char *const align_words[] = {"center", "topleft", NULL};
static const ledge_dtype dtypes[] = {LEDGE_F32, LEDGE_F16, LEDGE_U8, LEDGE_I8};

#define PREPROCESS_ITEMS "resize, letterbox, crop, filter, align, pad, color, layout, scale, mean, std, dtype"

void preprocess_init(preprocess *p) { *p = (preprocess){.scale = 1, .std = {1, 1, 1}, .dtype = LEDGE_F32}; }

static ledge_status bad_value(const spec_item *item, const char *allowed, ledge_error *error) {
  return error_set(error, LEDGE_ERROR_ARGUMENT, "preprocessing: %.*s=%.*s is not allowed: give %s", SPEC_ARG(item->key),
                   SPEC_ARG(item->value), allowed);
}

/* "N" or "HxW"; N alone gives *width = 0. */
static bool read_size(spec_text t, int *height, int *width) {
  spec_text rest = t, first = spec_split(&rest, 'x');
  int64_t h, w = 0;
  if (!spec_integer(first, 1, IMAGE_SIDE_MAX, &h)) return false;
  if (first.size != t.size && !spec_integer(rest, 1, IMAGE_SIDE_MAX, &w)) return false;
  *height = (int)h;
  *width = (int)w;
  return true;
}

/* One number for all channels, or three with colons. */
static bool read_channels(spec_text t, double v[3]) {
  double got[3];
  int n = 0;
  for (spec_text rest = t; n < 3 && (n == 0 || rest.size); n++)
    if (!spec_number(spec_split(&rest, ':'), &got[n])) return false;
  size_t colons = 0;
  for (size_t i = 0; i < t.size; i++) colons += t.data[i] == ':';
  if ((int)colons + 1 != n || (n != 1 && n != 3)) return false;
  for (int i = 0; i < 3; i++) v[i] = got[n == 3 ? i : 0];
  return true;
}

/* Items that choose one word of a list; -2 where the key is none of them, -1 where the value is wrong. */
static int read_choice(const spec_item *item, const char *key, const char *const *words) {
  return spec_is(item->key, key) ? spec_choice(item->value, words) : -2;
}

static ledge_status read_fit(preprocess *p, const spec_item *item, bool letterbox, ledge_error *error) {
  if (p->fit != PREPROCESS_FIT_NONE)
    return error_set(error, LEDGE_ERROR_ARGUMENT,
                     "preprocessing: resize and letterbox may stand once, and not together");
  if (!read_size(item->value, &p->height, &p->width))
    return bad_value(item, "N or HEIGHTxWIDTH, sides from 1 to 65535", error);
  if (letterbox) {
    p->fit = PREPROCESS_FIT_LETTERBOX;
    if (p->width == 0) p->width = p->height;
  } else {
    p->fit = p->width ? PREPROCESS_FIT_STRETCH : PREPROCESS_FIT_SHORT;
  }
  return LEDGE_OK;
}

static ledge_status read_item(preprocess *p, const spec_item *item, bool *pad_given, ledge_error *error) {
  static const char *const channel_values = "one number (or a/b), or three with colons between";
  double v[3];
  int choice;
  if (spec_is(item->key, "resize")) return read_fit(p, item, false, error);
  if (spec_is(item->key, "letterbox")) return read_fit(p, item, true, error);
  if (spec_is(item->key, "crop")) {
    if (!read_size(item->value, &p->crop_height, &p->crop_width))
      return bad_value(item, "N or HEIGHTxWIDTH, sides from 1 to 65535", error);
    if (p->crop_width == 0) p->crop_width = p->crop_height;
  } else if (spec_is(item->key, "scale")) {
    if (!spec_number(item->value, &p->scale)) return bad_value(item, "a number or a/b", error);
  } else if (spec_is(item->key, "mean")) {
    if (!read_channels(item->value, p->mean)) return bad_value(item, channel_values, error);
  } else if (spec_is(item->key, "std")) {
    if (!read_channels(item->value, v) || v[0] == 0 || v[1] == 0 || v[2] == 0)
      return bad_value(item, channel_values, error);
    memcpy(p->std, v, sizeof v);
  } else if (spec_is(item->key, "pad")) {
    if (!read_channels(item->value, v)) return bad_value(item, channel_values, error);
    for (int i = 0; i < 3; i++) {
      if (!(v[i] >= 0 && v[i] <= 255)) return bad_value(item, "values from 0 to 255", error);
      p->pad[i] = (uint8_t)nearbyint(v[i]);
    }
    *pad_given = true;
  } else if ((choice = read_choice(item, "filter", filter_words)) != -2) {
    if (choice < 0) return bad_value(item, "bilinear, bicubic, lanczos, box, nearest or linear", error);
    p->filter = (preprocess_filter)choice;
  } else if ((choice = read_choice(item, "layout", layout_words)) != -2) {
    if (choice < 0) return bad_value(item, "nchw, nhwc, chw or hwc", error);
    p->layout = (preprocess_layout)choice;
  } else if ((choice = read_choice(item, "color", color_words)) != -2) {
    if (choice < 0) return bad_value(item, "rgb, bgr or gray", error);
    p->color = (image_color)choice;
  } else if ((choice = read_choice(item, "align", align_words)) != -2) {
    if (choice < 0) return bad_value(item, "center or topleft", error);
    p->align_topleft = choice == 1;
  } else if ((choice = read_choice(item, "dtype", dtype_words)) != -2) {
    if (choice < 0) return bad_value(item, "f32, f16, u8 or i8", error);
    p->dtype = dtypes[choice];
  } else {
    return error_set(error, LEDGE_ERROR_ARGUMENT,
                     "preprocessing: there is no item \"%.*s\"; the items are " PREPROCESS_ITEMS, SPEC_ARG(item->key));
  }
  return LEDGE_OK;
}

ledge_status preprocess_parse(const char *spec, preprocess *ret, ledge_error *error) {
  preprocess p;
  preprocess_init(&p);
  bool pad_given = false;
  const char *at = spec;
  spec_item item;
  for (int n; (n = spec_next(&at, &item)) != 0;) {
    if (n < 0)
      return error_set(error, LEDGE_ERROR_ARGUMENT,
                       "preprocessing: \"%.*s\" is not of the form item=value; the items are " PREPROCESS_ITEMS,
                       SPEC_ARG(item.key));
    TRY(read_item(&p, &item, &pad_given, error));
  }
  if (p.fit == PREPROCESS_FIT_LETTERBOX && !pad_given) memset(p.pad, 114, sizeof p.pad);
  *ret = p;
  return LEDGE_OK;
}

/* Where the resized picture stands on the canvas that becomes the output. */
typedef struct placement {
  int64_t resized_h, resized_w; /* of the picture */
  int64_t canvas_h, canvas_w;
  int64_t top, left; /* of the picture on the canvas; negative where it is cut */
} placement;

/* The middle of `have` within `want`: cut as torchvision's center_crop, which rounds halves to even, or padded. */
static int64_t center_offset(int64_t have, int64_t want) {
  return have >= want ? -(int64_t)nearbyint((double)(have - want) / 2) : (want - have) / 2;
}

static bool size_fits(int64_t h, int64_t w) {
  return h >= 1 && w >= 1 && h <= IMAGE_SIDE_MAX && w <= IMAGE_SIDE_MAX && h * w <= IMAGE_PIXELS_MAX;
}

static bool place(const preprocess *p, int64_t h, int64_t w, placement *ret) {
  placement at = {.resized_h = h, .resized_w = w, .canvas_h = h, .canvas_w = w};
  if (!size_fits(h, w)) return false;
  switch (p->fit) {
    case PREPROCESS_FIT_NONE: break;
    case PREPROCESS_FIT_SHORT:
      at.canvas_h = at.resized_h = h <= w ? p->height : (int64_t)p->height * h / w;
      at.canvas_w = at.resized_w = h <= w ? (int64_t)p->height * w / h : p->height;
      break;
    case PREPROCESS_FIT_STRETCH:
      at.canvas_h = at.resized_h = p->height;
      at.canvas_w = at.resized_w = p->width;
      break;
    case PREPROCESS_FIT_LETTERBOX: {
      double scale = fmin((double)p->height / (double)h, (double)p->width / (double)w);
      at.resized_h = (int64_t)fmin(fmax(nearbyint((double)h * scale), 1), p->height);
      at.resized_w = (int64_t)fmin(fmax(nearbyint((double)w * scale), 1), p->width);
      at.canvas_h = p->height;
      at.canvas_w = p->width;
      at.top = p->align_topleft ? 0 : (p->height - at.resized_h) / 2;
      at.left = p->align_topleft ? 0 : (p->width - at.resized_w) / 2;
      break;
    }
  }
  if (!size_fits(at.resized_h, at.resized_w)) return false;
  if (p->crop_height) {
    at.top += center_offset(at.canvas_h, p->crop_height);
    at.left += center_offset(at.canvas_w, p->crop_width);
    at.canvas_h = p->crop_height;
    at.canvas_w = p->crop_width;
  }
  if (!size_fits(at.canvas_h, at.canvas_w)) return false;
  *ret = at;
  return true;
}

bool preprocess_output_size(const preprocess *p, int64_t height, int64_t width, int64_t *ret_height,
                            int64_t *ret_width) {
  placement at;
  if (!place(p, height, width, &at)) return false;
  *ret_height = at.canvas_h;
  *ret_width = at.canvas_w;
  return true;
}

typedef struct value_table {
  uint32_t of[3][256]; /* the bits of the output for a pixel, in the low bytes */
  size_t bytes;        /* of an output */
} value_table;

static void table_fill(const preprocess *p, value_table *table) {
  table->bytes = dtype_bytes(p->dtype);
  for (int c = 0; c < 3; c++) {
    for (int v = 0; v < 256; v++) {
      double x = (v * p->scale - p->mean[c]) / p->std[c];
      uint8_t bits[4] = {0};
      switch (p->dtype) {
        case LEDGE_U8: bits[0] = (uint8_t)fmin(fmax(nearbyint(x), 0), 255); break;
        case LEDGE_I8: bits[0] = (uint8_t)(int8_t)fmin(fmax(nearbyint(x), -128), 127); break;
        default: dtype_store_f64(p->dtype, bits, 0, x); break;
      }
      memcpy(&table->of[c][v], bits, sizeof bits);
    }
  }
}

static inline __attribute__((always_inline)) void put_value(uint8_t *out, uint32_t v, size_t bytes) {
  memcpy(out, &v, bytes); /* little end first: see the assertion below */
}

/* One row of one channel of the canvas: pad up to `from`, the picture up to `to`, pad. `in` steps in_step bytes, `out`
 * out_step elements. */
static inline __attribute__((always_inline)) void fill_row(const uint32_t *of, const uint8_t *in, int64_t in_step,
                                                           int64_t from, int64_t to, int64_t width, uint8_t pad,
                                                           uint8_t *out, int64_t out_step, size_t bytes) {
  size_t step = (size_t)out_step * bytes;
  uint32_t outside = of[pad];
  int64_t x = 0;
  for (; x < from && x < width; x++, out += step) put_value(out, outside, bytes);
  for (; x < to; x++, out += step, in += in_step) put_value(out, of[*in], bytes);
  for (; x < width; x++, out += step) put_value(out, outside, bytes);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "value_table keeps a value in a word's first bytes");

static void fill_canvas(const preprocess *p, const placement *at, const tensor *picture, const value_table *table,
                        tensor *out) {
  int64_t channels = picture->dims[2], w = at->canvas_w, h = at->canvas_h;
  bool planar = p->layout == PREPROCESS_LAYOUT_NCHW || p->layout == PREPROCESS_LAYOUT_CHW;
  int64_t step = planar ? 1 : channels, row = planar ? w : w * channels, plane = planar ? w * h : 1;
  int64_t skip = at->left < 0 ? -at->left : 0, from = at->left > 0 ? at->left : 0, to = at->left + at->resized_w;
  if (to > w) to = w;
  for (int64_t c = 0; c < channels; c++) {
    for (int64_t y = 0; y < h; y++) {
      int64_t in_y = y - at->top;
      bool inside = in_y >= 0 && in_y < at->resized_h;
      const uint8_t *in = (const uint8_t *)picture->data + ((inside ? in_y : 0) * at->resized_w + skip) * channels + c;
      uint8_t *to_row = (uint8_t *)out->data + (size_t)(c * plane + y * row) * table->bytes;
      int64_t end = inside ? to : from;
      switch (table->bytes) {
        case 1: fill_row(table->of[c], in, channels, from, end, w, p->pad[c], to_row, step, 1); break;
        case 2: fill_row(table->of[c], in, channels, from, end, w, p->pad[c], to_row, step, 2); break;
        default: fill_row(table->of[c], in, channels, from, end, w, p->pad[c], to_row, step, 4); break;
      }
    }
  }
}

static void output_shape(const preprocess *p, const placement *at, int64_t channels, tensor *out) {
  int64_t h = at->canvas_h, w = at->canvas_w;
  bool planar = p->layout == PREPROCESS_LAYOUT_NCHW || p->layout == PREPROCESS_LAYOUT_CHW;
  bool batch = p->layout == PREPROCESS_LAYOUT_NCHW || p->layout == PREPROCESS_LAYOUT_NHWC;
  int64_t dims[4] = {1, planar ? channels : h, planar ? h : w, planar ? w : channels};
  tensor_set_shape(out, p->dtype, batch ? 4 : 3, batch ? dims : dims + 1);
}

/* The picture in the recipe's colour as [h, w, c]: borrowed where it already is. */
static ledge_status to_color(const preprocess *p, const tensor *image, tensor *ret, ledge_error *error) {
  tensor flat = *image;
  flat.own = NULL;
  if (flat.rank == 2) flat.rank = 3, flat.dims[2] = 1;
  int64_t c = flat.rank == 3 ? flat.dims[2] : 0;
  if (flat.dtype != LEDGE_U8 || (c != 1 && c != 3 && c != 4))
    return error_set(error, LEDGE_ERROR_SHAPE, "a picture must be u8 [height, width, 1, 3 or 4]");
  image_color from = c == 1 ? IMAGE_COLOR_GRAY : c == 3 ? IMAGE_COLOR_RGB : IMAGE_COLOR_RGBA;
  if (from != p->color) return image_convert(&flat, from, p->color, ret, error);
  *ret = flat;
  return LEDGE_OK;
}

ledge_status preprocess_run(const preprocess *p, const tensor *image, tensor *ret_out, ledge_error *error) {
  tensor colored = {0}, resized = {0}, out = {0};
  value_table table;
  placement at = {0};
  ledge_status status = to_color(p, image, &colored, error);
  if (status == LEDGE_OK && !place(p, colored.dims[0], colored.dims[1], &at))
    status = error_set(error, LEDGE_ERROR_LIMIT,
                       "preprocessing a picture of %" PRId64 " by %" PRId64
                       " pixels: a side would be 0 or more than %d, or the "
                       "pixels more than %" PRId64,
                       colored.dims[1], colored.dims[0], IMAGE_SIDE_MAX, IMAGE_PIXELS_MAX);
  if (status) goto cleanup;
  if (at.resized_h != colored.dims[0] || at.resized_w != colored.dims[1])
    status = preprocess_resize(&colored, at.resized_h, at.resized_w, p->filter, &resized, error);
  if (status) goto cleanup;
  const tensor *picture = resized.data ? &resized : &colored;
  output_shape(p, &at, picture->dims[2], &out);
  status = tensor_alloc(&out, error);
  if (status) goto cleanup;
  table_fill(p, &table);
  fill_canvas(p, &at, picture, &table, &out);
  tensor_deinit(ret_out);
  *ret_out = out;
  out = (tensor){0};
cleanup:
  tensor_deinit(&colored);
  tensor_deinit(&resized);
  tensor_deinit(&out);
  return status;
}
