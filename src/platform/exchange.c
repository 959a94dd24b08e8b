/* exchange: the client's side of an exchange: the handler of the HTTP server, waiting for a slot, refusals, the end.
 * The instance's side is in exchange_upstream.c. */
#include "platform/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/forward.h"
#include "platform/index.h"
#include "platform/leftover.h"
#include "platform/tunnel.h"
#include "wire/ws.h"

static void idle_begin(struct exchange *exchange)
{
    exchange->idle_since_us = loop_now_us(exchange->ingress->loop);
    list_append(&exchange->ingress->idle, &exchange->idle);
}

void exchange_set_state(struct exchange *exchange, enum exchange_state state)
{
    static const uint8_t legal[] = {
        /* IDLE again: the ingress answered at once, and the client's next request may follow */
        [EXCHANGE_IDLE] = 1 << EXCHANGE_QUEUED | 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_QUEUED] = 1 << EXCHANGE_CONNECTING | 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_CONNECTING] = 1 << EXCHANGE_WAITING | 1 << EXCHANGE_QUEUED | 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_WAITING] = 1 << EXCHANGE_BODY | 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_BODY] = 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_ENDED] = 1 << EXCHANGE_ENDED,
    };
    assert(legal[exchange->state] & 1 << state);
    exchange->state = (uint8_t)state;
    list_remove(&exchange->idle);
    if (state == EXCHANGE_IDLE)
        idle_begin(exchange);
}

void exchange_note(struct exchange *exchange, enum denial denial)
{
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&exchange->http.conn.peer, ip);
    denials_note(&exchange->ingress->denials, denial, ip, exchange->instance != NULL ? exchange->instance->id : "");
}

static bool is_visible(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return text.len > 0;
}

/* Bytes that are no request have a record, too; a connection beyond a bound, of which nothing is read, has none.
 * `head`: of a request that is refused for it, as far as it was read; NULL: there is none. */
static bool record_ensure(struct exchange *exchange, const struct http1_head *head)
{
    bool is_known = head != NULL && is_visible(head->method) && is_visible(head->target);
    if (exchange->record.began_us == 0 && !exchange->turned_away)
        request_record_begin(&exchange->record, &exchange->ingress->log, is_known ? head : NULL, SPAN_LIT(""));
    return exchange->record.began_us != 0;
}

void exchange_refuse(struct exchange *exchange, enum denial denial, int status)
{
    struct http *http = &exchange->http;
    struct buf text = {0};
    exchange_note(exchange, denial);
    if (record_ensure(exchange, NULL))
        request_record_refused(&exchange->record, denial, denial_status(denial, status));
    denial_encode(&text, denial, status, http_stays(http), !http_is_head(http));
    http_stream_begin_head(http, buf_span(&text), false);
    buf_finish(&text);
    exchange_end(exchange);
}

static void slot_release(struct exchange *exchange)
{
    struct instance *instance = exchange->instance;
    exchange->instance = NULL;
    if (instance != NULL)
        instance_release(instance);
}

/* Writes the request's line. What nobody gave a reason for was answered, or its client has left. */
static void record_over(struct exchange *exchange)
{
    char ip[ADDR_TEXT_MAX];
    bool is_answered = exchange->state == EXCHANGE_BODY && conn_is_open(&exchange->http.conn);
    addr_ip_print(&exchange->http.conn.peer, ip);
    request_record_ends(&exchange->record, is_answered ? REQUEST_ANSWERED : REQUEST_CLIENT_LEFT);
    const struct fleet *fleet = exchange->ask.fleet;
    struct log_origin origin = {.revision = fleet != NULL ? fleet->spec->revision : NULL};
    if (exchange->instance != NULL)
        origin = instance_origin(exchange->instance);
    request_record_over(&exchange->ingress->log, &exchange->record, ip, fleet != NULL ? fleet->book : NULL, origin);
}

void exchange_trailers_pass(struct exchange *exchange, struct buf *to, struct span lines)
{
    struct span culprit;
    size_t dropped = forward_trailers(to, lines, &culprit);
    exchange->ingress->counters.trailers_dropped += dropped;
    if (dropped > 0)
        request_record_note(&exchange->record,
                            "a trailer that frames, routes, identifies or controls a message was dropped (RFC 9110 "
                            "section 6.5.1): send it as a field of the head",
                            culprit);
}

void exchange_end(struct exchange *exchange)
{
    struct ingress *ingress = exchange->ingress;
    struct buf trailers = {0};
    exchange_trailers_pass(exchange, &trailers, buf_span(&exchange->trailers));
    buf_finish(&exchange->trailers);
    record_over(exchange);
    timer_stop(ingress->loop, &exchange->deadline);
    fleet_forget(&exchange->ask);
    exchange->ask.fleet = NULL; /* it may be gone before the next request */
    exchange_drop_upstream(exchange);
    slot_release(exchange);
    buf_finish(&exchange->head);
    http_stream_end_with(&exchange->http, buf_span(&trailers));
    buf_finish(&trailers);
    exchange_set_state(exchange, conn_is_open(&exchange->http.conn) ? EXCHANGE_IDLE : EXCHANGE_ENDED);
}

static void granted(struct ask *ask, struct instance *instance)
{
    exchange_connect(container_of(ask, struct exchange, ask), instance);
}

static void refused(struct ask *ask, enum fleet_refusal refusal)
{
    static const enum denial denials[] = {
        [FLEET_QUEUE_FULL] = DENIAL_QUEUE_FULL, [FLEET_MAX_INSTANCES] = DENIAL_MAX_INSTANCES,
        [FLEET_COLD_START] = DENIAL_COLD_START, [FLEET_START_FAILED] = DENIAL_START_FAILED,
        [FLEET_STOPPING] = DENIAL_STOPPING,
    };
    exchange_refuse(container_of(ask, struct exchange, ask), denials[refusal], 0);
}

static void request_begin(struct exchange *exchange, const struct http1_head *head, struct revision *revision,
                          const char *checked)
{
    struct ingress *ingress = exchange->ingress;
    struct forward_context context;
    char ip[ADDR_TEXT_MAX];
    struct addr client;
    addr_ip_print(&exchange->http.conn.peer, ip);
    context.client_ip = ip;
    context.is_tls = ingress->http.tls != NULL;
    context.trusted_hops = ingress->trusted_hops;
    context.checked = checked;
    struct span known = forward_client(head, &context);
    /* The address of the client for the log, as the balancers in front give it. */
    if (ingress->trusted_hops > 0 && addr_from_ip(&client, known, 0))
        addr_ip_of(&client, &exchange->http.conn.peer);
    loop_random_hex(ingress->loop, context.trace, TRACE_BYTES);
    loop_random_hex(ingress->loop, context.span, SPAN_BYTES);
    request_record_begin(&exchange->record, &ingress->log, head, forward_trace(head, &context));
    buf_clear(&exchange->head);
    forward_request(&exchange->head, head, &context);
    exchange->upgrade = head->upgrade_websocket;
    exchange->request_chunked = head->body == HTTP1_BODY_CHUNKED;
    exchange->tries = 0;
    if (ingress->propagate_disconnect || head->upgrade_websocket)
        http_end_aborts(&exchange->http);
    ingress->counters.exchanges++;
    exchange_set_state(exchange, EXCHANGE_QUEUED);
    timer_start(ingress->loop, &exchange->deadline, LOOP_S(fleet_timeout_s(&revision->fleet)));
    struct span affinity = affinity_find(head);
    snprintf(exchange->ask.affinity, sizeof exchange->ask.affinity, SPAN_FMT, SPAN_ARG(affinity));
    exchange->ask.granted = granted;
    exchange->ask.refused = refused;
    fleet_ask(&revision->fleet, &exchange->ask);
}

/* A handshake that no WebSocket server may accept is answered here; none may be tunnelled. */
static bool upgrade_is_valid(struct exchange *exchange, const struct http1_head *head)
{
    struct span key = http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key"));
    if (!ws_key_is_valid(key) || !span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Version")), SPAN_LIT("13")))
        return false;
    ws_accept_compute(key, exchange->accept);
    return true;
}

static struct exchange *exchange_of(struct http *http)
{
    return container_of(http, struct exchange, http);
}

/* Answers with the page that lists the services. */
static void list_services(struct exchange *exchange, const struct http1_head *head)
{
    struct http *http = &exchange->http;
    struct buf text = {0};
    request_record_ends(&exchange->record, REQUEST_LISTED);
    exchange->record.status = 200;
    index_encode(&text, exchange->ingress->route, head->host, listener_port(&exchange->ingress->listener),
                 http_stays(http), !http_is_head(http));
    http_stream_begin_head(http, buf_span(&text), false);
    buf_finish(&text);
    exchange_end(exchange);
}

/* Its line is also the service's, whose logbook shows who was refused. */
static void refuse_caller(struct exchange *exchange, const struct http1_head *head, struct revision *revision,
                          const struct admission *admission)
{
    request_record_begin(&exchange->record, &exchange->ingress->log, head, SPAN_LIT(""));
    exchange->ask.fleet = &revision->fleet;
    if (admission->why != NULL)
        request_record_note(&exchange->record, admission->why, span_str(admission->culprit));
    exchange_refuse(exchange, admission->denial, 0);
}

static void admit(struct exchange *exchange, const struct http1_head *head, struct revision *revision)
{
    struct admission admission;
    admission_check(&admission, &exchange->ingress->admission, revision->service, head,
                    loop_wall_ms(exchange->ingress->loop));
    if (admission.denial != DENIAL_COUNT)
        refuse_caller(exchange, head, revision, &admission);
    else
        request_begin(exchange, head, revision, admission.field);
    admission_finish(&admission);
}

static void on_request(struct http *http, const struct http1_head *head)
{
    struct exchange *exchange = exchange_of(http);
    if (head->upgrade_websocket && !upgrade_is_valid(exchange, head)) {
        http_last(http, CLOSE_DONE);
        exchange_refuse(exchange, DENIAL_MALFORMED_HANDSHAKE, 0);
        return;
    }
    struct loop *loop = exchange->ingress->loop;
    struct revision *revision =
        route_revision(exchange->ingress->route, head->host, (uint32_t)loop_random_below(loop, SERVICE_PERCENT));
    if (revision == NULL) {
        request_record_begin(&exchange->record, &exchange->ingress->log, head, SPAN_LIT(""));
        if (index_is_asked(head))
            list_services(exchange, head);
        else
            exchange_refuse(exchange, DENIAL_NO_SERVICE, 0);
        return;
    }
    admit(exchange, head, revision);
}

static void on_body(struct http *http, struct span bytes, bool last)
{
    exchange_forward_body(exchange_of(http), bytes, last);
}

static void on_drained(struct http *http)
{
    struct exchange *exchange = exchange_of(http);
    if (exchange->upstream != NULL)
        conn_read_pause(&exchange->upstream->conn, false);
}

/* The instance has the whole request, and works on it. Cloud Run does not tell it that the client has left; WebSockets
 * are told. */
static bool goes_on(const struct exchange *exchange)
{
    const struct ingress *ingress = exchange->ingress;
    bool is_under_way = exchange->state == EXCHANGE_WAITING || exchange->state == EXCHANGE_BODY;
    return is_under_way && exchange->upstream != NULL && exchange->instance != NULL && !exchange->upgrade &&
           http_body_is_done(&exchange->http) && !ingress->propagate_disconnect && !ingress->is_cut;
}

static void on_aborted(struct http *http)
{
    struct exchange *exchange = exchange_of(http);
    if (goes_on(exchange))
        leftover_begin(exchange);
    exchange_end(exchange);
}

/* Says which rule the bytes of the client break. */
static void malformed_note(struct exchange *exchange)
{
    const struct http1_head *head = &exchange->ingress->http.head;
    if (record_ensure(exchange, head))
        request_record_note(&exchange->record, head->rule, head->culprit);
}

static void on_refused(struct http *http, enum http_fault fault, int status)
{
    static const enum denial denials[] = {
        [HTTP_FAULT_INVALID] = DENIAL_MALFORMED_REQUEST, [HTTP_FAULT_HEAD_LATE] = DENIAL_SLOW_HEAD,
        [HTTP_FAULT_BODY_LATE] = DENIAL_SLOW_BODY,       [HTTP_FAULT_BODY_TOO_LARGE] = DENIAL_REQUEST_TOO_LARGE,
        [HTTP_FAULT_REQUESTS_FULL] = DENIAL_QUEUE_FULL,
    };
    struct exchange *exchange = exchange_of(http);
    if (fault == HTTP_FAULT_INVALID)
        malformed_note(exchange);
    else if (fault == HTTP_FAULT_BODY_TOO_LARGE)
        record_ensure(exchange, &exchange->ingress->http.head); /* it may be refused before it has begun */
    if (status == 0)
        exchange_note(exchange, denials[fault]);
    else if (fault == HTTP_FAULT_HEAD_LATE && http_head_bytes(http) == 0) /* it said nothing, and is told nothing */
        conn_close(&http->conn, CLOSE_HEAD_TIMEOUT);
    else
        exchange_refuse(exchange, denials[fault], status);
}

static void exchange_closed(struct exchange *exchange)
{
    struct ingress *ingress = exchange->ingress;
    if (exchange->state != EXCHANGE_ENDED)
        exchange_end(exchange);
    list_remove(&exchange->idle);
    ingress->turned_away -= exchange->turned_away;
    door_leave(&ingress->door, exchange->address);
    free(exchange);
}

static void on_closed(struct http *http, enum close_reason reason)
{
    if (reason == CLOSE_TLS_FAILED) {
        char ip[ADDR_TEXT_MAX];
        addr_ip_print(&http->conn.peer, ip);
        denials_note(&exchange_of(http)->ingress->denials, DENIAL_TLS_FAILED, ip, conn_tls_problem(&http->conn)->text);
    }
    exchange_closed(exchange_of(http));
}

const struct http_events exchange_events = {
    .request = on_request,
    .body = on_body,
    .drained = on_drained,
    .aborted = on_aborted,
    .refused = on_refused,
    .closed = on_closed,
};

void exchange_become_tunnel(struct exchange *exchange)
{
    struct ingress *ingress = exchange->ingress;
    struct upstream *upstream = exchange->upstream;
    struct instance *instance = exchange->instance;
    struct door_address *address = exchange->address;
    struct request_record record = exchange->record;
    exchange_set_state(exchange, EXCHANGE_ENDED);
    timer_stop(ingress->loop, &exchange->deadline);
    buf_finish(&exchange->head);
    buf_finish(&exchange->trailers);
    tunnel_create(ingress, &exchange->http, upstream, instance, address, &record);
    free(exchange);
}

void exchange_evict(struct exchange *exchange)
{
    list_remove(&exchange->idle);
    if (http_is_answering(&exchange->http)) { /* it still reads the last response, for which there is a bound */
        idle_begin(exchange);
        return;
    }
    door_leave(&exchange->ingress->door, exchange->address);
    exchange->address = NULL;
    if (http_head_bytes(&exchange->http) == 0)
        exchange_note(exchange, DENIAL_SLOW_HEAD);
    if (!conn_is_open(&exchange->http.conn)) /* it has not finished its TLS handshake */
        conn_close(&exchange->http.conn, CLOSE_HEAD_TIMEOUT);
    http_time_out(&exchange->http, CLOSE_HEAD_TIMEOUT);
}

static void deadline_passed(struct timer *timer)
{
    struct exchange *exchange = container_of(timer, struct exchange, deadline);
    exchange->ingress->counters.timeouts++;
    if (exchange->state == EXCHANGE_BODY) {
        request_record_ends(&exchange->record, REQUEST_TIMEOUT);
        conn_close(&exchange->http.conn, CLOSE_REQUEST_TIMEOUT);
        exchange_drop_upstream(exchange);
    } else {
        http_last(&exchange->http, CLOSE_DONE);
        exchange_refuse(exchange, DENIAL_REQUEST_TIMEOUT, 0);
    }
}

static struct exchange *exchange_create(struct ingress *ingress, struct io *io, const struct addr *peer)
{
    struct exchange *exchange = mem_zero(1, sizeof *exchange);
    exchange->ingress = ingress;
    list_init(&exchange->idle);
    list_init(&exchange->ask.queued);
    timer_init(&exchange->deadline, deadline_passed);
    http_accept(&ingress->http, &exchange->http, io, peer, INGRESS_HEAD_MS_MAX);
    return exchange;
}

void exchange_accept(struct ingress *ingress, struct io *io, const struct addr *peer, struct door_address *address)
{
    struct exchange *exchange = exchange_create(ingress, io, peer);
    exchange->address = address;
    idle_begin(exchange);
}

void exchange_turn_away(struct ingress *ingress, struct io *io, const struct addr *peer, enum denial denial)
{
    struct exchange *exchange = exchange_create(ingress, io, peer);
    exchange->turned_away = true;
    ingress->turned_away++;
    exchange_refuse(exchange, denial, 0);
}
