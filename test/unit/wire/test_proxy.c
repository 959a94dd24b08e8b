/* proxy: headers of both versions, whole and cut, and what breaks them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/proxy.h"

static const char V2[] = "\r\n\r\n\0\r\nQUIT\n";

static void check(struct span bytes, ptrdiff_t used, int kind, const char *ip, uint16_t port)
{
    struct proxy_header header;
    assert_int_equal(proxy_decode(bytes, &header), used);
    for (size_t i = 0; used > 0 && i < (size_t)used; i++) {
        struct proxy_header part;
        assert_int_equal(proxy_decode(span_sub(bytes, 0, i), &part), 0);
    }
    if (used <= 0)
        return;
    assert_int_equal(header.kind, kind);
    assert_int_equal(header.port, port);
    if (kind == PROXY_IPV4)
        assert_memory_equal(header.ip, ip, 4);
    if (kind == PROXY_IPV6)
        assert_memory_equal(header.ip, ip, 16);
}

static void lines(void **state)
{
    check(SPAN_LIT("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET"), 41, PROXY_IPV4, "\xc0\0\2\1", 56324);
    check(SPAN_LIT("PROXY TCP6 ::1 ::2 0 65535\r\n"), 28, PROXY_IPV6, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 0);
    check(SPAN_LIT("PROXY UNKNOWN\r\n"), 15, PROXY_LOCAL, NULL, 0);
    check(SPAN_LIT("PROXY UNKNOWN whatever is here\r\n"), 32, PROXY_LOCAL, NULL, 0);
}

static void broken_lines(void **state)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 -1 2\r\n",
        "PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n",
        /* longer than 107 bytes */
        ("PROXY UNKNOWN "
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123\r\n"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct proxy_header header;
        assert_int_equal(proxy_decode(span_str(texts[i]), &header), -1);
        assert_non_null(header.rule);
    }
}

static struct span v2(char bytes[64], uint8_t command, uint8_t family, uint8_t len)
{
    memset(bytes, 0, 64);
    memcpy(bytes, V2, 12);
    bytes[12] = (char)command;
    bytes[13] = (char)family;
    bytes[15] = (char)len;
    memcpy(bytes + 16, "\xc0\0\2\1\x0a\0\0\1\xdc\4\1\xbb", 12);
    return span_of(bytes, 16 + (size_t)len);
}

static void binary(void **state)
{
    char bytes[64];
    check(v2(bytes, 0x21, 0x11, 12), 28, PROXY_IPV4, "\xc0\0\2\1", 0xdc04);
    check(v2(bytes, 0x21, 0x11, 30), 46, PROXY_IPV4, "\xc0\0\2\1", 0xdc04); /* TLVs behind */
    check(v2(bytes, 0x20, 0, 0), 16, PROXY_LOCAL, NULL, 0);
    check(v2(bytes, 0x21, 0x12, 12), 28, PROXY_LOCAL, NULL, 0); /* UDP: not a client of ours */
    check(v2(bytes, 0x21, 0x21, 36), 52, PROXY_IPV6, "\xc0\0\2\1\x0a\0\0\1\xdc\4\1\xbb\0\0\0\0", 0);
}

static void broken_binary(void **state)
{
    char bytes[64];
    check(v2(bytes, 0x11, 0x11, 12), -1, 0, NULL, 0);
    check(v2(bytes, 0x22, 0x11, 12), -1, 0, NULL, 0);
    check(v2(bytes, 0x21, 0x11, 11), -1, 0, NULL, 0);
    check(v2(bytes, 0x21, 0x21, 35), -1, 0, NULL, 0);
    v2(bytes, 0x21, 0x11, 12);
    bytes[14] = 3;
    check(span_of(bytes, 28), -1, 0, NULL, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(broken_lines),
        cmocka_unit_test(binary),
        cmocka_unit_test(broken_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
