/* formats/onnx/wire: see wire.h. */
#include "formats/onnx/wire.h"

#include "base/error.h"

wire wire_open(reader message, const char *name, uint64_t *steps) {
  return (wire){.rest = message, .message = name, .steps = steps};
}

static bool wire_fail(wire *w, const char *fault) {
  w->fault = fault;
  w->fault_code = LEDGE_ERROR_FORMAT;
  return false;
}

/* Reads a tag; false with w->fault set where there is none. */
static bool wire_tag(wire *w, uint32_t *field, unsigned *type) {
  uint64_t tag;
  w->at = reader_offset(&w->rest);
  if (!reader_varint(&w->rest, &tag)) return wire_fail(w, "is cut off in the middle of a field's tag");
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return wire_fail(w, "has a field number out of range");
  *field = (uint32_t)(tag >> 3);
  *type = (unsigned)tag & 7;
  return true;
}

/* Passes a value of the given type, groups excluded. */
static bool wire_value(wire *w, unsigned type) {
  uint32_t fixed;
  switch (type) {
    case WIRE_VARINT:
      return reader_varint(&w->rest, &w->number) ||
             wire_fail(w, "has a varint that is cut off or longer than 10 bytes");
    case WIRE_FIXED64: return reader_u64le(&w->rest, &w->number) || wire_fail(w, "is cut off in an 8-byte value");
    case WIRE_FIXED32:
      if (!reader_u32le(&w->rest, &fixed)) return wire_fail(w, "is cut off in a 4-byte value");
      w->number = fixed;
      return true;
    case WIRE_BYTES: {
      uint64_t size;
      if (!reader_varint(&w->rest, &size)) return wire_fail(w, "is cut off in a field's length");
      if (size > reader_left(&w->rest) || !reader_sub(&w->rest, (size_t)size, &w->bytes))
        return wire_fail(w, "has a field that is longer than what holds it");
      return true;
    }
    default: return wire_fail(w, "has a field of an unknown wire type");
  }
}

/* Passes a group up to its end tag; groups nest, so the open ones are kept in a list of fixed length. */
static bool wire_skip_group(wire *w, uint32_t field) {
  uint32_t open[WIRE_MAX_GROUP_DEPTH];
  int depth = 0;
  open[depth++] = field;
  while (depth > 0) {
    uint32_t inner;
    unsigned type;
    if (!wire_tag(w, &inner, &type)) return false;
    if (type == 4) {
      if (open[--depth] != inner) return wire_fail(w, "has a group that ends as another one");
    } else if (type == WIRE_GROUP) {
      if (depth == WIRE_MAX_GROUP_DEPTH) return wire_fail(w, "has groups nested deeper than 64");
      open[depth++] = inner;
    } else if (!wire_value(w, type)) {
      return false;
    }
  }
  return true;
}

bool wire_next(wire *w) {
  if (w->fault || reader_end(&w->rest)) return false;
  if (w->steps && !*w->steps) {
    w->fault_code = LEDGE_ERROR_LIMIT;
    w->at = reader_offset(&w->rest);
    w->fault = "is beyond the number of steps that a file of this size may take";
    return false;
  }
  if (w->steps) --*w->steps;
  unsigned type;
  if (!wire_tag(w, &w->field, &type)) return false;
  uint64_t at = w->at;
  if (type == 4) return wire_fail(w, "has a group's end without its start");
  w->type = (wire_type)type;
  if (type == WIRE_GROUP ? !wire_skip_group(w, w->field) : !wire_value(w, type)) return false;
  w->at = at;
  return true;
}

ledge_status wire_close(const wire *w, ledge_error *error) {
  if (!w->fault) return LEDGE_OK;
  return error_set_at(error, w->fault_code, w->at, "%s at byte %llu %s: %s", w->message, (unsigned long long)w->at,
                      w->fault,
                      w->fault_code == LEDGE_ERROR_LIMIT ? "its functions blow up; inline them where the model is made"
                                                         : "the file is damaged, or is no ONNX file");
}

static ledge_status wire_mismatch(const wire *w, const char *name, const char *want, ledge_error *error) {
  return error_set_at(
      error, LEDGE_ERROR_FORMAT, w->at,
      "%s at byte %llu: field %u (%s) has wire type %d, not %s: the file is damaged, or is no ONNX file", w->message,
      (unsigned long long)w->at, w->field, name, (int)w->type, want);
}

ledge_status wire_bytes(const wire *w, const char *name, reader *ret, ledge_error *error) {
  if (w->type != WIRE_BYTES) return wire_mismatch(w, name, "2 (bytes)", error);
  *ret = w->bytes;
  return LEDGE_OK;
}

ledge_status wire_int(const wire *w, const char *name, int64_t *ret, ledge_error *error) {
  if (w->type != WIRE_VARINT) return wire_mismatch(w, name, "0 (varint)", error);
  *ret = (int64_t)w->number;
  return LEDGE_OK;
}

ledge_status wire_float(const wire *w, const char *name, float *ret, ledge_error *error) {
  if (w->type != WIRE_FIXED32) return wire_mismatch(w, name, "5 (4 bytes)", error);
  uint32_t bits = (uint32_t)w->number;
  memcpy(ret, &bits, sizeof *ret);
  return LEDGE_OK;
}

ledge_status wire_once(const wire *w, const char *name, bool *seen, reader *ret, ledge_error *error) {
  TRY(wire_bytes(w, name, ret, error));
  if (*seen)
    return error_set_at(error, LEDGE_ERROR_FORMAT, w->at,
                        "%s at byte %llu: field %u (%s) is there twice: the file is damaged; export the model anew",
                        w->message, (unsigned long long)w->at, w->field, name);
  *seen = true;
  return LEDGE_OK;
}

ledge_status wire_count(const wire *w, const char *name, wire_type type, size_t *count, ledge_error *error) {
  size_t n;
  if (w->type == type) {
    n = 1;
  } else if (w->type != WIRE_BYTES) {
    return wire_mismatch(w, name, type == WIRE_VARINT ? "0 (varint) or 2 (packed)" : "fixed or 2 (packed)", error);
  } else if (type == WIRE_VARINT) {
    /* A varint ends with a byte below 128, so these are counted without being decoded. */
    size_t size = w->bytes.size, length = 0;
    n = 0;
    for (size_t i = 0; i < size; i++) {
      length++;
      if (w->bytes.data[i] >= 128) {
        if (length < 10) continue;
        break;
      }
      n++;
      length = 0;
    }
    if (length)
      return error_set_at(error, LEDGE_ERROR_FORMAT, w->at,
                          "%s at byte %llu: field %u (%s) has a number that is cut off or longer than 10 bytes",
                          w->message, (unsigned long long)w->at, w->field, name);
  } else {
    size_t each = type == WIRE_FIXED32 ? 4 : 8;
    if (w->bytes.size % each)
      return error_set_at(error, LEDGE_ERROR_FORMAT, w->at,
                          "%s at byte %llu: field %u (%s) has %zu bytes, no multiple of %zu", w->message,
                          (unsigned long long)w->at, w->field, name, w->bytes.size, each);
    n = w->bytes.size / each;
  }
  *count += n; /* at most one a byte of the file: cannot wrap */
  return LEDGE_OK;
}

size_t wire_copy_ints(const wire *w, int64_t *dst, size_t max) {
  size_t n = 0;
  if (w->type == WIRE_VARINT) {
    if (max) dst[n++] = (int64_t)w->number;
    return n;
  }
  reader r = w->bytes;
  for (uint64_t v; n < max && reader_varint(&r, &v);) dst[n++] = (int64_t)v;
  return n;
}

size_t wire_copy_fixed(const wire *w, void *dst, size_t max) {
  if (w->type == WIRE_BYTES) {
    size_t n = w->bytes.size < max ? w->bytes.size : max;
    if (n) memcpy(dst, w->bytes.data, n);
    return n;
  }
  size_t each = w->type == WIRE_FIXED32 ? 4 : 8;
  if (each > max) return 0;
  memcpy(dst, &w->number, each); /* little-endian: the low bytes come first */
  return each;
}
