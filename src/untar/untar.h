/* untar: what sennit-untar does: reads a file that is an archive, or a layer of an image, and says what is in it in the
 * records of wire/untar.h. Descriptors and processes are the caller's, so tests and fuzzers run it on bytes of theirs.
 */
#ifndef SENNIT_UNTAR_UNTAR_H
#define SENNIT_UNTAR_UNTAR_H

#include "untar/reader.h"

enum untar_mode {
    UNTAR_LIST,   /* the entries of a tar archive, without their contents */
    UNTAR_PART,   /* the bytes of one part */
    UNTAR_UNPACK, /* one part is a layer: what it decompresses to is a tar archive: its entries, with their contents */
};

struct untar_order {
    enum untar_mode mode;
    uint64_t part;      /* the number of an entry of the file, from 1; 0: the file itself */
    uint64_t bytes_max; /* of what a layer decompresses to */
};

/* Where records go. Whoever takes them embeds it. */
struct sink {
    bool (*put)(struct sink *sink, struct span bytes); /* false: nobody wants them any more */
};

/* False: the sink refused. What is wrong with the archive is a record. */
bool untar_run(const struct untar_order *order, struct source *file, struct sink *sink);

#endif
