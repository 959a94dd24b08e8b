/* source: how a folder of source becomes a program: the steps that build it, and the command that runs it. `sennit
 * deploy` makes a plan of its copy, runs the steps in it, and then asks for the command.
 *
 *     a Dockerfile, with podman or docker    build, and save the image, which is run (image.h)
 *     package.json                           npm ci or npm install, a build script; npm's start script
 *     requirements.txt, main.py, app.py      a venv with pip, if it names any; gunicorn main:app, if it does
 *     meson.build                            meson, ninja; the executable that has the service's name
 *     Makefile                               make; likewise, or its target "run"
 *     an executable                          with the service's name, or called "server"
 *
 * The line `web:` of a Procfile is the command, where there is one. */
#ifndef SENNIT_PLATFORM_SOURCE_H
#define SENNIT_PLATFORM_SOURCE_H

#include <stdint.h>

#include "base/err.h"
#include "platform/words.h"

enum source_kind {
    SOURCE_CONTAINER,
    SOURCE_NODE,
    SOURCE_PYTHON,
    SOURCE_MESON,
    SOURCE_MAKE,
    SOURCE_EXECUTABLE,
    SOURCE_PROCFILE, /* nothing is built */
    SOURCE_KINDS
};
#define SOURCE_ARCHIVE "image.tar" /* the image of a Dockerfile, in the directory */
enum { SOURCE_STEPS_MAX = 4, SOURCE_FILE_BYTES_MAX = 4 << 20 };

/* Zeroed memory is empty. */
struct source_plan {
    const char *directory, *service; /* the caller's */
    const char *builder;             /* of a container; "podman" or "docker" */
    char *image;                     /* likewise: its name */
    char *reference;                 /* likewise: where it is, as a service.yaml names it; NULL: it is no container */
    struct words steps[SOURCE_STEPS_MAX];
    uint8_t step_count, kind;
    bool ignores_dockerfile; /* there is one, and nothing that builds it */
};

/* The steps for the source in `directory`; `build` names an image. False with `err` set: it is nothing that is known
 * here, and the text says what is. */
bool source_plan_make(struct source_plan *plan, const char *directory, const char *service, const char *build,
                      struct err *err);
/* The steps that save an image which podman or docker has. False with `err` set: neither is installed. */
bool source_image_plan(struct source_plan *plan, const char *directory, const char *image, struct err *err);
/* After the steps: the command, to be run in the directory; not of a container. False with `err` set: there is none. */
bool source_command_find(const struct source_plan *plan, struct words *command, struct err *err);
/* As a word for people: "npm", "Dockerfile (podman)". */
const char *source_kind_name(const struct source_plan *plan);
void source_plan_finish(struct source_plan *plan);

#endif
