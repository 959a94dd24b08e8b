/* ws_stream: the request, the response's head and the loop over frames. */
#include "ws_stream.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/http1.h"

enum { MESSAGE_BYTES_MAX = 8 << 20, SWITCHING_PROTOCOLS = 101 };

void ws_stream_init(struct ws_stream *stream)
{
    stream->upgraded = false;
    ws_decoder_init(&stream->decoder, false, MESSAGE_BYTES_MAX);
}

void ws_stream_finish(struct ws_stream *stream)
{
    ws_decoder_finish(&stream->decoder);
    buf_finish(&stream->head);
}

void ws_stream_request(struct sim_end *end, struct span sid)
{
    struct buf request = {0};
    buf_printf(&request,
               "GET /socket.io/?EIO=4&transport=websocket%s" SPAN_FMT
               " HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               sid.len > 0 ? "&sid=" : "", SPAN_ARG(sid));
    sim_send(end, buf_span(&request).data, request.len);
    buf_finish(&request);
}

void ws_stream_request_plain(struct sim_end *end)
{
    static const char request[] = "GET /ws HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Protocol: sennit.v1\r\n\r\n";
    sim_send(end, request, sizeof request - 1);
}

void ws_stream_request_raw(struct sim_end *end, unsigned room)
{
    struct buf request = {0};
    buf_printf(&request,
               "GET /raw/w%u HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               room);
    sim_send(end, buf_span(&request).data, request.len);
    buf_finish(&request);
}

/* How many of these bytes belong to the head; all of them while it is not whole. Negative: no upgrade. */
static ptrdiff_t head_read(struct ws_stream *stream, const char *bytes, size_t len, int *status)
{
    static struct http1_head head;
    buf_append(&stream->head, span_of(bytes, len));
    ptrdiff_t used = http1_response_decode(buf_span(&stream->head), 0, SPAN_LIT("GET"), &head);
    if (used == 0)
        return (ptrdiff_t)len;
    *status = used < 0 ? 0 : head.status;
    if (*status != SWITCHING_PROTOCOLS)
        return -1;
    stream->upgraded = true;
    return (ptrdiff_t)len - ((ptrdiff_t)stream->head.len - used);
}

enum ws_stream_result ws_stream_received(struct ws_stream *stream, const char *bytes, size_t len,
                                         ws_stream_message_fn *message, void *owner, int *status)
{
    ptrdiff_t at = stream->upgraded ? 0 : head_read(stream, bytes, len, status);
    if (at < 0)
        return WS_STREAM_NO_UPGRADE;
    /* A copy, because frames are unmasked in place. */
    size_t left = len - (size_t)at;
    char *copy = mem_alloc(left + 1), *rest = copy;
    memcpy(copy, bytes + at, left);
    bool goes_on = stream->upgraded, fine = true;
    for (bool got = true; goes_on && (left > 0 || got);) {
        struct ws_event event;
        got = false;
        ptrdiff_t used = ws_decode(&stream->decoder, rest, left, &event, &got);
        fine = used >= 0;
        if (!fine || (used == 0 && !got))
            break;
        if (got)
            goes_on = message(owner, &event);
        rest += used;
        left -= (size_t)used;
    }
    free(copy);
    return fine ? WS_STREAM_FINE : WS_STREAM_BAD_FRAMES;
}
