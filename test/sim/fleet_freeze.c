/* fleet_freeze: a platform that takes the CPU from an instance as soon as it has no request, and gives it back with the
 * first byte of the next. What the instance has sent by then arrives, what it is sent meanwhile waits. */
#include "fleet_parts.h"

enum { START_US = 3000000 }; /* so long an instance may take to start, with its CPU */

/* Bytes of a request have come, and nobody has read them yet. */
static bool has_unread(const struct list *ends, uint16_t port)
{
    for (const struct list *node = ends->next; node != ends; node = node->next) {
        const struct sim_end *end = container_of(node, const struct sim_end, of_sim);
        if (end->port == port && !end->dials && end->in.len > 0)
            return true;
    }
    return false;
}

static bool is_asked(const struct fleet *fleet, const struct instance *instance)
{
    const struct sim_port *port = sim_port_find(fleet->sim, instance->port);
    return has_unread(&fleet->sim->ends, instance->port) ||
           (port != NULL && has_unread(&port->waiting, instance->port));
}

/* A request is under way, or its answer is not written; a WebSocket is a request that lasts. */
static bool is_at_work(const struct instance *instance)
{
    const struct http_server *server = &instance->server->http;
    for (const struct list *node = server->conns.next; node != &server->conns; node = node->next) {
        const struct http *http = container_of(node, const struct http, of_server);
        if (http->exchange == NULL || http_is_answering(http) || http_head_bytes(http) > 0)
            return true;
    }
    return false;
}

static bool is_starting(const struct fleet *fleet, const struct instance *instance)
{
    return !instance->server->broker->is_up && sim_now_us(fleet->sim) - instance->started_us < START_US;
}

void freeze_step(void *arg)
{
    struct fleet *fleet = arg;
    for (int i = 0; i < fleet->plan->instances; i++) {
        struct instance *instance = &fleet->instances[i];
        if (instance->loop == NULL || instance->paused || instance->draining || is_starting(fleet, instance))
            continue;
        bool stands = !is_asked(fleet, instance) && (instance->frozen || !is_at_work(instance));
        if (stands == instance->frozen)
            continue;
        instance->frozen = stands;
        fleet->frozen += stands;
        program_trouble(fleet, i);
        sim_host_pause(instance->loop, stands);
        fleet_say(fleet, "instance %u %s", instance->port, stands ? "is frozen" : "thaws");
    }
}

void freeze_end(struct fleet *fleet)
{
    fleet->freezes = false;
    for (int i = 0; i < fleet->plan->instances; i++) {
        struct instance *instance = &fleet->instances[i];
        if (instance->loop != NULL && instance->frozen)
            sim_host_pause(instance->loop, false);
        instance->frozen = false;
    }
}
