/* token: a client's position. A text that is decoded as a token is encoded to the same bytes. */
#include <assert.h>

#include "hub/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct token token, again;
    struct buf text = {0};
    if (!token_decode(span_of(data, len), &token))
        return 0;
    assert(token.epoch_len > 0 && token.epoch_len <= BROKER_EPOCH_BYTES_MAX && token.late_count <= TOKEN_LATE_MAX);
    for (int i = 0; i < token.late_count; i++)
        assert(token.late[i].position <= token.seq);
    token_encode(&text, &token);
    assert(text.len <= TOKEN_BYTES_MAX && text.len <= len);
    bool good = token_decode(buf_span(&text), &again);
    assert(good && memcmp(&token, &again, sizeof token) == 0);
    token_position(&token, SPAN_LIT("/"), 1, 2, 3);
    buf_finish(&text);
    return 0;
}
