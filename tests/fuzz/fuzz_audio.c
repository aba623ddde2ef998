/* tests/fuzz/fuzz_audio: a sound from any bytes, then its features; the last byte chooses the steps. */
#include "fuzz.h"
#include "media/features.h"

/* libsndfile 1.2.0 loses libvorbis's block when the headers of an Ogg file are damaged; that is not ledge's to free. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libsndfile.so\nleak:libvorbis.so\n"; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const specs[] = {"mel:preset=whisper,length=800", "mfcc:preset=kaldi", "wave:length=500",
                                      "mfcc:preset=librosa,fft=256"};
  if (!size) return 0;
  int choice = data[size - 1];
  audio_clip clip = {0}, wav = {0};
  tensor t = {0};
  ledge_error e = {0};
  audio_options options = {.mono = choice & 4, .length = choice & 8 ? 1000 : 0};
  ledge_status status = audio_decode(data, size, &options, &clip, &e);
  FUZZ_CHECK(status == LEDGE_OK || (e.code == status && e.message[0] && !clip.samples.data));
  if (audio_decode_wav(data, size, &wav, &e) == LEDGE_OK) FUZZ_CHECK(wav.samples.dims[0] >= 1);
  if (status == LEDGE_OK && tensor_elements(&clip.samples) < 1 << 14 && choice & 16) {
    audio_features f;
    FUZZ_CHECK(audio_features_parse(specs[choice & 3], &f, NULL) == LEDGE_OK);
    f.sample_rate = clip.sample_rate; /* the time is for the readers, not for resampling */
    if (choice & 32 && clip.sample_rate > 1000 && tensor_elements(&clip.samples) < 1 << 10) f.sample_rate = 16000;
    (void)!audio_features_run(&f, &clip, &t, &e);
  }
  uint8_t *file = NULL;
  size_t file_size;
  if (status == LEDGE_OK && tensor_elements(&clip.samples) < 1 << 14) {
    FUZZ_CHECK(audio_encode_wav(&clip.samples, clip.sample_rate, &file, &file_size, NULL) == LEDGE_OK);
    FUZZ_CHECK(audio_decode_wav(file, file_size, &wav, NULL) == LEDGE_OK &&
               tensor_same_shape(&wav.samples, &clip.samples));
    mem_free(file);
  }
  audio_deinit(&clip);
  audio_deinit(&wav);
  tensor_deinit(&t);
  return 0;
}
