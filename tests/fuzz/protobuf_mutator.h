/* tests/fuzz/protobuf_mutator.h: a custom mutator that keeps a protobuf message well-formed. A flipped byte mostly
 * breaks the length of some outer message, and nothing further in is ever reached; so here a field deep inside is
 * changed, dropped, doubled or moved, and the lengths around it are made right again. One time in eight plain bytes are
 * mutated. */
#ifndef TESTS_FUZZ_PROTOBUF_MUTATOR_H
#define TESTS_FUZZ_PROTOBUF_MUTATOR_H

#include "base/reader.h"
#include "base/rng.h"
#include "fuzz.h"

typedef struct pm_field {
  size_t start, end; /* tag and value in the message */
  uint64_t tag;
  size_t value; /* start of the value, behind a length */
} pm_field;

enum { PM_MAX_FIELDS = 256, PM_MAX_BYTES = 1 << 16 };

static int pm_parse(const uint8_t *data, size_t size, pm_field *fields) {
  reader r = reader_make(data, size, 0);
  int n = 0;
  while (!reader_end(&r)) {
    pm_field f = {.start = r.pos};
    uint64_t v;
    if (n == PM_MAX_FIELDS || !reader_varint(&r, &f.tag) || f.tag < 8) return -1;
    f.value = r.pos;
    switch (f.tag & 7) {
      case 0:
        if (!reader_varint(&r, &v)) return -1;
        break;
      case 1:
        if (!reader_skip(&r, 8)) return -1;
        break;
      case 2:
        if (!reader_varint(&r, &v) || v > reader_left(&r)) return -1;
        f.value = r.pos;
        r.pos += (size_t)v;
        break;
      case 5:
        if (!reader_skip(&r, 4)) return -1;
        break;
      default: return -1;
    }
    f.end = r.pos;
    fields[n++] = f;
  }
  return n;
}

static size_t pm_varint(uint8_t *out, uint64_t v) {
  size_t n = 0;
  for (; v >= 128; v >>= 7) out[n++] = (uint8_t)(v | 128);
  out[n++] = (uint8_t)v;
  return n;
}

static uint64_t pm_number(rng *r, uint64_t old) {
  static const uint64_t odd[] = {0,          1,          2,          3,          7,
                                 8,          16,         17,         64,         65,
                                 127,        255,        65535,      0x7fffffff, 0x80000000,
                                 UINT32_MAX, INT64_MAX,  1ull << 63, UINT64_MAX, UINT64_MAX - 1,
                                 1ull << 32, 1ull << 61, 1ull << 62};
  switch (rng_u64(r) % 4) {
    case 0: return odd[rng_u64(r) % (sizeof odd / sizeof *odd)];
    case 1: return old + 1;
    case 2: return old - 1;
    default: return rng_u64(r) % 32;
  }
}

/* A bytes value changed by libFuzzer, or by another field's contents. out has room for PM_MAX_BYTES. */
static size_t pm_mutate_bytes(const uint8_t *data, const pm_field *f, const pm_field *other, rng *r, uint8_t *out) {
  const pm_field *from = rng_u64(r) % 3 ? f : other;
  size_t n = from->end - from->value;
  if (n > PM_MAX_BYTES / 2) n = PM_MAX_BYTES / 2;
  memcpy(out, data + from->value, n);
  if (from != f || !(rng_u64(r) % 8)) return n;
  if (rng_u64(r) % 16 == 0) return 0;
  return LLVMFuzzerMutate(out, n, n + 16);
}

/* Mutates one message into out[max]; the new size, or 0 where it does not fit. Scratch for each level is on the heap.
 */
static size_t pm_mutate(const uint8_t *data, size_t size, uint8_t *out, size_t max, rng *r, int depth) {
  pm_field fields[PM_MAX_FIELDS];
  int n = pm_parse(data, size, fields);
  if (n <= 0 || size > PM_MAX_BYTES || max < size) return 0;
  const pm_field *f = &fields[rng_u64(r) % (uint64_t)n], *other = &fields[rng_u64(r) % (uint64_t)n];
  uint8_t *inner = malloc(2 * PM_MAX_BYTES);
  if (!inner) return 0;
  size_t inner_size = 0, at = f->start;
  bool is_bytes = (f->tag & 7) == 2, replace = false, drop = false, twice = false;
  if (is_bytes && depth < 64 && rng_u64(r) % 4) {
    inner_size = pm_mutate(data + f->value, f->end - f->value, inner, PM_MAX_BYTES, r, depth + 1);
    replace = inner_size > 0;
  }
  if (!replace) {
    switch (rng_u64(r) % 8) {
      case 0: drop = true; break;
      case 1: twice = true; break;
      case 2: f = other, at = fields[rng_u64(r) % (uint64_t)n].start, twice = true; break; /* to another place */
      default:
        if (is_bytes && (other->tag & 7) == 2) {
          inner_size = pm_mutate_bytes(data, f, other, r, inner);
          replace = true;
        } else if ((f->tag & 7) == 0) {
          uint64_t old = 0;
          reader number = reader_make(data + f->value, f->end - f->value, 0);
          reader_varint(&number, &old);
          inner_size = pm_varint(inner, pm_number(r, old));
          replace = true;
        } else {
          twice = true;
        }
    }
  }
  uint8_t head[24];
  size_t n_head = pm_varint(head, rng_u64(r) % 32 ? f->tag : (f->tag & 7) | (rng_u64(r) % 32 + 1) << 3);
  if (replace && is_bytes) n_head += pm_varint(head + n_head, inner_size);
  size_t cut_from = twice ? at : f->start, cut_to = twice ? at : f->end, made = 0;
  size_t add = drop ? 0 : replace ? n_head + inner_size : f->end - f->start;
  if (cut_from + add + (size - cut_to) <= max) {
    memcpy(out, data, cut_from);
    made = cut_from;
    if (replace) {
      memcpy(out + made, head, n_head);
      memcpy(out + made + n_head, inner, inner_size);
    } else if (!drop) {
      memcpy(out + made, data + f->start, add);
    }
    made += add;
    memcpy(out + made, data + cut_to, size - cut_to);
    made += size - cut_to;
  }
  free(inner);
  return made;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  rng r;
  rng_init(&r, seed);
  uint8_t *out = malloc(2 * PM_MAX_BYTES);
  size_t made = 0;
  if (out && rng_u64(&r) % 8 && size) {
    made = pm_mutate(data, size, out, max_size < PM_MAX_BYTES ? max_size : PM_MAX_BYTES, &r, 0);
    if (made) memcpy(data, out, made);
  }
  free(out);
  return made ? made : LLVMFuzzerMutate(data, size, max_size);
}

#endif
