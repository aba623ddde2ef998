/* media/audio: sound files in memory -> f32 tensors of shape [channels, frames], full scale at +-1.
 *
 * With LEDGE_WITH_SNDFILE all that libsndfile reads (WAV, FLAC, Ogg, AIFF, ...); without it an own reader of WAV:
 * PCM of 8, 16, 24 and 32 bits, float of 32 and 64, A-law and mu-law. Any thread. */
#ifndef MEDIA_AUDIO_H
#define MEDIA_AUDIO_H

#include "ledge/types.h"
#include "tensor/tensor.h"

#define AUDIO_CHANNELS_MAX 64
#define AUDIO_RATE_MAX 768000
#define AUDIO_SAMPLES_MAX ((int64_t)1 << 28) /* channels * frames of a decoded file or a resampled one */
/* A compressed file may hold so many, and so many more for each of its bytes (silence in FLAC is about 300). */
#define AUDIO_SAMPLES_FREE ((int64_t)1 << 24)
#define AUDIO_SAMPLES_PER_BYTE 512

typedef struct audio_clip {
  tensor samples;  /* f32 [channels, frames], owned */
  int sample_rate; /* Hz */
} audio_clip;

typedef struct audio_options {
  int sample_rate; /* Hz to resample to; 0: the file's own */
  bool mono;       /* mean of the channels */
  int64_t length;  /* frames: the end is cut, or padded with zeros; 0: as it comes */
} audio_options;

void audio_deinit(audio_clip *clip);
/* True where the first bytes look like a sound file that this build can read. */
bool audio_sniff(const void *data, size_t size);
/* Decodes a whole file, then mono, resample, length. options NULL: as it is in the file. *ret untouched on failure. */
ledge_status audio_decode(const void *data, size_t size, const audio_options *options, audio_clip *ret,
                          ledge_error *error);
/* The own WAV reader, always built: the fallback, and the reference for the tests. */
ledge_status audio_decode_wav(const void *data, size_t size, audio_clip *ret, ledge_error *error);
/* Writes f32 [channels, frames] as 16-bit WAV. *ret_data is the caller's to mem_free. */
ledge_status audio_encode_wav(const tensor *samples, int sample_rate, uint8_t **ret_data, size_t *ret_size,
                              ledge_error *error);

/* The steps, each f32 [channels, frames] -> a new owned tensor. */
ledge_status audio_mono(const tensor *samples, tensor *ret_out, ledge_error *error);
/* Band-limited: a windowed sinc (Kaiser, about 100 dB in the stop band, pass band to 0.93 of the lower Nyquist rate),
 * polyphase, so the phases are computed once; the frames of the output are ceil(frames * to / from), and the output is
 * aligned in time with the input. */
ledge_status audio_resample(const tensor *samples, int from_rate, int to_rate, tensor *ret_out, ledge_error *error);
ledge_status audio_fit_length(const tensor *samples, int64_t length, tensor *ret_out, ledge_error *error);

#endif
