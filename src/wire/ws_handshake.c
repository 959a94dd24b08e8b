/* ws_handshake: the keys that prove that both sides speak WebSocket. (RFC 6455 section 4.2) */
#include <assert.h>
#include <openssl/evp.h>

#include "wire/ws.h"

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool ws_key_is_valid(struct span key)
{
    if (key.len != WS_KEY_BYTES || !span_ends_with(key, SPAN_LIT("==")))
        return false;
    for (size_t i = 0; i < WS_KEY_BYTES - 2; i++)
        if (!is_base64(key.data[i]))
            return false;
    return true;
}

void ws_accept_compute(struct span key, char to[WS_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[WS_KEY_BYTES + sizeof guid - 1];
    unsigned char digest[EVP_MAX_MD_SIZE], encoded[WS_ACCEPT_BYTES + 1];
    assert(key.len == WS_KEY_BYTES);
    memcpy(text, key.data, WS_KEY_BYTES);
    memcpy(text + WS_KEY_BYTES, guid, sizeof guid - 1);
    /* Fails only where the library has no SHA-1 at all, which a start of the server would have shown. */
    int hashed = EVP_Digest(text, sizeof text, digest, NULL, EVP_sha1(), NULL);
    assert(hashed == 1);
    EVP_EncodeBlock(encoded, digest, 20);
    memcpy(to, encoded, WS_ACCEPT_BYTES);
}
