/* stock_client_bytes: makes the bytes of a number, and compares them. See stock_client_bytes.h. */
#include "stock_client_bytes.h"

#include "wire/json.h"

enum { EACH = 4, BYTES_MAX = 300 };

void attached_clear(struct attached *attached)
{
    buf_finish(&attached->text);
    for (int i = 0; i < SOCKETIO_ATTACHMENTS_MAX; i++)
        buf_finish(&attached->bytes[i]);
    attached->count = attached->wanted = 0;
}

bool message_has_bytes(uint64_t number)
{
    return number % EACH == EACH - 1;
}

void message_bytes(struct buf *to, uint64_t number)
{
    size_t pad = (size_t)(number * 7 % BYTES_MAX);
    buf_append_u64(to, number);
    for (size_t i = 0; i < pad; i++)
        buf_append_char(to, (char)(number + i));
}

bool message_bytes_match(const struct attached *attached, struct span body, uint64_t number)
{
    struct span at = json_object_get(body, SPAN_LIT("bytes"));
    uint64_t index;
    if (at.data == NULL || !message_has_bytes(number))
        return at.data == NULL && !message_has_bytes(number);
    if (!span_to_u64(json_object_get(at, SPAN_LIT("num")), &index) || index >= attached->count)
        return false;
    struct buf expected = {0};
    message_bytes(&expected, number);
    bool same = span_equal(buf_span(&expected), buf_span(&attached->bytes[index]));
    buf_finish(&expected);
    return same;
}
