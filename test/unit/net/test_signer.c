/* test_signer: the key is made once, for this user alone, and what it signs is verified by its public half alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/claims.h"
#include "net/signer.h"

static const int64_t now_ms = 1790000000000;
static char folder[] = "/tmp/sennit-signer-XXXXXX";
static char path[128];
static struct loop *loop;
static struct err err;

static int begin(void **state)
{
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/key.pem", folder);
    loop = loop_create(&err);
    return loop != NULL ? 0 : -1;
}

static int end(void **state)
{
    unlink(path);
    loop_destroy(loop);
    return rmdir(folder);
}

/* What becomes of `by`'s signature where `trusted` is trusted. */
static enum refusal verify(const struct signer *by, const struct signer *trusted)
{
    char *audience = (char *)"them";
    struct keys keys;
    struct buf token = {0};
    struct claims claims;
    keys_init(&keys, loop);
    assert_true(signer_trust(trusted, &keys, &err));
    signer_sign(by, &token, SPAN_LIT("{\"aud\":\"them\",\"exp\":1790000060}"));
    struct claims_terms terms = {.keys = &keys, .audiences = {&audience, 1}};
    enum refusal refusal = claims_verify(&claims, &terms, buf_span(&token), now_ms);
    if (refusal == REFUSAL_COUNT)
        assert_int_equal(claims.expires_ms, 1790000060000);
    claims_finish(&claims);
    keys_finish(&keys);
    buf_finish(&token);
    return refusal;
}

static void test_the_key_is_kept(void **state)
{
    struct stat about;
    struct signer *first = signer_open(path, &err), *again = signer_open(path, &err), *other = signer_open(NULL, &err);
    assert_non_null(first);
    assert_non_null(again);
    assert_non_null(other);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(verify(first, again), REFUSAL_COUNT);
    assert_int_equal(verify(again, first), REFUSAL_COUNT);
    assert_int_equal(verify(other, first), REFUSAL_TOKEN_KEY);
    signer_destroy(first);
    signer_destroy(again);
    signer_destroy(other);
    signer_destroy(NULL);
}

static void test_a_file_that_is_no_key_stays(void **state)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", file);
    fclose(file);
    assert_null(signer_open(path, &err));
    assert_non_null(strstr(err.text, "no RSA key of 2048 to 8192 bits in PEM: remove the file"));
    assert_null(signer_open("/nowhere/key.pem", &err));
    assert_non_null(strstr(err.text, "/nowhere/key.pem: cannot be written: No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_key_is_kept),
        cmocka_unit_test(test_a_file_that_is_no_key_stays),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
