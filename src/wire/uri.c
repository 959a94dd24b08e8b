/* uri: splits URIs with uriparser.
 *
 * uriparser is strict, so it gets a copy in which each character that only we take is replaced by `~`, which may stand
 * in every part. The copy is as long as the text, so a part has the same place in both. Of uriparser's parts only the
 * lengths are used, because an empty part of it points elsewhere. */
#include "wire/uri.h"

#include <ctype.h>
#include <stdlib.h>

#include <uriparser/Uri.h>

#include "base/buf.h"
#include "base/mem.h"

/* Where the parts of the authority lie, right or wrong. */
struct outline {
    size_t login, host; /* where they begin; the same: there is no login */
    size_t end;
};

static bool outline_find(struct outline *outline, struct span text)
{
    const struct span mark = SPAN_LIT("://");
    ptrdiff_t colon = span_find(text, ':');
    if (colon <= 0 || !span_starts_with(span_from(text, (size_t)colon), mark))
        return false;
    for (size_t i = 0; i < (size_t)colon; i++) /* else uriparser takes a path without a scheme */
        if (!isalnum((unsigned char)text.data[i]) && (text.data[i] == '\0' || strchr("+-.", text.data[i]) == NULL))
            return false;
    outline->login = outline->host = (size_t)colon + mark.len;
    size_t at = outline->login;
    for (; at < text.len && text.data[at] != '/' && text.data[at] != '?'; at++)
        if (text.data[at] == '@')
            outline->host = at + 1;
    outline->end = at;
    return true;
}

static bool is_escape(struct span text, size_t at)
{
    return at + 2 < text.len && text.data[at] == '%' && isxdigit((unsigned char)text.data[at + 1]) &&
           isxdigit((unsigned char)text.data[at + 2]);
}

/* What uriparser would take at this place (RFC 3986 section 3). */
static bool is_regular(struct span text, size_t at, const struct outline *outline)
{
    char c = at < text.len ? text.data[at] : '\0';
    if (at < outline->login)
        return true;
    if (c == '[' || c == ']')
        return at >= outline->host && at < outline->end;
    if (c == '@')
        return at + 1 == outline->host || at >= outline->end;
    if (c == '%')
        return is_escape(text, at);
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=:/?", c) != NULL);
}

/* The fault of the authority or the scheme: nothing else can be wrong in a text made regular. */
static enum uri_fault fault_at(struct span text, const struct outline *outline, size_t at)
{
    struct span place = span_sub(text, outline->host, outline->end - outline->host);
    bool bracket = place.len > 0 && place.data[0] == '[';
    ptrdiff_t host_end = span_find(place, bracket ? ']' : ':');
    if (at < outline->login)
        return URI_NO_SCHEME;
    if (bracket && host_end < 0)
        return URI_BRACKET_OPEN;
    return host_end >= 0 && at > outline->host + (size_t)host_end ? URI_BAD_PORT : URI_BAD_HOST;
}

static size_t length(UriTextRangeA part)
{
    return part.first != NULL ? (size_t)(part.afterLast - part.first) : 0;
}

/* The parts of `text`, which have the lengths in `parsed`. */
static void parts_take(struct uri *uri, struct span text, const struct outline *outline, const UriUriA *parsed)
{
    uri->scheme = span_sub(text, 0, length(parsed->scheme));
    if (parsed->userInfo.first != NULL)
        uri->login = span_sub(text, outline->login, length(parsed->userInfo));
    uri->place = span_sub(text, outline->host, outline->end - outline->host);
    uri->host = span_sub(uri->place, parsed->hostData.ip6 != NULL ? 1 : 0, length(parsed->hostText));
    if (parsed->portText.first != NULL)
        uri->port = span_of(text.data + outline->end - length(parsed->portText), length(parsed->portText));
    uri->path = span_sub(text, outline->end, text.len - outline->end);
    if (parsed->query.first != NULL) {
        uri->query = span_of(text.data + text.len - length(parsed->query), length(parsed->query));
        uri->path.len -= uri->query.len + 1;
    }
}

bool uri_split(struct uri *uri, struct span text, enum uri_fault *fault)
{
    struct outline outline;
    UriUriA parsed;
    const char *stopped = NULL;
    *uri = (struct uri){0};
    *fault = text.len > URI_BYTES_MAX ? URI_TOO_LONG : URI_NO_SCHEME;
    if (*fault == URI_TOO_LONG || !outline_find(&outline, text))
        return false;
    char *copy = mem_text(text);
    for (size_t i = 0; i < text.len; i++)
        if (!is_regular(text, i, &outline))
            copy[i] = '~';
    int result = uriParseSingleUriExA(&parsed, copy, copy + text.len, &stopped);
    if (result == URI_ERROR_MALLOC)
        abort(); /* as for every small allocation */
    bool ok = result == URI_SUCCESS;
    if (!ok)
        *fault = fault_at(text, &outline, stopped != NULL ? (size_t)(stopped - copy) : 0);
    if (ok) {
        parts_take(uri, text, &outline, &parsed);
        ok = parsed.hostData.ipFuture.first == NULL; /* RFC 3986 has a form for later kinds of addresses */
        *fault = URI_BAD_HOST;
        uriFreeUriMembersA(&parsed);
    }
    free(copy);
    return ok;
}

char *uri_decode(struct span part)
{
    for (size_t i = 0; i < part.len; i++) {
        bool is_nul = part.data[i] == '\0' || span_starts_with(span_from(part, i), SPAN_LIT("%00"));
        if (is_nul || (part.data[i] == '%' && !is_escape(part, i)))
            return NULL;
    }
    char *text = mem_text(part);
    uriUnescapeInPlaceExA(text, URI_FALSE, URI_BR_DONT_TOUCH);
    return text;
}

char *uri_form_decode(struct span value)
{
    struct buf text = {0};
    for (size_t i = 0; i < value.len; i++)
        buf_append_char(&text, value.data[i] == '+' ? ' ' : value.data[i]);
    char *decoded = uri_decode(buf_span(&text));
    buf_finish(&text);
    return decoded;
}
