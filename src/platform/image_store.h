/* image_store: where the parts of an image are: the folder of a layout, or an archive, which is not unpacked for that:
 * a part is an entry of it, and is found again by its number. */
#ifndef SENNIT_PLATFORM_IMAGE_STORE_H
#define SENNIT_PLATFORM_IMAGE_STORE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire/sha256.h"

enum { IMAGE_ENTRIES_MAX = 10000 /* of an archive */ };

/* A part. Zeroed memory is none. */
struct image_blob {
    char *path;    /* of the file that it is, or is in */
    size_t number; /* of the archive's entries, from 1; 0: the file itself */
    uint64_t bytes;
};
void image_blob_finish(struct image_blob *blob);

struct image_store {
    const char *path; /* the caller's */
    bool is_archive;
    struct image_part *parts; /* of an archive */
    size_t count;
};

/* False with `err` set: it is not there, or no archive. */
bool image_store_open(struct image_store *store, const char *path, bool is_archive, struct err *err);
/* False with `err` set: there is no such part. */
bool image_store_find(const struct image_store *store, const char *name, struct image_blob *blob, struct err *err);
/* Appends a small part. */
bool image_store_read(const struct image_store *store, const char *name, size_t bytes_max, struct buf *to,
                      struct err *err);
/* The digest of a part, blocking. `stop` ends it, and may be NULL. False with `err` set: it cannot be read whole. */
bool image_blob_digest(const struct image_blob *blob, char hex[SHA256_HEX_LEN + 1], atomic_bool *stop, struct err *err);
void image_store_close(struct image_store *store);

#endif
