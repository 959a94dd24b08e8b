/* parcel: encodes and decodes; knows nothing of what the parts mean. */
#include "session/parcel.h"

#include "wire/json.h"

enum { PARCEL_SOCKETS_MAX = 1 << 16 };

void parcel_encode(struct buf *to, const struct parcel *parcel)
{
    buf_printf(to, "3 %llu %d %d %llu %llu %llu %llu %llu %zu %zu %zu\n", (unsigned long long)parcel->protocol,
               parcel->joined, parcel->awaiting_pong, (unsigned long long)parcel->heartbeat_ms,
               (unsigned long long)parcel->join_ms, (unsigned long long)parcel->socket_count,
               (unsigned long long)parcel->done_post, (unsigned long long)parcel->done_get, parcel->done_answer.len,
               parcel->waiting.len, parcel->unfinished.len);
}

void parcel_socket_encode(struct buf *to, const struct parcel_socket *socket)
{
    buf_printf(to, "%zu %zu %zu %zu %zu %llu %d %zu\n", socket->nsp.len, socket->pid.len, socket->offset.len,
               socket->presence_data.len, socket->claims.len, (unsigned long long)socket->expires_ms, socket->told,
               socket->asking.len);
    buf_append(to, socket->nsp);
    buf_append(to, socket->pid);
    buf_append(to, socket->offset);
    buf_append(to, socket->presence_data);
    buf_append(to, socket->claims);
    buf_append(to, socket->asking);
}

bool parcel_socket_next(struct span *sockets, struct parcel_socket *socket)
{
    enum { NSP, PID, OFFSET, PRESENCE_DATA, CLAIMS, EXPIRES, TOLD, ASKING, NUMBERS };
    uint64_t numbers[NUMBERS];
    for (int i = 0; i < NUMBERS; i++)
        if (!span_take_u64(sockets, i < NUMBERS - 1 ? ' ' : '\n', &numbers[i]))
            return false;
    socket->expires_ms = numbers[EXPIRES];
    socket->told = numbers[TOLD] != 0;
    return span_take(sockets, numbers[NSP], &socket->nsp) && span_take(sockets, numbers[PID], &socket->pid) &&
           span_take(sockets, numbers[OFFSET], &socket->offset) &&
           span_take(sockets, numbers[PRESENCE_DATA], &socket->presence_data) &&
           span_take(sockets, numbers[CLAIMS], &socket->claims) && span_take(sockets, numbers[ASKING], &socket->asking);
}

/* None, or an object that ends itself. */
static bool claims_are_good(const struct parcel_socket *socket)
{
    return socket->claims.len == 0 || (socket->claims.len <= IDENTITY_BYTES_MAX && socket->expires_ms <= INT64_MAX &&
                                       json_type(socket->claims) == JSON_OBJECT && json_is_valid(socket->claims));
}

bool parcel_decode(struct span text, struct parcel *parcel)
{
    uint64_t version, joined, awaiting_pong, answer, waiting, unfinished;
    *parcel = (struct parcel){.protocol = 0};
    bool ok = span_take_u64(&text, ' ', &version) && span_take_u64(&text, ' ', &parcel->protocol) &&
              span_take_u64(&text, ' ', &joined) && span_take_u64(&text, ' ', &awaiting_pong) &&
              span_take_u64(&text, ' ', &parcel->heartbeat_ms) && span_take_u64(&text, ' ', &parcel->join_ms) &&
              span_take_u64(&text, ' ', &parcel->socket_count) && span_take_u64(&text, ' ', &parcel->done_post) &&
              span_take_u64(&text, ' ', &parcel->done_get) && span_take_u64(&text, ' ', &answer) &&
              span_take_u64(&text, ' ', &waiting) && span_take_u64(&text, '\n', &unfinished);
    if (!ok || version != 3 || joined > 1 || awaiting_pong > 1 || parcel->socket_count > PARCEL_SOCKETS_MAX)
        return false;
    parcel->joined = joined == 1;
    parcel->awaiting_pong = awaiting_pong == 1;
    struct span rest = text;
    struct parcel_socket socket;
    for (uint64_t i = 0; i < parcel->socket_count; i++) {
        if (!parcel_socket_next(&rest, &socket) || !engineio_sid_is_valid(socket.pid) || !claims_are_good(&socket))
            return false;
    }
    parcel->sockets = span_sub(text, 0, text.len - rest.len);
    if (!span_take(&rest, answer, &parcel->done_answer) || waiting > rest.len || rest.len - waiting != unfinished)
        return false;
    parcel->waiting = span_sub(rest, 0, (size_t)waiting);
    parcel->unfinished = span_from(rest, (size_t)waiting);
    return true;
}
