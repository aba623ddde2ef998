/* media/jpeg2000: JPEG 2000 (JP2 files and bare codestreams, ISO/IEC 15444-1) through OpenJPEG, in memory.
 *
 * OpenJPEG allocates by what the headers claim: a file of 200 bytes can ask for 9 GB. So the codestream's markers
 * (annex A) are walked here first, and what they claim (pixels, tiles, precincts, packets) is held against the file's
 * size. The walk takes only markers that OpenJPEG knows: it would look for one inside what it does not know.
 *
 * Components may be smaller than the picture (their pixels are repeated), signed, and of 1 to 31 bits (more than 8 are
 * rounded, fewer are scaled); sYCC becomes RGB. */
#include <openjpeg.h>

#include "base/error.h"
#include "base/reader.h"
#include "media/image_codec.h"

#include <inttypes.h>
#include <stdio.h>

#define J2K_COMPONENTS_MAX 4
#define J2K_PIXELS_FREE ((uint64_t)1 << 20) /* and J2K_PIXELS_PER_BYTE for each byte of file */
#define J2K_PIXELS_PER_BYTE 1024
#define J2K_TILES_FREE 64
#define J2K_TILE_BYTES 64       /* of file, for each tile more; its header alone takes 14 */
#define J2K_PRECINCTS_FREE 4096 /* and two for each byte: a packet takes a byte */
#define J2K_PACKETS_FREE 65536

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

/* What the headers claim. */
typedef struct j2k_claim {
  uint32_t components, layers;
  uint64_t width, height, tiles_x, tiles_y;
  uint64_t precincts; /* of one component, under the worst coding style of all that stand in the file */
} j2k_claim;

static ledge_status j2k_damaged(const reader *r, const char *what, ledge_error *error) {
  return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "JPEG 2000: the file is damaged or truncated: %s",
                      what);
}

/* SOC and SIZ (A.5.1). */
static ledge_status j2k_read_siz(const image_source *source, reader *r, j2k_claim *claim, ledge_error *error) {
  uint32_t start, length, caps, x1, y1, x0, y0, tile_w, tile_h, tile_x, tile_y;
  if (!be32(r, &start) || start != 0xff4fff51u || !be16(r, &length) || !be16(r, &caps) || !be32(r, &x1) ||
      !be32(r, &y1) || !be32(r, &x0) || !be32(r, &y0) || !be32(r, &tile_w) || !be32(r, &tile_h) || !be32(r, &tile_x) ||
      !be32(r, &tile_y) || !be16(r, &claim->components))
    return j2k_damaged(r, "its size", error);
  TRY(image_check_size(source, "JPEG 2000", (int64_t)x1 - x0, (int64_t)y1 - y0, error));
  if (claim->components < 1 || claim->components > J2K_COMPONENTS_MAX)
    return error_set(error, LEDGE_ERROR_UNSUPPORTED, "JPEG 2000: %" PRIu32 " components; ledge reads 1 to %d",
                     claim->components, J2K_COMPONENTS_MAX);
  if (length != 38 + 3 * claim->components || tile_w == 0 || tile_h == 0 || tile_x > x0 || tile_y > y0 ||
      x1 <= tile_x || y1 <= tile_y)
    return j2k_damaged(r, "its tiles", error);
  for (uint32_t i = 0; i < claim->components; i++) {
    const uint8_t *component = reader_take(r, 3); /* precision, horizontal and vertical step */
    if (!component || component[1] == 0 || component[2] == 0) return j2k_damaged(r, "a component", error);
  }
  claim->width = x1 - x0, claim->height = y1 - y0;
  claim->tiles_x = (uint64_t)(x1 - tile_x - 1) / tile_w + 1;
  claim->tiles_y = (uint64_t)(y1 - tile_y - 1) / tile_h + 1;
  return LEDGE_OK;
}

/* The coding style that COD and COC share (A.6.1, A.6.2), behind their own fields: resolutions and, if `sized`, a byte
 * for each with the logarithms of its precinct's sides. */
static bool j2k_read_style(reader *r, bool sized, j2k_claim *claim) {
  uint8_t levels, sides = 0xff;
  if (!reader_u8(r, &levels) || levels > 32 || !reader_skip(r, 4)) return false;
  uint64_t count = 0;
  for (int i = 0; i <= levels; i++) {
    if (sized && !reader_u8(r, &sides)) return false;
    uint64_t w = claim->width >> (levels - i), h = claim->height >> (levels - i);
    count += ((w >> (sides & 15)) + claim->tiles_x) * ((h >> (sides >> 4)) + claim->tiles_y);
  }
  if (count > claim->precincts) claim->precincts = count;
  return true;
}

static bool j2k_read_segment(uint32_t marker, reader *r, j2k_claim *claim) {
  uint8_t component, style, progression, mct;
  uint32_t layers;
  if (marker == 0xff52) {
    if (!reader_u8(r, &style) || !reader_u8(r, &progression) || !be16(r, &layers) || !reader_u8(r, &mct)) return false;
    if (layers > claim->layers) claim->layers = layers;
    return j2k_read_style(r, style & 1, claim);
  }
  if (marker == 0xff53) return reader_u8(r, &component) && reader_u8(r, &style) && j2k_read_style(r, style & 1, claim);
  return true;
}

/* Segments up to SOT (0xff90) or SOD (0xff93), which is the outcome; 0 where there is none. */
static uint32_t j2k_read_segments(reader *r, j2k_claim *claim) {
  static const uint16_t known[] = {0xff50, 0xff52, 0xff53, 0xff55, 0xff57, 0xff58, 0xff59, 0xff5c, 0xff5d, 0xff5e,
                                   0xff5f, 0xff60, 0xff61, 0xff63, 0xff64, 0xff74, 0xff75, 0xff77, 0xff78};
  for (;;) {
    uint32_t marker, length;
    reader segment;
    if (!be16(r, &marker)) return 0;
    if (marker == 0xff90 || marker == 0xff93) return marker;
    bool is_known = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) is_known = is_known || known[i] == marker;
    if (!is_known || !be16(r, &length) || length < 2 || !reader_sub(r, length - 2, &segment)) return 0;
    if (!j2k_read_segment(marker, &segment, claim)) return 0;
  }
}

/* The tile-parts (A.4.2): SOT, whose length is known, what stands before SOD, and the packets. r is behind the first
 * SOT. */
static bool j2k_read_tile_parts(reader *r, j2k_claim *claim) {
  for (;;) {
    uint32_t length, tile, bytes, marker;
    uint64_t left = (uint64_t)reader_left(r) + 2; /* from the marker on */
    reader part;
    if (!be16(r, &length) || length != 10 || !be16(r, &tile) || !be32(r, &bytes) || !reader_skip(r, 2)) return false;
    if (bytes == 0) bytes = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX; /* to the end */
    if (bytes < 14 || !reader_sub(r, bytes - 12, &part)) return false;
    if (j2k_read_segments(&part, claim) != 0xff93) return false;
    if (reader_left(r) < 2) return true; /* the end marker may be missing */
    if (!be16(r, &marker) || (marker != 0xff90 && marker != 0xffd9)) return false;
    if (marker == 0xffd9) return true;
  }
}

static ledge_status j2k_check(const image_source *source, ledge_error *error) {
  reader r = reader_make(source->data, source->size, 0);
  j2k_claim claim = {0};
  if (!j2k_find_codestream(&r)) return j2k_damaged(&r, "it has no codestream", error);
  TRY(j2k_read_siz(source, &r, &claim, error));
  if (j2k_read_segments(&r, &claim) != 0xff90) return j2k_damaged(&r, "its main header", error);
  if (!j2k_read_tile_parts(&r, &claim)) return j2k_damaged(&r, "a tile", error);
  uint64_t tiles = claim.tiles_x * claim.tiles_y, precincts = claim.precincts * claim.components, size = source->size;
  const char *what = NULL;
  if (claim.width * claim.height > J2K_PIXELS_FREE + size * J2K_PIXELS_PER_BYTE)
    what = "pixels";
  else if (tiles > J2K_TILES_FREE + size / J2K_TILE_BYTES)
    what = "tiles";
  else if (precincts > J2K_PRECINCTS_FREE + 2 * size)
    what = "precincts";
  else if (precincts * claim.layers > J2K_PACKETS_FREE + 2 * size)
    what = "packets";
  if (!what) return LEDGE_OK;
  return error_set(error, LEDGE_ERROR_LIMIT,
                   "JPEG 2000: %" PRIu64 " by %" PRIu64 " pixels in %" PRIu64 " tiles, %" PRIu64
                   " precincts and %" PRIu32 " layers: more %s than a file of %zu bytes can plausibly hold",
                   claim.width, claim.height, tiles, precincts, claim.layers, what, source->size);
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
