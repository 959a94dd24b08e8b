/* api_input: one table of the fields that requests to the API may have, for bodies in JSON and for queries. */
#include <stdio.h>
#include <stdlib.h>

#include "serve/api_parts.h"
#include "wire/json.h"
#include "wire/uri.h"

enum kind { TEXT, NAMES, RAW_ARRAY, RAW_ID, NUMBER, MS, FLAG };

#define AT(member) offsetof(struct api_input, member)

static const struct field {
    const char *name;
    enum kind kind;
    size_t at;
    const char *expected;
} fields[] = {
    {"namespace", TEXT, AT(nsp), "give the name of a namespace, like \"/\""},
    {"event", TEXT, AT(event), "give the event's name, a string of 1 to 256 bytes"},
    {"socket", TEXT, AT(socket), "give the id of one socket, a string of 20 characters"},
    {"before", TEXT, AT(before), "give the `at` of an entry"},
    {"after", TEXT, AT(after), "give a text: the last answer's `next`, or in a history the `at` of an entry"},
    {"rooms", NAMES, AT(rooms), "give 1 to 32 names of rooms, a string or a list of strings"},
    {"room", NAMES, AT(rooms), "give the name of a room; for several, repeat the parameter"},
    {"except", NAMES, AT(excepts), "give 1 to 32 names of rooms or ids of sockets"},
    {"join", NAMES, AT(join), "give 1 to 32 names of rooms, a string or a list of strings"},
    {"leave", NAMES, AT(leave), "give 1 to 32 names of rooms, a string or a list of strings"},
    {"args", RAW_ARRAY, AT(args), "give a list of the event's arguments"},
    {"id", RAW_ID, AT(id), "give a string or a number of at most 128 bytes of JSON"},
    {"limit", NUMBER, AT(limit), "give a number from 1 to 1000"},
    {"timeout_ms", MS, AT(timeout_ms), "give a number of milliseconds from 1 to 300000"},
    {"volatile", FLAG, AT(is_volatile), "give true or false"},
    {"local", FLAG, AT(here), "give true or false"},
    {"close", FLAG, AT(whole), "give true or false"},
};

static const char unknown[] = "leave it out: this path takes no such field";

static bool is_allowed(const char *allowed, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(allowed, name); at != NULL; at = strstr(at + 1, name))
        if ((at == allowed || at[-1] == ' ') && at[len] == ' ')
            return true;
    return false;
}

/* By its name as a JSON string (`raw`) or in plain text. */
static const struct field *field_find(struct span name, bool raw, const char *allowed)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct span own = span_str(fields[i].name);
        if ((raw ? json_string_equal(name, own) : span_equal(name, own)) && is_allowed(allowed, fields[i].name))
            return &fields[i];
    }
    return NULL;
}

static bool text_set(struct buf *to, struct span text)
{
    buf_clear(to);
    buf_append(to, text);
    return text.len > 0 && text.len <= BROKER_ROOM_BYTES_MAX;
}

static bool name_add(struct api_names *names, struct span text)
{
    if (names->count == INQUIRY_ROOMS_MAX || text.len == 0 || text.len > BROKER_ROOM_BYTES_MAX)
        return false;
    buf_append(&names->text, text);
    names->ends[names->count++] = names->text.len;
    return true;
}

static void names_end(struct api_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        size_t begin = i > 0 ? names->ends[i - 1] : 0;
        names->list[i] = span_sub(buf_span(&names->text), begin, names->ends[i] - begin);
    }
}

static bool number_set(uint32_t *to, struct span text, uint64_t max)
{
    uint64_t number;
    if (!span_to_u64(text, &number) || number == 0 || number > max)
        return false;
    *to = (uint32_t)number;
    return true;
}

static bool flag_set(bool *to, struct span text)
{
    *to = span_equal(text, SPAN_LIT("true")) || span_equal(text, SPAN_LIT("1"));
    return *to || span_equal(text, SPAN_LIT("false")) || span_equal(text, SPAN_LIT("0"));
}

/* A string is decoded first. */
static bool name_json(struct api_names *names, struct span value)
{
    struct buf text = {0};
    bool ok = json_string_decode(value, &text) && name_add(names, buf_span(&text));
    buf_finish(&text);
    return ok;
}

static bool names_json(struct api_names *names, struct span value)
{
    struct span one;
    if (json_type(value) != JSON_ARRAY)
        return name_json(names, value);
    while (json_array_next(&value, &one))
        if (!name_json(names, one))
            return false;
    return names->count > 0;
}

static bool text_json(struct buf *to, struct span value)
{
    struct buf text = {0};
    bool ok = json_string_decode(value, &text) && text_set(to, buf_span(&text));
    buf_finish(&text);
    return ok;
}

static bool value_json(struct api_input *input, const struct field *field, struct span value)
{
    void *to = (char *)input + field->at;
    enum json_type type = json_type(value);
    switch (field->kind) {
    case TEXT:
        return text_json(to, value);
    case NAMES:
        return names_json(to, value);
    case NUMBER:
        return number_set(to, value, INQUIRY_LIMIT_MAX);
    case MS:
        return number_set(to, value, INQUIRY_SURVEY_MS_MAX);
    case FLAG:
        return flag_set(to, value);
    case RAW_ARRAY:
        *(struct span *)to = value;
        return type == JSON_ARRAY;
    case RAW_ID:
        *(struct span *)to = value;
        return value.len <= API_ID_BYTES_MAX && (type == JSON_STRING || type == JSON_NUMBER);
    }
    return false;
}

static const char *unknown_field(struct api_input *input, struct span name)
{
    snprintf(input->unknown, sizeof input->unknown, SPAN_FMT, SPAN_ARG(span_sub(name, 0, sizeof input->unknown - 1)));
    return input->unknown;
}

static bool input_end(struct api_input *input)
{
    names_end(&input->rooms);
    names_end(&input->excepts);
    names_end(&input->join);
    names_end(&input->leave);
    return true;
}

bool api_input_body(struct api_input *input, struct span body, const char *allowed, const char **field,
                    const char **cure)
{
    struct span rest = json_trim(body), key, value;
    if (!json_is_valid(rest) || json_type(rest) != JSON_OBJECT)
        return false;
    while (json_object_next(&rest, &key, &value)) {
        const struct field *found = field_find(key, true, allowed);
        if (found == NULL) {
            *field = unknown_field(input, span_sub(key, 1, key.len - 2));
            *cure = unknown;
            return false;
        }
        *field = found->name;
        *cure = found->expected;
        if (json_type(value) != JSON_NULL && !value_json(input, found, value))
            return false;
    }
    return input_end(input);
}

static bool value_query(struct api_input *input, const struct field *field, struct span text)
{
    void *to = (char *)input + field->at;
    switch (field->kind) {
    case TEXT:
        return text_set(to, text);
    case NAMES:
        return name_add(to, text);
    case NUMBER:
        return number_set(to, text, INQUIRY_LIMIT_MAX);
    case MS:
        return number_set(to, text, INQUIRY_SURVEY_MS_MAX);
    case FLAG:
        return flag_set(to, text);
    case RAW_ARRAY:
    case RAW_ID:
        break;
    }
    return false;
}

bool api_input_query(struct api_input *input, struct span query, const char *allowed, const char **field,
                     const char **cure)
{
    struct span part;
    while (query.len > 0 && span_next(&query, '&', &part)) {
        ptrdiff_t equals = span_find(part, '=');
        struct span name = equals >= 0 ? span_sub(part, 0, (size_t)equals) : part;
        const struct field *found = field_find(name, false, allowed);
        *field = found != NULL ? found->name : unknown_field(input, name);
        *cure = found != NULL ? found->expected : unknown;
        char *text = uri_decode(equals >= 0 ? span_from(part, (size_t)equals + 1) : SPAN_LIT(""));
        bool ok = found != NULL && text != NULL && value_query(input, found, span_str(text));
        free(text);
        if (!ok)
            return false;
    }
    return input_end(input);
}

static void names_finish(struct api_names *names)
{
    buf_finish(&names->text);
}

void api_input_finish(struct api_input *input)
{
    buf_finish(&input->nsp);
    buf_finish(&input->event);
    buf_finish(&input->socket);
    buf_finish(&input->before);
    buf_finish(&input->after);
    names_finish(&input->rooms);
    names_finish(&input->excepts);
    names_finish(&input->join);
    names_finish(&input->leave);
}
