/* rootfs: the files of a container image, made below one folder. Every path is resolved as if that folder were the root
 * (openat2(2), RESOLVE_IN_ROOT): no link that a layer brings leads out of it, and no `..`. Blocking; for a worker.
 *
 * Root gives each file its owner. Another user owns all of them, and can write to each folder, so that it can remove
 * them again. */
#ifndef SENNIT_LOOP_ROOTFS_H
#define SENNIT_LOOP_ROOTFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* A folder that is open; `fd` -1: none. */
struct rootfs {
    int fd;
    int file; /* that is being written; -1: none */
};

/* What a file has beside its contents. */
struct rootfs_about {
    uint32_t mode, uid, gid;
    int64_t modified_s;
};

/* The folder is there. False with `err` set: it is not, or the kernel is older than 5.6. */
bool rootfs_open(struct rootfs *rootfs, const char *path, struct err *err);
void rootfs_close(struct rootfs *rootfs);

/* Each makes one in the place of what has that path; folders above that are missing are made. Paths are relative,
 * without `.` and `..`. False with `err` set. */
bool rootfs_folder(struct rootfs *rootfs, const char *path, const struct rootfs_about *about, struct err *err);
bool rootfs_file_begin(struct rootfs *rootfs, const char *path, struct err *err);
bool rootfs_file_write(struct rootfs *rootfs, struct span bytes, struct err *err);
bool rootfs_file_end(struct rootfs *rootfs, const struct rootfs_about *about, struct err *err);
bool rootfs_symlink(struct rootfs *rootfs, const char *path, const char *to, const struct rootfs_about *about,
                    struct err *err);
bool rootfs_link(struct rootfs *rootfs, const char *path, const char *to, struct err *err);
/* Removes a file, or a folder with all that is in it; harmless if there is none. */
void rootfs_remove(struct rootfs *rootfs, const char *path);
/* The names in a folder; NULL behind the last one. The caller frees each and the list. NULL: it is no folder. */
char **rootfs_list(struct rootfs *rootfs, const char *path);

/* The path that a path of the image, absolute, has without symbolic links, below the root that is there; the caller
 * frees it. NULL: there is no such file. */
char *rootfs_real(const char *root, const char *path);
/* Whether there is something of that name, be it a link that leads nowhere; a folder; a file that somebody may execute.
 */
bool rootfs_is_there(const char *root, const char *path);
bool rootfs_is_folder(const char *root, const char *path);
bool rootfs_is_program(const char *root, const char *path);
/* Reads a small file of the image. False: it is not there, or is larger. */
bool rootfs_read(const char *root, const char *path, char *to, size_t *len);

#endif
