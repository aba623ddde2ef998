/* media/bmp: Windows and OS/2 bitmaps: headers of 12, 16 to 64, 108 and 124 bytes; 1, 2, 4, 8, 16, 24 and 32 bits a
 * pixel; palettes, bit fields, RLE4 and RLE8; rows upward or downward.
 *
 *   "BM" file size, 2 x u16, offset of the pixels | header size, ... | [3 or 4 masks] | palette | pixels, rows padded
 * to 4 bytes
 *
 * The fourth byte of plain 32-bit pixels has no meaning; alpha is read where a mask names it. */
#include "base/error.h"
#include "base/reader.h"
#include "media/image_codec.h"

#include <inttypes.h>

enum { BMP_RGB = 0, BMP_RLE8 = 1, BMP_RLE4 = 2, BMP_BITFIELDS = 3, BMP_JPEG = 4, BMP_PNG = 5, BMP_ALPHABITFIELDS = 6 };

typedef struct bmp_header {
  int64_t width, height;
  bool downward;
  uint32_t pixels_at, compression;
  int bits;
  uint32_t masks[4];       /* red, green, blue, alpha; of 16 and 32 bits */
  uint8_t palette[256][3]; /* RGB; what the file does not fill is black */
} bmp_header;

static ledge_status bmp_truncated(const reader *r, ledge_error *error) {
  return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "BMP: the file is truncated");
}

/* Masks that the compression implies or that follow the header. */
static bool bmp_read_masks(reader *header, reader *file, uint32_t header_size, bmp_header *h) {
  static const uint32_t rgb555[4] = {0x7c00, 0x3e0, 0x1f, 0}, rgb888[4] = {0xff0000, 0xff00, 0xff, 0};
  memcpy(h->masks, h->bits == 16 ? rgb555 : rgb888, sizeof h->masks);
  if (h->compression != BMP_BITFIELDS && h->compression != BMP_ALPHABITFIELDS) return true;
  reader *r = header_size >= 52 ? header : file; /* inside the later headers, behind the 40-byte one */
  int n = header_size >= 56 || h->compression == BMP_ALPHABITFIELDS ? 4 : 3;
  for (int i = 0; i < n; i++)
    if (!reader_u32le(r, &h->masks[i])) return false;
  return true;
}

static bool bmp_read_palette(reader *r, uint32_t used, int entry_bytes, bmp_header *h) {
  if (h->bits > 8) return true;
  uint32_t n = used && used < 1u << h->bits ? used : 1u << h->bits;
  size_t space = h->pixels_at > r->pos ? h->pixels_at - r->pos : 0; /* a short palette ends where the pixels begin */
  if (n > space / (size_t)entry_bytes && h->pixels_at > 0) n = (uint32_t)(space / (size_t)entry_bytes);
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *p = reader_take(r, (size_t)entry_bytes);
    if (!p) return false;
    h->palette[i][0] = p[2], h->palette[i][1] = p[1], h->palette[i][2] = p[0];
  }
  return true;
}

/* The fields behind the header's own size: the OS/2 one of 12 bytes, or the others, which only grow at the end. */
static bool bmp_read_sizes(reader *r, uint32_t header_size, bmp_header *h, uint32_t *ret_used) {
  uint16_t planes, bits;
  *ret_used = 0;
  if (header_size == 12) {
    uint16_t w, ht;
    if (!reader_u16le(r, &w) || !reader_u16le(r, &ht) || !reader_u16le(r, &planes) || !reader_u16le(r, &bits))
      return false;
    h->width = w, h->height = ht;
  } else {
    uint32_t w, ht, skipped;
    if (!reader_u32le(r, &w) || !reader_u32le(r, &ht) || !reader_u16le(r, &planes) || !reader_u16le(r, &bits))
      return false;
    h->width = (int32_t)w, h->height = (int32_t)ht;
    if (header_size >= 20 && !reader_u32le(r, &h->compression)) return false;
    if (header_size >= 40 && (!reader_skip(r, 12) || !reader_u32le(r, ret_used) || !reader_u32le(r, &skipped)))
      return false;
  }
  h->bits = bits;
  h->downward = h->height < 0;
  if (h->downward) h->height = -h->height;
  return true;
}

static ledge_status bmp_check_kind(const bmp_header *h, ledge_error *error) {
  int b = h->bits;
  bool ok = false;
  switch (h->compression) {
    case BMP_RGB: ok = b == 1 || b == 2 || b == 4 || b == 8 || b == 16 || b == 24 || b == 32; break;
    case BMP_RLE8: ok = b == 8 && !h->downward; break;
    case BMP_RLE4: ok = b == 4 && !h->downward; break;
    case BMP_BITFIELDS:
    case BMP_ALPHABITFIELDS: ok = b == 16 || b == 32; break;
    default: break;
  }
  if (ok) return LEDGE_OK;
  return error_set(error, LEDGE_ERROR_UNSUPPORTED,
                   "BMP: compression %" PRIu32 " of %d bits a pixel; ledge reads plain, bit fields, RLE4 and RLE8",
                   h->compression, b);
}

static ledge_status bmp_read_header(reader *r, bmp_header *h, ledge_error *error) {
  uint32_t header_size, used;
  reader header;
  if (!reader_skip(r, 10) || !reader_u32le(r, &h->pixels_at) || !reader_u32le(r, &header_size))
    return bmp_truncated(r, error);
  if (header_size != 12 && (header_size < 16 || header_size > 256))
    return error_set_at(error, LEDGE_ERROR_FORMAT, 14, "BMP: a header of %" PRIu32 " bytes is none that exists",
                        header_size);
  if (!reader_sub(r, header_size - 4, &header) || !bmp_read_sizes(&header, header_size, h, &used))
    return bmp_truncated(r, error);
  bool os2 = header_size == 64 && (h->compression == 3 || h->compression == 4); /* Huffman 1D and RLE24 there */
  if (os2) h->compression = 100;
  TRY(bmp_check_kind(h, error));
  if (!bmp_read_masks(&header, r, header_size, h) || !bmp_read_palette(r, used, header_size == 12 ? 3 : 4, h))
    return bmp_truncated(r, error);
  return LEDGE_OK;
}

/* The bits of v under a mask, as 0 to 255. */
static uint8_t bmp_field(uint32_t v, uint32_t mask) {
  if (!mask) return 0;
  int shift = __builtin_ctz(mask);
  return (uint8_t)((uint64_t)((v & mask) >> shift) * 255 / (mask >> shift));
}

static void bmp_put_index(const bmp_header *h, uint8_t *out, unsigned index) {
  memcpy(out, h->palette[index & 255], 3);
}

static void bmp_row(const bmp_header *h, const uint8_t *in, uint8_t *out, int channels) {
  for (int64_t x = 0; x < h->width; x++, out += channels) {
    if (h->bits <= 8) {
      int per_byte = 8 / h->bits;
      int shift = (per_byte - 1 - (int)(x % per_byte)) * h->bits;
      bmp_put_index(h, out, (unsigned)in[x / per_byte] >> shift & ((1u << h->bits) - 1));
    } else if (h->bits == 24) {
      out[0] = in[3 * x + 2], out[1] = in[3 * x + 1], out[2] = in[3 * x];
    } else {
      uint32_t v = h->bits == 16 ? (uint32_t)(in[2 * x] | in[2 * x + 1] << 8) : 0;
      if (h->bits == 32)
        v = in[4 * x] | (uint32_t)in[4 * x + 1] << 8 | (uint32_t)in[4 * x + 2] << 16 | (uint32_t)in[4 * x + 3] << 24;
      for (int k = 0; k < channels; k++) out[k] = bmp_field(v, h->masks[k]);
    }
  }
}

static inline uint8_t *bmp_at(const bmp_header *h, image_pixels *px, int64_t x, int64_t y_up) {
  int64_t y = h->downward ? y_up : h->height - 1 - y_up;
  return image_pixels_data(px) + (size_t)(y * h->width + x) * (size_t)px->channels;
}

/* A run of n pixels at (*x, y); those that leave the row are dropped, as the decoders of the time did. `in` NULL: the
 * two halves of `byte` in turn (RLE4), or the byte itself (RLE8); else pixels from `in`. */
static void bmp_run(const bmp_header *h, image_pixels *px, int64_t *x, int64_t y, int n, uint8_t byte,
                    const uint8_t *in) {
  for (int i = 0; i < n; i++) {
    if (*x >= h->width) return;
    uint8_t b = in ? in[h->bits == 4 ? i / 2 : i] : byte;
    unsigned index = h->bits == 8 ? b : i & 1 ? b & 15u : b >> 4;
    bmp_put_index(h, bmp_at(h, px, *x, y), index);
    ++*x;
  }
}

static ledge_status bmp_read_rle(reader *r, const bmp_header *h, image_pixels *px, ledge_error *error) {
  for (int64_t i = 0; i < h->width * h->height; i++) bmp_put_index(h, image_pixels_data(px) + 3 * i, 0);
  int64_t x = 0, y = 0;
  while (y < h->height) {
    const uint8_t *pair = reader_take(r, 2);
    if (!pair) return bmp_truncated(r, error);
    if (pair[0] > 0) {
      bmp_run(h, px, &x, y, pair[0], pair[1], NULL);
    } else if (pair[1] == 0) { /* end of line */
      x = 0, y++;
    } else if (pair[1] == 1) { /* end of picture */
      break;
    } else if (pair[1] == 2) { /* move */
      const uint8_t *step = reader_take(r, 2);
      if (!step) return bmp_truncated(r, error);
      x += step[0], y += step[1];
    } else { /* pixels as they are, padded to 2 bytes */
      size_t bytes = h->bits == 8 ? pair[1] : (pair[1] + 1u) / 2;
      const uint8_t *in = reader_take(r, bytes + (bytes & 1));
      if (!in) return bmp_truncated(r, error);
      bmp_run(h, px, &x, y, pair[1], 0, in);
    }
  }
  return LEDGE_OK;
}

ledge_status image_decode_bmp(const image_source *source, image_pixels *px, ledge_error *error) {
  reader r = reader_make(source->data, source->size, 0);
  bmp_header h = {0};
  TRY(bmp_read_header(&r, &h, error));
  TRY(image_check_size(source, "BMP", h.width, h.height, error));
  size_t at = h.pixels_at ? h.pixels_at : r.pos;
  reader pixels = reader_make(source->data, source->size, 0);
  if (!reader_skip(&pixels, at)) return bmp_truncated(&r, error);
  if (h.compression == BMP_RLE4 || h.compression == BMP_RLE8) {
    TRY(image_pixels_alloc(px, source, "BMP", h.width, h.height, 3, error));
    return bmp_read_rle(&pixels, &h, px, error);
  }
  uint64_t row_bytes = ((uint64_t)h.width * (uint64_t)h.bits + 31) / 32 * 4;
  uint64_t last_bytes = ((uint64_t)h.width * (uint64_t)h.bits + 7) / 8; /* the last row's padding may be missing */
  if (row_bytes * (uint64_t)(h.height - 1) + last_bytes > reader_left(&pixels)) return bmp_truncated(&pixels, error);
  int channels = h.bits != 16 && h.bits != 32 ? 3 : h.masks[3] ? 4 : 3;
  TRY(image_pixels_alloc(px, source, "BMP", h.width, h.height, channels, error));
  for (int64_t y = 0; y < h.height; y++)
    bmp_row(&h, pixels.data + pixels.pos + (size_t)y * row_bytes, bmp_at(&h, px, 0, y), channels);
  return LEDGE_OK;
}
