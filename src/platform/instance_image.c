/* instance_image: chooses what the instance finds in /etc. */
#include "platform/instance_image.h"

#include "base/mem.h"
#include "loop/file.h"
#include "platform/environment.h"
#include "platform/fleet.h"
#include "platform/image_exec.h"
#include "platform/instance.h"

enum { RESOLV_BYTES_MAX = 64 * 1024 };
#define SLIRP_RESOLVER "10.0.2.3" /* slirp4netns passes questions on to this machine's resolver */

/* In a network of its own, it finds the metadata server at Google's address and by its name. */
static void texts_make(struct instance_image *image, const struct instance *instance)
{
    bool is_private = instance->network.space.is_open;
    struct err ignored;
    buf_append(&image->hosts, SPAN_LIT("127.0.0.1\tlocalhost\n::1\tlocalhost\n"));
    if (is_private)
        buf_append(&image->hosts, SPAN_LIT(NETSPACE_METADATA_ADDRESS "\tmetadata.google.internal metadata\n"));
    if (is_private)
        buf_append(&image->resolv, SPAN_LIT("nameserver " SLIRP_RESOLVER "\n"));
    else
        file_read("/etc/resolv.conf", RESOLV_BYTES_MAX, &image->resolv, &ignored);
    buf_append_char(&image->hosts, '\0');
    buf_append_char(&image->resolv, '\0');
}

/* The managed Redis' socket is a file of this machine. */
static void redis_name(const struct instance *instance, struct words *env)
{
    struct span host = environment_get(env, SPAN_LIT("REDISHOST")), port = environment_get(env, SPAN_LIT("REDISPORT"));
    if (instance->fleet->redis != NULL && host.len > 0 && port.len > 0)
        environment_set(env, mem_printf("REDIS_URL=redis://" SPAN_FMT ":" SPAN_FMT, SPAN_ARG(host), SPAN_ARG(port)));
}

bool instance_image_make(struct instance_image *image, struct instance *instance, struct words *env,
                         struct child_spec *child, struct err *err)
{
    struct fleet *fleet = instance->fleet;
    const struct image *from = &fleet->command->image;
    if (from->digest[0] == '\0')
        return true;
    if (fleet->image_root == NULL)
        return err_set(err, "%s", fleet->image_fault != NULL ? fleet->image_fault : "its image is not unpacked yet");
    if (!image_program_find(&image->program, from, fleet->image_root, fleet->spec, env, err))
        return false;
    if (image->program.is_unknown_user && !fleet->user_told)
        INSTANCE_EVENT(
            instance, LOG_WARNING,
            "the image has no user of the name that it says, so the program runs as its root, as on Cloud Run",
            LOG_C("instance", instance->id), LOG_C("user", from->user));
    fleet->user_told = fleet->user_told || image->program.is_unknown_user;
    if (!environment_has(env, SPAN_LIT("HOME")))
        environment_set(env, mem_printf("HOME=%s", image->program.home));
    redis_name(instance, env);
    texts_make(image, instance);
    image->mount = (struct mount_image){.root = fleet->image_root,
                                        .directory = image->program.directory,
                                        .uid = image->program.uid,
                                        .gid = image->program.gid,
                                        .bytes_max = fleet->spec->memory_bytes_max,
                                        .groups = &fleet->programs->cgroups,
                                        .group = &instance->cgroup,
                                        .hosts = buf_span(&image->hosts).data,
                                        .resolv = buf_span(&image->resolv).data};
    child->argv = (const char *const *)image->program.argv.list;
    child->env = (const char *const *)env->list;
    child->directory = image->program.directory;
    return true;
}

bool instance_image_explain(const struct instance_image *image, struct err *err)
{
    return image->mount.root != NULL && image_exec_explain(image->mount.root, image->program.argv.list[0], err);
}

void instance_image_finish(struct instance_image *image)
{
    image_program_finish(&image->program);
    buf_finish(&image->hosts);
    buf_finish(&image->resolv);
}
