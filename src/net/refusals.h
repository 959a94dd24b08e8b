/* refusals: one table of all reasons to refuse a peer's request while its connection goes on. The table makes the enum,
 * the counters, the log lines, the texts for peers and the manual. (close_reasons.h has the reasons that end a
 * connection.) `serve` and `session` count into one struct refusals per instance.
 *
 *   X(NAME, "name in answers, logs and metrics", log level, "sentence: the fault and the cure") */
#ifndef SENNIT_NET_REFUSALS_H
#define SENNIT_NET_REFUSALS_H

#include "base/log.h"
#include "loop/loop.h"

#define REFUSALS(X) \
    X(EVENT_UNKNOWN, "event_unknown", LOG_INFO, \
      "the namespace has no rule for this event: add it under `events:` in the configuration") \
    X(ROOM_NOT_JOINED, "room_not_joined", LOG_INFO, "the sender is not in that room: join it first") \
    X(ROOM_INVALID, "room_invalid", LOG_INFO, \
      "a room's name is a string of 1 to about 1000 bytes, or a number; a list has 1 to 32 such names") \
    X(ROOM_IS_SOCKET, "room_is_socket", LOG_INFO, \
      "a name of exactly 20 letters, digits, - and _ is reserved for socket ids: give the room another name") \
    X(ROOMS_FULL, "rooms_full", LOG_INFO, \
      "this socket is in the most rooms allowed (`limits: rooms_per_socket`): leave one first") \
    X(INSTANCE_ROOMS_FULL, "instance_rooms_full", LOG_WARNING, \
      "this instance has the most rooms allowed (`limits: instance_rooms`): join one that exists, or try again later") \
    X(EXCEPT_INVALID, "except_invalid", LOG_INFO, \
      "the exceptions are invalid, so the event was not published: name 1 to 32 rooms or sockets") \
    X(SOCKET_INVALID, "socket_invalid", LOG_INFO, "a socket's name is its id: a string of 20 characters") \
    X(ID_INVALID, "id_invalid", LOG_INFO, \
      "a message's name is a string or a number of at most 128 bytes of JSON: without a name it could count twice") \
    X(ID_TAKEN, "id_taken", LOG_NOTICE, \
      "another message of this room has this name: name each by a random string, like crypto.randomUUID()") \
    X(ATTACHMENTS, "attachments", LOG_INFO, \
      "the event has more attachments than `limits: attachments` allows: send fewer at a time") \
    X(EVENT_TOO_LARGE, "event_too_large", LOG_INFO, \
      "the event and its attachments together exceed maxPayload: send less at a time, or raise `max_payload:`") \
    X(EVENT_DAMAGED, "event_damaged", LOG_ERROR, \
      "an event with attachments is damaged in the log: find the program that writes on this broker beside Sennit") \
    X(POSITION_INVALID, "position_invalid", LOG_INFO, \
      "a position is not valid: after and before take the `at` of an entry") \
    X(ACK_MISSING, "ack_missing", LOG_INFO, \
      "the answer to a question is its acknowledgement: emit the event with a callback") \
    X(RANGE_INVALID, "range_invalid", LOG_INFO, \
      "an option is not valid: limit is a number of at least 1, cursor is the last answer's cursor, after and before " \
      "are strings") \
    X(ANSWER_LATE, "answer_late", LOG_INFO, \
      "the receiver gave no answer in time: check its socket id, answer every event that asks, or raise `timeout:`") \
    X(RECEIVER_GONE, "receiver_gone", LOG_INFO, \
      "the connection of the receiver ended before it answered: ask again when it is back") \
    X(RECEIVER_MUTE, "receiver_mute", LOG_INFO, \
      "the receiver is a client of a kind that answers nothing: ask a Socket.IO client") \
    X(ASKS_FULL, "asks_full", LOG_INFO, \
      "this socket, or the instance, awaits the most answers allowed (`limits: asks`, `instance_asks`): wait for " \
      "some") \
    X(ASKED_FULL, "asked_full", LOG_INFO, \
      "the receiver, or its instance, has the most unanswered events allowed (`limits: asks`, `instance_asks`): wait") \
    X(ANSWERS_FULL, "answers_full", LOG_INFO, \
      "a client's answer to a question that many were asked was dropped: let it answer with less (64 KiB; 512 KiB of " \
      "all on one instance)") \
    X(KEPT_FULL, "kept_full", LOG_WARNING, \
      "an event or answer for a socket that is between two requests was dropped, because too many wait: use " \
      "WebSockets") \
    X(BROKER_FULL, "broker_full", LOG_WARNING, \
      "the room's log has reached its share of the service's storage: raise `limits: log_bytes` and Redis' " \
      "maxmemory, or keep less under `log:`") \
    X(BROKER_ROOMS_FULL, "broker_rooms_full", LOG_WARNING, \
      "the service has the most rooms with a log allowed (`limits: rooms`): use one that exists") \
    X(BROKER_SPOILED, "broker_spoiled", LOG_ERROR, \
      "a key of the broker that this needs holds foreign data: the log names the key, delete it") \
    X(CALLS_FULL, "calls_full", LOG_DEBUG, \
      "the client has the most unanswered requests allowed (`limits: calls`, `call_bytes`): it is not read until " \
      "half " \
      "of them are answered") \
    X(CHANGES_RATE, "changes_rate", LOG_INFO, \
      "the client changes rooms for others faster than `limits: changes_per_second` allows: it is not read for a " \
      "while; let it join and leave less, or raise the limit") \
    X(MESSAGES_RATE, "messages_rate", LOG_INFO, \
      "the client sends faster than `limits: messages_per_second` allows: it is not read for a while; let it send " \
      "less, or raise the limit") \
    X(ADDRESS_MESSAGES_RATE, "address_messages_rate", LOG_INFO, \
      "the clients of this address send faster than `limits: messages_per_second_per_address` allows: they are not " \
      "read for a while; raise the limit, or set it to 0 when a proxy stands in front") \
    X(SLOW_DROPPED, "slow_dropped", LOG_INFO, \
      "the client reads too slowly, so events that are not logged were dropped (`slow: drop`): log them, or send " \
      "fewer") \
    X(BROKER_BACKLOG, "broker_backlog", LOG_WARNING, \
      "the broker is away or slow, and too many publishes wait for it: try again later") \
    X(PRESENCE_DATA, "presence_data", LOG_INFO, \
      "the presence data of this socket is longer than 1024 bytes: it is present without data") \
    X(HANDSHAKE_UNKEPT, "handshake_unkept", LOG_INFO, \
      "a client's connect payload (`auth`), or its first request, is too long to be kept for lists of sockets, which " \
      "show none: name fewer headers under `handshake:`, or send less") \
    X(LEASES_FULL, "leases_full", LOG_WARNING, \
      "the leases of cut-off clients take the most memory allowed (`limits: lease_bytes`): this client starts anew " \
      "when it returns") \
    X(NAMESPACE_UNKNOWN, "namespace_unknown", LOG_INFO, \
      "there is no such namespace: add it under `namespaces:` in the configuration") \
    X(TOKEN_MISSING, "token_missing", LOG_INFO, \
      "this namespace needs a token: give the client auth: {token}, or send Authorization: Bearer (`jwt:` in the " \
      "configuration); a token in the URL is not taken") \
    X(TOKEN_MALFORMED, "token_malformed", LOG_INFO, \
      "the token is no JWT in the compact form, has a time that is no number, or is longer than 8 KiB: let the " \
      "issuer " \
      "make another one") \
    X(TOKEN_ALGORITHM, "token_algorithm", LOG_WARNING, \
      "the token is signed with another algorithm than its key is for: let the issuer use that one, or correct `alg` " \
      "in `jwt: keys`") \
    X(TOKEN_KEY, "token_key", LOG_WARNING, \
      "no key has the id (kid) that the token names: add the key of its issuer to `jwt: keys`") \
    X(TOKEN_SIGNATURE, "token_signature", LOG_WARNING, \
      "the signature of the token was not made with a key of `jwt: keys`: add the key of its issuer") \
    X(TOKEN_EXPIRED, "token_expired", LOG_INFO, "the token has expired: get a new one, and connect with that") \
    X(TOKEN_EARLY, "token_early", LOG_INFO, \
      "the token is not valid yet (nbf, iat): set the clocks of issuer and server, or raise `jwt: leeway`") \
    X(TOKEN_ISSUER, "token_issuer", LOG_WARNING, \
      "the token is from another issuer (iss): name that one in `jwt: issuer`, or get a token from the right one") \
    X(TOKEN_AUDIENCE, "token_audience", LOG_WARNING, \
      "the token is for somebody else (aud): name the audience of your tokens in `jwt: audience`") \
    X(TOKEN_OF_ANOTHER, "token_of_another", LOG_WARNING, \
      "the new token names another user (sub) than the one that this socket connected with: connect anew") \
    X(LEASE_OF_ANOTHER, "lease_of_another", LOG_WARNING, \
      "a client came back with the recovery data of another user (sub): it starts anew; let it forget them when " \
      "another user logs in") \
    X(NAMESPACE_LEFT, "namespace_left", LOG_INFO, \
      "a packet came for a namespace that this client was taken out of: it is dropped; connect to the namespace " \
      "again") \
    X(CONNECT_FORBIDDEN, "connect_forbidden", LOG_INFO, \
      "the rules do not let this client connect: see `access: connect` of the namespace, and the token's claims") \
    X(BY_APPLICATION, "by_application", LOG_INFO, \
      "the program behind this namespace does not let the client connect: what it was told says why") \
    X(SEND_FORBIDDEN, "send_forbidden", LOG_INFO, \
      "the rules do not let this client send that event there: see `access:` of the namespace, and the token's " \
      "claims") \
    X(ROOM_FORBIDDEN, "room_forbidden", LOG_INFO, \
      "the rules do not let this client be in that room: see `access: rooms` of the namespace, and the token's " \
      "claims") \
    X(HISTORY_FORBIDDEN, "history_forbidden", LOG_INFO, \
      "the rules do not let this client read that log: see `access:` of the namespace, and the token's claims") \
    X(TOKENS_FULL, "tokens_full", LOG_WARNING, \
      "the tokens in headers and cookies take the most memory allowed (64 MiB): send the token in the payload of " \
      "CONNECT, auth: {token}") \
    X(NAMESPACES_FULL, "namespaces_full", LOG_INFO, \
      "this session is in the most namespaces allowed (`limits: namespaces_per_session`)") \
    X(MESSAGE_INVALID, "message_invalid", LOG_INFO, \
      "a message of sennit.v1 is one JSON object in a text message, nothing else: docs/plain.md lists them") \
    X(FIELD_INVALID, "field_invalid", LOG_INFO, \
      "this field of the message is missing, or has a wrong type or value: docs/plain.md lists the fields") \
    X(NOT_CONNECTED, "not_connected", LOG_INFO, \
      "the client is in no namespace yet: send a message of type connect first, or name it in the URL, like ?ns=/") \
    X(CONNECTED_ALREADY, "connected_already", LOG_INFO, \
      "a connection is in one namespace, and this one is: open another connection for another namespace") \
    X(VERB_UNKNOWN, "verb_unknown", LOG_INFO, \
      "no event of the namespace allows this: add one under `events:`, like join: {join: 0}, leave: {leave: 0}, " \
      "who: {who: 0} or past: {history: 0}") \
    X(ROOM_UNASKED, "room_unasked", LOG_INFO, \
      "the rule of this event does not go to rooms: leave out the field room, or say `to: room` in the configuration") \
    X(SUBPROTOCOL_UNKNOWN, "subprotocol_unknown", LOG_INFO, \
      "this path speaks the WebSocket subprotocol sennit.v1: offer that one, or none") \
    X(UPGRADE_MISSING, "upgrade_missing", LOG_INFO, \
      "this path takes WebSocket handshakes (RFC 6455) only: open it with new WebSocket(url); a proxy in front must " \
      "pass on Upgrade and Connection") \
    X(INSTANCE_NAMESPACES_FULL, "instance_namespaces_full", LOG_WARNING, \
      "this instance has the most namespaces allowed that patterns make (`limits: instance_namespaces`): use one " \
      "that " \
      "exists, raise the limit, or start more instances") \
    X(CONNECT_REPEATED, "connect_repeated", LOG_DEBUG, \
      "this namespace was being joined already: one CONNECT is enough, call connect() once") \
    X(TOO_DEEP, "too_deep", LOG_INFO, \
      "the JSON is nested deeper than this instance takes: raise `limits: nesting`, or send a flatter value") \
    X(HTTP_INVALID, "http_invalid", LOG_INFO, \
      "the request is not valid HTTP/1.1, or two parsers could read it differently: fix the client or the proxy") \
    X(HEAD_TOO_LARGE, "head_too_large", LOG_INFO, \
      "the head of the request is too large (64 KiB, 128 fields and a line of 8 KiB at most): send fewer cookies and " \
      "a " \
      "shorter URL, or raise `limits: head_bytes`") \
    X(HTTP_UNSUPPORTED, "http_unsupported", LOG_INFO, \
      "this server speaks HTTP/1.1 without CONNECT, and takes no transfer coding but chunked: use another client, or " \
      "no " \
      "proxy that asks for it") \
    X(HANDSHAKE_INVALID, "handshake_invalid", LOG_INFO, \
      "the handshake is not complete: say transport=polling, or transport=websocket with the fields of RFC 6455; a " \
      "proxy in front must pass on Upgrade and Connection") \
    X(HANDSHAKE_METHOD, "handshake_method", LOG_INFO, \
      "the method is not GET: a session begins with GET, so use an Engine.IO 4 client") \
    X(TRANSPORT_UNKNOWN, "transport_unknown", LOG_INFO, \
      "the transport is not known: the query says transport=polling or transport=websocket, and `transports:` in the " \
      "configuration must " \
      "allow " \
      "it") \
    X(TRANSPORT_OTHER, "transport_other", LOG_INFO, \
      "the session is on another transport than the request: after an upgrade, poll no more") \
    X(SESSION_UNKNOWN, "session_unknown", LOG_INFO, \
      "there is no session with this sid: it has ended, so connect again; with several instances, give all of them " \
      "the " \
      "same REDIS_URL") \
    X(EIO_OLD, "eio_old", LOG_INFO, \
      "only revision 4 of Engine.IO is supported (EIO=4); EIO=3 and allowEIO3 may come later: use socket.io-client 3 " \
      "or " \
      "later until then") \
    X(JSONP, "jsonp", LOG_INFO, \
      "JSONP (the query parameter j) is not supported: it may come later; use socket.io-client 3 or later, without " \
      "forceJSONP, until then") \
    X(POST_BINARY, "post_binary", LOG_INFO, \
      "a POST of type application/octet-stream is not of revision 4: send text, and binary packets as b and base64") \
    X(POLLS_OVERLAP, "polls_overlap", LOG_INFO, \
      "a second GET or POST of a session came while the first was under way: one client has one session, and no " \
      "proxy " \
      "may repeat its requests") \
    X(POLL_REPEATED, "poll_repeated", LOG_INFO, \
      "a GET of a session came again, and its answer was too long to be kept, so the session ends and the client " \
      "recovers: let no proxy repeat requests, or publish smaller events") \
    X(PATH_SLASH, "path_slash", LOG_INFO, \
      "the path of the engine ends in a slash: add it in the client, or set `add_trailing_slash: false`") \
    X(CORS, "cors", LOG_WARNING, \
      "a browser does not let pages of this origin read the answer: add it under `cors:` in the configuration, like " \
      "cors: {origin: [https://board.example.com]}") \
    X(EXTENSIONS_INVALID, "extensions_invalid", LOG_INFO, \
      "the field Sec-WebSocket-Extensions breaks its grammar (RFC 6455 section 9.1): fix the client, or offer no " \
      "extension") \
    X(NOT_FOUND, "not_found", LOG_DEBUG, \
      "nothing is served under this path: put the file below the directory that `static:` names, or correct the URL") \
    X(METHOD, "method", LOG_INFO, "the method is not supported here: use GET or HEAD") \
    X(HEAD_LATE, "head_late", LOG_INFO, "no complete request came in time (`limits: head_timeout`): connect again") \
    X(BODY_LATE, "body_late", LOG_INFO, "less than 1 KiB of the request's body arrived in 30 s: send it faster") \
    X(BODY_TOO_LARGE, "body_too_large", LOG_INFO, \
      "the body of the request is larger than this path takes: send less at a time") \
    X(POLLS_SHORTENED, "polls_shortened", LOG_NOTICE, \
      "GETs that wait for events are answered early, because there are too many: let the service have more " \
      "instances, let clients use WebSockets, or raise containerConcurrency and `limits: held_polls`") \
    X(POLLS_FULL, "polls_full", LOG_WARNING, \
      "GETs that wait for events take so many slots that none may begin: let the service have more instances, let " \
      "clients use WebSockets, or raise containerConcurrency and `limits: held_polls`") \
    X(CONNECTIONS_FULL, "connections_full", LOG_WARNING, \
      "this instance has the most connections allowed: raise `limits: connections` and the descriptor limit (ulimit " \
      "-n), or start more instances") \
    X(ADDRESS_FULL, "address_full", LOG_WARNING, \
      "this address has the most connections allowed: raise `limits: connections_per_address`; behind a proxy, set " \
      "`trusted_hops`, or the limit to 0") \
    X(FORWARDED_INVALID, "forwarded_invalid", LOG_WARNING, \
      "X-Forwarded-For has fewer entries than `trusted_hops`, or the one that counts is no address: the proxy's own " \
      "address counts; set `trusted_hops` to the number of proxies that append to it") \
    X(ADDRESS_RATE, "address_rate", LOG_WARNING, \
      "this address begins sessions faster than `limits: connects_per_second_per_address` allows: wait as long as " \
      "Retry-After says; raise the limit, or set it to 0; behind a proxy, set `trusted_hops`") \
    X(DESCRIPTORS_GONE, "descriptors_gone", LOG_ERROR, \
      "this instance has no descriptors left: raise its limit (ulimit -n), or lower `limits: connections`") \
    X(REQUESTS_FULL, "requests_full", LOG_WARNING, \
      "unfinished and waiting requests take too much memory: send smaller ones, or raise `limits: request_bytes`") \
    X(FILES_FULL, "files_full", LOG_WARNING, \
      "this instance has no descriptor to open the file: raise its limit (ulimit -n)") \
    X(ORIGIN, "origin", LOG_WARNING, \
      "pages of this origin may not connect: add it to `origins:` in the configuration, like origins: " \
      "[https://board.example.com]") \
    X(ADMIN, "admin", LOG_WARNING, \
      "this path is for the operator: ask from this machine, not through a proxy, or with Authorization: Bearer and " \
      "the token of SENNIT_ADMIN_TOKEN or `admin: {token_file: PATH}`") \
    X(API_FORBIDDEN, "api_forbidden", LOG_WARNING, \
      "the API is for the operator and for backends: ask from this machine, not through a proxy, or with " \
      "Authorization: Bearer and the token of SENNIT_API_TOKEN or `api: {token_file: PATH}`") \
    X(API_PATH, "api_path", LOG_INFO, "the API has no such path: see docs/api.md") \
    X(API_LATER, "api_later", LOG_INFO, \
      "events between servers are not there yet and may come later: publish to a room instead") \
    X(API_METHOD, "api_method", LOG_INFO, "this path of the API takes another method: see docs/api.md") \
    X(API_JSON, "api_json", LOG_INFO, "the body is not one JSON object: send one, in UTF-8") \
    X(API_FIELD, "api_field", LOG_INFO, "a field of the request is missing or has the wrong form: see docs/api.md") \
    X(API_BUSY, "api_busy", LOG_WARNING, \
      "too many requests to the API are under way: await answers before you ask more, or raise `limits: " \
      "api_requests`") \
    X(API_LATE, "api_late", LOG_WARNING, \
      "the broker has not accepted it in time, and may do so yet: send it again with the same id") \
    X(API_BROKER, "api_broker", LOG_WARNING, "the broker is away, so the answer is not known: ask again later") \
    X(SOCKET_UNKNOWN, "socket_unknown", LOG_INFO, \
      "no such socket is on any instance: it has ended, is cut off, or waits for its next poll") \
    X(BRIDGE_AWAY, "bridge_away", LOG_WARNING, \
      "the link to the Redis of the bridge is down, so a message for the servers there is lost: check that Redis, " \
      "and " \
      "`bridge: socketio-redis`") \
    X(BRIDGE_INVALID, "bridge_invalid", LOG_WARNING, \
      "a message on the channels of the bridge cannot be read, and is dropped: let `bridge: key` and `mode` be those " \
      "of the adapter, and let nothing else publish there") \
    X(BRIDGE_SERVER_EMIT, "bridge_server_emit", LOG_INFO, \
      "an event between servers (serverSideEmit) has no handler here, and is answered with nothing: send it to " \
      "sockets " \
      "instead") \
    X(BRIDGE_ASKS_FULL, "bridge_asks_full", LOG_WARNING, \
      "servers behind the bridge await the answers of the most clients allowed (100000), so these were not asked: " \
      "ask " \
      "fewer at a time, with a shorter timeout") \
    X(BRIDGE_ANSWER_FULL, "bridge_answer_full", LOG_WARNING, \
      "a server behind the bridge asks for more sockets or rooms than one answer takes (16 MiB), so it got a part: " \
      "ask for one room at a time") \
    X(DRAINING, "draining", LOG_INFO, "this instance is shutting down: connect again and reach another")

enum refusal {
#define X(constant, name, level, sentence) REFUSAL_##constant,
    REFUSALS(X)
#undef X
        REFUSAL_COUNT
};

/* Counts refusals and writes log lines: the first of each kind at once, then one in REFUSALS_LOG_MS at most, with the
 * number of refusals since the last. */
struct refusals {
    struct loop *loop;
    uint64_t counts[REFUSAL_COUNT];
    uint64_t logged[REFUSAL_COUNT];    /* the count at the last log line */
    uint64_t logged_us[REFUSAL_COUNT]; /* the time of that line; 0: none */
};

enum { REFUSALS_LOG_MS = 10000 };

void refusals_init(struct refusals *refusals, struct loop *loop);
/* Counts one refusal. `peer` is an address or a socket id, `what` the room or event concerned; both may be empty. */
void refusals_note(struct refusals *refusals, enum refusal refusal, struct span peer, struct span what);

/* "rooms_full" */
const char *refusal_name(enum refusal refusal);
/* The fault and the cure, in plain ASCII without quotes, so that JSON can hold it unescaped. */
const char *refusal_text(enum refusal refusal);
enum log_level refusal_log_level(enum refusal refusal);

#endif
