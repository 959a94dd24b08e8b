/* image_archive: what sennit-untar (src/untar) reads of an image's archive or layer. libarchive runs in that process,
 * which may do nothing but read the file and answer; what it answers is checked like the archive itself. Blocking. */
#ifndef SENNIT_PLATFORM_IMAGE_ARCHIVE_H
#define SENNIT_PLATFORM_IMAGE_ARCHIVE_H

#include <stdatomic.h>

#include "base/err.h"
#include "loop/filter.h"
#include "wire/untar.h"

enum image_archive_mode { IMAGE_ARCHIVE_LIST, IMAGE_ARCHIVE_PART, IMAGE_ARCHIVE_UNPACK };

struct image_archive {
    enum image_archive_mode mode;
    struct filter filter;
    struct buf input; /* records, the last one perhaps not whole */
    size_t used;      /* of its front, by the record that is out */
    atomic_bool *stop;
};

/* False with `err` set: this sennit was built without images, or is not installed whole. */
bool image_archive_ready(struct err *err);
/* LIST: the entries of an archive. PART: the bytes of its entry of that number; 0: of the file itself. UNPACK: the
 * entries of the layer that such a part is, with their contents; it is refused if it decompresses to more than
 * `bytes_max`. `stop` ends it, and may be NULL. */
bool image_archive_open(struct image_archive *archive, enum image_archive_mode mode, const char *path, size_t part,
                        uint64_t bytes_max, atomic_bool *stop, struct err *err);
/* The next record, until the next call: never UNTAR_FAULT. UNTAR_END comes once. False with `err` set, which does not
 * name the file. */
bool image_archive_next(struct image_archive *archive, struct untar_record *record, struct err *err);
void image_archive_close(struct image_archive *archive); /* accepts zeroed memory */

#endif
