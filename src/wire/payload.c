/* payload: splits and joins packets; base64 goes through OpenSSL, which is strict about nothing, so the text is checked
 * first. */
#include "wire/payload.h"

#include <openssl/evp.h>

bool payload_next(struct span *rest, bool *begun, struct span *packet)
{
    if (*begun && rest->data == NULL)
        return false;
    *begun = true;
    ptrdiff_t at = span_find(*rest, PAYLOAD_SEPARATOR);
    if (at < 0) {
        *packet = *rest;
        *rest = (struct span){NULL, 0};
    } else {
        *packet = span_sub(*rest, 0, (size_t)at);
        *rest = span_from(*rest, (size_t)at + 1);
    }
    return true;
}

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool payload_base64_decode(struct buf *to, struct span text)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    text = span_sub(text, 0, text.len - padding);
    if (text.len % 4 == 1 || (padding > 0 && (text.len + padding) % 4 != 0))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_base64(text.data[i]))
            return false;
    }
    size_t whole = text.len / 4 * 4, rest = text.len - whole;
    unsigned char *bytes = (unsigned char *)buf_reserve(to, whole / 4 * 3 + 3);
    if (whole > 0)
        EVP_DecodeBlock(bytes, (const unsigned char *)text.data, (int)whole);
    if (rest > 0) {
        char last[5] = "AAAA";
        for (size_t i = 0; i < rest; i++)
            last[i] = text.data[whole + i];
        EVP_DecodeBlock(bytes + whole / 4 * 3, (const unsigned char *)last, 4);
    }
    buf_added(to, whole / 4 * 3 + (rest > 0 ? rest - 1 : 0));
    return true;
}

bool payload_binary_decode(struct buf *to, struct span packet)
{
    return payload_base64_decode(to, span_from(packet, 1));
}

void payload_base64_encode(struct buf *to, struct span bytes)
{
    /* EVP_EncodeBlock ends the text with a zero byte. */
    char *text = buf_reserve(to, (bytes.len + 2) / 3 * 4 + 1);
    buf_added(to, (size_t)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.data, (int)bytes.len));
}

void payload_binary_encode(struct buf *to, struct span bytes)
{
    buf_append_char(to, 'b');
    payload_base64_encode(to, bytes);
}
