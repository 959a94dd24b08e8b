/* reader: reads the archives of container images piece by piece: tar (ustar, pax, GNU's), and the compression
 * around a layer (gzip, zstd, or none). libarchive does the work, and is told of nothing else, so a hostile archive
 * reaches no other of its many formats.
 *
 * An archive's bytes come from a source, which may itself be what another archive holds: a layer's digest is
 * that of its tar archive, so one reader decompresses what another one reads as tar. */
#ifndef SENNIT_UNTAR_READER_H
#define SENNIT_UNTAR_READER_H

#include <sys/types.h>

#include "wire/untar.h"

enum { READER_HEADER_BYTES_MAX = 4 << 20 /* of one entry, with what is said of it before */ };

/* Bytes that come piece by piece. Whoever gives them embeds it. */
struct source {
    /* The next bytes, which stay until the next call. Returns how many; 0: that is the end; -1: it failed, and the
     * source itself keeps why. */
    ssize_t (*next)(struct source *source, const void **bytes);
    /* Passes over up to so many bytes; returns over how many. NULL: all must be read. */
    int64_t (*skip)(struct source *source, int64_t bytes);
};

enum reader_kind {
    READER_PACKED, /* bytes, compressed or not */
    READER_TAR,    /* entries; compression is not looked for */
};

enum reader_result {
    READER_GOT,     /* an entry, or bytes */
    READER_OVER,    /* there are no more */
    READER_CUT,     /* the source ends in the middle */
    READER_DAMAGED, /* this is no such archive, or one with more than the bounds above */
    READER_FAILED,  /* the source failed */
};

struct reader;

/* What is wrong with it shows at the first call below. */
struct reader *reader_open(struct source *source, enum reader_kind kind);
void reader_close(struct reader *reader); /* accepts NULL */
/* The next entry of a READER_TAR, valid until the next call; what is left of the contents of the one before is passed
 * over. */
enum reader_result reader_next(struct reader *reader, struct untar_entry *entry);
/* Up to `room` bytes of what is packed, or of the contents of the entry; a hole in a file is read as zeros. */
enum reader_result reader_read(struct reader *reader, char *to, size_t room, size_t *got);
/* Which of the UNTAR_BAD_ it is, by the first bytes. */
enum untar_fault reader_packing_fault(const struct reader *reader);
/* What libarchive says of damage, harmless to look at; may be empty. */
struct span reader_why(const struct reader *reader);

#endif
