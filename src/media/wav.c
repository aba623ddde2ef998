/* media/wav: WAV files by an own bounded reader, and writing them.
 *
 *   "RIFF" size "WAVE" | chunk: id[4], u32 size, bytes, padded to 2 | ...       RF64: 64-bit sizes in the chunk "ds64"
 *   fmt : u16 tag, u16 channels, u32 rate, u32 bytes/s, u16 bytes/frame, u16 bits [, u16 22, u16 valid bits, u32 mask,
 * GUID] data: frames, the channels side by side
 *
 * Samples of n bits become v / 2^(n-1). A data chunk that claims about 2 GiB or more than that, or none in a file that
 * was never finished, as programs write that do not know the length yet, goes to the end of the file; any other that
 * leaves the file is truncated. */
#include "base/error.h"
#include "base/reader.h"
#include "base/writer.h"
#include "media/audio.h"

#include <inttypes.h>
#include <math.h>

enum { WAV_PCM = 1, WAV_FLOAT = 3, WAV_ALAW = 6, WAV_ULAW = 7, WAV_EXTENSIBLE = 0xfffe };
#define WAV_OPEN_SIZE 0x7ffff000u

typedef struct wav_format {
  uint16_t tag, channels, frame_bytes, bits;
  uint32_t rate;
} wav_format;

static ledge_status wav_truncated(const reader *r, ledge_error *error) {
  return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "WAV: the file is truncated");
}

static bool wav_read_fmt(reader *r, wav_format *f) {
  if (!reader_u16le(r, &f->tag) || !reader_u16le(r, &f->channels) || !reader_u32le(r, &f->rate) || !reader_skip(r, 4) ||
      !reader_u16le(r, &f->frame_bytes) || !reader_u16le(r, &f->bits))
    return false;
  return f->tag != WAV_EXTENSIBLE || (reader_skip(r, 8) && reader_u16le(r, &f->tag));
}

/* Finds the two chunks; *data is the inside of the second. */
static ledge_status wav_read_chunks(reader *r, wav_format *f, reader *data, ledge_error *error) {
  const uint8_t *head = reader_take(r, 12);
  if (!head || (memcmp(head, "RIFF", 4) != 0 && memcmp(head, "RF64", 4) != 0) || memcmp(head + 8, "WAVE", 4) != 0)
    return error_set_at(error, LEDGE_ERROR_FORMAT, 0, "this is not a WAV file: it does not begin with RIFF and WAVE");
  bool has_fmt = false;
  uint32_t riff_bytes = head[4] | (uint32_t)head[5] << 8 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 24;
  uint64_t data_bytes = UINT64_MAX;
  for (;;) {
    const uint8_t *id = reader_take(r, 4);
    uint32_t size;
    if (!id || !reader_u32le(r, &size)) return wav_truncated(r, error);
    reader chunk;
    if (memcmp(id, "data", 4) == 0) {
      uint64_t bytes = size == UINT32_MAX ? data_bytes : size;
      bool unfinished = size == 0 && riff_bytes < r->pos - 8; /* the file's own size is that of an empty start, too */
      if (unfinished || (bytes >= WAV_OPEN_SIZE && bytes > reader_left(r))) bytes = reader_left(r);
      if (!has_fmt)
        return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "WAV: the data come before the format");
      return bytes <= reader_left(r) && reader_sub(r, (size_t)bytes, data) ? LEDGE_OK : wav_truncated(r, error);
    }
    if (!reader_sub(r, size, &chunk)) return wav_truncated(r, error);
    if (size & 1) reader_skip(r, 1);
    if (memcmp(id, "ds64", 4) == 0 && (!reader_skip(&chunk, 8) || !reader_u64le(&chunk, &data_bytes)))
      return wav_truncated(&chunk, error);
    if (memcmp(id, "fmt ", 4) == 0) {
      has_fmt = wav_read_fmt(&chunk, f);
      if (!has_fmt) return wav_truncated(&chunk, error);
    }
  }
}

static ledge_status wav_check(const wav_format *f, ledge_error *error) {
  bool known = (f->tag == WAV_PCM && (f->bits == 8 || f->bits == 16 || f->bits == 24 || f->bits == 32)) ||
               (f->tag == WAV_FLOAT && (f->bits == 32 || f->bits == 64)) ||
               ((f->tag == WAV_ALAW || f->tag == WAV_ULAW) && f->bits == 8);
  if (!known)
    return error_set(
        error, LEDGE_ERROR_UNSUPPORTED,
        "WAV: encoding %d of %d bits; this ledge reads PCM of 8 to 32 bits, float of 32 and 64, A-law and mu-law",
        f->tag, f->bits);
  if (f->channels < 1 || f->channels > AUDIO_CHANNELS_MAX || f->rate < 1 || f->rate > AUDIO_RATE_MAX)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "WAV: %d channels at %" PRIu32 " Hz; the limits are 1 to %d channels and 1 to %d Hz", f->channels,
                     f->rate, AUDIO_CHANNELS_MAX, AUDIO_RATE_MAX);
  if (f->frame_bytes != f->channels * f->bits / 8)
    return error_set(error, LEDGE_ERROR_FORMAT, "WAV: frames of %d bytes do not fit %d channels of %d bits",
                     f->frame_bytes, f->channels, f->bits);
  return LEDGE_OK;
}

/* ITU-T G.711: sign, exponent of 3 bits, mantissa of 4; full scale is 32,768. */
static float alaw_value(uint8_t code) {
  code ^= 0x55;
  int exponent = code >> 4 & 7, v = (code & 15) << 4;
  v = exponent == 0 ? v + 8 : (v + 0x108) << (exponent - 1);
  return (float)(code & 0x80 ? v : -v) / 32768.0f;
}
static float ulaw_value(uint8_t code) {
  code = (uint8_t)~code;
  int v = ((((code & 15) << 3) + 0x84) << (code >> 4 & 7)) - 0x84;
  return (float)(code & 0x80 ? -v : v) / 32768.0f;
}

static float wav_sample(const wav_format *f, const uint8_t *p) {
  double wide;
  float narrow;
  switch (f->tag == WAV_PCM ? f->bits : f->tag == WAV_FLOAT ? 100 + f->bits : 200 + f->tag) {
    case 8: return (float)(p[0] - 128) / 128.0f;
    case 16: return (float)(int16_t)(p[0] | p[1] << 8) / 32768.0f;
    case 24:
      return (float)((int32_t)((uint32_t)p[0] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 24) >> 8) / 8388608.0f;
    case 32:
      return (float)((double)(int32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) /
                     2147483648.0);
    case 132: memcpy(&narrow, p, 4); return narrow;
    case 164: memcpy(&wide, p, 8); return (float)wide;
    case 200 + WAV_ALAW: return alaw_value(p[0]);
    default: return ulaw_value(p[0]);
  }
}

ledge_status audio_decode_wav(const void *data, size_t size, audio_clip *ret, ledge_error *error) {
  reader r = reader_make(data, size, 0), body = {0};
  wav_format f = {0};
  TRY(wav_read_chunks(&r, &f, &body, error));
  TRY(wav_check(&f, error));
  int64_t frames = (int64_t)(body.size / f.frame_bytes), channels = f.channels;
  if (frames > AUDIO_SAMPLES_MAX / channels)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "WAV: %" PRId64 " frames of %" PRId64 " channels; the limit is %" PRId64 " samples", frames,
                     channels, AUDIO_SAMPLES_MAX);
  tensor t = {.dtype = LEDGE_F32, .rank = 2, .dims = {channels, frames}};
  TRY(tensor_alloc(&t, error));
  float *out = t.data;
  size_t each = f.bits / 8u;
  for (int64_t c = 0; c < channels; c++) {
    const uint8_t *p = body.data + (size_t)c * each;
    for (int64_t i = 0; i < frames; i++, p += f.frame_bytes) *out++ = wav_sample(&f, p);
  }
  audio_deinit(ret);
  *ret = (audio_clip){.samples = t, .sample_rate = (int)f.rate};
  return LEDGE_OK;
}

ledge_status audio_encode_wav(const tensor *samples, int sample_rate, uint8_t **ret_data, size_t *ret_size,
                              ledge_error *error) {
  int64_t channels = samples->dims[0], frames = samples->dims[1];
  if (samples->dtype != LEDGE_F32 || samples->rank != 2 || channels < 1 || channels > AUDIO_CHANNELS_MAX)
    return error_set(error, LEDGE_ERROR_SHAPE, "sound to write must be f32 [channels, frames], 1 to %d channels",
                     AUDIO_CHANNELS_MAX);
  if (sample_rate < 1 || sample_rate > AUDIO_RATE_MAX || frames > AUDIO_SAMPLES_MAX / channels)
    return error_set(error, LEDGE_ERROR_LIMIT, "WAV: %" PRId64 " frames at %d Hz pass the limits", frames, sample_rate);
  writer w = {0};
  uint32_t bytes = (uint32_t)(2 * channels * frames);
  writer_reserve(&w, (size_t)bytes + 44);
  writer_text(&w, "RIFF");
  writer_u32le(&w, bytes + 36);
  writer_text(&w, "WAVEfmt ");
  writer_u32le(&w, 16);
  writer_u16le(&w, WAV_PCM);
  writer_u16le(&w, (uint16_t)channels);
  writer_u32le(&w, (uint32_t)sample_rate);
  writer_u32le(&w, (uint32_t)(sample_rate * 2 * channels));
  writer_u16le(&w, (uint16_t)(2 * channels));
  writer_u16le(&w, 16);
  writer_text(&w, "data");
  writer_u32le(&w, bytes);
  const float *in = samples->data;
  for (int64_t i = 0; i < frames; i++) {
    for (int64_t c = 0; c < channels; c++) {
      float v = in[c * frames + i] * 32768.0f;
      long rounded = v >= 32767.0f ? 32767 : v <= -32768.0f ? -32768 : v == v ? lrintf(v) : 0;
      writer_u16le(&w, (uint16_t)(int16_t)rounded);
    }
  }
  TRY(writer_check(&w, "a WAV file", error));
  *ret_data = writer_take(&w, ret_size);
  return LEDGE_OK;
}
