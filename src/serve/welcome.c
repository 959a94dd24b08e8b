/* welcome: GET / of an instance without `static`, for a person who wonders what runs here and where to go on. A browser
 * gets HTML, anything else a text. Nothing in it is secret: it names what the other paths answer to everybody. */
#include "serve/client.h"

static const char text[] =
    "Sennit " SENNIT_VERSION ", a realtime server for Socket.IO and WebSocket clients. It runs.\n"
    "\n"
    "connect   io(\"http://THIS-HOST\")            socket.io-client 3 or 4; the path is /socket.io/\n"
    "plain     new WebSocket(\"ws://THIS-HOST/ws\", \"sennit.v1\")   without a library: docs/plain.md\n"
    "library   /socket.io/socket.io.js           if socket.io-client is installed here\n"
    "/health   answers as long as this instance lives\n"
    "/ready    answers 200 if it can serve clients, and says what is missing\n"
    "/metrics  counters, for the operator\n"
    "a page    name its directory with `static:` in the configuration, and it is served here\n"
    "docs      docs/serve.md beside the program; `sennit serve --help`\n";

static const char html[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sennit</title>"
    "<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">"
    "<style>body{font-family:system-ui,sans-serif;line-height:1.5;max-width:44rem;margin:2rem auto;padding:0 1rem}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere}</style>"
    "<h1>Sennit " SENNIT_VERSION "</h1><p>A realtime server for Socket.IO and WebSocket clients. It runs.</p>"
    "<p>To connect, with socket.io-client 3 or 4 (the path is <code>/socket.io/</code>):</p>"
    "<pre>&lt;script src=\"/socket.io/socket.io.js\"&gt;&lt;/script&gt;\n"
    "&lt;script&gt;const socket = io();&lt;/script&gt;</pre>"
    "<p>Without a library: <code>new WebSocket(\"ws://THIS-HOST/ws\", \"sennit.v1\")</code>, see "
    "<code>docs/plain.md</code>."
    "</p><ul><li><a href=\"/health\">/health</a> answers as long as this instance lives.</li>"
    "<li><a href=\"/ready\">/ready</a> answers 200 if it can serve clients, and says what is missing.</li>"
    "<li><a href=\"/metrics\">/metrics</a> has counters, for the operator.</li></ul>"
    "<p>To serve a page here, name its directory with <code>static:</code> in the configuration. The manual is "
    "<code>docs/serve.md</code>; <code>sennit serve --help</code> lists the options.</p>\n";

void welcome_request(struct client *client, const struct http1_head *head)
{
    struct span rest = http1_field_get(head, SPAN_LIT("Accept")), kind, type;
    bool is_browser = false;
    while (rest.data != NULL && span_next(&rest, ',', &kind)) {
        span_next(&kind, ';', &type);
        is_browser |= span_equal_nocase(span_trim(type), SPAN_LIT("text/html"));
    }
    http_respond(&client->http, 200,
                 is_browser ? SPAN_LIT("text/html; charset=utf-8") : SPAN_LIT("text/plain; charset=utf-8"),
                 SPAN_LIT("Cache-Control: no-store\r\nVary: Accept\r\n"), span_str(is_browser ? html : text));
}
