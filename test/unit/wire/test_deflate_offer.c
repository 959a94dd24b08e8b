/* test_deflate_offer: offers and answers of permessage-deflate, as tables. (RFC 7692 section 7.1) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/deflate_offer.h"

enum { SERVER_KEEPS = 1, CLIENT_KEEPS = 2, BOTH_KEEP = 3 };

#define PREFIX "permessage-deflate"
#define NEITHER PREFIX "; server_no_context_takeover; client_no_context_takeover"
#define NONE "none"
#define MALFORMED "malformed"

static void head_add(struct http1_head *head, const char *value)
{
    head->fields[head->field_count++] = (struct http1_field){SPAN_LIT("sec-websocket-extensions"), span_str(value)};
}

/* The answer's value, or what came instead. */
static void assert_answer(const struct http1_head *head, int keeps, const char *expected)
{
    struct deflate_terms terms;
    struct buf line = {0};
    enum deflate_offer offer =
        deflate_offer_accept(head, (keeps & SERVER_KEEPS) != 0, (keeps & CLIENT_KEEPS) != 0, &terms);
    struct span got = offer == DEFLATE_OFFER_NONE ? SPAN_LIT(NONE) : SPAN_LIT(MALFORMED);
    if (offer == DEFLATE_OFFER_AGREED) {
        deflate_terms_encode(&line, &terms);
        got = span_trim(span_from(buf_span(&line), sizeof "Sec-WebSocket-Extensions:" - 1));
        assert_true(span_ends_with(buf_span(&line), SPAN_LIT("\r\n")));
        got.len -= got.len > 0 && got.data[got.len - 1] == '\n' ? 2 : 0;
    }
    if (!span_equal(got, span_str(expected)))
        fail_msg("expected %s, got " SPAN_FMT, expected, SPAN_ARG(got));
    buf_finish(&line);
}

static void offers_are_answered(void **state)
{
    static const struct {
        const char *offer;
        int keeps;
        const char *answer;
    } rows[] = {
        {"", 0, NONE},
        {"foo", 0, NONE},
        {PREFIX, 0, NEITHER},
        {PREFIX, BOTH_KEEP, PREFIX},
        {PREFIX, SERVER_KEEPS, PREFIX "; client_no_context_takeover"},
        {PREFIX, CLIENT_KEEPS, PREFIX "; server_no_context_takeover"},
        {PREFIX "; server_no_context_takeover", BOTH_KEEP, PREFIX "; server_no_context_takeover"},
        {PREFIX "; client_no_context_takeover", BOTH_KEEP, PREFIX "; client_no_context_takeover"},
        /* The server's window: the largest class that fits. */
        {PREFIX "; server_max_window_bits=15", BOTH_KEEP, PREFIX "; server_max_window_bits=15"},
        {PREFIX "; server_max_window_bits=14", BOTH_KEEP, PREFIX "; server_max_window_bits=12"},
        {PREFIX "; server_max_window_bits=12", BOTH_KEEP, PREFIX "; server_max_window_bits=12"},
        {PREFIX "; server_max_window_bits=11", BOTH_KEEP, PREFIX "; server_max_window_bits=8"},
        {PREFIX "; server_max_window_bits=8", BOTH_KEEP, PREFIX "; server_max_window_bits=8"},
        {PREFIX "; server_max_window_bits=\"12\"", BOTH_KEEP, PREFIX "; server_max_window_bits=12"},
        /* The client's: named only where its context is kept. */
        {PREFIX "; client_max_window_bits", 0, NEITHER},
        {PREFIX "; client_max_window_bits", BOTH_KEEP, PREFIX "; client_max_window_bits=12"},
        {PREFIX "; client_max_window_bits=15", BOTH_KEEP, PREFIX "; client_max_window_bits=12"},
        {PREFIX "; client_max_window_bits=9", BOTH_KEEP, PREFIX "; client_max_window_bits=9"},
        {PREFIX "; client_max_window_bits=8", 0, NEITHER},
        {PREFIX "; client_max_window_bits; server_max_window_bits=9; client_no_context_takeover", BOTH_KEEP,
         PREFIX "; client_no_context_takeover; server_max_window_bits=8"},
        /* Wrong parameters decline. */
        {PREFIX "; server_max_window_bits", 0, NONE},
        {PREFIX "; server_max_window_bits=7", 0, NONE},
        {PREFIX "; server_max_window_bits=16", 0, NONE},
        {PREFIX "; server_max_window_bits=08", 0, NONE},
        {PREFIX "; server_max_window_bits=+9", 0, NONE},
        {PREFIX "; server_max_window_bits=99999999999999999999", 0, NONE},
        {PREFIX "; client_max_window_bits=7", 0, NONE},
        {PREFIX "; client_max_window_bits=x", 0, NONE},
        {PREFIX "; server_no_context_takeover=1", 0, NONE},
        {PREFIX "; client_no_context_takeover=true", 0, NONE},
        {PREFIX "; server_no_context_takeover; server_no_context_takeover", 0, NONE},
        {PREFIX "; client_max_window_bits; client_max_window_bits=10", 0, NONE},
        {PREFIX "; mystery", 0, NONE},
        {PREFIX "; Server_no_context_takeover", 0, NONE},
        /* The next offer is tried, and the first acceptable one taken. */
        {PREFIX "; mystery, " PREFIX, 0, NEITHER},
        {PREFIX "; server_max_window_bits=7," PREFIX "; server_max_window_bits=10, " PREFIX, BOTH_KEEP,
         PREFIX "; server_max_window_bits=8"},
        {"x-webkit-deflate-frame, " PREFIX, 0, NEITHER},
        {" , ," PREFIX " ;\tclient_max_window_bits = 10 ,", 0, NEITHER},
        /* A breach of the grammar fails the handshake, wherever it stands. */
        {PREFIX ";", 0, MALFORMED},
        {PREFIX "; =1", 0, MALFORMED},
        {PREFIX "; server_max_window_bits=", 0, MALFORMED},
        {PREFIX "; server_max_window_bits=\"10", 0, MALFORMED},
        {PREFIX "; server_max_window_bits=\"\"", 0, MALFORMED},
        {PREFIX " foo", 0, MALFORMED},
        {PREFIX ", foo bar", 0, MALFORMED},
        {"; " PREFIX, 0, MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http1_head *head = mem_zero(1, sizeof *head);
        head_add(head, rows[i].offer);
        assert_answer(head, rows[i].keeps, rows[i].answer);
        free(head);
    }
    (void)state;
}

static void fields_are_one_list(void **state)
{
    struct http1_head *head = mem_zero(1, sizeof *head);
    assert_answer(head, 0, NONE);
    head_add(head, "foo");
    head_add(head, PREFIX "; mystery");
    head_add(head, PREFIX);
    assert_answer(head, 0, NEITHER);
    head_add(head, "foo bar");
    assert_answer(head, 0, MALFORMED);
    free(head);
    (void)state;
}

static void answers_are_read(void **state)
{
    static const struct {
        const char *answer;
        enum deflate_offer outcome;
        struct deflate_terms terms;
    } rows[] = {
        {"", DEFLATE_OFFER_NONE, {0}},
        {PREFIX, DEFLATE_OFFER_AGREED, {15, 15, true, true, false, false}},
        {NEITHER, DEFLATE_OFFER_AGREED, {15, 15, false, false, false, false}},
        {PREFIX "; server_max_window_bits=9; client_max_window_bits=10",
         DEFLATE_OFFER_AGREED,
         {9, 10, true, true, true, true}},
        {PREFIX "; client_max_window_bits", DEFLATE_OFFER_MALFORMED, {0}},
        {PREFIX "; mystery", DEFLATE_OFFER_MALFORMED, {0}},
        {"foo", DEFLATE_OFFER_MALFORMED, {0}},
        {PREFIX ";", DEFLATE_OFFER_MALFORMED, {0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http1_head *head = mem_zero(1, sizeof *head);
        struct deflate_terms terms = {0};
        head_add(head, rows[i].answer);
        assert_int_equal(deflate_answer_read(head, &terms), rows[i].outcome);
        if (rows[i].outcome == DEFLATE_OFFER_AGREED)
            assert_memory_equal(&terms, &rows[i].terms, sizeof terms);
        free(head);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_answered),
        cmocka_unit_test(fields_are_one_list),
        cmocka_unit_test(answers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
