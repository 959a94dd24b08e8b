/* client: the instance's side of the HTTP server: places for connections, refusals, the upgrade to a session, and the
 * ends of connections. */
#include "serve/client.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "serve/api.h"
#include "serve/engine.h"
#include "session/polling.h"
#include "session/socket.h"
#include "wire/jws.h"

enum {
    CLIENT_LINGER_MS = 1000,
    CLOSED_LOG_LINES = 20, /* for one reason, */
    CLOSED_LOG_MS = 10000, /* in so long */
};

#define RETRY_SOON SPAN_LIT("Retry-After: 1\r\n")

_Static_assert(sizeof(struct client_speaking) <= sizeof(struct websocket), "every client would pay for it");

static struct client *client_of(struct http *http)
{
    return container_of(http, struct client, http);
}

static struct client *client_of_conn(struct conn *conn)
{
    return client_of(container_of(conn, struct http, conn));
}

/* Anybody may make connections end: that fills no log. */
static void log_closed(struct client *client, enum close_reason reason)
{
    struct client_log *log = &client_server(client)->closed_log[reason];
    enum log_level level = (enum log_level)close_reason_log_level(reason);
    uint64_t now = loop_now_us(client_server(client)->loop);
    char ip[ADDR_TEXT_MAX];
    if (!log_enabled(level) || (client_session(client) == NULL && level < LOG_INFO))
        return;
    if (now - log->since_us >= LOOP_MS(CLOSED_LOG_MS)) {
        log->since_us = now;
        log->lines = 0;
    }
    if (log->lines == CLOSED_LOG_LINES) {
        log->silent++;
        return;
    }
    log->lines++;
    addr_ip_print(&client->http.conn.peer, ip);
    if (log->silent > 0)
        log_event(level, "connection closed", LOG_C("reason", close_reason_name(reason)), LOG_C("peer", ip),
                  LOG_C("why", close_reason_text(reason)), LOG_N("others_before", log->silent));
    else
        log_event(level, "connection closed", LOG_C("reason", close_reason_name(reason)), LOG_C("peer", ip),
                  LOG_C("why", close_reason_text(reason)));
    log->silent = 0;
}

static void speaking_end(struct client *client)
{
    crowd_keeps(&client_server(client)->crowd, &client->speaking.kept, 0);
    free(client->speaking.proxy);
}

static void client_end(struct client *client, enum close_reason reason)
{
    struct server *server = client_server(client);
    log_closed(client, reason);
    if (client_is_upgraded(client))
        websocket_closed(&client->websocket, reason);
    else
        speaking_end(client);
    crowd_leave(&server->crowd, &client->crowd);
    pool_give(&server->clients, client);
}

void client_note(struct client *client, enum refusal refusal, struct span what)
{
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&client->http.conn.peer, ip);
    refusals_note(&client_server(client)->sessions.refusals, refusal, span_str(ip), what);
}

void client_reason_encode(struct buf *to, enum refusal refusal)
{
    buf_printf(to, "X-Sennit-Reason: %s\r\nX-Sennit-Cure: %s\r\n", refusal_name(refusal), refusal_text(refusal));
}

/* A refusal in words. */
static void client_answer(struct client *client, int status, struct span fields, enum refusal refusal)
{
    struct buf body = {0}, all = {0};
    buf_append(&all, fields);
    client_reason_encode(&all, refusal);
    buf_printf(&body, "%s: %s\n", http1_status_text(status), refusal_text(refusal));
    http_respond(&client->http, status, SPAN_LIT("text/plain; charset=utf-8"), buf_span(&all), buf_span(&body));
    buf_finish(&all);
    buf_finish(&body);
}

void client_refuse(struct client *client, int status, enum refusal refusal, struct span fields, struct span what)
{
    client_note(client, refusal, what);
    http_last(&client->http, CLOSE_REFUSED);
    client_answer(client, status, fields, refusal);
}

bool client_may_begin(struct client *client, struct span fields)
{
    struct sessions *sessions = &client_server(client)->sessions;
    const struct addr_ip *peer = &client->http.conn.peer;
    uint64_t now_us = loop_now_us(sessions->loop),
             wait_us = rates_wait_us(&sessions->rates, RATES_CONNECTS, peer, now_us);
    if (wait_us == 0) {
        rates_take(&sessions->rates, RATES_CONNECTS, peer, now_us);
        return true;
    }
    struct buf all = {0};
    buf_append(&all, fields);
    buf_printf(&all, "Retry-After: %llu\r\n", (unsigned long long)(wait_us / LOOP_MS(1000) + 1));
    client_refuse(client, 429, REFUSAL_ADDRESS_RATE, buf_span(&all), SPAN_LIT(""));
    buf_finish(&all);
    return false;
}

void client_give_way(struct client *client)
{
    if (conn_is_open(&client->http.conn) && !http_is_answering(&client->http)) {
        client_note(client, client->crowd.refusal, SPAN_LIT(""));
        http_last(&client->http, CLOSE_CROWDED_OUT);
        client_answer(client, 503, RETRY_SOON, client->crowd.refusal);
    }
    conn_close(&client->http.conn, CLOSE_CROWDED_OUT);
}

/* Decides the client's address anew with each request, because a proxy's connection carries those of many clients. */
static void address_decide(struct client *client, const struct http1_head *head)
{
    const struct serve_config *config = &client_server(client)->config;
    struct addr_ip *peer = &client->http.conn.peer;
    if (config->trusted_hops == 0)
        return;
    *peer = *client->speaking.proxy;
    if (head == NULL || forwarded_find(head, config->trusted_hops, peer))
        return;
    struct span value = http1_field_get(head, SPAN_LIT("X-Forwarded-For"));
    if (value.data != NULL)
        client_note(client, REFUSAL_FORWARDED_INVALID, value);
}

static void on_request(struct http *http, const struct http1_head *head)
{
    struct client *client = client_of(http);
    address_decide(client, head);
    crowd_asked(&client_server(client)->crowd, &client->crowd);
    route_request(client, head);
}

static enum refusal invalid_refusal(int status)
{
    if (status == 414 || status == 431)
        return REFUSAL_HEAD_TOO_LARGE;
    return status == 501 || status == 505 ? REFUSAL_HTTP_UNSUPPORTED : REFUSAL_HTTP_INVALID;
}

static void on_refused(struct http *http, enum http_fault fault, int status)
{
    static const enum refusal refusals[] = {
        [HTTP_FAULT_INVALID] = REFUSAL_HTTP_INVALID,        [HTTP_FAULT_HEAD_LATE] = REFUSAL_HEAD_LATE,
        [HTTP_FAULT_BODY_LATE] = REFUSAL_BODY_LATE,         [HTTP_FAULT_BODY_TOO_LARGE] = REFUSAL_BODY_TOO_LARGE,
        [HTTP_FAULT_REQUESTS_FULL] = REFUSAL_REQUESTS_FULL,
    };
    struct client *client = client_of(http);
    if (fault == HTTP_FAULT_INVALID || fault == HTTP_FAULT_HEAD_LATE)
        address_decide(client, NULL);
    enum refusal refusal = fault == HTTP_FAULT_INVALID ? invalid_refusal(status) : refusals[fault];
    client_note(client, refusal, SPAN_LIT(""));
    if (fault == HTTP_FAULT_INVALID)
        crowd_asked(&client_server(client)->crowd, &client->crowd);
    if (!api_refused(client, fault, status) && !engine_refused(client, fault) && status != 0)
        client_answer(client, status, status == 503 ? RETRY_SOON : SPAN_LIT(""), refusal);
}

static void on_body(struct http *http, struct span bytes, bool last)
{
    struct client *client = client_of(http);
    if (client->speaking.api != NULL)
        api_body(client, bytes);
    else
        engine_body(client, bytes);
}

static void on_aborted(struct http *http)
{
    api_aborted(client_of(http));
    engine_aborted(client_of(http));
}

static bool on_keeps(struct http *http, size_t bytes)
{
    struct client *client = client_of(http);
    return crowd_keeps(&client_server(client)->crowd, &client->speaking.kept, bytes);
}

static void on_closed(struct http *http, enum close_reason reason)
{
    client_end(client_of(http), reason);
}

static const struct http_events http_events = {
    .request = on_request,
    .body = on_body,
    .aborted = on_aborted,
    .refused = on_refused,
    .keeps = on_keeps,
    .closed = on_closed,
};

/* After the upgrade. */

static size_t session_on_received(struct conn *conn, char *bytes, size_t len)
{
    return websocket_received(&client_of_conn(conn)->websocket, bytes, len);
}

static void session_on_drained(struct conn *conn)
{
    websocket_drained(&client_of_conn(conn)->websocket);
}

static void session_on_closed(struct conn *conn, enum close_reason reason)
{
    struct client *client = client_of_conn(conn);
    http_forget(&client->http);
    client_end(client, reason);
}

/* While the session reads nothing, its client may leave all the same. One that has only ended its half may still have
 * sent something: the session reads it first, but claims nothing for it (transport.h, `peer_left`). */
static void session_on_ending(struct conn *conn, bool broken)
{
    if (broken)
        conn_close(conn, CLOSE_PEER_RESET);
}

static const struct conn_events session_events = {
    .received = session_on_received,
    .ending = session_on_ending,
    .drained = session_on_drained,
    .closed = session_on_closed,
};

/* What a client offers of permessage-deflate, and what was agreed on. */
struct client_terms {
    enum deflate_offer offer;
    struct deflate_terms terms;
};

/* The handshake's answer. False: it is refused. */
static bool shake_hands(struct client *client, const struct http1_head *head, const struct protocol *protocol,
                        struct span subprotocol, struct client_terms *terms)
{
    struct server *server = client_server(client);
    struct buf fields = {0};
    terms->offer = compression_agree(&server->sessions.compression, protocol->kind, head, &terms->terms, &fields);
    if (terms->offer == DEFLATE_OFFER_MALFORMED) { /* RFC 6455 section 9.1 */
        client_refuse(client, 400, REFUSAL_EXTENSIONS_INVALID, SPAN_LIT(""), SPAN_LIT("Sec-WebSocket-Extensions"));
        return false;
    }
    if (!crowd_is_for(&server->crowd, &client->crowd, &client->http.conn.peer)) {
        client_refuse(client, 429, REFUSAL_ADDRESS_FULL, SPAN_LIT("Retry-After: 5\r\n"), SPAN_LIT(""));
        buf_finish(&fields);
        return false;
    }
    http_upgrade_websocket(&client->http, head, subprotocol, buf_span(&fields), &session_events);
    buf_finish(&fields);
    speaking_end(client);
    client->websocket = (struct websocket){.extra = NULL};
    crowd_upgraded(&server->crowd, &client->crowd);
    return true;
}

struct span client_token(const struct client *client, const struct http1_head *head)
{
    const struct jwt *jwt = &client_server(client)->config.relay.jwt;
    /* One byte more shows that it is too long. */
    return jwt->is_set ? span_sub(jwt_of_head(jwt, head), 0, JWS_BYTES_MAX + 1) : SPAN_LIT("");
}

/* `sid`: see client_upgrade. `handshake`: see session_handshake_set. */
static bool upgrade(struct client *client, const struct http1_head *head, const struct protocol *protocol,
                    struct span subprotocol, struct span sid, struct span handshake)
{
    struct sessions *sessions = &client_server(client)->sessions;
    struct websocket *websocket = &client->websocket;
    struct client_terms terms;
    struct span token = client_token(client, head);
    if ((sid.len == 0 && !client_may_begin(client, SPAN_LIT(""))) ||
        !shake_hands(client, head, protocol, subprotocol, &terms))
        return false;
    if (sid.len > 0)
        polling_upgrade(sessions, websocket, sid, &client->http.conn, token);
    else
        websocket_open(websocket, sessions, protocol, &client->http.conn);
    struct session *session = client_session(client);
    if (session != NULL)
        session_token_set(session, token);
    if (session != NULL && sid.len == 0)
        session_handshake_set(session, handshake);
    if (terms.offer == DEFLATE_OFFER_AGREED)
        websocket_compress(websocket, &terms.terms);
    return true;
}

void client_handshake_encode(const struct client *client, const struct http1_head *head, struct buf *to)
{
    struct server *server = client_server(client);
    handshake_encode(to, &server->config.handshake, head, &client->http.conn.peer, loop_wall_ms(server->loop),
                     server->config.trusted_hops > 0);
    if (to->len <= HANDSHAKE_BYTES_MAX)
        return;
    refusals_note(&server->sessions.refusals, REFUSAL_HANDSHAKE_UNKEPT, SPAN_LIT(""), SPAN_LIT(""));
    buf_clear(to);
}

bool client_upgrade(struct client *client, const struct http1_head *head, const struct protocol *protocol,
                    struct span subprotocol, struct span sid)
{
    struct buf handshake = {0};
    if (sid.len == 0)
        client_handshake_encode(client, head, &handshake);
    bool begins = upgrade(client, head, protocol, subprotocol, sid, buf_span(&handshake));
    buf_finish(&handshake);
    return begins;
}

void client_server_init(struct server *server)
{
    const struct serve_limits *bounds = &server->config.bounds;
    const struct http_rules rules = {
        .body_bytes_max = UINT64_MAX, /* each path that takes one has a bound of its own */
        .body_ms = (uint32_t)bounds->body_timeout,
        .head_bytes_max = (uint32_t)bounds->head_bytes,
        .idle_ms = (uint32_t)bounds->idle_timeout,
        .linger_ms = CLIENT_LINGER_MS,
        .linger_body_ms = CLIENT_LINGER_MS,
    };
    server->limits = (struct conn_limits){
        .queue_bytes_max = bounds->queue_hard + 2 * bounds->max_payload,
        .input_bytes_max = HTTP1_HEAD_BYTES_MAX + NET_RECEIVE_BYTES,
        .output_bytes_max = bounds->output_bytes,
        .write_stall_ms_max = (uint32_t)bounds->write_timeout,
    };
    pool_init(&server->clients, sizeof(struct client));
    http_server_init(&server->http, &server->net, &http_events, &server->limits, &rules);
    server->http.fields = span_str(server->config.headers);
}

void client_accept(struct server *server, struct io *io, const struct addr *peer, bool by_api_port)
{
    const struct serve_limits *bounds = &server->config.bounds;
    struct client *client = pool_take(&server->clients);
    client->speaking.by_api_port = by_api_port;
    crowd_enter(&server->crowd, &client->crowd, peer);
    bool spare = client->crowd.place == CROWD_SPARE;
    if (server->config.trusted_hops > 0) {
        client->speaking.proxy = mem_alloc(sizeof *client->speaking.proxy);
        addr_ip_of(peer, client->speaking.proxy);
    }
    http_accept(&server->http, &client->http, io, peer,
                (uint32_t)(spare ? bounds->crowded_head_timeout : bounds->head_timeout));
}

void client_answer_unkept(struct server *server, struct io *io, const struct addr *peer)
{
    struct buf text = {0}, body = {0};
    char ip[ADDR_TEXT_MAX];
    ssize_t got = io_read(io, server->net.piece, NET_PIECE_BYTES);
    struct span asked = span_of(server->net.piece, got > 0 ? (size_t)got : 0);
    bool health = span_starts_with(asked, SPAN_LIT("GET /health "));
    if (health) {
        buf_append(&body, SPAN_LIT("alive\n"));
    } else {
        addr_ip_text(peer, ip);
        refusals_note(&server->sessions.refusals, REFUSAL_DESCRIPTORS_GONE, span_str(ip), SPAN_LIT(""));
        buf_printf(&body, "%s\n", refusal_text(REFUSAL_DESCRIPTORS_GONE));
    }
    http1_response_encode(&text, health ? 200 : 503, SPAN_LIT("text/plain; charset=utf-8"),
                          health ? SPAN_LIT("") : RETRY_SOON, buf_span(&body), false);
    struct iovec part = {text.data + text.off, text.len};
    io_writev(io, &part, 1);
    io_shutdown(io);
    buf_finish(&body);
    buf_finish(&text);
}
