/* proxies: which addresses are in a list, and what is no list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/proxies.h"

static bool have(const char *list, const char *ip)
{
    struct proxies proxies;
    struct err err;
    struct addr addr;
    struct addr_ip parsed;
    assert_true(proxies_read(&proxies, list, &err));
    assert_true(addr_from_ip(&addr, span_str(ip), 0));
    addr_ip_of(&addr, &parsed);
    return proxies_have(&proxies, &parsed);
}

static void members(void **state)
{
    assert_true(have("10.0.0.0/8", "10.255.0.1"));
    assert_false(have("10.0.0.0/8", "11.0.0.1"));
    assert_true(have("192.0.2.128/25, ::1", "192.0.2.200"));
    assert_false(have("192.0.2.128/25, ::1", "192.0.2.127"));
    assert_true(have("192.0.2.128/25, ::1", "::1"));
    assert_false(have("192.0.2.1", "192.0.2.2"));
    assert_true(have("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(have("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(have("0.0.0.0/0", "203.0.113.1"));
    assert_false(have("0.0.0.0/0", "2001:db8::1"));
    assert_true(have("::/0", "203.0.113.1"));
}

static void no_lists(void **state)
{
    static const char *const texts[] = {
        "", ",", "10.0.0.0/33", "::1/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/8/8", "lb.example", "10.0.0.0/-1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct proxies proxies;
        struct err err;
        assert_false(proxies_read(&proxies, texts[i], &err));
        assert_non_null(strstr(err.text, "10.0.0.0/8,::1"));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(members), cmocka_unit_test(no_lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
