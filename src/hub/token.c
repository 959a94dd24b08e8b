/* token: encodes and decodes tokens, and reads a client's position in a stretch from one. */
#include "hub/token.h"

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static void append_base36(struct buf *to, uint64_t value)
{
    char text[13];
    size_t at = sizeof text;
    do
        text[--at] = digits[value % 36];
    while ((value /= 36) != 0);
    buf_append(to, span_of(text + at, sizeof text - at));
}

static bool read_base36(struct span s, uint64_t *value)
{
    uint64_t sum = 0;
    if (s.len == 0 || s.len > 13)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : -1;
        if (digit < 0 || sum > (UINT64_MAX - (uint64_t)digit) / 36)
            return false;
        sum = sum * 36 + (uint64_t)digit;
    }
    *value = sum;
    return true;
}

void token_encode(struct buf *to, const struct token *token)
{
    buf_append_char(to, token->version);
    buf_append(to, span_of(token->epoch, token->epoch_len));
    buf_append_char(to, '.');
    append_base36(to, token->seq);
    for (int i = 0; i < token->late_count; i++) {
        buf_append_char(to, '.');
        append_base36(to, token->late[i].key);
        buf_append_char(to, '.');
        append_base36(to, token->late[i].position);
    }
}

bool token_decode(struct span text, struct token *token)
{
    *token = (struct token){0};
    if (text.len < 3 || (text.data[0] != '1' && text.data[0] != '2'))
        return false;
    token->version = text.data[0];
    struct span rest = span_from(text, 1), part;
    if (!span_next(&rest, '.', &part) || part.len == 0 || part.len > BROKER_EPOCH_BYTES_MAX)
        return false;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
            return false;
    }
    memcpy(token->epoch, part.data, part.len);
    token->epoch_len = (uint8_t)part.len;
    if (!span_next(&rest, '.', &part) || !read_base36(part, &token->seq))
        return false;
    while (span_next(&rest, '.', &part)) {
        uint64_t key, position;
        if (token->late_count == TOKEN_LATE_MAX || !read_base36(part, &key) || key > UINT32_MAX)
            return false;
        if (!span_next(&rest, '.', &part) || !read_base36(part, &position) || position > token->seq)
            return false;
        token_add_late(token, (uint32_t)key, position);
    }
    return true;
}

uint32_t token_key(struct span room, uint64_t since)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < room.len; i++)
        hash = (hash ^ (uint8_t)room.data[i]) * 16777619u;
    for (int i = 0; i < 8; i++)
        hash = (hash ^ (uint8_t)(since >> 8 * i)) * 16777619u;
    return hash;
}

bool token_add_late(struct token *token, uint32_t key, uint64_t position)
{
    if (token->late_count == TOKEN_LATE_MAX)
        return false;
    token->late[token->late_count].key = key;
    token->late[token->late_count++].position = position;
    return true;
}

uint64_t token_position(const struct token *token, struct span room, uint64_t since, uint64_t start, uint64_t joined_at)
{
    uint64_t position = token->seq > joined_at ? token->seq : start;
    uint32_t key = token->late_count != 0 ? token_key(room, since) : 0;
    for (int i = 0; i < token->late_count; i++)
        if (token->late[i].key == key)
            position = token->late[i].position;
    return position > start ? position : start;
}
