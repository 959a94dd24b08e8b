/* stock_client_plain: a client of `sennit.v1` in the simulator. It wants what the stock client wants, so it is that one
 * with other words: here each of its Socket.IO packets becomes a message of the plain protocol, and each message that
 * comes becomes the packet that says the same. So all that is checked of stock clients is checked of plain ones. It
 * keeps `resume` as they keep a pid, and `at` as they keep an offset.
 *
 * At `closing` it does what docs/plain.md says: it waits, opens another connection, and no longer listens to the old
 * one, which the server has to close. */
#include <stdio.h>

#include "stock_client_parts.h"
#include "wire/json.h"
#include "wire/payload.h"

enum { SID_LETTERS = 20, NAMED_EACH = 2 };

static void plain_send(struct stock_client *client, struct buf *text)
{
    client_trace(client, "sends", buf_span(text));
    engine_client_send(&client->engine, false, buf_span(text));
    buf_finish(text);
}

/* `,"to":<value of from>`, if there is one. */
static void member_copy(struct buf *to, const char *name, struct span object, const char *from)
{
    struct span value = json_object_get(object, span_str(from));
    if (value.data != NULL)
        buf_printf(to, ",\"%s\":" SPAN_FMT, name, SPAN_ARG(value));
}

static void connect_send(struct stock_client *client, struct span auth)
{
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("{\"type\":\"connect\",\"ns\":\"/\""));
    member_copy(&text, "resume", auth, "pid");
    member_copy(&text, "at", auth, "offset");
    buf_printf(&text, ",\"auth\":{\"me\":%d}}", client->number);
    plain_send(client, &text);
}

/* Half of the logged messages are named by `id`, the others by their argument, as the configuration has it. */
static void name_append(const struct stock_client *client, struct buf *to, struct span args)
{
    uint64_t number;
    for (size_t i = 1; i < 3; i++) {
        struct span body = json_array_at(args, i);
        if (body.data != NULL && json_type(body) == JSON_OBJECT &&
            span_to_u64(json_object_get(body, SPAN_LIT("id")), &number) && number % NAMED_EACH == 0 &&
            client->world->check->truths.messages[number].logged)
            buf_printf(to, ",\"id\":\"%llu\"", (unsigned long long)number);
    }
}

static void publish_text(const struct stock_client *client, struct buf *to, const struct socketio_packet *packet)
{
    struct span name = packet->event, inside = packet->payload;
    inside = span_from(inside, (size_t)(name.data + name.len - inside.data) + 1); /* behind the comma */
    buf_printf(to, "{\"type\":\"publish\",\"event\":" SPAN_FMT ",\"args\":[" SPAN_FMT, SPAN_ARG(name),
               SPAN_ARG(inside));
    name_append(client, to, packet->payload);
    if (packet->ack_id.data != NULL)
        buf_printf(to, ",\"ref\":" SPAN_FMT, SPAN_ARG(packet->ack_id));
}

/* `["join","room3"]`, `["past",null,{"limit":5}]`: the second argument is the room, the third has options. */
static bool request_text(struct buf *to, const struct socketio_packet *packet)
{
    static const char *const verbs[][2] = {
        {"join", "join"}, {"leave", "leave"}, {"past", "history"}, {"who", "presence"}};
    struct span room = json_array_at(packet->payload, 1), options = json_array_at(packet->payload, 2);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!json_string_equal(packet->event, span_str(verbs[i][0])))
            continue;
        buf_printf(to, "{\"type\":\"%s\",\"ref\":" SPAN_FMT, verbs[i][1], SPAN_ARG(packet->ack_id));
        if (json_type(room) == JSON_STRING)
            buf_printf(to, ",\"room\":" SPAN_FMT, SPAN_ARG(room));
        static const char *const names[] = {"limit", "before", "after", "cursor"};
        for (size_t j = 0; j < sizeof names / sizeof names[0] && options.data != NULL; j++)
            member_copy(to, names[j], options, names[j]);
        buf_append_char(to, '}');
        return true;
    }
    return false;
}

void client_plain_send(struct stock_client *client, struct span text)
{
    struct socketio_packet packet;
    struct buf out = {0};
    if (text.data[0] != '4' || socketio_decode(span_from(text, 1), &packet) < 0)
        return; /* the pong, which this protocol leaves to the WebSocket */
    if (packet.type == SOCKETIO_CONNECT) {
        connect_send(client, packet.payload);
    } else if (packet.type == SOCKETIO_BINARY_EVENT) {
        publish_text(client, &client->plain_text, &packet);
    } else if (packet.type == SOCKETIO_EVENT && request_text(&out, &packet)) {
        plain_send(client, &out);
    } else if (packet.type == SOCKETIO_EVENT) {
        publish_text(client, &out, &packet);
        buf_append_char(&out, '}');
        plain_send(client, &out);
    }
}

void client_plain_send_bytes(struct stock_client *client, struct span bytes)
{
    struct buf *text = &client->plain_text;
    buf_append(text, SPAN_LIT(",\"attachments\":[\""));
    payload_base64_encode(text, bytes);
    buf_append(text, SPAN_LIT("\"]}"));
    plain_send(client, text);
}

static void feed(struct stock_client *client, struct buf *text)
{
    struct buf packet = *text;
    *text = (struct buf){0};
    client_hears(client, buf_span(&packet));
    buf_finish(&packet);
}

/* The packet's text, and behind it the attachments of the message. */
static void feed_with_bytes(struct stock_client *client, struct span message, const char *type, const char *binary_type,
                            struct buf *rest)
{
    struct span list = json_object_get(message, SPAN_LIT("attachments")), value, from = list;
    struct buf text = {0}, decoded = {0}, bytes = {0};
    unsigned count = 0;
    while (list.data != NULL && json_array_next(&from, &value))
        count++;
    if (count > 0)
        buf_printf(&text, "%s%u-", binary_type, count);
    else
        buf_append(&text, span_str(type));
    buf_append(&text, buf_span(rest));
    buf_finish(rest);
    uint64_t life = client->engine.life;
    feed(client, &text);
    while (list.data != NULL && client->engine.life == life && json_array_next(&list, &value)) {
        buf_clear(&decoded);
        buf_clear(&bytes);
        if (!json_string_decode(value, &decoded) || !payload_base64_decode(&bytes, buf_span(&decoded)))
            check_fail(client->world->check, "%s: attachments that are not base64", client->witness.name);
        client_attachment(client, buf_span(&bytes));
    }
    buf_finish(&decoded);
    buf_finish(&bytes);
}

static void welcomed(struct stock_client *client, struct span message)
{
    struct span interval = json_object_get(message, SPAN_LIT("ping_interval_ms")),
                timeout = json_object_get(message, SPAN_LIT("ping_timeout_ms"));
    struct buf text = {0};
    buf_printf(&text,
               "0{\"sid\":\"%0*d\",\"upgrades\":[],\"pingInterval\":" SPAN_FMT ",\"pingTimeout\":" SPAN_FMT
               ",\"maxPayload\":1000000}",
               SID_LETTERS, 0, SPAN_ARG(interval), SPAN_ARG(timeout));
    feed(client, &text);
}

static void connected(struct stock_client *client, struct span message)
{
    struct span id = json_object_get(message, SPAN_LIT("id")), resume = json_object_get(message, SPAN_LIT("resume")),
                at = json_object_get(message, SPAN_LIT("at"));
    bool recovered = json_type(json_object_get(message, SPAN_LIT("recovered"))) == JSON_TRUE;
    bool same = client->pid[0] != '\0' && json_string_equal(resume, span_str(client->pid));
    struct buf text = {0}, kept = {0};
    if (recovered != same)
        check_fail(client->world->check, "%s: recovered, and under another secret", client->witness.name);
    if (json_type(at) == JSON_STRING)
        json_string_decode(at, &kept);
    if (recovered && client->offset.len > 0 && !span_equal(buf_span(&kept), buf_span(&client->offset)))
        check_fail(client->world->check, "%s: recovered, and not from where it was", client->witness.name);
    buf_finish(&client->offset);
    client->offset = kept;
    buf_printf(&text, "40{\"sid\":" SPAN_FMT ",\"pid\":" SPAN_FMT "}", SPAN_ARG(id), SPAN_ARG(resume));
    feed(client, &text);
}

static void event(struct stock_client *client, struct span message)
{
    struct span args = json_object_get(message, SPAN_LIT("args")), at = json_object_get(message, SPAN_LIT("at"));
    struct span inside = span_sub(args, 1, args.len - 2);
    struct buf rest = {0};
    buf_printf(&rest, "[" SPAN_FMT "%s" SPAN_FMT, SPAN_ARG(json_object_get(message, SPAN_LIT("event"))),
               inside.len > 0 ? "," : "", SPAN_ARG(inside));
    if (at.data != NULL)
        buf_printf(&rest, "," SPAN_FMT, SPAN_ARG(at));
    buf_append_char(&rest, ']');
    feed_with_bytes(client, message, "42", "45", &rest);
}

static void answered(struct stock_client *client, struct span message)
{
    struct span result = json_object_get(message, SPAN_LIT("result"));
    struct buf rest = {0};
    buf_printf(&rest, SPAN_FMT "[", SPAN_ARG(json_object_get(message, SPAN_LIT("ref"))));
    if (json_type(result) != JSON_NULL)
        buf_append(&rest, result);
    buf_append_char(&rest, ']');
    feed_with_bytes(client, message, "43", "46", &rest);
}

/* Only a page of history may be asked for wrongly. What the broker cannot take now is sent again on the next
 * connection. */
static void refused(struct stock_client *client, struct span message)
{
    struct span ref = json_object_get(message, SPAN_LIT("ref"));
    uint64_t ack;
    if (ref.data == NULL || !span_to_u64(ref, &ack) || ack != client->page.ack) {
        check_fail(client->world->check, "%s: is refused: " SPAN_FMT, client->witness.name, SPAN_ARG(message));
        return;
    }
    struct buf text = {0};
    buf_printf(&text, "43%llu[{\"error\":", (unsigned long long)ack);
    buf_append(&text, json_object_get(message, SPAN_LIT("error")));
    buf_append(&text, SPAN_LIT("}]"));
    feed(client, &text);
}

/* Another connection takes over. */
static void closing(struct stock_client *client, struct span message)
{
    struct sim *sim = client->world->sim;
    struct span window = json_object_get(message, SPAN_LIT("reconnect"));
    uint64_t in_ms, min_ms, max_ms;
    if (!span_to_u64(json_object_get(message, SPAN_LIT("in_ms")), &in_ms) || json_type(window) != JSON_OBJECT ||
        !span_to_u64(json_object_get(window, SPAN_LIT("min_ms")), &min_ms) ||
        !span_to_u64(json_object_get(window, SPAN_LIT("max_ms")), &max_ms) || max_ms <= min_ms) {
        check_fail(client->world->check, "%s: is not told when to come back", client->witness.name);
        return;
    }
    uint64_t wait_ms = min_ms + sim_below(sim, max_ms - min_ms);
    client_moves_soon(client, LOOP_MS(wait_ms < in_ms ? wait_ms : in_ms / 2));
}

void client_plain_hears(struct stock_client *client, struct span message)
{
    static const struct {
        const char *type;
        void (*hear)(struct stock_client *client, struct span message);
    } kinds[] = {{"event", event},         {"answer", answered},  {"error", refused},
                 {"connected", connected}, {"welcome", welcomed}, {"closing", closing}};
    struct span type = {NULL, 0};
    if (json_is_valid(message) && json_type(message) == JSON_OBJECT)
        type = json_object_get(message, SPAN_LIT("type"));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && type.data != NULL; i++) {
        if (json_string_equal(type, span_str(kinds[i].type))) {
            kinds[i].hear(client, message);
            return;
        }
    }
    check_fail(client->world->check, "%s: a message of no type: " SPAN_FMT, client->witness.name, SPAN_ARG(message));
}
