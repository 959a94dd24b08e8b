/* nsp: the namespaces of a program: their settings and handlers, and the hooks by which the session layer calls. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "embed/embed_parts.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum {
    NAME_BYTES_MAX = 256,
    RECOVERY_MS_MIN = 1000,
    RECOVERY_MS_MAX = 12 * 3600 * 1000,
    ENTRIES_MAX = 10000000,
    AGE_MS_MIN = 1000,
    REPLAY_MAX = 1000,
};
static const uint64_t age_ms_max = 366ull * 24 * 3600 * 1000;

struct named_handler {
    struct map_node by_name;
    char *name;
    struct deed_handler handler;
};

static struct named_handler *handler_find(struct embed_nsp *nsp, struct span name)
{
    struct map_node *node = map_find(&nsp->like->handlers, name);
    return node != NULL ? container_of(node, struct named_handler, by_name) : NULL;
}

static bool event_handle(struct embed *embed, struct embed_nsp *nsp, struct subscriber *subscriber,
                         const struct client_event *asked)
{
    struct buf name = {0};
    struct named_handler *found = NULL;
    if (asked->name.len <= NAME_BYTES_MAX * 6 && json_string_decode(asked->name, &name))
        found = handler_find(nsp, buf_span(&name));
    buf_finish(&name);
    if (found == NULL)
        return false;
    subscriber->refs++; /* first, so that its session stays here */
    notes_act(embed);   /* of this socket's arrival, too */
    struct embed_event *event = event_create(embed, nsp, NULL);
    event->name = event_text(event, found->by_name.key);
    event_socket_set(event, subscriber_has(subscriber).part);
    event->content = asked->content;
    event->skip = 1;
    event->asked = asked;
    event->owed.socket = event->socket;
    buf_append(&event->owed.id, asked->id);
    embed->current = embed->acting = subscriber;
    event_run(event, found->handler);
    embed->current = embed->acting = NULL;
    subscriber_unref(subscriber);
    return true;
}

bool sennit_relay(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_relay");
    if (event == NULL)
        return false;
    if (event->asked == NULL || event->embed->current == NULL) {
        handle_misused("sennit_relay", "the event is none of a client whose handler runs, or was relayed already");
        return false;
    }
    const struct client_event *asked = event->asked;
    struct embed *embed = event->embed;
    if (event->owed.id.len != asked->id.len) {
        handle_misused("sennit_relay", "the event was acknowledged already, and the rules may answer it, too");
        return false;
    }
    event->asked = NULL;
    owed_drop(&event->owed); /* the relay answers it */
    embed->before.event(&embed->server.config.relay.app, embed->current, asked);
    return true;
}

static void on_event(struct session_app *app, struct subscriber *subscriber, const struct client_event *asked)
{
    struct embed *embed = embed_of(app);
    struct embed_nsp *nsp = embed_nsp_of(embed, subscriber->nsp);
    if (nsp == NULL || !event_handle(embed, nsp, subscriber, asked))
        embed->before.event(app, subscriber, asked);
}

static void on_admit(struct session_app *app, const struct nsp *nsp, const struct client_proof *proof,
                     struct admission *admission)
{
    struct embed *embed = embed_of(app);
    struct embed_nsp *found = embed_nsp_of(embed, nsp);
    embed->before.admit(app, nsp, proof, admission);
    if (found == NULL || found->like->connecting.call == NULL || admission->refusal != REFUSAL_COUNT)
        return;
    struct buf args = {0};
    struct embed_event *event = event_create(embed, found, "connecting");
    buf_append_char(&args, '[');
    buf_append(&args, proof->auth.len != 0 ? proof->auth : SPAN_LIT("null"));
    buf_append_char(&args, ']');
    event->content = content_of(buf_span(&args));
    event->admission = admission;
    event->proof = proof;
    event_run(event, found->like->connecting);
    buf_finish(&args);
    if (admission->refusal != REFUSAL_COUNT) {
        identity_destroy(admission->identity);
        free(admission->presence_data);
        admission->identity = NULL;
        admission->presence_data = NULL;
    }
}

void sennit_refuse(sennit_event *handle, const char *message, const char *data)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_refuse");
    if (event == NULL)
        return;
    if (event->admission == NULL) {
        handle_misused("sennit_refuse", "the event is not of a connecting handler that runs");
        return;
    }
    struct buf text = {0};
    bool has_data = data != NULL && json_is_valid(span_str(data));
    if (data != NULL && !has_data)
        handle_misused("sennit_refuse", "the data are no JSON: the client is refused without them");
    buf_append(&text, SPAN_LIT("{\"message\":\""));
    buf_append_json(&text, span_str(message != NULL ? message : "refused"));
    buf_append_char(&text, '"');
    if (has_data) {
        buf_append(&text, SPAN_LIT(",\"data\":"));
        buf_append(&text, span_str(data));
    }
    buf_append_char(&text, '}');
    free(event->admission->denial);
    event->admission->denial = mem_text(buf_span(&text));
    event->admission->refusal = REFUSAL_BY_APPLICATION;
    buf_finish(&text);
}

static void on_returned(struct session_app *app, struct span lease)
{
    away_returned(embed_of(app), lease);
}

void embed_hooks_set(struct embed *embed)
{
    struct session_app *app = &embed->server.config.relay.app;
    embed->before = *app;
    aways_init(embed);
    app->admit = on_admit;
    app->event = on_event;
    app->arrived = embed_arrived;
    app->departed = embed_departed;
    app->returned = on_returned;
    app->answered = embed_answered;
    app->presence = embed_presence_changed;
}

/* A number within its bounds; 0 stands for the one that is there. */
static void bound(uint64_t *to, uint64_t value, uint64_t least, uint64_t most, const char *what)
{
    if (value == 0)
        return;
    *to = value < least ? least : value > most ? most : value;
    if (*to != value)
        handle_told("a value is out of its bounds: the nearest one counts", "sennit_namespace_with", what);
}

static void options_set(struct relay_nsp *config, const struct sennit_nsp_options *options)
{
    struct relay_rooms *all = &config->all;
    bound(&config->nsp.recovery_ms, options->recovery_ms, RECOVERY_MS_MIN, RECOVERY_MS_MAX,
          "recovery_ms: 1000 to 43200000");
    bound(&all->retention.entries_max, options->log_entries, 1, ENTRIES_MAX, "log_entries: 1 to 10000000");
    bound(&all->retention.age_ms_max, options->log_age_ms, AGE_MS_MIN, age_ms_max,
          "log_age_ms: 1000 to 31622400000, which is 366 days");
    bound(&all->policy.replay_entries, options->replay, 1, REPLAY_MAX, "replay: 1 to 1000");
    if (options->replay != 0)
        all->policy.replay = START_NEWEST;
    if (options->replay_all)
        all->policy.replay = START_OLDEST;
    all->policy.presence = options->presence;
    config->nsp.announce = options->announce;
    config->nsp.slow = options->close_slow ? SLOW_CLOSE : SLOW_REREAD;
}

struct embed_nsp *embed_nsp_add(struct embed *embed, struct relay_nsp *config)
{
    struct embed_nsp *nsp = mem_zero(1, sizeof *nsp);
    nsp->embed = embed;
    nsp->config = config;
    nsp->like = config->part = nsp;
    nsp->handle = handle_create(HANDLE_NSP, nsp);
    list_init(&nsp->node);
    list_append(&embed->nsps, &nsp->node);
    config->nsp.recovery_ms += AWAY_MARGIN_MS;
    map_init(&nsp->handlers, embed->server.config.relay.namespaces.seed);
    aways_look(embed);
    return nsp;
}

/* While the server runs, a name that a pattern matches is one of the pattern's. Before, a program may add a namespace
 * of that name, which goes before its own patterns, as in the YAML file; but not around the file's. */
static bool is_of_pattern(struct embed *embed, const struct relay_nsp *config, struct span name)
{
    if (config != NULL || span_find(name, '*') >= 0)
        return config != NULL && config->like != config;
    const struct relay_nsp *pattern = relay_pattern_find(&embed->server.config.relay, name);
    const struct embed_nsp *asked = pattern != NULL ? pattern->part : NULL;
    return pattern != NULL && (embed->running || asked == NULL || !asked->is_own);
}

static sennit_nsp *made_find(struct embed *embed, struct span name)
{
    struct relay_nsp *pattern = (struct relay_nsp *)relay_pattern_find(&embed->server.config.relay, name);
    if (pattern != NULL && pattern->part == NULL)
        embed_nsp_add(embed, pattern);
    struct embed_nsp *made = embed_nsp_make(embed, name);
    embed_nsp_use(made); /* and does not drop it: the program has asked for it */
    return made != NULL ? made->handle : NULL;
}

sennit_nsp *sennit_namespace_with(sennit_server *server, const char *name, const struct sennit_nsp_options *options)
{
    struct embed *embed = embed_find(server, "sennit_namespace");
    struct span text = span_str(name);
    bool is_new = false;
    if (embed == NULL)
        return NULL;
    if (!relay_nsp_name_is_valid(text)) {
        handle_misused("sennit_namespace", "a namespace begins with \"/\", has no comma, and 128 bytes at most");
        return NULL;
    }
    struct relay *relay = &embed->server.config.relay;
    struct relay_nsp *config = relay_nsp_configured(relay, text);
    if (is_of_pattern(embed, config, text))
        return made_find(embed, text);
    if (config == NULL || (embed->server.config.is_built_in && !config->logs && config->rules.count == 0)) {
        is_new = config == NULL;
        if (is_new)
            config = relay_nsp_open(relay, text);
        config->logs = config->nsp.recoverable = config->nsp.direct = true;
        if (options != NULL)
            options_set(config, options);
    } else if (options != NULL && config->part == NULL) {
        log_event(LOG_INFO, "the YAML file has this namespace: its settings count, not the program's",
                  LOG_C("namespace", name));
    }
    struct embed_nsp *nsp = config->part != NULL ? config->part : embed_nsp_add(embed, config);
    nsp->is_own |= is_new;
    return nsp->handle;
}

sennit_nsp *sennit_namespace(sennit_server *server, const char *name)
{
    return sennit_namespace_with(server, name, NULL);
}

static bool name_is_good(struct span name, const char *call)
{
    bool good = name.len > 0 && name.len <= NAME_BYTES_MAX && !socketio_event_is_reserved(name);
    if (!good)
        handle_misused(call, "an event's name has 1 to 256 bytes, and is none that Socket.IO keeps to itself");
    return good;
}

void sennit_on(sennit_nsp *handle, const char *name, sennit_handler *handler, void *data)
{
    struct embed_nsp *nsp = embed_nsp_find(handle, "sennit_on");
    struct span text = span_str(name);
    if (nsp == NULL || !name_is_good(text, "sennit_on"))
        return;
    struct named_handler *found = handler_find(nsp, text);
    if (found == NULL) {
        found = mem_zero(1, sizeof *found);
        found->name = mem_text(text);
        map_add(&nsp->like->handlers, &found->by_name, span_of(found->name, text.len));
    }
    if (handler == NULL) {
        map_remove(&nsp->like->handlers, &found->by_name);
        free(found->name);
        free(found);
        return;
    }
    found->handler = (struct deed_handler){handler, data};
}

static void set(sennit_nsp *handle, size_t offset, const char *call, struct deed_handler handler)
{
    struct embed_nsp *nsp = embed_nsp_find(handle, call);
    if (nsp != NULL)
        *(struct deed_handler *)(void *)((char *)nsp->like + offset) = handler;
}

void sennit_on_connecting(sennit_nsp *nsp, sennit_handler *handler, void *data)
{
    set(nsp, offsetof(struct embed_nsp, connecting), "sennit_on_connecting", (struct deed_handler){handler, data});
}

void sennit_on_connect(sennit_nsp *nsp, sennit_handler *handler, void *data)
{
    set(nsp, offsetof(struct embed_nsp, connect), "sennit_on_connect", (struct deed_handler){handler, data});
}

void sennit_on_resumed(sennit_nsp *nsp, sennit_handler *handler, void *data)
{
    set(nsp, offsetof(struct embed_nsp, resumed), "sennit_on_resumed", (struct deed_handler){handler, data});
}

void sennit_on_moved(sennit_nsp *nsp, sennit_handler *handler, void *data)
{
    set(nsp, offsetof(struct embed_nsp, moved), "sennit_on_moved", (struct deed_handler){handler, data});
}

void sennit_on_presence(sennit_nsp *nsp, sennit_handler *handler, void *data)
{
    set(nsp, offsetof(struct embed_nsp, presence), "sennit_on_presence", (struct deed_handler){handler, data});
}

void sennit_on_disconnect(sennit_nsp *nsp, sennit_handler *handler, void *data)
{
    struct embed_nsp *found = handle_peek(nsp, HANDLE_NSP);
    set(nsp, offsetof(struct embed_nsp, disconnect), "sennit_on_disconnect", (struct deed_handler){handler, data});
    if (found == NULL || !found->embed->is_open)
        return;
    struct nsp *watched = &found->like->config->nsp;
    watched->watch = handler != NULL ? watched->name : (struct span){NULL, 0};
}

void embed_nsps_destroy(struct embed *embed)
{
    struct list *node;
    while ((node = list_take(&embed->nsps)) != NULL) {
        struct embed_nsp *nsp = container_of(node, struct embed_nsp, node);
        struct map_node *at;
        while ((at = map_next(&nsp->handlers, NULL)) != NULL) {
            struct named_handler *found = container_of(at, struct named_handler, by_name);
            map_remove(&nsp->handlers, at);
            free(found->name);
            free(found);
        }
        map_finish(&nsp->handlers);
        handle_end(nsp->handle);
        free(nsp);
    }
}
