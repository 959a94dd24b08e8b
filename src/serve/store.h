/* store: the files that are served: which version of each lies on the disk, its entity tag, and its descriptor while
 * somebody reads it.
 *
 * A file's bytes are in the kernel's page cache, once, and nowhere in this process: each connection that sends one
 * holds a reference to its version. A file that has changed is a new version, and those who read the old one read it to
 * its end: a version is open while it has references. With more versions than may be open, the one that was read least
 * recently is closed, and opened again for the next reading: slow readers of many files keep nobody from another. */
#ifndef SENNIT_SERVE_STORE_H
#define SENNIT_SERVE_STORE_H

#include "base/map.h"
#include "loop/file.h"
#include "net/conn.h"

enum {
    STORE_FILES_MAX = 4096,           /* whose entity tags are remembered, the latest asked for */
    STORE_HASHED_BYTES_MAX = 1 << 20, /* a file up to this size has the hash of its bytes for a tag; see store.c */
    STORE_TAG_BYTES = 40,
};

struct store {
    struct map by_path;
    struct list files; /* the one that was asked for last at the end */
    struct list open;  /* the one that was read last at the end */
    size_t open_count, open_max;
    char *piece; /* for hashing */
};

/* A version of a file. */
struct stored {
    struct map_node by_path; /* while it is the newest */
    struct list of_store, of_open;
    struct store *store;
    struct conn_source source; /* a connection that is given it takes over a reference */
    struct file file;
    struct file_about about;
    uint32_t refs;
    bool newest;
    bool fresh; /* it was written moments before it was looked at, so that another version may look the same */
    char *path;
    char etag[STORE_TAG_BYTES];
};

enum store_result {
    STORE_FOUND,
    STORE_ABSENT,
    STORE_BUSY, /* there are no descriptors */
};

/* `open_max`: how many files are open at one time. */
void store_init(struct store *store, const uint64_t seed[2], size_t open_max);
/* Nobody reads any more. Accepts zeroed. */
void store_finish(struct store *store);
/* The newest version of what `path` names, open, with a reference for the caller. `wall_ms`: the time. */
enum store_result store_find(struct store *store, const char *path, int64_t wall_ms, struct stored **found);
void stored_unref(struct stored *stored);

#endif
