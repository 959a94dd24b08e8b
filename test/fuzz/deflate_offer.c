/* deflate_offer: the field Sec-WebSocket-Extensions of a request, in one or more lines: what the server answers is an
 * answer that the client's side reads to the same terms. The first byte says what the server would have. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/deflate_offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct span name = {"Sec-WebSocket-Extensions", sizeof "Sec-WebSocket-Extensions" - 1};

static void answer_check(const struct deflate_terms *terms)
{
    struct http1_head *head = mem_zero(1, sizeof *head);
    struct deflate_terms read;
    struct buf line = {0};
    deflate_terms_encode(&line, terms);
    struct span value = span_sub(buf_span(&line), name.len + 2, line.len - name.len - 4);
    assert(span_starts_with(buf_span(&line), name) && span_ends_with(buf_span(&line), SPAN_LIT("\r\n")));
    head->fields[head->field_count++] = (struct http1_field){name, value};
    assert(deflate_answer_read(head, &read) == DEFLATE_OFFER_AGREED);
    assert(read.server_keeps == terms->server_keeps && read.client_keeps == terms->client_keeps);
    assert(!terms->server_bits_named || read.server_bits == terms->server_bits);
    assert(!terms->client_bits_named || read.client_bits == terms->client_bits);
    assert(terms->server_bits >= 8 && terms->server_bits <= 15 && terms->client_bits >= 8 && terms->client_bits <= 15);
    buf_finish(&line);
    free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct http1_head *head = mem_zero(1, sizeof *head);
    struct span rest = span_of(data + 1, len - 1), line;
    struct deflate_terms terms;
    while (head->field_count < HTTP1_FIELDS_MAX && span_next(&rest, '\n', &line))
        head->fields[head->field_count++] = (struct http1_field){name, line};
    bool server_keeps = (data[0] & 1) != 0, client_keeps = (data[0] & 2) != 0;
    if (deflate_offer_accept(head, server_keeps, client_keeps, &terms) == DEFLATE_OFFER_AGREED) {
        assert((server_keeps || !terms.server_keeps) && (client_keeps || !terms.client_keeps));
        answer_check(&terms);
    }
    deflate_answer_read(head, &terms);
    free(head);
    return 0;
}
