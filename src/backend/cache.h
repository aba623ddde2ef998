/* backend/cache: packed weights kept in files, so that a model opens at once and its processes share them.
 *
 *   $XDG_CACHE_HOME/ledge/<32 hex digits>.pack         else ~/.cache/ledge; folder 0700, files 0600
 *
 *   | header | index: key, place, digest of each packing | the model's path | packing | packing | ...
 *                                                                            each at a multiple of 64
 *
 * A file's name is a digest of the model's files (device, inode, size, times), of ledge's build and of the processor;
 * a packing's key is one of the constant (its place in the file and a sample of it, or the digest of all its bytes
 * where it lies in no file), of the others that went into it, and of the packing's name, parameters and variant. What
 * is in the cache is never changed: a new file is renamed over the old one, which lives on in the processes that map
 * it.
 *
 * Nothing here fails: what cannot be read, written or trusted is as if it were not there. */
#ifndef BACKEND_CACHE_H
#define BACKEND_CACHE_H

#include "backend/backend.h"
#include "base/digest.h"

/* ---- one model's file ---- */

typedef struct weight_cache weight_cache;

/* NULL where there is no cache: no folder of the user's own, files whose identity does not tell their contents, no
 * memory. `path`: the model's. */
weight_cache *weight_cache_open(file_map *const *files, int n_files, const char *path);
void weight_cache_close(weight_cache *c); /* NULL passes */
/* Zeros where there is no memory to make one. */
digest weight_cache_key(const weight_cache *c, const void *data, size_t bytes, const weight_packing *p);
/* The packing in the mapped file, whole and as it was written (its digest is checked); NULL where it is not there. It
 * stands until weight_cache_close. */
const void *weight_cache_find(weight_cache *c, digest key, size_t bytes);
/* Packings were taken from the file, and then it was cut short: its path. Else NULL. */
const char *weight_cache_damaged(const weight_cache *c);

typedef struct cache_item {
  digest key;
  const void *data;
  size_t bytes;
  digest sum; /* of the data as the file has it; zeros: they are new */
} cache_item;
/* What the file has, as items: *ret_count of them, and room for `more`; the caller mem_frees them. NULL: no memory. */
cache_item *weight_cache_items(const weight_cache *c, size_t more, size_t *ret_count);
/* Writes these if the model's files are still what they were. False: nothing was. While others may look for packings.
 */
bool weight_cache_save(const weight_cache *c, cache_item *items, size_t n);

/* Stands for everything but a model that decides what packings look like: ledge's build and the processor. False: this
 * build cannot be told from others. */
bool cache_maker(digest *ret);

/* ---- the folder ---- */

enum { CACHE_NAME_MAX = 40, CACHE_PATH_MAX = 4096 };

typedef struct cache_file {
  char name[CACHE_NAME_MAX];
  uint64_t bytes;
  int64_t used_s, used_ns; /* when it was last opened, to the minute */
} cache_file;

/* Opens the folder; with `make`, makes it where it is missing. -1 where it cannot be, or belongs to or may be written
 * by others. Its path goes to `ret`. */
int cache_folder_open(bool make, char ret[CACHE_PATH_MAX]);
/* Opens one of its files for reading; -1 where there is none that only the user can write. */
int cache_folder_open_file(int folder, const char *name);
/* The packed files, least recently used first; the caller mem_frees *ret. False: out of memory. */
bool cache_folder_list(int folder, cache_file **ret, size_t *ret_count);
/* The bytes that all files together may take: the environment's LEDGE_CACHE_LIMIT (2G, 500M; 0: no cache), or 1 GiB. */
uint64_t cache_folder_limit(void);
/* Removes the least recently used files, but for `keep`, until `bytes` more are within the limit, and temporary files
 * that nobody writes any more. False where that cannot be, or the file system would be left full. */
bool cache_folder_make_room(int folder, uint64_t bytes, const char *keep);
/* The path of the model that a file was made for, and whether this build of ledge on this processor wrote it. False: it
 * is damaged. */
bool cache_file_describe(int folder, const char *name, char ret_model[CACHE_PATH_MAX], bool *ret_current);

#endif
