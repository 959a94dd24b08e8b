/* line: requests out, answers in. */
#include "load/line.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "load/polling.h"
#include "load/run.h"

enum { ANSWER_BYTES_MAX = 64 << 20, WHY_BYTES = 160 };

static const struct conn_limits limits = {
    .queue_bytes_max = 64 << 20,
    .input_bytes_max = HTTP1_HEAD_BYTES_MAX + NET_RECEIVE_BYTES,
    .write_stall_ms_max = 30000,
};

static struct line *line_of(struct conn *conn)
{
    return container_of(conn, struct line, dial.conn);
}

/* The owner is told once, and has no line then. */
static void owner_tell(struct line *line, const char *why)
{
    struct polling *polling = line->polling;
    line->polling = NULL;
    if (polling != NULL)
        polling_line_closed(polling, line, why);
}

static void line_free(struct line *line)
{
    dial_finish(&line->dial);
    buf_finish(&line->request);
    buf_finish(&line->answer);
    free(line);
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct line *line = line_of(conn);
    owner_tell(line, close_reason_text(reason));
    line_free(line);
}

static void broken(struct line *line, const char *why)
{
    owner_tell(line, why);
    conn_close(&line->dial.conn, CLOSE_HTTP_INVALID);
}

static void answer_complete(struct line *line)
{
    struct polling *polling = line->polling;
    line->asked = line->in_body = false;
    if (!line->keep)
        line->polling = NULL;
    polling_answered(polling, line, line->status, buf_span(&line->answer));
    if (!line->keep)
        dial_drop(&line->dial);
}

/* Returns the bytes of the head, 0 while it is incomplete or when the line broke. */
static size_t head_received(struct line *line, struct span bytes)
{
    struct http1_head head;
    ptrdiff_t used =
        http1_response_decode(bytes, line->head_seen, line->post ? SPAN_LIT("POST") : SPAN_LIT("GET"), &head);
    line->head_seen = used == 0 ? bytes.len : 0;
    if (used < 0)
        broken(line, "the server's answer is not HTTP/1.1");
    if (used <= 0)
        return 0;
    if (head.status < 200) /* another follows */
        return (size_t)used;
    line->status = head.status;
    line->keep = head.keep_alive;
    line->in_body = true;
    buf_clear(&line->answer);
    http1_body_start(&line->body, &head);
    return (size_t)used;
}

/* Returns the bytes taken, 0 when more are needed or when the line broke. */
static size_t body_received(struct line *line, struct span bytes)
{
    struct span data = {NULL, 0};
    ptrdiff_t used = http1_body_decode(&line->body, bytes, &data);
    if (used < 0 || line->answer.len + data.len > ANSWER_BYTES_MAX) {
        broken(line, used < 0 ? "the server's chunks break RFC 9112" : "the server's answer is too large");
        return 0;
    }
    buf_append(&line->answer, data);
    return (size_t)used;
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct line *line = line_of(conn);
    size_t at = 0, used = 1;
    while (line->polling != NULL && line->asked && used != 0) {
        struct span rest = span_of(bytes + at, len - at);
        used = line->in_body ? body_received(line, rest) : head_received(line, rest);
        at += used;
        if (line->in_body && line->body.done && line->polling != NULL) {
            answer_complete(line);
            used = 1;
        }
    }
    return line->polling != NULL && line->asked ? at : len;
}

static const struct conn_events events = {.received = on_received, .closed = on_closed};

static void request_send(struct line *line)
{
    conn_send(&line->dial.conn, buf_span(&line->request));
    buf_finish(&line->request);
    /* Now and not at the end of the turn, because the time in between would count as the server's. */
    conn_flush(&line->dial.conn);
}

static void on_dial_opened(struct dial *dial)
{
    request_send(container_of(dial, struct line, dial));
}

static void on_dial_failed(struct dial *dial, const char *why)
{
    struct line *line = container_of(dial, struct line, dial);
    char text[WHY_BYTES];
    snprintf(text, sizeof text, "cannot connect%s%s", why != NULL ? ": " : "", why != NULL ? why : "");
    owner_tell(line, text);
    line_free(line);
}

static const struct dial_events dial_events = {.opened = on_dial_opened, .failed = on_dial_failed};

struct line *line_open(struct run *run, struct polling *polling)
{
    struct line *line = mem_zero(1, sizeof *line);
    line->polling = polling;
    dial_start(&line->dial, run, &dial_events, &events, &limits);
    return line;
}

void line_ask(struct line *line, struct span target, struct span body)
{
    const struct url *url = &line->dial.run->url;
    line->asked = true;
    line->post = body.data != NULL;
    buf_printf(&line->request, "%s " SPAN_FMT " HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n", line->post ? "POST" : "GET",
               SPAN_ARG(target), url->authority);
    if (line->post)
        buf_printf(&line->request, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n", body.len);
    buf_append(&line->request, SPAN_LIT("\r\n"));
    buf_append(&line->request, body);
    if (conn_is_open(&line->dial.conn))
        request_send(line);
}

void line_leave(struct line *line)
{
    if (line == NULL)
        return;
    line->polling = NULL;
    dial_drop_later(&line->dial, DIAL_LINGER_MS);
}

void line_cut(struct line *line, enum cut_kind kind)
{
    if (line == NULL)
        return;
    line->polling = NULL;
    dial_cut(&line->dial, kind);
}

void line_drop(struct line *line)
{
    if (line == NULL)
        return;
    line->polling = NULL;
    dial_drop(&line->dial);
}
