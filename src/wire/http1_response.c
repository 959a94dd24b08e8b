/* http1_response: small whole responses, and the phrases that go with their status. */
#include <assert.h>

#include "wire/http1_parts.h"

/* RFC 9110 section 15, RFC 6585. */
static const struct {
    int status;
    const char *text;
} phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http1_status_text(int status)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].status == status)
            return phrases[i].text;
    return "";
}

void http1_response_head_encode(struct buf *to, int status, struct span type, struct span fields,
                                uint64_t content_length, bool keep_alive)
{
    bool without_body = status < 200 || status == 204 || status == 304;
    assert(status >= 100 && status <= 999);
    assert(!without_body || content_length == 0);
    buf_append(to, SPAN_LIT("HTTP/1.1 "));
    buf_append_u64(to, (uint64_t)status);
    buf_append_char(to, ' ');
    buf_append(to, span_str(http1_status_text(status)));
    buf_append(to, SPAN_LIT("\r\n"));
    if (type.len != 0) {
        buf_append(to, SPAN_LIT("Content-Type: "));
        buf_append(to, type);
        buf_append(to, SPAN_LIT("\r\n"));
    }
    /* RFC 9110 section 8.6: none in 1xx and 204; in 304 it would speak of the body that was not sent. */
    if (!without_body) {
        buf_append(to, SPAN_LIT("Content-Length: "));
        buf_append_u64(to, content_length);
        buf_append(to, SPAN_LIT("\r\n"));
    }
    buf_append(to, fields);
    if (!keep_alive)
        buf_append(to, SPAN_LIT("Connection: close\r\n"));
    buf_append(to, SPAN_LIT("\r\n"));
}

void http1_response_encode(struct buf *to, int status, struct span type, struct span fields, struct span body,
                           bool keep_alive)
{
    http1_response_head_encode(to, status, type, fields, body.len, keep_alive);
    buf_append(to, body);
}
