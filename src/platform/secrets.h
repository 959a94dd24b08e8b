/* secrets: `valueFrom.secretKeyRef` and volumes of service.yaml, from a folder of this machine: DIR/NAME is the only
 * version, or DIR/NAME/1, DIR/NAME/2 ... are its versions, of which `latest` is the one with the highest number. No
 * message holds a value. https://cloud.google.com/run/docs/configuring/services/secrets */
#ifndef SENNIT_PLATFORM_SECRETS_H
#define SENNIT_PLATFORM_SECRETS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "platform/words.h"

enum { SECRET_BYTES_MAX = 64 * 1024, SECRET_NAME_BYTES_MAX = 255 };

/* As Secret Manager has them: letters, digits, - and _. */
bool secret_name_is_valid(struct span name);
/* `latest`, or a number from 1. */
bool secret_version_is_valid(struct span version);
/* The default folder: $XDG_CONFIG_HOME/sennit/secrets, else ~/.config/sennit/secrets. The caller frees it. */
char *secrets_directory(const char *given);
/* Sets the variables of `secrets` (three words each, see service_spec) in `env`, but for those that are there already.
 * `given`: the folder; NULL: the default one. False with `err` set, which names the variable. */
bool secrets_take(struct words *env, const struct words *secrets, const char *given, struct err *err);

/* The file of a version in that folder, which `latest` makes another one in time. The caller frees it; NULL with `err`
 * set: it is not there. */
char *secret_find(const char *given, const char *name, const char *version, struct err *err);

#endif
