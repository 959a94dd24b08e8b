/* json_codec: one text, judged; what is valid is taken apart one level deep. */
#include "vectors/codecs.h"
#include "wire/json.h"

static void *json_create(const struct vector *vector)
{
    return NULL;
}

static void json_destroy(void *state)
{
}

static const char *const type_names[] = {"invalid", "null", "true", "false", "number", "string", "array", "object"};

static void quote_line(struct buf *out, const char *word, struct span first, struct span second)
{
    buf_printf(out, "%s ", word);
    vector_quote(out, first);
    if (second.data != NULL) {
        buf_append_char(out, ' ');
        vector_quote(out, second);
    }
    buf_append_char(out, '\n');
}

static void value_describe(struct span value, struct buf *out)
{
    struct span rest = value, key, member, none = {NULL, 0};
    struct buf text = {0};
    buf_printf(out, "%s\n", type_names[json_type(value)]);
    switch (json_type(value)) {
    case JSON_STRING:
        json_string_decode(value, &text);
        quote_line(out, "text", buf_span(&text), none);
        break;
    case JSON_NUMBER:
        quote_line(out, "digits", value, none);
        break;
    case JSON_ARRAY:
        while (json_array_next(&rest, &member))
            quote_line(out, "element", member, none);
        break;
    case JSON_OBJECT:
        while (json_object_next(&rest, &key, &member))
            quote_line(out, "member", key, member);
        break;
    default:
        break;
    }
    buf_finish(&text);
}

static ptrdiff_t json_feed(void *state, char *bytes, size_t len, struct buf *out)
{
    struct span text = span_of(bytes, len);
    if (out->len != 0)
        return 0; /* judged already */
    if (json_is_valid(text))
        value_describe(json_trim(text), out);
    else
        buf_printf(out, "bad\n");
    return (ptrdiff_t)len;
}

const struct vector_codec vector_json = {
    .whole_only = true, .create = json_create, .destroy = json_destroy, .feed = json_feed};
