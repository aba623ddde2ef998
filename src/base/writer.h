/* base/writer: the opposite of base/reader: bytes that grow in memory, and a file that appears whole or not at all. */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include "ledge/types.h"

#include <stdarg.h>

/* A byte buffer on the heap. A failed append (memory) leaves the contents as they are and sets `failed`, after which
 * all appends fail: a caller may append at will and test once. All-zero is an empty writer. */
typedef struct writer {
  uint8_t *data;
  size_t size, capacity;
  bool failed;
} writer;

void writer_init(writer *w);
void writer_deinit(writer *w); /* frees the bytes; the writer may be used again */
bool writer_reserve(writer *w, size_t more);
bool writer_bytes(writer *w, const void *data, size_t size);
bool writer_fill(writer *w, uint8_t byte, size_t count);
bool writer_align(writer *w, size_t align); /* zeros up to a multiple of align (a power of two) */
bool writer_text(writer *w, const char *text);
bool writer_format(writer *w, const char *format, ...) LEDGE_PRINTF(2, 3);
bool writer_u8(writer *w, uint8_t v);
bool writer_u16le(writer *w, uint16_t v);
bool writer_u32le(writer *w, uint32_t v);
bool writer_u64le(writer *w, uint64_t v);
bool writer_f32le(writer *w, float v);
bool writer_varint(writer *w, uint64_t v); /* base 128, as protobuf writes it */
/* Overwrites bytes that are there already: false where [at, at + size) is not within them. */
bool writer_patch(writer *w, size_t at, const void *data, size_t size);
/* The bytes, which are the caller's to mem_free from now on; the writer is empty. NULL where failed or empty. */
uint8_t *writer_take(writer *w, size_t *ret_size);
/* LEDGE_ERROR_MEMORY with a message where an append failed. */
ledge_status writer_check(const writer *w, const char *what, ledge_error *error);

/* A file that is written in one go. Until file_writer_commit the bytes are in a temporary file of the same folder
 * (".ledge-*.tmp"); commit flushes it to the disk and renames it over `path`, so that a reader, a crash or a full disk
 * meets the old file or the new one. A link is written through; an existing file's permissions are kept. A device, pipe
 * or path below /dev or /proc is written directly. After an error every call returns it again. Not for two threads. */
typedef struct file_writer file_writer;
ledge_status file_writer_open(const char *path, file_writer **ret_writer, ledge_error *error);
/* The same for a file that only its owner may read, in an open folder, which stays the caller's. */
ledge_status file_writer_open_private(int folder, const char *name, file_writer **ret_writer, ledge_error *error);
ledge_status file_writer_append(file_writer *w, const void *data, size_t size, ledge_error *error);
ledge_status file_writer_align(file_writer *w, size_t align, ledge_error *error); /* zeros up to a multiple */
uint64_t file_writer_offset(const file_writer *w);                                /* bytes appended so far */
/* Ends the writer in any case; on failure nothing is left of the new file. */
ledge_status file_writer_commit(file_writer *w, ledge_error *error);
void file_writer_abort(file_writer *w); /* NULL passes; the old file stands */

/* All of it at once. */
ledge_status file_write_atomic(const char *path, const void *data, size_t size, ledge_error *error);

#endif
