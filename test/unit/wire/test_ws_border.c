/* ws_border: borders of frames of every form of length, however the stream is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "wire/ws_border.h"

/* Frames of these lengths; the border is behind each and nowhere else. */
static void borders(void **state)
{
    static const struct {
        size_t payload;
        bool masked;
    } frames[] = {{0, false}, {5, true}, {125, false}, {126, false}, {65535, true}, {65536, false}, {0, true}};
    struct ws_border whole = {0};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct ws_border cut = {0};
        struct buf text = {0};
        size_t payload = frames[i].payload;
        uint8_t mask = frames[i].masked ? 0x80 : 0;
        buf_append_char(&text, (char)(i % 2 == 0 ? 0x82 : 0x00));
        buf_append_char(&text, (char)(mask | (payload < 126 ? payload : payload < 65536 ? 126 : 127)));
        for (int shift = payload < 126 ? -8 : payload < 65536 ? 8 : 56; shift >= 0; shift -= 8)
            buf_append_char(&text, (char)((uint64_t)payload >> shift));
        for (size_t k = 0; k < payload + (mask ? 4 : 0); k++)
            buf_append_char(&text, (char)0x88); /* would be a Close, were it a head */
        for (size_t k = 0; k < text.len; k++) {
            ws_border_feed(&cut, span_sub(buf_span(&text), k, 1));
            assert_int_equal(ws_border_is_between(&cut), k + 1 == text.len);
        }
        ws_border_feed(&whole, buf_span(&text));
        assert_true(ws_border_is_between(&whole));
        buf_finish(&text);
    }
}

static void nothing_behind_a_close(void **state)
{
    struct ws_border border = {0};
    ws_border_feed(&border, SPAN_LIT("\x81\x01x\x88\x02\x03\xe8"));
    assert_false(ws_border_is_between(&border));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(borders), cmocka_unit_test(nothing_behind_a_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
