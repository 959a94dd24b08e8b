/* parcel: encodes and decodes; knows nothing of what the parts mean. */
#include "session/parcel.h"

#include "wire/json.h"

enum { PARCEL_SOCKETS_MAX = 1 << 16, PARCEL_ADDRESS_BYTES_MAX = ADDR_TEXT_MAX };

void parcel_encode(struct buf *to, const struct parcel *parcel)
{
    struct buf head = {0};
    buf_printf(&head, "4 %llu %d %d %llu %llu %llu %llu %llu %zu %zu %zu %lld %zu %zu\n",
               (unsigned long long)parcel->protocol, parcel->joined, parcel->awaiting_pong,
               (unsigned long long)parcel->heartbeat_ms, (unsigned long long)parcel->join_ms,
               (unsigned long long)parcel->socket_count, (unsigned long long)parcel->done_post,
               (unsigned long long)parcel->done_get, parcel->done_answer.len, parcel->waiting.len,
               parcel->unfinished.len, (long long)parcel->begun_ms, parcel->address.len, parcel->handshake.len);
    buf_append(&head, parcel->address);
    buf_append(&head, parcel->handshake);
    buf_append(&head, parcel->sockets);
    buf_append_u64(to, head.len);
    buf_append_char(to, ' ');
    buf_append(to, buf_span(&head));
    buf_append(to, parcel->done_answer);
    buf_append(to, parcel->waiting);
    buf_append(to, parcel->unfinished);
    buf_finish(&head);
}

void parcel_socket_encode(struct buf *to, const struct parcel_socket *socket)
{
    buf_printf(to, "%zu %zu %zu %zu %zu %llu %d %zu %zu\n", socket->nsp.len, socket->pid.len, socket->offset.len,
               socket->presence_data.len, socket->claims.len, (unsigned long long)socket->expires_ms, socket->told,
               socket->asking.len, socket->auth.len);
    buf_append(to, socket->nsp);
    buf_append(to, socket->pid);
    buf_append(to, socket->offset);
    buf_append(to, socket->presence_data);
    buf_append(to, socket->claims);
    buf_append(to, socket->asking);
    buf_append(to, socket->auth);
}

bool parcel_socket_next(struct span *sockets, struct parcel_socket *socket)
{
    enum { NSP, PID, OFFSET, PRESENCE_DATA, CLAIMS, EXPIRES, TOLD, ASKING, AUTH, NUMBERS };
    uint64_t numbers[NUMBERS];
    for (int i = 0; i < NUMBERS; i++)
        if (!span_take_u64(sockets, i < NUMBERS - 1 ? ' ' : '\n', &numbers[i]))
            return false;
    socket->expires_ms = numbers[EXPIRES];
    socket->told = numbers[TOLD] != 0;
    return span_take(sockets, numbers[NSP], &socket->nsp) && span_take(sockets, numbers[PID], &socket->pid) &&
           span_take(sockets, numbers[OFFSET], &socket->offset) &&
           span_take(sockets, numbers[PRESENCE_DATA], &socket->presence_data) &&
           span_take(sockets, numbers[CLAIMS], &socket->claims) &&
           span_take(sockets, numbers[ASKING], &socket->asking) && span_take(sockets, numbers[AUTH], &socket->auth);
}

/* None, or an object that ends itself. */
static bool claims_are_good(const struct parcel_socket *socket)
{
    return socket->claims.len == 0 || (socket->claims.len <= IDENTITY_BYTES_MAX && socket->expires_ms <= INT64_MAX &&
                                       json_type(socket->claims) == JSON_OBJECT && json_is_valid(socket->claims));
}

/* What a client showed, and lists and programs are shown: nothing, or an object. */
static bool shown_is_good(struct span shown)
{
    return shown.len == 0 || (json_type(shown) == JSON_OBJECT && json_is_valid(shown));
}

/* What stands in the head, but for its sockets; and the lengths of what stands behind it. */
static bool head_take(struct span *head, struct parcel *parcel, uint64_t behind[3])
{
    uint64_t version, joined, awaiting_pong, begun, address, handshake;
    *parcel = (struct parcel){.protocol = 0};
    bool ok = span_take_u64(head, ' ', &version) && span_take_u64(head, ' ', &parcel->protocol) &&
              span_take_u64(head, ' ', &joined) && span_take_u64(head, ' ', &awaiting_pong) &&
              span_take_u64(head, ' ', &parcel->heartbeat_ms) && span_take_u64(head, ' ', &parcel->join_ms) &&
              span_take_u64(head, ' ', &parcel->socket_count) && span_take_u64(head, ' ', &parcel->done_post) &&
              span_take_u64(head, ' ', &parcel->done_get);
    for (int i = 0; i < 3; i++)
        ok = ok && span_take_u64(head, ' ', &behind[i]);
    ok = ok && span_take_u64(head, ' ', &begun) && span_take_u64(head, ' ', &address) &&
         span_take_u64(head, '\n', &handshake) && span_take(head, address, &parcel->address) &&
         span_take(head, handshake, &parcel->handshake);
    if (!ok || version != 4 || joined > 1 || awaiting_pong > 1 || parcel->socket_count > PARCEL_SOCKETS_MAX ||
        begun > INT64_MAX || address > PARCEL_ADDRESS_BYTES_MAX || handshake > HANDSHAKE_BYTES_MAX)
        return false;
    parcel->begun_ms = (int64_t)begun;
    parcel->joined = joined == 1;
    parcel->awaiting_pong = awaiting_pong == 1;
    return true;
}

bool parcel_head_decode(struct span head, struct parcel *parcel)
{
    uint64_t behind[3];
    bool ok = head_take(&head, parcel, behind);
    parcel->sockets = head;
    return ok;
}

bool parcel_decode(struct span text, struct parcel *parcel)
{
    uint64_t head_len, behind[3];
    struct span head, sockets;
    struct parcel_socket socket;
    if (!span_take_u64(&text, ' ', &head_len) || !span_take(&text, head_len, &head) ||
        !head_take(&head, parcel, behind))
        return false;
    parcel->sockets = sockets = head;
    for (uint64_t i = 0; i < parcel->socket_count; i++) {
        if (!parcel_socket_next(&sockets, &socket) || !engineio_sid_is_valid(socket.pid) || !claims_are_good(&socket) ||
            !shown_is_good(socket.auth))
            return false;
    }
    return sockets.len == 0 && shown_is_good(parcel->handshake) && span_take(&text, behind[0], &parcel->done_answer) &&
           span_take(&text, behind[1], &parcel->waiting) && span_take(&text, behind[2], &parcel->unfinished) &&
           text.len == 0;
}
