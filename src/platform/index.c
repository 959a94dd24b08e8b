/* index: writes the page. It needs no script, loads nothing, and its policy allows only its own style, by its hash. The
 * services' names are the only text that is not written here, and a name is a DNS label (platform/spec.h). */
#include "platform/index.h"

/* Its SHA-256 is in the policy below; test/e2e/several compares them. */
#define STYLE \
    ":root{color-scheme:light dark}" \
    "body{font:17px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto 0;padding:0 20px}" \
    "h1{font-size:24px;letter-spacing:-.01em;margin:0 0 20px}" \
    "ul{list-style:none;margin:0 0 28px;padding:0}" \
    "a{display:block;padding:14px 18px;margin:0 0 10px;border:1px solid #8886;border-radius:14px;color:inherit;" \
    "text-decoration:none;overflow-wrap:anywhere}" \
    "a:hover,a:focus-visible{border-color:#4656d8;outline:2px solid #4656d8}" \
    "b{display:block;font-size:19px}" \
    "small{opacity:.75;font-size:14px}" \
    "p{opacity:.8;font-size:15px;overflow-wrap:anywhere}"

#define POLICY \
    "default-src 'none'; style-src 'sha256-" STYLE_SHA256 "'; base-uri 'none'; form-action 'none'; " \
    "frame-ancestors 'none'"
#define STYLE_SHA256 "deG2d+JluvCakFvHZkEpYGsHwTNl5Hr2TgVuO4bLlqg="

bool index_is_asked(const struct http1_head *head)
{
    bool reads = span_equal(head->method, SPAN_LIT("GET")) || span_equal(head->method, SPAN_LIT("HEAD"));
    return reads && !head->upgrade_websocket && span_equal(head->target, SPAN_LIT("/")) && route_is_bare(head->host);
}

/* The port behind the Host's last colon; `otherwise` if there is none. */
static uint16_t port_of(struct span host, uint16_t otherwise)
{
    uint64_t port;
    size_t at = host.len;
    while (at > 0 && host.data[at - 1] >= '0' && host.data[at - 1] <= '9')
        at--;
    bool is_port = at > 0 && host.data[at - 1] == ':' && span_to_u64(span_from(host, at), &port);
    return is_port && port > 0 && port <= UINT16_MAX ? (uint16_t)port : otherwise;
}

static void page_write(struct buf *to, const struct route *route, uint16_t port)
{
    buf_append(to, SPAN_LIT("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                            "<title>Services</title>\n<style>" STYLE "</style>\n</head>\n<body>\n"
                            "<h1>Services on this machine</h1>\n<ul>\n"));
    list_each (node, &route->services) {
        const char *name = container_of(node, struct service, of_route)->name;
        buf_printf(to, "<li><a href=\"//%s.localhost:%u/\"><b>%s</b><small>%s.localhost:%u</small></a></li>\n", name,
                   port, name, name, port);
    }
    if (list_empty(&route->services)) {
        buf_append(to, SPAN_LIT("</ul>\n<p>None yet: <code>sennit deploy NAME --source=.</code> and <code>sennit apply "
                                "FILE</code> add one.</p>\n</body>\n</html>\n"));
        return;
    }
    buf_printf(to,
               "</ul>\n<p>If a browser does not find these names, add them to /etc/hosts, such as: 127.0.0.1 "
               "%s.localhost</p>\n<p>Started with --default NAME, sennit up shows one of them here.</p>\n"
               "</body>\n</html>\n",
               container_of(route->services.next, struct service, of_route)->name);
}

void index_encode(struct buf *to, const struct route *route, struct span host, uint16_t port, bool keep_alive,
                  bool with_body)
{
    struct buf body = {0};
    page_write(&body, route, port_of(host, port));
    http1_response_encode(to, 200, SPAN_LIT("text/html; charset=utf-8"),
                          SPAN_LIT("Content-Security-Policy: " POLICY "\r\nX-Content-Type-Options: nosniff\r\n"
                                   "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n"),
                          buf_span(&body), keep_alive);
    if (!with_body)
        to->len -= body.len;
    buf_finish(&body);
}
