/* mounts_parts: the steps that mounts.c and mounts_image.c plan and mounts_enter.c takes. For these alone. */
#ifndef SENNIT_LOOP_MOUNTS_PARTS_H
#define SENNIT_LOOP_MOUNTS_PARTS_H

#include "loop/mounts.h"

/* Where things are while the steps are taken: below a root of memory, which is left behind at the end. */
#define MOUNTS_OLD "/old"     /* this machine's root */
#define MOUNTS_NEW "/new"     /* the root that the program gets */
#define MOUNTS_STORE "/store" /* all volumes */
#define MOUNTS_STAGE "/tmp"   /* any folder that is there */
#define MOUNTS_LOWER "/lower" /* an image's files, */
#define MOUNTS_LAYER "/layer" /* and the memory that lies over them */

enum mount_op {
    MOUNT_SPACE,  /* makes the namespace, and the root of memory */
    MOUNT_FOLDER, /* makes the folder `to`; with this mode, if it has one */
    MOUNT_EMPTY,  /* makes the empty file `to` */
    MOUNT_LINK,   /* makes the symbolic link `to`, which leads to `from` */
    MOUNT_MEMORY, /* mounts memory at `to`, with the options `from` */
    MOUNT_BIND,   /* lets `to` show what `from` shows */
    MOUNT_ENTRY,  /* the same, but if `from` has gone meanwhile, `to` is left as it is */
    MOUNT_SEAL,   /* the same, and nobody may write there */
    MOUNT_WRITE,  /* writes the file `to` of the store */
    MOUNT_SEND,   /* sends the store's descriptor to the parent */
    MOUNT_LEAVE,  /* makes `new` the root */

    /* of an image */
    MOUNT_LAYERS,    /* mounts its files, and the memory over them, at `new` */
    MOUNT_TEXT,      /* writes the file `to` */
    MOUNT_TERMINALS, /* mounts terminals of its own at `to` */
    MOUNT_READ_ONLY, /* nobody may write at `to`, and below */
    MOUNT_USER,      /* becomes its user */
};

struct mount_step {
    enum mount_op op;
    char *from, *to, *bytes;
    size_t len; /* of the bytes */
    uint32_t mode;
};

/* mounts.c: adds a step, and takes ownership of both texts. */
struct mount_step *mounts_step_add(struct mounts *mounts, enum mount_op op, char *from, char *to);
/* Makes each folder of `path`, below `root`, from the byte `from` on. */
void mounts_folders_plan(struct mounts *mounts, const char *root, const char *path, size_t from);

/* mounts_image.c: the root. */
bool mounts_image_plan(struct mounts *mounts, const struct mount_image *image, struct err *err);
/* The place of a path in the image: `*path` without links, of which `*there` bytes are there; the caller frees it.
 * False with `err` set: it is no folder. */
bool mounts_image_find(const struct mount_image *image, const char *wanted, char **path, size_t *there,
                       struct err *err);

#endif
