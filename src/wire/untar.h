/* untar: what sennit-untar (src/untar) says of an archive, as records over a pipe: entries, the bytes of their
 * contents, and how it ended. Both sides are of one version, so the form may change with any.
 *
 *     kind, 1 byte | length of the body, 4 bytes, the lowest first | body
 *
 * The side that reads trusts nothing: who can take over the other side by a hostile archive can write any bytes here.
 */
#ifndef SENNIT_WIRE_UNTAR_H
#define SENNIT_WIRE_UNTAR_H

#include "base/buf.h"
#include "wire/sha256.h"

enum {
    UNTAR_PATH_BYTES_MAX = 4095,
    UNTAR_PIECE_BYTES_MAX = 64 * 1024,
    UNTAR_WHY_BYTES_MAX = 400,
    UNTAR_RECORD_BYTES_MAX = 5 + UNTAR_PIECE_BYTES_MAX
};

enum untar_type { UNTAR_FILE, UNTAR_HARD_LINK, UNTAR_SYMLINK, UNTAR_FOLDER, UNTAR_OTHER /* devices, pipes */ };

/* As the archive has it: whoever makes files of it keeps them below a root. */
struct untar_entry {
    struct span path, link; /* without a NUL, UNTAR_PATH_BYTES_MAX at most; `link` is where a link leads, or empty */
    uint64_t bytes;         /* of a file's contents; 0 of all else */
    int64_t modified_s;
    uint32_t mode, uid, gid;
    enum untar_type type;
};

/* Why an archive cannot be read to its end. */
enum untar_fault {
    UNTAR_CUT,        /* it ends in the middle */
    UNTAR_NO_ARCHIVE, /* it is no tar archive, or a damaged one */
    UNTAR_BAD_GZIP,
    UNTAR_BAD_ZSTD,
    UNTAR_BAD_PACKING, /* of a kind that was not found out */
    UNTAR_TOO_LARGE,   /* it decompresses to more than the caller allows */
    UNTAR_UNREADABLE,  /* the disk fails */
    UNTAR_NO_PART,     /* the archive has no such entry */
    UNTAR_OTHER_VERSION,
    UNTAR_FAULTS
};

enum untar_kind {
    UNTAR_ENTRY = 'e',
    UNTAR_BYTES = 'b',
    UNTAR_END = 'd', /* all was read */
    UNTAR_FAULT = 'f',
};

/* One record; spans point into what was decoded. */
struct untar_record {
    enum untar_kind kind;
    struct untar_entry entry;
    struct span bytes;               /* UNTAR_BYTES: at least one */
    char digest[SHA256_HEX_LEN + 1]; /* UNTAR_END: of all bytes */
    uint64_t total;                  /* UNTAR_END: how many they were */
    enum untar_fault fault;
    struct span why; /* UNTAR_FAULT: more of it, for people; may be empty */
};

void untar_entry_encode(struct buf *to, const struct untar_entry *entry);
void untar_bytes_encode(struct buf *to, struct span bytes); /* UNTAR_PIECE_BYTES_MAX at most */
void untar_end_encode(struct buf *to, const char *digest, uint64_t total);
void untar_fault_encode(struct buf *to, enum untar_fault fault, struct span why); /* what is too long is cut */
/* Returns how many bytes the record has; 0: it is not whole yet; -1: this is none. */
ptrdiff_t untar_decode(struct span input, struct untar_record *record);

#endif
