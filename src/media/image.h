/* media/image: pictures in memory <-> u8 tensors of shape [height, width, channels].
 *
 *   bytes -> sniff -> codec (png.c, jpeg.c, ... behind LEDGE_WITH_*) -> image_pixels -> colour, orientation -> tensor
 *
 * The colour rules are Pillow's, which ONNX's ImageDecoder took its published outputs from: 16-bit samples keep their
 * high byte, palettes are expanded, an alpha channel is dropped and not blended, grey is
 * (19595 R + 38470 G + 7471 B + 32768) >> 16 of the decoded RGB, CMYK is plain arithmetic without a colour profile.
 * Of a file of several pictures (animated WebP, multi-page TIFF) the first is read.
 * A `ret_` tensor is zero or one that may be released: it is replaced on success and untouched on failure, here and in
 * all of media. Every function may be called from several threads at once.
 */
#ifndef MEDIA_IMAGE_H
#define MEDIA_IMAGE_H

#include "ledge/types.h"
#include "tensor/tensor.h"

typedef enum image_format {
  IMAGE_FORMAT_UNKNOWN = 0,
  IMAGE_FORMAT_BMP,
  IMAGE_FORMAT_JPEG,
  IMAGE_FORMAT_JPEG2000,
  IMAGE_FORMAT_PNG,
  IMAGE_FORMAT_PNM, /* P1 to P6 */
  IMAGE_FORMAT_TIFF,
  IMAGE_FORMAT_WEBP,
} image_format;

typedef enum image_color {
  IMAGE_COLOR_RGB = 0,
  IMAGE_COLOR_BGR,
  IMAGE_COLOR_GRAY,
  IMAGE_COLOR_RGBA, /* alpha 255 where the file has none */
} image_color;

/* Limits. A picture of more than IMAGE_PIXELS_FREE pixels must also have a byte of file for each
 * IMAGE_PIXELS_PER_BYTE of them; the codecs check more closely where their format allows it. */
#define IMAGE_SIDE_MAX 65535
#define IMAGE_PIXELS_MAX ((int64_t)1 << 28)
#define IMAGE_PIXELS_FREE ((int64_t)1 << 24)
#define IMAGE_PIXELS_PER_BYTE 8192

typedef struct image_options {
  image_color color;
  bool apply_exif;    /* turn the picture as its EXIF orientation says; a TIFF's own tag is always obeyed */
  int64_t pixels_max; /* 0: IMAGE_PIXELS_MAX */
} image_options;

/* Channels of a colour layout: 3, 3, 1, 4. */
int image_color_channels(image_color color);
/* The format that the first bytes show. */
image_format image_sniff(const void *data, size_t size);
/* "PNG", "JPEG", ...; "unknown". */
const char *image_format_name(image_format format);
/* True where this build can decode the format. */
bool image_format_built(image_format format);

/* Decodes a whole file. options NULL: RGB, no EXIF. *ret_image becomes an owned tensor u8 [height, width, channels];
 * it is untouched on failure. Errors: UNSUPPORTED (a format that ledge does not know, or was not built with), FORMAT
 * (damaged, truncated), LIMIT (too large), MEMORY. */
ledge_status image_decode(const void *data, size_t size, const image_options *options, tensor *ret_image,
                          ledge_error *error);

/* Converts u8 [h, w, c] from one colour layout to another; in and out may be the same tensor. */
ledge_status image_convert(const tensor *in, image_color from, image_color to, tensor *ret_out, ledge_error *error);

/* Encodes u8 [h, w, c] or [h, w] of the given colour. *ret_data is the caller's to mem_free. PNG needs LEDGE_WITH_PNG;
 * PNM writes P5 for grey, else P6 (alpha dropped). */
ledge_status image_encode_png(const tensor *image, image_color color, uint8_t **ret_data, size_t *ret_size,
                              ledge_error *error);
ledge_status image_encode_pnm(const tensor *image, image_color color, uint8_t **ret_data, size_t *ret_size,
                              ledge_error *error);

#endif
