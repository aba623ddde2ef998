/* base/map: a file's bytes in memory, mapped where it is a file and borrowed where the caller has them already.
 *
 * A mapped file that somebody truncates makes a reader fault. The first mapping installs a handler of SIGBUS, which
 * puts zeros in place of what is gone, marks the mapping as damaged and lets the reader go on: whoever reads tests
 * file_map_damaged() at the end and reports LEDGE_ERROR_CHANGED. Faults at other addresses go to the handler that was
 * there before. A program that installs its own handler later, or blocks SIGBUS in a reading thread, loses that guard.
 *
 * Handles are counted; all functions may be called from any thread. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "ledge/types.h"

typedef struct file_map file_map;

/* What tells whether two looks at a file saw the same one. No call sets ctime, the time of the inode's last change. */
typedef struct file_identity {
  uint64_t device, inode, bytes;
  int64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
} file_identity;

/* Maps a regular file for reading. A folder, pipe or device is LEDGE_ERROR_IO. An empty file has size 0. refs = 1. */
ledge_status file_map_open(const char *path, file_map **ret_map, ledge_error *error);
/* The same for a descriptor, which stays the caller's and may be closed at once. `name` is for messages. */
ledge_status file_map_fd(int fd, const char *name, file_map **ret_map, ledge_error *error);
/* Bytes of the caller's, which must outlive the map. Nothing is copied but the name. */
ledge_status file_map_memory(const void *data, size_t size, const char *name, file_map **ret_map, ledge_error *error);
file_map *file_map_ref(file_map *m); /* NULL passes */
void file_map_unref(file_map *m);    /* NULL passes */

/* Never NULL, page-aligned where mapped. */
const uint8_t *file_map_data(const file_map *m);
size_t file_map_size(const file_map *m);
const char *file_map_path(const file_map *m); /* as given */
bool file_map_is_file(const file_map *m);     /* else borrowed memory */
/* Whether a page was missing when it was read; costs one load. */
bool file_map_damaged(const file_map *m);
/* Whether the file's size or time differ from when it was mapped; a system call. Never for borrowed memory. */
bool file_map_changed(const file_map *m);
/* LEDGE_ERROR_CHANGED with a message where damaged or changed. */
ledge_status file_map_check(const file_map *m, ledge_error *error);
/* As it was when mapped; false for borrowed memory. */
bool file_map_identity(const file_map *m, file_identity *ret_identity);
/* As it is now; a system call. */
bool file_map_identity_now(const file_map *m, file_identity *ret_identity);
/* Whether that identity is this file's with these contents and no other's: the file lies on a local file system that
 * keeps the time of each change to the nanosecond, and has been left alone for longer than such a clock ticks. Not so
 * on images that are built (all times alike), on network file systems, on FAT. */
bool file_map_identity_tells(const file_map *m);
/* Lets the system take back the memory of the whole pages of [offset, offset + bytes): they are read anew if touched.
 */
void file_map_drop(const file_map *m, size_t offset, size_t bytes);
/* The same for the pages around `data`, in whichever mapped file it lies (and which the caller keeps alive): the first
 * and the last, which others share, too. Nothing happens where it lies in none. */
void file_map_drop_at(const void *data, size_t bytes);

#endif
