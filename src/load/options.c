/* options: defaults, parsers of single options, and checks of all of them together. */
#include "load/options.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "wire/json.h"
#include "wire/socketio.h"

void options_init(struct load_options *options)
{
    *options = (struct load_options){
        .protocol = LOAD_SOCKETIO,
        .nsp = "/",
        .event = "drawing",
        .join_event = "join",
        .clients = 100,
        .publishers = 1,
        .rooms_each = 1,
        .connect_rate = 500,
        .rate = 10,
        .size = 64,
        .duration_s = 10,
        .settle_s = 10,
        .connect_timeout_s = 30,
        .reconnect_ms = 1000,
        .cuts = 1 << CUT_FIN | 1 << CUT_RST | 1 << CUT_HALFOPEN | 1 << CUT_CLOSE,
    };
}

const char *cut_kind_name(enum cut_kind kind)
{
    static const char *const names[] = {
        [CUT_FIN] = "fin", [CUT_RST] = "rst", [CUT_HALFOPEN] = "halfopen", [CUT_CLOSE] = "close"};
    return names[kind];
}

const char *load_protocol_name(enum load_protocol protocol)
{
    static const char *const names[] = {
        [LOAD_SOCKETIO] = "socketio", [LOAD_PLAIN] = "plain", [LOAD_WEBSOCKET] = "websocket"};
    return names[protocol];
}

const char *load_transport_name(enum load_transport transport)
{
    static const char *const names[] = {[LOAD_TRANSPORT_WEBSOCKET] = "websocket",
                                        [LOAD_TRANSPORT_POLLING] = "polling",
                                        [LOAD_TRANSPORT_UPGRADE] = "upgrade"};
    return names[transport];
}

uint32_t options_connections_each(const struct load_options *options)
{
    static const uint8_t counts[] = {
        [LOAD_TRANSPORT_WEBSOCKET] = 1, /* the link */
        [LOAD_TRANSPORT_POLLING] = 2,   /* a GET and a POST */
        [LOAD_TRANSPORT_UPGRADE] = 3,   /* these, and the link */
    };
    return counts[options->transport];
}

bool options_number_read(const char *what, const char *text, double min, double max, double *value, struct err *err)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number) || number < min || number > max)
        return err_set(err, "%s: expected a number from %g to %.0f, found %s", what, min, max,
                       SHOWN_FOUND(span_str(text)));
    *value = number;
    return true;
}

bool options_count_read(const char *what, const char *text, uint32_t min, uint32_t max, uint32_t *value,
                        struct err *err)
{
    uint64_t number;
    if (!span_to_u64(span_str(text), &number) || number < min || number > max)
        return err_set(err, "%s: expected a whole number from %u to %u, found %s", what, min, max,
                       SHOWN_FOUND(span_str(text)));
    *value = (uint32_t)number;
    return true;
}

bool options_protocol_read(struct load_options *options, const char *text, struct err *err)
{
    for (options->protocol = 0; options->protocol < LOAD_PROTOCOLS; options->protocol++)
        if (strcmp(text, load_protocol_name(options->protocol)) == 0)
            return true;
    return err_set(err, "--protocol: expected socketio, plain or websocket, found %s", SHOWN_FOUND(span_str(text)));
}

bool options_transport_read(struct load_options *options, const char *text, struct err *err)
{
    for (options->transport = 0; options->transport < LOAD_TRANSPORTS; options->transport++)
        if (strcmp(text, load_transport_name(options->transport)) == 0)
            return true;
    return err_set(err, "--transport: expected websocket, polling or upgrade, found %s", SHOWN_FOUND(span_str(text)));
}

bool options_cuts_read(struct load_options *options, const char *text, struct err *err)
{
    struct span rest = span_str(text), part;
    options->cuts = 0;
    while (span_next(&rest, ',', &part)) {
        enum cut_kind kind = 0;
        while (kind < CUT_KINDS && !span_equal(part, span_str(cut_kind_name(kind))))
            kind++;
        if (kind == CUT_KINDS)
            return err_set(err, "--cut: expected any of fin,rst,halfopen,close, found %s", SHOWN_FOUND(part));
        options->cuts |= 1u << kind;
    }
    return true;
}

bool options_room_event_read(struct load_options *options, const char *text, struct err *err)
{
    struct span name = span_str(text), first = SPAN_LIT(":room,object"), last = SPAN_LIT(":object,room");
    options->room_last = span_ends_with(name, last);
    if (options->room_last || span_ends_with(name, first))
        name = span_sub(name, 0, name.len - first.len);
    if (name.len == 0)
        return err_set(err, "--room-event: expected the name of an event, found %s", SHOWN_FOUND(span_str(text)));
    free(options->room_event);
    options->room_event = mem_text(name);
    return true;
}

static bool names_check(const struct load_options *options, struct err *err)
{
    const char *const events[] = {options->event, options->join_event, options->room_event};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i] != NULL && socketio_event_is_reserved(span_str(events[i])))
            return err_set(err, "the event \"%s\" is Socket.IO's own: no client may send it", events[i]);
    if (options->nsp[0] != '/' || strchr(options->nsp, ',') != NULL)
        return err_set(err, "--namespace: begins with \"/\" and has no comma, found %s",
                       SHOWN_FOUND(span_str(options->nsp)));
    if (options->path != NULL && options->path[0] != '/')
        return err_set(err, "--path: begins with \"/\", found %s", SHOWN_FOUND(span_str(options->path)));
    if (options->path != NULL && options->path[strcspn(options->path, " \t\r\n")] != '\0')
        return err_set(err, "--path: has no spaces and no line ends (%%20 is a space)");
    if (!shown_all_harmless(span_str(options->nsp)))
        return err_set(err, "--namespace: holds a control character");
    if (options->auth != NULL &&
        (!json_is_valid(span_str(options->auth)) || json_type(json_trim(span_str(options->auth))) != JSON_OBJECT))
        return err_set(err, "--auth: expected a JSON object like {\"token\":\"abc\"} (is it in single quotes?)");
    return true;
}

static bool rooms_check(const struct load_options *options, struct err *err)
{
    if (options->rooms == 0 && options->room_event != NULL)
        return err_set(err, "--room-event needs --rooms");
    if (options->rooms == 0 && options->rooms_each != 1)
        return err_set(err, "--rooms-per-client needs --rooms");
    if (options->rooms != 0 && options->rooms_each > options->rooms)
        return err_set(err, "--rooms-per-client %u: there are only %u rooms (--rooms)", options->rooms_each,
                       options->rooms);
    return true;
}

bool options_check(const struct load_options *options, struct err *err)
{
    bool bare = options->protocol == LOAD_WEBSOCKET;
    if (bare && options->rooms != 0)
        return err_set(err, "--rooms: bare WebSocket has no rooms; use --protocol socketio or plain");
    if (bare && (strcmp(options->nsp, "/") != 0 || options->auth != NULL))
        return err_set(err, "--namespace and --auth need --protocol socketio or plain");
    if (bare && options->binary != 0)
        return err_set(err, "--binary: bare WebSocket has no attachments; use --protocol socketio or plain");
    if (options->protocol != LOAD_SOCKETIO && options->transport != LOAD_TRANSPORT_WEBSOCKET)
        return err_set(err, "--transport %s is Socket.IO's; use --protocol socketio",
                       load_transport_name(options->transport));
    if (options->transport == LOAD_TRANSPORT_POLLING && options->deflate)
        return err_set(err, "--deflate compresses on WebSocket: use --transport upgrade or websocket");
    if (options->publishers > options->clients)
        return err_set(err, "--publishers %u: a publisher is one of the clients, and there are %u (--clients)",
                       options->publishers, options->clients);
    if (!options->idle && options->clients == 1 && !options->echo)
        return err_set(err, "one client that gets nothing of its own hears nothing: use more --clients, or --echo");
    if (options->idle && (options->check || options->cut_every_s != 0))
        return err_set(err, "--idle publishes nothing: there is nothing to --check, and no use in cuts");
    if (options->cut_every_s != 0 && options->cuts == 0)
        return err_set(err, "--cut-every needs at least one kind of --cut");
    return names_check(options, err) && rooms_check(options, err);
}
