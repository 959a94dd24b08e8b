/* mounts: folders that one program alone sees, wherever their paths are: volumes of memory, and of files that we write;
 * or, for a container image, all of them.
 * The program gets a mount namespace of its own, which ends with its last process; nothing of it is on a disk, and no
 * other process sees it. Root makes one; another user does in a user namespace, where only its own number is mapped.
 *
 *     mounts_plan     in the parent: finds what has to be done, as a list of steps
 *     mounts_enter    in the child, between fork and exec (loop/child.h): takes the steps
 *     mounts_store    in the parent again: the folder with the files, to change them while the program runs
 *
 * A path that is not there cannot be made on this machine's disk. So the folder above it that is there is replaced, for
 * the program, by one of memory with the same entries: each is bound to the original. Entries that others add later are
 * not seen there, and what the program adds is its own.
 *
 * An image's files are the root that the program gets, under a layer of memory that takes what it writes (overlayfs),
 * with /proc, /sys and /dev; and it runs as the image's user. Its control group looks like the root of all (a cgroup
 * namespace, and a bind mount for each hierarchy), so that it finds its limits where containers have them. As root it
 * keeps the capabilities that are of use in there, and cannot change what is this machine's. That is no wall against a
 * program that means harm: it sees the machine's processes. */
#ifndef SENNIT_LOOP_MOUNTS_H
#define SENNIT_LOOP_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/span.h"
#include "loop/cgroup.h"

enum { MOUNTS_VOLUMES_MAX = 100, MOUNTS_FILES_MAX = 1000, MOUNTS_PATH_BYTES_MAX = 1024 };
enum { MOUNTS_ENTRIES_MAX = 4096 /* of a folder that is replaced: each is a mount */ };

/* The list of steps; zeroed memory is an empty one. */
struct mount_step;
struct mounts {
    struct mount_step *steps;
    size_t count;
    char **replaced; /* folders that steps replace, the shortest first */
    size_t replaced_count;
    char *directory;  /* the working directory, which the child comes back to */
    char maps[2][32]; /* of a user namespace: of users, and of groups */
    int sockets[2];   /* bring the store's descriptor to the parent */
    bool is_image;
    uint32_t uid, gid; /* of an image's program */
};

/* What a volume is. Its name is unique, and has no slash. */
struct mount_volume {
    const char *name;
    uint64_t bytes_max; /* of memory; 0: it has our files, and the program cannot write */
};
/* A file of a volume, by its path below that: NAME/PATH. */
struct mount_file {
    const char *path;
    struct span bytes;
    uint32_t mode;
};
/* A path, absolute and without dots, at which the program sees a volume. */
struct mount_point {
    const char *path, *volume;
    bool read_only;
};
/* A container image, whose files are below the folder `root` and stay as they are. */
struct mount_image {
    const char *root, *directory; /* `directory`: the working directory, which is made if it is missing */
    uint32_t uid, gid;          /* as whom it runs; of another user than root, this is what its own number looks like */
    uint64_t bytes_max;         /* of what it writes; 0: half of this machine's memory */
    const char *hosts, *resolv; /* /etc/hosts and /etc/resolv.conf */
    /* What it sees of control groups: its own in the place of the whole hierarchies. NULL: those of this machine. */
    const struct cgroups *groups;
    const struct cgroup *group;
};
struct mounts_wanted {
    const struct mount_volume *volumes;
    const struct mount_file *files;
    const struct mount_point *points;
    size_t volume_count, file_count, point_count;
    const struct mount_image *image; /* NULL: the root is this machine's */
    const char *hosts;               /* what the program sees at /etc/hosts; NULL, or with an image: what is there */
};

/* Copies what it keeps. False with `err` set; call mounts_finish in either case. */
bool mounts_plan(struct mounts *mounts, const struct mounts_wanted *wanted, struct err *err);
void mounts_finish(struct mounts *mounts); /* accepts zeroed memory */
/* Takes the steps, in a child with one thread that will exec; calls only functions that are safe between fork and exec.
 * Returns 0, or the number of the step that failed, with errno set. */
int mounts_enter(const struct mounts *mounts);
/* Tells which step failed, and the cure. Returns false. */
bool mounts_error(const struct mounts *mounts, int step, int number, struct err *err);
/* The descriptor of the folder that has the files, once the child has exec'ed; -1: it has none. The caller closes it;
 * the memory is freed then, if the program has ended. */
int mounts_store(struct mounts *mounts);

/* Writes a file below a store as a whole: whoever has the old one open keeps that. Folders in its path are made. Safe
 * between fork and exec. False with errno set. */
bool mounts_file_write(int store, const char *path, struct span bytes, uint32_t mode);
/* Removes one; harmless if it is not there. */
void mounts_file_remove(int store, const char *path);
void mounts_store_close(int store); /* accepts -1 */

#endif
