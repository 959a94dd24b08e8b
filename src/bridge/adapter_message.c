/* adapter_message: reads messages of Socket.IO's Redis adapters. Every bound is checked before memory is taken for what
 * it bounds; a message that is wrong in any part is refused as a whole. */
#include "bridge/adapter_message.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/json.h"
#include "wire/msgpack.h"

/* `type` of a packet. */
enum { PACKET_EVENT = 2, PACKET_BINARY_EVENT = 5 };

static const char not_read[] = "neither JSON nor MessagePack, or nested too deep";
static const char no_list[] = "rooms are no list of up to 1024 names";
static const char no_event[] = "the packet is no event of a name of 1 to 256 bytes";
static const char no_form[] = "a part of it is missing, or has another type";

/* Rooms are strings or numbers; a number is the same as its text. */
static bool name_add(struct adapter_names *names, struct span value)
{
    if (json_type(value) == JSON_NUMBER)
        buf_append(&names->text, value);
    else if (!json_string_decode(value, &names->text))
        return false;
    names->ends[names->count++] = names->text.len;
    return true;
}

/* An absent list is empty. */
static bool names_read(struct adapter_names *names, struct span array)
{
    struct span rest = array, value;
    size_t count = 0;
    if (array.data == NULL || json_type(array) == JSON_NULL)
        return true;
    if (json_type(array) != JSON_ARRAY)
        return false;
    while (json_array_next(&rest, &value))
        count++;
    if (count == 0 || count > ADAPTER_NAMES_MAX)
        return count == 0;
    names->ends = mem_zero(count, sizeof *names->ends);
    names->list = mem_zero(count, sizeof *names->list);
    for (rest = array; json_array_next(&rest, &value);)
        if (!name_add(names, value))
            return false;
    for (size_t i = 0; i < count; i++) {
        size_t begin = i > 0 ? names->ends[i - 1] : 0;
        names->list[i] = span_sub(buf_span(&names->text), begin, names->ends[i] - begin);
    }
    return true;
}

static void names_finish(struct adapter_names *names)
{
    buf_finish(&names->text);
    free(names->ends);
    free(names->list);
    *names = (struct adapter_names){.count = 0};
}

void adapter_message_finish(struct adapter_message *message)
{
    names_finish(&message->rooms);
    names_finish(&message->excepts);
    names_finish(&message->targets);
    buf_finish(&message->text);
    buf_finish(&message->json);
}

/* Makes JSON of the payload, and lists its bytes. */
static bool open_message(struct adapter_message *message, struct span payload)
{
    struct msgpack_bins bins = {.list = message->content.attachments, .max = CONTENT_ATTACHMENTS_MAX};
    if (payload.len > 0 && payload.data[0] == '{')
        buf_append(&message->json, payload);
    else if (!msgpack_to_json(payload, &message->json, &bins) || bins.count > bins.max)
        return false;
    message->content.count = bins.count;
    return json_is_valid_to(buf_span(&message->json), &message->deepest);
}

/* A short text, appended to `text`; the span is set later, when `text` has stopped growing. */
struct piece {
    size_t at, len;
};

static bool piece_read(struct adapter_message *message, struct span value, struct piece *piece)
{
    piece->at = message->text.len;
    piece->len = 0;
    if (value.data == NULL || json_type(value) == JSON_NULL)
        return true;
    if (value.len > 6 * ADAPTER_TEXT_BYTES_MAX || !json_string_decode(value, &message->text))
        return false;
    piece->len = message->text.len - piece->at;
    return piece->len <= ADAPTER_TEXT_BYTES_MAX;
}

static struct span piece_span(const struct adapter_message *message, struct piece piece)
{
    return span_sub(buf_span(&message->text), piece.at, piece.len);
}

struct pieces {
    struct piece uid, nsp, request, event;
};

static void pieces_settle(struct adapter_message *message, const struct pieces *pieces)
{
    message->uid = piece_span(message, pieces->uid);
    message->nsp = piece_span(message, pieces->nsp);
    message->request = piece_span(message, pieces->request);
    message->event = piece_span(message, pieces->event);
}

static bool flag(struct span object, const char *name)
{
    return json_type(json_object_get(object, span_str(name))) == JSON_TRUE;
}

/* `{rooms, except, flags}` */
static const char *opts_read(struct adapter_message *message, struct span opts)
{
    if (json_type(opts) != JSON_OBJECT)
        return no_form;
    struct span flags = json_object_get(opts, SPAN_LIT("flags"));
    struct span timeout = json_object_get(flags, SPAN_LIT("timeout"));
    message->is_volatile = flag(flags, "volatile");
    if (!span_to_u64(timeout, &message->timeout_ms))
        message->timeout_ms = 0;
    return names_read(&message->rooms, json_object_get(opts, SPAN_LIT("rooms"))) &&
                   names_read(&message->excepts, json_object_get(opts, SPAN_LIT("except")))
               ? NULL
               : no_list;
}

/* `{type, data, nsp}`: an event. */
static const char *packet_read(struct adapter_message *message, struct span packet, struct pieces *pieces)
{
    uint64_t type;
    struct span data = json_object_get(packet, SPAN_LIT("data"));
    struct span name = json_type(data) == JSON_ARRAY ? json_array_at(data, 0) : (struct span){NULL, 0};
    if (!span_to_u64(json_object_get(packet, SPAN_LIT("type")), &type) ||
        (type != PACKET_EVENT && type != PACKET_BINARY_EVENT) || json_type(name) != JSON_STRING ||
        !piece_read(message, name, &pieces->event) || pieces->event.len == 0)
        return no_event;
    message->content.args = data;
    return NULL;
}

static const char *broadcast_read(struct adapter_message *message, struct span json)
{
    struct pieces pieces = {.uid = {0, 0}};
    struct span packet = json_array_at(json, 1);
    if (json_type(json) != JSON_ARRAY || json_type(packet) != JSON_OBJECT ||
        !piece_read(message, json_array_at(json, 0), &pieces.uid) ||
        !piece_read(message, json_object_get(packet, SPAN_LIT("nsp")), &pieces.nsp))
        return no_form;
    message->kind = ADAPTER_BROADCAST;
    const char *fault = packet_read(message, packet, &pieces);
    if (fault == NULL)
        fault = opts_read(message, json_array_at(json, 2));
    pieces_settle(message, &pieces);
    return fault;
}

/* The sockets that a request is about, and the rooms that they join or leave. (Before version 7 of the adapter a
 * request named one socket, `sid`; no later one sends that.) */
static const char *selection_read(struct adapter_message *message, struct span json)
{
    struct span opts = json_object_get(json, SPAN_LIT("opts")), targets = json_object_get(json, SPAN_LIT("rooms"));
    bool moves = message->kind == ADAPTER_JOIN || message->kind == ADAPTER_LEAVE;
    const char *fault = opts_read(message, opts);
    if (fault != NULL || !moves)
        return fault;
    return names_read(&message->targets, targets) && message->targets.count > 0 ? NULL : no_list;
}

static const char *act_read(struct adapter_message *message, struct span json, struct pieces *pieces)
{
    switch (message->kind) {
    case ADAPTER_BROADCAST: {
        const char *fault = packet_read(message, json_object_get(json, SPAN_LIT("packet")), pieces);
        return fault != NULL ? fault : opts_read(message, json_object_get(json, SPAN_LIT("opts")));
    }
    case ADAPTER_JOIN:
    case ADAPTER_LEAVE:
    case ADAPTER_DISCONNECT:
    case ADAPTER_FETCH:
        message->whole = message->kind == ADAPTER_DISCONNECT && flag(json, "close");
        return selection_read(message, json);
    case ADAPTER_SIDS:
        return names_read(&message->rooms, json_object_get(json, SPAN_LIT("rooms"))) ? NULL : no_list;
    case ADAPTER_FETCHED:
        message->sockets = json_object_get(json, SPAN_LIT("sockets"));
        return json_type(message->sockets) == JSON_ARRAY ? NULL : no_form;
    default:
        return NULL;
    }
}

static bool type_read(struct span json, const enum adapter_kind *kinds, size_t count, enum adapter_kind *kind)
{
    uint64_t type;
    if (!span_to_u64(json_object_get(json, SPAN_LIT("type")), &type))
        return false;
    *kind = type < count ? kinds[type] : ADAPTER_OTHER;
    return true;
}

static const char *request_read(struct adapter_message *message, struct span json)
{
    static const enum adapter_kind kinds[] = {ADAPTER_SIDS,        ADAPTER_ROOMS,      ADAPTER_JOIN,
                                              ADAPTER_LEAVE,       ADAPTER_DISCONNECT, ADAPTER_FETCH,
                                              ADAPTER_SERVER_EMIT, ADAPTER_BROADCAST};
    struct pieces pieces = {.uid = {0, 0}};
    if (!type_read(json, kinds, sizeof kinds / sizeof kinds[0], &message->kind) ||
        !piece_read(message, json_object_get(json, SPAN_LIT("uid")), &pieces.uid) ||
        !piece_read(message, json_object_get(json, SPAN_LIT("requestId")), &pieces.request))
        return no_form;
    const char *fault = act_read(message, json, &pieces);
    pieces_settle(message, &pieces);
    return fault;
}

/* Answers to us: there is one kind of question of ours. */
static const char *response_read(struct adapter_message *message, struct span json)
{
    struct pieces pieces = {.uid = {0, 0}};
    bool fetched = json_object_get(json, SPAN_LIT("sockets")).data != NULL;
    message->kind = fetched ? ADAPTER_FETCHED : ADAPTER_OTHER;
    if (!piece_read(message, json_object_get(json, SPAN_LIT("requestId")), &pieces.request))
        return no_form;
    const char *fault = act_read(message, json, &pieces);
    pieces_settle(message, &pieces);
    return fault;
}

static const char *cluster_read(struct adapter_message *message, struct span json)
{
    static const enum adapter_kind kinds[] = {
        [0] = ADAPTER_OTHER,   [1] = ADAPTER_OTHER,      [2] = ADAPTER_OTHER,      [3] = ADAPTER_BROADCAST,
        [4] = ADAPTER_JOIN,    [5] = ADAPTER_LEAVE,      [6] = ADAPTER_DISCONNECT, [7] = ADAPTER_FETCH,
        [8] = ADAPTER_FETCHED, [9] = ADAPTER_SERVER_EMIT};
    struct pieces pieces = {.uid = {0, 0}};
    struct span data = json_object_get(json, SPAN_LIT("data"));
    if (!type_read(json, kinds, sizeof kinds / sizeof kinds[0], &message->kind) ||
        !piece_read(message, json_object_get(json, SPAN_LIT("uid")), &pieces.uid) ||
        !piece_read(message, json_object_get(json, SPAN_LIT("nsp")), &pieces.nsp) ||
        !piece_read(message, json_object_get(data, SPAN_LIT("requestId")), &pieces.request) ||
        (message->kind != ADAPTER_OTHER && json_type(data) != JSON_OBJECT))
        return no_form;
    const char *fault = act_read(message, data, &pieces);
    pieces_settle(message, &pieces);
    return fault;
}

/* Each placeholder in the arguments names bytes that are there. (Bytes in other places of the message are attachments
 * that none names, and nobody minds.) */
static bool content_is_whole(const struct adapter_message *message)
{
    struct content again;
    struct buf body = {0};
    bool whole = true;
    if (message->kind == ADAPTER_BROADCAST && message->content.count > 0) {
        content_encode(&body, &message->content);
        whole = content_decode(buf_span(&body), &again);
        buf_finish(&body);
    }
    return whole;
}

const char *adapter_message_read(struct adapter_message *message, enum adapter_form form, struct span payload)
{
    static const char *(*const readers[])(struct adapter_message *, struct span) = {
        [ADAPTER_BROADCASTS] = broadcast_read,
        [ADAPTER_REQUESTS] = request_read,
        [ADAPTER_RESPONSES] = response_read,
        [ADAPTER_CLUSTER] = cluster_read,
    };
    const char *fault = not_read;
    *message = (struct adapter_message){.kind = ADAPTER_OTHER};
    if (open_message(message, payload))
        fault = readers[form](message, json_trim(buf_span(&message->json)));
    if (fault == NULL && !content_is_whole(message))
        fault = "it names bytes that are not there";
    if (fault != NULL)
        adapter_message_finish(message);
    return fault;
}
