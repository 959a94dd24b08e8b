/* fleet_bounds: everything that may grow in an instance stays within its named bound, at any moment. */
#include "broker/redis_parts.h"
#include "fleet_parts.h"
#include "hub/hub_parts.h"
#include "hub/page.h"
#include "serve/client.h"
#include "session/subscriber.h"

static void wrong(struct fleet *fleet, const struct instance *instance, const char *what, uint64_t has, uint64_t most)
{
    if (has > most)
        check_fail(&fleet->check, "instance %u has %s of %llu, and %llu is the most", instance->port, what,
                   (unsigned long long)has, (unsigned long long)most);
}

static size_t list_length(const struct list *list)
{
    size_t count = 0;
    for (const struct list *node = list->next; node != list; node = node->next)
        count++;
    return count;
}

static void socket_check(struct fleet *fleet, const struct instance *instance, const struct subscriber *socket)
{
    const struct member *member = &socket->member;
    const struct session_limits *limits = &subscriber_sessions(socket)->limits;
    if (member->hub == NULL)
        return;
    size_t pasts = 0, rooms = 0, counted = member->marks != NULL ? member->marks->past_count : 0;
    pasts_each(past, member) pasts++;
    memberships_each(membership, member) rooms++;
    wrong(fleet, instance, "entries held", member_held(member) != NULL ? member_held(member)->count : 0, HUB_HELD_MAX);
    wrong(fleet, instance, "rooms left", counted, HUB_PASTS_MAX);
    wrong(fleet, instance, "rooms left, counted", pasts, counted);
    /* Its own, and what it is still owed of those it left. */
    wrong(fleet, instance, "rooms", rooms, limits->rooms_max + 2 + HUB_PASTS_MAX);
    /* One for each join or leave that waits for the lease. */
    wrong(fleet, instance, "answers that wait", socket->extra != NULL ? list_length(&socket->extra->calls) : 0,
          fleet->plan->hostiles > 0 ? limits->calls_max : ROOMS * 4);
}

static void session_check(struct fleet *fleet, const struct instance *instance, const struct session *session)
{
    const struct session_limits *limits = &session->sessions->limits;
    wrong(fleet, instance, "calls under way", session->load != NULL ? session->load->count : 0, limits->calls_max);
    wrong(fleet, instance, "calls, counted", session->load != NULL ? list_length(&session->load->calls) : 0,
          session->load != NULL ? session->load->count : 0);
    /* The last one may be as large as a message, and its audience. */
    wrong(fleet, instance, "bytes of calls under way", session->load != NULL ? session->load->cost : 0,
          limits->call_bytes_max + limits->payload_bytes_max + NET_RECEIVE_BYTES);
    wrong(fleet, instance, "namespaces", session->socket_count, limits->sockets_max);
    subscribers_each(subscriber, session) socket_check(fleet, instance, subscriber);
}

static void conn_check(struct fleet *fleet, const struct instance *instance, const struct conn *conn)
{
    const struct conn_queue *queue = conn->queue;
    size_t bytes = 0, counted = conn_queued(conn) + (queue != NULL ? queue->head_written : 0);
    for (uint32_t i = 0; queue != NULL && i < queue->count; i++)
        bytes += queue->slots[(queue->at + i) & (queue->cap - 1)].frame->len;
    wrong(fleet, instance, "an output queue", conn_queued(conn), conn->limits->queue_bytes_max);
    wrong(fleet, instance, "unread input", conn_kept(conn), conn->limits->input_bytes_max);
    if (bytes != counted)
        check_fail(&fleet->check, "instance %u counts %zu bytes in a queue of %zu", instance->port, counted, bytes);
}

static void broker_check(struct fleet *fleet, const struct instance *instance)
{
    const struct redis_broker *redis = redis_of(instance->server->broker);
    wrong(fleet, instance, "a backlog", redis->publishing.backlog_bytes, BROKER_BACKLOG_BYTES_MAX);
    if (list_empty(&redis->publishing.waiting) && list_empty(&redis->publishing.flying) &&
        redis->publishing.backlog_bytes != 0)
        check_fail(&fleet->check, "instance %u counts a backlog of %zu bytes, and there is none", instance->port,
                   redis->publishing.backlog_bytes);
    conn_check(fleet, instance, &redis->commands.conn);
    conn_check(fleet, instance, &redis->feed.conn);
}

/* The calls that all sessions together have under way. */
static void loads_check(struct fleet *fleet, const struct instance *instance)
{
    const struct sessions *sessions = &instance->server->sessions;
    const struct session_limits *limits = &sessions->limits;
    /* The last of each may be as large as a message, or as an answer. */
    wrong(fleet, instance, "bytes of calls under way", sessions->loads.cost,
          limits->call_bytes_total_max + limits->payload_bytes_max);
    wrong(fleet, instance, "bytes of answers that wait", sessions->loads.answer_bytes,
          limits->answer_bytes_total_max + BROKER_PAGE_BYTES_MAX);
}

static void hub_check(struct fleet *fleet, const struct instance *instance)
{
    const struct hub *hub = instance->server->hub;
    size_t bytes = 0;
    for (const struct list *node = hub->pages.next; node != &hub->pages; node = node->next)
        bytes += container_of(node, struct page, of_hub)->bytes;
    wrong(fleet, instance, "pages", hub->page_bytes, HUB_PAGES_BYTES_MAX);
    if (bytes != hub->page_bytes)
        check_fail(&fleet->check, "instance %u counts %zu bytes of pages, and there are %zu", instance->port,
                   hub->page_bytes, bytes);
}

/* Of the clients of an instance. */
struct checking {
    struct fleet *fleet;
    const struct instance *instance;
};

static void client_check(struct client *client, void *arg)
{
    const struct checking *checking = arg;
    conn_check(checking->fleet, checking->instance, &client->http.conn);
    if (client_session(client) != NULL)
        session_check(checking->fleet, checking->instance, client_session(client));
}

void bounds_check(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->instances; i++) {
        const struct instance *instance = &fleet->instances[i];
        struct checking checking = {fleet, instance};
        if (instance->loop == NULL || instance->paused)
            continue;
        crowd_each(&instance->server->crowd, client_check, &checking);
        loads_check(fleet, instance);
        hub_check(fleet, instance);
        broker_check(fleet, instance);
    }
}
