/* client_plain: nearly all messages are events, which are recognized by their first bytes and never read as JSON, as in
 * client_packet.c. */
#include "load/client_plain.h"

#include <stdio.h>

#include "load/client.h"
#include "load/publish.h"
#include "load/run.h"
#include "wire/json.h"
#include "wire/payload.h"

enum { WHY_BYTES = 200 };

#define CONNECT_REF "\"connect\"" /* those of joins and publishes are numbers */
#define EVENT_START "{\"type\":\"event\","

static void member_append(struct buf *to, const char *name, struct span json)
{
    if (json.len != 0)
        buf_printf(to, ",\"%s\":" SPAN_FMT, name, SPAN_ARG(json));
}

void client_plain_connect_encode(const struct client *client, struct buf *to)
{
    const struct load_options *options = client->run->options;
    buf_append(to, SPAN_LIT("{\"type\":\"connect\",\"ref\":" CONNECT_REF ",\"ns\":\""));
    buf_append_json(to, span_str(options->nsp));
    buf_append_char(to, '"');
    member_append(to, "resume", buf_span(&client->pid));
    member_append(to, "at", buf_span(&client->offset));
    member_append(to, "auth", span_str(options->auth));
    buf_append_char(to, '}');
}

void client_plain_join_encode(const struct client *client, struct buf *to, uint32_t slot)
{
    buf_printf(to, "{\"type\":\"join\",\"ref\":%u,\"room\":\"", slot);
    publish_room_name(to, client_room(client, slot));
    buf_append(to, SPAN_LIT("\"}"));
}

static void refused(struct client *client, const char *what, struct span text)
{
    char why[WHY_BYTES];
    struct span shown = span_sub(text, 0, WHY_BYTES / 2);
    snprintf(why, sizeof why, "%s " SPAN_FMT, what, SPAN_ARG(shown));
    client_refused(client, why);
}

/* A whole number of milliseconds; 0 if it is none. */
static uint32_t ms_of(struct span message, struct span name)
{
    uint64_t ms;
    return span_to_u64(json_object_get(message, name), &ms) && ms <= UINT32_MAX ? (uint32_t)ms : 0;
}

static void welcomed(struct client *client, struct span message)
{
    if (client->state == CLIENT_CONNECTING)
        client_opened(client, ms_of(message, SPAN_LIT("ping_interval_ms")),
                      ms_of(message, SPAN_LIT("ping_timeout_ms")));
}

static void connected(struct client *client, struct span message)
{
    struct span id = json_object_get(message, SPAN_LIT("id")), resume = json_object_get(message, SPAN_LIT("resume"));
    bool recovered = json_type(json_object_get(message, SPAN_LIT("recovered"))) == JSON_TRUE;
    if (client->state != CLIENT_OPENING)
        return;
    if (id.data == NULL)
        refused(client, "no id in", message);
    else
        client_connected(client, id, json_type(resume) == JSON_STRING ? resume : (struct span){NULL, 0}, recovered);
}

static void answered(struct client *client, struct span message, bool error)
{
    struct span ref = json_object_get(message, SPAN_LIT("ref"));
    uint64_t number;
    if (error && span_equal(ref, SPAN_LIT(CONNECT_REF)))
        refused(client, "the server refuses the client:", message);
    else if (span_to_u64(ref, &number))
        client_answered(client, number, error ? message : (struct span){NULL, 0});
    else
        client->run->counters.foreign++;
}

/* The attachments of an event; false when they are not those that were published with its message. */
static bool is_whole(struct client *client, struct span message)
{
    struct span list = json_object_get(message, SPAN_LIT("attachments"));
    struct span text = list.data != NULL ? json_array_at(list, 0) : list;
    struct buf bytes = {0};
    if (client->run->options->binary == 0)
        return true;
    bool good = text.len > 2 && payload_base64_decode(&bytes, span_sub(text, 1, text.len - 2)) &&
                client_bytes_are_whole(client, message, buf_span(&bytes));
    buf_finish(&bytes);
    return good;
}

static void event_came(struct client *client, struct span message)
{
    if (client->state < CLIENT_JOINING)
        return;
    if (is_whole(client, message))
        client_message_take(client, message);
    else
        client->run->counters.foreign++;
    if (client->pid.len == 0)
        return;
    struct span at = scan_at(message);
    if (at.data == NULL)
        at = json_object_get(message, SPAN_LIT("at"));
    if (at.data == NULL)
        return;
    buf_clear(&client->offset);
    buf_append(&client->offset, at);
}

void client_plain_received(struct client *client, struct span text)
{
    if (span_starts_with(text, SPAN_LIT(EVENT_START))) {
        event_came(client, text);
        return;
    }
    struct span type = json_is_valid(text) ? json_object_get(text, SPAN_LIT("type")) : (struct span){NULL, 0};
    if (type.data == NULL)
        refused(client, "no message of " CLIENT_PLAIN_SUBPROTOCOL ":", text);
    else if (json_string_equal(type, SPAN_LIT("welcome")))
        welcomed(client, text);
    else if (json_string_equal(type, SPAN_LIT("connected")))
        connected(client, text);
    else if (json_string_equal(type, SPAN_LIT("event")))
        event_came(client, text);
    else if (json_string_equal(type, SPAN_LIT("answer")))
        answered(client, text, false);
    else if (json_string_equal(type, SPAN_LIT("error")))
        answered(client, text, true);
}
