/* media/audio: choosing the codec, and the steps behind it. */
#include "media/audio.h"

#include "base/error.h"
#include "media/audio_codec.h"

#include <inttypes.h>
#include <string.h>

typedef enum sound_kind { SOUND_UNKNOWN = 0, SOUND_WAV, SOUND_OTHER } sound_kind;

void audio_deinit(audio_clip *clip) {
  tensor_deinit(&clip->samples);
  clip->sample_rate = 0;
}

static sound_kind sniff(const uint8_t *p, size_t size) {
  if (size < 12) return SOUND_UNKNOWN;
  if ((memcmp(p, "RIFF", 4) == 0 || memcmp(p, "RF64", 4) == 0) && memcmp(p + 8, "WAVE", 4) == 0) return SOUND_WAV;
  if (memcmp(p, "fLaC", 4) == 0 || memcmp(p, "OggS", 4) == 0 || memcmp(p, ".snd", 4) == 0 || memcmp(p, "caff", 4) == 0)
    return SOUND_OTHER;
  if (memcmp(p, "FORM", 4) == 0 && (memcmp(p + 8, "AIFF", 4) == 0 || memcmp(p + 8, "AIFC", 4) == 0)) return SOUND_OTHER;
  return SOUND_UNKNOWN;
}

bool audio_sniff(const void *data, size_t size) {
  sound_kind kind = sniff(data, size);
#ifdef LEDGE_WITH_SNDFILE
  return kind != SOUND_UNKNOWN;
#else
  return kind == SOUND_WAV;
#endif
}

static ledge_status decode(const void *data, size_t size, audio_clip *clip, ledge_error *error) {
  sound_kind kind = sniff(data, size);
  if (kind == SOUND_UNKNOWN)
    return error_set_at(error, LEDGE_ERROR_UNSUPPORTED, 0,
                        "the first bytes are those of no sound file that ledge knows: WAV, FLAC, Ogg, AIFF, AU or CAF");
  if (kind == SOUND_WAV) {
    ledge_status status = audio_decode_wav(data, size, clip, error);
#ifdef LEDGE_WITH_SNDFILE
    if (status == LEDGE_ERROR_UNSUPPORTED)
      status = audio_decode_sndfile(data, size, clip, error); /* ADPCM and the like */
#endif
    return status;
  }
#ifdef LEDGE_WITH_SNDFILE
  return audio_decode_sndfile(data, size, clip, error);
#else
  return error_set(
      error, LEDGE_ERROR_UNSUPPORTED,
      "this sound file is no WAV, and this ledge was built without libsndfile: build it with -Dsndfile=enabled");
#endif
}

/* Puts the outcome of a step in the place of its input. */
static void take(tensor *samples, tensor *made) {
  tensor_deinit(samples);
  *samples = *made;
  *made = (tensor){0};
}

ledge_status audio_decode(const void *data, size_t size, const audio_options *options, audio_clip *ret,
                          ledge_error *error) {
  static const audio_options none = {0};
  if (!options) options = &none;
  audio_clip clip = {0};
  tensor made = {0};
  ledge_status status = decode(data, size, &clip, error);
  if (status == LEDGE_OK && options->mono && clip.samples.dims[0] > 1) {
    status = audio_mono(&clip.samples, &made, error);
    if (status == LEDGE_OK) take(&clip.samples, &made);
  }
  if (status == LEDGE_OK && options->sample_rate > 0 && options->sample_rate != clip.sample_rate) {
    status = audio_resample(&clip.samples, clip.sample_rate, options->sample_rate, &made, error);
    if (status == LEDGE_OK) take(&clip.samples, &made);
    clip.sample_rate = options->sample_rate;
  }
  if (status == LEDGE_OK && options->length > 0 && options->length != clip.samples.dims[1]) {
    status = audio_fit_length(&clip.samples, options->length, &made, error);
    if (status == LEDGE_OK) take(&clip.samples, &made);
  }
  if (status) {
    audio_deinit(&clip);
    return status;
  }
  audio_deinit(ret);
  *ret = clip;
  return LEDGE_OK;
}

static ledge_status check_samples(const tensor *samples, ledge_error *error) {
  if (samples->dtype != LEDGE_F32 || samples->rank != 2 || samples->dims[0] < 1 || samples->dims[1] < 0)
    return error_set(error, LEDGE_ERROR_SHAPE, "sound must be f32 [channels, frames]");
  return LEDGE_OK;
}

ledge_status audio_mono(const tensor *samples, tensor *ret_out, ledge_error *error) {
  TRY(check_samples(samples, error));
  int64_t channels = samples->dims[0], frames = samples->dims[1];
  tensor t = {.dtype = LEDGE_F32, .rank = 2, .dims = {1, frames}};
  TRY(tensor_alloc(&t, error));
  const float *in = samples->data;
  float *out = t.data;
  for (int64_t i = 0; i < frames; i++) {
    double sum = 0;
    for (int64_t c = 0; c < channels; c++) sum += in[c * frames + i];
    out[i] = (float)(sum / (double)channels);
  }
  tensor_deinit(ret_out);
  *ret_out = t;
  return LEDGE_OK;
}

ledge_status audio_fit_length(const tensor *samples, int64_t length, tensor *ret_out, ledge_error *error) {
  TRY(check_samples(samples, error));
  int64_t channels = samples->dims[0], frames = samples->dims[1], kept = frames < length ? frames : length;
  if (length < 0 || length > AUDIO_SAMPLES_MAX / channels)
    return error_set(error, LEDGE_ERROR_LIMIT, "a sound of %" PRId64 " frames: the limit is %" PRId64 " samples",
                     length, AUDIO_SAMPLES_MAX);
  tensor t = {.dtype = LEDGE_F32, .rank = 2, .dims = {channels, length}};
  TRY(tensor_alloc(&t, error));
  for (int64_t c = 0; c < channels; c++) {
    float *out = (float *)t.data + c * length;
    if (kept) memcpy(out, (const float *)samples->data + c * frames, (size_t)kept * sizeof *out);
    if (length > kept) memset(out + kept, 0, (size_t)(length - kept) * sizeof *out);
  }
  tensor_deinit(ret_out);
  *ret_out = t;
  return LEDGE_OK;
}
