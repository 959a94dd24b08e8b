/* image_store: where the parts of an image are: the folder of a layout, or an archive, which is not unpacked for that:
 * a part is a run of bytes in it. */
#ifndef SENNIT_PLATFORM_IMAGE_STORE_H
#define SENNIT_PLATFORM_IMAGE_STORE_H

#include "base/buf.h"
#include "base/err.h"

enum { IMAGE_ENTRIES_MAX = 10000 /* of an archive */ };

/* A run of bytes in a file. Zeroed memory is none. */
struct image_blob {
    char *path; /* of the file */
    uint64_t at, bytes;
};
void image_blob_finish(struct image_blob *blob);

struct image_store {
    const char *path; /* the caller's */
    bool is_archive;
    struct image_entry *entries; /* of an archive */
    size_t count;
};

/* False with `err` set: it is not there, or no archive. */
bool image_store_open(struct image_store *store, const char *path, bool is_archive, struct err *err);
/* False with `err` set: there is no such part. */
bool image_store_find(const struct image_store *store, const char *name, struct image_blob *blob, struct err *err);
/* Appends a small part. */
bool image_store_read(const struct image_store *store, const char *name, size_t bytes_max, struct buf *to,
                      struct err *err);
void image_store_close(struct image_store *store);

#endif
