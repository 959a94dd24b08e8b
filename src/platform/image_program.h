/* image_program: what an instance runs of an image whose files are there: the program, its user, its working directory,
 * and the files that a container gets beside the image's. */
#ifndef SENNIT_PLATFORM_IMAGE_PROGRAM_H
#define SENNIT_PLATFORM_IMAGE_PROGRAM_H

#include "platform/image.h"
#include "platform/spec.h"

/* Zeroed memory is none. */
struct image_program {
    struct words argv; /* the program's path in the image in front */
    char *directory;
    uint32_t uid, gid;
    char *home;           /* of the user */
    bool is_unknown_user; /* the image names a user that it does not have, so it is root, as on Cloud Run */
};

/* Whether it has one: `command` and `args` of the file stand for ENTRYPOINT and CMD, and without ENTRYPOINT's own CMD.
 * False with `err` set. */
bool image_program_check(const struct image *image, const struct service_spec *spec, struct err *err);
/* The image's variables, in front of those of the file. */
void image_environment(struct words *env, const struct image *image);
/* `root`: where the files are; `env`: the variables of the instance, among them PATH. False with `err` set: there is no
 * such program. */
bool image_program_find(struct image_program *program, const struct image *image, const char *root,
                        const struct service_spec *spec, const struct words *env, struct err *err);
void image_program_finish(struct image_program *program); /* accepts zeroed memory */

#endif
