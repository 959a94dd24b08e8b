/* forward: decides for each field whether it passes, and appends the platform's own fields. */
#include "platform/forward.h"

#include "loop/io.h"
#include "platform/affinity.h"

static bool named(struct span name, const char *text)
{
    return span_equal_nocase(name, span_str(text));
}

/* `name` begins with `prefix`, any case, and - and _ are the same: CGI and its heirs make one of the two. */
static bool begins_like(struct span name, const char *prefix)
{
    for (; *prefix != '\0'; prefix++, name = span_from(name, 1)) {
        if (name.len == 0)
            return false;
        char c = name.data[0] == '_' ? '-' : name.data[0];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != *prefix)
            return false;
    }
    return true;
}

/* It begins with one of the prefixes, or is one of the names. Both lists end with NULL. */
static bool is_like(struct span name, const char *const *prefixes, const char *const *names)
{
    for (; *prefixes != NULL; prefixes++)
        if (begins_like(name, *prefixes))
            return true;
    for (; *names != NULL; names++)
        if (name.len == strlen(*names) && begins_like(name, *names))
            return true;
    return false;
}

/* Written anew by us, or not the client's to say. */
static bool is_ours(struct span name)
{
    static const char *const prefixes[] = {"x-forwarded-", "knative-serving-", "k-", "x-sennit-", NULL};
    static const char *const names[] = {"forwarded", "host",       "traceparent",    "x-cloud-trace-context",
                                        "upgrade",   "connection", "http2-settings", "x-real-ip",
                                        "proxy",     NULL};
    return is_like(name, prefixes, names);
}

/* Of no effect, or of a dangerous one, behind the content. */
static bool is_for_heads(struct span name)
{
    static const char *const prefixes[] = {"if-", "proxy-", "sec-", "access-control-", NULL};
    static const char *const names[] = {
        /* framing, the connection, routing */
        "transfer-encoding", "content-length", "trailer", "te", "keep-alive", "via", "origin",
        /* request modifiers, identity */
        "cache-control", "expect", "max-forwards", "pragma", "range", "authorization", "cookie", "www-authenticate",
        /* control of the response, and how to read the content */
        "set-cookie", "age", "expires", "date", "location", "retry-after", "vary", "warning", "content-encoding",
        "content-type", "content-range", NULL};
    return is_like(name, prefixes, names) || is_ours(name);
}

static void field(struct buf *to, struct span name, struct span value)
{
    buf_append(to, name);
    buf_append(to, SPAN_LIT(": "));
    buf_append(to, value);
    buf_append(to, SPAN_LIT("\r\n"));
}

static bool is_hex(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.data[i] >= '0' && s.data[i] <= '9') || (s.data[i] >= 'a' && s.data[i] <= 'f')))
            return false;
    return s.len > 0;
}

/* The number that hexadecimal digits spell, at most 16 of them. */
static uint64_t hex_number(struct span s)
{
    uint64_t number = 0;
    for (size_t i = 0; i < s.len; i++)
        number = number << 4 | (uint64_t)hex_digit(s.data[i]);
    return number;
}

static bool trace_id_is_valid(struct span id)
{
    return id.len == TRACE_BYTES && is_hex(id) &&
           (hex_number(span_sub(id, 0, 16)) != 0 || hex_number(span_sub(id, 16, 16)) != 0);
}

/* What a request belongs to. */
struct trace {
    struct span id;
    uint64_t span;
    bool sampled;
};

/* `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context) */
static bool traceparent_read(struct span value, struct trace *trace)
{
    struct span id = span_sub(value, 3, TRACE_BYTES), span = span_sub(value, 36, SPAN_BYTES),
                flags = span_sub(value, 53, 2);
    if (value.len != 55 || !span_starts_with(value, SPAN_LIT("00-")) || !trace_id_is_valid(id) ||
        value.data[35] != '-' || !is_hex(span) || value.data[52] != '-' || !is_hex(flags))
        return false;
    *trace = (struct trace){id, hex_number(span), (hex_number(flags) & 1) != 0};
    return trace->span != 0;
}

/* `TRACE/SPAN;o=1`: 32 hexadecimal digits, a decimal number, and whether it is traced; the last two may be missing.
 * https://cloud.google.com/trace/docs/trace-context#legacy-http-header */
static bool cloud_trace_read(struct span value, struct trace *trace)
{
    struct span rest = span_from(value, TRACE_BYTES), number = SPAN_LIT("0");
    trace->id = span_sub(value, 0, TRACE_BYTES);
    trace->sampled = true;
    if (!trace_id_is_valid(trace->id))
        return false;
    if (span_starts_with(rest, SPAN_LIT("/"))) {
        rest = span_from(rest, 1);
        ptrdiff_t end = span_find(rest, ';');
        number = span_sub(rest, 0, end < 0 ? rest.len : (size_t)end);
        rest = span_from(rest, number.len);
    }
    if (span_equal(rest, SPAN_LIT(";o=0")))
        trace->sampled = false;
    else if (rest.len != 0 && !span_equal(rest, SPAN_LIT(";o=1")))
        return false;
    return span_to_u64(number, &trace->span);
}

/* The client's, or the context's. */
static struct trace trace_of(const struct http1_head *head, const struct forward_context *context)
{
    struct trace trace;
    uint64_t ours = hex_number(span_str(context->span));
    if (!traceparent_read(http1_field_get(head, SPAN_LIT("traceparent")), &trace) &&
        !cloud_trace_read(http1_field_get(head, SPAN_LIT("X-Cloud-Trace-Context")), &trace))
        trace = (struct trace){span_str(context->trace), ours, true};
    trace.span = trace.span != 0 ? trace.span : ours;
    return trace;
}

struct span forward_trace(const struct http1_head *head, const struct forward_context *context)
{
    return trace_of(head, context).id;
}

/* The same trace and span in both spellings. */
static void trace_fields(struct buf *to, const struct http1_head *head, const struct forward_context *context)
{
    struct trace given, trace = trace_of(head, context);
    struct span parent = http1_field_get(head, SPAN_LIT("traceparent"));
    if (traceparent_read(parent, &given))
        field(to, SPAN_LIT("traceparent"), parent);
    else
        buf_printf(to, "traceparent: 00-" SPAN_FMT "-%016llx-%02d\r\n", SPAN_ARG(trace.id),
                   (unsigned long long)trace.span, trace.sampled);
    buf_printf(to, "X-Cloud-Trace-Context: " SPAN_FMT "/%llu;o=%d\r\n", SPAN_ARG(trace.id),
               (unsigned long long)trace.span, trace.sampled);
}

/* The entry of X-Forwarded-For with so many behind it, of all its fields together; empty: there are not so many. */
static struct span forwarded_entry(const struct http1_head *head, unsigned behind)
{
    for (size_t i = head->field_count; i-- > 0;) {
        struct span value = head->fields[i].value;
        if (!named(head->fields[i].name, "X-Forwarded-For"))
            continue;
        for (size_t end = value.len, from = end;; from--) {
            if (from > 0 && value.data[from - 1] != ',')
                continue;
            if (behind-- == 0)
                return span_trim(span_sub(value, from, end - from));
            if (from == 0)
                break;
            end = from - 1;
        }
    }
    return SPAN_LIT("");
}

struct span forward_client(const struct http1_head *head, const struct forward_context *context)
{
    struct addr ignored;
    struct span entry = SPAN_LIT("");
    if (context->trusted_hops > 0)
        entry = forwarded_entry(head, context->trusted_hops - 1);
    return addr_from_ip(&ignored, entry, 0) ? entry : span_str(context->client_ip);
}

static bool is_https(const struct http1_head *head, const struct forward_context *context)
{
    struct span proto = http1_field_get(head, SPAN_LIT("X-Forwarded-Proto"));
    if (context->trusted_hops > 0 && (named(proto, "https") || named(proto, "http")))
        return named(proto, "https");
    return context->is_tls;
}

/* The client's own values stay in front, and must not be trusted; the rightmost is ours. */
static void address_fields(struct buf *to, const struct http1_head *head, const struct forward_context *context)
{
    struct span client = forward_client(head, context);
    const char *proto = is_https(head, context) ? "https" : "http";
    bool v6 = client.len > 0 && memchr(client.data, ':', client.len) != NULL;
    buf_append(to, SPAN_LIT("X-Forwarded-For: "));
    for (size_t i = 0; i < head->field_count; i++)
        if (named(head->fields[i].name, "X-Forwarded-For") && head->fields[i].value.len > 0)
            buf_printf(to, SPAN_FMT ", ", SPAN_ARG(head->fields[i].value));
    buf_printf(to, "%s\r\nX-Forwarded-Proto: %s\r\nForwarded: for=\"%s" SPAN_FMT "%s\";proto=%s\r\n",
               context->client_ip, proto, v6 ? "[" : "", SPAN_ARG(client), v6 ? "]" : "", proto);
}

/* The token of a field that was checked, with a word in place of the signature: the instance learns who calls, and can
 * call no one else in that name. As on Cloud Run. */
static void checked_field(struct buf *to, struct span name, struct span value)
{
    size_t end = value.len;
    while (end > 0 && value.data[end - 1] != '.')
        end--;
    buf_printf(to, SPAN_FMT ": " SPAN_FMT FORWARD_NO_SIGNATURE "\r\n", SPAN_ARG(name),
               SPAN_ARG(span_sub(value, 0, end)));
}

/* Of the fields with credentials only the one that was checked goes on, so no program takes another one for it. An
 * Authorization beside the other field is the program's own, and was not checked. */
static bool is_credential(struct span name, const char *checked)
{
    static const char serverless[] = "x-serverless-authorization";
    return named(name, checked) || (name.len == sizeof serverless - 1 && begins_like(name, serverless));
}

/* Trailer is for one hop in older specifications; here it goes where the trailers go. */
static bool announces_trailers(struct span name, bool chunked)
{
    return chunked && named(name, "Trailer");
}

void forward_request(struct buf *to, const struct http1_head *head, const struct forward_context *context)
{
    /* One of HTTP/1.0 need not name a host; servers of HTTP/1.1, ours too, refuse an empty one. */
    bool passed = false;
    struct span host = head->host.len != 0 ? head->host : SPAN_LIT("localhost");
    buf_printf(to, SPAN_FMT " " SPAN_FMT " HTTP/1.1\r\nHost: " SPAN_FMT "\r\n", SPAN_ARG(head->method),
               SPAN_ARG(head->target), SPAN_ARG(host));
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http1_field *one = &head->fields[i];
        if (is_ours(one->name) || (http1_field_is_hop_by_hop(head, one->name) &&
                                   !announces_trailers(one->name, head->body == HTTP1_BODY_CHUNKED)))
            continue;
        if (context->checked != NULL && is_credential(one->name, context->checked)) {
            if (!passed && named(one->name, context->checked))
                checked_field(to, one->name, one->value);
            passed = passed || named(one->name, context->checked);
        } else {
            field(to, one->name, one->value);
        }
    }
    if (head->upgrade_websocket)
        buf_append(to, SPAN_LIT("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (http1_field_has_token(head, SPAN_LIT("TE"), SPAN_LIT("trailers"))) /* and we pass them */
        buf_append(to, SPAN_LIT("Connection: close, TE\r\nTE: trailers\r\n"));
    else
        buf_append(to, SPAN_LIT("Connection: close\r\n"));
    if (head->body == HTTP1_BODY_CHUNKED)
        buf_append(to, SPAN_LIT("Transfer-Encoding: chunked\r\n"));
    address_fields(to, head, context);
    trace_fields(to, head, context);
    buf_append(to, SPAN_LIT("\r\n"));
}

static bool is_final(const struct http1_head *head)
{
    return head->status >= 200 || head->status == 101;
}

void forward_response(struct buf *to, const struct http1_head *head, const struct forward_reply *reply)
{
    bool cookie = reply->affinity != NULL && is_final(head);
    bool is_private = cookie || http1_field_get(head, SPAN_LIT("Set-Cookie")).data != NULL;
    buf_printf(to, "HTTP/1.1 %d " SPAN_FMT "\r\n", head->status, SPAN_ARG(head->reason));
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http1_field *one = &head->fields[i];
        if (!named(one->name, "X-Sennit-Instance") &&
            (!http1_field_is_hop_by_hop(head, one->name) || announces_trailers(one->name, reply->chunked)) &&
            !(is_private && named(one->name, "Cache-Control")))
            field(to, one->name, one->value);
    }
    if (is_final(head))
        buf_printf(to, "X-Sennit-Instance: %s\r\n", reply->instance);
    if (is_private)
        buf_append(to, SPAN_LIT("Cache-Control: private\r\n"));
    if (cookie) {
        buf_append(to, SPAN_LIT("Set-Cookie: "));
        affinity_encode(to, reply->affinity);
        buf_append(to, SPAN_LIT("\r\n"));
    }
    if (head->upgrade_websocket)
        buf_append(to, SPAN_LIT("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (head->status >= 200 && !reply->keep_alive)
        buf_append(to, SPAN_LIT("Connection: close\r\n"));
    if (reply->chunked)
        buf_append(to, SPAN_LIT("Transfer-Encoding: chunked\r\n"));
    buf_append(to, SPAN_LIT("\r\n"));
}

size_t forward_trailers(struct buf *to, struct span lines, struct span *culprit)
{
    struct http1_field one;
    size_t dropped = 0;
    while (http1_trailer_next(&lines, &one)) {
        if (!is_for_heads(one.name))
            field(to, one.name, one.value);
        else if (dropped++ == 0)
            *culprit = one.name;
    }
    return dropped;
}
