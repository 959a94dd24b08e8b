/* command: which local program stands for the container.
 *
 * In this order: `--run`; the annotation sennit.dev/run; the container's `command`; an image that is file:///a/program.
 * Cloud Run ignores the annotation, so the same file deploys there unchanged. */
#ifndef SENNIT_PLATFORM_COMMAND_H
#define SENNIT_PLATFORM_COMMAND_H

#include "platform/spec.h"

struct command {
    struct words argv;
    char *directory; /* where it runs */
};

/* `run` is --run's argument, or NULL. False with `err` set: which line to add to the file. */
bool command_find(struct command *command, const struct service_spec *spec, const char *path, const char *run,
                  struct err *err);
void command_finish(struct command *command);

/* Splits as a shell splits words: blanks separate, '...' keeps all, "..." all but backslash and quote; nothing is
 * expanded. */
bool command_split(struct span text, struct words *words, struct err *err);

#endif
