/* instance_image: an instance whose program comes with a container image: the image's files as its root, the program,
 * its user and variables. */
#ifndef SENNIT_PLATFORM_INSTANCE_IMAGE_H
#define SENNIT_PLATFORM_INSTANCE_IMAGE_H

#include "loop/child.h"
#include "platform/image_program.h"

struct instance;

/* What its start needs until the program runs. Zeroed memory is none. */
struct instance_image {
    struct image_program program;
    struct mount_image mount;
    struct buf hosts, resolv;
};

/* Completes the variables, and says in `child` what to run. No effect for a program without an image. False with `err`
 * set: the image could not be unpacked, or has no such program. */
bool instance_image_make(struct instance_image *image, struct instance *instance, struct words *env,
                         struct child_spec *child, struct err *err);
/* The program was not executed: puts a reason that the image gives in the place of the kernel's. Returns false. */
bool instance_image_explain(const struct instance_image *image, struct err *err);
void instance_image_finish(struct instance_image *image);

#endif
