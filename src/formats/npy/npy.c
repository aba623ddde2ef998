/* formats/npy: the .npy file. The header is a Python literal; the little parser below takes what NumPy and its kin
 * write: a dictionary with the three keys in any order, strings in either quote, numbers, True and False, tuples and
 * lists. */
#include "formats/npy/npy.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/writer.h"
#include "text/unicode.h"

#include <inttypes.h>
#include <stdio.h>

#define NPY_MAGIC "\x93NUMPY"
#define NPY_MAGIC_BYTES 6
#define NPY_ALIGN 64 /* of the data, as NumPy writes it */

typedef struct npy_header {
  char descr[64];
  bool fortran;
  int rank;
  int64_t dims[LEDGE_MAX_RANK];
} npy_header;

bool npy_sniff(const void *data, size_t size) {
  return size >= NPY_MAGIC_BYTES && memcmp(data, NPY_MAGIC, NPY_MAGIC_BYTES) == 0;
}

/* --- the header's literal --- */

static void skip_space(reader *r) {
  while (!reader_end(r) && strchr(" \t\r\n", r->data[r->pos]) && r->data[r->pos]) r->pos++;
}
static bool take_char(reader *r, char c) {
  skip_space(r);
  if (reader_end(r) || r->data[r->pos] != (uint8_t)c) return false;
  r->pos++;
  return true;
}
static bool take_word(reader *r, const char *word) {
  skip_space(r);
  size_t n = strlen(word);
  if (reader_left(r) < n || memcmp(r->data + r->pos, word, n) != 0) return false;
  r->pos += n;
  return true;
}
/* A quoted string without escapes, into text. */
static bool take_string(reader *r, char *text, size_t size) {
  char quote = take_char(r, '\'') ? '\'' : take_char(r, '"') ? '"' : 0;
  if (!quote) return false;
  size_t n = 0;
  for (uint8_t c; reader_u8(r, &c);) {
    if (c == (uint8_t)quote) {
      text[n] = 0;
      return true;
    }
    if (c == '\\' || n + 1 == size) return false;
    text[n++] = (char)c;
  }
  return false;
}
/* A non-negative integer; Python 2 wrote a trailing L. */
static bool take_integer(reader *r, int64_t *ret) {
  skip_space(r);
  int64_t v = 0;
  size_t start = r->pos;
  while (!reader_end(r) && r->data[r->pos] >= '0' && r->data[r->pos] <= '9') {
    int digit = r->data[r->pos++] - '0';
    if (v > (INT64_MAX - digit) / 10) return false;
    v = v * 10 + digit;
  }
  if (r->pos == start) return false;
  if (!reader_end(r) && r->data[r->pos] == 'L') r->pos++;
  *ret = v;
  return true;
}

static bool take_shape(reader *r, npy_header *h) {
  char close = take_char(r, '(') ? ')' : take_char(r, '[') ? ']' : 0;
  if (!close) return false;
  h->rank = 0;
  while (!take_char(r, close)) {
    if (h->rank == LEDGE_MAX_RANK || !take_integer(r, &h->dims[h->rank])) return false;
    h->rank++;
    if (!take_char(r, ',')) return take_char(r, close);
  }
  return true;
}

static ledge_status read_literal(reader *r, npy_header *h, ledge_error *error) {
  enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
  int seen = 0;
  bool ok = take_char(r, '{');
  while (ok && !take_char(r, '}')) {
    char key[32];
    ok = take_string(r, key, sizeof key) && take_char(r, ':');
    if (!ok) break;
    if (strcmp(key, "descr") == 0) {
      skip_space(r);
      if (!reader_end(r) && r->data[r->pos] == '[')
        return error_set_at(error, LEDGE_ERROR_UNSUPPORTED, reader_offset(r),
                            "npy: an array of structures; save each of its fields as an array of its own");
      ok = take_string(r, h->descr, sizeof h->descr);
      seen |= DESCR;
    } else if (strcmp(key, "fortran_order") == 0) {
      h->fortran = take_word(r, "True");
      ok = h->fortran || take_word(r, "False");
      seen |= ORDER;
    } else if (strcmp(key, "shape") == 0) {
      ok = take_shape(r, h);
      seen |= SHAPE;
    } else {
      return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "npy: the header has an unknown key \"%s\"",
                          key);
    }
    if (ok && !take_char(r, ',')) {
      ok = take_char(r, '}');
      break;
    }
  }
  skip_space(r);
  if (!ok || seen != (DESCR | ORDER | SHAPE) || !reader_end(r))
    return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r),
                        "npy: the header is not a dictionary of descr, fortran_order and shape (of at most %d dims)",
                        LEDGE_MAX_RANK);
  return LEDGE_OK;
}

static ledge_status read_header(reader *r, npy_header *h, ledge_error *error) {
  uint8_t major, minor;
  uint16_t size16;
  uint32_t size;
  if (!npy_sniff(r->data, r->size))
    return error_set_at(error, LEDGE_ERROR_FORMAT, 0, "this is not a .npy file: it does not begin with \\x93NUMPY");
  reader_skip(r, NPY_MAGIC_BYTES);
  if (!reader_u8(r, &major) || !reader_u8(r, &minor)) goto truncated;
  if (major < 1 || major > 3)
    return error_set_at(error, LEDGE_ERROR_UNSUPPORTED, NPY_MAGIC_BYTES, "npy: version %d.%d; ledge reads 1.0 to 3.0",
                        major, minor);
  if (major == 1) {
    if (!reader_u16le(r, &size16)) goto truncated;
    size = size16;
  } else if (!reader_u32le(r, &size)) {
    goto truncated;
  }
  if (size > NPY_HEADER_BYTES_MAX)
    return error_set_at(error, LEDGE_ERROR_LIMIT, reader_offset(r),
                        "npy: a header of %" PRIu32 " bytes; the limit is %d", size, NPY_HEADER_BYTES_MAX);
  reader literal;
  if (!reader_sub(r, size, &literal)) goto truncated;
  *h = (npy_header){0};
  return read_literal(&literal, h, error);
truncated:
  return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(r), "npy: the file is truncated in its header");
}

/* --- types --- */

typedef struct npy_type {
  ledge_dtype dtype;
  size_t bytes; /* of an element in the file */
  bool swap;    /* the file's byte order is not this machine's */
  char kind;    /* NumPy's letter */
} npy_type;

typedef struct npy_row {
  char kind;
  int bytes;
  ledge_dtype dtype;
} npy_row;
static const npy_row npy_rows[] = {
    {'b', 1, LEDGE_BOOL}, {'i', 1, LEDGE_I8},    {'i', 2, LEDGE_I16}, {'i', 4, LEDGE_I32},
    {'i', 8, LEDGE_I64},  {'u', 1, LEDGE_U8},    {'u', 2, LEDGE_U16}, {'u', 4, LEDGE_U32},
    {'u', 8, LEDGE_U64},  {'f', 2, LEDGE_F16},   {'f', 4, LEDGE_F32}, {'f', 8, LEDGE_F64},
    {'c', 8, LEDGE_C64},  {'c', 16, LEDGE_C128}, {'m', 8, LEDGE_I64}, {'M', 8, LEDGE_I64},
};

/* Types of a byte or two that NumPy knows only as raw void. */
static bool is_raw(ledge_dtype d) {
  return d == LEDGE_BF16 || d == LEDGE_F8E4M3FN || d == LEDGE_F8E4M3FNUZ || d == LEDGE_F8E5M2 ||
         d == LEDGE_F8E5M2FNUZ || d == LEDGE_F8E8M0 || d == LEDGE_F4E2M1;
}
/* Packed types, an element a byte in the file. */
static bool is_packed(ledge_dtype d) { return ledge_dtype_bits(d) < 8; }
static bool is_packed_integer(ledge_dtype d) { return is_packed(d) && dtype_is_integer(d); }

static ledge_status refuse_type(const char *descr, ledge_error *error) {
  const char *kind = strpbrk(descr, "OfcgGV");
  if (kind && *kind == 'O')
    return error_set(error, LEDGE_ERROR_UNSUPPORTED,
                     "npy: an array of Python objects ('%s') is pickled code, which ledge does not run; save it with a "
                     "number or text dtype, such as a.astype('U') for strings",
                     descr);
  if (kind && *kind == 'V')
    return error_set(
        error, LEDGE_ERROR_UNSUPPORTED,
        "npy: raw bytes ('%s') of unknown meaning: ledge reads '<V2' as bfloat16, and '<V1' only where the "
        "model's input says which type it is",
        descr);
  return error_set(
      error, LEDGE_ERROR_UNSUPPORTED,
      "npy: dtype '%s'; ledge reads bool, integers and floats of 8 to 64 bits, complex64, complex128, S and U", descr);
}

static ledge_status read_type(const char *descr, ledge_dtype want, npy_type *ret, ledge_error *error) {
  const char *p = descr;
  bool big = *p == '>';
  if (*p && strchr("<>|=", *p)) p++;
  char kind = *p;
  int64_t bytes = 0;
  const char *digits = *p ? p + 1 : p;
  if (kind == '?' && *digits == 0) kind = 'b', bytes = 1;
  for (p = digits; *p >= '0' && *p <= '9' && bytes < (int64_t)1 << 40; p++) bytes = bytes * 10 + (*p - '0');
  if (*p && !(*p == '[' && (kind == 'm' || kind == 'M'))) return refuse_type(descr, error); /* [ns] and so on */
  *ret = (npy_type){.bytes = (size_t)bytes, .swap = big, .kind = kind};
  for (size_t i = 0; i < sizeof npy_rows / sizeof *npy_rows; i++)
    if (npy_rows[i].kind == kind && npy_rows[i].bytes == bytes) ret->dtype = npy_rows[i].dtype;
  if (kind == 'U' || kind == 'S' || kind == 'a') {
    ret->dtype = LEDGE_STRING;
    if (bytes > INT32_MAX) return refuse_type(descr, error);
    if (kind == 'U') ret->bytes *= 4;
  }
  if (kind == 'V') {
    if (bytes == 2 && (want == LEDGE_DTYPE_NONE || want == LEDGE_BF16)) ret->dtype = LEDGE_BF16;
    if (bytes == 1 && want != LEDGE_BF16 && (is_raw(want) || is_packed_integer(want))) ret->dtype = want;
  }
  if (bytes == 1 && (kind == 'i' || kind == 'u') && is_packed_integer(want)) ret->dtype = want;
  if (ret->dtype == LEDGE_DTYPE_NONE) return refuse_type(descr, error);
  return LEDGE_OK;
}

/* --- elements --- */

static void swap_elements(uint8_t *p, size_t n, size_t each) {
  for (size_t i = 0; i < n; i++, p += each) {
    for (size_t k = 0; k < each / 2; k++) {
      uint8_t t = p[k];
      p[k] = p[each - 1 - k], p[each - 1 - k] = t;
    }
  }
}

/* The first index varies fastest in the file. Walks the output in its own order and steps through the input by strides.
 */
static void copy_fortran(const npy_header *h, size_t each, const uint8_t *in, uint8_t *out, size_t n) {
  size_t strides[LEDGE_MAX_RANK], at[LEDGE_MAX_RANK] = {0}, offset = 0, step = each;
  for (int i = 0; i < h->rank; i++) {
    strides[i] = step;
    step *= (size_t)h->dims[i];
  }
  for (size_t done = 0; done < n; done++, out += each) {
    memcpy(out, in + offset, each);
    for (int i = h->rank - 1; i >= 0; i--) {
      offset += strides[i];
      if (++at[i] < (size_t)h->dims[i]) break;
      offset -= strides[i] * (size_t)h->dims[i];
      at[i] = 0;
    }
  }
}

/* One element's text: trailing NULs are padding. 'U' is UTF-32 in the file's byte order. */
static ledge_status put_text(const npy_type *type, const uint8_t *in, tensor *t, int64_t i, char *text,
                             ledge_error *error) {
  size_t n = 0;
  if (type->kind != 'U') {
    n = type->bytes;
    while (n > 0 && in[n - 1] == 0) n--;
    return tensor_put_string(t, i, (const char *)in, n, error);
  }
  size_t count = type->bytes / 4;
  uint32_t c;
  for (; count > 0; count--) {
    memcpy(&c, in + 4 * (count - 1), 4);
    if (c != 0) break;
  }
  for (size_t k = 0; k < count; k++) {
    memcpy(&c, in + 4 * k, 4);
    if (type->swap) c = __builtin_bswap32(c);
    int bytes = c <= 0x10ffff ? unicode_encode((int32_t)c, text + n) : 0;
    if (bytes == 0)
      return error_set(error, LEDGE_ERROR_FORMAT, "npy: string %" PRId64 " holds 0x%" PRIx32 ", which is no character",
                       i, c);
    n += (size_t)bytes;
  }
  return tensor_put_string(t, i, text, n, error);
}

static ledge_status read_strings(const npy_header *h, const npy_type *type, const uint8_t *in, tensor *t, int64_t n,
                                 ledge_error *error) {
  if (n == 0) return LEDGE_OK; /* no byte of the file stands behind a string's width then */
  char *text = mem_alloc(type->bytes + 4);
  uint8_t *ordered = h->fortran ? mem_alloc((size_t)n * type->bytes) : NULL;
  ledge_status status = LEDGE_OK;
  if (!text || (h->fortran && !ordered)) {
    status = error_memory(error, (size_t)n * type->bytes, "strings");
  } else {
    if (ordered) copy_fortran(h, type->bytes, in, ordered, (size_t)n);
    const uint8_t *p = ordered ? ordered : in;
    for (int64_t i = 0; status == LEDGE_OK && i < n; i++)
      status = put_text(type, p + (size_t)i * type->bytes, t, i, text, error);
  }
  mem_free(ordered);
  mem_free(text);
  return status;
}

/* One byte an element -> 4 or 2 bits. */
static ledge_status pack_elements(const npy_type *type, const uint8_t *in, tensor *t, int64_t n, ledge_error *error) {
  int bits = ledge_dtype_bits(t->dtype);
  bool raw = type->kind == 'V';
  memset(t->data, 0, tensor_bytes(t));
  for (int64_t i = 0; i < n; i++) {
    int v = type->kind == 'i' ? (int8_t)in[i] : in[i];
    bool is_signed = dtype_kind_of(t->dtype) == DTYPE_KIND_INT;
    int low = is_signed ? -(1 << (bits - 1)) : 0, high = (1 << (is_signed ? bits - 1 : bits)) - 1;
    if (!raw && (v < low || v > high))
      return error_set(error, LEDGE_ERROR_DATA, "npy: element %" PRId64 " is %d, which is not in the %d to %d of %s", i,
                       v, low, high, ledge_dtype_name(t->dtype));
    uint8_t *byte = (uint8_t *)t->data + i * bits / 8;
    *byte |= (uint8_t)((v & ((1 << bits) - 1)) << (i * bits % 8));
  }
  return LEDGE_OK;
}

static ledge_status read_elements(const npy_header *h, const npy_type *type, const uint8_t *in, tensor *t, int64_t n,
                                  ledge_error *error) {
  size_t bytes = (size_t)n * type->bytes;
  if (is_packed(t->dtype)) {
    uint8_t *ordered = mem_alloc(bytes);
    if (!ordered) return error_memory(error, bytes, "an array");
    copy_fortran(h, 1, in, ordered, (size_t)n);
    ledge_status status = pack_elements(type, h->fortran ? ordered : in, t, n, error);
    mem_free(ordered);
    return status;
  }
  if (h->fortran && h->rank > 1)
    copy_fortran(h, type->bytes, in, t->data, (size_t)n);
  else if (bytes)
    memcpy(t->data, in, bytes);
  bool complex = dtype_kind_of(t->dtype) == DTYPE_KIND_COMPLEX;
  if (type->swap && complex) swap_elements(t->data, 2 * (size_t)n, type->bytes / 2);
  if (type->swap && !complex && type->bytes > 1) swap_elements(t->data, (size_t)n, type->bytes);
  if (t->dtype == LEDGE_BOOL)
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)t->data)[i] = ((uint8_t *)t->data)[i] != 0;
  return LEDGE_OK;
}

ledge_status npy_read(const void *data, size_t size, const npy_options *options, tensor *ret, ledge_error *error) {
  reader r = reader_make(data, size, 0);
  npy_header h = {0};
  npy_type type = {0};
  TRY(read_header(&r, &h, error));
  TRY(read_type(h.descr, options ? options->want : LEDGE_DTYPE_NONE, &type, error));
  int64_t n = shape_elements(h.rank, h.dims);
  if (n < 0 || (type.bytes > 0 && (uint64_t)n > reader_left(&r) / type.bytes))
    return error_set_at(error, LEDGE_ERROR_FORMAT, reader_offset(&r),
                        "npy: the file is truncated: %zu bytes of elements cannot hold its shape", reader_left(&r));
  /* strings of no characters, and dims beside a 0, need no bytes in the file but some here */
  if (type.bytes == 0 && (uint64_t)n > size)
    return error_set(error, LEDGE_ERROR_LIMIT, "npy: %" PRId64 " empty strings in a file of %zu bytes", n, size);
  tensor t = {0};
  tensor_set_shape(&t, type.dtype, h.rank, h.dims);
  ledge_status status = tensor_alloc(&t, error);
  if (status == LEDGE_OK) {
    const uint8_t *in = reader_take(&r, (size_t)n * type.bytes);
    status = type.dtype == LEDGE_STRING ? read_strings(&h, &type, in, &t, n, error)
                                        : read_elements(&h, &type, in, &t, n, error);
  }
  if (status) {
    tensor_deinit(&t);
    return status;
  }
  tensor_deinit(ret);
  *ret = t;
  return LEDGE_OK;
}

/* --- writing --- */

/* What a string tensor is written as. */
typedef struct text_layout {
  bool utf32;
  size_t width; /* characters, or bytes */
} text_layout;

static text_layout measure_strings(const tensor *t) {
  text_layout layout = {.utf32 = true, .width = 0};
  const ledge_string *s = t->data;
  int64_t n = tensor_elements(t);
  for (int64_t i = 0; i < n; i++) layout.utf32 = layout.utf32 && unicode_valid(s[i].data, s[i].size);
  for (int64_t i = 0; i < n; i++) {
    size_t width = layout.utf32 ? unicode_length(s[i].data, s[i].size) : s[i].size;
    if (width > layout.width) layout.width = width;
  }
  if (layout.width == 0) layout.width = 1; /* NumPy refuses '<U0' in some versions */
  return layout;
}

static void describe(const tensor *t, const text_layout *layout, char *descr, size_t size) {
  if (t->dtype == LEDGE_STRING) {
    snprintf(descr, size, layout->utf32 ? "<U%zu" : "|S%zu", layout->width);
  } else if (is_raw(t->dtype)) {
    snprintf(descr, size, t->dtype == LEDGE_BF16 ? "<V2" : "|V1");
  } else if (is_packed(t->dtype)) {
    snprintf(descr, size, dtype_kind_of(t->dtype) == DTYPE_KIND_INT ? "|i1" : "|u1");
  } else {
    const npy_row *row = npy_rows;
    while (row->dtype != t->dtype) row++; /* every other dtype has a row */
    snprintf(descr, size, "%c%c%d", row->bytes == 1 ? '|' : '<', row->kind, row->bytes);
  }
}

static ledge_status write_header(const tensor *t, const text_layout *layout, size_t tail, uint8_t **ret_data,
                                 size_t *ret_size, size_t *ret_header, ledge_error *error) {
  char descr[64], shape[LEDGE_MAX_RANK * 24 + 8], literal[640];
  size_t at = 0;
  describe(t, layout, descr, sizeof descr);
  shape[0] = 0;
  for (int i = 0; i < t->rank; i++) at += (size_t)snprintf(shape + at, sizeof shape - at, "%" PRId64 ", ", t->dims[i]);
  if (t->rank > 1) shape[at - 2] = 0; /* (2, 3) but (2,) */
  if (t->rank == 1) shape[at - 1] = 0;
  int n = snprintf(literal, sizeof literal, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
  size_t header = mem_align(NPY_MAGIC_BYTES + 4 + (size_t)n + 1, NPY_ALIGN), total;
  uint8_t *out = mem_add(header, tail, &total) ? mem_alloc(total) : NULL;
  if (!out) return error_memory(error, tail, "a .npy file");
  memcpy(out, NPY_MAGIC "\x01\x00", NPY_MAGIC_BYTES + 2);
  size_t length = header - NPY_MAGIC_BYTES - 4;
  out[NPY_MAGIC_BYTES + 2] = (uint8_t)length;
  out[NPY_MAGIC_BYTES + 3] = (uint8_t)(length >> 8);
  memset(out + NPY_MAGIC_BYTES + 4, ' ', length);
  memcpy(out + NPY_MAGIC_BYTES + 4, literal, (size_t)n);
  out[header - 1] = '\n';
  *ret_data = out;
  *ret_size = total;
  *ret_header = header;
  return LEDGE_OK;
}

static ledge_status check_written(const tensor *t, ledge_error *error) {
  if (t->dtype <= LEDGE_DTYPE_NONE || t->dtype >= LEDGE_DTYPE_COUNT || tensor_elements(t) < 0 ||
      (!t->data && tensor_elements(t) > 0))
    return error_set(error, LEDGE_ERROR_ARGUMENT, "npy: a tensor without type, shape or contents cannot be written");
  return LEDGE_OK;
}

ledge_status npy_write_header(const tensor *t, uint8_t **ret_data, size_t *ret_size, ledge_error *error) {
  text_layout layout = {0};
  size_t header;
  TRY(check_written(t, error));
  if (t->dtype == LEDGE_STRING) layout = measure_strings(t);
  return write_header(t, &layout, 0, ret_data, ret_size, &header, error);
}

static void write_strings(const tensor *t, const text_layout *layout, uint8_t *out, size_t each) {
  const ledge_string *s = t->data;
  for (int64_t i = 0, n = tensor_elements(t); i < n; i++, out += each) {
    memset(out, 0, each);
    if (!layout->utf32) {
      if (s[i].size) memcpy(out, s[i].data, s[i].size);
      continue;
    }
    const char *at = s[i].data, *end = at + s[i].size;
    for (size_t k = 0; at < end; k++) {
      int32_t c = unicode_next(&at, end);
      memcpy(out + 4 * k, &c, 4);
    }
  }
}

ledge_status npy_write(const tensor *t, uint8_t **ret_data, size_t *ret_size, ledge_error *error) {
  text_layout layout = {0};
  TRY(check_written(t, error));
  size_t n = (size_t)tensor_elements(t), each = is_packed(t->dtype) ? 1 : dtype_bytes(t->dtype), tail, header;
  if (t->dtype == LEDGE_STRING) {
    layout = measure_strings(t);
    each = layout.utf32 ? 4 * layout.width : layout.width;
  }
  uint8_t *out;
  size_t total;
  if (!mem_mul(n, each, &tail)) return error_memory(error, SIZE_MAX, "a .npy file");
  TRY(write_header(t, &layout, tail, &out, &total, &header, error));
  uint8_t *body = out + header;
  if (t->dtype == LEDGE_STRING) {
    write_strings(t, &layout, body, each);
  } else if (is_packed(t->dtype)) {
    int bits = ledge_dtype_bits(t->dtype);
    for (size_t i = 0; i < n; i++) {
      unsigned raw = ((const uint8_t *)t->data)[i * (size_t)bits / 8] >> (i * (size_t)bits % 8) & ((1u << bits) - 1);
      body[i] = is_raw(t->dtype) ? (uint8_t)raw : (uint8_t)dtype_load_i64(t->dtype, t->data, (int64_t)i);
    }
  } else if (tail) {
    memcpy(body, t->data, tail);
  }
  *ret_data = out;
  *ret_size = total;
  return LEDGE_OK;
}

/* The bytes of t as a file; elements that stand in memory as in the file are not copied. */
ledge_status npy_write_file(const char *path, const tensor *t, ledge_error *error) {
  uint8_t *head = NULL;
  size_t n_head;
  file_writer *file;
  TRY(check_written(t, error));
  bool copied = t->dtype == LEDGE_STRING || is_packed(t->dtype);
  TRY(copied ? npy_write(t, &head, &n_head, error) : npy_write_header(t, &head, &n_head, error));
  ledge_status status = file_writer_open(path, &file, error);
  if (status == LEDGE_OK) {
    status = file_writer_append(file, head, n_head, error);
    if (status == LEDGE_OK && !copied) status = file_writer_append(file, t->data, tensor_bytes(t), error);
    if (status == LEDGE_OK)
      status = file_writer_commit(file, error);
    else
      file_writer_abort(file);
  }
  mem_free(head);
  return status;
}
