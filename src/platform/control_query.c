/* control_query: the values in a target. */
#include "platform/control_query.h"

#include <stdlib.h>

#include "base/mem.h"

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

void control_decoded_append(struct buf *to, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_code = text.data[i] == '%' && i + 2 < text.len && digit_of(text.data[i + 1]) >= 0 &&
                       digit_of(text.data[i + 2]) >= 0;
        char c = is_code ? (char)(digit_of(text.data[i + 1]) * 16 + digit_of(text.data[i + 2])) : text.data[i];
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
