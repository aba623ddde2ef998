/* cli/common: see cli.h. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int cli_fail(const ledge_error *error) {
  fprintf(stderr, "ledge: %s\n", error->message[0] ? error->message : ledge_status_text(error->code));
  return CLI_FAILED;
}

int cli_failf(const char *format, ...) {
  va_list args;
  fputs("ledge: ", stderr);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  return CLI_FAILED;
}

int cli_flush(int status) {
  bool failed = ferror(stdout);
  errno = 0;
  if (!fflush(stdout) && !failed) return status;
  int why = errno;
  clearerr(stdout);
  return cli_failf("cannot write to the standard output: %s", why ? strerror(why) : "an error before");
}

const char *cli_bytes(double bytes, char *text, size_t size) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int u = 0;
  while (bytes >= 1024 && u < 4) bytes /= 1024, u++;
  snprintf(text, size, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
  return text;
}

const char *cli_count(double n, char *text, size_t size) {
  static const char *const units[] = {"", " thousand", " million", " billion", " trillion"};
  int u = 0;
  while (n >= 1000 && u < 4) n /= 1000, u++;
  snprintf(text, size, u ? "%.1f%s" : "%.0f%s", n, units[u]);
  return text;
}

bool cli_precision(const verb *v, const char *text, ledge_precision *ret) {
  static const char *const names[] = {"float32", "bf16", "auto"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(text ? text : names[0], names[i])) {
      *ret = (ledge_precision)i;
      return true;
    }
  fprintf(stderr, "ledge %s: --precision is float32, bf16 or auto, not '%s'\n", v->name, text);
  return false;
}

static const char *precision_name(ledge_precision p) { return p == LEDGE_PRECISION_BF16 ? "bf16" : "float32"; }

const char *cli_precision_text(const ledge_session *s, char *text, size_t size) {
  ledge_precision_report r;
  ledge_session_precision(s, &r);
  if (!r.measured)
    snprintf(text, size, "%s", precision_name(r.precision));
  else if (!isfinite(r.error))
    snprintf(text, size, "%s (auto: outputs of bf16 cannot be compared with float32's)", precision_name(r.precision));
  else
    snprintf(text, size, "%s (auto: bf16 is %.3g %% off, at most %.3g %%; %.3f ms, float32 %.3f ms)",
             precision_name(r.precision), 100 * r.error, 100 * r.error_limit, r.bf16_ms, r.float32_ms);
  return text;
}

void cli_precision_json(json *j, const ledge_session *s) {
  ledge_precision_report r;
  ledge_session_precision(s, &r);
  json_key(j, "precision"), json_text(j, precision_name(r.precision));
  if (!r.measured) return;
  json_key(j, "precision_auto"), json_open(j, '{');
  json_key(j, "error"), json_real(j, r.error);
  json_key(j, "error_limit"), json_real(j, r.error_limit);
  json_key(j, "float32_ms"), json_real(j, r.float32_ms);
  json_key(j, "bf16_ms"), json_real(j, r.bf16_ms);
  json_close(j, '}');
}

void cli_precision_note(const ledge_session *s) {
  ledge_precision_report r;
  ledge_machine m;
  ledge_session_precision(s, &r);
  if (r.precision != LEDGE_PRECISION_BF16 || r.measured) return;
  ledge_machine_get(&m);
  if (!strstr(m.features, "bf16"))
    fprintf(stderr,
            "ledge: this processor has no instructions for bf16: float32's compute it, no faster, but in half "
            "the memory for weights\n");
}

double cli_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

const char *cli_shape(int rank, const int64_t *dims, const char *const *names, char *text, size_t size) {
  if (rank < 0) return "any shape";
  size_t at = (size_t)snprintf(text, size, "[");
  for (int i = 0; i < rank && at < size; i++) {
    int n;
    if (dims[i] >= 0)
      n = snprintf(text + at, size - at, "%s%lld", i ? " x " : "", (long long)dims[i]);
    else
      n = snprintf(text + at, size - at, "%s%s", i ? " x " : "", names && names[i] ? names[i] : "?");
    at += n > 0 ? (size_t)n : 0;
  }
  if (at < size) snprintf(text + at, size - at, "]");
  return text;
}

/* ---- inputs ---- */

/* splitmix64 and the polar method: the same numbers on every machine. */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static double next_normal(uint64_t *state) {
  for (;;) {
    double u = (double)(next_random(state) >> 11) * 0x1p-52 - 1, v = (double)(next_random(state) >> 11) * 0x1p-52 - 1,
           q = u * u + v * v;
    if (q > 0 && q < 1) return u * sqrt(-2 * log(q) / q);
  }
}

static uint16_t half_of(float f) { /* random numbers need no subnormals, infinities or ties */
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  int e = (int)((u >> 23) & 255) - 112;
  return (uint16_t)((u >> 16 & 0x8000) | (e <= 0 ? 0 : (uint32_t)e << 10 | (u >> 13 & 1023)));
}

static bool fill(ledge_tensor *t, int64_t n, int64_t number, uint64_t *state) {
  for (int64_t i = 0; i < n; i++) {
    double x = t->dtype == LEDGE_F32 || t->dtype == LEDGE_F64 || t->dtype == LEDGE_F16 || t->dtype == LEDGE_BF16
                   ? next_normal(state)
                   : 0;
    switch (t->dtype) {
      case LEDGE_F32: ((float *)t->data)[i] = (float)x; break;
      case LEDGE_F64: ((double *)t->data)[i] = x; break;
      case LEDGE_F16: ((uint16_t *)t->data)[i] = half_of((float)x); break;
      case LEDGE_BF16: {
        float f = (float)x;
        memcpy((uint16_t *)t->data + i, (char *)&f + 2, 2);
        break;
      }
      case LEDGE_U8:
      case LEDGE_I8:
      case LEDGE_BOOL: ((uint8_t *)t->data)[i] = (uint8_t)number; break;
      case LEDGE_U16:
      case LEDGE_I16: ((uint16_t *)t->data)[i] = (uint16_t)number; break;
      case LEDGE_U32:
      case LEDGE_I32: ((uint32_t *)t->data)[i] = (uint32_t)number; break;
      case LEDGE_U64:
      case LEDGE_I64: ((uint64_t *)t->data)[i] = (uint64_t)number; break;
      case LEDGE_STRING: ((ledge_string *)t->data)[i] = (ledge_string){"ledge", 5}; break;
      default: return false;
    }
  }
  return true;
}

static ledge_status make_error(ledge_error *error, ledge_status code, const char *format, const char *a,
                               const char *b) {
  if (!error) return code;
  error->code = code;
  snprintf(error->message, sizeof error->message, format, a, b);
  return code;
}

/* The input that NAME=VALUE names, by name or position, and the text of VALUE. NAME ends at the last '='. */
static ledge_status split_setting(const ledge_model *m, const char *item, size_t *ret_input, const char **ret_value,
                                  ledge_error *error) {
  char name[512];
  const char *equals = strrchr(item, '=');
  if (!equals || (size_t)(equals - item) >= sizeof name)
    return make_error(error, LEDGE_ERROR_ARGUMENT, "'%s' is not of the form NAME=VALUE%s", item, "");
  memcpy(name, item, (size_t)(equals - item));
  name[equals - item] = 0;
  *ret_value = equals + 1;
  return ledge_model_find_input(m, name, ret_input, error);
}

/* The last VALUE that the list gives for input i; NULL where there is none. */
static const char *setting(const ledge_model *m, const text_list *list, size_t i) {
  const char *found = NULL, *value;
  size_t at;
  for (size_t k = 0; k < list->count; k++)
    if (!split_setting(m, list->items[k], &at, &value, NULL) && at == i) found = value;
  return found;
}

static ledge_status read_shape(const char *text, ledge_value_info *info, ledge_error *error) {
  int rank = 0;
  for (const char *p = text; *p; rank++) {
    char *end;
    errno = 0;
    long long n = strtoll(p, &end, 10);
    if (end == p || errno || n < 0 || rank == LEDGE_MAX_RANK || (*end && *end != 'x') || (*end && !end[1]))
      return make_error(error, LEDGE_ERROR_ARGUMENT, "--shape %s=%s is no shape such as 1x3x224x224", info->name, text);
    info->dims[rank] = n;
    p = *end ? end + 1 : end;
  }
  info->rank = rank;
  return LEDGE_OK;
}

/* Whether `number` is one that an input of this type can hold. */
static ledge_status check_int(const ledge_value_info *info, const char *item, const char *number, ledge_error *error) {
  char *end;
  errno = 0;
  long long v = strtoll(number, &end, 10);
  if (end == number || *end || errno)
    return make_error(error, LEDGE_ERROR_ARGUMENT, "--int %s: '%s' is no whole number", item, number);
  int bits = ledge_dtype_bits(info->dtype);
  bool is_signed = false;
  switch (info->dtype) {
    case LEDGE_I8:
    case LEDGE_I16:
    case LEDGE_I32:
    case LEDGE_I64: is_signed = true; break;
    case LEDGE_U8:
    case LEDGE_U16:
    case LEDGE_U32:
    case LEDGE_U64: break;
    case LEDGE_BOOL: bits = 1; break;
    default:
      return make_error(error, LEDGE_ERROR_ARGUMENT, "--int %s: the input's dtype is %s, which is no integer", item,
                        ledge_dtype_name(info->dtype));
  }
  long long high = bits == 64  ? INT64_MAX
                   : is_signed ? (1LL << (bits - 1)) - 1
                               : (1LL << bits) - 1,
            low = !is_signed   ? 0
                  : bits == 64 ? INT64_MIN
                               : -high - 1;
  if (v < low || v > high)
    return make_error(error, LEDGE_ERROR_ARGUMENT, "--int %s: the input's dtype, %s, cannot hold that", item,
                      ledge_dtype_name(info->dtype));
  return LEDGE_OK;
}

static ledge_status prefix_error(ledge_error *error, ledge_status code, const char *what, const char *item) {
  char text[sizeof error->message];
  snprintf(text, sizeof text, "%s %.300s: %.600s", what, item, error->message);
  return make_error(error, code, "%s%s", text, "");
}

ledge_status cli_inputs_check(const ledge_model *m, const text_list *shapes, const text_list *ints,
                              ledge_error *error) {
  ledge_value_info info;
  const char *text;
  size_t at;
  for (size_t i = 0; i < shapes->count; i++) {
    ledge_status status = split_setting(m, shapes->items[i], &at, &text, error);
    if (status) return prefix_error(error, status, "--shape", shapes->items[i]);
    status = ledge_model_input(m, at, &info, error);
    if (!status) status = read_shape(text, &info, error);
    if (status) return status;
  }
  for (size_t i = 0; i < ints->count; i++) {
    ledge_status status = split_setting(m, ints->items[i], &at, &text, error);
    if (status) return prefix_error(error, status, "--int", ints->items[i]);
    status = ledge_model_input(m, at, &info, error);
    if (!status) status = check_int(&info, ints->items[i], text, error);
    if (status) return status;
  }
  return LEDGE_OK;
}

void cli_inputs_hint(const ledge_model *m, const text_list *shapes, ledge_error *error) {
  ledge_value_info info;
  char shape[512] = "", item[800], text[sizeof error->message];
  size_t n = strlen(error->message);
  for (size_t i = 0; i < ledge_model_input_count(m) && !shape[0]; i++) {
    if (ledge_model_input(m, i, &info, NULL) || info.optional || setting(m, shapes, i)) continue;
    bool open = false;
    for (int d = 0; d < info.rank; d++) open = open || info.dims[d] < 0;
    if (!open) continue;
    for (int d = 0; d < info.rank; d++)
      snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", d ? "x" : "",
               (long long)(info.dims[d] < 0 ? !d              ? 1
                                              : info.rank < 3 ? 512
                                                              : 64
                                            : info.dims[d]));
    snprintf(item, sizeof item, "; open dims were taken as 1: give theirs, such as --shape %.300s=%s", info.name,
             shape);
  }
  if (!shape[0] || n + strlen(item) >= sizeof text) return;
  strcpy(error->message + n, item);
}

/* Is there memory for an input's numbers, twice over? What is not free is often granted, and missed when it is used. */
static bool has_room(size_t bytes) {
  ledge_machine machine;
  if (bytes < 64 << 20) return true;
  ledge_machine_get(&machine);
  return !machine.memory_available_bytes || bytes < machine.memory_available_bytes / 2;
}

static ledge_status make_input(const ledge_value_info *declared, const char *shape, const char *number, uint64_t *state,
                               ledge_value **ret, ledge_error *error) {
  ledge_value_info info = *declared;
  if (info.kind != LEDGE_KIND_TENSOR)
    return make_error(error, LEDGE_ERROR_UNSUPPORTED, "input '%s' is no tensor: random values cannot be made for it%s",
                      info.name, "");
  if (shape) {
    ledge_status status = read_shape(shape, &info, error);
    if (status) return status;
  }
  if (info.rank < 0)
    return make_error(error, LEDGE_ERROR_ARGUMENT, "input '%s' has no declared shape: give --shape %s=...", info.name,
                      info.name);
  int64_t n = 1;
  for (int d = 0; d < info.rank; d++) {
    if (info.dims[d] < 0) info.dims[d] = 1;
    if (__builtin_mul_overflow(n, info.dims[d], &n))
      return make_error(error, LEDGE_ERROR_LIMIT, "input '%s' is too large%s", info.name, "");
  }
  ledge_tensor t = {.dtype = info.dtype, .rank = info.rank};
  memcpy(t.dims, info.dims, sizeof t.dims);
  size_t bits = (size_t)ledge_dtype_bits(info.dtype);
  if (!bits || (uint64_t)n > SIZE_MAX / 64 / bits)
    return make_error(error, LEDGE_ERROR_LIMIT, "input '%s' is too large%s", info.name, "");
  t.bytes = ((size_t)n * bits + 7) / 8;
  if (!has_room(t.bytes))
    return make_error(error, LEDGE_ERROR_LIMIT, "input '%s' is larger than the memory that is free%s", info.name, "");
  t.data = calloc(1, t.bytes ? t.bytes : 1);
  if (!t.data) return make_error(error, LEDGE_ERROR_MEMORY, "out of memory for input '%s'%s", info.name, "");
  ledge_status status;
  if (fill(&t, n, number ? strtoll(number, NULL, 10) : 1, state))
    status = ledge_value_create(&t, ret, error);
  else
    status = make_error(error, LEDGE_ERROR_UNSUPPORTED, "input '%s' has dtype %s, for which no random values are made",
                        info.name, ledge_dtype_name(info.dtype));
  free(t.data);
  return status;
}

ledge_status cli_inputs_make(const ledge_model *m, const text_list *shapes, const text_list *ints, uint64_t seed,
                             cli_inputs *ret, ledge_error *error) {
  uint64_t state = seed;
  ledge_status status = cli_inputs_check(m, shapes, ints, error);
  if (status) return status;
  *ret = (cli_inputs){.count = ledge_model_input_count(m)};
  ret->tensors = calloc(ret->count + 1, sizeof *ret->tensors);
  ret->values = calloc(ret->count + 1, sizeof *ret->values);
  if (!ret->tensors || !ret->values) return make_error(error, LEDGE_ERROR_MEMORY, "out of memory%s%s", "", "");
  for (size_t i = 0; i < ret->count; i++) {
    ledge_value_info info;
    status = ledge_model_input(m, i, &info, error);
    if (status) return status;
    const char *shape = setting(m, shapes, i), *number = setting(m, ints, i);
    if (info.optional && !shape && !number) continue; /* its default */
    status = make_input(&info, shape, number, &state, &ret->values[i], error);
    if (!status) status = ledge_value_tensor(ret->values[i], &ret->tensors[i], error);
    if (status) return status;
  }
  return LEDGE_OK;
}

ledge_status cli_inputs_set(const cli_inputs *in, ledge_session *s, ledge_error *error) {
  for (size_t i = 0; i < in->count; i++) {
    if (!in->values[i]) continue;
    ledge_status status = ledge_session_set_input_value(s, i, in->values[i], error);
    if (status) return status;
  }
  return LEDGE_OK;
}

void cli_inputs_free(cli_inputs *in) {
  for (size_t i = 0; in->values && i < in->count; i++) ledge_value_destroy(in->values[i]);
  free(in->values);
  free(in->tensors);
}
