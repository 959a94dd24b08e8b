/* store: the static files: the version of each on the disk, its entity tag, and its descriptor while a connection reads
 * it.
 *
 * A file's bytes are in the kernel's page cache, once, and not in this process. Each connection that sends a file holds
 * a reference to its version. A changed file is a new version; connections that read the old version read it to its
 * end. If more versions have references than may be open, the least recently read one is closed, and opened again for
 * its next read. So slow readers of many files do not keep others from their files. */
#ifndef SENNIT_SERVE_STORE_H
#define SENNIT_SERVE_STORE_H

#include "base/buf.h"
#include "base/map.h"
#include "loop/file.h"
#include "net/conn.h"

enum {
    STORE_FILES_MAX = 4096,           /* files whose entity tags are remembered, the most recently requested */
    STORE_HASHED_BYTES_MAX = 1 << 20, /* up to this size, a file's tag is the hash of its bytes; see store.c */
    STORE_PACKED_BYTES_MAX = 1 << 20, /* up to this size, a file is also had in gzip; see stored_pack */
    STORE_TAG_BYTES = 48,
};

struct store {
    struct map by_path;
    struct list files; /* the most recently requested at the end */
    struct list open;  /* the most recently read at the end */
    size_t open_count, open_max;
    char *piece; /* for hashing */
};

/* A version of a file. */
struct stored {
    struct map_node by_path; /* while it is the newest */
    struct list of_store, of_open;
    struct store *store;
    struct conn_source source; /* given to a connection, it takes over a reference */
    struct file file;
    struct file_about about;
    uint32_t refs;
    bool newest;
    bool fresh; /* written moments before its time was read, so another version may have the same time */
    char *path;
    char etag[STORE_TAG_BYTES];
    struct buf packed; /* its bytes in gzip, once they were asked for */
    char packed_etag[STORE_TAG_BYTES];
};

enum store_result {
    STORE_FOUND,
    STORE_ABSENT,
    STORE_BUSY, /* no descriptor is free */
};

/* `open_max`: files open at one time. */
void store_init(struct store *store, const uint64_t seed[2], size_t open_max);
/* All references must be gone. Accepts zeroed memory. */
void store_finish(struct store *store);
/* Finds the newest version of the file `path`, open, with a reference for the caller. `wall_ms`: the current time. */
enum store_result store_find(struct store *store, const char *path, int64_t wall_ms, struct stored **found);
/* Keeps the bytes of a file just found in gzip too, as `packed`, whose entity tag is of its own. For a few files that
 * do not change: this reads and compresses all of it at once. False: it is too large, cannot be read, or does not
 * shrink.
 */
bool stored_pack(struct stored *stored);
void stored_unref(struct stored *stored);

#endif
