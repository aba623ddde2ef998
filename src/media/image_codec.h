/* media/image_codec: what a codec and image.c say to each other. A codec reads one file and nothing else: it makes a
 * picture of 1 to 4 channels; colour, alpha and orientation are image.c's work. */
#ifndef MEDIA_IMAGE_CODEC_H
#define MEDIA_IMAGE_CODEC_H

#include "media/image.h"

typedef struct image_source {
  const uint8_t *data;
  size_t size;
  int64_t pixels_max;
  bool want_exif;
} image_source;

/* Channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; rows without gaps. */
typedef struct image_pixels {
  storage *own; /* one reference; data of image_pixels_alloc */
  int64_t width, height;
  int channels;
  int orientation; /* EXIF's 1 to 8; 0: none */
} image_pixels;

static inline uint8_t *image_pixels_data(const image_pixels *px) { return px->own->data; }
/* Checks the limits and allocates. `format` is for the message. Any older picture in px is released. */
ledge_status image_pixels_alloc(image_pixels *px, const image_source *source, const char *format, int64_t width,
                                int64_t height, int channels, ledge_error *error);
/* The limits alone. */
ledge_status image_check_size(const image_source *source, const char *format, int64_t width, int64_t height,
                              ledge_error *error);
/* The orientation tag of a TIFF structure as EXIF embeds it ("Exif\0\0" in front is skipped); 0 where there is none. */
int image_exif_orientation(const uint8_t *data, size_t size);

typedef ledge_status (*image_decoder)(const image_source *source, image_pixels *px, ledge_error *error);
ledge_status image_decode_bmp(const image_source *source, image_pixels *px, ledge_error *error);
ledge_status image_decode_jpeg(const image_source *source, image_pixels *px, ledge_error *error);
ledge_status image_decode_jpeg2000(const image_source *source, image_pixels *px, ledge_error *error);
ledge_status image_decode_png(const image_source *source, image_pixels *px, ledge_error *error);
ledge_status image_decode_pnm(const image_source *source, image_pixels *px, ledge_error *error);
ledge_status image_decode_tiff(const image_source *source, image_pixels *px, ledge_error *error);
ledge_status image_decode_webp(const image_source *source, image_pixels *px, ledge_error *error);

#endif
