/* http1_request: a client's bytes. The first byte seeds the cuts, the rest is the stream. A head that decodes is
 * written out again and must decode to the same. */
#include "fuzz/cuts.h"
#include "vectors/codecs.h"
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void head_encode(const struct http1_head *head, struct buf *to)
{
    buf_printf(to, SPAN_FMT " " SPAN_FMT " HTTP/1.%d\r\n", SPAN_ARG(head->method), SPAN_ARG(head->target), head->minor);
    for (size_t i = 0; i < head->field_count; i++)
        buf_printf(to, SPAN_FMT ": " SPAN_FMT "\r\n", SPAN_ARG(head->fields[i].name), SPAN_ARG(head->fields[i].value));
    buf_append(to, SPAN_LIT("\r\n"));
}

static void round_trip(struct span bytes)
{
    static struct http1_head head, again;
    int status;
    if (http1_request_decode(bytes, 0, &head, &status) <= 0)
        return;
    struct buf out = {0};
    head_encode(&head, &out);
    /* The space we put behind each colon may have taken a head just within its limit beyond it. */
    if (out.len < HTTP1_HEAD_BYTES_MAX) {
        ptrdiff_t taken = http1_request_decode(buf_span(&out), 0, &again, &status);
        assert(taken == (ptrdiff_t)out.len);
        assert(span_equal(head.method, again.method) && span_equal(head.target, again.target));
        assert(head.minor == again.minor && head.field_count == again.field_count && head.body == again.body);
        assert(head.content_length == again.content_length && head.keep_alive == again.keep_alive);
        assert(head.upgrade_websocket == again.upgrade_websocket && head.expect_continue == again.expect_continue);
        for (size_t i = 0; i < head.field_count; i++)
            assert(span_equal(head.fields[i].name, again.fields[i].name) &&
                   span_equal(head.fields[i].value, again.fields[i].value));
    }
    buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct vector vector = {0};
    cuts_option(&vector, SPAN_LIT("show"), SPAN_LIT("fields"));
    buf_append(&vector.in, span_of(data + 1, len - 1));
    cuts_check(&vector_http1, &vector, data[0]);
    round_trip(span_of(data + 1, len - 1));
    buf_finish(&vector.in);
    return 0;
}
