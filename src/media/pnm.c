/* media/pnm: the netpbm formats (https://netpbm.sourceforge.net/doc/): P1 to P6, and P7 (PAM) with its common tuple
 * types. Samples of another maximum than 255 are scaled: round(v * 255 / maximum). */
#include "base/error.h"
#include "base/reader.h"
#include "media/image_codec.h"

#include <inttypes.h>

typedef struct pnm_header {
  char kind; /* '1' to '7' */
  int64_t width, height, maximum;
  int channels;
} pnm_header;

static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Passes white space and comments. */
static void pnm_skip(reader *r) {
  while (!reader_end(r)) {
    uint8_t c = r->data[r->pos];
    if (c == '#') {
      while (!reader_end(r) && r->data[r->pos] != '\n' && r->data[r->pos] != '\r') r->pos++;
    } else if (is_space(c)) {
      r->pos++;
    } else {
      return;
    }
  }
}

static bool pnm_number(reader *r, int64_t *ret) {
  pnm_skip(r);
  int64_t v = 0;
  int digits = 0;
  while (!reader_end(r) && r->data[r->pos] >= '0' && r->data[r->pos] <= '9') {
    if (++digits > 9) return false;
    v = v * 10 + (r->data[r->pos++] - '0');
  }
  *ret = v;
  return digits > 0;
}

/* One word of a PAM header into a buffer that is long enough for all that count. */
static bool pam_word(reader *r, char *word, size_t size) {
  pnm_skip(r);
  size_t n = 0;
  while (!reader_end(r) && !is_space(r->data[r->pos])) {
    if (n + 1 == size) return false;
    word[n++] = (char)r->data[r->pos++];
  }
  word[n] = 0;
  return n > 0;
}

static ledge_status pam_header(reader *r, pnm_header *h, ledge_error *error) {
  int64_t depth = 0;
  for (;;) {
    char word[32];
    if (!pam_word(r, word, sizeof word))
      return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "PAM: the header has no ENDHDR");
    if (strcmp(word, "ENDHDR") == 0) break;
    bool ok = strcmp(word, "WIDTH") == 0    ? pnm_number(r, &h->width)
              : strcmp(word, "HEIGHT") == 0 ? pnm_number(r, &h->height)
              : strcmp(word, "DEPTH") == 0  ? pnm_number(r, &depth)
              : strcmp(word, "MAXVAL") == 0 ? pnm_number(r, &h->maximum)
                                            : pam_word(r, word, sizeof word); /* TUPLTYPE: the depth says enough */
    if (!ok) return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "PAM: the header is invalid");
  }
  if (depth < 1 || depth > 4)
    return error_set(error, LEDGE_ERROR_UNSUPPORTED, "PAM: %" PRId64 " samples a pixel; ledge reads 1 to 4", depth);
  h->channels = (int)depth;
  return LEDGE_OK;
}

static ledge_status pnm_read_header(reader *r, pnm_header *h, ledge_error *error) {
  const uint8_t *magic = reader_take(r, 2);
  if (!magic) return error_set_at(error, LEDGE_ERROR_FORMAT, 0, "PNM: the file is truncated");
  *h = (pnm_header){.kind = (char)magic[1], .maximum = 1};
  if (h->kind == '7') {
    TRY(pam_header(r, h, error));
  } else {
    bool bits = h->kind == '1' || h->kind == '4';
    h->channels = h->kind == '3' || h->kind == '6' ? 3 : 1;
    if (!pnm_number(r, &h->width) || !pnm_number(r, &h->height) || (!bits && !pnm_number(r, &h->maximum)))
      return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "PNM: the header lacks a number");
  }
  if (h->maximum < 1 || h->maximum > 65535)
    return error_set(error, LEDGE_ERROR_FORMAT, "PNM: the largest sample is %" PRId64 ", not 1 to 65535", h->maximum);
  return LEDGE_OK;
}

static inline uint8_t pnm_scale(int64_t v, int64_t maximum) {
  if (v > maximum) v = maximum;
  return (uint8_t)((v * 255 + maximum / 2) / maximum);
}

static ledge_status pnm_truncated(const reader *r, ledge_error *error) {
  return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "PNM: the file is truncated");
}

static ledge_status pnm_read_text(reader *r, const pnm_header *h, uint8_t *out, int64_t n, ledge_error *error) {
  for (int64_t i = 0; i < n; i++) {
    int64_t v;
    if (h->kind == '1') { /* digits need no space between */
      pnm_skip(r);
      uint8_t c;
      if (!reader_u8(r, &c)) return pnm_truncated(r, error);
      if (c != '0' && c != '1')
        return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "PBM: neither 0 nor 1");
      v = c == '0';
    } else if (!pnm_number(r, &v)) {
      return pnm_truncated(r, error);
    }
    out[i] = pnm_scale(v, h->maximum);
  }
  return LEDGE_OK;
}

static ledge_status pnm_read_bits(reader *r, const pnm_header *h, uint8_t *out, ledge_error *error) {
  for (int64_t y = 0; y < h->height; y++) {
    const uint8_t *row = reader_take(r, (size_t)(h->width + 7) / 8);
    if (!row) return pnm_truncated(r, error);
    for (int64_t x = 0; x < h->width; x++) *out++ = row[x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
  }
  return LEDGE_OK;
}

ledge_status image_decode_pnm(const image_source *source, image_pixels *px, ledge_error *error) {
  reader r = reader_make(source->data, source->size, 0);
  pnm_header h;
  TRY(pnm_read_header(&r, &h, error));
  TRY(image_check_size(source, "PNM", h.width, h.height, error));
  int64_t n = h.width * h.height * h.channels;
  bool text = h.kind <= '3';
  if (!text && !reader_skip(&r, 1)) return pnm_truncated(&r, error); /* one byte of white space ends the header */
  int64_t bytes = h.kind == '4' ? (h.width + 7) / 8 * h.height : h.maximum > 255 && !text ? 2 * n : n;
  if ((uint64_t)bytes > reader_left(&r)) return pnm_truncated(&r, error); /* a text sample is a byte at least, too */
  TRY(image_pixels_alloc(px, source, "PNM", h.width, h.height, h.channels, error));
  uint8_t *out = image_pixels_data(px);
  if (text) return pnm_read_text(&r, &h, out, n, error);
  if (h.kind == '4') return pnm_read_bits(&r, &h, out, error);
  const uint8_t *in = reader_take(&r, (size_t)bytes);
  if (h.maximum == 255) {
    memcpy(out, in, (size_t)bytes);
  } else {
    for (int64_t i = 0; i < n; i++) {
      int64_t v = h.maximum > 255 ? in[2 * i] << 8 | in[2 * i + 1] : in[i];
      out[i] = pnm_scale(v, h.maximum);
    }
  }
  return LEDGE_OK;
}
