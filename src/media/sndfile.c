/* media/sndfile: FLAC, Ogg, AIFF and the rarer kinds of WAV through libsndfile, in memory. What the header says of the
 * length is not believed: blocks are read until there are no more, into memory that doubles. */
#include <sndfile.h>

#include "base/error.h"
#include "base/writer.h"
#include "media/audio.h"
#include "media/audio_codec.h"

#include <inttypes.h>

#define SOUND_BLOCK_SAMPLES 16384

typedef struct sound_source {
  const uint8_t *data;
  sf_count_t size, pos;
} sound_source;

static sf_count_t sound_on_length(void *user) { return ((sound_source *)user)->size; }
static sf_count_t sound_on_tell(void *user) { return ((sound_source *)user)->pos; }
static sf_count_t sound_on_seek(sf_count_t offset, int whence, void *user) {
  sound_source *s = user;
  sf_count_t from = whence == SEEK_CUR ? s->pos : whence == SEEK_END ? s->size : 0;
  if (offset < -from || offset > s->size - from) return -1;
  s->pos = from + offset;
  return s->pos;
}
static sf_count_t sound_on_read(void *to, sf_count_t n, void *user) {
  sound_source *s = user;
  if (n > s->size - s->pos) n = s->size - s->pos;
  if (n <= 0) return 0;
  memcpy(to, s->data + s->pos, (size_t)n);
  s->pos += n;
  return n;
}
static sf_count_t sound_on_write(const void *from, sf_count_t n, void *user) { return 0; }

static ledge_status sound_check(const SF_INFO *info, ledge_error *error) {
  if (info->channels < 1 || info->channels > AUDIO_CHANNELS_MAX || info->samplerate < 1 ||
      info->samplerate > AUDIO_RATE_MAX)
    return error_set(error, LEDGE_ERROR_LIMIT,
                     "sound file: %d channels at %d Hz; the limits are 1 to %d channels and 1 to %d Hz", info->channels,
                     info->samplerate, AUDIO_CHANNELS_MAX, AUDIO_RATE_MAX);
  return LEDGE_OK;
}

/* All frames, the channels side by side, as f32; `limit` samples at most. */
static ledge_status sound_collect(SNDFILE *file, const SF_INFO *info, int64_t limit, writer *out, ledge_error *error) {
  float block[SOUND_BLOCK_SAMPLES];
  sf_count_t frames = SOUND_BLOCK_SAMPLES / info->channels;
  for (;;) {
    sf_count_t n = sf_readf_float(file, block, frames);
    if (n <= 0) break;
    if ((int64_t)(out->size / sizeof(float)) > limit - n * info->channels)
      return error_set(error, LEDGE_ERROR_LIMIT,
                       "sound file: more than %" PRId64 " samples, which is the limit for a file of its size: cut it",
                       limit);
    writer_bytes(out, block, (size_t)(n * info->channels) * sizeof *block);
    TRY(writer_check(out, "a sound", error));
  }
  int code = sf_error(file);
  if (code != SF_ERR_NO_ERROR) return error_set(error, LEDGE_ERROR_FORMAT, "sound file: %s", sf_error_number(code));
  return LEDGE_OK;
}

static ledge_status sound_split(const writer *in, const SF_INFO *info, audio_clip *ret, ledge_error *error) {
  int64_t channels = info->channels, frames = (int64_t)(in->size / sizeof(float)) / channels;
  tensor t = {.dtype = LEDGE_F32, .rank = 2, .dims = {channels, frames}};
  TRY(tensor_alloc(&t, error));
  const float *p = (const float *)(const void *)in->data;
  float *out = t.data;
  for (int64_t c = 0; c < channels; c++)
    for (int64_t i = 0; i < frames; i++) *out++ = p[i * channels + c];
  audio_deinit(ret);
  *ret = (audio_clip){.samples = t, .sample_rate = info->samplerate};
  return LEDGE_OK;
}

ledge_status audio_decode_sndfile(const void *data, size_t size, audio_clip *ret, ledge_error *error) {
  sound_source source = {.data = data, .size = (sf_count_t)size};
  SF_VIRTUAL_IO io = {.get_filelen = sound_on_length,
                      .seek = sound_on_seek,
                      .read = sound_on_read,
                      .write = sound_on_write,
                      .tell = sound_on_tell};
  SF_INFO info = {0};
  SNDFILE *file = sf_open_virtual(&io, SFM_READ, &info, &source);
  if (!file) return error_set(error, LEDGE_ERROR_FORMAT, "sound file: %s", sf_strerror(NULL));
  writer samples = {0};
  ledge_status status = sound_check(&info, error);
  int64_t limit = AUDIO_SAMPLES_FREE + (int64_t)(size < (1u << 20) ? size : 1u << 20) * AUDIO_SAMPLES_PER_BYTE;
  if (limit > AUDIO_SAMPLES_MAX) limit = AUDIO_SAMPLES_MAX;
  if (status == LEDGE_OK) status = sound_collect(file, &info, limit, &samples, error);
  if (status == LEDGE_OK) status = sound_split(&samples, &info, ret, error);
  writer_deinit(&samples);
  sf_close(file);
  return status;
}
