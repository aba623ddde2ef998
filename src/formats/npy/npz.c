/* formats/npy/npz: an archive of arrays: a zip file (PKWARE's APPNOTE.TXT) of .npy members.
 *
 *   member 0 | member 1 | ... | central directory | [zip64 records] | end record (22 bytes and a comment)
 *   member   30 bytes, name, extra | stored or deflated bytes
 *
 * Only the central directory is believed, and that only so far: every place and size is held against the file, a size
 * after inflating against the limits and against what deflate can reach. Members are read one at a time when asked for,
 * so files that overlap cost nothing. */
#include "formats/npy/npy.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/writer.h"

#include <inttypes.h>
#include <string.h>
#ifdef LEDGE_WITH_ZLIB
#include <zlib.h>
#endif

#define ZIP_END_BYTES 22
#define ZIP_COMMENT_MAX 65535
#define ZIP_LOCAL_BYTES 30
#define ZIP_CENTRAL_BYTES 46
#define ZIP_STORED 0
#define ZIP_DEFLATED 8
#define ZIP_FLAG_ENCRYPTED 1

typedef struct npz_member {
  const char *name; /* without .npy */
  uint16_t method, flags;
  uint32_t checksum;
  uint64_t packed_bytes, bytes, local_at;
} npz_member;

struct npz {
  const uint8_t *data;
  size_t size, n;
  npz_member *members;
  arena names;
};

bool npz_sniff(const void *data, size_t size) {
  return size >= ZIP_END_BYTES && (memcmp(data, "PK\3\4", 4) == 0 || memcmp(data, "PK\5\6", 4) == 0);
}

static uint32_t checksum_of(const uint8_t *p, size_t n) {
#ifdef LEDGE_WITH_ZLIB
  return (uint32_t)crc32_z(0, p, n);
#else
  static const uint32_t nibbles[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t c = 0xffffffff;
  for (size_t i = 0; i < n; i++) {
    c = nibbles[(c ^ p[i]) & 15] ^ c >> 4;
    c = nibbles[(c ^ (uint32_t)(p[i] >> 4)) & 15] ^ c >> 4;
  }
  return ~c;
#endif
}

/* --- the directory --- */

typedef struct zip_end {
  uint64_t count, bytes, at; /* of the central directory */
} zip_end;

static ledge_status damaged(uint64_t at, const char *what, ledge_error *error) {
  return error_set_at(error, LEDGE_ERROR_FORMAT, at, "npz: the zip archive is damaged or truncated: %s", what);
}

/* The zip64 record, where the end record's fields are too small: 20 bytes before it stands a pointer to it. */
static bool read_zip64(const uint8_t *data, size_t end_at, zip_end *end) {
  if (end_at < 20) return true; /* none */
  reader r = reader_make(data + end_at - 20, 20, end_at - 20);
  uint64_t at, bytes;
  if (memcmp(reader_take(&r, 4), "PK\6\7", 4) != 0) return true;
  if (!reader_skip(&r, 4) || !reader_u64le(&r, &at)) return false;
  r = reader_make(data, end_at, 0);
  if (at > end_at || !reader_skip(&r, (size_t)at)) return false;
  const uint8_t *magic = reader_take(&r, 4);
  if (!magic || memcmp(magic, "PK\6\6", 4) != 0 || !reader_u64le(&r, &bytes) || !reader_skip(&r, 20)) return false;
  return reader_u64le(&r, &end->count) && reader_u64le(&r, &end->bytes) && reader_u64le(&r, &end->at);
}

static ledge_status find_end(const uint8_t *data, size_t size, zip_end *ret, ledge_error *error) {
  if (size < ZIP_END_BYTES) return damaged(0, "no end record", error);
  size_t last = size - ZIP_END_BYTES, first = last > ZIP_COMMENT_MAX ? last - ZIP_COMMENT_MAX : 0;
  for (size_t at = last + 1; at-- > first;) {
    if (memcmp(data + at, "PK\5\6", 4) != 0) continue;
    reader r = reader_make(data + at + 10, ZIP_END_BYTES - 10, at + 10);
    uint16_t count, comment;
    uint32_t bytes, start;
    if (!reader_u16le(&r, &count) || !reader_u32le(&r, &bytes) || !reader_u32le(&r, &start) ||
        !reader_u16le(&r, &comment) || comment > last - at)
      continue;
    zip_end end = {.count = count, .bytes = bytes, .at = start};
    if ((count == 0xffff || bytes == UINT32_MAX || start == UINT32_MAX) && !read_zip64(data, at, &end))
      return damaged(at, "its zip64 record", error);
    if (end.at > at || end.bytes > at - end.at) return damaged(at, "the directory lies outside the file", error);
    if (end.count > end.bytes / ZIP_CENTRAL_BYTES) return damaged(at, "more members than the directory holds", error);
    if (end.count > NPZ_MEMBERS_MAX)
      return error_set_at(error, LEDGE_ERROR_LIMIT, at, "npz: %" PRIu64 " members; the limit is %d", end.count,
                          NPZ_MEMBERS_MAX);
    *ret = end;
    return LEDGE_OK;
  }
  return damaged(size, "no end record", error);
}

/* Sizes of 32 bits that are all ones stand in the zip64 extra field, in this order. */
static bool read_extra(reader extra, npz_member *m) {
  uint16_t id, bytes;
  if (m->bytes != UINT32_MAX && m->packed_bytes != UINT32_MAX && m->local_at != UINT32_MAX) return true;
  while (reader_u16le(&extra, &id) && reader_u16le(&extra, &bytes)) {
    reader field;
    if (!reader_sub(&extra, bytes, &field)) return false;
    if (id != 1) continue;
    return (m->bytes != UINT32_MAX || reader_u64le(&field, &m->bytes)) &&
           (m->packed_bytes != UINT32_MAX || reader_u64le(&field, &m->packed_bytes)) &&
           (m->local_at != UINT32_MAX || reader_u64le(&field, &m->local_at));
  }
  return false;
}

static ledge_status read_member(npz *z, reader *r, ledge_error *error) {
  const uint8_t *magic = reader_take(r, 4);
  uint16_t name_bytes, extra_bytes, comment_bytes;
  uint32_t packed, bytes, local;
  npz_member m;
  reader extra;
  if (!magic || memcmp(magic, "PK\1\2", 4) != 0 || !reader_skip(r, 4) || !reader_u16le(r, &m.flags) ||
      !reader_u16le(r, &m.method) || !reader_skip(r, 4) || !reader_u32le(r, &m.checksum) || !reader_u32le(r, &packed) ||
      !reader_u32le(r, &bytes) || !reader_u16le(r, &name_bytes) || !reader_u16le(r, &extra_bytes) ||
      !reader_u16le(r, &comment_bytes) || !reader_skip(r, 8) || !reader_u32le(r, &local))
    return damaged(reader_offset(r), "a directory entry", error);
  const char *name = (const char *)reader_take(r, name_bytes);
  m.bytes = bytes, m.packed_bytes = packed, m.local_at = local;
  if (!name || !reader_sub(r, extra_bytes, &extra) || !reader_skip(r, comment_bytes) || !read_extra(extra, &m))
    return damaged(reader_offset(r), "a directory entry", error);
  if (name_bytes < 4 || memcmp(name + name_bytes - 4, ".npy", 4) != 0) return LEDGE_OK; /* no array */
  if (name_bytes > NPZ_NAME_BYTES_MAX || memchr(name, 0, name_bytes))
    return error_set_at(error, LEDGE_ERROR_LIMIT, reader_offset(r),
                        "npz: a member's name has %d bytes or a NUL; the limit is %d", name_bytes, NPZ_NAME_BYTES_MAX);
  m.name = arena_strndup(&z->names, name, name_bytes - 4u);
  if (!m.name) return error_memory(error, name_bytes, "an archive's names");
  z->members[z->n++] = m;
  return LEDGE_OK;
}

ledge_status npz_open(const void *data, size_t size, npz **ret, ledge_error *error) {
  zip_end end = {0};
  TRY(find_end(data, size, &end, error));
  npz *z = mem_zalloc(sizeof *z);
  if (!z) return error_memory(error, sizeof *z, "an archive");
  z->data = data;
  z->size = size;
  arena_init(&z->names);
  z->members = mem_alloc_array((size_t)end.count, sizeof *z->members);
  ledge_status status = LEDGE_OK;
  if (!z->members) status = error_memory(error, (size_t)end.count * sizeof *z->members, "an archive");
  reader r = reader_make(z->data + end.at, (size_t)end.bytes, end.at);
  for (uint64_t i = 0; status == LEDGE_OK && i < end.count; i++) status = read_member(z, &r, error);
  if (status)
    npz_close(z);
  else
    *ret = z;
  return status;
}

void npz_close(npz *z) {
  if (!z) return;
  arena_deinit(&z->names);
  mem_free(z->members);
  mem_free(z);
}

size_t npz_count(const npz *z) { return z->n; }
const char *npz_name(const npz *z, size_t i) { return z->members[i].name; }

int64_t npz_find(const npz *z, const char *name) {
  for (size_t i = 0; i < z->n; i++)
    if (strcmp(z->members[i].name, name) == 0) return (int64_t)i;
  return -1;
}

/* --- members --- */

#ifdef LEDGE_WITH_ZLIB
static voidpf zip_on_alloc(voidpf user, uInt count, uInt each) { return mem_alloc_array(count, each); }
static void zip_on_free(voidpf user, voidpf block) { mem_free(block); }

/* Inflates exactly n bytes into out. */
static bool zip_inflate(const uint8_t *in, size_t n_in, uint8_t *out, size_t n) {
  z_stream s = {.zalloc = zip_on_alloc, .zfree = zip_on_free};
  if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return false;
  const size_t step = (size_t)1 << 30; /* zlib counts in unsigned int */
  int code = Z_OK;
  uint8_t none;
  s.next_in = (Bytef *)(uintptr_t)in;
  s.next_out = n ? out : &none;
  while (code == Z_OK) {
    size_t left_in = n_in - (size_t)(s.next_in - in), left_out = n ? n - (size_t)(s.next_out - out) : 0;
    s.avail_in = (uInt)(left_in < step ? left_in : step);
    s.avail_out = (uInt)(left_out < step ? left_out : step);
    code = inflate(&s, Z_NO_FLUSH); /* Z_BUF_ERROR where neither side can move: ends the loop */
  }
  bool ok = code == Z_STREAM_END && (n == 0 || (size_t)(s.next_out - out) == n);
  inflateEnd(&s);
  return ok;
}
#endif

static ledge_status unpack(const npz_member *m, const uint8_t *packed, uint8_t **ret, ledge_error *error) {
#ifdef LEDGE_WITH_ZLIB
  if (m->bytes > NPZ_MEMBER_BYTES_MAX || m->bytes > SIZE_MAX / 2 || m->bytes / NPZ_EXPANSION_MAX > m->packed_bytes)
    return error_set_at(error, LEDGE_ERROR_LIMIT, m->local_at,
                        "npz: member %s claims %" PRIu64 " bytes out of %" PRIu64
                        ": more than it can hold, or this machine",
                        m->name, m->bytes, m->packed_bytes);
  uint8_t *out = mem_alloc((size_t)m->bytes);
  if (!out) return error_memory(error, (size_t)m->bytes, "an archive's member");
  if (!zip_inflate(packed, (size_t)m->packed_bytes, out, (size_t)m->bytes)) {
    mem_free(out);
    return error_set_at(error, LEDGE_ERROR_FORMAT, m->local_at, "npz: member %s: the compressed data are damaged",
                        m->name);
  }
  *ret = out;
  return LEDGE_OK;
#else
  return error_set(
      error, LEDGE_ERROR_UNSUPPORTED,
      "npz: member %s is compressed, and this ledge was built without zlib: build it with -Dzlib=enabled, or "
      "write the archive with numpy.savez",
      m->name);
#endif
}

ledge_status npz_read(const npz *z, size_t i, const npy_options *options, tensor *ret, ledge_error *error) {
  if (i >= z->n) return error_set(error, LEDGE_ERROR_NAME, "npz: no member %zu: there are %zu", i, z->n);
  const npz_member *m = &z->members[i];
  reader r = reader_make(z->data, z->size, 0);
  uint16_t name_bytes, extra_bytes;
  if (m->local_at > z->size || !reader_skip(&r, (size_t)m->local_at)) return damaged(m->local_at, m->name, error);
  const uint8_t *magic = reader_take(&r, 4);
  if (!magic || memcmp(magic, "PK\3\4", 4) != 0 || !reader_skip(&r, ZIP_LOCAL_BYTES - 8) ||
      !reader_u16le(&r, &name_bytes) || !reader_u16le(&r, &extra_bytes) || !reader_skip(&r, name_bytes) ||
      !reader_skip(&r, extra_bytes) || m->packed_bytes > reader_left(&r))
    return damaged(m->local_at, m->name, error);
  if (m->flags & ZIP_FLAG_ENCRYPTED || (m->method != ZIP_STORED && m->method != ZIP_DEFLATED))
    return error_set_at(error, LEDGE_ERROR_UNSUPPORTED, m->local_at,
                        "npz: member %s is encrypted or packed by method %d; ledge reads stored and deflated ones",
                        m->name, m->method);
  const uint8_t *packed = reader_take(&r, (size_t)m->packed_bytes);
  if (m->method == ZIP_STORED && m->bytes != m->packed_bytes) return damaged(m->local_at, m->name, error);
  uint8_t *inflated = NULL;
  if (m->method == ZIP_DEFLATED) TRY(unpack(m, packed, &inflated, error));
  const uint8_t *bytes = inflated ? inflated : packed;
  ledge_status status;
  if (checksum_of(bytes, (size_t)m->bytes) != m->checksum)
    status = error_set_at(error, LEDGE_ERROR_FORMAT, m->local_at, "npz: member %s: the checksum is wrong", m->name);
  else
    status = npy_read(bytes, (size_t)m->bytes, options, ret, error);
  mem_free(inflated);
  return status == LEDGE_OK ? status : error_prefix(error, status, "%s.npy", m->name);
}

/* --- writing --- */

typedef struct zip_part {
  uint8_t *data;
  size_t size, local_at;
  uint32_t checksum;
} zip_part;

/* The 26 bytes that a member's own header and its directory entry share, from "version needed" on. */
static void put_common(writer *w, const zip_part *part, size_t name_bytes) {
  writer_u16le(w, 20);     /* version 2.0 */
  writer_u16le(w, 0x0800); /* the name is UTF-8 */
  writer_u16le(w, ZIP_STORED);
  writer_u16le(w, 0);
  writer_u16le(w, 0x21); /* 1 January 1980: the same arrays give the same file */
  writer_u32le(w, part->checksum);
  writer_u32le(w, (uint32_t)part->size);
  writer_u32le(w, (uint32_t)part->size);
  writer_u16le(w, (uint16_t)(name_bytes + 4));
  writer_u16le(w, 0);
}

static void put_name(writer *w, const char *name) {
  writer_text(w, name);
  writer_text(w, ".npy");
}

static void put_archive(writer *w, size_t n, const char *const *names, zip_part *parts) {
  for (size_t i = 0; i < n; i++) {
    parts[i].local_at = w->size;
    writer_text(w, "PK\3\4");
    put_common(w, &parts[i], strlen(names[i]));
    put_name(w, names[i]);
    writer_bytes(w, parts[i].data, parts[i].size);
  }
  size_t directory = w->size;
  for (size_t i = 0; i < n; i++) {
    writer_text(w, "PK\1\2");
    writer_u16le(w, 20);
    put_common(w, &parts[i], strlen(names[i]));
    writer_fill(w, 0, 10); /* comment, disk, attributes */
    writer_u32le(w, (uint32_t)parts[i].local_at);
    put_name(w, names[i]);
  }
  size_t bytes = w->size - directory;
  writer_text(w, "PK\5\6");
  writer_fill(w, 0, 4);
  writer_u16le(w, (uint16_t)n);
  writer_u16le(w, (uint16_t)n);
  writer_u32le(w, (uint32_t)bytes);
  writer_u32le(w, (uint32_t)directory);
  writer_u16le(w, 0);
}

static ledge_status make_parts(size_t n, const char *const *names, const tensor *const *tensors, zip_part *parts,
                               size_t *total, ledge_error *error) {
  for (size_t i = 0; i < n; i++) {
    size_t name_bytes = strlen(names[i]);
    if (name_bytes == 0 || name_bytes > NPZ_NAME_BYTES_MAX - 4)
      return error_set(error, LEDGE_ERROR_ARGUMENT, "npz: a name of %zu bytes; it must have 1 to %d", name_bytes,
                       NPZ_NAME_BYTES_MAX - 4);
    TRY(npy_write(tensors[i], &parts[i].data, &parts[i].size, error));
    parts[i].checksum = checksum_of(parts[i].data, parts[i].size);
    size_t more = parts[i].size + ZIP_LOCAL_BYTES + ZIP_CENTRAL_BYTES + 2 * (name_bytes + 4);
    if (!mem_add(*total, more, total) || *total > UINT32_MAX)
      return error_set(error, LEDGE_ERROR_LIMIT, "npz: more than 4 GiB: write each array as a .npy file");
  }
  return LEDGE_OK;
}

ledge_status npz_write(size_t n, const char *const *names, const tensor *const *tensors, uint8_t **ret_data,
                       size_t *ret_size, ledge_error *error) {
  if (n >= 0xffff) return error_set(error, LEDGE_ERROR_LIMIT, "npz: %zu arrays; the limit is 65534", n);
  zip_part *parts = mem_alloc_array(n, sizeof *parts);
  if (!parts) return error_memory(error, n * sizeof *parts, "an archive");
  writer w = {0};
  size_t total = ZIP_END_BYTES;
  ledge_status status = make_parts(n, names, tensors, parts, &total, error);
  if (status == LEDGE_OK && writer_reserve(&w, total)) put_archive(&w, n, names, parts);
  if (status == LEDGE_OK) status = writer_check(&w, "an archive", error);
  if (status == LEDGE_OK) *ret_data = writer_take(&w, ret_size);
  writer_deinit(&w);
  for (size_t i = 0; i < n; i++) mem_free(parts[i].data);
  mem_free(parts);
  return status;
}
