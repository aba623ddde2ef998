/* Sound: WAV of every encoding, FLAC and Ogg by libsndfile, and the steps: mono, resampling, length. */
#include "media/audio.h"

#include "base/writer.h"
#include "test.h"
#ifdef LEDGE_WITH_SNDFILE
#include <sndfile.h>
#endif

/* A WAV file around `n` bytes of data. */
static size_t make_wav(uint8_t *out, int tag, int channels, int rate, int bits, const void *data, size_t n) {
  writer w = {0};
  writer_text(&w, "RIFF");
  writer_u32le(&w, (uint32_t)n + 36);
  writer_text(&w, "WAVEfmt ");
  writer_u32le(&w, 16);
  writer_u16le(&w, (uint16_t)tag);
  writer_u16le(&w, (uint16_t)channels);
  writer_u32le(&w, (uint32_t)rate);
  writer_u32le(&w, 0);
  writer_u16le(&w, (uint16_t)(channels * bits / 8));
  writer_u16le(&w, (uint16_t)bits);
  writer_text(&w, "data");
  writer_u32le(&w, (uint32_t)n);
  writer_bytes(&w, data, n);
  memcpy(out, w.data, w.size);
  n = w.size;
  writer_deinit(&w);
  return n;
}

static void check_encoding(int tag, int bits, const void *data, size_t n, const float *want) {
  uint8_t file[512];
  size_t size = make_wav(file, tag, 1, 8000, bits, data, n);
  audio_clip clip = {0};
  CHECK_INT(audio_decode_wav(file, size, &clip, NULL), LEDGE_OK);
  CHECK_INT(clip.sample_rate, 8000);
  CHECK_INT(clip.samples.dims[1], n / ((size_t)bits / 8));
  for (int64_t i = 0; i < clip.samples.dims[1]; i++) CHECK_NEAR(((float *)clip.samples.data)[i], want[i], 0);
  audio_deinit(&clip);
}

static void test_encodings(void) {
  check_encoding(1, 8, "\x00\x80\xff", 3, (float[]){-1, 0, 127.0f / 128});
  check_encoding(1, 16, "\x00\x80\x00\x00\xff\x7f", 6, (float[]){-1, 0, 32767.0f / 32768});
  check_encoding(1, 24, "\x00\x00\x80\x00\x00\x40\xff\xff\xff", 9, (float[]){-1, 0.5f, -1.0f / 8388608});
  check_encoding(1, 32, "\x00\x00\x00\x80\x00\x00\x00\x40", 8, (float[]){-1, 0.5f});
  check_encoding(3, 32, (float[]){0.25f, -3}, 8, (float[]){0.25f, -3});
  check_encoding(3, 64, (double[]){0.125, -1}, 16, (float[]){0.125f, -1});
  check_encoding(6, 8, "\xd5\x55\xaa\x2a", 4,
                 (float[]){8 / 32768.0f, -8 / 32768.0f, 32256 / 32768.0f, -32256 / 32768.0f});
  check_encoding(7, 8, "\xff\x7f\x80\x00", 4, (float[]){0, 0, 32124 / 32768.0f, -32124 / 32768.0f});
}

static void test_bad_wav(void) {
  uint8_t file[512];
  static const uint8_t zeros[64];
  audio_clip clip = {0};
  ledge_error error;
  size_t size = make_wav(file, 1, 2, 16000, 16, zeros, 64);
  CHECK_INT(audio_decode_wav(file, size, &clip, NULL), LEDGE_OK);
  CHECK_INT(clip.samples.dims[0], 2);
  CHECK_INT(clip.samples.dims[1], 16);
  audio_deinit(&clip);
  for (size_t cut = 0; cut < size; cut++) CHECK_INT(audio_decode_wav(file, cut, &clip, NULL), LEDGE_ERROR_FORMAT);
  memset(file + 40, 0xff, 4); /* an open end: what is there */
  CHECK_INT(audio_decode_wav(file, size, &clip, NULL), LEDGE_OK);
  CHECK_INT(clip.samples.dims[1], 16);
  audio_deinit(&clip);
  memcpy(file + 4, "\10\0\0\0", 4); /* never finished: the sizes of an empty start */
  memset(file + 40, 0, 4);
  CHECK_INT(audio_decode_wav(file, size, &clip, NULL), LEDGE_OK);
  CHECK_INT(clip.samples.dims[1], 16);
  audio_deinit(&clip);
  make_wav(file, 1, 0, 16000, 16, zeros, 64);
  CHECK_INT(audio_decode_wav(file, size, &clip, &error), LEDGE_ERROR_LIMIT);
  make_wav(file, 1, 1, 0, 16, zeros, 64);
  CHECK_INT(audio_decode_wav(file, size, &clip, &error), LEDGE_ERROR_LIMIT);
  make_wav(file, 1, 1, 16000, 12, zeros, 64);
  CHECK_INT(audio_decode_wav(file, size, &clip, &error), LEDGE_ERROR_UNSUPPORTED);
  CHECK(strstr(error.message, "12 bits"));
  make_wav(file, 1, 1, 16000, 16, zeros, 64);
  file[32] = 3;
  CHECK_INT(audio_decode_wav(file, size, &clip, &error), LEDGE_ERROR_FORMAT);
  CHECK_INT(audio_decode("not a sound file", 16, NULL, &clip, &error), LEDGE_ERROR_UNSUPPORTED);
  CHECK(strstr(error.message, "FLAC"));
}

static tensor sine(int64_t channels, int64_t frames, double cycles_per_frame, double amplitude) {
  tensor t = {.dtype = LEDGE_F32, .rank = 2, .dims = {channels, frames}};
  CHECK_INT(tensor_alloc(&t, NULL), LEDGE_OK);
  for (int64_t i = 0; i < channels * frames; i++)
    ((float *)t.data)[i] = (float)(amplitude * sin(2 * M_PI * cycles_per_frame * (double)(i % frames)));
  return t;
}

static void test_wav_round_trip(void) {
  tensor t = sine(2, 300, 0.01, 0.9);
  uint8_t *bytes;
  size_t size;
  audio_clip clip = {0};
  CHECK_INT(audio_encode_wav(&t, 22050, &bytes, &size, NULL), LEDGE_OK);
  CHECK(audio_sniff(bytes, size));
  CHECK_INT(audio_decode(bytes, size, &(audio_options){.mono = true, .length = 400}, &clip, NULL), LEDGE_OK);
  CHECK_INT(clip.sample_rate, 22050);
  CHECK_INT(clip.samples.dims[0], 1);
  CHECK_INT(clip.samples.dims[1], 400);
  for (int i = 0; i < 400; i++)
    CHECK_NEAR(((float *)clip.samples.data)[i], i < 300 ? ((float *)t.data)[i] : 0, 1.0 / 65536 + 1e-9);
  audio_deinit(&clip);
  mem_free(bytes);
  tensor_deinit(&t);
}

/* A tone within the pass band comes out as the same tone; one above the new Nyquist rate is gone. */
static void check_resample(int from, int to, double hz, bool passes) {
  int64_t frames = from / 4;
  tensor in = sine(1, frames, hz / from, 0.5), out = {0};
  CHECK_INT(audio_resample(&in, from, to, &out, NULL), LEDGE_OK);
  int64_t n = out.dims[1];
  CHECK_INT(n, (frames * to + from - 1) / from);
  double worst = 0;
  for (int64_t i = n / 4; i < 3 * n / 4; i++) { /* away from the ends, where the sound begins and stops abruptly */
    double want = passes ? 0.5 * sin(2 * M_PI * hz * (double)i / to) : 0;
    worst = fmax(worst, fabs(((float *)out.data)[i] - want));
  }
  if (!(worst < 3e-5)) TEST_FAIL("%d -> %d Hz, a tone of %g Hz is off by %g", from, to, hz, worst);
  tensor_deinit(&in);
  tensor_deinit(&out);
}

static void test_resample(void) {
  check_resample(44100, 16000, 1000, true);
  check_resample(44100, 16000, 7400, true);
  check_resample(44100, 16000, 8100, false);
  check_resample(44100, 16000, 15000, false);
  check_resample(48000, 16000, 440, true);
  check_resample(48000, 16000, 12000, false);
  check_resample(8000, 16000, 3700, true);
  check_resample(16000, 48000, 7000, true);
  check_resample(22050, 16000, 50, true);
  check_resample(44100, 47999, 9000, true); /* 47,999 phases: the table in between */
  check_resample(47999, 16001, 3000, true);
  check_resample(47999, 16001, 9000, false);
  check_resample(16000, 16000, 3000, true);
}

static void test_resample_edges(void) {
  tensor in = {.dtype = LEDGE_F32, .rank = 2, .dims = {2, 5}, .data = (float[10]){1, 1, 1, 1, 1, 2, 2, 2, 2, 2}},
         out = {0};
  CHECK_INT(audio_resample(&in, 8000, 16000, &out, NULL), LEDGE_OK);
  CHECK(out.dims[0] == 2 && out.dims[1] == 10);
  for (int i = 0; i < 10; i++) CHECK_NEAR(2 * ((float *)out.data)[i], ((float *)out.data)[10 + i], 1e-6);
  in.dims[1] = 0;
  CHECK_INT(audio_resample(&in, 8000, 16000, &out, NULL), LEDGE_OK);
  CHECK_INT(out.dims[1], 0);
  ledge_error error;
  CHECK_INT(audio_resample(&in, 0, 16000, &out, &error), LEDGE_ERROR_ARGUMENT);
  CHECK_INT(audio_resample(&in, 768000, 1, &out, &error), LEDGE_ERROR_LIMIT);
  tensor_deinit(&out);
}

#ifdef LEDGE_WITH_SNDFILE
typedef struct sink {
  uint8_t data[1 << 16];
  sf_count_t size, pos;
} sink;
static sf_count_t sink_length(void *u) { return ((sink *)u)->size; }
static sf_count_t sink_tell(void *u) { return ((sink *)u)->pos; }
static sf_count_t sink_seek(sf_count_t o, int whence, void *u) {
  sink *s = u;
  return s->pos = o + (whence == SEEK_CUR ? s->pos : whence == SEEK_END ? s->size : 0);
}
static sf_count_t sink_read(void *p, sf_count_t n, void *u) {
  sink *s = u;
  if (n > s->size - s->pos) n = s->size - s->pos;
  memcpy(p, s->data + s->pos, (size_t)n);
  s->pos += n;
  return n;
}
static sf_count_t sink_write(const void *p, sf_count_t n, void *u) {
  sink *s = u;
  if (n > (sf_count_t)sizeof s->data - s->pos) return 0;
  memcpy(s->data + s->pos, p, (size_t)n);
  s->pos += n;
  if (s->pos > s->size) s->size = s->pos;
  return n;
}

static void check_format(int format, double tolerance) {
  static sink s;
  s.size = s.pos = 0;
  SF_VIRTUAL_IO io = {sink_length, sink_seek, sink_read, sink_write, sink_tell};
  SF_INFO info = {.samplerate = 16000, .channels = 2, .format = format};
  SNDFILE *f = sf_open_virtual(&io, SFM_WRITE, &info, &s);
  CHECK(f != NULL);
  if (!f) return;
  float block[2 * 4000];
  for (int i = 0; i < 4000; i++) {
    block[2 * i] = (float)(0.5 * sin(2 * M_PI * i * 440 / 16000));
    block[2 * i + 1] = -block[2 * i];
  }
  sf_writef_float(f, block, 4000);
  sf_close(f);
  audio_clip clip = {0};
  CHECK_INT(audio_decode(s.data, (size_t)s.size, NULL, &clip, NULL), LEDGE_OK);
  bool blocks = (format & SF_FORMAT_SUBMASK) == SF_FORMAT_IMA_ADPCM; /* whole blocks only */
  CHECK(clip.sample_rate == 16000 && clip.samples.dims[0] == 2);
  CHECK(blocks ? clip.samples.dims[1] >= 4000 : clip.samples.dims[1] == 4000);
  for (int i = 500; i < 3500 && clip.samples.data; i++)
    CHECK_NEAR(((float *)clip.samples.data)[i], block[2 * i], tolerance);
  audio_deinit(&clip);
}
#endif

static void test_sndfile(void) {
#ifdef LEDGE_WITH_SNDFILE
  check_format(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 1e-4);
  check_format(SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 1e-6);
  check_format(SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 1e-4);
  check_format(SF_FORMAT_AU | SF_FORMAT_FLOAT, 1e-6);
  check_format(SF_FORMAT_CAF | SF_FORMAT_PCM_24, 1e-6);
  check_format(SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 0.05);
  check_format(SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 1e-4);
  check_format(SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 1e-6);
  check_format(SF_FORMAT_OGG | SF_FORMAT_VORBIS, 0.05);
#endif
}

TEST_MAIN({"encodings", test_encodings}, {"bad wav", test_bad_wav}, {"wav round trip", test_wav_round_trip},
          {"resample", test_resample}, {"resample edges", test_resample_edges}, {"sndfile", test_sndfile})
