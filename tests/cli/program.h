/* tests/cli/program.h: runs the program as users do, through a shell, in a temporary folder, and looks at its exit
 * status, at what it prints and at the files that it leaves.
 *
 *   put_model("m.onnx", "input x f32 2; y = Neg x; output y f32 2");
 *   sh("$LEDGE run m.onnx x.npy --json");
 *   CHECK_INT(status, 0);
 *   CHECK_STR(js_text("outputs.0.name"), "y");
 *
 * The environment's LEDGE is the program; the sources are at $SOURCE. */
#ifndef TESTS_CLI_PROGRAM_H
#define TESTS_CLI_PROGRAM_H

#include "base/tree.h"
#include "model_text.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static tree folder;      /* where commands run */
static int status;       /* of the last one: exit status, or 128 and the signal */
static char *out, *errs; /* what it printed */
static size_t out_size;

static inline char *read_whole(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  char *text = calloc(1, 1);
  size_t n = 0, got = 0;
  if (f) {
    do {
      text = realloc(text, n + 65537);
      n += got = fread(text + n, 1, 65536, f);
    } while (got);
    fclose(f);
  }
  text[n] = 0;
  if (size) *size = n;
  return text;
}

static inline int sh(const char *format, ...) LEDGE_PRINTF(1, 2);
static inline int sh(const char *format, ...) {
  char command[8192];
  va_list args;
  va_start(args, format);
  vsnprintf(command, sizeof command, format, args);
  va_end(args);
  fflush(NULL);
  pid_t child = fork();
  if (!child) {
    int o = open(tree_path(&folder, "/.stdout"), O_WRONLY | O_CREAT | O_TRUNC, 0600),
        e = open(tree_path(&folder, "/.stderr"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (chdir(folder.root) || dup2(o, 1) < 0 || dup2(e, 2) < 0) _exit(99);
    alarm(60);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(98);
  }
  int s = 0;
  waitpid(child, &s, 0);
  status = WIFEXITED(s) ? WEXITSTATUS(s) : 128 + WTERMSIG(s);
  free(out);
  free(errs);
  out = read_whole(tree_path(&folder, "/.stdout"), &out_size);
  errs = read_whole(tree_path(&folder, "/.stderr"), NULL);
  return status;
}

/* Status and parts of the message, separated by '|'. A message is one line, on stderr. */
static inline void check_error(const char *command, int want, const char *says) {
  sh("%s", command);
  if (status != want) TEST_FAIL("%s: exit status %d, not %d\n%s", command, status, want, errs);
  char part[256];
  for (const char *at = says; *at; at += strcspn(at, "|"), at += *at == '|') {
    snprintf(part, sizeof part, "%.*s", (int)strcspn(at, "|"), at);
    if (!strstr(errs, part)) TEST_FAIL("%s: \"%s\" does not say \"%s\"", command, errs, part);
  }
  const char *line = strchr(errs, '\n');
  if (!line || line[1]) TEST_FAIL("%s: the message is not one line: %s", command, errs);
  if (out_size) TEST_FAIL("%s: it failed and printed %s", command, out);
}

static inline bool exists(const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder.root, name);
  return access(path, F_OK) == 0;
}

static inline void put_file(const char *name, const void *data, size_t size) {
  char path[512];
  snprintf(path, sizeof path, "/%s", name);
  tree_bytes(&folder, path, data, size);
}

static inline void put_model(const char *name, const char *text) {
  msg m = model_text(text);
  put_file(name, m.data, m.size);
  writer_deinit(&m);
}

/* A .npy of version 1; shape as Python writes it: "(2, 3)". */
static inline void put_npy(const char *name, const char *descr, const char *shape, const void *data, size_t size) {
  char head[128];
  int n = snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
  writer w = {0};
  writer_bytes(&w, "\x93NUMPY\1\0", 8);
  int padded = (10 + n + 1 + 63) / 64 * 64 - 10;
  writer_u16le(&w, (uint16_t)padded);
  writer_bytes(&w, head, (size_t)n);
  writer_fill(&w, ' ', (size_t)(padded - n - 1));
  writer_u8(&w, '\n');
  writer_bytes(&w, data, size);
  put_file(name, w.data, w.size);
  writer_deinit(&w);
}

/* The elements of a .npy that the program wrote; its descr and shape are checked. The caller frees *ret_all. */
static inline const void *get_npy(const char *name, const char *descr, const char *shape, char **ret_all) {
  char path[1024], want[128];
  size_t size;
  snprintf(path, sizeof path, "%s/%s", folder.root, name);
  char *all = *ret_all = read_whole(path, &size);
  if (size < 10 || memcmp(all, "\x93NUMPY", 6)) {
    TEST_FAIL("%s is no .npy", name);
    return NULL;
  }
  size_t head = 10 + (unsigned char)all[8] + 256u * (unsigned char)all[9];
  if (head > size || head % 64) {
    TEST_FAIL("%s has a header of %zu bytes", name, head);
    return NULL;
  }
  snprintf(want, sizeof want, "'descr': '%s'", descr);
  if (!memmem(all, head, want, strlen(want))) TEST_FAIL("%s: no %s in %.*s", name, want, (int)head - 11, all + 10);
  snprintf(want, sizeof want, "'shape': %s", shape);
  if (!memmem(all, head, want, strlen(want))) TEST_FAIL("%s: no %s in %.*s", name, want, (int)head - 11, all + 10);
  return all + head;
}

static inline void check_floats(const char *name, const char *shape, const float *want, size_t n) {
  char *all;
  const float *got = get_npy(name, "<f4", shape, &all);
  for (size_t i = 0; got && i < n; i++) {
    float f;
    memcpy(&f, got + i, sizeof f);
    if (!(fabsf(f - want[i]) <= 1e-5f)) TEST_FAIL("%s: element %zu is %g, not %g", name, i, (double)f, (double)want[i]);
  }
  free(all);
}

/* ---- JSON, strictly (RFC 8259) ---- */

static inline const char *js_space(const char *p) { return p + strspn(p, " \t\r\n"); }

static inline const char *js_string(const char *p) {
  if (*p++ != '"') return NULL;
  while (*p != '"') {
    unsigned char c = (unsigned char)*p;
    if (c < 0x20) return NULL;
    if (c == '\\') {
      if (!p[1] || !strchr("\"\\/bfnrtu", p[1])) return NULL;
      if (p[1] == 'u')
        for (int i = 2; i < 6; i++)
          if (!isxdigit((unsigned char)p[i])) return NULL;
      p += p[1] == 'u' ? 6 : 2;
      continue;
    }
    if (c < 0x80) {
      p++;
      continue;
    }
    int n = c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 0;
    if (!n) return NULL;
    uint32_t code = c & (0x3fu >> n);
    for (int i = 1; i <= n; i++) {
      if (((unsigned char)p[i] & 0xc0) != 0x80) return NULL;
      code = code << 6 | ((unsigned char)p[i] & 0x3fu);
    }
    if (code < (n == 1 ? 0x80u : n == 2 ? 0x800u : 0x10000u) || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
      return NULL;
    p += n + 1;
  }
  return p + 1;
}

static inline const char *js_number(const char *p) {
  if (*p == '-') p++;
  if (!isdigit((unsigned char)*p) || (*p == '0' && isdigit((unsigned char)p[1]))) return NULL;
  while (isdigit((unsigned char)*p)) p++;
  if (*p == '.') {
    if (!isdigit((unsigned char)*++p)) return NULL;
    while (isdigit((unsigned char)*p)) p++;
  }
  if (*p == 'e' || *p == 'E') {
    p++;
    if (*p == '+' || *p == '-') p++;
    if (!isdigit((unsigned char)*p)) return NULL;
    while (isdigit((unsigned char)*p)) p++;
  }
  return p;
}

/* The end of the value at p, or NULL. With `path`, *found is where the value of that path ("a.0.b") begins; a key is
 * compared as it is written. */
static inline const char *js_value(const char *p, const char *path, const char **found) {
  p = js_space(p);
  if (path && !*path) *found = p;
  if (*p == '"') return js_string(p);
  if (*p == '-' || isdigit((unsigned char)*p)) return js_number(p);
  static const char *const words[] = {"true", "false", "null"};
  for (int i = 0; i < 3; i++)
    if (!strncmp(p, words[i], strlen(words[i]))) return p + strlen(words[i]);
  if (*p != '{' && *p != '[') return NULL;
  char close = *p == '{' ? '}' : ']';
  bool object = *p == '{';
  p = js_space(p + 1);
  if (*p == close) return p + 1;
  for (int i = 0;; i++) {
    const char *inner = NULL;
    size_t n = path ? strcspn(path, ".") : 0;
    if (object) {
      const char *key = p + 1, *end = js_string(p);
      if (!end) return NULL;
      if (path && *path && (size_t)(end - 1 - key) == n && !memcmp(key, path, n)) inner = path + n + (path[n] == '.');
      p = js_space(end);
      if (*p++ != ':') return NULL;
    } else if (path && isdigit((unsigned char)*path) && atoi(path) == i) {
      inner = path + n + (path[n] == '.');
    }
    if (!(p = js_value(p, inner, found))) return NULL;
    p = js_space(p);
    if (*p == close) return p + 1;
    if (*p++ != ',') return NULL;
    p = js_space(p);
  }
}

/* Is what the program printed one JSON document on one line? */
static inline bool js_valid(void) {
  const char *end = js_value(out, NULL, NULL);
  return end && !strcmp(end, "\n") && strlen(out) == out_size;
}

/* The value of a path; "" where there is none. */
static inline const char *js_at(const char *path) {
  const char *found = NULL;
  if (!js_value(out, path, &found) || !found) return "";
  return found;
}

static inline const char *js_text(const char *path) {
  static char text[4][4096];
  static int turn;
  char *t = text[turn = (turn + 1) % 4];
  const char *p = js_at(path), *end = *p == '"' ? js_string(p) : NULL;
  snprintf(t, sizeof *text, "%.*s", end ? (int)(end - p - 2) : 0, end ? p + 1 : "");
  return t;
}

static inline double js_real(const char *path) {
  const char *p = js_at(path);
  return *p == '-' || isdigit((unsigned char)*p) ? strtod(p, NULL) : NAN;
}

/* The raw text of a value, such as "[2, 3]". */
static inline const char *js_raw(const char *path) {
  static char text[2][4096];
  static int turn;
  char *t = text[turn = (turn + 1) % 2];
  const char *p = js_at(path), *end = *p ? js_value(p, NULL, NULL) : p;
  snprintf(t, sizeof *text, "%.*s", end ? (int)(end - p) : 0, p);
  return t;
}

static void cli_cleanup(void) {
  tree_remove(&folder);
  free(out);
  free(errs);
}

static inline void cli_setup(void) {
  char source[4096];
  folder = tree_create();
  atexit(cli_cleanup);
  if (!getenv("LEDGE") || !getcwd(source, sizeof source)) {
    fprintf(stderr, "LEDGE must name the program\n");
    exit(1);
  }
  setenv("SOURCE", source, 1);
  unsetenv("LEDGE_ISA");
}

#endif
