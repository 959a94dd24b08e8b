/* http1_head: request and status lines, and the fields behind them (RFC 9112 sections 2 to 5).
 *
 * First the end of the head is found, looking only at bytes that were not there before; every line ending is checked on
 * the way, so that a bare LF is refused when it arrives. Then the lines are read once. The result depends on the bytes
 * alone, not on how they were cut into pieces: of several faults, the first in the bytes counts. */
#include "wire/http1_parts.h"

enum { LINE_END_BYTES = 2 };

/* Checks the line ending whose LF stands at `lf`. True when it ends the head, which began at `start`. */
static bool ends_head(struct span bytes, size_t start, size_t lf)
{
    return lf >= start + 3 && memcmp(bytes.data + lf - 3, "\r\n\r\n", 4) == 0;
}

/* Finds the end of the head that begins at `start`: the offset behind its empty line, 0 when it has not come yet, or -1
 * with `*status`. */
static ptrdiff_t head_end(struct http1_head *head, struct span bytes, size_t start, size_t seen, int *status)
{
    size_t line_limit = start + HTTP1_LINE_BYTES_MAX + LINE_END_BYTES, head_limit = start + HTTP1_HEAD_BYTES_MAX;
    size_t at = seen > start ? seen : start;
    /* Only when the limit is crossed, because more bytes cannot change whether a line ended before it. */
    if (seen < line_limit && bytes.len >= line_limit &&
        span_find(span_sub(bytes, start, line_limit - start), '\n') < 0) {
        *status = http1_fault(head, 414, "the first line has at most 8 KiB", span_from(bytes, start));
        return -1;
    }
    size_t limit = bytes.len < head_limit ? bytes.len : head_limit;
    while (at < limit) {
        ptrdiff_t found = span_find(span_sub(bytes, at, limit - at), '\n');
        if (found < 0)
            break;
        size_t lf = at + (size_t)found;
        if (lf == start || bytes.data[lf - 1] != '\r') {
            *status = http1_fault(head, 400, "a line ends in CR LF, not in LF alone", span_from(bytes, start));
            return -1;
        }
        if (ends_head(bytes, start, lf))
            return (ptrdiff_t)(lf + 1);
        at = lf + 1;
    }
    if (bytes.len >= head_limit) {
        *status = http1_fault(head, 431, "a head has at most 64 KiB", span_from(bytes, start));
        return -1;
    }
    return 0;
}

int http1_fault(struct http1_head *head, int status, const char *rule, struct span culprit)
{
    head->rule = rule;
    head->culprit = culprit;
    return status;
}

/* Everything but the array of fields, whose four kilobytes need no clearing. */
static void head_reset(struct http1_head *head)
{
    size_t behind = offsetof(struct http1_head, field_count);
    memset(head, 0, offsetof(struct http1_head, fields));
    memset((char *)head + behind, 0, sizeof *head - behind);
}

/* Takes the next line, without its ending, which head_end has checked. */
static struct span line_next(struct span *rest)
{
    ptrdiff_t lf = span_find(*rest, '\n');
    struct span line = span_sub(*rest, 0, (size_t)lf - 1);
    *rest = span_from(*rest, (size_t)lf + 1);
    return line;
}

/* field-line = field-name ":" OWS field-value OWS. A line that starts with white space (obs-fold) and a space before
 * the colon have no token for a name, so both are refused here. */
static int field_decode(struct http1_head *head, struct span line)
{
    if (head->field_count == HTTP1_FIELDS_MAX)
        return http1_fault(head, 431, "a head has at most 128 fields", line);
    struct http1_field *field = &head->fields[head->field_count];
    size_t name_len = 0;
    while (name_len < line.len && http1_char_is(line.data[name_len], HTTP1_CHAR_TOKEN))
        name_len++;
    if (name_len == 0 || name_len == line.len || line.data[name_len] != ':')
        return http1_fault(head, 400, "a field's name is a token, with a colon behind it", line);
    field->name = span_sub(line, 0, name_len);
    field->value = span_trim(span_from(line, name_len + 1));
    if (field->value.len != 0 && !http1_chars_are(field->value, HTTP1_CHAR_RECEIVED))
        return http1_fault(head, 400, "a field's value has no control characters but tab", line);
    head->field_count++;
    return 0;
}

/* All lines behind the first, up to the empty one. */
static int fields_decode(struct http1_head *head, struct span rest)
{
    for (;;) {
        struct span line = line_next(&rest);
        if (line.len == 0)
            return 0;
        int status = field_decode(head, line);
        if (status != 0)
            return status;
    }
}

/* request-line = method SP request-target SP HTTP-version, one space each. */
static int request_line_decode(struct http1_head *head, struct span line, struct span *target)
{
    ptrdiff_t first = span_find(line, ' ');
    if (first < 0)
        return http1_fault(head, 400, "a request line is METHOD TARGET HTTP/1.1", line);
    head->method = span_sub(line, 0, (size_t)first);
    struct span rest = span_from(line, (size_t)first + 1);
    ptrdiff_t second = span_find(rest, ' ');
    if (second < 0 || !http1_chars_are(head->method, HTTP1_CHAR_TOKEN))
        return http1_fault(head, 400, "a request line is METHOD TARGET HTTP/1.1", line);
    *target = span_sub(rest, 0, (size_t)second);
    int status = http1_version_decode(span_from(rest, (size_t)second + 1), &head->minor);
    if (status != 0)
        return http1_fault(head, status, "the version is HTTP/1.0 or HTTP/1.1", line);
    if (span_equal(head->method, SPAN_LIT("CONNECT"))) /* tunnels to anywhere are not ours to open */
        return http1_fault(head, 501, "CONNECT is not supported", line);
    return 0;
}

static int request_decode(struct http1_head *head, struct span rest)
{
    struct span target, authority, default_port;
    int status = request_line_decode(head, line_next(&rest), &target);
    if (status == 0)
        status = http1_target_decode(head, target, &authority, &default_port);
    if (status == 0)
        status = fields_decode(head, rest);
    if (status == 0)
        status = http1_host_decode(head, authority, default_port);
    if (status == 0)
        status = http1_request_derive(head);
    return status;
}

ptrdiff_t http1_request_decode(struct span bytes, size_t seen, struct http1_head *head, int *status)
{
    size_t start = 0;
    *status = 0;
    head_reset(head); /* a fault tells of this request alone */
    /* RFC 9112 section 2.2: one empty line before the request line is ignored. */
    if (bytes.len != 0 && bytes.data[0] == '\r') {
        if (bytes.len == 1)
            return 0;
        start = LINE_END_BYTES;
        if (bytes.data[1] != '\n') {
            *status = http1_fault(head, 400, "a line ends in CR LF", bytes);
            return -1;
        }
    }
    if (bytes.len <= start)
        return 0;
    /* A byte that cannot start a method is refused at once, so TLS and the like end at their first byte. */
    if (!http1_char_is(bytes.data[start], HTTP1_CHAR_TOKEN)) {
        *status = http1_fault(head, 400, "a request begins with its method, in plain text", span_from(bytes, start));
        return -1;
    }
    ptrdiff_t end = head_end(head, bytes, start, seen, status);
    if (end <= 0)
        return end;
    *status = request_decode(head, span_sub(bytes, start, (size_t)end - start));
    return *status == 0 ? end : -1;
}

/* status-line = HTTP-version SP 3DIGIT [ SP [ reason-phrase ] ]; that the space may be missing follows practice. */
static bool status_line_decode(struct http1_head *head, struct span line)
{
    uint64_t status;
    if (line.len < 12 || http1_version_decode(span_sub(line, 0, 8), &head->minor) != 0 || line.data[8] != ' ' ||
        !span_to_u64(span_sub(line, 9, 3), &status) || status < 100 || (line.len > 12 && line.data[12] != ' ')) {
        http1_fault(head, 0, "a status line is HTTP/1.1 CODE REASON", line);
        return false;
    }
    head->status = (int)status;
    head->reason = span_from(line, 13);
    if (head->reason.len == 0 || http1_chars_are(head->reason, HTTP1_CHAR_RECEIVED))
        return true;
    http1_fault(head, 0, "a reason phrase has no control characters but tab", line);
    return false;
}

ptrdiff_t http1_response_decode(struct span bytes, size_t seen, struct span method, struct http1_head *head)
{
    int status;
    if (bytes.len == 0)
        return 0;
    if (bytes.data[0] != 'H') {
        http1_fault(head, 0, "a response begins with HTTP/1.1", bytes);
        return -1;
    }
    ptrdiff_t end = head_end(head, bytes, 0, seen, &status);
    if (end <= 0)
        return end;
    head_reset(head);
    struct span rest = span_sub(bytes, 0, (size_t)end);
    if (!status_line_decode(head, line_next(&rest)) || fields_decode(head, rest) != 0 ||
        http1_response_derive(head, method) != 0)
        return -1;
    return end;
}
