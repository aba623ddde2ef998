/* media/image: sniffing, limits, colours and orientation; the codecs are in their own files. */
#include "media/image.h"

#include "base/error.h"
#include "base/reader.h"
#include "media/image_codec.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct image_row {
  const char *name, *feature;
  image_decoder decode; /* NULL: not built */
} image_row;

#ifndef LEDGE_WITH_PNG
#define image_decode_png NULL
#endif
#ifndef LEDGE_WITH_JPEG
#define image_decode_jpeg NULL
#endif
#ifndef LEDGE_WITH_WEBP
#define image_decode_webp NULL
#endif
#ifndef LEDGE_WITH_TIFF
#define image_decode_tiff NULL
#endif
#ifndef LEDGE_WITH_JPEG2000
#define image_decode_jpeg2000 NULL
#endif

static const image_row image_rows[] = {
    [IMAGE_FORMAT_UNKNOWN] = {"unknown", "", NULL},
    [IMAGE_FORMAT_BMP] = {"BMP", "", image_decode_bmp},
    [IMAGE_FORMAT_JPEG] = {"JPEG", "jpeg", image_decode_jpeg},
    [IMAGE_FORMAT_JPEG2000] = {"JPEG 2000", "jpeg2000", image_decode_jpeg2000},
    [IMAGE_FORMAT_PNG] = {"PNG", "png", image_decode_png},
    [IMAGE_FORMAT_PNM] = {"PNM", "", image_decode_pnm},
    [IMAGE_FORMAT_TIFF] = {"TIFF", "tiff", image_decode_tiff},
    [IMAGE_FORMAT_WEBP] = {"WebP", "webp", image_decode_webp},
};

int image_color_channels(image_color color) {
  return color == IMAGE_COLOR_GRAY ? 1 : color == IMAGE_COLOR_RGBA ? 4 : 3;
}

static const image_row *image_row_of(image_format format) {
  bool known = (unsigned)format < sizeof image_rows / sizeof *image_rows;
  return &image_rows[known ? format : IMAGE_FORMAT_UNKNOWN];
}

const char *image_format_name(image_format format) { return image_row_of(format)->name; }
bool image_format_built(image_format format) { return image_row_of(format)->decode != NULL; }

static bool begins(const uint8_t *p, size_t size, size_t at, const char *magic, size_t magic_size) {
  return size >= at && size - at >= magic_size && memcmp(p + at, magic, magic_size) == 0;
}

image_format image_sniff(const void *data, size_t size) {
  const uint8_t *p = data;
  if (begins(p, size, 0, "\x89PNG\r\n\x1a\n", 8)) return IMAGE_FORMAT_PNG;
  if (begins(p, size, 0, "\xff\xd8\xff", 3)) return IMAGE_FORMAT_JPEG;
  if (begins(p, size, 0, "RIFF", 4) && begins(p, size, 8, "WEBP", 4)) return IMAGE_FORMAT_WEBP;
  if (begins(p, size, 0, "II*\0", 4) || begins(p, size, 0, "MM\0*", 4)) return IMAGE_FORMAT_TIFF;
  if (begins(p, size, 0, "II+\0", 4) || begins(p, size, 0, "MM\0+", 4)) return IMAGE_FORMAT_TIFF; /* BigTIFF */
  if (begins(p, size, 0, "\0\0\0\x0cjP  \r\n\x87\n", 12)) return IMAGE_FORMAT_JPEG2000;
  if (begins(p, size, 0, "\xff\x4f\xff\x51", 4)) return IMAGE_FORMAT_JPEG2000; /* a bare codestream */
  if (begins(p, size, 0, "BM", 2) && size >= 18) return IMAGE_FORMAT_BMP;
  if (size >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '7' && strchr(" \t\r\n\v\f#", p[2]) && p[2])
    return IMAGE_FORMAT_PNM;
  return IMAGE_FORMAT_UNKNOWN;
}

ledge_status image_check_size(const image_source *source, const char *format, int64_t width, int64_t height,
                              ledge_error *error) {
  if (width < 1 || height < 1)
    return error_set(error, LEDGE_ERROR_FORMAT, "%s: the picture is %" PRId64 " by %" PRId64 " pixels", format, width,
                     height);
  if (width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX || width * height > source->pixels_max)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "%s: the picture is %" PRId64 " by %" PRId64 " pixels; the limits are %d a side and %" PRId64
                     " in all: scale it down first",
                     format, width, height, IMAGE_SIDE_MAX, source->pixels_max);
  if (width * height > IMAGE_PIXELS_FREE && (uint64_t)(width * height) / IMAGE_PIXELS_PER_BYTE > source->size)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "%s: %" PRId64 " by %" PRId64 " pixels out of a file of %zu bytes is not plausible", format, width,
                     height, source->size);
  return LEDGE_OK;
}

ledge_status image_pixels_alloc(image_pixels *px, const image_source *source, const char *format, int64_t width,
                                int64_t height, int channels, ledge_error *error) {
  TRY(image_check_size(source, format, width, height, error));
  size_t bytes = (size_t)(width * height) * (size_t)channels; /* at most 2^28 * 4 */
  storage *own = storage_create(bytes);
  if (!own) return error_memory(error, bytes, "a picture");
  storage_unref(px->own);
  px->own = own;
  px->width = width;
  px->height = height;
  px->channels = channels;
  return LEDGE_OK;
}

/* --- EXIF --- */

static uint32_t exif_read(const uint8_t *p, int bytes, bool big) {
  uint32_t v = 0;
  for (int i = 0; i < bytes; i++) v |= (uint32_t)p[i] << 8 * (big ? bytes - 1 - i : i);
  return v;
}

int image_exif_orientation(const uint8_t *data, size_t size) {
  reader r = reader_make(data, size, 0);
  if (begins(data, size, 0, "Exif\0\0", 6)) reader_skip(&r, 6);
  reader file = reader_make(r.data + r.pos, reader_left(&r), 0);
  const uint8_t *head = reader_take(&file, 8);
  if (!head || (memcmp(head, "II*\0", 4) != 0 && memcmp(head, "MM\0*", 4) != 0)) return 0;
  bool big = head[0] == 'M';
  uint32_t directory = exif_read(head + 4, 4, big);
  if (directory < 8 || !reader_skip(&file, directory - 8)) return 0;
  const uint8_t *count = reader_take(&file, 2);
  for (uint32_t i = 0, n = count ? exif_read(count, 2, big) : 0; i < n; i++) {
    const uint8_t *entry = reader_take(&file, 12); /* tag, type, count, value */
    if (!entry) return 0;
    if (exif_read(entry, 2, big) != 0x0112 || exif_read(entry + 2, 2, big) != 3) continue;
    uint32_t orientation = exif_read(entry + 8, 2, big);
    return orientation >= 1 && orientation <= 8 ? (int)orientation : 0;
  }
  return 0;
}

/* Orientations 2 to 8 of the EXIF standard: where the pixel at (x, y) of the upright picture stands in the file's. */
static ledge_status image_turn(image_pixels *px, ledge_error *error) {
  int o = px->orientation;
  if (o < 2 || o > 8) return LEDGE_OK;
  bool swap = o >= 5;
  int64_t w = px->width, h = px->height, out_w = swap ? h : w, out_h = swap ? w : h;
  size_t c = (size_t)px->channels, bytes = (size_t)(w * h) * c;
  storage *own = storage_create(bytes);
  if (!own) return error_memory(error, bytes, "a picture");
  const uint8_t *in = image_pixels_data(px);
  uint8_t *out = own->data;
  bool flip_x = o == 2 || o == 3 || o == 7 || o == 8, flip_y = o == 3 || o == 4 || o == 6 || o == 7;
  for (int64_t y = 0; y < out_h; y++) {
    for (int64_t x = 0; x < out_w; x++, out += c) {
      int64_t from_x = swap ? y : x, from_y = swap ? x : y;
      if (flip_x) from_x = w - 1 - from_x;
      if (flip_y) from_y = h - 1 - from_y;
      memcpy(out, in + (size_t)(from_y * w + from_x) * c, c);
    }
  }
  storage_unref(px->own);
  px->own = own;
  px->width = out_w;
  px->height = out_h;
  return LEDGE_OK;
}

/* --- colour --- */

static inline uint8_t gray_of(const uint8_t *rgb) {
  return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 32768u) >> 16);
}

/* n pixels of `channels` (1, 2, 3, 4: grey, grey + alpha, RGB, RGBA) -> a colour layout. Front to back: in place is
 * right where the output has no more channels than the input. */
static void pixels_convert(const uint8_t *in, int channels, image_color to, uint8_t *out, int64_t n) {
  for (int64_t i = 0; i < n; i++, in += channels) {
    uint8_t alpha = channels == 2 ? in[1] : channels == 4 ? in[3] : 255;
    uint8_t r = in[0], g = channels > 2 ? in[1] : r, b = channels > 2 ? in[2] : r;
    switch (to) {
      case IMAGE_COLOR_GRAY: *out++ = channels > 2 ? gray_of((uint8_t[3]){r, g, b}) : r; break;
      case IMAGE_COLOR_BGR: out[0] = b, out[1] = g, out[2] = r, out += 3; break;
      case IMAGE_COLOR_RGB: out[0] = r, out[1] = g, out[2] = b, out += 3; break;
      case IMAGE_COLOR_RGBA: out[0] = r, out[1] = g, out[2] = b, out[3] = alpha, out += 4; break;
    }
  }
}

/* Takes px's storage where it already is what the caller wants or can become so in place. */
static ledge_status image_finish(image_pixels *px, image_color color, tensor *ret, ledge_error *error) {
  int channels = image_color_channels(color);
  tensor t = {.dtype = LEDGE_U8, .rank = 3, .dims = {px->height, px->width, channels}};
  bool same = channels == px->channels && color != IMAGE_COLOR_BGR;
  if (channels <= px->channels) {
    t.own = storage_ref(px->own);
    t.data = px->own->data;
  } else {
    TRY(tensor_alloc(&t, error));
  }
  if (!same) pixels_convert(image_pixels_data(px), px->channels, color, t.data, px->width * px->height);
  tensor_deinit(ret);
  *ret = t;
  return LEDGE_OK;
}

ledge_status image_decode(const void *data, size_t size, const image_options *options, tensor *ret_image,
                          ledge_error *error) {
  static const image_options defaults = {.color = IMAGE_COLOR_RGB};
  if (!options) options = &defaults;
  image_format format = image_sniff(data, size);
  const image_row *row = image_row_of(format);
  if (format == IMAGE_FORMAT_UNKNOWN)
    return error_set_at(
        error, LEDGE_ERROR_UNSUPPORTED, 0,
        "the first bytes are those of no picture that ledge knows: BMP, JPEG, JPEG 2000, PNG, PNM, TIFF or "
        "WebP");
  if (!row->decode)
    return error_set(error, LEDGE_ERROR_UNSUPPORTED,
                     "this is a %s picture, and this ledge was built without %s: build it with -D%s=enabled", row->name,
                     row->name, row->feature);
  int64_t limit =
      options->pixels_max > 0 && options->pixels_max < IMAGE_PIXELS_MAX ? options->pixels_max : IMAGE_PIXELS_MAX;
  image_source source = {.data = data, .size = size, .pixels_max = limit, .want_exif = options->apply_exif};
  image_pixels px = {0};
  ledge_status status = row->decode(&source, &px, error);
  if (status == LEDGE_OK) status = image_turn(&px, error);
  if (status == LEDGE_OK) status = image_finish(&px, options->color, ret_image, error);
  storage_unref(px.own);
  return status;
}

ledge_status image_convert(const tensor *in, image_color from, image_color to, tensor *ret_out, ledge_error *error) {
  int channels = image_color_channels(from);
  if (in->dtype != LEDGE_U8 || in->rank != 3 || in->dims[2] != channels)
    return error_set(error, LEDGE_ERROR_SHAPE, "a picture must be u8 [height, width, %d]", channels);
  tensor t = {.dtype = LEDGE_U8, .rank = 3, .dims = {in->dims[0], in->dims[1], image_color_channels(to)}};
  TRY(tensor_alloc(&t, error));
  int64_t n = in->dims[0] * in->dims[1];
  pixels_convert(in->data, channels, to, t.data, n);
  if (from == IMAGE_COLOR_BGR) { /* pixels_convert read it as RGB: red and blue change places */
    uint8_t *p = t.data;
    const uint8_t *q = in->data;
    for (int64_t i = 0; i < n; i++, q += 3) {
      if (to == IMAGE_COLOR_GRAY) {
        p[i] = gray_of((uint8_t[3]){q[2], q[1], q[0]});
      } else {
        uint8_t *o = p + i * t.dims[2], red = o[0];
        o[0] = o[2], o[2] = red;
      }
    }
  }
  tensor_deinit(ret_out);
  *ret_out = t;
  return LEDGE_OK;
}

/* --- writing --- */

ledge_status image_encode_pnm(const tensor *image, image_color color, uint8_t **ret_data, size_t *ret_size,
                              ledge_error *error) {
  int channels = image_color_channels(color);
  bool flat = image->rank == 2 && channels == 1;
  if (image->dtype != LEDGE_U8 || !(flat || (image->rank == 3 && image->dims[2] == channels)))
    return error_set(error, LEDGE_ERROR_SHAPE, "a picture to write must be u8 [height, width, %d]", channels);
  char head[64];
  bool gray = color == IMAGE_COLOR_GRAY;
  int n_head =
      snprintf(head, sizeof head, "P%d\n%" PRId64 " %" PRId64 "\n255\n", gray ? 5 : 6, image->dims[1], image->dims[0]);
  int64_t n = image->dims[0] * image->dims[1];
  size_t bytes = (size_t)n_head + (size_t)n * (gray ? 1 : 3);
  uint8_t *out = mem_alloc(bytes);
  if (!out) return error_memory(error, bytes, "a PNM file");
  memcpy(out, head, (size_t)n_head);
  image_color to = gray ? IMAGE_COLOR_GRAY : color == IMAGE_COLOR_BGR ? IMAGE_COLOR_BGR : IMAGE_COLOR_RGB;
  pixels_convert(image->data, channels, to, out + n_head, n);
  *ret_data = out;
  *ret_size = bytes;
  return LEDGE_OK;
}

#ifndef LEDGE_WITH_PNG
ledge_status image_encode_png(const tensor *image, image_color color, uint8_t **ret_data, size_t *ret_size,
                              ledge_error *error) {
  return error_set(error, LEDGE_ERROR_UNSUPPORTED, "this ledge was built without PNG: build it with -Dpng=enabled");
}
#endif
