/* placeholder: follows the members of an object, and the two that make it a placeholder. */
#include "wire/placeholder.h"

#include "wire/json.h"

void placeholder_value(struct placeholder *level, struct span value)
{
    if (level->member == PLACEHOLDER_MARK)
        level->found = span_equal(value, SPAN_LIT("true"));
    else if (level->member == PLACEHOLDER_NUM)
        level->num = value;
}

bool placeholder_string(struct placeholder *level, struct span string)
{
    if (!level->object || !level->key_next) {
        placeholder_value(level, SPAN_LIT(""));
        return false;
    }
    level->key_next = false;
    level->member = json_string_equal(string, SPAN_LIT("_placeholder")) ? PLACEHOLDER_MARK
                    : json_string_equal(string, SPAN_LIT("num"))        ? PLACEHOLDER_NUM
                                                                        : PLACEHOLDER_OTHER;
    return true;
}

size_t placeholder_word_len(struct span text)
{
    size_t len = 0;
    while (len < text.len && memchr(",]} \t\r\n", text.data[len], 7) == NULL)
        len++;
    return len;
}
