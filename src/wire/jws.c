/* jws: base64url, and the three parts. */
#include "wire/jws.h"

#include "wire/json.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Every byte has one spelling, so that a text cannot be changed without changing what it says. */
bool base64url_decode(struct buf *to, struct span text)
{
    size_t before = to->len;
    uint32_t bits = 0;
    unsigned held = 0; /* bits that make no whole byte yet */
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.data[i]);
        if (value < 0)
            goto fail;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_append_char(to, (char)(bits >> held));
            bits &= (1u << held) - 1;
        }
    }
    if (held < 6 && bits == 0)
        return true;
fail:
    to->len = before;
    return false;
}

void base64url_encode(struct buf *to, struct span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (unsigned char)bytes.data[i];
        for (held += 8; held >= 6; held -= 6)
            buf_append_char(to, digits[bits >> (held - 6) & 63]);
    }
    if (held > 0)
        buf_append_char(to, digits[bits << (6 - held) & 63]);
}

static bool object_decode(struct buf *to, struct span text)
{
    if (!base64url_decode(to, text) || !json_is_valid(buf_span(to)))
        return false;
    return json_type(json_trim(buf_span(to))) == JSON_OBJECT;
}

bool jws_decode(struct jws *jws, struct span text)
{
    struct span rest = text, header, payload, signature;
    *jws = (struct jws){.header = {0}};
    if (text.len > JWS_BYTES_MAX || !span_next(&rest, '.', &header) || !span_next(&rest, '.', &payload))
        return false;
    if (!span_next(&rest, '.', &signature) || rest.data != NULL)
        return false;
    return object_decode(&jws->header, header) && object_decode(&jws->payload, payload) &&
           base64url_decode(&jws->signature, signature);
}

void jws_finish(struct jws *jws)
{
    buf_finish(&jws->header);
    buf_finish(&jws->payload);
    buf_finish(&jws->signature);
}
