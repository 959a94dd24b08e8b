/* leftover: reads a response to its end for nobody. */
#include "platform/leftover.h"

#include <stdlib.h>

#include "base/mem.h"
#include "platform/fleet.h"

struct leftover {
    struct ingress *ingress;
    struct list of_ingress;
    struct upstream *upstream; /* NULL: it has ended */
    struct instance *instance; /* it holds a slot of this one */
    struct door_address *address;
    struct addr_ip peer; /* the client that was */
    struct timer deadline;
    struct request_record record;
    struct http1_body body;
    size_t head_seen;
    bool in_body; /* the response's final head has come */
};

static void leftover_end(struct leftover *leftover)
{
    struct ingress *ingress = leftover->ingress;
    struct instance *instance = leftover->instance;
    struct upstream *upstream = leftover->upstream;
    char ip[ADDR_TEXT_MAX];
    if (upstream != NULL) {
        upstream->leftover = NULL;
        conn_close(&upstream->conn, CLOSE_DONE);
    }
    timer_stop(ingress->loop, &leftover->deadline);
    addr_ip_print(&leftover->peer, ip);
    request_record_ends(&leftover->record, REQUEST_CLIENT_LEFT);
    request_record_over(&ingress->log, &leftover->record, ip, instance->fleet->book, instance_origin(instance));
    door_leave(&ingress->door, leftover->address);
    list_remove(&leftover->of_ingress);
    free(leftover);
    instance_release(instance);
}

/* As http1_body_decode; heads too. */
static ptrdiff_t response_take(struct leftover *leftover, struct span bytes)
{
    struct http1_head *head = &leftover->ingress->answer;
    struct span data;
    if (leftover->in_body)
        return http1_body_decode(&leftover->body, bytes, &data);
    ptrdiff_t used = http1_response_decode(bytes, leftover->head_seen, span_str(leftover->record.method), head);
    leftover->head_seen = used == 0 ? bytes.len : 0;
    if (used > 0 && head->status >= 200) {
        leftover->in_body = true;
        http1_body_start(&leftover->body, head);
    }
    return used;
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct leftover *leftover = container_of(conn, struct upstream, conn)->leftover;
    size_t used = 0;
    ptrdiff_t step = 1;
    if (leftover == NULL)
        return len;
    while (step > 0 && !(leftover->in_body && leftover->body.done)) {
        step = response_take(leftover, span_of(bytes + used, len - used));
        used += step > 0 ? (size_t)step : 0;
    }
    if (step >= 0 && !(leftover->in_body && leftover->body.done))
        return used;
    leftover_end(leftover);
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    struct leftover *leftover = upstream->leftover;
    free(upstream);
    if (leftover == NULL)
        return;
    leftover->upstream = NULL;
    leftover_end(leftover);
}

static void deadline_passed(struct timer *timer)
{
    struct leftover *leftover = container_of(timer, struct leftover, deadline);
    leftover->ingress->counters.timeouts++;
    leftover_end(leftover);
}

void leftover_begin(struct exchange *exchange)
{
    static const struct conn_events events = {.received = on_received, .closed = on_closed};
    struct ingress *ingress = exchange->ingress;
    struct leftover *leftover = mem_zero(1, sizeof *leftover);
    *leftover = (struct leftover){
        .ingress = ingress,
        .upstream = exchange->upstream,
        .instance = exchange->instance,
        .address = exchange->address,
        .peer = exchange->http.conn.peer,
        .record = exchange->record,
        .body = exchange->response_body,
        .head_seen = exchange->response_seen,
        .in_body = exchange->state == EXCHANGE_BODY,
    };
    leftover->body.trailers = NULL;
    exchange->upstream = NULL;
    exchange->instance = NULL;
    exchange->address = NULL;
    exchange->record = (struct request_record){0};
    leftover->upstream->leftover = leftover;
    leftover->upstream->conn.events = &events;
    list_init(&leftover->of_ingress);
    list_append(&ingress->leftovers, &leftover->of_ingress);
    ingress->counters.left++;
    timer_init(&leftover->deadline, deadline_passed);
    timer_start(ingress->loop, &leftover->deadline,
                fleet_left_us(leftover->instance->fleet, leftover->record.began_us));
    conn_read_pause(&leftover->upstream->conn, false); /* its client may have been slow */
}

void leftovers_cut(struct ingress *ingress)
{
    while (!list_empty(&ingress->leftovers))
        leftover_end(container_of(ingress->leftovers.next, struct leftover, of_ingress));
}
