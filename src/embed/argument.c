/* argument: reads the arguments of an event: finds a value by its path in the text, and turns it into a C value. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "embed/embed_parts.h"
#include "wire/json.h"

static const struct span absent = {NULL, 0};

/* One step of a path: a member, or an element by its number. */
static struct span step(struct span value, struct span name)
{
    uint64_t index;
    if (json_type(value) == JSON_OBJECT)
        return json_object_get(value, name);
    if (json_type(value) == JSON_ARRAY && span_to_u64(name, &index))
        return json_array_at(value, (size_t)index);
    return absent;
}

struct span embed_member(struct span value, const char *path)
{
    struct span rest = span_str(path), name;
    while (rest.len > 0 && value.data != NULL) {
        span_next(&rest, '.', &name);
        value = step(value, name);
    }
    return value;
}

const char *embed_string(struct embed_event *event, struct span value)
{
    struct buf text = {0};
    const char *result = NULL;
    if (json_string_decode(value, &text) && span_find(buf_span(&text), '\0') < 0)
        result = event_text(event, buf_span(&text));
    buf_finish(&text);
    return result;
}

/* The attachments that a placeholder in this place means: the event's, or those of one of its parts. */
static const struct span *blobs_at(const struct embed_event *event, struct span value, uint32_t *count)
{
    size_t at = (size_t)(value.data - event->content.args.data), from = 0, to = event->part_count;
    *count = event->content.count;
    if (event->part_count == 0)
        return event->content.attachments;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct embed_part *part = &event->parts[middle];
        if (at >= part->from && at < part->to) {
            *count = part->count;
            return part->attachments;
        }
        if (at < part->from)
            to = middle;
        else
            from = middle + 1;
    }
    *count = 0;
    return NULL;
}

/* The attachment a value stands for, or NULL. */
static const struct span *blob_of(const struct embed_event *event, struct span value)
{
    uint64_t number;
    uint32_t count;
    const struct span *blobs = blobs_at(event, value, &count);
    if (count == 0 || json_type(value) != JSON_OBJECT ||
        json_type(json_object_get(value, SPAN_LIT("_placeholder"))) != JSON_TRUE ||
        !span_to_u64(json_object_get(value, SPAN_LIT("num")), &number) || number >= count)
        return NULL;
    return &blobs[number];
}

static struct embed_event *event_of(sennit_event *handle, const char *call, size_t index, const char *path,
                                    struct span *value)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, call);
    *value = event != NULL ? embed_member(json_array_at(event->content.args, index + event->skip), path) : absent;
    return value->data != NULL ? event : NULL;
}

size_t sennit_arg_count(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_arg_count");
    struct span rest, one;
    size_t count = 0;
    if (event == NULL)
        return 0;
    rest = event->content.args;
    while (json_array_next(&rest, &one))
        count++;
    return count > event->skip ? count - event->skip : 0;
}

enum sennit_type sennit_arg_type(sennit_event *handle, size_t index, const char *path)
{
    static const enum sennit_type types[] = {
        [JSON_INVALID] = SENNIT_ABSENT, [JSON_NULL] = SENNIT_NULL,     [JSON_TRUE] = SENNIT_BOOL,
        [JSON_FALSE] = SENNIT_BOOL,     [JSON_NUMBER] = SENNIT_NUMBER, [JSON_STRING] = SENNIT_STRING,
        [JSON_ARRAY] = SENNIT_ARRAY,    [JSON_OBJECT] = SENNIT_OBJECT,
    };
    struct span value;
    struct embed_event *event = event_of(handle, "sennit_arg_type", index, path, &value);
    if (event == NULL)
        return SENNIT_ABSENT;
    return blob_of(event, value) != NULL ? SENNIT_BYTES : types[json_type(value)];
}

size_t sennit_arg_length(sennit_event *handle, size_t index, const char *path)
{
    struct span value, key, one;
    size_t count = 0;
    if (event_of(handle, "sennit_arg_length", index, path, &value) == NULL)
        return 0;
    if (json_type(value) == JSON_ARRAY)
        for (struct span rest = value; json_array_next(&rest, &one);)
            count++;
    else if (json_type(value) == JSON_OBJECT)
        for (struct span rest = value; json_object_next(&rest, &key, &one);)
            count++;
    return count;
}

const char *sennit_arg_string(sennit_event *handle, size_t index, const char *path)
{
    struct span value;
    struct embed_event *event = event_of(handle, "sennit_arg_string", index, path, &value);
    return event != NULL ? embed_string(event, value) : NULL;
}

/* The C library's functions want a NUL behind the digits, and a JSON number has none. */
static bool number_text(struct embed_event *event, struct span value, char text[64])
{
    if (event == NULL || json_type(value) != JSON_NUMBER || value.len >= 64)
        return false;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    return true;
}

int64_t sennit_arg_integer(sennit_event *handle, size_t index, const char *path, int64_t otherwise)
{
    struct span value;
    struct embed_event *event = event_of(handle, "sennit_arg_integer", index, path, &value);
    char text[64], *end;
    if (!number_text(event, value, text))
        return otherwise;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0 ? number : otherwise;
}

double sennit_arg_number(sennit_event *handle, size_t index, const char *path, double otherwise)
{
    struct span value;
    struct embed_event *event = event_of(handle, "sennit_arg_number", index, path, &value);
    char text[64], *end;
    if (!number_text(event, value, text))
        return otherwise;
    double number = json_number_read(text, &end);
    return *end == '\0' && isfinite(number) ? number : otherwise;
}

bool sennit_arg_bool(sennit_event *handle, size_t index, const char *path, bool otherwise)
{
    struct span value;
    struct embed_event *event = event_of(handle, "sennit_arg_bool", index, path, &value);
    if (event == NULL || (json_type(value) != JSON_TRUE && json_type(value) != JSON_FALSE))
        return otherwise;
    return json_type(value) == JSON_TRUE;
}

const char *sennit_arg_json(sennit_event *handle, size_t index, const char *path)
{
    struct span value;
    struct embed_event *event = event_of(handle, "sennit_arg_json", index, path, &value);
    return event != NULL ? event_text(event, value) : NULL;
}

struct sennit_blob sennit_arg_bytes(sennit_event *handle, size_t index, const char *path)
{
    struct span value;
    struct embed_event *event = event_of(handle, "sennit_arg_bytes", index, path, &value);
    const struct span *bytes = event != NULL ? blob_of(event, value) : NULL;
    if (bytes == NULL)
        return (struct sennit_blob){NULL, 0};
    return (struct sennit_blob){bytes->len > 0 ? bytes->data : "", bytes->len};
}

struct sennit_args sennit_event_args(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_args");
    struct buf text = {0};
    struct span rest, one;
    if (event == NULL)
        return (struct sennit_args){"", NULL, 0}; /* no JSON: what is sent with it is refused */
    rest = event->content.args;
    buf_append_char(&text, '[');
    for (size_t at = 0; json_array_next(&rest, &one); at++) {
        if (at < event->skip)
            continue;
        if (at > event->skip)
            buf_append_char(&text, ',');
        buf_append(&text, one);
    }
    buf_append_char(&text, ']');
    struct sennit_args args = {event_text(event, buf_span(&text)), NULL, event->content.count};
    buf_finish(&text);
    if (args.blob_count > 0) {
        struct sennit_blob *blobs = event_memory(event, args.blob_count * sizeof *blobs);
        for (size_t i = 0; i < args.blob_count; i++)
            blobs[i] = (struct sennit_blob){event->content.attachments[i].data, event->content.attachments[i].len};
        args.blobs = blobs;
    }
    return args;
}
