/* media/webp: WebP through libwebp, in memory. Of an animation the first frame is drawn on its transparent canvas;
 * libwebp's plain decoder does not read those, so the frame's place and bytes are found here:
 *
 *   RIFF size WEBP | VP8X | ANIM | ANMF size { x/2 y/2 w-1 h-1 duration : 24 bits each, flags : 8 | [ALPH] VP8 or VP8L
 * } */
#include <webp/decode.h>

#include "base/error.h"
#include "base/reader.h"
#include "media/image_codec.h"

typedef struct webp_frame {
  const uint8_t *data;
  size_t size;
  int64_t x, y;
} webp_frame;

/* The payload of the first chunk named `fourcc` in a RIFF body. */
static bool webp_chunk(const image_source *source, const char *fourcc, reader *ret) {
  reader r = reader_make(source->data, source->size, 0);
  if (!reader_skip(&r, 12)) return false;
  for (;;) {
    const uint8_t *name = reader_take(&r, 4);
    uint32_t size;
    if (!name || !reader_u32le(&r, &size)) return false;
    if (memcmp(name, fourcc, 4) == 0) {
      size_t n = size < reader_left(&r) ? size : reader_left(&r);
      return reader_sub(&r, n, ret);
    }
    if (!reader_skip(&r, size) || ((size & 1) && !reader_skip(&r, 1))) return false;
  }
}

static uint32_t webp_u24(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16; }

static bool webp_first_frame(const image_source *source, webp_frame *ret) {
  reader chunk;
  if (!webp_chunk(source, "ANMF", &chunk)) return false;
  const uint8_t *head = reader_take(&chunk, 16);
  if (!head) return false;
  *ret = (webp_frame){.data = chunk.data + chunk.pos,
                      .size = reader_left(&chunk),
                      .x = 2 * (int64_t)webp_u24(head),
                      .y = 2 * (int64_t)webp_u24(head + 3)};
  return true;
}

static ledge_status webp_fault(VP8StatusCode code, ledge_error *error) {
  static const char *const texts[] = {[VP8_STATUS_INVALID_PARAM] = "the frame is invalid",
                                      [VP8_STATUS_BITSTREAM_ERROR] = "the data is damaged",
                                      [VP8_STATUS_UNSUPPORTED_FEATURE] = "it uses a feature that libwebp does not know",
                                      [VP8_STATUS_SUSPENDED] = "the file is truncated",
                                      [VP8_STATUS_USER_ABORT] = "aborted",
                                      [VP8_STATUS_NOT_ENOUGH_DATA] = "the file is truncated"};
  if (code == VP8_STATUS_OUT_OF_MEMORY) return error_set(error, LEDGE_ERROR_MEMORY, "WebP: out of memory");
  bool known = (size_t)code < sizeof texts / sizeof *texts && texts[code];
  return error_set(error, LEDGE_ERROR_FORMAT, "WebP: %s", known ? texts[code] : "unknown fault");
}

ledge_status image_decode_webp(const image_source *source, image_pixels *px, ledge_error *error) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    return error_set(error, LEDGE_ERROR_UNSUPPORTED, "WebP: the libwebp on this machine is not the one built against");
  VP8StatusCode code = WebPGetFeatures(source->data, source->size, &config.input);
  if (code != VP8_STATUS_OK) return webp_fault(code, error);
  webp_frame frame = {.data = source->data, .size = source->size};
  bool animated = config.input.has_animation;
  int64_t canvas_w = config.input.width, canvas_h = config.input.height;
  TRY(image_check_size(source, "WebP", canvas_w, canvas_h, error));
  if (animated) {
    if (!webp_first_frame(source, &frame))
      return error_set(error, LEDGE_ERROR_FORMAT, "WebP: the animation has no frame");
    code = WebPGetFeatures(frame.data, frame.size, &config.input);
    if (code != VP8_STATUS_OK) return webp_fault(code, error);
  }
  int64_t w = config.input.width, h = config.input.height;
  if (frame.x > canvas_w - w || frame.y > canvas_h - h)
    return error_set(error, LEDGE_ERROR_FORMAT, "WebP: a frame reaches out of its canvas");
  int channels = animated || config.input.has_alpha ? 4 : 3;
  TRY(image_pixels_alloc(px, source, "WebP", canvas_w, canvas_h, channels, error));
  size_t stride = (size_t)canvas_w * (size_t)channels;
  uint8_t *first = image_pixels_data(px) + (size_t)frame.y * stride + (size_t)frame.x * (size_t)channels;
  if (animated) memset(image_pixels_data(px), 0, stride * (size_t)canvas_h);
  config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = first;
  config.output.u.RGBA.stride = (int)stride;
  config.output.u.RGBA.size = stride * (size_t)(h - 1) + (size_t)w * (size_t)channels;
  code = WebPDecode(frame.data, frame.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (code != VP8_STATUS_OK) return webp_fault(code, error);
  reader exif;
  if (source->want_exif && webp_chunk(source, "EXIF", &exif))
    px->orientation = image_exif_orientation(exif.data, exif.size);
  return LEDGE_OK;
}
