/* adapter: a message of Socket.IO's Redis adapters in one of its four forms, which the first byte chooses. One that is
 * read has what its kind needs. Read as an event, it is written again, in both forms of ours, and reads the same. */
#include <assert.h>
#include <stdlib.h>

#include "bridge/adapter_message.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void names_check(const struct adapter_names *names)
{
    assert(names->count <= ADAPTER_NAMES_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < names->count; i++)
        bytes += names->list[i].len;
    assert(bytes == names->text.len);
}

static void message_check(const struct adapter_message *message)
{
    names_check(&message->rooms);
    names_check(&message->excepts);
    names_check(&message->targets);
    assert(message->uid.len <= ADAPTER_TEXT_BYTES_MAX && message->request.len <= ADAPTER_TEXT_BYTES_MAX);
    if (message->kind == ADAPTER_BROADCAST)
        assert(json_type(message->content.args) == JSON_ARRAY && message->event.len > 0);
    if (message->kind == ADAPTER_JOIN || message->kind == ADAPTER_LEAVE)
        assert(message->targets.count > 0);
    if (message->kind == ADAPTER_FETCHED)
        assert(json_type(message->sockets) == JSON_ARRAY);
}

static void same_check(const struct adapter_names *a, const struct adapter_names *b)
{
    assert(a->count == b->count);
    for (size_t i = 0; i < a->count; i++)
        assert(span_equal(a->list[i], b->list[i]));
}

static void again_check(const struct adapter_message *message, bool sharded)
{
    struct adapter_outgoing outgoing = {
        .sharded = sharded,
        .uid = message->uid,
        .nsp = message->nsp,
        .rooms = message->rooms.list,
        .room_count = message->rooms.count,
        .excepts = message->excepts.list,
        .except_count = message->excepts.count,
        .targets = message->targets.list,
        .target_count = message->targets.count,
        .content = &message->content,
        .is_volatile = message->is_volatile,
        .whole = message->whole,
    };
    struct adapter_message again;
    struct buf bytes = {0};
    adapter_message_write(&bytes, message->kind, &outgoing);
    enum adapter_form form = sharded                              ? ADAPTER_CLUSTER
                             : message->kind == ADAPTER_BROADCAST ? ADAPTER_BROADCASTS
                                                                  : ADAPTER_REQUESTS;
    const char *fault = adapter_message_read(&again, form, buf_span(&bytes));
    assert(fault == NULL && again.kind == message->kind);
    assert(again.is_volatile == message->is_volatile && again.whole == message->whole);
    assert(again.content.count <= message->content.count); /* fewer: some were not in the arguments */
    same_check(&again.rooms, &message->rooms);
    same_check(&again.excepts, &message->excepts);
    same_check(&again.targets, &message->targets);
    adapter_message_finish(&again);
    buf_finish(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct adapter_message message;
    if (len == 0 ||
        adapter_message_read(&message, (enum adapter_form)(data[0] % 4), span_of(data + 1, len - 1)) != NULL)
        return 0;
    message_check(&message);
    if (message.kind <= ADAPTER_FETCH && message.deepest < JSON_DEPTH_MAX - 4) {
        again_check(&message, true);
        again_check(&message, false);
    }
    adapter_message_finish(&message);
    return 0;
}
