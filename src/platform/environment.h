/* environment: the variables that a program of the service starts with.
 *
 * A container starts with what its file says and little else; so do instances here. Nothing of the operator's shell
 * reaches them but PATH, HOME, TMPDIR and LANG, and what `--env NAME` passes on. */
#ifndef SENNIT_PLATFORM_ENVIRONMENT_H
#define SENNIT_PLATFORM_ENVIRONMENT_H

#include "platform/spec.h"

enum { ENVIRONMENT_NAME_BYTES_MAX = 256 };

/* As Kubernetes has it: letters, digits, - _ and ., and no digit in front. */
bool environment_name_is_valid(struct span name);
/* Adds "NAME=value", in place of what `env` says of NAME so far. Takes the text. */
void environment_set(struct words *env, char *text);
/* PATH, HOME, TMPDIR and LANG as the operator has them; without a PATH, the usual one. */
void environment_add_system(struct words *env);
/* Adds the operator's variables of these names. False with `err` set: one is not set, has no valid name, or is the
 * platform's to set. The text never holds a value. */
bool environment_pass(struct words *env, const struct words *names, struct err *err);
/* The platform sets this variable itself; `redis`: it manages a Redis. */
bool environment_is_reserved(struct span name, bool redis);

#endif
