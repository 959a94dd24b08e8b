/* settings: the table, in the order of the manual. */
#include "serve/settings.h"

const struct setting_flag setting_flags[] = {
    {"--config", NULL, "nothing is relayed", "the YAML file below"},
    {"--port", "PORT", "8080", "0 picks a free one"},
    {"--redis-url", "REDIS_URL", "none", "`redis://`, `rediss://` (TLS) or `unix://`: see [serve.md](serve.md#redis)"},
    {"--broker", "SENNIT_BROKER", "`redis` with a URL, else `memory`",
     "with `K_SERVICE` set, `memory` is used only if it is set here"},
    {"--request-timeout", "SENNIT_REQUEST_TIMEOUT_SECONDS", "unknown",
     "the age at which the platform cuts a stream, 0 to 86400 seconds; with `announce`, clients are told"},
    {"--rotate", "SENNIT_ROTATE", "`auto`",
     "how long before the request timeout the instance begins to close sessions: 100ms to 1h; `off`; `auto`: a tenth "
     "of "
     "the timeout, 30s at most"},
    {"--log-format", "SENNIT_LOG_FORMAT", "text on a terminal, else JSON", "`text` or `json`"},
    {"--log-level", NULL, "info", "`debug`, `info`, `notice`, `warning` or `error`"},
    {"--describe", NULL, "", "prints this page, or `--describe=refusals` the page of refusals, and ends"},
    {NULL, "SENNIT_INSTANCE", "revision or `local`, and random characters",
     "this instance's name: 1 to 100 letters, digits, `.`, `_` and `-`"},
    {NULL, "SENNIT_ADMIN_TOKEN", "none", "its bearer may read `/metrics` from anywhere, see `admin:`"},
    {NULL, "SENNIT_CLIENT_DIR", "searched for in `node_modules`", "directory of `socket.io.js`"},
    {NULL, "K_SERVICE", "none", "set by the platform: this is one instance of a fleet"},
    {NULL, "K_REVISION", "none", "set by the platform: the first part of the instance's name"},
};
const size_t setting_flags_count = sizeof setting_flags / sizeof setting_flags[0];

#define NSP "namespaces.NAMESPACE"

const struct setting settings[] = {
    {"", "namespaces", "", "a mapping from names to the fields below",
     "the namespaces; a name begins with `/` and has 128 bytes at most", "`namespace_unknown`"},
    {"", "static", "none", "a directory", "its files are served beside the engine; relative to the configuration",
     "`not_found`, `files_full`"},
    {"", "client", "searched for in `node_modules`", "a directory", "`dist/` of the npm package socket.io-client", ""},
    {"", "prefix", "sennit", "1 to 64 bytes without braces", "begins all keys and channels on the broker",
     "`broker_spoiled`"},
    {"", "parser", "default", "`default` or `msgpack`", "how packets are written: see [binary.md](binary.md)",
     "`parser`"},
    {"", "path", "/socket.io/", "a path", "where the engine is: see [engine.md](engine.md)", "`not_found`"},
    {"", "add_trailing_slash", "true", "`true` or `false`", "`false`: the path is also found without its last slash",
     "`path_slash`"},
    {"", "transports", "[polling, websocket]", "a list", "the transports that clients may use", "`transport_unknown`"},
    {"", "origins", "[]", "a list of up to 256 origins, `\"null\"` or `\"*\"`",
     "pages of other sites that may open a WebSocket", "`origin`"},
    {"", "plain", "on", "`on`, `off` or a mapping", "where clients without a library connect (sennit.v1)", ""},
    {"", "raw", "off", "`on`, `off` or a mapping", "where pages connect that know no protocol", ""},
    {"", "cors", "off", "a mapping", "pages of other sites that may poll", "`cors`"},
    {"", "cookie", "false", "`true`, `false` or a mapping",
     "a cookie with the session's id, for load balancers; Sennit never reads it", ""},
    {"", "admin", "", "a mapping", "access to `/metrics`", "`admin`"},
    {"", "headers", "", "a mapping", "fields of every response", ""},
    {"", "compression", "", "a mapping", "permessage-deflate", "`extensions_invalid`, `ws_deflate_invalid`"},
    {"", "limits", "", "a mapping", "the bounds below", ""},

    {"cors", "origin", "\"*\"", "`\"*\"`, `reflect`, an origin, or a list of patterns",
     "the origins: `\"*\"` without cookies, `reflect` all of them", "`cors`"},
    {"cors", "credentials", "false", "`true` or `false`", "pages may send cookies", ""},
    {"cors", "methods", "[GET, HEAD, PUT, PATCH, POST, DELETE]", "a list", "told to a preflight", ""},
    {"cors", "allowed_headers", "those asked for", "a list", "told to a preflight", ""},
    {"cors", "exposed_headers", "none", "a list", "fields of answers that a page may read, like X-Sennit-Cure", ""},
    {"cors", "max_age", "none", "0ms to 7d", "time for which a browser may remember a preflight", ""},

    {"cookie", "name", "io", "a token", "its name", ""},
    {"cookie", "path", "/", "a path, or `none`", "attribute Path", ""},
    {"cookie", "domain", "none", "a domain", "attribute Domain", ""},
    {"cookie", "http_only", "true", "`true` or `false`", "attribute HttpOnly", ""},
    {"cookie", "secure", "false", "`true` or `false`", "attribute Secure", ""},
    {"cookie", "same_site", "lax", "`lax`, `strict` or `none`", "attribute SameSite", ""},
    {"cookie", "max_age", "none", "0ms to 400d", "attribute Max-Age", ""},

    {"plain", "path", "/ws", "a path", "its place", ""},
    {"raw", "path", "/raw", "a path", "its place", ""},

    {"admin", "token_file", "none", "a file", "its content (16 to 1024 visible characters) is the operator's token",
     "`admin`"},
    {"admin", "loopback", "true", "`true` or `false`", "`false`: this machine needs the token, too", "`admin`"},

    {"headers", "csp", "see [serve.md](serve.md#pages-and-origins)", "one line, or `none`", "Content-Security-Policy",
     ""},
    {"headers", "referrer_policy", "strict-origin-when-cross-origin", "one line, or `none`", "Referrer-Policy", ""},

    {"compression", "websocket", "Socket.IO clients: no; others: yes", "`on` or `off`",
     "clients that offer permessage-deflate get it", ""},
    {"compression", "threshold", "1KiB", "0 bytes to 16MiB", "shorter messages are sent as they are", ""},
    {"compression", "context_takeover", "false", "`true` or `false`",
     "both sides may refer to earlier messages of the connection", ""},
    {"compression", "contexts_max", "256", "0 to 100000", "connections that may; others agree on no context",
     "`sennit_deflate_contexts_declined_total`"},

    {NSP, "events", "", "a mapping from names to rules", "what clients may send; a name has 128 bytes at most",
     "`event_unknown`"},
    {NSP, "log", "", "a mapping", "how much of each room's log is kept", "`broker_full`, `broker_rooms_full`"},
    {NSP, "replay", "none", "`none`, `all`, or 1 to 1000", "entries that a new member is sent", ""},
    {NSP, "presence", "false", "`true`, `false` or a mapping", "members are told about joins and leaves",
     "`presence_data`"},
    {NSP, "rooms", "", "a mapping from patterns, like `\"game-*\"`, to fields",
     "`log`, `replay` and `presence` of rooms by name; the first pattern that matches counts", ""},
    {NSP, "recovery", "2m", "1s to 12h", "a client that was cut off may resume for at least this long", ""},
    {NSP, "announce", "false", "`true` or `false`", "tells each socket its instance and deadline (event `sennit`)", ""},
    {NSP, "slow", "reread", "`reread`, `drop` or `close`",
     "what becomes of a client for which more than `limits: queue_soft` waits. `reread`: logged events are dropped and "
     "read again from the log, others wait. `drop`: others are dropped. `close`: its session is closed, so that it "
     "comes "
     "back and resumes",
     "`sennit_slowed_total`, `slow_dropped`, `slow_consumer`"},

    {NSP ".log", "entries", "10000", "1 to 10000000", "entries of a room", ""},
    {NSP ".log", "bytes", "64MiB", "1KiB to 16GiB", "their bytes", ""},
    {NSP ".log", "age", "1h", "1s to 366d", "their age. The first of the three that applies counts", ""},
    {NSP ".presence", "data", "none", "a name of 1 to 256 bytes",
     "the member of the CONNECT payload that describes a socket to others", "`presence_data`"},
    {NSP ".rooms.PATTERN", "log", "the namespace's", "a mapping", "as above", ""},
    {NSP ".rooms.PATTERN", "replay", "the namespace's", "`none`, `all`, or 1 to 1000", "as above", ""},
    {NSP ".rooms.PATTERN", "presence", "the namespace's", "`true` or `false`", "as above", ""},

    {NSP ".events.EVENT", "to", "", "`others`, `everyone`, `room`, `room-others` or `socket`",
     "the sockets that get the event", "`room_not_joined`"},
    {NSP ".events.EVENT", "room", "", "0 to 15", "with `to: room` or `room-others`: the argument with its name",
     "`room_invalid`"},
    {NSP ".events.EVENT", "socket", "", "0 to 15", "with `to: socket`: the argument with its id", "`socket_invalid`"},
    {NSP ".events.EVENT", "except", "none", "0 to 15", "with `to:` the argument with rooms and sockets left out",
     "`except_invalid`"},
    {NSP ".events.EVENT", "log", "false", "`true`, `false` or a mapping", "the event is logged", "`broker_full`"},
    {NSP ".events.EVENT", "id", "none", "like `0` or `0.id`",
     "with `log:` the argument, or its member, that names the message", "`id_invalid`, `id_taken`"},
    {NSP ".events.EVENT", "join", "", "0 to 15", "instead of `to`: joins the room that the argument names",
     "`rooms_full`, `instance_rooms_full`, `room_is_socket`"},
    {NSP ".events.EVENT", "leave", "", "0 to 15", "instead of `to`: leaves it", "`room_invalid`"},
    {NSP ".events.EVENT", "who", "", "0 to 15", "instead of `to`: lists its members", "`ack_missing`, `range_invalid`"},
    {NSP ".events.EVENT", "history", "", "0 to 15", "instead of `to`: reads its log",
     "`ack_missing`, `range_invalid`, `position_invalid`"},
};
const size_t settings_count = sizeof settings / sizeof settings[0];
