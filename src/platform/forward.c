/* forward: see forward.h. */
#include "platform/forward.h"

static bool named(struct span name, const char *text)
{
    return span_equal_nocase(name, span_str(text));
}

static bool starts_with_nocase(struct span name, const char *prefix)
{
    struct span p = span_str(prefix);
    return name.len >= p.len && span_equal_nocase(span_sub(name, 0, p.len), p);
}

/* Written anew by us, or not the client's to say. */
static bool is_ours(struct span name)
{
    return named(name, "X-Forwarded-For") || named(name, "X-Forwarded-Proto") || named(name, "Forwarded") ||
           named(name, "Host") || named(name, "traceparent") || named(name, "X-Cloud-Trace-Context") ||
           named(name, "Upgrade") || named(name, "Connection") || named(name, "HTTP2-Settings") ||
           starts_with_nocase(name, "Knative-Serving-") || starts_with_nocase(name, "K-");
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

/* `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context) */
static bool traceparent_is_valid(struct span value)
{
    return value.len == 55 && span_starts_with(value, SPAN_LIT("00-")) && is_hex(span_sub(value, 3, 32)) &&
           value.data[35] == '-' && is_hex(span_sub(value, 36, 16)) && value.data[52] == '-' &&
           is_hex(span_sub(value, 53, 2));
}

static void trace_fields(struct buf *to, const struct http1_head *head, const struct forward_context *context)
{
    struct span parent = http1_field_get(head, SPAN_LIT("traceparent"));
    if (parent.data != NULL && traceparent_is_valid(parent)) {
        field(to, SPAN_LIT("traceparent"), parent);
        buf_printf(to, "X-Cloud-Trace-Context: " SPAN_FMT "/1;o=1\r\n", SPAN_ARG(span_sub(parent, 3, 32)));
        return;
    }
    buf_printf(to, "traceparent: 00-%s-%s-01\r\nX-Cloud-Trace-Context: %s/1;o=1\r\n", context->trace, context->span,
               context->trace);
}

/* The client's own values stay in front, where nobody trusts them; the rightmost is ours. */
static void address_fields(struct buf *to, const struct http1_head *head, const struct forward_context *context)
{
    bool v6 = strchr(context->client_ip, ':') != NULL;
    buf_append(to, SPAN_LIT("X-Forwarded-For: "));
    for (size_t i = 0; i < head->field_count; i++)
        if (named(head->fields[i].name, "X-Forwarded-For") && head->fields[i].value.len > 0)
            buf_printf(to, SPAN_FMT ", ", SPAN_ARG(head->fields[i].value));
    buf_printf(to, "%s\r\nX-Forwarded-Proto: http\r\nForwarded: for=\"%s%s%s\";proto=http\r\n", context->client_ip,
               v6 ? "[" : "", context->client_ip, v6 ? "]" : "");
}

void forward_request(struct buf *to, const struct http1_head *head, const struct forward_context *context)
{
    buf_printf(to, SPAN_FMT " " SPAN_FMT " HTTP/1.1\r\nHost: " SPAN_FMT "\r\n", SPAN_ARG(head->method),
               SPAN_ARG(head->target), SPAN_ARG(head->host));
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http1_field *one = &head->fields[i];
        if (!is_ours(one->name) && !http1_field_is_hop_by_hop(head, one->name))
            field(to, one->name, one->value);
    }
    if (head->upgrade_websocket)
        buf_append(to, SPAN_LIT("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else
        buf_append(to, SPAN_LIT("Connection: close\r\n"));
    if (head->body == HTTP1_BODY_CHUNKED)
        buf_append(to, SPAN_LIT("Transfer-Encoding: chunked\r\n"));
    address_fields(to, head, context);
    trace_fields(to, head, context);
    buf_append(to, SPAN_LIT("\r\n"));
}

void forward_response(struct buf *to, const struct http1_head *head, bool chunked, bool keep_alive,
                      const char *instance)
{
    buf_printf(to, "HTTP/1.1 %d " SPAN_FMT "\r\n", head->status, SPAN_ARG(head->reason));
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http1_field *one = &head->fields[i];
        if (!named(one->name, "X-Sennit-Instance") && !http1_field_is_hop_by_hop(head, one->name))
            field(to, one->name, one->value);
    }
    if (head->status >= 200 || head->status == 101)
        buf_printf(to, "X-Sennit-Instance: %s\r\n", instance);
    if (head->upgrade_websocket)
        buf_append(to, SPAN_LIT("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (head->status >= 200 && !keep_alive)
        buf_append(to, SPAN_LIT("Connection: close\r\n"));
    if (chunked)
        buf_append(to, SPAN_LIT("Transfer-Encoding: chunked\r\n"));
    buf_append(to, SPAN_LIT("\r\n"));
}
