/* test_sha256: the digest of FIPS 180-4's example, of the bytes at once and one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/sha256.h"

static void test_sha256(void **state)
{
    static const char wanted[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    char hex[SHA256_HEX_LEN + 1];
    sha256_of(SPAN_LIT("abc"), hex);
    assert_string_equal(hex, wanted);
    struct sha256 *sha256 = sha256_create();
    for (size_t i = 0; i < 3; i++)
        sha256_add(sha256, span_of("abc" + i, 1));
    sha256_end(sha256, hex);
    assert_string_equal(hex, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sha256)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
