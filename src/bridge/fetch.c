/* fetch: asks the servers behind the bridge which sockets they have (their fetchSockets), when the fleet is asked about
 * its own (session/inquiry.h). First Redis says how many servers listen; each of them answers once, instances of our
 * fleet with nothing. Their answers are put together, as those of one instance more. */
#include <stdlib.h>

#include "base/mem.h"
#include "bridge/bridge_parts.h"
#include "wire/json.h"

/* A socket, or a room. */
struct item {
    struct buf key, text;
    uint64_t number;
};

struct fetch {
    struct list of_bridge;
    struct timer timer;
    struct bridge *bridge;
    const struct bridged *bridged;
    struct inquiries *inquiries;
    uint64_t number; /* of the inquiry */
    uint64_t id;
    enum inquiry_kind kind;
    uint32_t limit;
    struct buf after, message;
    uint64_t expected, answered; /* servers; expected is 0 until Redis has said it */
    struct item *items;
    size_t count, cap, bytes, sockets;
    bool cut; /* items beyond the bound were left out */
};

static int by_key(const void *a, const void *b)
{
    return span_compare(buf_span(&((const struct item *)a)->key), buf_span(&((const struct item *)b)->key));
}

/* Of a room that is on several servers, the sockets are added up. */
static void items_join(struct fetch *fetch)
{
    size_t kept = 0;
    if (fetch->count > 0)
        qsort(fetch->items, fetch->count, sizeof *fetch->items, by_key);
    for (size_t i = 0; i < fetch->count; i++) {
        struct item *item = &fetch->items[i];
        if (kept > 0 && by_key(&fetch->items[kept - 1], item) == 0) {
            fetch->items[kept - 1].number += item->number;
            buf_finish(&item->key);
            buf_finish(&item->text);
        } else {
            fetch->items[kept++] = *item;
        }
    }
    fetch->count = kept;
}

/* The answer, as inquiry_find writes it. */
static void answer_write(struct fetch *fetch, struct buf *to)
{
    struct buf items = {0};
    struct span after = buf_span(&fetch->after);
    size_t given = 0;
    bool more = false;
    items_join(fetch);
    for (size_t i = 0; i < fetch->count && fetch->kind != INQUIRY_COUNT && !more; i++) {
        struct span key = buf_span(&fetch->items[i].key), text = buf_span(&fetch->items[i].text);
        if (after.len > 0 && span_compare(key, after) <= 0)
            continue;
        more = given == fetch->limit || items.len >= INQUIRY_ANSWER_BYTES;
        if (more)
            break;
        buf_printf(&items, "%zu %zu %llu\n", key.len, text.len, (unsigned long long)fetch->items[i].number);
        buf_append(&items, key);
        buf_append(&items, text);
        given++;
    }
    buf_printf(to, "%d %zu %zu\n", more && given > 0, fetch->kind == INQUIRY_ROOMS ? fetch->count : fetch->sockets,
               given);
    buf_append(to, buf_span(&items));
    buf_finish(&items);
}

static void fetch_free(struct fetch *fetch)
{
    timer_stop(fetch->bridge->loop, &fetch->timer);
    list_remove(&fetch->of_bridge);
    fetch->bridge->fetch_count--;
    for (size_t i = 0; i < fetch->count; i++) {
        buf_finish(&fetch->items[i].key);
        buf_finish(&fetch->items[i].text);
    }
    free(fetch->items);
    buf_finish(&fetch->after);
    buf_finish(&fetch->message);
    free(fetch);
}

static void fetch_end(struct fetch *fetch)
{
    bool whole = fetch->expected > 0 && fetch->answered >= fetch->expected && !fetch->cut;
    struct inquiries *inquiries = fetch->inquiries;
    uint64_t number = fetch->number;
    struct buf answer = {0};
    answer_write(fetch, &answer);
    fetch_free(fetch);
    inquiry_told(inquiries, number, buf_span(&answer), whole);
    buf_finish(&answer);
}

static void timed_out(struct timer *timer)
{
    fetch_end(container_of(timer, struct fetch, timer));
}

void bridge_fetches_finish(struct bridge *bridge)
{
    list_each (node, &bridge->fetches)
        fetch_free(container_of(node, struct fetch, of_bridge));
}

static struct fetch *fetch_find(struct bridge *bridge, uint64_t id)
{
    list_each (node, &bridge->fetches) {
        struct fetch *fetch = container_of(node, struct fetch, of_bridge);
        if (fetch->id == id)
            return fetch;
    }
    return NULL;
}

/* Asking. */

/* The fetch may have ended since: it is known by its number. */
struct counting {
    struct bridge *bridge;
    uint64_t id;
};

static void counted(void *arg, const struct resp *reply)
{
    struct counting *counting = arg;
    struct bridge *bridge = counting->bridge;
    struct fetch *fetch = fetch_find(bridge, counting->id);
    free(counting);
    if (fetch == NULL || reply == NULL || reply->type != RESP_ARRAY || reply->item_count != 2 ||
        reply->items[1].type != RESP_INTEGER || reply->items[1].integer < 1)
        return; /* its time ends it */
    fetch->expected = (uint64_t)reply->items[1].integer;
    fetch->answered = 1; /* this instance */
    if (fetch->answered >= fetch->expected)
        fetch_end(fetch);
    else
        bridge_send(bridge, span_str(bridge->config->sharded ? fetch->bridged->broadcasts : fetch->bridged->requests),
                    &fetch->message);
}

static void message_make(struct fetch *fetch, const struct inquiry_question *question)
{
    struct adapter_outgoing outgoing = bridge_outgoing(fetch->bridge, fetch->bridged);
    char *request = mem_printf("%s:%llu", fetch->bridge->uid, (unsigned long long)fetch->id);
    outgoing.request = span_str(request);
    outgoing.rooms = question->sid.len > 0 ? &question->sid : question->rooms;
    outgoing.room_count = question->sid.len > 0 ? 1 : question->room_count;
    outgoing.excepts = question->excepts;
    outgoing.except_count = question->except_count;
    adapter_message_write(&fetch->message, ADAPTER_FETCH, &outgoing);
    free(request);
}

static const struct bridged *bridged_named(struct bridge *bridge, struct span name)
{
    list_each (node, &bridge->namespaces) {
        const struct bridged *bridged = container_of(node, struct bridged, of_bridge);
        if (span_equal(bridged->nsp->name, name))
            return bridged;
    }
    return NULL;
}

bool bridge_inquired(void *arg, struct inquiries *inquiries, const struct inquiry_question *question, uint64_t number)
{
    struct bridge *bridge = arg;
    const struct bridged *bridged = bridged_named(bridge, question->nsp);
    if (bridged == NULL)
        return false;
    if (bridge->fetch_count == BRIDGE_FETCHES_MAX)
        return true; /* it is not asked, so the answer is incomplete */
    struct fetch *fetch = mem_zero(1, sizeof *fetch);
    fetch->bridge = bridge;
    fetch->bridged = bridged;
    fetch->inquiries = inquiries;
    fetch->number = number;
    fetch->id = ++bridge->next_fetch;
    fetch->kind = question->kind;
    fetch->limit = question->limit;
    buf_append(&fetch->after, question->after);
    message_make(fetch, question);
    list_append(&bridge->fetches, &fetch->of_bridge);
    bridge->fetch_count++;
    timer_init(&fetch->timer, timed_out);
    struct counting *counting = mem_zero(1, sizeof *counting);
    *counting = (struct counting){bridge, fetch->id};
    bool sharded = bridge->config->sharded;
    bool asked = redis_pair_count(&bridge->pair, sharded ? SPAN_LIT("SHARDNUMSUB") : SPAN_LIT("NUMSUB"),
                                  span_str(sharded ? bridged->broadcasts : bridged->requests), counted, counting);
    if (!asked)
        free(counting);
    timer_start(bridge->loop, &fetch->timer, LOOP_MS(asked ? BRIDGE_FETCH_MS : 0));
    return true;
}

/* Answers. */

static struct item *item_add(struct fetch *fetch)
{
    if (fetch->count == fetch->cap) {
        fetch->cap = fetch->cap != 0 ? fetch->cap * 2 : 64;
        fetch->items = mem_resize(fetch->items, fetch->cap * sizeof *fetch->items);
    }
    struct item *item = &fetch->items[fetch->count++];
    *item = (struct item){.number = 0};
    return item;
}

/* As inquiry_find describes a socket; what is not known is null. */
static void socket_describe(struct fetch *fetch, struct span socket, struct buf *to)
{
    struct span handshake = json_object_get(socket, SPAN_LIT("handshake"));
    struct span address = json_object_get(handshake, SPAN_LIT("address"));
    struct span data = json_object_get(socket, SPAN_LIT("data")), rooms = json_object_get(socket, SPAN_LIT("rooms"));
    struct span id = json_object_get(socket, SPAN_LIT("id")), room;
    uint64_t issued, now = (uint64_t)loop_wall_ms(fetch->bridge->loop);
    bool is_first = true;
    buf_append(to, SPAN_LIT("{\"socket\":"));
    buf_append(to, id);
    buf_append(to, SPAN_LIT(",\"instance\":null,\"transport\":null,\"address\":"));
    buf_append(to, json_type(address) == JSON_STRING ? address : SPAN_LIT("null"));
    if (span_to_u64(json_object_get(handshake, SPAN_LIT("issued")), &issued) && issued <= now)
        buf_printf(to, ",\"session_ms\":%llu", (unsigned long long)(now - issued));
    else
        buf_append(to, SPAN_LIT(",\"session_ms\":null"));
    buf_append(to, SPAN_LIT(",\"handshake\":"));
    buf_append(to, json_type(handshake) == JSON_OBJECT ? handshake : SPAN_LIT("null"));
    buf_append(to, SPAN_LIT(",\"data\":"));
    buf_append(to, data.data != NULL ? data : SPAN_LIT("null"));
    buf_append(to, SPAN_LIT(",\"rooms\":["));
    while (json_array_next(&rooms, &room)) {
        if (span_equal(room, id))
            continue;
        buf_append(to, is_first ? SPAN_LIT("") : SPAN_LIT(","));
        buf_append(to, room);
        is_first = false;
    }
    buf_append(to, SPAN_LIT("]}"));
}

static void rooms_count(struct fetch *fetch, struct span rooms, struct span id)
{
    struct span room;
    while (json_array_next(&rooms, &room)) {
        if (json_type(room) != JSON_STRING || span_equal(room, id))
            continue;
        struct item *item = item_add(fetch);
        json_string_decode(room, &item->key);
        item->number = 1;
        fetch->bytes += item->key.len + sizeof *item;
    }
}

static bool socket_add(struct fetch *fetch, struct span socket)
{
    struct span id = json_object_get(socket, SPAN_LIT("id")), rooms = json_object_get(socket, SPAN_LIT("rooms"));
    if (json_type(id) != JSON_STRING || id.len <= 2 || id.len > ADAPTER_TEXT_BYTES_MAX ||
        json_type(rooms) != JSON_ARRAY)
        return false;
    fetch->sockets++;
    if (fetch->kind == INQUIRY_ROOMS) {
        rooms_count(fetch, rooms, id);
    } else if (fetch->kind == INQUIRY_SOCKETS) {
        struct item *item = item_add(fetch);
        json_string_decode(id, &item->key);
        socket_describe(fetch, socket, &item->text);
        fetch->bytes += item->key.len + item->text.len + sizeof *item;
    }
    return true;
}

void bridge_fetched(struct bridge *bridge, const struct adapter_message *message)
{
    struct span rest = message->request, uid, sockets = message->sockets, socket;
    uint64_t id;
    if (!span_next(&rest, ':', &uid) || !span_equal(uid, span_str(bridge->uid)) || !span_to_u64(rest, &id))
        return; /* another instance has asked */
    struct fetch *fetch = fetch_find(bridge, id);
    if (fetch == NULL)
        return; /* its time is over */
    while (json_array_next(&sockets, &socket)) {
        if (fetch->bytes > BRIDGE_ANSWER_BYTES_MAX || !socket_add(fetch, socket))
            fetch->cut = true;
    }
    if (++fetch->answered >= fetch->expected)
        fetch_end(fetch);
}

void bridge_fetch_nothing(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message)
{
    struct adapter_outgoing outgoing = bridge_outgoing(bridge, bridged);
    struct buf answer = {0};
    outgoing.request = message->request;
    adapter_fetched_write(&answer, &outgoing, SPAN_LIT("[]"));
    bridge_answer(bridge, bridged, message->uid, &answer);
}
