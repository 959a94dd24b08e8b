/* stage_check: the conditions that hold for an instance after every step, and when it is quiet. */
#include <assert.h>
#include <malloc.h>

#include "fuzz/stage_parts.h"
#include "hub/hub_parts.h"
#include "hub/page.h"
#include "serve/client.h"
#include "session/call.h"
#include "session/subscriber_parts.h"

/* Of the sanitizers, whose allocator knows no mallinfo. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t stage_memory(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL ? __sanitizer_get_current_allocated_bytes()
                                                           : mallinfo2().uordblks;
}

static size_t length(const struct list *list)
{
    size_t count = 0;
    for (const struct list *node = list->next; node != list; node = node->next)
        count++;
    return count;
}

static void socket_check(const struct subscriber *socket)
{
    const struct member *member = &socket->member;
    const struct session_limits *limits = &subscriber_sessions(socket)->limits;
    if (member->hub == NULL)
        return;
    size_t pasts = 0, rooms = 0, counted = member->marks != NULL ? member->marks->past_count : 0;
    pasts_each(past, member) pasts++;
    memberships_each(membership, member) rooms++;
    assert(member_held(member) == NULL || member_held(member)->count <= HUB_HELD_MAX);
    assert(counted <= HUB_PASTS_MAX && pasts <= counted);
    assert(rooms <= limits->rooms_max + 2 + HUB_PASTS_MAX);
}

static void conn_check(const struct conn *conn)
{
    const struct conn_queue *queue = conn->queue;
    size_t bytes = 0;
    for (uint32_t i = 0; queue != NULL && i < queue->count; i++)
        bytes += queue->slots[(queue->at + i) & (queue->cap - 1)].frame->len;
    assert(conn_queued(conn) <= conn->limits->queue_bytes_max &&
           bytes == conn_queued(conn) + (queue != NULL ? queue->head_written : 0));
    assert(conn_kept(conn) <= conn->limits->input_bytes_max);
}

static void load_check(const struct session *session)
{
    const struct session_limits *limits = &session->sessions->limits;
    const struct load *load = session->load;
    if (load == NULL)
        return;
    assert(load->count <= limits->calls_max && length(&load->calls) == load->count);
    /* The last one may be as large as a message, and its audience. */
    assert(load->cost <= limits->call_bytes_max + limits->payload_bytes_max + NET_RECEIVE_BYTES);
}

static void session_check(const struct session *session)
{
    load_check(session);
    assert(session->socket_count <= session->sessions->limits.sockets_max);
    size_t sockets = 0;
    subscribers_each(subscriber, session)
    {
        sockets++;
        socket_check(subscriber);
    }
    assert(sockets == session->socket_count);
}

static void hub_check(const struct hub *hub)
{
    size_t bytes = 0;
    for (const struct list *node = hub->pages.next; node != &hub->pages; node = node->next)
        bytes += container_of(node, struct page, of_hub)->bytes;
    assert(bytes == hub->page_bytes && bytes <= HUB_PAGES_BYTES_MAX);
}

static void client_check(struct client *client, void *arg)
{
    conn_check(&client->http.conn);
    if (client_session(client) != NULL)
        session_check(client_session(client));
}

void stage_check(struct stage *stage)
{
    struct server *server = &stage->server;
    crowd_each(&server->crowd, client_check, NULL);
    hub_check(server->hub);
    assert(stage_memory() < stage->memory_before + STAGE_MEMORY_BYTES_MAX);
}

void stage_check_quiet(struct stage *stage)
{
    const struct sessions *sessions = &stage->server.sessions;
    if (!broker_is_up(stage->server.broker))
        return;
    sessions_each(session, sessions)
    {
        assert(session->load == NULL || session->load->count == 0);
        assert(!session->paused);
        subscribers_each(subscriber, session) assert(!subscriber_is_awaited(subscriber));
    }
    assert(sessions->loads.cost == 0 && sessions->loads.asking == 0 && sessions->loads.answer_bytes == 0);
}
