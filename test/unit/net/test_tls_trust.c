/* test_tls_trust: which certificates a connection with TLS trusts, which one it presents, and its error when it does
 * not trust the peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tls_fixture.h"

static void test_a_ca_that_is_not_ours_is_refused(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(&(struct tls_client_options){.name = "redis.test", .ca = other_ca_path});
    assert_refused(TLS_FAULT_UNTRUSTED, "certificate verify failed: unable to get local issuer certificate",
                   SSL_AD_UNKNOWN_CA);
}

static void test_the_systems_cas_do_not_know_it_either(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(&(struct tls_client_options){.name = "redis.test"});
    assert_refused(TLS_FAULT_UNTRUSTED, "certificate verify failed: unable to get local issuer certificate",
                   SSL_AD_UNKNOWN_CA);
}

static void test_a_self_signed_certificate_is_refused_until_it_is_named(void **state)
{
    struct cert own = cert_ca("redis.test");
    tls_peer_open(&peer, &net, &own, NULL);
    try_it(usual());
    assert_refused(TLS_FAULT_UNTRUSTED, "certificate verify failed: self-signed certificate", SSL_AD_UNKNOWN_CA);
    tear_down(NULL);
    set_up(NULL);
    char *path = path_in_directory("own.pem");
    cert_write(&own, path);
    tls_peer_open(&peer, &net, &own, NULL);
    try_it(&(struct tls_client_options){.name = "redis.test", .ca = path});
    assert_true(ours.opened);
    unlink(path);
    free(path);
    cert_finish(&own);
}

static void test_the_peers_very_certificate_may_be_named(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(&(struct tls_client_options){.name = "redis.test", .ca = cert_path});
    assert_true(ours.opened);
}

static void test_a_directory_of_cas(void **state)
{
    char *hash = mem_printf("%s/%08lx.0", directory, X509_subject_name_hash(ca.x509));
    cert_write(&ca, hash);
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(&(struct tls_client_options){.name = "redis.test", .ca = directory});
    assert_true(ours.opened);
    unlink(hash);
    free(hash);
}

static void test_a_certificate_for_another_host_is_refused(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(&(struct tls_client_options){.name = "other.test", .ca = ca_path});
    assert_refused(TLS_FAULT_NAME, "certificate verify failed: hostname mismatch", SSL_AD_BAD_CERTIFICATE);
}

static void test_a_certificate_for_another_address_is_refused(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(&(struct tls_client_options){.name = "127.0.0.2", .ca = ca_path});
    assert_refused(TLS_FAULT_NAME, "certificate verify failed: IP address mismatch", SSL_AD_BAD_CERTIFICATE);
}

static void test_an_address_is_a_name_and_no_sni(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    try_it(&(struct tls_client_options){.name = "127.0.0.1", .ca = ca_path});
    assert_true(ours.opened);
    assert_string_equal(peer.sni, "");
}

static void test_an_expired_certificate_is_refused(void **state)
{
    tls_peer_open(&peer, &net, &expired, NULL);
    try_it(usual());
    assert_refused(TLS_FAULT_DATE, "certificate verify failed: certificate has expired", SSL_AD_CERTIFICATE_EXPIRED);
}

static void test_without_verification_anybody_is_believed(void **state)
{
    tls_peer_open(&peer, &net, &expired, NULL);
    try_it(&(struct tls_client_options){.name = "other.test", .verify_off = true});
    assert_true(ours.opened);
    say_hello();
}

static void test_old_versions_are_refused(void **state)
{
    tls_peer_open(&peer, &net, &good, NULL);
    SSL_set_cipher_list(peer.ssl, "ALL:@SECLEVEL=0");
    SSL_set_min_proto_version(peer.ssl, TLS1_VERSION);
    SSL_set_max_proto_version(peer.ssl, TLS1_1_VERSION);
    try_it(usual());
    assert_true(ours.closed && ours.reason == CLOSE_TLS_FAILED);
    assert_string_equal(ours.problem.text, "the peer refuses: protocol version");
}

static void test_the_peer_wants_a_certificate(void **state)
{
    tls_peer_open(&peer, &net, &good, &ca);
    begin(usual());
    await(is_closed); /* in TLS 1.3 the refusal comes behind the handshake: it may have opened, or not */
    assert_int_equal(ours.reason, CLOSE_TLS_FAILED);
    assert_int_equal(ours.problem.fault, TLS_FAULT_WANTS_CERT);
    assert_string_equal(ours.problem.text, "the peer refuses: certificate required");
}

static void test_the_peer_gets_a_certificate(void **state)
{
    tls_peer_open(&peer, &net, &good, &ca);
    try_it(&(struct tls_client_options){.name = "redis.test", .ca = ca_path, .cert = cert_path, .key = key_path});
    assert_true(ours.opened);
    say_hello();
}

static void assert_says(const struct tls_client_options *options, const char *expected)
{
    struct err err = {{0}};
    assert_null(tls_client_create(options, &err));
    char *whole = mem_printf(expected, directory);
    assert_string_equal(err.text, whole);
    free(whole);
}

static void test_files_that_are_wrong(void **state)
{
    char *none = path_in_directory("none.pem"), *locked = path_in_directory("locked.pem");
    cert_write_key(&good, locked, "secret");
    struct cert another = cert_signed(&ca, "DNS:another", -60, DAY_S);
    char *other_key = path_in_directory("other_key.pem");
    cert_write_key(&another, other_key, NULL);
    struct tls_client_options options = {.name = "redis.test", .ca = none};
    assert_says(&options, "ca: %s/none.pem: No such file or directory");
    options.ca = key_path;
    assert_says(&options, "ca: %s/key.pem: holds no certificate in PEM form");
    options.ca = ca_path;
    options.cert = none;
    options.key = key_path;
    assert_says(&options, "cert: %s/none.pem: No such file or directory");
    options.cert = cert_path;
    options.key = locked;
    assert_says(&options,
                "key: %s/locked.pem: holds no private key in PEM form that could be read without a passphrase");
    options.key = ca_path;
    assert_says(&options, "key: %s/ca.pem: holds no private key in PEM form that could be read without a passphrase");
    options.key = other_key;
    assert_says(&options, "key: %s/other_key.pem: is not the key of the certificate: key values mismatch");
    unlink(locked);
    unlink(other_key);
    free(none);
    free(locked);
    free(other_key);
    cert_finish(&another);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ca_that_is_not_ours_is_refused),
        TEST(the_systems_cas_do_not_know_it_either),
        TEST(a_self_signed_certificate_is_refused_until_it_is_named),
        TEST(the_peers_very_certificate_may_be_named),
        TEST(a_directory_of_cas),
        TEST(a_certificate_for_another_host_is_refused),
        TEST(a_certificate_for_another_address_is_refused),
        TEST(an_address_is_a_name_and_no_sni),
        TEST(an_expired_certificate_is_refused),
        TEST(without_verification_anybody_is_believed),
        TEST(old_versions_are_refused),
        TEST(the_peer_wants_a_certificate),
        TEST(the_peer_gets_a_certificate),
        cmocka_unit_test(test_files_that_are_wrong),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
