/* api/load: files of the world to values; see ledge.h, section 4. What a file is, is told by its contents; what it
 * becomes, by the recipe and by what the input declares. */
#include "api/api.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/writer.h"
#include "formats/npy/npy.h"
#include "media/audio.h"
#include "media/features.h"
#include "media/image.h"
#include "media/preprocess.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOAD_STREAM_BYTES_MAX = 256 << 20 };

typedef struct load {
  const uint8_t *data;
  size_t size;
  const char *path, *recipe;
  const ledge_value_info *want;
} load;

/* The part of a recipe that begins with `kind:`, up to the next ';'; "" where there is none. */
static ledge_status recipe_part(const char *recipe, const char *kind, char *ret, size_t size, ledge_error *error) {
  size_t n = strlen(kind);
  ret[0] = 0;
  for (const char *p = recipe; p && *p;) {
    const char *end = strchr(p, ';');
    size_t length = end ? (size_t)(end - p) : strlen(p);
    if (length > n && !memcmp(p, kind, n) && p[n] == ':') {
      if (length - n - 1 >= size)
        return error_set(error, LEDGE_ERROR_LIMIT, "a recipe is longer than %zu characters", size);
      memcpy(ret, p + n + 1, length - n - 1);
      ret[length - n - 1] = 0;
      return LEDGE_OK;
    }
    p = end ? end + 1 : NULL;
  }
  return LEDGE_OK;
}

/* Parts of known kinds, and one at most for pictures and one for sound: a recipe that is not understood would give the
 * model other numbers without a word. */
static ledge_status recipe_check(const char *recipe, ledge_error *error) {
  static const char *const kinds[] = {"image", "mel", "mfcc", "spectrogram", "wave"};
  bool seen[2] = {false, false}; /* pictures, sound */
  for (const char *p = recipe; p && *p; p += *p == ';') {
    size_t name = strcspn(p, ":;"), k = 0;
    while (k < 5 && (strlen(kinds[k]) != name || memcmp(kinds[k], p, name))) k++;
    if (k == 5 || p[name] != ':')
      return error_set(error, LEDGE_ERROR_ARGUMENT,
                       "the recipe's part '%.*s' is of no known kind: image:, mel:, mfcc:, spectrogram: or wave:",
                       (int)(strcspn(p, ";") > 200 ? 200 : strcspn(p, ";")), p);
    if (seen[k > 0])
      return error_set(error, LEDGE_ERROR_ARGUMENT, "the recipe has two parts for %s: give one",
                       k ? "sound" : "pictures");
    seen[k > 0] = true;
    p += strcspn(p, ";");
  }
  return LEDGE_OK;
}

/* Gives an open-shaped tensor the rank that is wanted where only dims of 1 stand between them. */
static ledge_status fit_rank(tensor *t, const ledge_value_info *want) {
  if (want->rank < 0 || want->rank == t->rank) return LEDGE_OK;
  int64_t dims[LEDGE_MAX_RANK];
  int n = 0;
  for (int i = 0; i < t->rank; i++)
    if (t->dims[i] != 1) dims[n++] = t->dims[i];
  if (n > want->rank) return LEDGE_OK; /* the check of the input will say what is wrong */
  int64_t all[LEDGE_MAX_RANK];
  int k = 0, spare = want->rank - n;
  for (int i = 0; i < want->rank; i++) {
    bool one = want->dims[i] == 1 || (want->dims[i] < 0 && spare > 0 && (k >= n || i == 0));
    if (spare > 0 && one && !(k < n && want->dims[i] == dims[k])) {
      all[i] = 1;
      spare--;
    } else if (k < n) {
      all[i] = dims[k++];
    } else {
      all[i] = 1;
    }
  }
  if (shape_elements(want->rank, all) == tensor_elements(t)) tensor_set_shape(t, t->dtype, want->rank, all);
  return LEDGE_OK;
}

static ledge_status load_image(const load *l, tensor *ret, ledge_error *error) {
  char spec[1024], derived[256] = "";
  TRY(recipe_part(l->recipe, "image", spec, sizeof spec, error));
  const ledge_value_info *w = l->want;
  if (!spec[0] && l->recipe && *l->recipe)
    return error_set(error, LEDGE_ERROR_ARGUMENT, "it is a picture, and the recipe has no image: part: '%.200s'",
                     l->recipe);
  if (!spec[0] && w->rank == 4) { /* what the shape suggests: stretched, values as they are in the file */
    bool last = w->dims[3] == 1 || w->dims[3] == 3, first = w->dims[1] == 1 || w->dims[1] == 3;
    int64_t h = w->dims[last && !first ? 1 : 2], width = w->dims[last && !first ? 2 : 3],
            c = w->dims[last && !first ? 3 : 1];
    char size[64] = "";
    if (h > 0 && width > 0) snprintf(size, sizeof size, "resize=%lldx%lld,", (long long)h, (long long)width);
    snprintf(derived, sizeof derived, "%slayout=%s,color=%s,dtype=%s", size, last && !first ? "nhwc" : "nchw",
             c == 1 ? "gray" : "rgb",
             w->dtype == LEDGE_U8    ? "u8"
             : w->dtype == LEDGE_I8  ? "i8"
             : w->dtype == LEDGE_F16 ? "f16"
                                     : "f32");
  }
  preprocess p;
  TRY(preprocess_parse(spec[0] ? spec : derived, &p, error));
  tensor picture = {0};
  TRY(image_decode(l->data, l->size, &(image_options){.apply_exif = true}, &picture, error));
  ledge_status status = preprocess_run(&p, &picture, ret, error);
  tensor_deinit(&picture);
  return status;
}

/* Samples of an input that takes sound as it is: its largest dim; 0, the whole sound, where that is open and the others
 * can but be a batch and channels. */
static int64_t sound_length(const ledge_value_info *w) {
  int64_t most = 0;
  bool open = w->rank < 0;
  for (int i = 0; i < w->rank; i++) {
    open = open || w->dims[i] < 0;
    if (w->dims[i] > most) most = w->dims[i];
  }
  return open && most <= AUDIO_CHANNELS_MAX ? 0 : most;
}

/* "mel:...", "mfcc:...", "spectrogram:..." or "wave:...". */
static ledge_status load_audio(const load *l, tensor *ret, ledge_error *error) {
  static const char *const kinds[] = {"mel", "mfcc", "spectrogram", "wave"};
  char part[1024], spec[1100] = "";
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !spec[0]; i++) {
    TRY(recipe_part(l->recipe, kinds[i], part, sizeof part, error));
    if (part[0]) snprintf(spec, sizeof spec, "%s:%s", kinds[i], part);
  }
  if (!spec[0] && l->recipe && *l->recipe)
    return error_set(error, LEDGE_ERROR_ARGUMENT,
                     "it is sound, and the recipe has no mel:, mfcc:, spectrogram: or wave: "
                     "part: '%.200s'",
                     l->recipe);
  audio_clip clip = {0};
  audio_features f;
  ledge_status status = LEDGE_OK;
  if (!spec[0]) { /* the samples as they are, cut or padded to what the input takes */
    audio_options o = {.mono = true, .length = sound_length(l->want)};
    TRY(audio_decode(l->data, l->size, &o, &clip, error));
    tensor_share(ret, &clip.samples);
  } else {
    TRY(audio_features_parse(spec, &f, error));
    TRY(audio_decode(l->data, l->size, NULL, &clip, error));
    status = audio_features_run(&f, &clip, ret, error);
  }
  audio_deinit(&clip);
  return status;
}

/* What the input declares as a shape for l->size raw bytes: the last open dim takes the rest. False where the bytes
 * do not fill it. */
static bool raw_shape(const load *l, tensor *ret) {
  const ledge_value_info *w = l->want;
  size_t bits = (size_t)ledge_dtype_bits(w->dtype);
  tensor t = {.dtype = w->dtype, .rank = w->rank};
  if (w->dtype == LEDGE_DTYPE_NONE || w->dtype == LEDGE_STRING || w->rank < 0) return false;
  int64_t known = 1;
  int open = -1;
  for (int i = 0; i < w->rank; i++) {
    t.dims[i] = w->dims[i] < 0 ? 1 : w->dims[i];
    if (w->dims[i] < 0) open = i;
    if (__builtin_mul_overflow(known, t.dims[i], &known)) return false;
  }
  uint64_t elements = (uint64_t)l->size * 8 / bits;
  if (open >= 0 && known > 0) t.dims[open] = (int64_t)(elements / (uint64_t)known);
  *ret = t;
  return tensor_bytes(&t) == l->size;
}

/* Bytes of the tensor's own layout. */
static ledge_status load_raw(const load *l, tensor *ret, ledge_error *error) {
  const ledge_value_info *w = l->want;
  char text[256];
  tensor t;
  if (w->dtype == LEDGE_DTYPE_NONE || w->dtype == LEDGE_STRING || w->rank < 0)
    return error_set(error, LEDGE_ERROR_SHAPE,
                     "it is raw bytes, and input '%s' declares no dtype and shape to read them by: give a .npy file",
                     w->name);
  if (!raw_shape(l, &t))
    return error_set(error, LEDGE_ERROR_SHAPE,
                     "it is no file of a known kind, and as raw bytes its %zu do not fill input '%s', %s %s", l->size,
                     w->name, ledge_dtype_name(w->dtype), shape_print(w->rank, w->dims, text, sizeof text));
  TRY(tensor_alloc(&t, error));
  if (l->size) memcpy(t.data, l->data, l->size);
  *ret = t;
  return LEDGE_OK;
}

/* A text for a string input: the file as one string, without its last line end. */
static ledge_status load_text(const load *l, tensor *ret, ledge_error *error) {
  tensor t = {.dtype = LEDGE_STRING, .rank = l->want->rank < 0 ? 0 : l->want->rank};
  for (int i = 0; i < t.rank; i++) t.dims[i] = 1;
  size_t n = l->size;
  while (n && (l->data[n - 1] == '\n' || l->data[n - 1] == '\r')) n--;
  ledge_status status = tensor_alloc(&t, error);
  if (!status) status = tensor_put_string(&t, 0, (const char *)l->data, n, error);
  if (status) {
    tensor_deinit(&t);
    return status;
  }
  *ret = t;
  return LEDGE_OK;
}

/* Numbers in text: "1 2 3" or "1,2,3". */
static bool is_number_text(const load *l) {
  bool digit = false;
  for (size_t i = 0; i < l->size; i++) {
    uint8_t c = l->data[i];
    if (!c || (!isdigit(c) && !isspace(c) && !strchr("+-.,eEinfINFaA", c))) return false;
    digit = digit || isalnum(c);
  }
  return digit;
}

static const char *next_number(const char *p) {
  while (isspace((unsigned char)*p) || *p == ',') p++;
  return p;
}

static int64_t count_numbers(const char *text) {
  int64_t n = 0;
  for (const char *p = next_number(text); *p; p = next_number(p)) {
    while (*p && *p != ',' && !isspace((unsigned char)*p)) p++;
    n++;
  }
  return n;
}

/* One number of the text into element i of t. */
static ledge_status put_number(const char **at, tensor *t, int64_t i, ledge_error *error) {
  const char *p = *at;
  char *end;
  bool fits;
  errno = 0;
  if (t->dtype == LEDGE_U64) {
    ((uint64_t *)t->data)[i] = strtoull(p, &end, 10);
    fits = *p != '-' && !errno;
  } else if (dtype_is_integer(t->dtype) || t->dtype == LEDGE_BOOL) {
    int64_t v = strtoll(p, &end, 10);
    fits = !errno && (t->dtype != LEDGE_BOOL || v == 0 || v == 1);
    if (fits) dtype_store_i64(t->dtype, t->data, i, v);
    fits = fits && tensor_i64(t, i) == v;
  } else {
    dtype_store_f64(t->dtype, t->data, i, strtod(p, &end));
    fits = true;
  }
  if (end == p || (*end && *end != ',' && !isspace((unsigned char)*end)) || !fits)
    return error_set(error, LEDGE_ERROR_FORMAT, "number %lld, '%.*s', is none that %s can hold", (long long)i + 1,
                     (int)strcspn(p, " ,\t\r\n") > 40 ? 40 : (int)strcspn(p, " ,\t\r\n"), p,
                     ledge_dtype_name(t->dtype));
  *at = next_number(end);
  return LEDGE_OK;
}

static ledge_status load_numbers(const load *l, const char *text, int64_t count, tensor *ret, ledge_error *error) {
  const ledge_value_info *w = l->want;
  tensor t = {.dtype = w->dtype, .rank = w->rank < 0 ? 1 : w->rank};
  int64_t known = 1;
  int open = w->rank < 0 ? 0 : -1;
  for (int i = 0; i < t.rank; i++) {
    t.dims[i] = w->rank < 0 || w->dims[i] < 0 ? 1 : w->dims[i];
    if (w->rank >= 0 && w->dims[i] < 0) open = i;
    if (__builtin_mul_overflow(known, t.dims[i], &known)) known = 0;
  }
  if (open >= 0 && known > 0) t.dims[open] = count / known;
  if (tensor_elements(&t) != count) {
    char shape[256];
    return error_set(error, LEDGE_ERROR_SHAPE, "its %lld numbers do not fill input '%s', %s %s", (long long)count,
                     w->name, ledge_dtype_name(w->dtype), shape_print(w->rank, w->dims, shape, sizeof shape));
  }
  TRY(tensor_alloc(&t, error));
  if (tensor_bytes(&t)) memset(t.data, 0, tensor_bytes(&t)); /* packed types: their last byte may be half used */
  const char *at = next_number(text);
  ledge_status status = LEDGE_OK;
  for (int64_t i = 0; !status && i < count; i++) status = put_number(&at, &t, i, error);
  if (status) {
    tensor_deinit(&t);
    return status;
  }
  *ret = t;
  return LEDGE_OK;
}

/* A file of no known kind: numbers in text, or raw bytes. What has the size of the tensor is raw; the digits of as many
 * numbers as it has elements could be both by chance only where an element takes several bytes. */
static ledge_status load_plain(const load *l, tensor *ret, ledge_error *error) {
  tensor raw;
  bool fills = raw_shape(l, &raw), wide = ledge_dtype_bits(l->want->dtype) > 8;
  if (l->want->dtype == LEDGE_DTYPE_NONE || (fills && !wide) || !is_number_text(l)) return load_raw(l, ret, error);
  char *text = mem_strndup((const char *)l->data, l->size);
  if (!text) return error_memory(error, l->size, "a text");
  int64_t count = count_numbers(text);
  ledge_status status =
      fills && tensor_elements(&raw) != count ? load_raw(l, ret, error) : load_numbers(l, text, count, ret, error);
  mem_free(text);
  return status;
}

static ledge_status load_npz(const load *l, tensor *ret, ledge_error *error) {
  npz *z;
  TRY(npz_open(l->data, l->size, &z, error));
  int64_t at = npz_find(z, l->want->name);
  if (at < 0 && npz_count(z) == 1) at = 0;
  ledge_status status = at < 0 ? error_set(error, LEDGE_ERROR_NAME, "it has no array '%s'; its first is '%s'",
                                           l->want->name, npz_count(z) ? npz_name(z, 0) : "")
                               : npz_read(z, (size_t)at, &(npy_options){l->want->dtype}, ret, error);
  npz_close(z);
  return status;
}

static ledge_status load_tensor(const load *l, tensor *ret, ledge_error *error) {
  ledge_dtype dtype = l->want->dtype;
  if (npy_sniff(l->data, l->size)) return npy_read(l->data, l->size, &(npy_options){dtype}, ret, error);
  if (npz_sniff(l->data, l->size)) return load_npz(l, ret, error);
  /* A byte tensor of one open dim takes an image or sound as it is: decoding is the model's own (ImageDecoder). */
  bool bytes = dtype == LEDGE_U8 && l->want->rank == 1 && !l->recipe;
  ledge_status status;
  if (!bytes && image_sniff(l->data, l->size) != IMAGE_FORMAT_UNKNOWN)
    status = load_image(l, ret, error);
  else if (!bytes && audio_sniff(l->data, l->size))
    status = load_audio(l, ret, error);
  else if (dtype == LEDGE_STRING)
    return load_text(l, ret, error);
  else
    return load_plain(l, ret, error);
  return status ? status : fit_rank(ret, l->want);
}

/* A pipe, a terminal or a socket is read to its end. */
static bool is_stream(const char *path) {
  struct stat st;
  return !stat(path, &st) && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode));
}

static ledge_status read_stream(const char *path, writer *w, ledge_error *error) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return error_set(error, LEDGE_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
  ledge_status status = LEDGE_OK;
  size_t most = cpu_memory_available() / 4;
  if (most > LOAD_STREAM_BYTES_MAX) most = LOAD_STREAM_BYTES_MAX;
  ssize_t n = 1;
  while (!status && n > 0) {
    if (w->size > most)
      status = error_set(error, LEDGE_ERROR_LIMIT, "it goes on after %zu MiB: give a file", most >> 20);
    else if (!writer_reserve(w, 1 << 16))
      status = writer_check(w, "an input", error);
    else if ((n = read(fd, w->data + w->size, 1 << 16)) > 0)
      w->size += (size_t)n;
    else if (n < 0 && errno == EINTR)
      n = 1;
  }
  if (n < 0) status = error_set(error, LEDGE_ERROR_IO, "cannot read it: %s", strerror(errno));
  close(fd);
  return status;
}

ledge_status ledge_value_load(const char *path, const char *recipe, const ledge_value_info *want, ledge_value **ret,
                              ledge_error *error) {
  file_map *map = NULL;
  writer bytes = {0};
  ledge_status status = LEDGE_OK;
  if (is_stream(path)) {
    status = read_stream(path, &bytes, error);
    if (!status) status = file_map_memory(bytes.data, bytes.size, path, &map, error);
    if (status) {
      writer_deinit(&bytes);
      return error_prefix(error, status, "reading %s", path);
    }
  } else {
    TRY(file_map_open(path, &map, error));
  }
  load l = {file_map_data(map), file_map_size(map), path, recipe, want};
  ledge_value *v = mem_zalloc(sizeof *v);
  status = v ? recipe_check(recipe, error) : error_memory(error, sizeof *v, "a value");
  if (!status) status = load_tensor(&l, &v->v.tensor, error);
  if (!status) status = file_map_check(map, error);
  file_map_unref(map);
  writer_deinit(&bytes);
  if (status) {
    ledge_value_destroy(v);
    return error_prefix(error, status, "reading %s", path);
  }
  v->v.kind = VALUE_TENSOR;
  *ret = v;
  return LEDGE_OK;
}

ledge_status ledge_tensor_save_npy(const ledge_tensor *t, const char *path, ledge_error *error) {
  tensor in;
  TRY(api_tensor_in(t, &in, error));
  return npy_write_file(path, &in, error);
}
