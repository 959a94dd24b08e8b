/* instance_user: as whom a program without an image runs, where the file says it (securityContext.runAsUser). Only root
 * can start programs as another user. For images, see image_program.h. */
#ifndef SENNIT_PLATFORM_INSTANCE_USER_H
#define SENNIT_PLATFORM_INSTANCE_USER_H

#include "base/err.h"
#include "loop/child.h"
#include "platform/spec.h"

/* Whether programs of this file run as somebody else than it says, because this process is not root's. */
bool instance_user_is_ours(const struct service_spec *spec);
/* Sets `child->user` to `*user`, and HOME. False with `err` set: the file wants no root, and this would be root. */
bool instance_user_choose(const struct service_spec *spec, struct child_user *user, struct words *env,
                          struct child_spec *child, struct err *err);

#endif
