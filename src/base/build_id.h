/* base/build_id: what tells one build of the library from another: the linker's digest of the program or shared
 * library that this code is part of, which changes with every byte of code or data. */
#ifndef BASE_BUILD_ID_H
#define BASE_BUILD_ID_H

#include <stddef.h>
#include <stdint.h>

enum { BUILD_ID_MAX = 64 };

/* Copies the GNU build-id note; returns its size, 0 where it was linked without one or it is longer than the limit. */
size_t build_id_get(uint8_t ret[BUILD_ID_MAX]);
/* Where a static object of the library lies relative to the others: the same in every process of one build, wherever
 * the system loads it. */
uint64_t build_id_offset(const void *object);

#endif
