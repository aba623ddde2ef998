/* clang-format off: tables */
/* media/features: sound -> spectrogram, mel spectrogram, MFCC, exactly as the toolkit that a model was trained with.
 *
 *   samples -> length -> scale -> frames -> [- mean] -> [energy] -> [pre-emphasis] -> window -> FFT -> |.|^power
 *           -> mel filters -> log -> [DCT -> lifter] -> normalise -> layout
 *
 * Toolkits differ in every one of these steps, and a model given another's features gives bad answers without a word,
 * so every step is a field of audio_features and a preset fills them all. As a text:
 *
 *   KIND:item=value,...     KIND is wave, spectrogram, mel or mfcc
 *   mel:preset=whisper,mels=128        mfcc:preset=kaldi,mels=40,ceps=40        wave:rate=16000,length=15600,layout=nt
 *
 *   preset        as computed by                                                  shape of the result
 *   librosa       librosa 0.10 feature.melspectrogram, power_to_db(ref=1), mfcc   [features, frames]
 *   librosa-htk   the same with htk=True, norm=None (mfcc: dct_type 2, ortho)     [features, frames]
 *   torchaudio    torchaudio.transforms.MelSpectrogram + AmplitudeToDB(), MFCC    [features, frames]
 *   whisper       openai/whisper log_mel_spectrogram(pad_or_trim(audio))          [features, frames]
 *   kaldi         compute-fbank-feats, compute-mfcc-feats at dither 0             [frames, features]
 *   htk           HTK 3.4 HCopy: FBANK and MFCC_0 of the HTK book's chapter 3     [frames, features]
 *   tensorflow    tf.signal as in the guide of mfccs_from_log_mel_spectrograms    [frames, features]
 *
 *   item          values                                 item          values
 *   rate          Hz                                     mels          number of mel bands
 *   length        samples; 0: as it comes                fmin, fmax    Hz; fmax <= 0: that much below half the rate
 *   gain          factor on samples of +-1               melscale      htk | slaney
 *   fft win hop   samples                                melshape      hz | mel: what the triangles are straight in
 *   window        hann hamming povey blackman rect       norm          none | slaney
 *   periodic      0 | 1                                  log           none ln log10 db (ln, log10: of floor or above)
 *   framing       center | snip | mirror                 floor         least value under the logarithm
 *   padmode       reflect | zero | edge                  offset        added under the logarithm
 *   droplast      0 | 1                                  ref           db: 0 dB is this, or `max`
 *   dc            0 | 1: remove each frame's mean        topdb         db: this far below the maximum; 0: no limit
 *   preemphasis   coefficient                            ceps          number of cepstra
 *   power         1 | 2                                  dct           ortho | htk
 *   energy        none | raw | windowed                  lifter        coefficient; 0: none
 *   energyfloor   value                                  c0last        0 | 1
 *   normalize     none whisper mean meanvar              layout        letters: f t once each, n and c for dims of 1
 *   lifterfrom    0 | 1: the first cepstrum's k          preset        a name of the table above
 */
/* clang-format on */
#ifndef MEDIA_FEATURES_H
#define MEDIA_FEATURES_H

#include "ledge/types.h"
#include "media/audio.h"

typedef enum features_kind { FEATURES_WAVE = 0, FEATURES_SPECTROGRAM, FEATURES_MEL, FEATURES_MFCC } features_kind;
typedef enum features_window {
  FEATURES_WINDOW_HANN = 0,
  FEATURES_WINDOW_HAMMING,
  FEATURES_WINDOW_POVEY, /* hann^0.85 */
  FEATURES_WINDOW_BLACKMAN,
  FEATURES_WINDOW_RECT,
} features_window;
typedef enum features_framing {
  FEATURES_FRAMING_CENTER = 0, /* frame i is n_fft samples around i * hop, the window in its middle; ends are padded */
  FEATURES_FRAMING_SNIP,       /* frame i is win samples from i * hop, all inside the signal, zeros up to n_fft */
  FEATURES_FRAMING_MIRROR,     /* Kaldi's snip-edges=false: win samples around (i + 1/2) * hop, mirrored at the ends */
} features_framing;
typedef enum features_pad { FEATURES_PAD_REFLECT = 0, FEATURES_PAD_ZERO, FEATURES_PAD_EDGE } features_pad;
typedef enum features_mel_scale { FEATURES_MEL_HTK = 0, FEATURES_MEL_SLANEY } features_mel_scale;
typedef enum features_log { FEATURES_LOG_NONE = 0, FEATURES_LOG_LN, FEATURES_LOG_LOG10, FEATURES_LOG_DB } features_log;
typedef enum features_energy {
  FEATURES_ENERGY_NONE = 0,
  FEATURES_ENERGY_RAW,
  FEATURES_ENERGY_WINDOWED
} features_energy;
typedef enum features_normalize {
  FEATURES_NORMALIZE_NONE = 0,
  FEATURES_NORMALIZE_WHISPER, /* (max(x, max - 8) + 4) / 4 */
  FEATURES_NORMALIZE_MEAN,    /* of each feature over time */
  FEATURES_NORMALIZE_MEANVAR,
} features_normalize;

#define FEATURES_FFT_MAX 65536
#define FEATURES_BANDS_MAX 4096
#define FEATURES_OUTPUT_MAX ((int64_t)1 << 28) /* elements */
#define FEATURES_LAYOUT_MAX 6

typedef struct audio_features {
  features_kind kind;
  int sample_rate; /* Hz */
  int64_t length;  /* samples, cut or padded with zeros at the end; 0: as it comes */
  double gain;     /* 32768 for toolkits that work on 16-bit samples */
  int n_fft, win_length, hop_length;
  features_window window;
  bool window_periodic;
  features_framing framing;
  features_pad pad_mode; /* CENTER */
  bool drop_last_frame;
  bool remove_dc;
  double preemphasis; /* within each frame: x[i] - c x[i-1], x[0] - c x[0]; 0: none */
  double power;       /* 1: magnitude, 2: power */
  features_mel_scale mel_scale;
  bool mel_linear_hz;   /* triangles straight in Hz (librosa) or in mel (HTK, Kaldi, TensorFlow) */
  bool mel_norm_slaney; /* each triangle has area 1 */
  double fmin, fmax;    /* Hz; fmax <= 0: sample_rate / 2 + fmax */
  int n_mels;
  features_log log;
  double log_floor;  /* max(x, floor) before the logarithm */
  double log_offset; /* x + offset */
  double db_ref;     /* 0: the maximum of the whole spectrogram */
  double db_top;     /* 0: no limit */
  int n_ceps;
  bool dct_ortho;       /* else sqrt(2 / n_mels) for the row 0 too, as HTK */
  double lifter;        /* 1 + L/2 sin(pi k / L) */
  bool lifter_from_one; /* librosa counts k from 1 */
  bool c0_last;
  features_energy energy; /* MFCC: ln of the frame's energy takes the place of c0; MEL: is put before the bands */
  double energy_floor;    /* 0: none but the smallest float step */
  features_normalize normalize;
  char layout[FEATURES_LAYOUT_MAX + 1]; /* such as "ft", "ntf", "nctf"; WAVE: "t", "nt", "nct" */
} audio_features;

/* Fills all fields for a preset name of the table above. Error ARGUMENT lists the presets. */
ledge_status audio_features_preset(const char *preset, features_kind kind, audio_features *ret, ledge_error *error);
/* Reads "KIND:item=value,...". The preset item counts first, wherever it stands; without one: librosa. Changing fft,
 * hop or rate changes no other field, save that `fft` sets `win` too where win is not given and was equal to fft. */
ledge_status audio_features_parse(const char *spec, audio_features *ret, ledge_error *error);
/* Whether the fields fit each other; error ARGUMENT says which does not. */
ledge_status audio_features_check(const audio_features *f, ledge_error *error);

/* Everything that depends on the fields alone: window, filters, DCT, FFT plan. Constant after creation; any thread. */
typedef struct features_plan features_plan;
ledge_status features_plan_create(const audio_features *f, features_plan **ret, ledge_error *error);
void features_plan_destroy(features_plan *plan); /* NULL passes */
/* Frames for n samples (after `length`); 0 where the signal is too short. */
int64_t features_plan_frames(const features_plan *plan, int64_t n_samples);
/* Features of a frame. */
int features_plan_width(const features_plan *plan);
/* n mono samples of +-1 at the plan's rate -> *ret, an owned f32 tensor in the plan's layout. */
ledge_status features_plan_run(const features_plan *plan, const float *samples, int64_t n, tensor *ret,
                               ledge_error *error);
/* The whole way: mono, resample, features. */
ledge_status audio_features_run(const audio_features *f, const audio_clip *clip, tensor *ret, ledge_error *error);

/* The mel filter bank of f (rate, n_fft, n_mels, fmin, fmax, scale, shape, norm): weights[n_mels][n_fft / 2 + 1]. */
ledge_status features_mel_filters(const audio_features *f, double *weights, ledge_error *error);
/* Window of n >= 1 points. */
void features_window_fill(features_window window, bool periodic, int n, double *ret);

#endif
