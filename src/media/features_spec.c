/* media/features_spec: presets, recipes and the check of their fields. */
#include "base/error.h"
#include "media/features.h"
#include "media/spec.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_words[] = {"wave", "spectrogram", "mel", "mfcc", NULL};

/* --- presets --- */

typedef struct features_preset {
  const char *name;
  audio_features fields; /* kind, layout of WAVE and energy of kinds without it are set after */
} features_preset;

#define LIBROSA_FIELDS                                                                                            \
  .sample_rate = 22050, .gain = 1, .n_fft = 2048, .win_length = 2048, .hop_length = 512, .window_periodic = true, \
  .pad_mode = FEATURES_PAD_ZERO, .power = 2, .mel_linear_hz = true, .n_mels = 128, .log = FEATURES_LOG_DB,        \
  .log_floor = 1e-10, .db_ref = 1, .db_top = 80, .n_ceps = 20, .dct_ortho = true, .lifter_from_one = true,        \
  .layout = "ft"

static const features_preset presets[] = {
    {"librosa", {LIBROSA_FIELDS, .mel_scale = FEATURES_MEL_SLANEY, .mel_norm_slaney = true}},
    {"librosa-htk", {LIBROSA_FIELDS, .mel_scale = FEATURES_MEL_HTK}},
    {"torchaudio",
     {.sample_rate = 16000,
      .gain = 1,
      .n_fft = 400,
      .win_length = 400,
      .hop_length = 200,
      .window_periodic = true,
      .power = 2,
      .mel_linear_hz = true,
      .n_mels = 128,
      .log = FEATURES_LOG_DB,
      .log_floor = 1e-10,
      .db_ref = 1,
      .db_top = 80, /* of MFCC; AmplitudeToDB() alone has no limit */
      .n_ceps = 40,
      .dct_ortho = true,
      .layout = "ft"}},
    {"whisper",
     {.sample_rate = 16000,
      .length = 480000, /* 30 s */
      .gain = 1,
      .n_fft = 400,
      .win_length = 400,
      .hop_length = 160,
      .window_periodic = true,
      .drop_last_frame = true,
      .power = 2,
      .mel_scale = FEATURES_MEL_SLANEY,
      .mel_linear_hz = true,
      .mel_norm_slaney = true,
      .n_mels = 80,
      .log = FEATURES_LOG_LOG10,
      .log_floor = 1e-10,
      .db_ref = 1,
      .n_ceps = 13,
      .dct_ortho = true,
      .normalize = FEATURES_NORMALIZE_WHISPER,
      .layout = "ft"}},
    {"kaldi",
     {.sample_rate = 16000,
      .gain = 32768,
      .n_fft = 512,
      .win_length = 400,
      .hop_length = 160,
      .window = FEATURES_WINDOW_POVEY,
      .framing = FEATURES_FRAMING_SNIP,
      .remove_dc = true,
      .preemphasis = 0.97,
      .power = 2,
      .fmin = 20,
      .n_mels = 23,
      .log = FEATURES_LOG_LN,
      .log_floor = FLT_EPSILON,
      .db_ref = 1,
      .n_ceps = 13,
      .dct_ortho = true,
      .lifter = 22,
      .energy = FEATURES_ENERGY_RAW, /* of MFCC */
      .layout = "tf"}},
    {"htk",
     {.sample_rate = 16000,
      .gain = 32768,
      .n_fft = 512,
      .win_length = 400,
      .hop_length = 160,
      .window = FEATURES_WINDOW_HAMMING,
      .framing = FEATURES_FRAMING_SNIP,
      .preemphasis = 0.97,
      .power = 1,
      .n_mels = 26,
      .log = FEATURES_LOG_LN,
      .log_floor = 1,
      .db_ref = 1,
      .n_ceps = 13, /* 12 and c0 */
      .lifter = 22,
      .c0_last = true,
      .layout = "tf"}},
    {"tensorflow",
     {.sample_rate = 16000,
      .gain = 1,
      .n_fft = 1024,
      .win_length = 1024,
      .hop_length = 256,
      .window_periodic = true,
      .framing = FEATURES_FRAMING_SNIP,
      .power = 1,
      .fmin = 80,
      .fmax = 7600,
      .n_mels = 80,
      .log = FEATURES_LOG_LN,
      .log_offset = 1e-6,
      .db_ref = 1,
      .n_ceps = 13,
      .layout = "tf"}},
};

ledge_status audio_features_preset(const char *preset, features_kind kind, audio_features *ret, ledge_error *error) {
  char names[128] = "";
  for (size_t i = 0, at = 0; i < sizeof presets / sizeof *presets; i++) {
    if (strcmp(presets[i].name, preset) != 0) {
      at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", presets[i].name);
      continue;
    }
    *ret = presets[i].fields;
    ret->kind = kind;
    if (kind != FEATURES_MFCC) ret->energy = FEATURES_ENERGY_NONE;
    if (kind != FEATURES_MFCC && strcmp(preset, "torchaudio") == 0) ret->db_top = 0;
    if (kind == FEATURES_WAVE) {
      memcpy(ret->layout, "nt", 3);
      ret->gain = 1;
      ret->length = 0;
      ret->sample_rate = 16000;
    }
    return LEDGE_OK;
  }
  return error_set(error, LEDGE_ERROR_ARGUMENT, "sound features: there is no preset \"%.40s\"; the presets are %s",
                   preset, names);
}

/* --- recipes --- */

typedef enum item_type {
  ITEM_INT,
  ITEM_INT64,
  ITEM_DOUBLE,
  ITEM_ENUM,
  ITEM_BOOL,
  ITEM_REF,
  ITEM_LAYOUT,
  ITEM_PRESET
} item_type;
typedef struct item_row {
  const char *name;
  item_type type;
  size_t offset;
  const char *words; /* of ENUM and BOOL, in the order of their numbers */
} item_row;

#define FIELD(name) offsetof(audio_features, name)
static const item_row item_rows[] = {
    {"preset", ITEM_PRESET, 0, NULL},
    {"rate", ITEM_INT, FIELD(sample_rate), NULL},
    {"length", ITEM_INT64, FIELD(length), NULL},
    {"gain", ITEM_DOUBLE, FIELD(gain), NULL},
    {"fft", ITEM_INT, FIELD(n_fft), NULL},
    {"win", ITEM_INT, FIELD(win_length), NULL},
    {"hop", ITEM_INT, FIELD(hop_length), NULL},
    {"window", ITEM_ENUM, FIELD(window), "hann hamming povey blackman rect"},
    {"periodic", ITEM_BOOL, FIELD(window_periodic), "0 1"},
    {"framing", ITEM_ENUM, FIELD(framing), "center snip mirror"},
    {"padmode", ITEM_ENUM, FIELD(pad_mode), "reflect zero edge"},
    {"droplast", ITEM_BOOL, FIELD(drop_last_frame), "0 1"},
    {"dc", ITEM_BOOL, FIELD(remove_dc), "0 1"},
    {"preemphasis", ITEM_DOUBLE, FIELD(preemphasis), NULL},
    {"power", ITEM_DOUBLE, FIELD(power), NULL},
    {"melscale", ITEM_ENUM, FIELD(mel_scale), "htk slaney"},
    {"melshape", ITEM_BOOL, FIELD(mel_linear_hz), "mel hz"},
    {"norm", ITEM_BOOL, FIELD(mel_norm_slaney), "none slaney"},
    {"fmin", ITEM_DOUBLE, FIELD(fmin), NULL},
    {"fmax", ITEM_DOUBLE, FIELD(fmax), NULL},
    {"mels", ITEM_INT, FIELD(n_mels), NULL},
    {"log", ITEM_ENUM, FIELD(log), "none ln log10 db"},
    {"floor", ITEM_DOUBLE, FIELD(log_floor), NULL},
    {"offset", ITEM_DOUBLE, FIELD(log_offset), NULL},
    {"ref", ITEM_REF, FIELD(db_ref), NULL},
    {"topdb", ITEM_DOUBLE, FIELD(db_top), NULL},
    {"ceps", ITEM_INT, FIELD(n_ceps), NULL},
    {"dct", ITEM_BOOL, FIELD(dct_ortho), "htk ortho"},
    {"lifter", ITEM_DOUBLE, FIELD(lifter), NULL},
    {"lifterfrom", ITEM_BOOL, FIELD(lifter_from_one), "0 1"},
    {"c0last", ITEM_BOOL, FIELD(c0_last), "0 1"},
    {"energy", ITEM_ENUM, FIELD(energy), "none raw windowed"},
    {"energyfloor", ITEM_DOUBLE, FIELD(energy_floor), NULL},
    {"normalize", ITEM_ENUM, FIELD(normalize), "none whisper mean meanvar"},
    {"layout", ITEM_LAYOUT, FIELD(layout), NULL},
};
enum { ITEM_COUNT = sizeof item_rows / sizeof *item_rows };

static ledge_status unknown_item(spec_text key, ledge_error *error) {
  char names[400] = "";
  for (size_t i = 0, at = 0; i < ITEM_COUNT; i++)
    at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", item_rows[i].name);
  return error_set(error, LEDGE_ERROR_ARGUMENT, "sound features: there is no item \"%.*s\"; the items are %s",
                   SPEC_ARG(key), names);
}

static ledge_status bad_value(const spec_item *item, const char *allowed, ledge_error *error) {
  return error_set(error, LEDGE_ERROR_ARGUMENT, "sound features: %.*s=%.*s is not allowed: give %s",
                   SPEC_ARG(item->key), SPEC_ARG(item->value), allowed);
}

/* Number of the value within "a b c", or -1. */
static int word_number(spec_text text, const char *words) {
  spec_text rest = {words, strlen(words)};
  for (int i = 0; rest.size; i++) {
    spec_text word = spec_split(&rest, ' ');
    if (word.size == text.size && memcmp(word.data, text.data, word.size) == 0) return i;
  }
  return -1;
}

static ledge_status set_item(const item_row *row, const spec_item *item, audio_features *f, ledge_error *error) {
  void *field = (char *)f + row->offset;
  int64_t whole;
  double number;
  int word;
  switch (row->type) {
    case ITEM_INT:
      if (!spec_integer(item->value, 0, INT32_MAX, &whole)) return bad_value(item, "a whole number", error);
      *(int *)field = (int)whole;
      break;
    case ITEM_INT64:
      if (!spec_integer(item->value, 0, AUDIO_SAMPLES_MAX, &whole)) return bad_value(item, "a whole number", error);
      *(int64_t *)field = whole;
      break;
    case ITEM_REF:
    case ITEM_DOUBLE:
      number = 0;
      if (!(row->type == ITEM_REF && spec_is(item->value, "max")) && !spec_number(item->value, &number))
        return bad_value(item, row->type == ITEM_REF ? "a number or max" : "a number or a/b", error);
      *(double *)field = number;
      break;
    case ITEM_ENUM:
    case ITEM_BOOL:
      word = word_number(item->value, row->words);
      if (word < 0) return bad_value(item, row->words, error);
      if (row->type == ITEM_BOOL)
        *(bool *)field = word == 1;
      else
        *(unsigned *)field = (unsigned)word; /* the type of all the enumerations */
      break;
    case ITEM_LAYOUT:
      if (item->value.size < 1 || item->value.size > FEATURES_LAYOUT_MAX)
        return bad_value(item, "letters such as ft, ntf or nctf", error);
      memcpy(f->layout, item->value.data, item->value.size);
      f->layout[item->value.size] = 0;
      break;
    case ITEM_PRESET: break; /* done first */
  }
  return LEDGE_OK;
}

_Static_assert(sizeof(features_window) == sizeof(unsigned) && sizeof(features_normalize) == sizeof(unsigned),
               "set_item writes enumerations as unsigned");

/* Calls for each item; a first round looks for the preset alone. */
static ledge_status read_items(const char *spec, bool only_preset, bool *given, audio_features *f, ledge_error *error) {
  spec_item item;
  for (int n; (n = spec_next(&spec, &item)) != 0;) {
    if (n < 0)
      return error_set(error, LEDGE_ERROR_ARGUMENT, "sound features: \"%.*s\" is not of the form item=value",
                       SPEC_ARG(item.key));
    size_t i = 0;
    while (i < ITEM_COUNT && !spec_is(item.key, item_rows[i].name)) i++;
    if (i == ITEM_COUNT) return unknown_item(item.key, error);
    if (!only_preset) {
      given[i] = true;
      TRY(set_item(&item_rows[i], &item, f, error));
    } else if (item_rows[i].type == ITEM_PRESET) {
      char name[32];
      snprintf(name, sizeof name, "%.*s", (int)(item.value.size < 31 ? item.value.size : 31), item.value.data);
      TRY(audio_features_preset(name, f->kind, f, error));
    }
  }
  return LEDGE_OK;
}

static bool is_given(const bool *given, const char *name) {
  for (size_t i = 0; i < ITEM_COUNT; i++)
    if (strcmp(item_rows[i].name, name) == 0) return given[i];
  return false;
}

ledge_status audio_features_parse(const char *spec, audio_features *ret, ledge_error *error) {
  spec_text rest = {spec, strlen(spec)}, kind = spec_split(&rest, ':');
  int number = spec_choice(kind, kind_words);
  if (number < 0)
    return error_set(
        error, LEDGE_ERROR_ARGUMENT,
        "sound features: \"%.*s\" is no kind; give wave, spectrogram, mel or mfcc, a colon and items, such as "
        "mel:preset=whisper,mels=80",
        SPEC_ARG(kind));
  audio_features f;
  bool given[ITEM_COUNT] = {false};
  TRY(audio_features_preset("librosa", (features_kind)number, &f, error));
  TRY(read_items(rest.data, true, given, &f, error));
  bool full_window = f.win_length == f.n_fft;
  TRY(read_items(rest.data, false, given, &f, error));
  if (full_window && !is_given(given, "win")) f.win_length = f.n_fft;
  TRY(audio_features_check(&f, error));
  *ret = f;
  return LEDGE_OK;
}

/* --- the check --- */

static bool layout_is_valid(const audio_features *f) {
  int frames = 0, features = 0;
  for (const char *p = f->layout; *p; p++) {
    if (!strchr("nctf", *p)) return false;
    frames += *p == 't';
    features += *p == 'f';
  }
  return frames == 1 && features == (f->kind != FEATURES_WAVE);
}

ledge_status audio_features_check(const audio_features *f, ledge_error *error) {
  double nyquist = f->sample_rate / 2.0, fmax = f->fmax > 0 ? f->fmax : nyquist + f->fmax;
  const char *fault = NULL;
  if (f->sample_rate < 1 || f->sample_rate > AUDIO_RATE_MAX)
    fault = "rate must be 1 to 768000 Hz";
  else if (f->length < 0 || f->length > AUDIO_SAMPLES_MAX)
    fault = "length must be 0 to 2^28 samples";
  else if (!layout_is_valid(f))
    fault = f->kind == FEATURES_WAVE ? "layout must hold t once, and else n and c"
                                     : "layout must hold f and t once each, and else n and c";
  else if (!isfinite(f->gain) || f->gain == 0)
    fault = "gain must be a number and not 0";
  if (!fault && f->kind != FEATURES_WAVE) {
    if (f->n_fft < 2 || f->n_fft > FEATURES_FFT_MAX)
      fault = "fft must be 2 to 65536";
    else if (f->win_length < 1 || f->win_length > f->n_fft)
      fault = "win must be 1 to fft";
    else if (f->hop_length < 1)
      fault = "hop must be 1 or more";
    else if (f->power != 1 && f->power != 2)
      fault = "power must be 1 or 2";
    else if (!(f->log_floor >= 0) || !(f->log_offset >= 0) || !(f->db_ref >= 0) || !(f->db_top >= 0) ||
             !(f->energy_floor >= 0))
      fault = "floor, offset, ref, topdb and energyfloor must be 0 or more";
    else if (f->energy != FEATURES_ENERGY_NONE && f->kind == FEATURES_SPECTROGRAM)
      fault = "energy goes with mel and mfcc";
  }
  if (!fault && (f->kind == FEATURES_MEL || f->kind == FEATURES_MFCC)) {
    if (f->n_mels < 1 || f->n_mels > FEATURES_BANDS_MAX)
      fault = "mels must be 1 to 4096";
    else if (!(f->fmin >= 0) || !(fmax > f->fmin) || !(fmax <= nyquist))
      fault = "fmin and fmax must rise from 0 to half the rate";
    else if (f->kind == FEATURES_MFCC && (f->n_ceps < 1 || f->n_ceps > f->n_mels))
      fault = "ceps must be 1 to mels";
    else if (!(f->lifter >= 0))
      fault = "lifter must be 0 or more";
  }
  return fault ? error_set(error, LEDGE_ERROR_ARGUMENT, "sound features: %s", fault) : LEDGE_OK;
}
