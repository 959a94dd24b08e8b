/* test_binary: events with attachments: put together, passed on, logged, read back and resumed; and their bounds. */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "fixture.h"
#include "session/assembly.h"

#define NUM(k) "{\"_placeholder\":true,\"num\":" #k "}"

/* The messages from the first one that begins so, up to `len` bytes of them. */
static struct span from(const struct browser *browser, const char *start)
{
    struct span rest = buf_span(&browser->messages), line, before = rest;
    while (rest.len > 0 && span_next(&rest, '\n', &line)) {
        if (span_starts_with(line, span_str(start)))
            return before;
        before = rest;
    }
    fail_msg("no message \"%s...\"", start);
    return rest;
}

static struct span line_of(struct span *rest)
{
    struct span line = {NULL, 0};
    span_next(rest, '\n', &line);
    return line;
}

static void is_line(struct span *rest, const char *text)
{
    struct span line = line_of(rest);
    assert_int_equal(line.len, strlen(text));
    assert_memory_equal(line.data, text, line.len);
}

static void every_client_gets_the_attachments_behind_the_text(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    expect(two, "40{");
    say(one, "452-7[\"x\"," NUM(1) "," NUM(0) "]");
    say_binary(one, "first");
    say(one, "3"); /* a pong is no message */
    say_binary(one, "second");
    say(one, "42[\"y\"]");
    expect(one, "437[]");
    expect(two, "42[\"y\",");
    struct span rest = from(two, "452-");
    assert_true(span_starts_with(line_of(&rest), SPAN_LIT("452-[\"x\"," NUM(1) "," NUM(0) ",\"")));
    is_line(&rest, "b:first");
    is_line(&rest, "b:second");
    assert_true(span_starts_with(rest, SPAN_LIT("42[\"y\",")));
    assert_int_equal(count(one, "b:first"), 1);
    assert_int_equal(sessions.unfinished.bytes, 0);
}

static void an_attachment_may_come_in_base64(void **state)
{
    struct browser *one = enter(0, "40");
    say(one, "451-[\"x\"," NUM(0) "]");
    say(one, "bAQID");
    expect(one, "b:\1\2\3");
}

/* Whether these two messages close the connection. */
static bool closes(const char *first, const char *second)
{
    struct browser *one = enter(0, "40");
    expect(one, "40{");
    if (first != NULL)
        say(one, first);
    if (second != NULL)
        say_binary(one, second);
    say(one, "42[\"text\"]");
    turn(20);
    bool closed = one->closed || !conn_is_open(&one->conn);
    cut(one);
    return closed;
}

static void what_is_out_of_order_closes(void **state)
{
    assert_true(closes(NULL, "out of the blue"));
    assert_true(closes("451-[\"x\"," NUM(0) "]", NULL)); /* a text instead of the attachment */
    assert_true(closes("450-[\"x\"]", NULL));
    assert_true(closes("45-[\"x\"]", "a"));
    assert_true(closes("451-[\"x\"," NUM(1) "]", "a"));
    assert_true(closes("451-/elsewhere,[\"x\"," NUM(0) "]", "a"));
    assert_true(closes("4511-[\"x\"]", "a"));
    assert_false(closes("461-3[" NUM(0) "]", "an acknowledgement of nothing"));
    assert_false(closes("451-[\"x\"]", "without a place"));
}

static void a_missed_event_is_resumed_with_its_attachments(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    expect(two, "40{");
    say(one, "42[\"before\"]");
    expect(two, "42[\"before\"");
    quoted(two, "40{", "\"pid\":\"", pid, sizeof pid);
    quoted(two, "42[\"before\"", "\"before\",\"", token, sizeof token);
    cut(two);
    say(one, "452-1[\"x\"," NUM(0) "," NUM(1) "]");
    say_binary(one, "missed");
    say_binary(one, "too");
    expect(one, "431[]");
    assert_true(is_resumed(2, pid, token));
    expect(&browsers[2], "b:too");
    struct span rest = from(&browsers[2], "452-");
    assert_true(span_starts_with(line_of(&rest), SPAN_LIT("452-[\"x\"," NUM(0) "," NUM(1) ",\"")));
    is_line(&rest, "b:missed");
    is_line(&rest, "b:too");
}

static void history_numbers_the_attachments_of_a_page(void **state)
{
    struct browser *one = enter(0, "40");
    say(one, "452-[\"x\"," NUM(1) "," NUM(0) "]");
    say_binary(one, "a");
    say_binary(one, "b");
    say(one, "42[\"plain\",{\"num\":0}]");
    say(one, "451-1[\"y\",{\"num\":0,\"_placeholder\":true}]");
    say_binary(one, "c");
    expect(one, "431[]");
    say(one, "429[\"past\"]");
    expect(one, "463-9[{\"entries\":[");
    struct span rest = from(one, "463-9["), line = line_of(&rest);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)line.len, line.data);
    assert_non_null(strstr(text, "\"args\":[\"x\"," NUM(1) "," NUM(0) "]}"));
    assert_non_null(strstr(text, "\"args\":[\"plain\",{\"num\":0}]}"));
    assert_non_null(strstr(text, "\"args\":[\"y\",{\"num\":2,\"_placeholder\":true}]}"));
    assert_non_null(strstr(text, "\"more\":false"));
    is_line(&rest, "b:a");
    is_line(&rest, "b:b");
    is_line(&rest, "b:c");
}

static void eight(struct browser *from, const char *start)
{
    say(from, start);
    for (int i = 0; i < 8; i++)
        say_binary(from, "z");
}

/* No client takes more than ten; the newest entries come, and the rest with the next question. */
static void a_page_holds_ten_attachments(void **state)
{
    struct browser *one = enter(0, "40");
    eight(one, "458-[\"x\"]");
    eight(one, "458-1[\"y\"]");
    expect(one, "431[]");
    say(one, "429[\"past\"]");
    expect(one, "468-9[{\"entries\":[{");
    struct span rest = from(one, "468-9["), line = line_of(&rest);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)line.len, line.data);
    assert_null(strstr(text, "\"args\":[\"x\"]"));
    assert_non_null(strstr(text, "\"args\":[\"y\"]"));
    assert_non_null(strstr(text, "\"more\":true,\"gap\":false"));
}

/* A text that looks like a placeholder would be replaced, or make the client close, if it came with attachments. */
static void a_lookalike_shares_no_page_with_attachments(void **state)
{
    struct browser *one = enter(0, "40");
    say(one, "451-[\"x\"," NUM(0) "]");
    say_binary(one, "a");
    say(one, "421[\"y\"," NUM(9) "]");
    expect(one, "431[]");
    say(one, "429[\"past\"]");
    expect(one, "439[{\"entries\":[{");
    struct span rest = from(one, "439["), line = line_of(&rest);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)line.len, line.data);
    assert_null(strstr(text, "\"x\""));
    assert_non_null(strstr(text, "\"args\":[\"y\"," NUM(9) "]"));
    assert_non_null(strstr(text, "\"more\":true"));
}

static void what_exceeds_a_bound_is_refused_by_itself(void **state)
{
    sessions.limits.payload_bytes_max = 100;
    sessions.limits.attachments_max = 2;
    struct browser *one = enter(0, "40");
    char large[80];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    say(one, "452-1[\"x\"," NUM(0) "]");
    say_binary(one, large);
    say_binary(one, large);
    expect(one, "431[{\"error\":\"");
    say(one, "453-2[\"x\"," NUM(0) "]");
    for (int i = 0; i < 3; i++)
        say_binary(one, "a");
    expect(one, "432[{\"error\":\"");
    say(one, "452-3[\"x\"," NUM(0) "]");
    say_binary(one, "a");
    say_binary(one, "b");
    expect(one, "433[]");
    assert_false(one->closed);
    assert_int_equal(sessions.refusals.counts[REFUSAL_EVENT_TOO_LARGE], 1);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ATTACHMENTS], 1);
    turn(10);
    look(one);
    assert_int_equal(count(one, "452-"), 1);
}

/* Clients announce attachments and never send the last: the one that began first is closed in favour of later ones. */
static void unfinished_events_are_bounded(void **state)
{
    enum { BYTES = 800 };
    sessions.limits.unfinished_bytes_max = BYTES;
    for (int i = 0; i < 3; i++) {
        struct browser *one = enter(i, "40");
        say(one, "452-[\"x\"]");
        say_binary(one, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        turn(20);
    }
    assert_true(browsers[0].closed);
    assert_false(browsers[2].closed);
    assert_true(sessions.unfinished.bytes > 0 && sessions.unfinished.bytes <= BYTES);
    cut(&browsers[1]);
    cut(&browsers[2]);
    turn(20);
    assert_int_equal(sessions.unfinished.bytes, 0);
}

/* A polling session moves to another instance between an event's text and its last attachment. */
static void an_unfinished_event_moves(void **state)
{
    struct buf parked = {0};
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    say(one, "452-7[\"x\"," NUM(0) "," NUM(1) "]");
    say_binary(one, "a");
    turn(10);
    assembly_park(&parked, one->websocket.transport.session);
    assembly_restore(two->websocket.transport.session, buf_span(&parked));
    say_binary(two, "b");
    expect(two, "437[]");
    expect(two, "b:b");
    assert_int_equal(count(two, "b:a"), 1);
    /* An event that was too large for the first instance stays refused. */
    parked.data[parked.off] = 'L';
    assembly_restore(two->websocket.transport.session, buf_span(&parked));
    say_binary(two, "b");
    expect(two, "437[{\"error\"");
    assembly_restore(two->websocket.transport.session, SPAN_LIT("K42[\"x\"]"));
    turn(10);
    assert_false(conn_is_open(&two->conn));
    buf_finish(&parked);
}

static void published(void *arg, enum broker_result result)
{
    *(bool *)arg = result == BROKER_OK;
}

/* Another program has written into the room. */
static void a_damaged_event_is_told(void **state)
{
    static const struct broker_retention retention = {.entries_max = 10, .bytes_max = 1 << 20, .age_ms_max = 3600000};
    bool ok = false;
    struct browser *one = enter(0, "40");
    expect(one, "40{");
    struct broker_publish publish = {.room = SPAN_LIT("/"), .body = SPAN_LIT("\1\5"), .retention = &retention};
    assert_true(broker_publish(broker, &publish, published, &ok));
    expect(one, "42[\"sennit\",{\"damaged\":true},\"");
    assert_true(ok);
    assert_int_equal(sessions.refusals.counts[REFUSAL_EVENT_DAMAGED], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_client_gets_the_attachments_behind_the_text),
        TEST(an_attachment_may_come_in_base64),
        TEST(what_is_out_of_order_closes),
        TEST(a_missed_event_is_resumed_with_its_attachments),
        TEST(history_numbers_the_attachments_of_a_page),
        TEST(a_page_holds_ten_attachments),
        TEST(a_lookalike_shares_no_page_with_attachments),
        TEST(what_exceeds_a_bound_is_refused_by_itself),
        TEST(unfinished_events_are_bounded),
        TEST(an_unfinished_event_moves),
        TEST(a_damaged_event_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
