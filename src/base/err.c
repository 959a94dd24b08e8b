/* err: formats the text, bounded, and puts prefixes in front of it. */
#include "base/err.h"

#include <string.h>

#include "base/buf.h"

enum { END_BYTES = 400 }; /* kept of the end of a text that is too long */

/* A text that is too long loses its middle: the beginning names the place, the end the remedy. */
static void fit(struct err *err, struct span text)
{
    size_t room = sizeof err->text - 1, len = text.len < room ? text.len : room;
    memcpy(err->text, text.data, len);
    if (text.len > room) {
        memcpy(err->text + room - END_BYTES - 3, "...", 3);
        memcpy(err->text + room - END_BYTES, text.data + text.len - END_BYTES, END_BYTES);
    }
    err->text[len] = '\0';
}

bool err_vset(struct err *err, const char *format, va_list args)
{
    struct buf text = {0};
    buf_vprintf(&text, format, args);
    fit(err, buf_span(&text));
    buf_finish(&text);
    return false;
}

bool err_set(struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err_vset(err, format, args);
    va_end(args);
    return false;
}

bool err_prefix(struct err *err, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    buf_append(&text, span_str(err->text));
    fit(err, buf_span(&text));
    buf_finish(&text);
    return false;
}
