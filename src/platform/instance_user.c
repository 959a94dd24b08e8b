/* instance_user: takes the group and the folder of a user that this machine knows. A number that it does not know gets
 * itself as its group, never root's. */
#include "platform/instance_user.h"

#include <stdlib.h>

#include "base/mem.h"
#include "loop/process.h"
#include "platform/environment.h"

bool instance_user_is_ours(const struct service_spec *spec)
{
    return spec->uid.is_given && !process_is_root();
}

bool instance_user_choose(const struct service_spec *spec, struct child_user *user, struct words *env,
                          struct child_spec *child, struct err *err)
{
    if (spec->not_root && !spec->uid.is_given && process_is_root())
        return err_set(err, "securityContext.runAsNonRoot is true, and sennit up is root: give a runAsUser, or start "
                            "sennit up with --user");
    if (!spec->uid.is_given || !process_is_root())
        return true;
    *user = (struct child_user){spec->uid.number, spec->uid.number};
    char *home = process_user_numbered(user);
    if (spec->gid.is_given)
        user->gid = spec->gid.number;
    if (!environment_has(&spec->env, SPAN_LIT("HOME")))
        environment_set(env, mem_printf("HOME=%s", home != NULL ? home : "/"));
    free(home);
    child->user = user;
    return true;
}
