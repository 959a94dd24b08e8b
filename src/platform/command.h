/* command: finds the program to run: the container's image, where that is on this machine's disk, or a local program
 * instead of it.
 *
 * The first of these that is given: `--run`; the annotation sennit.dev/run; an image on the disk (image.h); the
 * container's `command`; an image file:///a/program. Cloud Run ignores the annotation, so the same file deploys there
 * unchanged. */
#ifndef SENNIT_PLATFORM_COMMAND_H
#define SENNIT_PLATFORM_COMMAND_H

#include "platform/image.h"
#include "platform/spec.h"

struct command {
    struct words argv;
    char *directory;    /* its working directory */
    struct image image; /* its program is the image's: the two above are empty (image_program.h) */
};

/* `run` is --run's argument, or NULL. False with `err` set: the text names the line to add to the file. */
bool command_find(struct command *command, const struct service_spec *spec, const char *path, const char *run,
                  struct err *err);
void command_finish(struct command *command);
/* Whether the image itself is run. */
bool command_wants_image(const struct service_spec *spec, const char *run);

/* Splits a text into words as a shell does, without expansion: blanks separate words, '...' keeps all characters, "..."
 * all but backslash and quote. */
bool command_split(struct span text, struct words *words, struct err *err);

#endif
