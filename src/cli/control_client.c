/* control_client: one request on a loop of its own. */
#include "cli/control_client.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/conn.h"
#include "platform/catalog.h"
#include "wire/http1.h"
#include "wire/json.h"

enum { ANSWER_BYTES_MAX = 64 << 20 };

struct asking {
    struct conn conn;
    struct loop *loop;
    struct timer late;
    struct buf request, bytes;
    bool opened;
};

static void on_opened(struct conn *conn)
{
    struct asking *asking = container_of(conn, struct asking, conn);
    asking->opened = true;
    conn_send(conn, buf_span(&asking->request));
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct asking *asking = container_of(conn, struct asking, conn);
    buf_append(&asking->bytes, span_of(bytes, len));
    if (asking->bytes.len > ANSWER_BYTES_MAX)
        conn_close(conn, CLOSE_INPUT_LIMIT);
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    loop_stop(container_of(conn, struct asking, conn)->loop);
}

static void on_late(struct timer *timer)
{
    conn_close(&container_of(timer, struct asking, late)->conn, CLOSE_REQUEST_TIMEOUT);
}

static const struct conn_events events = {.opened = on_opened, .received = on_received, .closed = on_closed};
static const struct conn_limits limits = {.queue_bytes_max = 4 << 20, .input_bytes_max = 1 << 20};

static bool exchange(struct asking *asking, const struct addr *addr, struct err *err)
{
    struct net net;
    asking->loop = loop_create(err);
    if (asking->loop == NULL)
        return false;
    net_init(&net, asking->loop);
    timer_init(&asking->late, on_late);
    timer_start(asking->loop, &asking->late, LOOP_MS(CONTROL_ANSWER_MS_MAX));
    conn_init(&asking->conn, &net, &events, &limits);
    conn_connect(&asking->conn, addr);
    loop_run(asking->loop);
    timer_stop(asking->loop, &asking->late);
    net_finish(&net);
    loop_destroy(asking->loop);
    return true;
}

/* The connection's end ends the answer; its length says whether that is all. */
static bool answer_read(struct span bytes, struct span method, struct buf *answer, struct err *err)
{
    struct http1_head *head = mem_zero(1, sizeof *head);
    struct buf error = {0};
    ptrdiff_t used = http1_response_decode(bytes, 0, method, head);
    struct span body = used > 0 ? span_from(bytes, (size_t)used) : SPAN_LIT("");
    bool ok = used > 0 && body.len == head->content_length;
    if (!ok) {
        err_set(err, "sennit up gave no whole answer: is it stopping? Its log says more");
    } else if (head->status == 200) {
        buf_append(answer, body);
    } else {
        error = json_text_get(json_trim(body), "error");
        ok = err_set(err, SPAN_FMT, SPAN_ARG(buf_span(&error)));
    }
    buf_finish(&error);
    free(head);
    return ok;
}

void control_value_append(struct buf *target, struct span value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/";
    for (size_t i = 0; i < value.len; i++) {
        if (memchr(plain, value.data[i], sizeof plain - 1) != NULL)
            buf_append_char(target, value.data[i]);
        else
            buf_printf(target, "%%%02X", (unsigned char)value.data[i]);
    }
}

bool control_ask(const char *state_dir, const char *method, const char *target, struct span body, struct buf *answer,
                 struct err *err)
{
    bool runs;
    return control_ask_if_it_runs(state_dir, method, target, body, answer, &runs, err);
}

bool control_ask_if_it_runs(const char *state_dir, const char *method, const char *target, struct span body,
                            struct buf *answer, bool *runs, struct err *err)
{
    struct asking asking = {0};
    struct addr addr;
    char *directory = catalog_directory(state_dir), *path = mem_printf("%s/socket", directory);
    buf_printf(&asking.request, "%s %s HTTP/1.1\r\nHost: sennit\r\nContent-Length: %zu\r\n\r\n", method, target,
               body.len);
    buf_append(&asking.request, body);
    bool ok = addr_from_unix(&addr, span_str(path)) || err_set(err, "%s is longer than a socket's path may be", path);
    ok = ok && exchange(&asking, &addr, err);
    *runs = asking.opened;
    if (ok && !asking.opened)
        ok = err_set(
            err, "no sennit up of this user answers at %s: start one, or name its state folder with --state DIR", path);
    ok = ok && answer_read(buf_span(&asking.bytes), span_str(method), answer, err);
    buf_finish(&asking.request);
    buf_finish(&asking.bytes);
    free(directory);
    free(path);
    return ok;
}
