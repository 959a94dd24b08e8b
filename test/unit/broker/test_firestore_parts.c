/* test_firestore_parts: what the broker on Firestore is made of, without a server: records, the URL, the messages of a
 * Listen stream, the key that signs. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/firestore_key.h"
#include "broker/firestore_record.h"
#include "broker/firestore_url.h"
#include "broker/firestore_wire.h"
#include "wire/json.h"
#include "wire/jws.h"

#define BYTES(array) span_of((array), sizeof(array) - 1)

static void records_come_back(void **state)
{
    struct buf text = {0};
    struct fs_record record;
    const uint64_t numbers[] = {0, 300, UINT64_MAX};
    const struct span texts[] = {SPAN_LIT("room"), SPAN_LIT(""), SPAN_LIT("a\0b"), SPAN_LIT("name")};
    fs_record_append(&text, FS_PUBLISH, numbers, texts);
    fs_record_append(&text, FS_PROBE, NULL, NULL);
    struct span rest = buf_span(&text);
    assert_int_equal(fs_record_take(&rest, &record), 1);
    assert_int_equal(record.kind, FS_PUBLISH);
    assert_memory_equal(record.numbers, numbers, sizeof numbers);
    for (int i = 0; i < 4; i++)
        assert_true(span_equal(record.texts[i], texts[i]));
    assert_int_equal(fs_record_take(&rest, &record), 1);
    assert_int_equal(record.kind, FS_PROBE);
    assert_int_equal(fs_record_take(&rest, &record), 0);
    for (size_t len = 1; len + 2 < text.len; len++) { /* cut anywhere, it makes no sense */
        rest = span_sub(buf_span(&text), 0, len);
        assert_int_equal(fs_record_take(&rest, &record), -1);
    }
    rest = SPAN_LIT("\x7f");
    assert_int_equal(fs_record_take(&rest, &record), -1);
    rest = SPAN_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    assert_false(fs_number_take(&rest, &record.numbers[0]));
    buf_finish(&text);
}

static void urls(void **state)
{
    struct firestore_url url;
    struct err err;
    assert_true(firestore_url_parse(&url, "firestore://my-project/other", NULL, &err));
    assert_string_equal(url.project, "my-project");
    assert_string_equal(url.database, "other");
    assert_string_equal(url.host, "firestore.googleapis.com");
    assert_int_equal(url.port, 443);
    free(url.project), free(url.database), free(url.host);
    assert_true(firestore_url_parse(&url, "firestore://p", "[::1]:8080", &err));
    assert_string_equal(url.database, "(default)");
    assert_string_equal(url.host, "::1");
    free(url.project), free(url.database), free(url.host);
    const char *const bad[] = {"firestore://", "firestore://p/", "firestore://p/d/e", "firestore://P", "firestor://p"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(firestore_url_parse(&url, bad[i], NULL, &err));
    assert_false(firestore_url_parse(&url, "firestore://p", "localhost", &err));
}

/* As a server sends them. */
static void what_a_listener_hears(void **state)
{
    static const char snapshot[] = "\x12\x08\x32\x06\x08\x80\xe2\xcf\xaa\x06",
                      of_a_target[] = "\x12\x0b\x12\x01\x01\x32\x06\x08\x80\xe2\xcf\xaa\x06",
                      reset[] = "\x12\x02\x08\x04", ended[] = "\x12\x0b\x08\x02\x1a\x07\x08\x07\x12\x03no!",
                      document[] =
                          "\x1a\x25\x0a\x20\x0a\x03"
                          "a/b\x12\x0d\x0a\x04"
                          "data\x12\x05\x92\x01\x02xy\x1a\x04\x08\x05\x10\x07\x22\x04\x08\x05\x10\x07\x2a\x01\x01",
                      deleted[] = "\x22\x05\x0a\x03"
                                  "a/b",
                      count[] = "\x2a\x04\x08\x01\x10\x09";
    struct fs_heard heard;
    assert_true(fs_heard_decode(&heard, BYTES(snapshot)));
    assert_int_equal(heard.kind, FS_HEARD_SNAPSHOT);
    assert_int_equal(heard.read_ns, 1700000000u * UINT64_C(1000000000));
    fs_heard_finish(&heard);
    assert_true(fs_heard_decode(&heard, BYTES(of_a_target)));
    assert_int_equal(heard.kind, FS_HEARD_OTHER); /* one target's is no snapshot */
    fs_heard_finish(&heard);
    assert_true(fs_heard_decode(&heard, BYTES(reset)));
    assert_int_equal(heard.kind, FS_HEARD_RESET);
    fs_heard_finish(&heard);
    assert_true(fs_heard_decode(&heard, BYTES(ended)));
    assert_int_equal(heard.kind, FS_HEARD_ENDED);
    assert_int_equal(heard.status, GRPC_PERMISSION_DENIED);
    fs_heard_finish(&heard);
    assert_true(fs_heard_decode(&heard, BYTES(document)));
    assert_int_equal(heard.kind, FS_HEARD_DOCUMENT);
    assert_true(span_equal(heard.document.data, SPAN_LIT("xy")));
    assert_int_equal(heard.document.created_ns, 5 * UINT64_C(1000000000) + 7);
    fs_heard_finish(&heard);
    assert_true(fs_heard_decode(&heard, BYTES(deleted)));
    assert_int_equal(heard.kind, FS_HEARD_DELETED);
    assert_true(span_equal(heard.document.name, SPAN_LIT("a/b")));
    fs_heard_finish(&heard);
    assert_true(fs_heard_decode(&heard, BYTES(count)));
    assert_int_equal(heard.kind, FS_HEARD_COUNT);
    assert_int_equal(heard.count, 9);
    fs_heard_finish(&heard);
    assert_false(fs_heard_decode(&heard, SPAN_LIT("\x1a\xff")));
}

/* With the emulator all instances write one document: whether or not it is there, behind those that must not be. */
static void what_is_written(void **state)
{
    static const char new_one[] = "\x0a\x01"
                                  "d\x12\x18\x0a\x12\x0a\x01"
                                  "a\x12\x0d\x0a\x04"
                                  "data\x12\x05\x92\x01\x02xy\x22\x02\x08\x00",
                      any_one[] = "\x12\x14\x0a\x12\x0a\x01"
                                  "b\x12\x0d\x0a\x04"
                                  "data\x12\x05\x92\x01\x02xy";
    const struct fs_write writes[] = {
        {.kind = FS_CREATE, .name = SPAN_LIT("a"), .data = SPAN_LIT("xy")},
        {.kind = FS_PUT, .name = SPAN_LIT("b"), .data = SPAN_LIT("xy")},
    };
    struct buf request = {0};
    fs_commit_encode(&request, "d", writes, 2);
    struct span rest = buf_span(&request);
    assert_true(span_equal(span_sub(rest, 0, sizeof new_one - 1), BYTES(new_one)));
    assert_true(span_equal(span_from(rest, sizeof new_one - 1), BYTES(any_one)));
    buf_finish(&request);
}

static void the_key_signs(void **state)
{
    char path[] = "/tmp/sennit-key-XXXXXX";
    struct err err;
    struct jws jws = {.header = {0}};
    struct buf pem = {0};
    char *bytes;
    EVP_PKEY *pair = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL);
    long len = BIO_get_mem_data(bio, &bytes);
    buf_append_json(&pem, span_of(bytes, (size_t)len));
    int fd = mkstemp(path);
    dprintf(fd, "{\"private_key_id\": \"k1\", \"client_email\": \"a@b\", \"private_key\": \"%.*s\"}", (int)pem.len,
            buf_span(&pem).data);
    close(fd);
    struct fs_key *key = fs_key_read(path, &err);
    assert_non_null(key);
    char *token = fs_key_sign(key, 1000);
    assert_true(jws_decode(&jws, span_str(token)));
    assert_true(json_string_equal(json_object_get(buf_span(&jws.payload), SPAN_LIT("iss")), SPAN_LIT("a@b")));
    assert_true(span_equal(json_object_get(buf_span(&jws.payload), SPAN_LIT("exp")), SPAN_LIT("4600")));
    size_t text_len = (size_t)(strrchr(token, '.') - token);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, pair), 1);
    assert_int_equal(EVP_DigestVerify(context, (const unsigned char *)buf_span(&jws.signature).data, jws.signature.len,
                                      (const unsigned char *)token, text_len),
                     1);
    EVP_MD_CTX_free(context);
    jws_finish(&jws);
    free(token);
    fs_key_destroy(key);
    buf_finish(&pem);
    BIO_free(bio);
    EVP_PKEY_free(pair);
    assert_int_equal(truncate(path, 20), 0);
    assert_null(fs_key_read(path, &err));
    assert_non_null(strstr(err.text, "GOOGLE_APPLICATION_CREDENTIALS"));
    unlink(path);
    assert_null(fs_key_read(path, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back), cmocka_unit_test(urls),          cmocka_unit_test(what_a_listener_hears),
        cmocka_unit_test(what_is_written),   cmocka_unit_test(the_key_signs),
    };
    return cmocka_run_group_tests_name("broker/firestore_parts", tests, NULL, NULL);
}
