/* bridge: its life, its channels, and what comes through them. */
#include "bridge/bridge.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "bridge/bridge_parts.h"

enum { HEAD_BYTES = 96 }; /* of a message, in which its sender's uid stands if it is ours */

/* Namespaces. */

/* In a pattern of Redis, a backslash takes the meaning from these. */
static char *pattern_of(const char *prefix)
{
    struct buf text = {0};
    for (struct span rest = span_str(prefix); rest.len > 0; rest = span_from(rest, 1)) {
        if (span_find(SPAN_LIT("*?[]\\^"), rest.data[0]) >= 0)
            buf_append_char(&text, '\\');
        buf_append_char(&text, rest.data[0]);
    }
    buf_append_char(&text, '*');
    char *pattern = mem_text(buf_span(&text));
    buf_finish(&text);
    return pattern;
}

static void bridged_add(struct bridge *bridge, const struct nsp *nsp)
{
    struct bridged *bridged = mem_zero(1, sizeof *bridged);
    const char *key = bridge->config->key;
    bridged->nsp = nsp;
    bridged->broadcasts = mem_printf("%s#" SPAN_FMT "#", key, SPAN_ARG(nsp->name));
    bridged->pattern = pattern_of(bridged->broadcasts);
    bridged->requests = mem_printf("%s-request#" SPAN_FMT "#", key, SPAN_ARG(nsp->name));
    bridged->responses = mem_printf("%s-response#" SPAN_FMT "#", key, SPAN_ARG(nsp->name));
    bridged->own = mem_printf("%s%s#", bridge->config->sharded ? bridged->broadcasts : bridged->responses, bridge->uid);
    list_append(&bridge->namespaces, &bridged->of_bridge);
    bridge->logs = bridge->logs || nsp->recoverable;
}

static void bridged_destroy(struct bridged *bridged)
{
    free(bridged->broadcasts);
    free(bridged->pattern);
    free(bridged->requests);
    free(bridged->responses);
    free(bridged->own);
    free(bridged);
}

static bool is_wanted(const struct bridge_config *config, struct span name)
{
    for (size_t i = 0; i < config->namespace_count; i++)
        if (span_equal(name, span_str(config->namespaces[i])))
            return true;
    return config->namespace_count == 0;
}

struct bridged *bridge_find(struct bridge *bridge, const struct nsp *nsp)
{
    list_each (node, &bridge->namespaces) {
        struct bridged *bridged = container_of(node, struct bridged, of_bridge);
        if (bridged->nsp == nsp)
            return bridged;
    }
    return NULL;
}

/* A program may add namespaces until the loop runs, so they are looked for at each connection. */
static void namespaces_find(struct bridge *bridge)
{
    size_t count = 0;
    list_each (node, &bridge->namespaces)
        count++;
    for (struct map_node *node = map_next(&bridge->relay->namespaces, NULL); node != NULL;
         node = map_next(&bridge->relay->namespaces, node)) {
        struct relay_nsp *config = container_of(node, struct relay_nsp, by_name);
        if (config->like != config || !is_wanted(bridge->config, config->nsp.name) ||
            bridge_find(bridge, &config->nsp) != NULL || count == BRIDGE_NAMESPACES_MAX)
            continue;
        bridged_add(bridge, &config->nsp);
        count++;
    }
    if (!bridge->patterns_told && !list_empty(&bridge->relay->patterns) && bridge->config->namespace_count == 0)
        log_event(LOG_NOTICE, "namespaces that patterns make are not shared through the bridge");
    bridge->patterns_told = true;
}

/* Sending. */

struct adapter_outgoing bridge_outgoing(const struct bridge *bridge, const struct bridged *bridged)
{
    return (struct adapter_outgoing){
        .sharded = bridge->config->sharded, .uid = span_str(bridge->uid), .nsp = bridged->nsp->name};
}

static struct span publish_command(const struct bridge *bridge)
{
    return bridge->config->sharded ? SPAN_LIT("SPUBLISH") : SPAN_LIT("PUBLISH");
}

void bridge_send(struct bridge *bridge, struct span channel, struct buf *message)
{
    if (redis_pair_publish(&bridge->pair, publish_command(bridge), channel, buf_span(message)))
        bridge->counters.sent++;
    else
        refusals_note(&bridge->sessions->refusals, REFUSAL_BRIDGE_AWAY, SPAN_LIT(""), channel);
    buf_finish(message);
}

void bridge_answer(struct bridge *bridge, const struct bridged *bridged, struct span uid, struct buf *message)
{
    if (!bridge->config->sharded) {
        bridge_send(bridge, span_str(bridged->responses), message);
        return;
    }
    struct buf channel = {0};
    buf_printf(&channel, "%s" SPAN_FMT "#", bridged->broadcasts, SPAN_ARG(uid));
    bridge_send(bridge, buf_span(&channel), message);
    buf_finish(&channel);
}

/* Receiving. */

static void invalid(struct bridge *bridge, struct span channel, const char *fault)
{
    refusals_note(&bridge->sessions->refusals, REFUSAL_BRIDGE_INVALID, channel, span_str(fault));
}

/* A server asks for an answer, and nothing here has one: an empty one, so that it need not wait in vain. */
static void server_emit(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message)
{
    refusals_note(&bridge->sessions->refusals, REFUSAL_BRIDGE_SERVER_EMIT, message->uid, bridged->nsp->name);
    if (message->request.len == 0)
        return;
    struct adapter_outgoing outgoing = bridge_outgoing(bridge, bridged);
    struct buf answer = {0};
    outgoing.request = message->request;
    adapter_nothing_write(&answer, &outgoing);
    bridge_answer(bridge, bridged, message->uid, &answer);
}

static void message_act(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message,
                        struct span payload)
{
    switch (message->kind) {
    case ADAPTER_BROADCAST:
        if (message->request.len > 0)
            bridge_ask(bridge, bridged, message);
        else
            bridge_deliver(bridge, bridged, message, payload);
        break;
    case ADAPTER_JOIN:
    case ADAPTER_LEAVE:
    case ADAPTER_DISCONNECT:
        bridge_direct(bridge, bridged, message, payload);
        break;
    case ADAPTER_FETCH:
    case ADAPTER_SIDS:
        bridge_fetch(bridge, bridged, message);
        break;
    case ADAPTER_ROOMS:
        bridge_rooms(bridge, bridged, message);
        break;
    case ADAPTER_SERVER_EMIT:
        server_emit(bridge, bridged, message);
        break;
    default:
        break;
    }
}

static void message_received(struct bridge *bridge, const struct bridged *bridged, enum adapter_form form,
                             struct span channel, struct span payload)
{
    struct adapter_message message;
    bool is_json = span_starts_with(payload, SPAN_LIT("{"));
    size_t bytes_max = is_json ? ADAPTER_JSON_BYTES_MAX : ADAPTER_BYTES_MAX;
    const char *fault = payload.len > bytes_max ? "longer than 4 MiB, or as JSON 16 MiB" : NULL;
    if (fault == NULL)
        fault = adapter_message_read(&message, form, payload);
    if (fault != NULL) {
        invalid(bridge, channel, fault);
        return;
    }
    /* Upstream's adapters leave out messages of another namespace; that of the emitters is in the channel. */
    bool ours = span_starts_with(message.uid, span_str(bridge->fleet));
    bool elsewhere = message.nsp.len > 0 && !span_equal(message.nsp, bridged->nsp->name);
    if (message.kind == ADAPTER_FETCHED) {
        bridge_fetched(bridge, &message);
    } else if (ours) {
        if (message.kind == ADAPTER_FETCH && !span_equal(message.uid, span_str(bridge->uid)))
            bridge_fetch_nothing(bridge, bridged, &message);
    } else if (elsewhere) {
        invalid(bridge, channel, "it names another namespace than its channel");
    } else if (message.deepest > bridge->sessions->limits.nesting_max) {
        invalid(bridge, channel, "nested deeper than `limits: nesting` allows");
    } else {
        bridge->counters.received++;
        message_act(bridge, bridged, &message, payload);
    }
    adapter_message_finish(&message);
}

/* Whether it is from our fleet, or names a request of ours. */
static bool is_of_fleet(const struct bridge *bridge, struct span payload)
{
    struct span head = span_sub(payload, 0, HEAD_BYTES), fleet = span_str(bridge->fleet);
    for (; head.len >= fleet.len; head = span_from(head, 1))
        if (span_starts_with(head, fleet))
            return true;
    return false;
}

/* Our own messages come back, and those of our fleet come: they are many, so they are not read further than this, but
 * for questions. Answers to all servers come here, too, and only those to our questions are read. */
static bool is_for_us(const struct bridge *bridge, enum adapter_form form, bool is_answer, struct span payload)
{
    bool is_question =
        span_starts_with(payload, form == ADAPTER_CLUSTER ? SPAN_LIT("{\"type\":7,") : SPAN_LIT("{\"type\":5,"));
    return is_answer == is_of_fleet(bridge, payload) || (!is_answer && is_question);
}

static bool find_form(const struct bridge *bridge, const struct bridged *bridged, struct span channel,
                      enum adapter_form *form, bool *is_answer)
{
    bool sharded = bridge->config->sharded;
    *is_answer = span_equal(channel, span_str(sharded ? bridged->own : bridged->responses));
    if (sharded)
        *form = ADAPTER_CLUSTER;
    else if (*is_answer)
        *form = ADAPTER_RESPONSES;
    else
        *form = span_equal(channel, span_str(bridged->requests)) ? ADAPTER_REQUESTS : ADAPTER_BROADCASTS;
    return *is_answer || *form == ADAPTER_REQUESTS || span_starts_with(channel, span_str(bridged->broadcasts));
}

static void on_received(void *arg, struct span channel, struct span payload)
{
    struct bridge *bridge = arg;
    enum adapter_form form;
    bool is_answer;
    if (span_equal(channel, span_str(bridge->marks))) {
        if (span_starts_with(payload, span_str(bridge->fleet)))
            once_mark(&bridge->once, payload);
        return;
    }
    list_each (node, &bridge->namespaces) {
        struct bridged *bridged = container_of(node, struct bridged, of_bridge);
        if (find_form(bridge, bridged, channel, &form, &is_answer)) {
            if (is_for_us(bridge, form, is_answer, payload))
                message_received(bridge, bridged, form, channel, payload);
            break;
        }
    }
    if (once_is_full(&bridge->once))
        bridge_mark(bridge);
}

/* The link. */

void bridge_mark(struct bridge *bridge)
{
    char *mark = mem_printf("%s:%llu", bridge->uid, (unsigned long long)++bridge->marks_sent);
    redis_pair_publish(&bridge->pair, publish_command(bridge), span_str(bridge->marks), span_str(mark));
    free(mark);
}

static void on_subscribe(void *arg)
{
    struct bridge *bridge = arg;
    bool sharded = bridge->config->sharded;
    struct span subscribe = sharded ? SPAN_LIT("SSUBSCRIBE") : SPAN_LIT("SUBSCRIBE");
    namespaces_find(bridge);
    redis_pair_subscribe(&bridge->pair, subscribe, span_str(bridge->marks));
    list_each (node, &bridge->namespaces) {
        const struct bridged *bridged = container_of(node, struct bridged, of_bridge);
        redis_pair_subscribe(&bridge->pair, subscribe, span_str(sharded ? bridged->broadcasts : bridged->requests));
        redis_pair_subscribe(&bridge->pair, subscribe, span_str(sharded ? bridged->own : bridged->responses));
        if (!sharded)
            redis_pair_subscribe(&bridge->pair, SPAN_LIT("PSUBSCRIBE"), span_str(bridged->pattern));
    }
    bridge_rooms_subscribe(bridge);
}

static void on_confirmed(void *arg)
{
    struct bridge *bridge = arg;
    if (!bridge->was_confirmed)
        log_event(LOG_INFO, "the bridge is up", LOG_C("key", bridge->config->key));
    bridge->was_confirmed = true;
    if (bridge->logs)
        bridge_mark(bridge);
}

static void on_down(void *arg)
{
    struct bridge *bridge = arg;
    log_event(LOG_WARNING,
              "the link to the bridge's Redis broke: what the other servers publish meanwhile is lost here, "
              "and what is published here is lost for them");
    once_forget(&bridge->once);
    bridge->was_confirmed = false;
}

static const struct redis_pair_events events = {on_subscribe, on_confirmed, on_down, on_received};

struct bridge *bridge_create(struct sessions *sessions, struct relay *relay, struct net *net,
                             const struct bridge_config *config, struct span fleet, struct err *err)
{
    struct bridge *bridge = mem_zero(1, sizeof *bridge);
    uint64_t seed[2];
    bridge->sessions = sessions;
    bridge->relay = relay;
    bridge->loop = net->loop;
    bridge->config = config;
    list_init(&bridge->namespaces);
    list_init(&bridge->questions);
    list_init(&bridge->fetches);
    if (!redis_pair_init(&bridge->pair, net, config->url, &events, bridge, err)) {
        free(bridge);
        return NULL;
    }
    loop_random(bridge->loop, seed, sizeof seed);
    once_init(&bridge->once, seed);
    bridge->fleet = mem_printf("sennit-%016llx-", (unsigned long long)broker_digest(fleet));
    bridge->uid =
        mem_printf("%s%016llx", bridge->fleet, (unsigned long long)loop_random_below(bridge->loop, UINT64_MAX));
    bridge->marks = mem_printf("%s-sennit#marks", config->key);
    bridge->outward =
        (struct outward){bridge, bridge_emitted, bridge_directed, bridge_room_filled, bridge_inquired, bridge_answered};
    sessions->outward = &bridge->outward;
    log_event(LOG_NOTICE,
              "rooms are shared with Socket.IO servers through their Redis adapter: what comes from there and is not "
              "logged here, and what goes there, has that adapter's promise, at most once, and is lost while a link is "
              "away",
              LOG_C("mode", config->sharded ? "sharded" : "classic"), LOG_C("key", config->key));
    return bridge;
}

void bridge_destroy(struct bridge *bridge)
{
    struct list *node;
    if (bridge == NULL)
        return;
    if (bridge->sessions->outward == &bridge->outward)
        bridge->sessions->outward = NULL;
    redis_pair_finish(&bridge->pair);
    bridge_questions_finish(bridge);
    bridge_fetches_finish(bridge);
    once_finish(&bridge->once);
    while ((node = list_take(&bridge->namespaces)) != NULL)
        bridged_destroy(container_of(node, struct bridged, of_bridge));
    free(bridge->fleet);
    free(bridge->uid);
    free(bridge->marks);
    free(bridge);
}

const struct bridge_counters *bridge_counters(const struct bridge *bridge)
{
    return &bridge->counters;
}

bool bridge_is_up(const struct bridge *bridge)
{
    return redis_pair_is_up(&bridge->pair);
}

size_t bridge_asks(const struct bridge *bridge)
{
    return bridge->ask_count;
}

void bridge_config_finish(struct bridge_config *config)
{
    free(config->url);
    free(config->key);
    for (size_t i = 0; i < config->namespace_count; i++)
        free(config->namespaces[i]);
    *config = (struct bridge_config){.url = NULL};
}
