/* http1_framing: where the body ends, and whether the connection goes on behind it (RFC 9112 sections 6 and 9).
 *
 * The rule throughout: a message whose length two parsers could disagree about is refused, even where the RFC says
 * which reading wins. */
#include "wire/http1_parts.h"

/* Framing by the fields alone, before method and status are considered. */
struct framing {
    bool chunked, has_length;
    uint64_t length;
};

/* The value of Transfer-Encoding: exactly "chunked". Other codings before it are unknown to us; anything else than
 * chunked at the end leaves the length open. Returns 0, 400 or 501. */
static int coding_decode(struct http1_head *head, struct span value)
{
    static const char rule[] = "Transfer-Encoding is chunked, once, and nothing else";
    struct span rest = value, coding;
    bool last_is_chunked = false, others = false;
    while (span_next(&rest, ',', &coding)) {
        coding = span_trim(coding);
        if (last_is_chunked || coding.len == 0)
            return http1_fault(head, 400, rule, value);
        last_is_chunked = span_equal_nocase(coding, SPAN_LIT("chunked"));
        others = others || !last_is_chunked;
    }
    if (last_is_chunked && !others)
        return 0;
    return http1_fault(head, last_is_chunked ? 501 : 400, rule, value);
}

/* 1*DIGIT, one of it; above INT64_MAX some parsers see a negative number. */
static bool length_decode(struct span value, uint64_t *length)
{
    return value.len <= 19 && span_to_u64(value, length) && *length <= INT64_MAX;
}

static int framing_decode(struct http1_head *head, struct framing *framing)
{
    *framing = (struct framing){0};
    for (size_t i = 0; i < head->field_count; i++) {
        struct span name = head->fields[i].name, value = head->fields[i].value;
        if (span_equal_nocase(name, SPAN_LIT("Content-Length"))) {
            if (framing->has_length || !length_decode(value, &framing->length))
                return http1_fault(head, 400, "Content-Length is one number, once", value);
            framing->has_length = true;
        } else if (span_equal_nocase(name, SPAN_LIT("Transfer-Encoding"))) {
            int status = coding_decode(head, value);
            if (framing->chunked)
                return http1_fault(head, 400, "Transfer-Encoding stands once", value);
            if (status != 0)
                return status;
            framing->chunked = true;
        }
    }
    if (framing->chunked && (framing->has_length || head->minor == 0))
        return http1_fault(head, 400, "Transfer-Encoding stands neither beside Content-Length nor in HTTP/1.0",
                           SPAN_LIT("Transfer-Encoding"));
    return 0;
}

static void body_set(struct http1_head *head, const struct framing *framing)
{
    head->content_length = framing->length;
    if (framing->chunked)
        head->body = HTTP1_BODY_CHUNKED;
    else if (framing->length != 0)
        head->body = HTTP1_BODY_LENGTH;
    else
        head->body = HTTP1_BODY_NONE;
}

static bool persists(const struct http1_head *head)
{
    if (http1_field_has_token(head, SPAN_LIT("Connection"), SPAN_LIT("close")))
        return false;
    return head->minor == 1 || http1_field_has_token(head, SPAN_LIT("Connection"), SPAN_LIT("keep-alive"));
}

/* True for one Upgrade field with the single value websocket, confirmed by Connection. */
static bool upgrades(const struct http1_head *head)
{
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++)
        count += span_equal_nocase(head->fields[i].name, SPAN_LIT("Upgrade"));
    return head->minor == 1 && count == 1 &&
           span_equal_nocase(http1_field_get(head, SPAN_LIT("Upgrade")), SPAN_LIT("websocket")) &&
           http1_field_has_token(head, SPAN_LIT("Connection"), SPAN_LIT("upgrade"));
}

int http1_request_derive(struct http1_head *head)
{
    struct framing framing;
    int status = framing_decode(head, &framing);
    if (status != 0)
        return status;
    body_set(head, &framing);
    /* Methods without a defined body, from a version whose servers often ignored one: it would be read as a request. */
    if (head->minor == 0 && head->body != HTTP1_BODY_NONE &&
        (span_equal(head->method, SPAN_LIT("GET")) || span_equal(head->method, SPAN_LIT("HEAD")) ||
         span_equal(head->method, SPAN_LIT("DELETE"))))
        return http1_fault(head, 400, "GET, HEAD and DELETE have no body in HTTP/1.0", head->method);
    head->keep_alive = persists(head);
    head->upgrade_websocket =
        head->body == HTTP1_BODY_NONE && span_equal(head->method, SPAN_LIT("GET")) && upgrades(head);
    head->expect_continue =
        head->minor == 1 && http1_field_has_token(head, SPAN_LIT("Expect"), SPAN_LIT("100-continue"));
    return 0;
}

int http1_response_derive(struct http1_head *head, struct span method)
{
    struct framing framing;
    int status = framing_decode(head, &framing);
    if (status != 0)
        return status;
    body_set(head, &framing);
    bool never_has_body = head->status < 200 || head->status == 204;
    /* RFC 9112 section 6.1: no Transfer-Encoding here. A sender that uses it may well send a body behind it. */
    if (never_has_body && head->body != HTTP1_BODY_NONE)
        return http1_fault(head, 400, "a response with status 1xx or 204 has no body", SPAN_LIT(""));
    if (never_has_body || head->status == 304 || span_equal(method, SPAN_LIT("HEAD")))
        head->body = HTTP1_BODY_NONE;
    else if (head->body == HTTP1_BODY_NONE && !framing.has_length)
        head->body = HTTP1_BODY_UNTIL_CLOSE;
    head->keep_alive = head->status != 101 && head->body != HTTP1_BODY_UNTIL_CLOSE && persists(head);
    head->upgrade_websocket = head->status == 101 && upgrades(head);
    return 0;
}
