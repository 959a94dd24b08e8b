/* json: any bytes. The walk over members is a second opinion about what is valid, and every value found on the way must
 * be judged alike on its own. */
#include <assert.h>

#include "wire/json.h"

enum { DEPTH_CHECKED = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void string_check(struct span value)
{
    struct buf text = {0}, again = {0};
    assert(json_string_len(value) == value.len);
    bool decoded = json_string_decode(value, &text);
    assert(decoded && text.len <= value.len - 2 && json_string_equal(value, buf_span(&text)));
    /* Written again it is valid and means the same. */
    buf_append_char(&again, '"');
    buf_append_json(&again, buf_span(&text));
    buf_append_char(&again, '"');
    assert(json_is_valid(buf_span(&again)) && json_string_equal(buf_span(&again), buf_span(&text)));
    buf_append_char(&text, 'x');
    assert(!json_string_equal(value, buf_span(&text)));
    buf_finish(&text);
    buf_finish(&again);
}

/* A value that is valid: so is all that is in it, and its parts with commas between make up the whole. */
static void value_check(struct span value, int depth)
{
    struct span rest = value, key, member;
    size_t count = 0;
    assert(json_value_len(value) == value.len && json_is_valid(value));
    assert(json_type(value) != JSON_INVALID && json_trim(value).len == value.len);
    if (depth == DEPTH_CHECKED)
        return;
    switch (json_type(value)) {
    case JSON_STRING:
        string_check(value);
        break;
    case JSON_ARRAY:
        while (json_array_next(&rest, &member)) {
            value_check(member, depth + 1);
            if (count < DEPTH_CHECKED)
                assert(span_equal(json_array_at(value, count), member));
            count++;
        }
        assert(json_array_at(value, count).data == NULL);
        assert(span_equal(json_trim(rest), SPAN_LIT("]")));
        break;
    case JSON_OBJECT:
        while (json_object_next(&rest, &key, &member)) {
            value_check(key, depth + 1);
            value_check(member, depth + 1);
        }
        assert(span_equal(json_trim(rest), SPAN_LIT("}")));
        break;
    default:
        assert(json_value_len(value) == value.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span text = span_of(data, len);
    size_t value_len = json_value_len(text);
    assert(value_len <= len);
    bool whole = value_len != 0 && json_trim(span_from(text, value_len)).len == 0;
    assert(json_is_valid(text) == whole);
    if (value_len == 0)
        return 0;
    struct span value = json_trim(span_sub(text, 0, value_len));
    value_check(value, 0);
    /* A container that lacks its end is no value. */
    if (json_type(value) == JSON_ARRAY || json_type(value) == JSON_OBJECT || json_type(value) == JSON_STRING)
        assert(json_value_len(span_sub(value, 0, value.len - 1)) == 0);
    return 0;
}
