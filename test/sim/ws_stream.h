/* ws_stream: a client's side of one WebSocket connection in the simulator, from the upgrade to the messages. The
 * Engine.IO client and the hostile client each embed one. */
#ifndef SENNIT_SIM_WS_STREAM_H
#define SENNIT_SIM_WS_STREAM_H

#include "base/buf.h"
#include "sim.h"
#include "wire/ws.h"

struct ws_stream {
    struct buf head; /* the response, until it is whole */
    struct ws_decoder decoder;
    bool upgraded;
};

/* Takes one message. False when the owner has given up the connection: the rest is not read. */
typedef bool ws_stream_message_fn(void *owner, const struct ws_event *event);

/* Before each connection; ws_stream_finish after it. */
void ws_stream_init(struct ws_stream *stream);
void ws_stream_finish(struct ws_stream *stream);

/* Sends the request, as a Socket.IO client does; for the polling session `sid`, unless that is empty. */
void ws_stream_request(struct sim_end *end, struct span sid);

/* The same for the plain protocol. */
void ws_stream_request_plain(struct sim_end *end);
/* And for a raw room, by its number. */
void ws_stream_request_raw(struct sim_end *end, unsigned room);

enum ws_stream_result {
    WS_STREAM_FINE,
    WS_STREAM_NO_UPGRADE, /* the response is invalid, or its status is not 101; `*status` is 0 or that */
    WS_STREAM_BAD_FRAMES,
};
/* Reads bytes as they come: the response's head, then frames, whose messages go to `message`. */
enum ws_stream_result ws_stream_received(struct ws_stream *stream, const char *bytes, size_t len,
                                         ws_stream_message_fn *message, void *owner, int *status);

#endif
