/* image_unpack: makes the files of an image, once for each image: IMAGES/DIGEST, named by its configuration, which
 * names all layers. A worker does it, so that the ingress goes on meanwhile. The files are made in a folder beside and
 * moved when they are whole, so what is there is whole.
 *
 * What a layer brings is not trusted: its paths stay below the folder (loop/rootfs.h), its bytes and files have bounds,
 * and its digest must be that of the configuration. */
#ifndef SENNIT_PLATFORM_IMAGE_UNPACK_H
#define SENNIT_PLATFORM_IMAGE_UNPACK_H

#include <stdatomic.h>

#include "loop/worker.h"
#include "platform/image.h"

enum {
    IMAGE_FILES_MAX = 1000000,
    IMAGE_NAMES_BYTES_MAX = 256 << 20 /* of a layer's paths, which are kept meanwhile */
};
#define IMAGE_BYTES_MAX ((uint64_t)32 << 30) /* as much as an instance's memory on Cloud Run */

/* Zeroed memory does nothing. */
struct image_unpack {
    struct job job;
    struct worker *worker;     /* while it is under way */
    const struct image *image; /* the caller's; nobody changes it meanwhile */
    char *images;              /* the folder of all images */
    char *root;                /* the image's files, once they are there */
    struct err err;            /* `ok` is false: why they are not */
    bool ok;
    atomic_bool stop;
    void (*done)(struct image_unpack *unpack); /* from the loop, once */
};

/* The folder of all images of this state folder (NULL: the default one). The caller frees it. */
char *image_folder(const char *state_dir);
/* Begins. The memory stays in place until `done`, or image_unpack_finish. True: they are there already, and `done`
 * does not follow. */
bool image_unpack_begin(struct image_unpack *unpack, const struct image *image, const char *state_dir,
                        struct loop *loop, void (*done)(struct image_unpack *unpack));
/* Ends it, wherever it is. Accepts zeroed memory. */
void image_unpack_finish(struct image_unpack *unpack);
/* Removes each image that is not in the list, which ends with NULL, and what an earlier process has left unfinished.
 * For the one process that has the state folder. */
void images_sweep(const char *state_dir, const char *const *digests);

/* The work itself, blocking: makes the files in `folder`, which is there and empty. `stop` may be NULL. */
bool image_unpack_into(const struct image *image, const char *folder, atomic_bool *stop, struct err *err);

#endif
