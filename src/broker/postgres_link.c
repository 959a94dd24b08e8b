/* postgres_link: drives libpq. Its socket may be another one after each step of connecting, and is closed by libpq when
 * the connection fails; so it is lent to the loop again after each step, and looked at after each reading. */
#include "broker/postgres_link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SENT_MAX = 32, CONNECT_MS = 5000, ANSWER_MS = 15000, WHY_BYTES = 512 };

struct pg_call {
    struct list node;
    pg_done_fn *done;
    void *arg;
    struct pg_args args;
    const char *statement;
};

static void calls_lose(struct list *calls)
{
    struct list *node;
    while ((node = list_take(calls)) != NULL) {
        struct pg_call *call = container_of(node, struct pg_call, node);
        call->done(call->arg, NULL);
        pg_args_finish(&call->args);
        free(call);
    }
}

void pg_link_close(struct pg_link *link)
{
    struct list lost, *node;
    if (link->state == PG_LINK_CLOSED)
        return;
    link->state = PG_LINK_CLOSED;
    io_take_back(&link->io);
    task_cancel(&link->flush);
    timer_stop(link->loop, &link->silence);
    PQclear(link->result);
    link->result = NULL;
    PQfinish(link->conn);
    link->conn = NULL;
    list_init(&lost);
    while ((node = list_take(&link->sent)) != NULL || (node = list_take(&link->waiting)) != NULL)
        list_append(&lost, node);
    link->sent_count = 0;
    calls_lose(&lost);
}

static void fail_for(struct pg_link *link, const char *why)
{
    char text[WHY_BYTES];
    size_t len = strlen(why);
    while (len > 0 && why[len - 1] == '\n')
        len--;
    len = len < sizeof text ? len : sizeof text - 1;
    memcpy(text, why, len);
    text[len] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
    pg_link_close(link);
    link->events->closed(link, text);
}

static void fail(struct pg_link *link)
{
    fail_for(link, PQerrorMessage(link->conn));
}

/* What libpq holds back goes out as the server takes it. */
static void output_flush(struct pg_link *link)
{
    int left = PQflush(link->conn);
    if (left < 0)
        fail(link);
    else
        io_want(&link->io, IO_READ | (left > 0 ? IO_WRITE : 0u));
}

static bool call_send(struct pg_link *link, struct pg_call *call)
{
    const char *values[PG_ARGS_MAX];
    int lengths[PG_ARGS_MAX], formats[PG_ARGS_MAX];
    const struct pg_args *args = &call->args;
    for (int i = 0; i < args->count; i++) {
        const char *base = args->bytes.data != NULL ? args->bytes.data + args->bytes.off : "";
        values[i] = args->is_null[i] ? NULL : base + args->at[i];
        lengths[i] = (int)args->len[i];
        formats[i] = 1;
    }
    return PQsendQueryParams(link->conn, call->statement, args->count, NULL, values, lengths, formats, 1) == 1 &&
           PQpipelineSync(link->conn) == 1;
}

static void flush(struct task *task)
{
    struct pg_link *link = container_of(task, struct pg_link, flush);
    struct list *node;
    if (link->state != PG_LINK_OPEN)
        return;
    while (link->sent_count < (link->pipelined ? SENT_MAX : 1) && (node = list_take(&link->waiting)) != NULL) {
        struct pg_call *call = container_of(node, struct pg_call, node);
        list_append(&link->sent, node);
        link->sent_count++;
        if (!call_send(link, call)) {
            fail(link);
            return;
        }
        pg_args_finish(&call->args);
    }
    if (link->sent_count > 0 && !timer_running(&link->silence))
        timer_start(link->loop, &link->silence, LOOP_MS(ANSWER_MS));
    output_flush(link);
}

/* The first call that was sent has its answer. */
static void call_end(struct pg_link *link)
{
    struct pg_call *call = container_of(list_take(&link->sent), struct pg_call, node);
    PGresult *result = link->result;
    link->result = NULL;
    link->sent_count--;
    if (link->sent_count > 0)
        timer_start(link->loop, &link->silence, LOOP_MS(ANSWER_MS));
    else
        timer_stop(link->loop, &link->silence);
    loop_at_flush(link->loop, &link->flush);
    call->done(call->arg, result);
    PQclear(result);
    free(call);
}

static void notices_take(struct pg_link *link)
{
    PGnotify *notice;
    bool any = false;
    while ((notice = PQnotifies(link->conn)) != NULL) {
        PQfreemem(notice);
        any = true;
    }
    if (any)
        link->events->notified(link);
}

/* Of each call come its result, NULL, and what its synchronization point is answered with. Notifications that came
 * before that answer are told before the call ends: they came with its transaction. */
static void results_take(struct pg_link *link)
{
    int nothing = 0;
    while (link->state == PG_LINK_OPEN && link->sent_count > 0 && nothing < 2 && !PQisBusy(link->conn)) {
        PGresult *result = PQgetResult(link->conn);
        nothing = result == NULL ? nothing + 1 : 0;
        if (result == NULL)
            continue;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            notices_take(link);
            if (link->state == PG_LINK_OPEN)
                call_end(link);
        } else {
            PQclear(link->result);
            link->result = result;
        }
    }
}

static void input_take(struct pg_link *link)
{
    bool read = PQconsumeInput(link->conn) == 1;
    if (read)
        results_take(link);
    if (link->state != PG_LINK_OPEN)
        return;
    if (!read || PQstatus(link->conn) == CONNECTION_BAD) {
        fail(link);
        return;
    }
    notices_take(link);
}

static void connect_step(struct pg_link *link)
{
    PostgresPollingStatusType status = PQconnectPoll(link->conn);
    io_take_back(&link->io);
    if (status == PGRES_POLLING_FAILED) {
        fail(link);
        return;
    }
    if (status != PGRES_POLLING_OK) {
        io_lend(&link->io, PQsocket(link->conn), status == PGRES_POLLING_READING ? IO_READ : IO_WRITE);
        return;
    }
    if (PQsetnonblocking(link->conn, 1) != 0 || PQenterPipelineMode(link->conn) != 1) {
        fail(link);
        return;
    }
    timer_stop(link->loop, &link->silence);
    link->state = PG_LINK_OPEN;
    io_lend(&link->io, PQsocket(link->conn), IO_READ);
    link->events->opened(link);
}

static void on_ready(struct io *io, unsigned ready)
{
    struct pg_link *link = container_of(io, struct pg_link, io);
    if (link->state == PG_LINK_CONNECTING) {
        connect_step(link);
        return;
    }
    if (ready & IO_READ)
        input_take(link);
    if (link->state == PG_LINK_OPEN && (link->io.want & IO_WRITE) != 0)
        output_flush(link);
}

static void on_silence(struct timer *timer)
{
    struct pg_link *link = container_of(timer, struct pg_link, silence);
    if (link->state == PG_LINK_CONNECTING && link->conn != NULL && PQstatus(link->conn) == CONNECTION_BAD)
        fail(link);
    else
        fail_for(link, link->state == PG_LINK_OPEN ? "an answer has not come in time"
                                                   : "the connection has not come up in time");
}

void pg_link_init(struct pg_link *link, struct loop *loop, const struct pg_link_events *events, void *owner)
{
    *link = (struct pg_link){.owner = owner, .loop = loop, .events = events};
    io_init(&link->io, loop, on_ready);
    list_init(&link->waiting);
    list_init(&link->sent);
    task_init(&link->flush, flush);
    timer_init(&link->silence, on_silence);
}

static void notice_drop(void *arg, const char *message)
{
}

void pg_link_open(struct pg_link *link, const char *const *keywords, const char *const *values)
{
    assert(link->state == PG_LINK_CLOSED);
    link->state = PG_LINK_CONNECTING;
    link->pipelined = false;
    link->conn = PQconnectStartParams(keywords, values, 0);
    if (link->conn == NULL || PQstatus(link->conn) == CONNECTION_BAD) {
        timer_start(link->loop, &link->silence, 0); /* told from the loop */
        return;
    }
    PQsetNoticeProcessor(link->conn, notice_drop, NULL); /* it would write to standard error */
    timer_start(link->loop, &link->silence, LOOP_MS(CONNECT_MS));
    io_lend(&link->io, PQsocket(link->conn), IO_WRITE);
}

void pg_link_pipeline(struct pg_link *link)
{
    assert(link->state == PG_LINK_OPEN);
    link->pipelined = true;
}

void pg_link_call(struct pg_link *link, const char *statement, struct pg_args *args, pg_done_fn *done, void *arg)
{
    struct pg_call *call = mem_zero(1, sizeof *call);
    assert(link->state == PG_LINK_OPEN);
    call->statement = statement;
    call->done = done;
    call->arg = arg;
    if (args != NULL) {
        call->args = *args;
        *args = (struct pg_args){.count = 0};
    }
    list_init(&call->node);
    list_append(&link->waiting, &call->node);
    loop_at_flush(link->loop, &link->flush);
}
