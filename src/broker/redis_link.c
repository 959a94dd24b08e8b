/* redis_link: encodes and queues commands, decodes replies, and gives each to the command that waits first. */
#include "broker/redis_link.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

struct waiting {
    struct list node;
    redis_reply_fn *done;
    void *arg;
};

static const struct conn_limits limits = {
    .queue_bytes_max = LINK_QUEUE_BYTES_MAX,
    .input_bytes_max = LINK_BULK_BYTES_MAX,
    .write_stall_ms_max = LINK_ANSWER_MS_MAX,
};

static void answer_timed_out(struct timer *timer)
{
    redis_link_close(container_of(timer, struct redis_link, answer), CLOSE_BROKER_LOST);
}

static void on_opened(struct conn *conn)
{
    struct redis_link *link = container_of(conn, struct redis_link, conn);
    link->events->opened(link);
}

static void reply_received(struct redis_link *link, const struct resp *reply)
{
    struct list *node = list_take(&link->waiting);
    if (node == NULL) {
        link->events->pushed(link, reply);
        return;
    }
    struct waiting *waiting = container_of(node, struct waiting, node);
    if (list_empty(&link->waiting))
        timer_stop(link->conn.net->loop, &link->answer);
    else
        timer_start(link->conn.net->loop, &link->answer, LOOP_MS(LINK_ANSWER_MS_MAX));
    waiting->done(waiting->arg, reply);
    free(waiting);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct redis_link *link = container_of(conn, struct redis_link, conn);
    const struct resp *reply;
    for (size_t i = 0; link->first_len < LINK_FIRST_BYTES && i < len; i++)
        link->first[link->first_len++] = bytes[i];
    int got = resp_feed(link->reader, span_of(bytes, len)) ? 1 : -1;
    while (got > 0 && conn_is_open(conn) && (got = resp_next(link->reader, &reply)) > 0)
        reply_received(link, reply);
    if (got < 0)
        conn_close(conn, CLOSE_BROKER_INVALID);
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct redis_link *link = container_of(conn, struct redis_link, conn);
    struct list lost, *node;
    timer_stop(conn->net->loop, &link->answer);
    resp_reader_destroy(link->reader);
    link->reader = NULL;
    /* The owner first, so that a command that is repeated on NULL finds the link down. */
    list_init(&lost);
    while ((node = list_take(&link->waiting)) != NULL)
        list_append(&lost, node);
    link->busy = false;
    link->events->closed(link);
    while ((node = list_take(&lost)) != NULL) {
        struct waiting *waiting = container_of(node, struct waiting, node);
        waiting->done(waiting->arg, NULL);
        free(waiting);
    }
}

static const struct conn_events events = {.opened = on_opened, .received = on_received, .closed = on_closed};

void redis_link_init(struct redis_link *link, struct net *net, const struct redis_link_events *link_events)
{
    link->events = link_events;
    list_init(&link->waiting);
    timer_init(&link->answer, answer_timed_out);
    conn_init(&link->conn, net, &events, &limits);
}

void redis_link_finish(struct redis_link *link)
{
    timer_stop(link->conn.net->loop, &link->answer);
}

void redis_link_open(struct redis_link *link, const struct addr *addr, const struct tls_client *tls)
{
    link->busy = true;
    link->first_len = 0;
    link->reader = resp_reader_create(LINK_BULK_BYTES_MAX);
    conn_init(&link->conn, link->conn.net, &events, &limits);
    if (tls != NULL)
        conn_connect_tls(&link->conn, addr, tls);
    else
        conn_connect(&link->conn, addr);
}

void redis_link_close(struct redis_link *link, enum close_reason reason)
{
    if (link->busy)
        conn_close(&link->conn, reason);
}

void redis_link_await(struct redis_link *link, redis_reply_fn *done, void *arg)
{
    struct waiting *waiting = mem_alloc(sizeof *waiting);
    *waiting = (struct waiting){.done = done, .arg = arg};
    if (list_empty(&link->waiting))
        timer_start(link->conn.net->loop, &link->answer, LOOP_MS(LINK_ANSWER_MS_MAX));
    list_init(&waiting->node);
    list_append(&link->waiting, &waiting->node);
}

void redis_link_send_encoded(struct redis_link *link, struct span command, redis_reply_fn *done, void *arg)
{
    conn_send(&link->conn, command);
    if (done != NULL)
        redis_link_await(link, done, arg);
}

void redis_link_send(struct redis_link *link, const struct span *args, size_t count, redis_reply_fn *done, void *arg)
{
    struct buf command = {0};
    resp_command_encode(&command, args, count);
    redis_link_send_encoded(link, buf_span(&command), done, arg);
    buf_finish(&command);
}

bool redis_link_login(struct redis_link *link, const char *user, const char *password, redis_reply_fn *done, void *arg)
{
    if (user != NULL)
        redis_link_send(link, (struct span[]){SPAN_LIT("AUTH"), span_str(user), span_str(password)}, 3, done, arg);
    else if (password != NULL)
        redis_link_send(link, (struct span[]){SPAN_LIT("AUTH"), span_str(password)}, 2, done, arg);
    return user != NULL || password != NULL;
}
