/* poll_line: connections, and the answers on them. */
#include "poll_line.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/http1.h"

struct poll_conn {
    struct list node;
    struct poll_line *line;
    struct sim_end *end;
    uint16_t port;
    uint64_t tag; /* of the request under way; 0: it is free for another one */
    struct buf in;
    struct timer deadline;
};

static void conn_forget(struct poll_conn *conn)
{
    list_remove(&conn->node);
    sim_timer_stop(conn->line->sim, &conn->deadline);
    buf_finish(&conn->in);
    free(conn);
}

static void conn_end(struct poll_conn *conn, bool reset)
{
    sim_close(conn->end, reset);
    conn_forget(conn);
}

/* Whether the answer is whole; -1: it is invalid. */
static int answer_read(struct poll_conn *conn, struct http1_head *head, struct span *body)
{
    struct span in = buf_span(&conn->in);
    ptrdiff_t used = http1_response_decode(in, 0, SPAN_LIT("GET"), head);
    if (used <= 0)
        return (int)used;
    if (head->body != HTTP1_BODY_LENGTH && head->body != HTTP1_BODY_NONE)
        return -1;
    uint64_t len = head->body == HTTP1_BODY_LENGTH ? head->content_length : 0;
    *body = span_from(in, (size_t)used);
    if (body->len > len)
        return -1;
    return body->len == len;
}

static void on_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    static struct http1_head head;
    struct poll_conn *conn = owner;
    struct poll_line *line = conn->line;
    struct span body;
    uint64_t tag = conn->tag;
    buf_append(&conn->in, span_of(bytes, len));
    int whole = tag != 0 ? answer_read(conn, &head, &body) : -1;
    if (whole == 0)
        return;
    struct buf in = conn->in; /* the body is in it */
    int status = whole > 0 ? head.status : 0;
    bool stays = whole > 0 && head.keep_alive && line->keeps;
    conn->in = (struct buf){0};
    conn->tag = 0;
    sim_timer_stop(line->sim, &conn->deadline);
    if (!stays)
        conn_end(conn, whole < 0);
    if (tag != 0)
        line->done(line->owner, tag, status, status != 0 ? body : SPAN_LIT(""));
    buf_finish(&in);
}

static void on_closed(struct sim_end *end, void *owner)
{
    struct poll_conn *conn = owner;
    struct poll_line *line = conn->line;
    uint64_t tag = conn->tag;
    conn_forget(conn);
    if (tag != 0)
        line->done(line->owner, tag, 0, SPAN_LIT(""));
}

static const struct sim_peer peer = {NULL, on_received, on_closed};

static void deadline_passed(struct timer *timer)
{
    struct poll_conn *conn = container_of(timer, struct poll_conn, deadline);
    sim_cut(conn->end);
}

void poll_line_init(struct poll_line *line, struct sim *sim, poll_line_done_fn *done, void *owner)
{
    *line = (struct poll_line){.sim = sim, .done = done, .owner = owner};
    list_init(&line->conns);
}

void poll_line_finish(struct poll_line *line)
{
    struct list *node;
    while (line->conns.next != NULL && (node = list_take(&line->conns)) != NULL)
        conn_end(container_of(node, struct poll_conn, node), true);
}

static struct poll_conn *conn_free(struct poll_line *line, uint16_t port)
{
    list_each (node, &line->conns) {
        struct poll_conn *conn = container_of(node, struct poll_conn, node);
        if (conn->tag == 0 && conn->port == port)
            return conn;
    }
    struct poll_conn *conn = mem_zero(1, sizeof *conn);
    conn->line = line;
    conn->port = port;
    timer_init(&conn->deadline, deadline_passed);
    list_init(&conn->node);
    list_append(&line->conns, &conn->node);
    conn->end = sim_connect(line->sim, port, &peer, conn);
    return conn;
}

uint64_t poll_line_ask(struct poll_line *line, uint16_t port, struct span request)
{
    struct poll_conn *conn = conn_free(line, port);
    conn->tag = ++line->tags;
    sim_send(conn->end, request.data, request.len);
    if (line->timeout_us != 0)
        sim_timer_start(line->sim, &conn->deadline, line->timeout_us);
    return conn->tag;
}

void poll_line_drop(struct poll_line *line, uint64_t tag, bool reset)
{
    list_each (node, &line->conns) {
        struct poll_conn *conn = container_of(node, struct poll_conn, node);
        if (tag != 0 && conn->tag == tag)
            conn_end(conn, reset);
    }
}

void poll_line_hold(struct poll_line *line, bool held)
{
    list_each (node, &line->conns) {
        sim_hold(container_of(node, struct poll_conn, node)->end, held);
    }
}
