/* tar: reads a tar archive: POSIX's ustar and pax (IEEE 1003.1, pax "Interchange Format") and GNU's long names. Bytes
 * in, entries and their contents out; the layers and archives of container images are made of it.
 *
 *     tar_next(tar, &input, &bytes)   until TAR_MORE asks for more input
 *
 * An entry's path and link are as the archive has them: whoever makes files of them keeps them below a root. */
#ifndef SENNIT_WIRE_TAR_H
#define SENNIT_WIRE_TAR_H

#include "base/buf.h"

enum { TAR_BLOCK_BYTES = 512, TAR_PATH_BYTES_MAX = 4095, TAR_EXTRA_BYTES_MAX = 1 << 20 };

enum tar_type { TAR_FILE, TAR_HARD_LINK, TAR_SYMLINK, TAR_FOLDER, TAR_OTHER /* devices, pipes */ };

struct tar_entry {
    const char *path, *link; /* C strings; `link` is where a link leads, "" otherwise */
    uint64_t bytes;          /* of a file's contents; 0 of all else */
    int64_t modified_s;
    uint32_t mode, uid, gid;
    enum tar_type type;
};

enum tar_event {
    TAR_MORE,  /* the input is used up */
    TAR_ENTRY, /* `tar->entry` is the next one, until the next call */
    TAR_BYTES, /* some of its contents */
    TAR_OVER,  /* the archive's end; what is behind it means nothing */
    TAR_BAD,   /* this is no tar archive, or one with more than the bounds above */
};

/* Zeroed memory is at the beginning of an archive. */
struct tar {
    struct tar_entry entry;
    struct buf path, link; /* of the entry, with a NUL */
    struct buf extra;      /* contents of an entry that says more about the next one */
    char block[TAR_BLOCK_BYTES];
    size_t filled;
    uint64_t left, padding; /* of contents, and behind them */
    uint64_t bytes_said;    /* by pax, of the next entry */
    bool has_bytes_said;
    char extra_type; /* '\0': the contents are a file's */
    bool is_over;
};

enum tar_event tar_next(struct tar *tar, struct span *input, struct span *bytes);
/* After TAR_ENTRY: leaves the contents out. Returns how many bytes of the archive stand there, which the caller passes
 * over. */
uint64_t tar_contents_skip(struct tar *tar);
/* The input ended: whether that is in order. Some writers leave the archive's end out. */
bool tar_may_end(const struct tar *tar);
void tar_finish(struct tar *tar);

#endif
