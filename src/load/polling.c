/* polling: GETs, POSTs and the probe. */
#include "load/polling.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "load/client.h"
#include "load/line.h"
#include "load/link.h"
#include "load/run.h"
#include "wire/engineio.h"
#include "wire/payload.h"

enum { WAITING_BYTES_MAX = 64 << 20, WHY_BYTES = 160 };

struct polling {
    struct run *run;
    struct client *client; /* NULL: over */
    struct line *get, *post;
    struct link *probe; /* NULL: none, or it failed */
    bool opened;        /* the handshake's answer has come */
    bool proven;        /* 3probe has come: nothing new begins here */
    char sid[ENGINEIO_SID_BYTES];
    uint32_t payload_bytes_max;
    uint64_t stamp;     /* of the last request, for `t`: no cache answers the next one */
    struct buf waiting; /* packets for a POST: each a struct entry, and its bytes */
    struct timer end;   /* over: frees it, when no caller uses it any more */
};

struct entry {
    uint32_t len;
    bool binary;
};

static void on_end(struct timer *timer)
{
    struct polling *polling = container_of(timer, struct polling, end);
    buf_finish(&polling->waiting);
    free(polling);
}

static void end(struct polling *polling)
{
    polling->client = NULL;
    timer_start(polling->run->loop, &polling->end, 0);
}

void polling_drop(struct polling *polling)
{
    line_drop(polling->get);
    line_drop(polling->post);
    if (polling->probe != NULL)
        link_drop(polling->probe);
    end(polling);
}

/* The session is over, and the client is told. */
static void fail(struct polling *polling, const char *why)
{
    struct client *client = polling->client;
    if (client == NULL)
        return;
    polling_drop(polling);
    client_link_closed(client, why);
}

static void ask(struct polling *polling, struct line **line, struct span body)
{
    struct buf target = {0};
    buf_printf(&target, "%s&t=%llx", polling->run->target, (unsigned long long)++polling->stamp);
    if (polling->opened)
        buf_printf(&target, "&sid=%.*s", ENGINEIO_SID_BYTES, polling->sid);
    if (*line == NULL)
        *line = line_open(polling->run, polling);
    line_ask(*line, buf_span(&target), body);
    buf_finish(&target);
}

/* Takes the first packet that waits, in place. */
static bool entry_next(struct span *rest, bool *binary, struct span *packet)
{
    struct entry entry;
    if (rest->len < sizeof entry)
        return false;
    memcpy(&entry, rest->data, sizeof entry);
    *packet = span_sub(*rest, sizeof entry, entry.len);
    *binary = entry.binary;
    *rest = span_from(*rest, sizeof entry + entry.len);
    return true;
}

/* POSTs what waits: at least one packet, and as many as the server takes at once. */
static void post_next(struct polling *polling)
{
    struct span rest = buf_span(&polling->waiting), packet;
    struct buf body = {0};
    bool binary;
    if (polling->client == NULL || polling->proven || line_is_busy(polling->post) || rest.len == 0)
        return;
    for (struct span next = rest; entry_next(&next, &binary, &packet); rest = next) {
        size_t len = binary ? packet.len / 3 * 4 + 6 : packet.len + 1;
        if (body.len != 0 && body.len + len > polling->payload_bytes_max)
            break;
        if (body.len != 0)
            buf_append_char(&body, PAYLOAD_SEPARATOR);
        if (binary)
            payload_binary_encode(&body, packet);
        else
            buf_append(&body, packet);
    }
    buf_consume(&polling->waiting, polling->waiting.len - rest.len);
    polling->run->counters.posts++;
    ask(polling, &polling->post, buf_span(&body));
    buf_finish(&body);
}

static void get_next(struct polling *polling)
{
    if (polling->client == NULL || polling->proven || line_is_busy(polling->get))
        return;
    polling->run->counters.gets++;
    ask(polling, &polling->get, (struct span){NULL, 0});
}

static void entry_add(struct polling *polling, bool binary, struct span bytes)
{
    struct entry entry = {.len = (uint32_t)bytes.len, .binary = binary};
    if (polling->waiting.len + bytes.len > WAITING_BYTES_MAX) {
        fail(polling, "the server does not answer a POST");
        return;
    }
    buf_append(&polling->waiting, span_of(&entry, sizeof entry));
    buf_append(&polling->waiting, bytes);
    post_next(polling);
}

void polling_send(struct polling *polling, struct span text)
{
    entry_add(polling, false, text);
}

void polling_send_binary(struct polling *polling, struct span bytes)
{
    entry_add(polling, true, bytes);
}

/* The link has proven itself and nothing is under way here: from now on it is the client's. */
static void upgrade_try(struct polling *polling)
{
    struct client *client = polling->client;
    struct span rest = buf_span(&polling->waiting), packet;
    bool binary;
    if (client == NULL || !polling->proven || line_is_busy(polling->get) || line_is_busy(polling->post))
        return;
    polling->run->counters.upgraded++;
    client->link = polling->probe;
    client->link->events = &client_link_events;
    client->polling = NULL;
    polling->probe = NULL;
    link_send(client->link, SPAN_LIT("5"));
    while (entry_next(&rest, &binary, &packet))
        binary ? link_send_binary(client->link, packet) : link_send(client->link, packet);
    polling_drop(polling);
}

static void probe_opened(struct client *client)
{
    link_send(client->polling->probe, SPAN_LIT("2probe"));
}

static void probe_received(struct client *client, struct span text)
{
    if (!span_equal(text, SPAN_LIT("3probe")))
        return;
    client->polling->proven = true;
    upgrade_try(client->polling);
}

static void probe_received_binary(struct client *client, struct span bytes)
{
}

/* The stock client would say nothing more if it had stopped to poll, and hear nothing. This one comes back. */
static void probe_closed(struct client *client, const char *why)
{
    struct polling *polling = client->polling;
    polling->probe = NULL;
    polling->run->counters.upgrades_failed++;
    if (polling->proven)
        fail(polling, why);
}

static const struct link_events probe_events = {
    .opened = probe_opened,
    .received = probe_received,
    .received_binary = probe_received_binary,
    .closed = probe_closed,
};

static void probe_start(struct polling *polling)
{
    struct buf target = {0};
    buf_printf(&target, "%s&sid=%.*s", polling->run->upgrade_target, ENGINEIO_SID_BYTES, polling->sid);
    polling->probe = link_open(polling->run, polling->client, &probe_events, buf_span(&target));
    buf_finish(&target);
}

/* The open packet. False when the server's answer is none, and the session over. */
static bool handshake_read(struct polling *polling, struct span packet)
{
    struct engineio_handshake handshake;
    if (packet.len == 0 || packet.data[0] != ENGINEIO_OPEN ||
        !engineio_handshake_decode(span_from(packet, 1), &handshake) || handshake.sid.len != ENGINEIO_SID_BYTES) {
        fail(polling, "the server's answer is no Engine.IO handshake");
        return false;
    }
    polling->opened = true;
    memcpy(polling->sid, handshake.sid.data, ENGINEIO_SID_BYTES);
    polling->payload_bytes_max = handshake.payload_bytes_max;
    if (polling->run->options->transport == LOAD_TRANSPORT_UPGRADE && handshake.upgrade_websocket)
        probe_start(polling);
    return true;
}

static void packet_received(struct polling *polling, struct span packet)
{
    struct buf bytes = {0};
    if (!polling->opened && !handshake_read(polling, packet))
        return;
    if (packet.len != 0 && packet.data[0] == ENGINEIO_CLOSE)
        fail(polling, "the server closed the session");
    else if (!payload_is_binary(packet))
        client_link_received(polling->client, packet);
    else if (payload_binary_decode(&bytes, packet))
        client_link_received_binary(polling->client, buf_span(&bytes));
    else
        fail(polling, "the server's payload has a binary packet that is not base64");
    buf_finish(&bytes);
}

static void payload_received(struct polling *polling, struct span payload)
{
    struct span packet;
    bool begun = false;
    while (polling->client != NULL && payload_next(&payload, &begun, &packet))
        packet_received(polling, packet);
}

void polling_answered(struct polling *polling, struct line *line, int status, struct span body)
{
    bool get = line == polling->get;
    char why[WHY_BYTES];
    if (line->polling == NULL && get)
        polling->get = NULL;
    else if (line->polling == NULL)
        polling->post = NULL;
    if (status != 200) {
        struct span shown = span_sub(body, 0, WHY_BYTES / 2);
        snprintf(why, sizeof why, "the server answered a %s with %d " SPAN_FMT, get ? "GET" : "POST", status,
                 SPAN_ARG(shown));
        fail(polling, why);
        return;
    }
    if (get)
        payload_received(polling, body);
    post_next(polling);
    get_next(polling);
    upgrade_try(polling);
}

void polling_line_closed(struct polling *polling, struct line *line, const char *why)
{
    bool busy = line_is_busy(line);
    if (line == polling->get)
        polling->get = NULL;
    else
        polling->post = NULL;
    if (busy)
        fail(polling, why);
}

struct polling *polling_open(struct run *run, struct client *client)
{
    struct polling *polling = mem_zero(1, sizeof *polling);
    polling->run = run;
    polling->client = client;
    polling->stamp = loop_random_below(run->loop, UINT32_MAX);
    timer_init(&polling->end, on_end);
    get_next(polling);
    return polling;
}

void polling_cut(struct polling *polling, enum cut_kind kind)
{
    if (kind == CUT_CLOSE) {
        /* Beside a POST that is still under way, as the stock client's. */
        struct line *bye = NULL;
        ask(polling, &bye, SPAN_LIT("1"));
        line_leave(bye);
        line_leave(polling->get);
        line_leave(polling->post);
        polling->get = polling->post = NULL;
    } else {
        line_cut(polling->get, kind);
        line_cut(polling->post, kind);
        polling->get = polling->post = NULL;
    }
    polling_drop(polling);
}
