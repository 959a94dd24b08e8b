/* forward: the heads that the ingress passes on. The first byte chooses the platform's circumstances; the rest is a
 * head of a client, else of an instance, else trailers. What goes on decodes again as one message of the same framing,
 * brings the platform's fields exactly once, and nothing that belongs to one hop. */
#include <assert.h>

#include "platform/affinity.h"
#include "platform/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t fields_count(const struct http1_head *head, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++)
        count += span_equal_nocase(head->fields[i].name, span_str(name));
    return count;
}

/* What both directions promise of a head that was written. Fields of ours may have made a large head too large. */
static bool is_within(const struct buf *out, const struct http1_head *from)
{
    enum { OURS_BYTES = 1024, OURS_FIELDS = 12 };
    return out->len + OURS_BYTES < HTTP1_LINE_BYTES_MAX && from->field_count + OURS_FIELDS < HTTP1_FIELDS_MAX;
}

static void request_try(const struct http1_head *head, const struct forward_context *context)
{
    static const char *const once[] = {"Host",      "Connection",  "X-Forwarded-For",      "X-Forwarded-Proto",
                                       "Forwarded", "traceparent", "X-Cloud-Trace-Context"};
    static const char *const never[] = {"Keep-Alive", "Proxy-Connection", "HTTP2-Settings", "X-Real-IP", "Proxy"};
    static struct http1_head again;
    struct buf out = {0}, twice = {0};
    int status;
    assert(forward_trace(head, context).len == TRACE_BYTES && forward_client(head, context).len > 0);
    forward_request(&out, head, context);
    if (is_within(&out, head)) {
        ptrdiff_t used = http1_request_decode(buf_span(&out), 0, &again, &status);
        assert(used == (ptrdiff_t)out.len && again.minor == 1);
        assert(span_equal(again.method, head->method) && span_equal(again.target, head->target));
        assert(again.body == head->body && again.content_length == head->content_length);
        assert(again.upgrade_websocket == head->upgrade_websocket && !again.keep_alive == !again.upgrade_websocket);
        for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
            assert(fields_count(&again, once[i]) == 1);
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            assert(fields_count(&again, never[i]) == 0);
        forward_request(&twice, &again, context); /* an ingress behind an ingress */
    }
    buf_finish(&out);
    buf_finish(&twice);
}

static void response_try(const struct http1_head *head, unsigned bits)
{
    static struct http1_head again;
    bool until_close = head->body == HTTP1_BODY_UNTIL_CLOSE, chunked = head->body == HTTP1_BODY_CHUNKED || until_close;
    const struct forward_reply reply = {.instance = "board-00001-1",
                                        .affinity = bits & 1 ? "0123456789abcdef" : NULL,
                                        .chunked = chunked,
                                        .keep_alive = (bits & 2) != 0};
    struct buf out = {0};
    forward_response(&out, head, &reply);
    if (is_within(&out, head)) {
        ptrdiff_t used = http1_response_decode(buf_span(&out), 0, SPAN_LIT("GET"), &again);
        assert(used == (ptrdiff_t)out.len && again.status == head->status);
        assert(again.body == (chunked ? HTTP1_BODY_CHUNKED : head->body));
        assert(again.content_length == head->content_length && again.upgrade_websocket == head->upgrade_websocket);
        assert(fields_count(&again, "X-Sennit-Instance") == (head->status >= 200 || head->status == 101));
        assert(fields_count(&again, "Keep-Alive") == 0 && fields_count(&again, "Connection") <= 1);
        assert(fields_count(&again, "Set-Cookie") == 0 || fields_count(&again, "Cache-Control") == 1);
    }
    buf_finish(&out);
}

/* Trailers as http1_body_decode hands them out: the same when they pass a second time. */
static void trailers_try(struct span bytes)
{
    struct http1_head head = {.body = HTTP1_BODY_CHUNKED};
    struct http1_body body;
    struct buf lines = {0}, once = {0}, twice = {0};
    struct span culprit = {NULL, 0}, part;
    ptrdiff_t used;
    http1_body_start(&body, &head);
    body.trailers = &lines;
    while ((used = http1_body_decode(&body, bytes, &part)) > 0)
        bytes = span_from(bytes, (size_t)used);
    if (body.done) {
        size_t dropped = forward_trailers(&once, buf_span(&lines), &culprit);
        assert((dropped > 0) == (culprit.len > 0) && once.len <= lines.len + HTTP1_TRAILER_BYTES_MAX);
        assert(forward_trailers(&twice, buf_span(&once), &culprit) == 0);
        assert(span_equal(buf_span(&once), buf_span(&twice)));
    }
    buf_finish(&lines);
    buf_finish(&once);
    buf_finish(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct http1_head head;
    int status;
    if (len == 0)
        return 0;
    struct span bytes = span_of(data + 1, len - 1);
    const struct forward_context context = {.client_ip = data[0] & 4 ? "2001:db8::7" : "192.0.2.7",
                                            .is_tls = (data[0] & 8) != 0,
                                            .trusted_hops = data[0] >> 4 & 3,
                                            .checked = data[0] & 64 ? "authorization" : NULL,
                                            .trace = "0123456789abcdef0123456789abcdef",
                                            .span = "0123456789abcdef"};
    if (http1_request_decode(bytes, 0, &head, &status) > 0) {
        struct span token = affinity_find(&head);
        assert(token.len == 0 || token.len == AFFINITY_BYTES);
        request_try(&head, &context);
    }
    if (http1_response_decode(bytes, 0, SPAN_LIT("GET"), &head) > 0)
        response_try(&head, data[0]);
    trailers_try(bytes);
    return 0;
}
