/* tree: folders with all that is in them: copied and removed. Blocking; for commands. */
#ifndef SENNIT_LOOP_TREE_H
#define SENNIT_LOOP_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { TREE_DEPTH_MAX = 64, TREE_FILES_MAX = 200000 };
#define TREE_BYTES_MAX ((uint64_t)4 << 30)

/* Says which files and folders are wanted. `path` is relative, without "/" in front; a folder that is not wanted is not
 * looked into. Embedded in what it needs. */
struct tree_filter {
    bool (*wants)(struct tree_filter *filter, const char *path, bool is_directory);
};

struct tree_count {
    uint32_t files, skipped; /* skipped: sockets, devices and pipes */
    uint64_t bytes;
};

/* Copies what is in `from` into `to`, which is made and must not be there: files with their bits for execution,
 * symbolic links as they are. False with `err` set: something cannot be read or written, or a bound is passed; what was
 * copied stays. */
bool tree_copy(const char *from, const char *to, struct tree_filter *filter, struct tree_count *count, struct err *err);
/* Removes the folder and all that is in it; follows no link. Harmless if there is none. */
void tree_remove(const char *path);

#endif
