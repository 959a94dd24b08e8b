/* environment: the environment variables of the service's programs.
 *
 * Like a container, an instance gets the variables of its file and few others. From the operator's shell it gets only
 * PATH, HOME, TMPDIR and LANG, and the variables that `--env NAME` passes on. */
#ifndef SENNIT_PLATFORM_ENVIRONMENT_H
#define SENNIT_PLATFORM_ENVIRONMENT_H

#include "base/err.h"
#include "base/span.h"
#include "platform/words.h"

enum { ENVIRONMENT_NAME_BYTES_MAX = 256 };

/* By Kubernetes' rule: letters, digits, - _ and ., and no digit in front. */
bool environment_name_is_valid(struct span name);
/* Adds "NAME=value", replacing an earlier NAME. Takes ownership of the text. */
void environment_set(struct words *env, char *text);
/* Its value; empty if it is not there. */
struct span environment_get(const struct words *env, struct span name);
bool environment_has(const struct words *env, struct span name);
/* Removes NAME; harmless if it is not there. */
void environment_unset(struct words *env, struct span name);
/* Adds the operator's PATH, HOME, TMPDIR and LANG; without a PATH, the usual one. */
void environment_add_system(struct words *env);
/* Adds the operator's variables of these names. False with `err` set: a name is not set, is invalid, or is reserved for
 * the platform. The text never holds a value. */
bool environment_pass(struct words *env, const char *const *names, size_t count, struct err *err);
/* Whether the platform sets this variable itself; `redis`, `postgres`: it manages one. */
bool environment_is_reserved(struct span name, bool redis, bool postgres);

#endif
