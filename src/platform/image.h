/* image: a container image that is on this machine's disk: which program it brings, and which layers. Read whole when
 * it is deployed; nothing is fetched over a network.
 *
 *     oci:DIR[:TAG]             an OCI image layout (opencontainers/image-spec, image-layout.md)
 *     oci-archive:FILE[:TAG]    the same as a tar archive: podman save --format oci-archive
 *     docker-archive:FILE[:NAME]   docker save, podman save
 *
 * Every part is checked against the digest by which the one above names it: index, manifest, configuration, layers. */
#ifndef SENNIT_PLATFORM_IMAGE_H
#define SENNIT_PLATFORM_IMAGE_H

#include "base/err.h"
#include "platform/image_store.h"
#include "platform/words.h"
#include "wire/sha256.h"

enum { IMAGE_LAYERS_MAX = 500, IMAGE_JSON_BYTES_MAX = 4 << 20 };

struct image_layer {
    struct image_blob blob;
    char digest[SHA256_HEX_LEN + 1];        /* of its tar archive, decompressed */
    char packed_digest[SHA256_HEX_LEN + 1]; /* of the blob; empty: its manifest does not say it */
};

/* Zeroed memory is none. */
struct image {
    char digest[SHA256_HEX_LEN + 1]; /* of its configuration, which names all else; empty: there is none */
    struct words entrypoint, command, env;
    char *user, *directory; /* "" where the image says none */
    struct image_layer *layers;
    size_t layer_count;
};

/* Whether the text of `image:` names one on the disk. */
bool image_is_local(const char *reference);
/* This machine's processor, as images name it (Go's GOARCH). */
const char *image_architecture(void);
/* Such a text with its path from the root, for a file that lies elsewhere. The caller frees it. */
char *image_reference_complete(const char *reference);
/* Reads all but the layers' contents; a relative path begins at the file `beside`. False with `err` set: it is not
 * there, is damaged, or does not run on this machine; the text has the cure. */
bool image_read(struct image *image, const char *reference, const char *beside, struct err *err);
void image_finish(struct image *image); /* accepts zeroed memory */

#endif
