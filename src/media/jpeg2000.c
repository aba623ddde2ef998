/* media/jpeg2000: JPEG 2000 (JP2 files and bare codestreams, ISO/IEC 15444-1) through OpenJPEG, in memory.
 *
 * OpenJPEG allocates by what the header claims, so the SIZ segment (annex A.5.1) is read here first and held to the
 * limits: sides, components, and a tile-part header's 14 bytes of file for each tile.
 *
 * Components may be smaller than the picture (their pixels are repeated), signed, and of 1 to 16 bits (more are cut,
 * fewer are scaled); sYCC becomes RGB. */
#include <openjpeg.h>

#include "base/error.h"
#include "base/reader.h"
#include "media/image_codec.h"

#include <inttypes.h>
#include <stdio.h>

#define J2K_COMPONENTS_MAX 4
#define J2K_TILE_BYTES_MIN 14 /* SOT is 12 bytes, SOD 2 */

typedef struct j2k_job {
  const image_source *source;
  uint64_t pos;
  char message[256];
} j2k_job;

static OPJ_SIZE_T j2k_on_read(void *to, OPJ_SIZE_T n, void *user) {
  j2k_job *job = user;
  uint64_t left = job->source->size - job->pos;
  if (left == 0) return (OPJ_SIZE_T)-1;
  if (n > left) n = left;
  memcpy(to, job->source->data + job->pos, n);
  job->pos += n;
  return n;
}
static OPJ_OFF_T j2k_on_skip(OPJ_OFF_T n, void *user) {
  j2k_job *job = user;
  if (n < 0) return -1;
  uint64_t left = job->source->size - job->pos;
  uint64_t step = (uint64_t)n < left ? (uint64_t)n : left;
  job->pos += step;
  return (OPJ_OFF_T)step;
}
static OPJ_BOOL j2k_on_seek(OPJ_OFF_T to, void *user) {
  j2k_job *job = user;
  if (to < 0 || (uint64_t)to > job->source->size) return OPJ_FALSE;
  job->pos = (uint64_t)to;
  return OPJ_TRUE;
}
static void j2k_on_error(const char *text, void *user) {
  j2k_job *job = user;
  if (job->message[0]) return; /* the first is the cause of the rest */
  snprintf(job->message, sizeof job->message, "%s", text);
  job->message[strcspn(job->message, "\r\n")] = 0;
}
static void j2k_on_message(const char *text, void *user) {}

static bool be32(reader *r, uint32_t *v) {
  const uint8_t *p = reader_take(r, 4);
  if (p) *v = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  return p != NULL;
}
static bool be16(reader *r, uint32_t *v) {
  const uint8_t *p = reader_take(r, 2);
  if (p) *v = (uint32_t)p[0] << 8 | p[1];
  return p != NULL;
}

/* Moves r to the codestream: past the boxes of a JP2 file up to the inside of 'jp2c' (annex I.4). */
static bool j2k_find_codestream(reader *r) {
  if (reader_left(r) >= 4 && memcmp(r->data, "\xff\x4f\xff\x51", 4) == 0) return true;
  for (;;) {
    uint32_t length, high, low;
    if (!be32(r, &length)) return false;
    const uint8_t *type = reader_take(r, 4);
    if (!type) return false;
    uint64_t body = length >= 8 ? length - 8 : 0;
    if (length == 1) { /* a 64-bit length follows */
      if (!be32(r, &high) || !be32(r, &low)) return false;
      body = (uint64_t)high << 32 | low;
      if (body < 16) return false;
      body -= 16;
    }
    if (memcmp(type, "jp2c", 4) == 0) return true;
    if (length == 0 || (length != 1 && length < 8) || body > reader_left(r)) return false;
    reader_skip(r, (size_t)body);
  }
}

/* The SIZ segment against the limits. */
static ledge_status j2k_check(const image_source *source, ledge_error *error) {
  reader r = reader_make(source->data, source->size, 0);
  uint32_t start, length, caps, x1, y1, x0, y0, tile_w, tile_h, tile_x, tile_y, n;
  if (!j2k_find_codestream(&r)) return error_set(error, LEDGE_ERROR_FORMAT, "JPEG 2000: the file has no codestream");
  if (!be32(&r, &start) || start != 0xff4fff51u || !be16(&r, &length) || !be16(&r, &caps) || !be32(&r, &x1) ||
      !be32(&r, &y1) || !be32(&r, &x0) || !be32(&r, &y0) || !be32(&r, &tile_w) || !be32(&r, &tile_h) ||
      !be32(&r, &tile_x) || !be32(&r, &tile_y) || !be16(&r, &n))
    return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&r), "JPEG 2000: the header is truncated");
  TRY(image_check_size(source, "JPEG 2000", (int64_t)x1 - x0, (int64_t)y1 - y0, error));
  if (n < 1 || n > J2K_COMPONENTS_MAX)
    return error_set(error, LEDGE_ERROR_UNSUPPORTED, "JPEG 2000: %u components; ledge reads 1 to %d", n,
                     J2K_COMPONENTS_MAX);
  if (tile_w == 0 || tile_h == 0 || tile_x > x0 || tile_y > y0 || x1 <= tile_x || y1 <= tile_y)
    return error_set(error, LEDGE_ERROR_FORMAT, "JPEG 2000: the tiles do not cover the picture");
  uint64_t tiles = ((uint64_t)(x1 - tile_x - 1) / tile_w + 1) * ((uint64_t)(y1 - tile_y - 1) / tile_h + 1);
  if (tiles > source->size / J2K_TILE_BYTES_MIN + 1)
    return error_set(error, LEDGE_ERROR_FORMAT,
                     "JPEG 2000: the file is truncated: %zu bytes cannot hold %" PRIu64 " tiles", source->size, tiles);
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *component = reader_take(&r, 3); /* precision, horizontal and vertical step */
    if (!component || component[1] == 0 || component[2] == 0)
      return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&r), "JPEG 2000: component %u is invalid", i);
  }
  return LEDGE_OK;
}

/* A sample of any precision -> 0..255. */
static inline int j2k_sample(const opj_image_comp_t *c, OPJ_INT32 v) {
  int64_t x = (int64_t)v + (c->sgnd ? (int64_t)1 << (c->prec - 1) : 0);
  if (c->prec > 8) x = (x + ((int64_t)1 << (c->prec - 9))) >> (c->prec - 8);
  if (c->prec < 8) x = x * 255 / (((int64_t)1 << c->prec) - 1);
  return x < 0 ? 0 : x > 255 ? 255 : (int)x;
}

static inline uint8_t clamp_u8(double v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5); }

static void j2k_ycc_to_rgb(uint8_t *p, int64_t n, int channels) {
  for (int64_t i = 0; i < n; i++, p += channels) {
    double y = p[0], cb = p[1] - 128.0, cr = p[2] - 128.0;
    p[0] = clamp_u8(y + 1.402 * cr);
    p[1] = clamp_u8(y - 0.344136 * cb - 0.714136 * cr);
    p[2] = clamp_u8(y + 1.772 * cb);
  }
}

static ledge_status j2k_collect(const image_source *source, const opj_image_t *image, image_pixels *px,
                                ledge_error *error) {
  int channels = (int)image->numcomps;
  if (channels < 1 || channels > J2K_COMPONENTS_MAX)
    return error_set(error, LEDGE_ERROR_UNSUPPORTED, "JPEG 2000: %d components; ledge reads 1 to %d", channels,
                     J2K_COMPONENTS_MAX);
  for (int k = 0; k < channels; k++) {
    const opj_image_comp_t *c = &image->comps[k];
    if (!c->data || c->w < 1 || c->h < 1 || c->prec < 1 || c->prec > 31 || c->dx < 1 || c->dy < 1)
      return error_set(error, LEDGE_ERROR_FORMAT, "JPEG 2000: component %d has no pixels", k);
  }
  int64_t width = (int64_t)image->x1 - image->x0, height = (int64_t)image->y1 - image->y0;
  TRY(image_pixels_alloc(px, source, "JPEG 2000", width, height, channels, error));
  for (int k = 0; k < channels; k++) {
    const opj_image_comp_t *c = &image->comps[k];
    uint8_t *out = image_pixels_data(px) + k;
    for (int64_t y = 0; y < height; y++) {
      int64_t row = y / c->dy < c->h ? y / c->dy : c->h - 1;
      const OPJ_INT32 *in = c->data + row * c->w;
      for (int64_t x = 0; x < width; x++, out += channels) {
        int64_t at = c->dx == 1 ? x : x / c->dx;
        *out = (uint8_t)j2k_sample(c, in[at < c->w ? at : c->w - 1]);
      }
    }
  }
  if (channels >= 3 && image->color_space == OPJ_CLRSPC_SYCC)
    j2k_ycc_to_rgb(image_pixels_data(px), width * height, channels);
  return LEDGE_OK;
}

static ledge_status j2k_read(j2k_job *job, opj_codec_t *codec, opj_stream_t *stream, image_pixels *px,
                             ledge_error *error) {
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  opj_set_info_handler(codec, j2k_on_message, NULL);
  opj_set_warning_handler(codec, j2k_on_message, NULL);
  opj_set_error_handler(codec, j2k_on_error, job);
  opj_stream_set_read_function(stream, j2k_on_read);
  opj_stream_set_skip_function(stream, j2k_on_skip);
  opj_stream_set_seek_function(stream, j2k_on_seek);
  opj_stream_set_user_data(stream, job, NULL);
  opj_stream_set_user_data_length(stream, job->source->size);
  opj_image_t *image = NULL;
  bool ok = opj_setup_decoder(codec, &parameters) && opj_read_header(stream, codec, &image) &&
            opj_decode(codec, stream, image) && opj_end_decompress(codec, stream);
  ledge_status status;
  if (ok)
    status = j2k_collect(job->source, image, px, error);
  else
    status = error_set_at(error, LEDGE_ERROR_FORMAT, job->pos, "JPEG 2000: %s",
                          job->message[0] ? job->message : "the file is damaged");
  opj_image_destroy(image);
  return status;
}

ledge_status image_decode_jpeg2000(const image_source *source, image_pixels *px, ledge_error *error) {
  TRY(j2k_check(source, error));
  j2k_job job = {.source = source};
  bool bare = source->data[0] == 0xff;
  opj_codec_t *codec = opj_create_decompress(bare ? OPJ_CODEC_J2K : OPJ_CODEC_JP2);
  opj_stream_t *stream = opj_stream_create(1 << 16, OPJ_TRUE);
  ledge_status status =
      codec && stream ? j2k_read(&job, codec, stream, px, error) : error_memory(error, 1 << 16, "the JPEG 2000 reader");
  opj_stream_destroy(stream);
  opj_destroy_codec(codec);
  return status;
}
