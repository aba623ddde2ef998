/* cli/outputs: see outputs.h. What is printed is first made in memory, so that a failed write prints its error alone.
 */
#include "outputs.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LABELS_BYTES_MAX = 64 << 20, TOP_MAX = 100, FILE_NAME_BYTES = 240 /* of the 255 that file systems take */ };

static ledge_status fail(ledge_error *error, ledge_status code, const char *format, ...) LEDGE_PRINTF(3, 4);
static ledge_status fail(ledge_error *error, ledge_status code, const char *format, ...) {
  va_list args;
  error->code = code;
  va_start(args, format);
  vsnprintf(error->message, sizeof error->message, format, args);
  va_end(args);
  return code;
}

static ledge_status fail_memory(ledge_error *error) { return fail(error, LEDGE_ERROR_MEMORY, "out of memory"); }

/* ---- labels ---- */

static ledge_status read_text(const char *path, char **ret, ledge_error *error) {
  FILE *f = fopen(path, "rb");
  if (!f) return fail(error, LEDGE_ERROR_IO, "cannot read labels from %s: %s", path, strerror(errno));
  char *text = NULL;
  size_t size = 0, room = 0, n = 1;
  ledge_status status = LEDGE_OK;
  while (!status && n) {
    if (room - size < 2) {
      char *more = room < LABELS_BYTES_MAX ? realloc(text, room += 65536 + room) : NULL;
      if (!more) {
        status = fail(error, LEDGE_ERROR_LIMIT, "cannot read labels from %s: it is too large", path);
        break;
      }
      text = more;
    }
    size += n = fread(text + size, 1, room - size - 1, f);
  }
  if (!status && ferror(f))
    status = fail(error, LEDGE_ERROR_IO, "cannot read labels from %s: %s", path, strerror(errno));
  fclose(f);
  if (status) {
    free(text);
    return status;
  }
  text[size] = 0;
  *ret = text;
  return LEDGE_OK;
}

ledge_status labels_read(const char *path, const char *text, label_list *ret, ledge_error *error) {
  *ret = (label_list){0};
  if (!path && !text) return LEDGE_OK;
  if (path) {
    ledge_status status = read_text(path, &ret->text, error);
    if (status) return status;
  } else if (!(ret->text = strdup(text))) {
    return fail_memory(error);
  }
  size_t n = 1;
  for (const char *p = ret->text; *p; p++) n += *p == '\n';
  ret->lines = calloc(n, sizeof *ret->lines);
  if (!ret->lines) return fail_memory(error);
  for (char *line = ret->text; *line;) { /* an empty line is a class without a name; the last line end ends the list */
    size_t length = strcspn(line, "\n");
    bool last = !line[length];
    line[length] = 0;
    line[strcspn(line, "\r")] = 0;
    ret->lines[ret->count++] = line;
    if (last) break;
    line += length + 1;
  }
  return LEDGE_OK;
}

void labels_free(label_list *l) {
  free(l->text);
  free(l->lines);
  *l = (label_list){0};
}

/* ---- elements ---- */

static double half_value(uint16_t h) { /* sign, 5 bits of exponent, 10 of fraction */
  int e = (h >> 10) & 31, m = h & 1023;
  double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
  return h & 0x8000 ? -v : v;
}

static bool is_readable(ledge_dtype dtype) {
  return dtype >= LEDGE_F32 && dtype <= LEDGE_BF16 && dtype != LEDGE_STRING && dtype != LEDGE_C64 &&
         dtype != LEDGE_C128;
}

static double element(const ledge_tensor *t, int64_t i) {
  switch (t->dtype) {
    case LEDGE_F32: return ((const float *)t->data)[i];
    case LEDGE_F64: return ((const double *)t->data)[i];
    case LEDGE_I64: return (double)((const int64_t *)t->data)[i];
    case LEDGE_I32: return ((const int32_t *)t->data)[i];
    case LEDGE_U32: return ((const uint32_t *)t->data)[i];
    case LEDGE_U64: return (double)((const uint64_t *)t->data)[i];
    case LEDGE_I16: return ((const int16_t *)t->data)[i];
    case LEDGE_U16: return ((const uint16_t *)t->data)[i];
    case LEDGE_I8: return ((const int8_t *)t->data)[i];
    case LEDGE_U8:
    case LEDGE_BOOL: return ((const uint8_t *)t->data)[i];
    case LEDGE_F16: return half_value(((const uint16_t *)t->data)[i]);
    case LEDGE_BF16: {
      uint32_t u = (uint32_t)((const uint16_t *)t->data)[i] << 16;
      float f;
      memcpy(&f, &u, sizeof f);
      return f;
    }
    default: return NAN;
  }
}

static int64_t elements(const ledge_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++) n *= t->dims[i];
  return n;
}

/* ---- writing ---- */

typedef struct output_state {
  const output_options *o;
  FILE *text; /* what will be printed */
  json j;
  char **files; /* base names that were written */
  size_t n_files;
  bool labels_fit;
  ledge_error *error;
} output_state;

/* The k largest elements, as indices; NaN is below all. */
static size_t top_k(const ledge_tensor *t, int64_t n, size_t k, int64_t *best) {
  size_t found = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = element(t, i);
    size_t at = found;
    while (at > 0 && (v > element(t, best[at - 1]) || (isnan(element(t, best[at - 1])) && !isnan(v)))) at--;
    if (at >= k) continue;
    if (found < k) found++;
    memmove(best + at + 1, best + at, (found - at - 1) * sizeof *best);
    best[at] = i;
  }
  return found;
}

/* Is it a row of classes: as many as there are labels, or, where the best were asked for without labels, any row? */
static bool is_classes(const output_state *s, const ledge_tensor *t) {
  size_t n = s->o->labels->count;
  int64_t longest = 0;
  for (int i = 0; i < t->rank; i++)
    if (t->dims[i] > longest) longest = t->dims[i];
  if (!is_readable(t->dtype) || elements(t) < 2) return false;
  return n ? n > 1 && (int64_t)n == elements(t) : s->o->top_wanted && longest == elements(t);
}

/* A class's label, or its number where there are no labels. */
static const char *class_name(const output_state *s, int64_t i, char text[32]) {
  if (s->o->labels->count) return s->o->labels->lines[i];
  snprintf(text, 32, "%lld", (long long)i);
  return text;
}

static void print_top(output_state *s, const ledge_tensor *t) {
  int64_t best[TOP_MAX];
  char text[32];
  size_t k = top_k(t, elements(t), (size_t)s->o->top, best);
  for (size_t i = 0; i < k; i++) fprintf(s->text, "  %10.5f  %s\n", element(t, best[i]), class_name(s, best[i], text));
}

static void json_top(output_state *s, const ledge_tensor *t) {
  int64_t best[TOP_MAX];
  char text[32];
  size_t k = top_k(t, elements(t), (size_t)s->o->top, best);
  json_key(&s->j, "top"), json_open(&s->j, '[');
  for (size_t i = 0; i < k; i++) {
    json_open(&s->j, '{');
    json_key(&s->j, "label"), json_text(&s->j, class_name(s, best[i], text));
    json_key(&s->j, "value"), json_real(&s->j, element(t, best[i]));
    json_close(&s->j, '}');
  }
  json_close(&s->j, ']');
}

static void print_string(FILE *out, const ledge_string *s) {
  fputs(" \"", out);
  for (size_t i = 0; i < s->size; i++) { /* no control characters: the terminal would obey them */
    unsigned char c = (unsigned char)s->data[i];
    fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
  }
  fputc('"', out);
}

static void print_summary(FILE *out, const char *name, const ledge_tensor *t) {
  char shape[256];
  int64_t n = elements(t);
  fprintf(out, "%s: %s %s", name, ledge_dtype_name(t->dtype), cli_shape(t->rank, t->dims, NULL, shape, sizeof shape));
  if (t->dtype == LEDGE_STRING)
    for (int64_t i = 0; i < n && i < 8; i++) print_string(out, (const ledge_string *)t->data + i);
  if (!is_readable(t->dtype) || !n) {
    fputc('\n', out);
    return;
  }
  double low = INFINITY, high = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = element(t, i);
    low = fmin(low, v);
    high = fmax(high, v);
    sum += v;
  }
  fprintf(out, "  min %.6g, max %.6g, mean %.6g\n ", low, high, sum / (double)n);
  for (int64_t i = 0; i < n && i < 8; i++) fprintf(out, " %.6g", element(t, i));
  fputs(n > 8 ? " ...\n" : "\n", out);
}

/* NAME.npy, where what is no letter, digit, dot, dash or underscore is '_'. A name that an earlier output has by then
 * gets a number; one that no file system takes is cut. */
static ledge_status file_name(output_state *s, const char *name, const char *suffix, char *file, size_t size) {
  char plain[FILE_NAME_BYTES + 1];
  snprintf(plain, sizeof plain, "%s", name);
  for (char *p = plain; *p; p++)
    if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '-' ||
          *p == '_'))
      *p = '_';
  snprintf(file, size, "%s%s.npy", plain, suffix);
  for (size_t i = 0, turn = 2; i < s->n_files; i++) {
    if (strcmp(s->files[i], file)) continue;
    snprintf(file, size, "%s%s_%zu.npy", plain, suffix, turn++);
    i = SIZE_MAX; /* from the start again */
  }
  char **files = realloc(s->files, (s->n_files + 1) * sizeof *files);
  if (files) s->files = files;
  if (!files || !(files[s->n_files] = strdup(file))) return fail_memory(s->error);
  s->n_files++;
  return LEDGE_OK;
}

/* path[size] becomes the file's, or "" where none is asked for. */
static ledge_status save(output_state *s, const char *name, const char *suffix, const ledge_tensor *t, char *path,
                         size_t size) {
  char file[FILE_NAME_BYTES + 80];
  path[0] = 0;
  if (!s->o->folder) return LEDGE_OK;
  ledge_status status = file_name(s, name, suffix, file, sizeof file);
  if (status) return status;
  if ((size_t)snprintf(path, size, "%s/%s", s->o->folder, file) >= size)
    return fail(s->error, LEDGE_ERROR_IO, "the path of output '%.100s' is too long: name a shorter --output folder",
                name);
  return ledge_tensor_save_npy(t, path, s->error);
}

static void json_entry(output_state *s, const char *name, const ledge_tensor *t, const char *path) {
  json_open(&s->j, '{');
  json_key(&s->j, "name"), json_text(&s->j, name);
  json_key(&s->j, "dtype"), json_text(&s->j, t ? ledge_dtype_name(t->dtype) : NULL);
  json_key(&s->j, "shape");
  if (t) {
    json_open(&s->j, '[');
    for (int i = 0; i < t->rank; i++) json_int(&s->j, t->dims[i]);
    json_close(&s->j, ']');
  } else {
    json_text(&s->j, NULL);
  }
  json_key(&s->j, "file"), json_text(&s->j, *path ? path : NULL);
}

static ledge_status write_value(output_state *s, const char *name, const char *suffix, const ledge_value *v) {
  ledge_tensor t, keys;
  char path[4096], keys_path[4096] = "", keys_suffix[48];
  ledge_status status = ledge_value_tensor(v, &t, s->error);
  if (!status) status = save(s, name, suffix, &t, path, sizeof path);
  if (!status && ledge_value_kind(v) == LEDGE_KIND_MAP) { /* a map: its values, and its keys beside them */
    snprintf(keys_suffix, sizeof keys_suffix, "%s.keys", suffix);
    status = ledge_value_keys(v, &keys, s->error);
    if (!status) status = save(s, name, keys_suffix, &keys, keys_path, sizeof keys_path);
  }
  if (status) return status;
  bool labelled = is_classes(s, &t);
  s->labels_fit = s->labels_fit || labelled;
  if (s->o->json) {
    json_entry(s, name, &t, path);
    if (keys_path[0]) json_key(&s->j, "keys_file"), json_text(&s->j, keys_path);
    if (labelled) json_top(s, &t);
    json_close(&s->j, '}');
  } else if (labelled) {
    print_top(s, &t);
  } else {
    print_summary(s->text, name, &t);
  }
  return LEDGE_OK;
}

/* A sequence's items become NAME.0.npy, NAME.1.npy, ...; an empty optional or sequence no file. */
static ledge_status write_output(output_state *s, const ledge_model *m, const ledge_session *session, size_t i) {
  ledge_value_info info;
  ledge_value *v = NULL;
  ledge_status status = ledge_model_output(m, i, &info, s->error);
  if (!status) status = ledge_session_output_value(session, i, &v, s->error);
  if (status) return status;
  bool list = ledge_value_kind(v) == LEDGE_KIND_SEQUENCE;
  size_t n = list ? ledge_value_count(v) : ledge_value_kind(v) != LEDGE_KIND_NONE;
  for (size_t k = 0; !status && k < n; k++) {
    char suffix[32] = "";
    if (list) snprintf(suffix, sizeof suffix, ".%zu", k);
    status = write_value(s, info.name, suffix, list ? ledge_value_item(v, k) : v);
  }
  if (!n && s->o->json) {
    json_entry(s, info.name, NULL, "");
    json_close(&s->j, '}');
  } else if (!n) {
    fprintf(s->text, "%s: %s\n", info.name, list ? "an empty sequence" : "nothing");
  }
  ledge_value_destroy(v);
  return status;
}

static ledge_status write_all(output_state *s, const ledge_model *m, const ledge_session *session, double latency_ms) {
  ledge_status status = LEDGE_OK;
  if (s->o->json) {
    json_open(&s->j, '{');
    json_key(&s->j, "latency_ms"), json_real(&s->j, latency_ms);
    json_key(&s->j, "threads"), json_int(&s->j, ledge_session_threads(session));
    cli_precision_json(&s->j, session);
    json_key(&s->j, "outputs"), json_open(&s->j, '[');
  }
  for (size_t i = 0; !status && i < ledge_model_output_count(m); i++) status = write_output(s, m, session, i);
  if (!status && s->o->labels_must_fit && !s->labels_fit)
    status = fail(s->error, LEDGE_ERROR_SHAPE,
                  "there are %zu labels, and no output has so many numbers: give one label "
                  "a line for each class",
                  s->o->labels->count);
  if (s->o->json) {
    json_close(&s->j, ']');
    json_close(&s->j, '}');
    json_end(&s->j);
  }
  return status;
}

ledge_status outputs_folder(const char *folder, ledge_error *error) {
  struct stat st;
  if (mkdir(folder, 0777) && errno != EEXIST)
    return fail(error, LEDGE_ERROR_IO, "cannot make the folder %.800s: %s", folder, strerror(errno));
  if (stat(folder, &st) || access(folder, W_OK | X_OK))
    return fail(error, LEDGE_ERROR_IO, "cannot write to the folder %.800s: %s", folder, strerror(errno));
  if (!S_ISDIR(st.st_mode)) return fail(error, LEDGE_ERROR_IO, "%.800s is no folder: name one for --output", folder);
  return LEDGE_OK;
}

ledge_status outputs_write(const output_options *o, const ledge_model *m, const ledge_session *session,
                           double latency_ms, ledge_error *error) {
  output_options options = *o;
  if (options.top > TOP_MAX) options.top = TOP_MAX;
  char *text = NULL;
  size_t size = 0;
  output_state s = {.o = &options, .text = open_memstream(&text, &size), .error = error};
  if (!s.text) return fail_memory(error);
  s.j = json_start(s.text);
  ledge_status status = write_all(&s, m, session, latency_ms);
  if (fclose(s.text) && !status) status = fail_memory(error);
  if (!status && (o->json || !o->quiet)) fwrite(text, 1, size, stdout);
  free(text);
  for (size_t i = 0; i < s.n_files; i++) free(s.files[i]);
  free(s.files);
  return status;
}
