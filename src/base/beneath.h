/* base/beneath: opening a file that a model names, and only below the folder that the model stands in. */
#ifndef BASE_BENEATH_H
#define BASE_BENEATH_H

#include "ledge/types.h"

/* Opens the regular file `path`, relative to the open folder `folder`, for reading. Refused: an absolute path, one with
 * a
 * ".." in it (both LEDGE_ERROR_FORMAT), a path whose symbolic links leave the folder (LEDGE_ERROR_IO; links that stay
 * in it are followed), what is no regular file. `allow_links`: links may lead anywhere. The caller closes *ret_fd. */
ledge_status file_open_beneath(int folder, const char *path, bool allow_links, int *ret_fd, ledge_error *error);
/* The same for a folder by its path; "" is the current one. */
ledge_status file_open_beneath_path(const char *folder, const char *path, bool allow_links, int *ret_fd,
                                    ledge_error *error);
/* What file_open_beneath does where the kernel lacks openat2 (before Linux 5.6, or forbidden by a filter): goes down
 * component by component, never through a link, and resolves links itself. -1 with errno (EXDEV: leaves the folder). */
int file_walk_beneath(int folder, const char *path);

#endif
