/* tests/fuzz/replay: a main for fuzz targets where there is no libFuzzer.
 *
 *   fuzz_x [-runs=N] [-seed=N] FILE|FOLDER...
 *
 * Runs the target on each file (a folder: on each in it), then on N mutations of them: bytes flipped, cut, doubled or
 * taken from another file. Deterministic for a seed. */
#include "base/rng.h"
#include "fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_BYTES = 1 << 20 };

typedef struct sample {
  uint8_t *data;
  size_t size;
} sample;

static sample *samples;
static size_t n_samples;

/* Keeps its own copy, of exactly that size. */
static void run(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  if (!copy) abort();
  if (size) memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

static void add_file(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return;
  sample s = {.data = malloc(MAX_BYTES)};
  samples = realloc(samples, (n_samples + 1) * sizeof *samples);
  if (!s.data || !samples) abort();
  s.size = fread(s.data, 1, MAX_BYTES, f);
  fclose(f);
  samples[n_samples++] = s;
}

static void add_path(const char *path) {
  struct stat st;
  if (stat(path, &st)) {
    perror(path);
    exit(1);
  }
  if (!S_ISDIR(st.st_mode)) {
    add_file(path);
    return;
  }
  struct dirent **entries;
  int n = scandir(path, &entries, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    char whole[4096];
    snprintf(whole, sizeof whole, "%s/%s", path, entries[i]->d_name);
    if (entries[i]->d_name[0] != '.') add_file(whole);
    free(entries[i]);
  }
  if (n >= 0) free(entries);
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) {
  static rng r;
  static int ready;
  if (!ready++) rng_init(&r, 1);
  uint64_t x = rng_u64(&r);
  if (!size) return 0;
  size_t at = (size_t)(x >> 8) % size;
  switch (x & 3) {
    case 0: data[at] ^= (uint8_t)(1u << (x >> 4 & 7)); return size;
    case 1: data[at] = (uint8_t)(x >> 56); return size;
    case 2: return at + 1;
    default:
      if (size == max_size) return size;
      memmove(data + at + 1, data + at, size - at);
      return size + 1;
  }
}

static void mutate(rng *r, uint8_t *data) {
  const sample *s = &samples[rng_u64(r) % n_samples];
  size_t size = s->size;
  memcpy(data, s->data, size);
  for (int i = (int)(rng_u64(r) % 8); i >= 0; i--) {
    const sample *other = &samples[rng_u64(r) % n_samples];
    if (rng_u64(r) % 4 || !other->size || !size) {
      size = LLVMFuzzerMutate(data, size, MAX_BYTES);
      continue;
    }
    size_t from = rng_u64(r) % other->size, to = rng_u64(r) % size, n = rng_u64(r) % 64;
    if (n > other->size - from) n = other->size - from;
    if (n > size - to) n = size - to;
    memcpy(data + to, other->data + from, n);
  }
  run(data, size);
}

int main(int argc, char **argv) {
  long runs = 0;
  unsigned long seed = 1;
  for (int i = 1; i < argc; i++) {
    if (!strncmp(argv[i], "-runs=", 6))
      runs = strtol(argv[i] + 6, NULL, 10);
    else if (!strncmp(argv[i], "-seed=", 6))
      seed = strtoul(argv[i] + 6, NULL, 10);
    else if (argv[i][0] != '-')
      add_path(argv[i]);
  }
  for (size_t i = 0; i < n_samples; i++) run(samples[i].data, samples[i].size);
  rng r;
  rng_init(&r, seed);
  uint8_t *data = malloc(MAX_BYTES);
  if (!data) return 1;
  for (long i = 0; i < runs && n_samples; i++) mutate(&r, data);
  free(data);
  for (size_t i = 0; i < n_samples; i++) free(samples[i].data);
  free(samples);
  printf("%zu files, %ld mutations: nothing found\n", n_samples, runs);
  return 0;
}
