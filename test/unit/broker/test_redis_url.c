/* test_redis_url: what a URL says, and what is said about one that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/redis_url.h"

static struct redis_url url;

static void parse(const char *text)
{
    struct err err = {{0}};
    redis_url_finish(&url);
    if (!redis_url_parse(&url, text, &err))
        fail_msg("%s: %s", text, err.text);
}

static void assert_text(const char *got, const char *expected)
{
    if (expected == NULL)
        assert_null(got);
    else
        assert_string_equal(got, expected);
}

static void assert_host(const char *host, unsigned port, unsigned db, const char *user, const char *password)
{
    assert_text(url.host, host);
    assert_int_equal(url.port, port);
    assert_int_equal(url.db, db);
    assert_text(url.user, user);
    assert_text(url.password, password);
    assert_null(url.path);
}

static void test_hosts(void **state)
{
    parse("redis://localhost");
    assert_host("localhost", 6379, 0, NULL, NULL);
    assert_false(url.tls);
    parse("redis://10.0.0.1:7000/");
    assert_host("10.0.0.1", 7000, 0, NULL, NULL);
    parse("redis://[fd00::1]:7000/15");
    assert_host("fd00::1", 7000, 15, NULL, NULL);
    parse("redis://[fd00::1]");
    assert_host("fd00::1", 6379, 0, NULL, NULL);
    parse("redis://localhost:");
    assert_host("localhost", 6379, 0, NULL, NULL);
}

static void assert_seed(size_t i, const char *host, unsigned port)
{
    assert_true(i < url.seed_count);
    assert_string_equal(url.seeds[i].host, host);
    assert_int_equal(url.seeds[i].port, port);
}

static void test_sentinels(void **state)
{
    parse("redis+sentinel://a,b:7,[fd00::1],[fd00::2]:9/board/3");
    assert_int_equal(url.seed_count, 4);
    assert_seed(0, "a", 26379);
    assert_seed(1, "b", 7);
    assert_seed(2, "fd00::1", 26379);
    assert_seed(3, "fd00::2", 9);
    assert_string_equal(url.primary, "board");
    assert_host(NULL, 0, 3, NULL, NULL);
    parse("redis+sentinel://me:a%2Cb%40@a:1,b:2");
    assert_string_equal(url.primary, "mymaster");
    assert_host(NULL, 0, 0, "me", "a,b@");
    assert_int_equal(url.seed_count, 2);
    parse("redis+sentinel://a/my%2Fown?sentinel_user=u&sentinel_password=p%26q");
    assert_string_equal(url.primary, "my/own");
    assert_string_equal(url.sentinel_user, "u");
    assert_string_equal(url.sentinel_password, "p&q");
    parse("rediss+sentinel://a,b/board?server_name=redis.internal&ca=/ca.pem");
    assert_true(url.tls);
    assert_string_equal(url.server_name, "redis.internal");
}

static void test_clusters(void **state)
{
    parse("redis+cluster://me:secret@a,b:7/");
    assert_int_equal(url.kind, REDIS_URL_CLUSTER);
    assert_host(NULL, 0, 0, "me", "secret");
    assert_seed(0, "a", 6379);
    assert_seed(1, "b", 7);
    assert_false(url.sharded_off);
    parse("redis+cluster://a,b?sharded=no");
    assert_true(url.sharded_off);
    parse("redis://a?sharded=auto");
    assert_false(url.sharded_off);
    parse("rediss+cluster://a,b?verify=no&sharded=no");
    assert_true(url.sharded_off && url.verify_off);
}

static void test_logins(void **state)
{
    parse("redis://:secret@localhost");
    assert_host("localhost", 6379, 0, NULL, "secret");
    parse("redis://me:s%40%2F%3f%25:@localhost:1/2");
    assert_host("localhost", 1, 2, "me", "s@/?%:");
    parse("redis://me:@localhost");
    assert_host("localhost", 6379, 0, "me", "");
    parse("redis://me:a@b@localhost"); /* not as it should be written, but clear */
    assert_host("localhost", 6379, 0, "me", "a@b");
    parse("redis://:a #\"[|]@localhost"); /* the same */
    assert_host("localhost", 6379, 0, NULL, "a #\"[|]");
    parse("rediss://m%65:s@h:1/3?verify=yes");
    assert_host("h", 1, 3, "me", "s");
}

static void test_unix_sockets(void **state)
{
    parse("unix:///run/redis.sock");
    assert_text(url.path, "/run/redis.sock");
    assert_null(url.host);
    assert_int_equal(url.db, 0);
    parse("unix:///run/redis.sock?db=7");
    assert_text(url.path, "/run/redis.sock");
    assert_int_equal(url.db, 7);
    parse("unix://me:secret@/run/re%3Fdis.sock");
    assert_text(url.path, "/run/re?dis.sock");
    assert_text(url.user, "me");
    assert_text(url.password, "secret");
}

static void test_tls(void **state)
{
    parse("rediss://localhost");
    assert_host("localhost", 6379, 0, NULL, NULL);
    assert_true(url.tls);
    assert_false(url.verify_off);
    assert_null(url.ca);
    parse("rediss://h:1/2?ca=/etc/ca%20s.pem&cert=/c.pem&key=/k=.pem&server_name=redis.test");
    assert_host("h", 1, 2, NULL, NULL);
    assert_text(url.ca, "/etc/ca s.pem");
    assert_text(url.cert, "/c.pem");
    assert_text(url.key, "/k=.pem");
    assert_text(url.server_name, "redis.test");
    parse("rediss://h?verify=no");
    assert_true(url.verify_off);
}

static void test_what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "expected redis://"},
        {"http://localhost", "expected redis://"},
        {"redis://", "names no host"},
        {"redis://:6379", "names no host"},
        {"redis://localhost:0", "expected a port"},
        {"redis://localhost:65536", "expected a port"},
        {"redis://[::1", "no closing bracket"},
        {"redis://[localhost]", "the host has a character"},
        {"redis://local host", "the host has a character"},
        {"redis://h:1:2", "expected a port"},
        {"redis://localhost/1#a", "expected the number of a database"},
        {"redis://localhost/seven", "expected the number of a database (0 to 65535), or nothing, behind"},
        {"redis://localhost/65536", "expected the number of a database"},
        {"redis://me@localhost", "expected user:password@"},
        {"redis://me:%zz@localhost", "expected user:password@"},
        {"redis://me:%00@localhost", "expected user:password@"},
        {"redis://localhost?ca=/x", "an option behind ? is unknown; redis:// knows sharded, and rediss://"},
        {"redis+cluster://a,b?sharded=yes", "sharded is auto or no"},
        {"redis+sentinel://a/b?sharded=no", "an option behind ? is unknown"},
        {"unix:///a?sharded=no", "an option behind ? is unknown"},
        {"redis://localhost?db=3", "an option behind ? is unknown"},
        {"rediss://localhost/1?tls=yes", "an option behind ? is unknown; rediss:// knows ca, cert, key"},
        {"rediss://localhost?ca", "has no value"},
        {"rediss://localhost?ca=", "has no value"},
        {"rediss://localhost?ca=/a&ca=/b", "ca is given twice"},
        {"rediss://localhost?ca=/a&", "has no value"},
        {"rediss://localhost?ca=/%", "the value of ca is not percent-encoded well"},
        {"rediss://localhost?verify=maybe", "verify is yes or no"},
        {"rediss://localhost?verify=no&ca=/a", "leave one of them out"},
        {"rediss://localhost?cert=/a", "cert and key go together, key is missing"},
        {"rediss://localhost?key=/a", "cert and key go together, cert is missing"},
        {"redis+sentinel:///mymaster", "names no host"},
        {"redis+sentinel://a,,b/mymaster", "names no host"},
        {"redis+sentinel://a:0,b/mymaster", "expected a port"},
        {"redis+sentinel://a/board/seven", "expected the number of a database"},
        {"redis+sentinel://a/b%zz", "the primary's name is not percent-encoded well"},
        {"redis+sentinel://a?ca=/x", "an option behind ? is unknown; redis+sentinel:// knows sentinel_user"},
        {"redis+sentinel://a?sentinel_user=u", "sentinel_user needs sentinel_password"},
        {"rediss+sentinel://a/board", "give the name that all certificates have with ?server_name=NAME"},
        {"redis+sentinel://a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a/b", "more than 16 hosts"},
        {"redis+cluster://a,b/1", "a cluster has no numbered databases"},
        {"redis+cluster://a?sentinel_password=x", "an option behind ? is unknown"},
        {"rediss+cluster://a,b", "give the name that all certificates have with ?server_name=NAME"},
        {"redis+cluster://", "names no host"},
        {"redis://localhost?sentinel_password=x", "an option behind ? is unknown"},
        {"unix://run/redis.sock", "needs an absolute path"},
        {"unix://", "needs an absolute path"},
        {"unix://?db=1", "needs an absolute path"},
        {"unix:///a?DB=1", "an option behind ? is unknown; unix:// knows db"},
        {"unix:///a?db=x", "expected the number of a database (0 to 65535) behind db="},
        {"unix:///a%zz", "the path is not percent-encoded well"},
        {"unix:///"
         "a23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678",
         "too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {{0}};
        redis_url_finish(&url);
        assert_false(redis_url_parse(&url, cases[i].text, &err));
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: says \"%s\", not \"%s\"", cases[i].text, err.text, cases[i].says);
        assert_true(strncmp(err.text, "REDIS_URL: ", 11) == 0);
    }
}

/* Nobody may find it in a log, however it was written. */
static void test_a_password_is_never_shown(void **state)
{
    static const char *const texts[] = {
        "redis://:secret/secret@localhost", "redis://:secret?secret@localhost",  "redis://me:secret%@localhost",
        "redis://me:x@y/secret@localhost",  "redis://me:x@y?z=secret@localhost", "unix://:secret/secret@/run/a",
        "redis://secret@localhost",         "rediss://:secret@h?secret@ca=/x",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = {{0}};
        redis_url_finish(&url);
        assert_false(redis_url_parse(&url, texts[i], &err));
        if (strstr(err.text, "secret") != NULL)
            fail_msg("%s: %s", texts[i], err.text);
    }
}

/* Where a slip may put it: each part of each form in turn is the secret, or ends in it. */
static void test_no_slip_shows_a_password(void **state)
{
    static const char *const forms[] = {
        "redis://%s",           "redis://:%s",
        "redis://me:%s",        "redis://%s:1",
        "redis://me:1%s",       "redis://h/%s",
        "redis://h:1/2%s",      "redis://h:1?%s",
        "redis://h?%s=1",       "redis://me:1/%s",
        "redis://me:a#%s",      "redis://me:a?%s@h",
        "redis://me:a/%s@h:1",  "redis://[%s",
        "redis://[::1]%s",      "redis://[::1]:%s",
        "rediss://h?verify=%s", "rediss://h:1/0?pass=%s",
        "rediss://h?%s",        "rediss://h?%s=",
        "rediss://h?ca=a&%s",   "unix://%s",
        "unix://:%s/run/a",     "unix:///a?db=%s",
        "unix:///a?%s=1",       "redis:%s",
        "redis:/%s@h",          "%s",
        "redis://me:%s@h/x",    "unix:///a%%%s",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        for (int odd = 0; odd < 3; odd++) {
            struct err err = {{0}};
            char text[128], secret[32];
            snprintf(secret, sizeof secret, "hunter2%s", odd == 0 ? "" : odd == 1 ? "$" : "%");
            snprintf(text, sizeof text, forms[i], secret);
            redis_url_finish(&url);
            if (!redis_url_parse(&url, text, &err) && strstr(err.text, "hunter2") != NULL)
                fail_msg("%s: %s", text, err.text);
        }
}

static int finish(void **state)
{
    redis_url_finish(&url);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_a_password_is_never_shown),
        cmocka_unit_test(test_no_slip_shows_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
