/* clang-format off: tables */
/* media/preprocess: a decoded picture -> the tensor that a vision model wants. The recipe is a text, so that it can
 * stand on the command line or in a model's metadata:
 *
 *   resize=256,crop=224,layout=nchw,color=rgb,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,scale=1/255
 *
 *   item       values                            meaning
 *   resize     N | HxW                           N: the short side becomes N; HxW: stretched to that size
 *   letterbox  N | HxW                           scaled to fit inside, the rest filled with `pad`
 *   crop       N | HxW                           the middle, after resizing; what lies outside is filled with `pad`
 *   filter     bilinear bicubic lanczos box      Pillow's antialiased filters, to the bit (default: bilinear)
 *              nearest                           the sample at floor((i + 0.5) * scale), as Pillow
 *              linear                            two samples a side at half-pixel centres: OpenCV, TensorFlow
 *   align      center | topleft                  where letterbox puts the picture (default: center)
 *   pad        V | R:G:B                         0..255, in the order of `color` (default: 0; letterbox: 114)
 *   color      rgb | bgr | gray                  order of the channels (default: rgb)
 *   layout     nchw | nhwc | chw | hwc           (default: nchw)
 *   scale      number or a/b                     (default: 1)
 *   mean, std  V | R:G:B                         in the order of `color` (default: 0 and 1)
 *   dtype      f32 | f16 | u8 | i8               integers are rounded to nearest even and saturated (default: f32)
 *
 * Each output is (pixel * scale - mean) / std, in double and rounded once to the dtype; the resized pixel itself is
 * rounded to 8 bits, as Pillow and OpenCV do. */
/* clang-format on */
#ifndef MEDIA_PREPROCESS_H
#define MEDIA_PREPROCESS_H

#include "media/image.h"

typedef enum preprocess_fit {
  PREPROCESS_FIT_NONE = 0, /* the picture's own size */
  PREPROCESS_FIT_SHORT,    /* the short side becomes `height`; the long one int(height * long / short) */
  PREPROCESS_FIT_STRETCH,
  PREPROCESS_FIT_LETTERBOX,
} preprocess_fit;

typedef enum preprocess_filter {
  PREPROCESS_FILTER_BILINEAR = 0,
  PREPROCESS_FILTER_BICUBIC,
  PREPROCESS_FILTER_LANCZOS,
  PREPROCESS_FILTER_BOX,
  PREPROCESS_FILTER_NEAREST,
  PREPROCESS_FILTER_LINEAR,
} preprocess_filter;

typedef enum preprocess_layout {
  PREPROCESS_LAYOUT_NCHW = 0,
  PREPROCESS_LAYOUT_NHWC,
  PREPROCESS_LAYOUT_CHW,
  PREPROCESS_LAYOUT_HWC,
} preprocess_layout;

typedef struct preprocess {
  preprocess_fit fit;
  int height, width;           /* of the fit; width 0 for SHORT */
  int crop_height, crop_width; /* 0: no crop */
  preprocess_filter filter;
  bool align_topleft;
  uint8_t pad[3];
  image_color color; /* RGB, BGR or GRAY */
  preprocess_layout layout;
  double scale, mean[3], std[3];
  ledge_dtype dtype; /* F32, F16, U8, I8 */
} preprocess;

/* The defaults of the table above. */
void preprocess_init(preprocess *p);
/* Reads a recipe; an empty text gives the defaults. Error ARGUMENT names the bad item and what is allowed. */
ledge_status preprocess_parse(const char *spec, preprocess *ret, ledge_error *error);
/* Output height and width for a picture of the given size; false where they pass IMAGE_SIDE_MAX or IMAGE_PIXELS_MAX. */
bool preprocess_output_size(const preprocess *p, int64_t height, int64_t width, int64_t *ret_height,
                            int64_t *ret_width);
/* The recipe on one picture: u8 [h, w, 3] RGB, or [h, w, 1] or [h, w] grey, or [h, w, 4] RGBA. *ret_out becomes an
 * owned tensor in the recipe's layout and dtype. */
ledge_status preprocess_run(const preprocess *p, const tensor *image, tensor *ret_out, ledge_error *error);
/* The resizing alone: u8 [h, w, c] -> u8 [height, width, c], 1 <= c <= 4. */
ledge_status preprocess_resize(const tensor *image, int64_t height, int64_t width, preprocess_filter filter,
                               tensor *ret_out, ledge_error *error);

#endif
