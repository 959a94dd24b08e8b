/* close_reasons: one table of all reasons to end a connection. The table makes the enum, the counters, the log lines,
 * the manual and the WebSocket codes (RFC 6455 section 7.4.1; 0: no Close frame is sent, 1005: a Close frame without a
 * code). A sentence that goes into a Close frame names the cure and has CLOSE_TEXT_BYTES_MAX bytes at most, so that the
 * frame holds it whole. Upstream closes without a code where a packet is invalid or a ping is not answered; a code is
 * needed to carry a reason, and its clients treat all codes alike.
 *
 *   X(NAME, "name in logs and metrics", websocket code, log level, "sentence for the manual") */
#ifndef SENNIT_NET_CLOSE_REASONS_H
#define SENNIT_NET_CLOSE_REASONS_H

#define CLOSE_REASONS(X) \
    X(NONE, "none", 0, LOG_DEBUG, "open") \
    X(PEER_CLOSED, "peer_closed", 0, LOG_DEBUG, "the peer ended the connection") \
    X(PEER_RESET, "peer_reset", 0, LOG_DEBUG, "the connection was reset or broke") \
    X(DONE, "done", 0, LOG_DEBUG, "the exchange was complete") \
    X(NORMAL, "normal", 1000, LOG_DEBUG, "both sides sent a Close frame") \
    X(ENGINE_CLOSED, "engine_closed", 1005, LOG_DEBUG, "the Engine.IO session was closed by the client") \
    X(CONNECT_FAILED, "connect_failed", 0, LOG_WARNING, \
      "an outgoing connection could not be made: check the address, and that its server runs") \
    X(CONNECT_TIMEOUT, "connect_timeout", 0, LOG_WARNING, \
      "an outgoing connection took too long: check the address, and the firewall") \
    X(TLS_FAILED, "tls_failed", 0, LOG_WARNING, \
      "the two sides do not agree on TLS, a certificate was refused, or the peer broke the protocol: the log of the " \
      "link says which") \
    X(TLS_TRUNCATED, "tls_truncated", 0, LOG_INFO, \
      "the peer ended a TLS connection without close_notify: its last bytes may be missing") \
    X(HEAD_TIMEOUT, "head_timeout", 0, LOG_INFO, \
      "a request's head took too long: send it faster, or raise `limits: head_timeout`") \
    X(HTTP_INVALID, "http_invalid", 0, LOG_INFO, "the bytes are not valid HTTP/1.1: fix the client, or the proxy") \
    X(WS_INVALID, "ws_invalid", 1002, LOG_INFO, \
      "the bytes break RFC 6455: use a WebSocket library, and no proxy that changes frames") \
    X(WS_NOT_UTF8, "ws_not_utf8", 1007, LOG_INFO, "a text message is not UTF-8: encode it so, or send it as binary") \
    X(WS_TOO_BIG, "ws_too_big", 1009, LOG_INFO, \
      "a message is larger than the limit: send less at a time, or raise `max_payload`") \
    X(WS_FRAMES, "ws_frames", 1008, LOG_INFO, \
      "a message comes in more frames than `limits: frames_per_message`: send larger frames, or raise it") \
    X(WS_DEFLATE_INVALID, "ws_deflate_invalid", 1007, LOG_INFO, \
      "a compressed message cannot be decompressed (RFC 7692): fix the client, or connect without permessage-deflate") \
    X(ENGINE_INVALID, "engine_invalid", 1008, LOG_INFO, "an Engine.IO packet is invalid: use an Engine.IO 4 client") \
    X(SOCKETIO_INVALID, "socketio_invalid", 1008, LOG_INFO, \
      "a Socket.IO packet is invalid or unexpected: use a Socket.IO 3 or 4 client") \
    X(PARSER, "parser", 1008, LOG_INFO, \
      "the configuration says `parser: msgpack`, the client uses the default one: give it socket.io-msgpack-parser") \
    X(POLLS_OVERLAP, "polls_overlap", 0, LOG_INFO, \
      "a polling client sent a request while one of its kind was under way: one client has one session") \
    X(POLL_ABORTED, "poll_aborted", 0, LOG_DEBUG, "a polling client ended the connection of a request under way") \
    X(POLL_REPEATED, "poll_repeated", 0, LOG_INFO, \
      "a GET came again, and its answer was too long to be kept: let no proxy repeat requests") \
    X(PARKED, "parked", 0, LOG_DEBUG, "a polling session waits on the broker for its next request") \
    X(PROBE_FAILED, "probe_failed", 1008, LOG_INFO, \
      "the upgrade from polling was not completed in time, or its session has ended or moved: connect again") \
    X(PING_TIMEOUT, "ping_timeout", 1008, LOG_DEBUG, \
      "no pong came within pingTimeout: connect again, or raise `ping_timeout`") \
    X(CONNECT_PACKET_TIMEOUT, "connect_packet_timeout", 1008, LOG_INFO, \
      "no namespace was joined within connectTimeout: send CONNECT, or raise `connect_timeout`") \
    X(SLOW_CONSUMER, "slow_consumer", 1008, LOG_INFO, \
      "the peer reads too slowly, and its output queue is full: read faster, or subscribe to less") \
    X(OUTPUT_FULL, "output_full", 1008, LOG_INFO, \
      "unread output takes too much memory, and this peer does not read: read faster, or raise `limits: " \
      "output_bytes`") \
    X(WRITE_TIMEOUT, "write_timeout", 0, LOG_INFO, \
      "the peer read nothing for too long while bytes waited: read faster, or raise `limits: write_timeout`") \
    X(HEAD_TIMEOUT_CROWDED, "head_timeout_crowded", 0, LOG_INFO, \
      "no request came soon enough while most of `limits: connections` were taken: raise it") \
    X(CONNECT_PACKET_TIMEOUT_CROWDED, "connect_packet_timeout_crowded", 1013, LOG_INFO, \
      "no namespace was joined soon enough, and `limits: connections` is nearly reached: join at once") \
    X(RESPONSE_TIMEOUT_CROWDED, "response_timeout_crowded", 0, LOG_INFO, \
      "a response was read too slowly while most of `limits: connections` were taken: raise it") \
    X(CROWDED_OUT, "crowded_out", 0, LOG_INFO, \
      "a connection beyond `limits: connections` or `connections_per_address` gave way to the next one before it was " \
      "read: raise them") \
    X(REFUSED, "refused", 0, LOG_DEBUG, "the request was refused, and the response said why") \
    X(BODY_CUT, "body_cut", 0, LOG_WARNING, \
      "a file became shorter while it was being sent: replace files by renaming, do not truncate them") \
    X(UNFINISHED, "unfinished", 1013, LOG_INFO, \
      "incomplete messages take too much memory (`limits: unfinished_bytes`): send messages whole and faster") \
    X(INPUT_LIMIT, "input_limit", 1008, LOG_INFO, \
      "the peer sends more than the limits allow: send less, or raise `limits:`") \
    X(BROKER_BACKLOG, "broker_backlog", 1013, LOG_WARNING, \
      "the broker is away, and too many publishes wait for it: send again later, with an acknowledgement") \
    X(BROKER_LOST, "broker_lost", 0, LOG_WARNING, \
      "the link to the broker broke: it is made again; if not, check Redis") \
    X(BROKER_INVALID, "broker_invalid", 0, LOG_ERROR, \
      "the broker sent an invalid answer: find the program that answers in its place, or writes its keys") \
    X(SUPERSEDED, "superseded", 4001, LOG_DEBUG, "the client has come back on another connection: close this one") \
    X(EXPELLED, "expelled", 1008, LOG_INFO, \
      "the client may no longer be in its namespace, as it was told: get a new token, and connect again") \
    X(HISTORY_LOST, "history_lost", 1012, LOG_NOTICE, \
      "an entry that the client needs is no longer in the log: connect again, and start without recovery") \
    X(DISCONNECTED, "disconnected", 1000, LOG_DEBUG, \
      "the operator or the application has disconnected this client: connect again only if it may come back") \
    X(ROTATED, "rotated", 1012, LOG_DEBUG, "closed ahead of the request timeout: connect again to resume elsewhere") \
    X(DRAINED, "drained", 1012, LOG_DEBUG, "the instance is shutting down: connect again and reach another") \
    X(REQUEST_TIMEOUT, "request_timeout", 0, LOG_INFO, \
      "the request timeout of the service passed: connect again, or raise timeoutSeconds") \
    X(UPSTREAM_FAILED, "upstream_failed", 0, LOG_WARNING, \
      "the instance behind the ingress broke the exchange: see its log") \
    X(INTERNAL, "internal", 1011, LOG_ERROR, \
      "an internal limit was hit: connect again, and report it with the log of the instance")

enum { CLOSE_TEXT_BYTES_MAX = 123 }; /* of a Close frame's reason (RFC 6455 section 5.5) */

enum close_reason {
#define X(constant, name, code, level, sentence) CLOSE_##constant,
    CLOSE_REASONS(X)
#undef X
        CLOSE_REASON_COUNT
};

/* "slow_consumer" */
const char *close_reason_name(enum close_reason reason);
/* The sentence of the manual, ASCII; the reason in a Close frame. */
const char *close_reason_text(enum close_reason reason);
/* Code of the Close frame, or 0 for none; 1005 stands for a Close frame with an empty body. */
int close_reason_ws_code(enum close_reason reason);
int close_reason_log_level(enum close_reason reason);

#endif
