/* parcel: what an instance reads of a session that another one has had: parcels, and questions with their answers. What
 * decodes is within its bounds, lies in the input, and is the same when it is encoded and decoded once more. */
#include <assert.h>
#include <stdlib.h>

#include "session/asking_entry.h"
#include "session/parcel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool lies_in(struct span part, struct span whole)
{
    return part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static bool is_same(const struct parcel_socket *a, const struct parcel_socket *b)
{
    return span_equal(a->nsp, b->nsp) && span_equal(a->pid, b->pid) && span_equal(a->offset, b->offset) &&
           span_equal(a->presence_data, b->presence_data) && span_equal(a->asking, b->asking) &&
           span_equal(a->auth, b->auth);
}

static void parcel_check(struct span text)
{
    struct parcel parcel, again;
    struct parcel_socket socket, other;
    struct buf encoded = {0}, inner = {0};
    if (!parcel_decode(text, &parcel))
        return;
    assert(lies_in(parcel.sockets, text) && lies_in(parcel.waiting, text) && lies_in(parcel.unfinished, text));
    struct span sockets = parcel.sockets;
    for (uint64_t i = 0; i < parcel.socket_count; i++) {
        bool more = parcel_socket_next(&sockets, &socket);
        assert(more && engineio_sid_is_valid(socket.pid) && lies_in(socket.asking, text));
        parcel_socket_encode(&inner, &socket);
    }
    sockets = parcel.sockets;
    parcel.sockets = buf_span(&inner);
    parcel_encode(&encoded, &parcel);
    parcel.sockets = sockets;
    bool ok = parcel_decode(buf_span(&encoded), &again);
    assert(ok && again.protocol == parcel.protocol && again.socket_count == parcel.socket_count);
    assert(again.heartbeat_ms == parcel.heartbeat_ms && again.join_ms == parcel.join_ms);
    assert(span_equal(again.waiting, parcel.waiting) && span_equal(again.unfinished, parcel.unfinished));
    assert(span_equal(again.done_answer, parcel.done_answer) && again.begun_ms == parcel.begun_ms);
    assert(span_equal(again.address, parcel.address) && span_equal(again.handshake, parcel.handshake));
    for (uint64_t i = 0; i < parcel.socket_count; i++) {
        ok = parcel_socket_next(&parcel.sockets, &socket) && parcel_socket_next(&again.sockets, &other);
        assert(ok && is_same(&socket, &other));
    }
    buf_finish(&encoded);
    buf_finish(&inner);
}

/* What is left of a head that was cut off lies in the input, too. */
static void head_check(struct span text)
{
    struct parcel parcel;
    struct parcel_socket socket;
    if (!parcel_head_decode(text, &parcel))
        return;
    assert(lies_in(parcel.address, text) && lies_in(parcel.handshake, text) && lies_in(parcel.sockets, text));
    while (parcel_socket_next(&parcel.sockets, &socket))
        assert(lies_in(socket.auth, text) && lies_in(socket.presence_data, text));
}

static void entry_check(struct span body)
{
    struct asking_entry entry;
    if (!asking_entry_decode(body, &entry))
        return;
    assert(asking_is_entry(body) && entry.ms <= ASKING_MS_MAX && entry.wait_ms <= ASKING_MS_MAX);
    assert(entry.id.len >= 1 && entry.id.len <= CALL_ID_BYTES_MAX && lies_in(entry.id, body));
    assert(entry.kind != ASKING_QUESTION || engineio_sid_is_valid(entry.asker));
    assert(entry.asked.len % ENGINEIO_SID_BYTES == 0 && (entry.asked.len == 0 || lies_in(entry.asked, body)));
    asking_is_for(body, SPAN_LIT("AAAAAAAAAAAAAAAAAAAA"));
    assert(entry.content.count <= CONTENT_ATTACHMENTS_MAX && lies_in(entry.content.args, body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    parcel_check(span_of(data, len));
    head_check(span_of(data, len));
    entry_check(span_of(data, len));
    return 0;
}
