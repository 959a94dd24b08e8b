/* test_adapter_message: what the real adapters and the real emitter have sent (test/vectors/adapter) is read as it was
 * meant; what is damaged is refused, with the reason; and the bounds hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "bridge/adapter_message.h"
#include "wire/msgpack.h"

static const char *folder;

static void names_print(struct buf *to, const char *name, const struct adapter_names *names)
{
    if (names->count > 0)
        buf_printf(to, " %s", name);
    for (size_t i = 0; i < names->count; i++)
        buf_printf(to, "%s" SPAN_FMT, i == 0 ? "=" : "|", SPAN_ARG(names->list[i]));
}

/* One line, which says all that was read. */
static void message_print(struct buf *to, const struct adapter_message *message)
{
    static const char *const kinds[] = {"broadcast", "join",  "leave",       "disconnect", "fetch",
                                        "sids",      "rooms", "server-emit", "fetched",    "other"};
    buf_printf(to, "%s nsp=" SPAN_FMT, kinds[message->kind], SPAN_ARG(message->nsp));
    names_print(to, "rooms", &message->rooms);
    names_print(to, "except", &message->excepts);
    names_print(to, "targets", &message->targets);
    buf_printf(to, "%s%s%s", message->is_volatile ? " volatile" : "", message->whole ? " whole" : "",
               message->request.len > 0 ? " asks" : "");
    if (message->timeout_ms > 0)
        buf_printf(to, " timeout=%llu", (unsigned long long)message->timeout_ms);
    if (message->kind == ADAPTER_BROADCAST)
        buf_printf(to, " event=" SPAN_FMT " " SPAN_FMT, SPAN_ARG(message->event), SPAN_ARG(message->content.args));
    for (uint32_t i = 0; i < message->content.count; i++)
        buf_printf(to, " bytes(%zu)=%02x", message->content.attachments[i].len,
                   (unsigned char)message->content.attachments[i].data[0]);
}

static void unhex(struct buf *to, struct span hex)
{
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        char pair[3] = {hex.data[i], hex.data[i + 1], '\0'};
        buf_append_char(to, (char)strtoul(pair, NULL, 16));
    }
}

static enum adapter_form form_of(struct span word)
{
    static const char *const names[] = {"broadcast", "request", "response", "cluster"};
    for (int form = 0; form < 4; form++)
        if (span_equal(word, span_str(names[form])))
            return (enum adapter_form)form;
    fail();
    return ADAPTER_CLUSTER;
}

static void line_check(struct span recorded, struct span expected)
{
    struct adapter_message message;
    struct span form, hex;
    struct buf payload = {0}, said = {0};
    span_next(&recorded, ' ', &form);
    span_next(&recorded, ' ', &hex);
    unhex(&payload, hex);
    assert_null(adapter_message_read(&message, form_of(form), buf_span(&payload)));
    message_print(&said, &message);
    if (!span_equal(buf_span(&said), expected))
        fail_msg(SPAN_FMT ":\n" SPAN_FMT "\nexpected\n" SPAN_FMT, SPAN_ARG(recorded), SPAN_ARG(buf_span(&said)),
                 SPAN_ARG(expected));
    adapter_message_finish(&message);
    buf_finish(&payload);
    buf_finish(&said);
}

static void file_take(struct buf *to, const char *name)
{
    char *path = mem_printf("%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    to->len = fread(buf_reserve(to, 1 << 16), 1, 1 << 16, file);
    fclose(file);
    free(path);
}

static void recorded_messages_are_read(void **state)
{
    struct buf messages = {0}, expected = {0};
    size_t lines = 0;
    (void)state;
    file_take(&messages, "messages.txt");
    file_take(&expected, "read.txt");
    struct span left = buf_span(&messages), right = buf_span(&expected), recorded, meant;
    while (span_next(&left, '\n', &recorded) && recorded.len > 0) {
        assert_true(span_next(&right, '\n', &meant));
        line_check(recorded, meant);
        lines++;
    }
    assert_int_equal(lines, 31);
    assert_int_equal(right.len, 0);
    buf_finish(&messages);
    buf_finish(&expected);
}

/* Each recorded message, cut off anywhere, is refused, and so is one with a byte behind it. */
static void cut_messages_are_refused(void **state)
{
    struct buf messages = {0};
    (void)state;
    file_take(&messages, "messages.txt");
    struct span left = buf_span(&messages), recorded, form, hex;
    while (span_next(&left, '\n', &recorded) && recorded.len > 0) {
        struct buf payload = {0};
        struct adapter_message message;
        span_next(&recorded, ' ', &form);
        span_next(&recorded, ' ', &hex);
        unhex(&payload, hex);
        for (size_t len = 0; len < payload.len; len++) {
            char *copy = mem_alloc(len + 1); /* of its own, so that a sanitizer sees a byte too far */
            char *exact = mem_resize(copy, len != 0 ? len : 1);
            memcpy(exact, payload.data, len);
            assert_non_null(adapter_message_read(&message, form_of(form), span_of(exact, len)));
            free(exact);
        }
        buf_append_char(&payload, '\1');
        assert_non_null(adapter_message_read(&message, form_of(form), buf_span(&payload)));
        buf_finish(&payload);
    }
    buf_finish(&messages);
}

static const char *fault_of(enum adapter_form form, const char *json, bool packed)
{
    struct adapter_message message;
    struct buf bytes = {0};
    if (packed)
        msgpack_from_json(&bytes, span_str(json), NULL, 0);
    else
        buf_append(&bytes, span_str(json));
    const char *fault = adapter_message_read(&message, form, buf_span(&bytes));
    if (fault == NULL)
        adapter_message_finish(&message);
    buf_finish(&bytes);
    return fault;
}

static void wrong_messages_are_refused(void **state)
{
    static const struct {
        enum adapter_form form;
        const char *json;
    } wrong[] = {
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/\"},null]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/\"},{\"rooms\":\"a\",\"except\":[]}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/\"},{\"rooms\":[[]],\"except\":[]}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/\"},{\"rooms\":[],\"except\":[true]}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[],\"nsp\":\"/\"},{}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[7],\"nsp\":\"/\"},{}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[\"\"],\"nsp\":\"/\"},{}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":\"e\",\"nsp\":\"/\"},{}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":1,\"data\":[\"e\"],\"nsp\":\"/\"},{}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"data\":[\"e\"],\"nsp\":\"/\"},{}]"},
        {ADAPTER_BROADCASTS, "[\"u\",{\"type\":2,\"data\":[\"e\"],\"nsp\":7},{}]"},
        {ADAPTER_BROADCASTS, "[7,{\"type\":2,\"data\":[\"e\"],\"nsp\":\"/\"},{}]"},
        {ADAPTER_BROADCASTS, "[\"u\"]"},
        {ADAPTER_BROADCASTS, "7"},
        {ADAPTER_REQUESTS, "{}"},
        {ADAPTER_REQUESTS, "{\"type\":\"2\",\"opts\":{},\"rooms\":[\"a\"]}"},
        {ADAPTER_REQUESTS, "{\"type\":2,\"opts\":{},\"rooms\":[]}"},
        {ADAPTER_REQUESTS, "{\"type\":2,\"sid\":\"x\",\"room\":\"a\",\"requestId\":\"r\"}"},
        {ADAPTER_REQUESTS, "{\"type\":5,\"requestId\":7,\"opts\":{}}"},
        {ADAPTER_REQUESTS, "{\"type\":7,\"requestId\":\"r\",\"opts\":{}}"},
        {ADAPTER_RESPONSES, "{\"requestId\":\"r\",\"sockets\":7}"},
        {ADAPTER_CLUSTER, "{\"type\":3,\"uid\":\"u\",\"nsp\":\"/\"}"},
        {ADAPTER_CLUSTER, "{\"type\":3,\"uid\":\"u\",\"nsp\":\"/\",\"data\":[]}"},
        {ADAPTER_CLUSTER, "{\"type\":4,\"uid\":\"u\",\"nsp\":\"/\",\"data\":{\"opts\":{},\"rooms\":{}}}"},
        {ADAPTER_CLUSTER, "{\"uid\":\"u\",\"nsp\":\"/\",\"data\":{}}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (fault_of(wrong[i].form, wrong[i].json, true) == NULL)
            fail_msg("%s is read", wrong[i].json);
    /* What a later version may send is no fault. */
    assert_null(fault_of(ADAPTER_REQUESTS, "{\"type\":99}", false));
    assert_null(fault_of(ADAPTER_CLUSTER, "{\"type\":2,\"uid\":\"u\",\"nsp\":\"/\"}", false));
    assert_null(fault_of(ADAPTER_CLUSTER, "{\"type\":13,\"uid\":\"u\",\"nsp\":\"/\"}", false));
}

static const char *rooms_fault(size_t count)
{
    struct buf json = {0};
    buf_append(&json, SPAN_LIT("{\"type\":5,\"requestId\":\"r\",\"opts\":{\"rooms\":["));
    for (size_t i = 0; i < count; i++)
        buf_append(&json, i > 0 ? SPAN_LIT(",\"a\"") : SPAN_LIT("\"a\""));
    buf_append(&json, SPAN_LIT("],\"except\":[]}}\0"));
    const char *fault = fault_of(ADAPTER_REQUESTS, json.data, false);
    buf_finish(&json);
    return fault;
}

static const char *event_fault(size_t len)
{
    struct buf json = {0};
    buf_append(&json, SPAN_LIT("[\"u\",{\"type\":2,\"nsp\":\"/\",\"data\":[\""));
    for (size_t i = 0; i < len; i++)
        buf_append_char(&json, 'e');
    buf_append(&json, SPAN_LIT("\"]},{}]\0"));
    const char *fault = fault_of(ADAPTER_BROADCASTS, json.data, true);
    buf_finish(&json);
    return fault;
}

static void bounds_hold(void **state)
{
    (void)state;
    assert_null(rooms_fault(ADAPTER_NAMES_MAX));
    assert_non_null(rooms_fault(ADAPTER_NAMES_MAX + 1));
    assert_null(event_fault(ADAPTER_TEXT_BYTES_MAX));
    assert_non_null(event_fault(ADAPTER_TEXT_BYTES_MAX + 1));
}

/* A placeholder that a client has made up, beside real bytes, would point at none. */
static void made_up_placeholders_are_refused(void **state)
{
    struct span bins[] = {SPAN_LIT("x")};
    struct adapter_message message;
    (void)state;
    for (int real = 0; real < 2; real++) {
        const char *json =
            real ? "[\"u\",{\"type\":2,\"nsp\":\"/\",\"data\":[\"e\",{\"_placeholder\":true,\"num\":0}]},{}]"
                 : "[\"u\",{\"type\":2,\"nsp\":\"/\",\"data\":[\"e\",{\"_placeholder\":true,\"num\":0},"
                   "{\"_placeholder\":true,\"num\":9}]},{}]";
        struct buf bytes = {0};
        msgpack_from_json(&bytes, span_str(json), bins, 1);
        const char *fault = adapter_message_read(&message, ADAPTER_BROADCASTS, buf_span(&bytes));
        assert_int_equal(fault == NULL, real);
        if (fault == NULL)
            adapter_message_finish(&message);
        buf_finish(&bytes);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_messages_are_read),       cmocka_unit_test(cut_messages_are_refused),
        cmocka_unit_test(wrong_messages_are_refused),       cmocka_unit_test(bounds_hold),
        cmocka_unit_test(made_up_placeholders_are_refused),
    };
    folder = argc > 1 ? argv[1] : "test/vectors/adapter";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
