/* test_content: bodies with and without attachments, whole and damaged. */
#include "fixture.h"

#include "session/content.h"

#define ONE "{\"_placeholder\":true,\"num\":0}"
#define TWO "{\"_placeholder\":true,\"num\":1}"

static void equal(struct span a, struct span b)
{
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, b.len);
}

/* Old logs hold nothing but JSON, and so do the logs of other instances. */
static void without_attachments_the_body_is_the_json(void **state)
{
    struct content content = content_of(SPAN_LIT("[\"a\",1]")), again;
    struct buf body = {0};
    content_encode(&body, &content);
    equal(buf_span(&body), content.args);
    assert_true(content_decode(buf_span(&body), &again));
    assert_int_equal(again.count, 0);
    equal(again.args, content.args);
    buf_finish(&body);
}

static void attachments_come_back_byte_by_byte(void **state)
{
    struct content again, content = {.args = SPAN_LIT("[\"a\"," TWO "," ONE "," TWO "]"),
                                     .count = 3,
                                     .attachments = {span_of("\0\1[", 3), SPAN_LIT(""), SPAN_LIT("three")}};
    struct buf body = {0};
    content_encode(&body, &content);
    assert_int_equal(content_bytes(&content), content.args.len + 8);
    assert_int_equal(body.len, 2 + 3 * 4 + content_bytes(&content));
    assert_true(content_decode(buf_span(&body), &again));
    assert_int_equal(again.count, 3);
    equal(again.args, content.args);
    equal(again.attachments[0], content.attachments[0]);
    assert_int_equal(again.attachments[1].len, 0);
    equal(again.attachments[2], content.attachments[2]);
    for (size_t len = 1; len < body.len; len++)
        assert_false(content_decode(span_sub(buf_span(&body), 0, len), &again));
    buf_finish(&body);
}

static bool decodes(const char *bytes, size_t len)
{
    struct content content;
    return content_decode(span_of(bytes, len), &content);
}

#define DECODES(bytes) decodes(bytes, sizeof(bytes) - 1)

static void damaged_bodies_are_refused(void **state)
{
    assert_true(DECODES("\1\1\0\0\0\1x[\"a\"," ONE "]"));
    assert_false(DECODES("\1"));
    assert_false(DECODES("\1\0[\"a\"]"));
    assert_false(DECODES("\1\1\0\0\0\2x[\"a\"," ONE "]")); /* one byte of the JSON is the attachment's */
    assert_false(DECODES("\1\1\xff\xff\xff\xffx[\"a\"]"));
    assert_false(DECODES("\1\1\0\0\0\1x[\"a\"," TWO "]")); /* a client's parser closes on it */
    assert_false(DECODES("\1\1\0\0\0\1x{\"a\":1}"));
    assert_false(DECODES("\1\1\0\0\0\1x[\"a\"] "));
    assert_false(
        DECODES("\1\x0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0[1]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_attachments_the_body_is_the_json),
        cmocka_unit_test(attachments_come_back_byte_by_byte),
        cmocka_unit_test(damaged_bodies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
