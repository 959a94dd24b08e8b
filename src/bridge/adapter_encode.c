/* adapter_encode: writes messages for Socket.IO's Redis adapters: as JSON, and with bytes in them, or where the adapter
 * wants it, the same as MessagePack. */
#include "bridge/adapter_message.h"
#include "wire/json.h"
#include "wire/msgpack.h"

static void text(struct buf *to, const char *name, struct span value)
{
    buf_printf(to, "\"%s\":\"", name);
    buf_append_json(to, value);
    buf_append_char(to, '"');
}

static void names(struct buf *to, const char *name, const struct span *list, size_t count)
{
    buf_printf(to, "\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        buf_append(to, i > 0 ? SPAN_LIT(",\"") : SPAN_LIT("\""));
        buf_append_json(to, list[i]);
        buf_append_char(to, '"');
    }
    buf_append_char(to, ']');
}

static void opts(struct buf *to, const struct adapter_outgoing *outgoing)
{
    buf_append_char(to, '{');
    names(to, "rooms", outgoing->rooms, outgoing->room_count);
    buf_append_char(to, ',');
    names(to, "except", outgoing->excepts, outgoing->except_count);
    buf_append(to, outgoing->is_volatile ? SPAN_LIT(",\"flags\":{\"volatile\":true}}") : SPAN_LIT(",\"flags\":{}}"));
}

static void packet(struct buf *to, const struct adapter_outgoing *outgoing)
{
    buf_append(to, SPAN_LIT("{\"type\":2,\"data\":"));
    buf_append(to, outgoing->content->args);
    buf_append_char(to, ',');
    text(to, "nsp", outgoing->nsp);
    buf_append_char(to, '}');
}

/* The packet's bytes go where their placeholders stand. */
static void pack(struct buf *to, struct buf *json, const struct content *content)
{
    msgpack_from_json(to, buf_span(json), content->attachments, content->count);
    buf_finish(json);
}

/* The number of a message, classic and sharded. */
static const struct {
    int classic, cluster;
} types[] = {
    [ADAPTER_BROADCAST] = {7, 3},  [ADAPTER_JOIN] = {2, 4},  [ADAPTER_LEAVE] = {3, 5},
    [ADAPTER_DISCONNECT] = {4, 6}, [ADAPTER_FETCH] = {5, 7},
};

static void selection(struct buf *to, enum adapter_kind kind, const struct adapter_outgoing *outgoing)
{
    buf_append(to, SPAN_LIT("\"opts\":"));
    opts(to, outgoing);
    if (kind == ADAPTER_JOIN || kind == ADAPTER_LEAVE) {
        buf_append_char(to, ',');
        names(to, "rooms", outgoing->targets, outgoing->target_count);
    } else if (kind == ADAPTER_DISCONNECT) {
        buf_append(to, outgoing->whole ? SPAN_LIT(",\"close\":true") : SPAN_LIT(",\"close\":false"));
    }
    if (outgoing->request.len > 0) {
        buf_append_char(to, ',');
        text(to, "requestId", outgoing->request);
    }
}

static void cluster_begin(struct buf *to, int type, const struct adapter_outgoing *outgoing)
{
    buf_printf(to, "{\"type\":%d,", type);
    text(to, "uid", outgoing->uid);
    buf_append_char(to, ',');
    text(to, "nsp", outgoing->nsp);
    buf_append(to, SPAN_LIT(",\"data\":{"));
}

static void cluster_broadcast(struct buf *to, const struct adapter_outgoing *outgoing)
{
    struct buf json = {0}, *into = outgoing->content->count > 0 ? &json : to;
    cluster_begin(into, types[ADAPTER_BROADCAST].cluster, outgoing);
    buf_append(into, SPAN_LIT("\"packet\":"));
    packet(into, outgoing);
    buf_append(into, SPAN_LIT(",\"opts\":"));
    opts(into, outgoing);
    buf_append(into, SPAN_LIT("}}"));
    if (into == &json)
        pack(to, &json, outgoing->content);
}

static void classic_broadcast(struct buf *to, const struct adapter_outgoing *outgoing)
{
    struct buf json = {0};
    buf_append(&json, SPAN_LIT("[\""));
    buf_append_json(&json, outgoing->uid);
    buf_append(&json, SPAN_LIT("\","));
    packet(&json, outgoing);
    buf_append_char(&json, ',');
    opts(&json, outgoing);
    buf_append_char(&json, ']');
    pack(to, &json, outgoing->content);
}

void adapter_message_write(struct buf *to, enum adapter_kind kind, const struct adapter_outgoing *outgoing)
{
    if (kind == ADAPTER_BROADCAST && outgoing->sharded) {
        cluster_broadcast(to, outgoing);
    } else if (kind == ADAPTER_BROADCAST) {
        classic_broadcast(to, outgoing);
    } else if (outgoing->sharded) {
        cluster_begin(to, types[kind].cluster, outgoing);
        selection(to, kind, outgoing);
        buf_append(to, SPAN_LIT("}}"));
    } else {
        buf_printf(to, "{\"type\":%d,", types[kind].classic);
        text(to, "uid", outgoing->uid);
        buf_append_char(to, ',');
        selection(to, kind, outgoing);
        buf_append_char(to, '}');
    }
}

/* An answer: its type in the classic format (-1: none is given) and in the sharded one, then the request's id. */
static void answer_begin(struct buf *to, const struct adapter_outgoing *outgoing, int classic, int cluster)
{
    if (outgoing->sharded) {
        cluster_begin(to, cluster, outgoing);
    } else {
        buf_append_char(to, '{');
        if (classic >= 0)
            buf_printf(to, "\"type\":%d,", classic);
    }
    text(to, "requestId", outgoing->request);
}

static void answer_end(struct buf *to, const struct adapter_outgoing *outgoing)
{
    buf_append(to, outgoing->sharded ? SPAN_LIT("}}") : SPAN_LIT("}"));
}

static void answer_list(struct buf *to, const struct adapter_outgoing *outgoing, const char *name, struct span list)
{
    answer_begin(to, outgoing, -1, 8);
    buf_printf(to, ",\"%s\":", name);
    buf_append(to, list);
    answer_end(to, outgoing);
}

void adapter_fetched_write(struct buf *to, const struct adapter_outgoing *outgoing, struct span sockets)
{
    answer_list(to, outgoing, "sockets", sockets);
}

void adapter_rooms_write(struct buf *to, const struct adapter_outgoing *outgoing, struct span rooms)
{
    answer_list(to, outgoing, "rooms", rooms);
}

void adapter_count_write(struct buf *to, const struct adapter_outgoing *outgoing, size_t count)
{
    answer_begin(to, outgoing, 8, 11);
    buf_printf(to, ",\"clientCount\":%zu", count);
    answer_end(to, outgoing);
}

void adapter_ack_write(struct buf *to, const struct adapter_outgoing *outgoing)
{
    struct buf json = {0}, *into = outgoing->sharded && outgoing->content->count == 0 ? to : &json;
    struct span first = json_array_at(outgoing->content->args, 0);
    answer_begin(into, outgoing, 9, 12);
    buf_append(into, SPAN_LIT(",\"packet\":"));
    buf_append(into, first.data != NULL ? first : SPAN_LIT("null"));
    answer_end(into, outgoing);
    if (into == &json)
        pack(to, &json, outgoing->content);
}

void adapter_nothing_write(struct buf *to, const struct adapter_outgoing *outgoing)
{
    answer_begin(to, outgoing, 6, 10);
    buf_append(to, outgoing->sharded ? SPAN_LIT(",\"packet\":null") : SPAN_LIT(",\"data\":null"));
    answer_end(to, outgoing);
}
