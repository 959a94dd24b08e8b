/* format: arguments that a program sends: checked JSON text, or a format and its values. Every value becomes one whole
 * JSON value, so nothing in a text can end it; the whole is then read once more, as JSON. */
#include <math.h>

#include "embed/embed_parts.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum { NAME_BYTES_MAX = 256, MEGABYTES_MAX = 1 << 20 };

static bool fault(struct format_result *to, const char *call, const char *why)
{
    handle_misused(call, why);
    buf_finish(&to->text);
    return false;
}

static void string_append(struct buf *to, struct span text)
{
    buf_append_char(to, '"');
    buf_append_json(to, text);
    buf_append_char(to, '"');
}

static bool name_begin(struct format_result *to, const char *call, const char *name)
{
    struct span text = span_str(name);
    *to = (struct format_result){.text = {0}};
    buf_append_char(&to->text, '[');
    if (name == NULL)
        return true;
    if (text.len == 0 || text.len > NAME_BYTES_MAX || socketio_event_is_reserved(text))
        return fault(to, call, "an event's name has 1 to 256 bytes, and is none that Socket.IO keeps to itself");
    string_append(&to->text, text);
    return true;
}

/* The same for a format, at this byte of it. */
static bool format_fault(struct format_result *to, const char *call, const char *format, size_t at, const char *why)
{
    struct buf text = {0};
    buf_printf(&text, "byte %zu of the format \"%.200s\": %s", at, format, why);
    buf_append_char(&text, '\0');
    fault(to, call, buf_span(&text).data);
    buf_finish(&text);
    return false;
}

/* The arguments stand behind the name; reads the whole once. `format`: what made them; NULL: none. */
static bool finish(struct format_result *to, const char *call, const char *format)
{
    buf_append_char(&to->text, ']');
    to->content.args = buf_span(&to->text);
    if (!json_is_valid(to->content.args) && format != NULL)
        return format_fault(to, call, format, strlen(format), "what it makes is no JSON");
    if (!json_is_valid(to->content.args))
        return fault(to, call, "the arguments are no JSON");
    if (to->content.count > 0 && !socketio_placeholders_valid(to->content.args, to->content.count))
        return fault(to, call, "a placeholder stands for no attachment");
    return true;
}

/* One without bytes may be anywhere. */
static bool blob_add(struct format_result *to, const struct sennit_blob *blob)
{
    struct content *content = &to->content;
    if (blob == NULL || (blob->data == NULL && blob->bytes > 0))
        return false;
    content->attachments[content->count++] = span_of(blob->bytes > 0 ? blob->data : "", blob->bytes);
    return true;
}

bool args_build(struct format_result *to, const char *call, const char *name, struct sennit_args args)
{
    struct span json = args.json != NULL ? json_trim(span_str(args.json)) : SPAN_LIT("[]"), inside;
    if (!name_begin(to, call, name))
        return false;
    if (!json_is_valid(json) || json_type(json) != JSON_ARRAY)
        return fault(to, call, "the arguments are not one JSON array");
    if (args.blob_count > SENNIT_BLOBS_MAX)
        return fault(to, call, "an event has 10 attachments at most");
    inside = json_trim(span_sub(json, 1, json.len - 2));
    if (inside.len > 0 && name != NULL)
        buf_append_char(&to->text, ',');
    buf_append(&to->text, inside);
    for (size_t i = 0; i < args.blob_count; i++)
        if (args.blobs == NULL || !blob_add(to, &args.blobs[i]))
            return fault(to, call, "an attachment is NULL");
    return finish(to, call, NULL);
}

static bool blob_append(struct format_result *to, const struct sennit_blob *blob)
{
    if (to->content.count == SENNIT_BLOBS_MAX)
        return false;
    buf_printf(&to->text, "{\"_placeholder\":true,\"num\":%u}", to->content.count);
    return blob_add(to, blob);
}

static bool number_append(struct buf *to, double number)
{
    char text[JSON_NUMBER_BYTES];
    if (!isfinite(number))
        return false;
    json_number_write(text, number, 17);
    buf_append(to, span_str(text));
    return true;
}

static void text_append(struct buf *to, const char *text)
{
    if (text != NULL)
        string_append(to, span_str(text));
    else
        buf_append(to, SPAN_LIT("null"));
}

static bool json_append(struct buf *to, const char *json)
{
    struct span text = span_str(json);
    bool valid = json != NULL && json_is_valid(text);
    buf_append(to, valid ? json_trim(text) : SPAN_LIT(""));
    return valid;
}

/* A literal text stands between apostrophes. False: it has no end. */
static bool literal_append(struct buf *to, const char **at)
{
    size_t len = strcspn(*at, "'");
    bool ends = (*at)[len] == '\'';
    string_append(to, span_of(*at, len));
    *at += len + ends;
    return ends;
}

/* Appends the value of one letter. False: its value is none. */
static bool value_append(struct format_result *to, char letter, va_list *values)
{
    struct buf *text = &to->text;
    switch (letter) {
    case 's':
        text_append(text, va_arg(*values, const char *));
        return true;
    case 'i':
        buf_printf(text, "%d", va_arg(*values, int));
        return true;
    case 'I':
        buf_printf(text, "%lld", (long long)va_arg(*values, int64_t));
        return true;
    case 'f':
        return number_append(text, va_arg(*values, double));
    case 'b':
        buf_append(text, va_arg(*values, int) ? SPAN_LIT("true") : SPAN_LIT("false"));
        return true;
    case 'n':
        buf_append(text, SPAN_LIT("null"));
        return true;
    case 'j':
        return json_append(text, va_arg(*values, const char *));
    case 'x':
        return blob_append(to, va_arg(*values, const struct sennit_blob *));
    default:
        return false;
    }
}

/* Appends what stands at `*at` and goes behind it. Returns NULL, or what is wrong there. */
static const char *piece_append(struct format_result *to, const char **at, va_list *values)
{
    char letter = *(*at)++;
    if (letter == '\'')
        return literal_append(&to->text, at) ? NULL : "the text that begins here has no end";
    if (strchr("{}[]:, ", letter) != NULL)
        buf_append_char(&to->text, letter);
    else if (strchr("siIfbnjx", letter) == NULL)
        return "no letter of a format: it has s i I f b n j x";
    else if (!value_append(to, letter, values))
        return letter == 'j'   ? "the value is no JSON"
               : letter == 'f' ? "the number is not finite"
                               : "the attachment is NULL, or one more than 10";
    return NULL;
}

bool args_format(struct format_result *to, const char *call, const char *name, const char *format, va_list given)
{
    const char *at = format != NULL ? format : "", *from = at;
    va_list values;
    if (!name_begin(to, call, name))
        return false;
    if (name != NULL && at[strspn(at, " ")] != '\0')
        buf_append_char(&to->text, ',');
    va_copy(values, given);
    const char *why = NULL;
    while (why == NULL && *at != '\0') {
        size_t begin = (size_t)(at - from);
        why = piece_append(to, &at, &values);
        if (why != NULL)
            format_fault(to, call, from, begin, why);
    }
    va_end(values);
    return why == NULL && finish(to, call, from);
}
