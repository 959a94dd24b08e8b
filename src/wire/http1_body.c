/* http1_body: bodies by length, by chunks (RFC 9112 section 7.1) and until the end of the connection.
 *
 * Chunked is a machine of one byte a step around runs of data:
 *
 *     size [ ext ] CR LF data CR LF ... 0 [ ext ] CR LF { trailer CR LF } CR LF
 *
 * Every line ends in exactly CR LF, and neither byte occurs elsewhere in one: extensions with line breaks in them, also
 * within quotes, are read differently by different parsers. */
#include "wire/http1_parts.h"

enum { SIZE_DIGITS_MAX = 16 };

enum state {
    SIZE_FIRST, /* the first digit of a size */
    SIZE,
    EXTENSION,
    QUOTED, /* a value of it in quotes */
    QUOTED_PAIR,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* the first byte of a trailer line, or the CR of the last line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
};

void http1_body_start(struct http1_body *body, const struct http1_head *head)
{
    *body = (struct http1_body){.kind = head->body, .state = SIZE_FIRST};
    if (head->body == HTTP1_BODY_LENGTH)
        body->left = head->content_length;
    body->done = head->body == HTTP1_BODY_NONE || (head->body == HTTP1_BODY_LENGTH && body->left == 0);
}

/* One more byte of a line or of the trailers; false when there are too many. */
static bool line_grow(struct http1_body *body, uint16_t limit)
{
    return ++body->line_bytes <= limit;
}

/* The size line of a chunk; false when `c` cannot stand here. */
static bool size_step(struct http1_body *body, char c)
{
    if (!line_grow(body, HTTP1_CHUNK_LINE_BYTES_MAX))
        return false;
    switch ((enum state)body->state) {
    case SIZE_FIRST:
    case SIZE:
        if (http1_char_is(c, HTTP1_CHAR_HEX)) {
            if (body->line_bytes > SIZE_DIGITS_MAX)
                return false;
            body->left = body->left << 4 | (uint64_t)hex_digit(c);
            body->state = SIZE;
            return body->left <= INT64_MAX;
        }
        if (body->state == SIZE_FIRST || (c != ';' && c != '\r'))
            return false;
        body->state = c == ';' ? EXTENSION : SIZE_LF;
        return true;
    case EXTENSION:
        if (c == '\r' || c == '"')
            body->state = c == '\r' ? SIZE_LF : QUOTED;
        else if (!http1_char_is(c, HTTP1_CHAR_RECEIVED))
            return false;
        return true;
    case QUOTED:
    case QUOTED_PAIR:
        if (body->state == QUOTED && c == '"')
            body->state = EXTENSION;
        else
            body->state = body->state == QUOTED && c == '\\' ? QUOTED_PAIR : QUOTED;
        return http1_char_is(c, HTTP1_CHAR_RECEIVED);
    default:
        if (c != '\n')
            return false;
        body->line_bytes = 0;
        body->state = body->left != 0 ? DATA : TRAILER_FIRST;
        return true;
    }
}

/* Trailers: fields like those of a head. */
static bool trailer_step(struct http1_body *body, char c)
{
    if (!line_grow(body, HTTP1_TRAILER_BYTES_MAX))
        return false;
    if (body->trailers != NULL && body->state != LAST_LF && !(body->state == TRAILER_FIRST && c == '\r'))
        buf_append_char(body->trailers, c);
    switch ((enum state)body->state) {
    case TRAILER_FIRST:
        body->state = c == '\r' ? LAST_LF : TRAILER_NAME;
        return c == '\r' || http1_char_is(c, HTTP1_CHAR_TOKEN);
    case TRAILER_NAME:
        if (c == ':')
            body->state = TRAILER_VALUE;
        return c == ':' || http1_char_is(c, HTTP1_CHAR_TOKEN);
    case TRAILER_VALUE:
        if (c == '\r')
            body->state = TRAILER_LF;
        return c == '\r' || http1_char_is(c, HTTP1_CHAR_RECEIVED);
    case TRAILER_LF:
        body->state = TRAILER_FIRST;
        return c == '\n';
    default:
        body->done = c == '\n';
        return body->done;
    }
}

/* The CR LF behind the data of a chunk. */
static bool data_end_step(struct http1_body *body, char c)
{
    char expected = body->state == DATA_CR ? '\r' : '\n';
    body->state = body->state == DATA_CR ? DATA_LF : SIZE_FIRST;
    return c == expected;
}

/* A run of at most `body->left` bytes at the front of `bytes`. */
static struct span data_take(struct http1_body *body, struct span bytes)
{
    struct span data = span_sub(bytes, 0, body->left < bytes.len ? (size_t)body->left : bytes.len);
    body->left -= data.len;
    return data;
}

bool http1_trailer_next(struct span *lines, struct http1_field *field)
{
    const char *colon = lines->len > 0 ? memchr(lines->data, ':', lines->len) : NULL;
    const char *end = lines->len > 0 ? memchr(lines->data, '\r', lines->len) : NULL;
    if (colon == NULL || end == NULL || colon > end)
        return false;
    field->name = span_of(lines->data, (size_t)(colon - lines->data));
    field->value = span_trim(span_of(colon + 1, (size_t)(end - colon - 1)));
    *lines = span_from(*lines, (size_t)(end - lines->data) + 2);
    return true;
}

static ptrdiff_t chunked_decode(struct http1_body *body, struct span bytes, struct span *data)
{
    size_t at = 0;
    while (at < bytes.len && !body->done) {
        if (body->state == DATA) {
            *data = data_take(body, span_from(bytes, at));
            if (body->left == 0)
                body->state = DATA_CR;
            return (ptrdiff_t)(at + data->len);
        }
        char c = bytes.data[at++];
        bool good;
        if (body->state <= SIZE_LF)
            good = size_step(body, c);
        else if (body->state <= DATA_LF)
            good = data_end_step(body, c);
        else
            good = trailer_step(body, c);
        if (!good)
            return -1;
    }
    return (ptrdiff_t)at;
}

ptrdiff_t http1_body_decode(struct http1_body *body, struct span bytes, struct span *data)
{
    *data = span_of("", 0);
    if (body->done)
        return 0;
    switch (body->kind) {
    case HTTP1_BODY_LENGTH:
        *data = data_take(body, bytes);
        body->done = body->left == 0;
        return (ptrdiff_t)data->len;
    case HTTP1_BODY_CHUNKED:
        return chunked_decode(body, bytes, data);
    case HTTP1_BODY_UNTIL_CLOSE:
        *data = bytes;
        return (ptrdiff_t)bytes.len;
    case HTTP1_BODY_NONE:
        break;
    }
    return 0;
}
