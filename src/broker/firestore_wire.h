/* firestore_wire: the messages of Firestore's API (firestore.proto) as structs of ours. All our documents look alike:
 * one field, `data`, with bytes.
 *
 * Times are nanoseconds since 1970; Firestore gives whole microseconds. */
#ifndef SENNIT_BROKER_FIRESTORE_WIRE_H
#define SENNIT_BROKER_FIRESTORE_WIRE_H

#include "base/buf.h"
#include "broker/grpc_link.h"

enum fs_write_kind {
    FS_CREATE, /* refused with GRPC_ALREADY_EXISTS if it is there */
    FS_CHANGE, /* refused with GRPC_FAILED_PRECONDITION unless its last change was at `updated_ns` */
    FS_PUT,    /* whether or not it is there */
    FS_DELETE, /* harmless if it is not there */
};

struct fs_write {
    enum fs_write_kind kind;
    struct span name; /* projects/P/databases/D/documents/... */
    struct span data;
    uint64_t updated_ns;
};

struct fs_document {
    struct span name, data;
    uint64_t created_ns, updated_ns;
};

enum fs_heard_kind {
    FS_HEARD_OTHER,    /* nothing to do */
    FS_HEARD_SNAPSHOT, /* everything that was committed up to `read_ns` has been heard */
    FS_HEARD_RESET,    /* everything is told anew, */
    FS_HEARD_CURRENT,  /* and has been told */
    FS_HEARD_ENDED,    /* the server has ended the target: `status`, `text` */
    FS_HEARD_DOCUMENT,
    FS_HEARD_DELETED, /* `document.name` */
    FS_HEARD_COUNT,   /* there are `count` documents */
};

/* What a Listen stream says. */
struct fs_heard {
    enum fs_heard_kind kind;
    uint64_t read_ns;
    uint64_t count;
    enum grpc_status status;
    struct span text;
    struct fs_document document;
    void *memory; /* of the spans */
};

/* What BatchGetDocuments says, once for each document. */
struct fs_got {
    struct fs_document document; /* name empty: there is none */
    void *memory;
};

/* Append an encoded request. */
void fs_commit_encode(struct buf *to, const char *database, const struct fs_write *writes, size_t count);
void fs_get_encode(struct buf *to, const char *database, char *const *names, size_t count);
/* All documents of a collection below the document `parent`. */
void fs_listen_encode(struct buf *to, const char *database, const char *parent, const char *collection);

/* False: it makes no sense, and nothing is to be finished. */
bool fs_heard_decode(struct fs_heard *heard, struct span message);
void fs_heard_finish(struct fs_heard *heard);
bool fs_got_decode(struct fs_got *got, struct span message);
void fs_got_finish(struct fs_got *got);

#endif
