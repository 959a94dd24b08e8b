/* relay_request: what a client of sennit.v1 gives apart from the arguments of an event is put among them, as the rule
 * has it. So one set of rules holds for every kind of client. */
#include "app/relay.h"
#include "wire/json.h"

/* The array with this room at a place of its own, behind as many arguments as the rule asks for. */
static void args_with_room(struct buf *to, struct span args, size_t place, struct span room)
{
    struct span rest = args, value;
    bool more = json_array_next(&rest, &value);
    buf_append_char(to, '[');
    for (size_t at = 0; more || at <= place; at++) {
        if (at > 0)
            buf_append_char(to, ',');
        if (at == place) {
            buf_append(to, room);
        } else {
            buf_append(to, more ? value : SPAN_LIT("null"));
            more = more && json_array_next(&rest, &value);
        }
    }
    buf_append_char(to, ']');
}

void relay_event_to_room(struct subscriber *subscriber, const struct relay_rule *rule, const struct client_event *asked)
{
    struct session_app *app = subscriber_sessions(subscriber)->app;
    struct client_event placed = *asked;
    struct buf args = {0};
    if (rule->action != RELAY_ROOM && rule->action != RELAY_ROOM_OTHERS) {
        subscriber_refuse(subscriber, REFUSAL_ROOM_UNASKED, asked->name, asked->id);
        return;
    }
    args_with_room(&args, asked->content.args, (size_t)rule->argument + 1, asked->room);
    placed.content.args = buf_span(&args);
    placed.room = (struct span){NULL, 0};
    app->event(app, subscriber, &placed);
    buf_finish(&args);
}

static void option_append(struct buf *to, const char *name, struct span value)
{
    if (value.len == 0)
        return;
    buf_printf(to, "%s\"%s\":", to->data[to->off + to->len - 1] == '{' ? "" : ",", name);
    buf_append(to, value);
}

/* `["name",null,room,{"limit":1}]`: the arguments that an event of this rule would have. */
static void args_of_request(struct buf *to, const struct relay_rule *rule, struct span name,
                            const struct client_request *asked)
{
    buf_append_char(to, '[');
    buf_append(to, name);
    for (uint32_t i = 0; i < rule->argument; i++)
        buf_append(to, SPAN_LIT(",null"));
    buf_append_char(to, ',');
    buf_append(to, asked->room.len != 0 ? asked->room : SPAN_LIT("null"));
    buf_append(to, SPAN_LIT(",{"));
    option_append(to, "before", asked->before);
    option_append(to, "after", asked->after);
    option_append(to, "limit", asked->limit);
    option_append(to, "cursor", asked->cursor);
    buf_append(to, SPAN_LIT("}]"));
}

void relay_request(struct session_app *app, struct subscriber *subscriber, const struct client_request *asked)
{
    static const enum relay_action actions[] = {
        [CLIENT_JOIN] = RELAY_JOIN,
        [CLIENT_LEAVE] = RELAY_LEAVE,
        [CLIENT_PRESENCE] = RELAY_WHO,
        [CLIENT_HISTORY] = RELAY_HISTORY,
    };
    const struct relay_nsp *config = container_of(subscriber->nsp, const struct relay_nsp, nsp)->like;
    const struct relay_rule *rule = config->first[actions[asked->verb]];
    struct buf name = {0}, args = {0};
    if (rule == NULL) {
        subscriber_refuse(subscriber, REFUSAL_VERB_UNKNOWN, subscriber->nsp->name, asked->id);
        return;
    }
    buf_append_char(&name, '"');
    buf_append_json(&name, span_str(rule->event));
    buf_append_char(&name, '"');
    args_of_request(&args, rule, buf_span(&name), asked);
    app->event(
        app, subscriber,
        &(struct client_event){.name = buf_span(&name), .content = content_of(buf_span(&args)), .id = asked->id});
    buf_finish(&name);
    buf_finish(&args);
}
