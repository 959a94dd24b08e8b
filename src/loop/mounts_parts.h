/* mounts_parts: the steps that mounts.c plans and mounts_enter.c takes. For these two alone. */
#ifndef SENNIT_LOOP_MOUNTS_PARTS_H
#define SENNIT_LOOP_MOUNTS_PARTS_H

#include "loop/mounts.h"

/* Where things are while the steps are taken: below a root of memory, which is left behind at the end. */
#define MOUNTS_OLD "/old"     /* this machine's root */
#define MOUNTS_NEW "/new"     /* the root that the program gets */
#define MOUNTS_STORE "/store" /* all volumes */
#define MOUNTS_STAGE "/tmp"   /* any folder that is there */

enum mount_op {
    MOUNT_SPACE,  /* makes the namespace, and the root of memory */
    MOUNT_FOLDER, /* makes the folder `to` */
    MOUNT_EMPTY,  /* makes the empty file `to` */
    MOUNT_LINK,   /* makes the symbolic link `to`, which leads to `from` */
    MOUNT_MEMORY, /* mounts memory at `to`, with the options `from` */
    MOUNT_BIND,   /* lets `to` show what `from` shows */
    MOUNT_ENTRY,  /* the same, but if `from` has gone meanwhile, `to` is left as it is */
    MOUNT_SEAL,   /* the same, and nobody may write there */
    MOUNT_WRITE,  /* writes the file `to` of the store */
    MOUNT_SEND,   /* sends the store's descriptor to the parent */
    MOUNT_LEAVE,  /* makes `new` the root */
};

struct mount_step {
    enum mount_op op;
    char *from, *to, *bytes;
    size_t len; /* of the bytes */
    uint32_t mode;
};

#endif
