/* instance_network: what is in an instance's own network, and which program needs one. */
#include "platform/instance_network.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/file.h"
#include "platform/fleet.h"
#include "platform/instance.h"

enum {
    HOSTS_BYTES_MAX = 1 << 20,
    SAID_BYTES_MAX = 300,
    OUTSIDE_MS_MAX = 1000 /* it takes less than 10 */
};
#define OUTSIDE_CURE \
    "see that /dev/net/tun is there (modprobe tun) and that slirp4netns is 1.0 or newer, or say --network shared"

static bool is_private(const struct fleet *fleet)
{
    return fleet->network == NETWORK_PRIVATE || fleet->insists;
}

/* A container expects one, and does with $PORT if it gets none. */
static bool is_container(const struct fleet *fleet)
{
    return fleet->network == NETWORK_AUTO && !fleet->insists && fleet->command->image.digest[0] != '\0';
}

static void redis_let_in(struct instance *instance)
{
    struct redis_port *redis = instance->fleet->redis;
    struct err err;
    if (redis != NULL && redis->net != NULL &&
        !redis_door_open(&instance->network.redis, redis, &instance->network.space, &err))
        INSTANCE_EVENT(instance, LOG_WARNING, "REDISPORT is not in the instance's network; REDIS_URL works",
                       LOG_C("instance", instance->id), LOG_C("error", err.text));
}

static struct instance *instance_of(struct child *child)
{
    return container_of(container_of(child, struct instance_network, outside), struct instance, network);
}

static void outside_line(struct child *child, bool is_stderr, struct span line)
{
    struct instance_network *network = container_of(child, struct instance_network, outside);
    if (!is_stderr || line.len == 0)
        return;
    free(network->outside_said);
    network->outside_said = mem_text(span_sub(line, 0, SAID_BYTES_MAX));
}

static void outside_ended(struct child *child, struct child_end end)
{
    struct instance *instance = instance_of(child);
    const char *said = instance->network.outside_said;
    INSTANCE_EVENT(instance, LOG_ERROR, "slirp4netns has ended: the instance does not reach the outside; " OUTSIDE_CURE,
                   LOG_C("instance", instance->id), LOG_N("status", (uint64_t)end.exit_status),
                   LOG_N("signal", (uint64_t)end.signal), LOG_C("said", said != NULL ? said : ""));
}

/* The way out is there, or never will be. Of one that has ended, outside_ended tells. */
static void outside_await(struct instance *instance, struct child_ready *ready)
{
    if (child_ready_wait(ready, OUTSIDE_MS_MAX) != CHILD_LATE)
        return;
    child_discard(&instance->network.outside);
    INSTANCE_EVENT(instance, LOG_ERROR,
                   "slirp4netns has not made the instance's way outside in time, and is ended; " OUTSIDE_CURE,
                   LOG_C("instance", instance->id), LOG_N("ms", OUTSIDE_MS_MAX));
}

/* Its way out needs no rights and no route of this machine: slirp4netns makes the instance's connections its own. The
 * loop waits for it, as it does for a program's exec: a program that finds no way out when it starts may give up. */
static void outside_open(struct instance *instance)
{
    struct fleet *fleet = instance->fleet;
    struct child_ready ready;
    struct err err;
    bool is_open = child_ready_open(&ready, &err);
    char *path = mem_printf("/proc/%d/fd/%d", (int)getpid(), instance->network.space.fd);
    char *number = mem_printf("--ready-fd=%d", ready.its);
    const char *const argv[] = {"slirp4netns",       "--configure", "--mtu=65520", number,
                                "--netns-type=path", path,          "tap0",        NULL};
    struct child_spec spec = {.argv = argv, .ready = &ready};
    bool has_begun =
        is_open && child_start(&instance->network.outside, fleet->loop, &spec, outside_line, outside_ended, &err);
    if (has_begun)
        outside_await(instance, &ready);
    else {
        child_ready_close(&ready);
        if (!fleet->outside_told)
            INSTANCE_EVENT(instance, LOG_WARNING,
                           "the instances' networks do not lead outside: install slirp4netns (apt-get install "
                           "slirp4netns), or say --network shared",
                           LOG_C("why", err.text));
        fleet->outside_told = true;
    }
    free(number);
    free(path);
}

bool instance_network_open(struct instance *instance, struct err *err)
{
    struct fleet *fleet = instance->fleet;
    struct err why;
    if (!is_private(fleet) && !is_container(fleet))
        return true;
    if (netspace_open(&instance->network.space, &why)) {
        redis_let_in(instance);
        outside_open(instance);
        return true;
    }
    if (fleet->network == NETWORK_PRIVATE)
        return err_set(err, "--network private: %s; --network shared does without", why.text);
    if (is_container(fleet))
        return true;
    fleet->insists = false;
    fleet->network = NETWORK_SHARED;
    INSTANCE_EVENT(instance, LOG_ERROR,
                   "the program insists on its port, and gets no network of its own in which that is free: let it read "
                   "PORT from its environment",
                   LOG_C("instance", instance->id), LOG_C("why", why.text));
    return true;
}

bool instance_network_hosts(const struct instance *instance, struct buf *hosts)
{
    struct err ignored;
    if (!instance->network.space.is_open)
        return false;
    if (file_exists("/etc/hosts"))
        file_read("/etc/hosts", HOSTS_BYTES_MAX, hosts, &ignored);
    buf_append(hosts, SPAN_LIT("\n" NETSPACE_METADATA_ADDRESS "\tmetadata.google.internal metadata\n"));
    buf_append_char(hosts, '\0');
    return true;
}

void instance_network_close(struct instance *instance)
{
    child_discard(&instance->network.outside);
    free(instance->network.outside_said);
    instance->network.outside_said = NULL;
    redis_door_close(&instance->network.redis);
    netspace_close(&instance->network.space);
}

/* As C, Go, Java, Node, Python and Ruby say it. */
void instance_network_line(struct instance *instance, struct span line)
{
    static const struct span texts[] = {SPAN_LIT("EADDRINUSE"), SPAN_LIT("ddress already in use")};
    for (size_t i = 0; instance->program.state == PROGRAM_STARTING && i < sizeof texts / sizeof texts[0]; i++)
        instance->network.is_missed |= memmem(line.data, line.len, texts[i].data, texts[i].len) != NULL;
}

bool instance_network_insists(struct instance *instance, uint16_t port)
{
    const struct fleet *fleet = instance->fleet;
    if (fleet->network != NETWORK_AUTO || instance->network.space.is_open || port != fleet->spec->container_port)
        return false;
    instance->network.is_missed = true;
    program_kill(&instance->program);
    return true;
}

bool instance_network_was_missing(struct instance *instance)
{
    struct fleet *fleet = instance->fleet;
    if (fleet->network != NETWORK_AUTO || instance->network.space.is_open || !instance->network.is_missed)
        return false;
    if (!fleet->insists)
        INSTANCE_EVENT(instance, LOG_WARNING,
                       "the program does not listen on $PORT but on a port of its own; its instances get networks of "
                       "their own, where that port is free, and this machine's loopback is not: let it read PORT from "
                       "its environment, or say --network private",
                       LOG_C("instance", instance->id), LOG_N("containerPort", fleet->spec->container_port));
    fleet->insists = true;
    return true;
}
