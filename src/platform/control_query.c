/* control_query: the values in a target. */
#include "platform/control_query.h"

#include <stdlib.h>

#include "base/mem.h"

void control_decoded_append(struct buf *to, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_code = text.data[i] == '%' && i + 2 < text.len && hex_digit(text.data[i + 1]) >= 0 &&
                       hex_digit(text.data[i + 2]) >= 0;
        char c = is_code ? (char)(hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2])) : text.data[i];
        i += is_code ? 2 : 0;
        if (c != '\0')
            buf_append_char(to, c);
    }
}

char *control_value_get(struct span query, const char *name)
{
    struct span pair, key;
    struct buf value = {0};
    char *text = NULL;
    while (text == NULL && span_next(&query, '&', &pair)) {
        span_next(&pair, '=', &key);
        if (!span_equal(key, span_str(name)))
            continue;
        control_decoded_append(&value, pair);
        text = mem_text(buf_span(&value));
    }
    buf_finish(&value);
    return text;
}
