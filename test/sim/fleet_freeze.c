/* fleet_freeze: a platform that takes the CPU from an instance as soon as it has no request, and gives it back with the
 * first byte of the next. What the instance has sent by then arrives, what it is sent meanwhile waits. */
#include "fleet_parts.h"
#include "serve/client.h"

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

static void client_look(struct client *client, void *is_at_work)
{
    if (client_is_upgraded(client) || http_is_answering(&client->http) || http_head_bytes(&client->http) > 0)
        *(bool *)is_at_work = true;
}

/* A request is under way, or its answer is not written; a WebSocket is a request that lasts. */
static bool is_at_work(const struct instance *instance)
{
    bool is_at_work = false;
    crowd_each(&instance->server->crowd, client_look, &is_at_work);
    return is_at_work;
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
