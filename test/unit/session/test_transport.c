/* test_transport: a session on a transport that follows a script. It has no connection and no WebSocket: another kind
 * of transport fits where the first one does. */
#include <stdio.h>

#include "script.h"
#include "session/socket.h"

static struct script script;

static struct session *begin(void)
{
    return script_begin(&script, &socket_protocol);
}

static void take_all(void)
{
    script_take(&script);
}

static void end(void)
{
    script_end(&script);
}

static void receive(const char *packet)
{
    script_receive(&script, packet);
}

static size_t waiting(const char *start)
{
    return script_waiting(&script, start);
}

static void packets_go_both_ways(void **state)
{
    begin();
    assert_int_equal(waiting("0{\"sid\":"), 1);
    receive("40");
    assert_int_equal(waiting("40{\"sid\":"), 1);
    receive("421[\"say\",1]");
    assert_int_equal(waiting("431[]"), 1);
    assert_int_equal(waiting("42[\"say\",1,"), 1);
    end();
}

static void the_reason_of_a_close_reaches_the_transport(void **state)
{
    begin();
    receive("nonsense");
    assert_true(script.closed);
    assert_false(script.aborted);
    assert_int_equal(script.reason, CLOSE_ENGINE_INVALID);
    session_close(script.transport.session, CLOSE_ROTATED); /* the first one stands */
    assert_int_equal(script.reason, CLOSE_ENGINE_INVALID);
    end();
}

/* A tag says whose event a frame is, and at which position; what is no event has none. */
static void events_are_tagged(void **state)
{
    uint64_t last = 0;
    begin();
    receive("40");
    receive("40/other,");
    receive("421[\"say\",1]");
    receive("422[\"say\",2]");
    receive("42/other,3[\"say\",3]");
    uint32_t first = 0, second = 0;
    for (size_t i = 0; i < script.count; i++) {
        struct span text = span_of(script.sent[i].frame->data, script.sent[i].frame->len);
        struct frame_tag tag = script.sent[i].tag;
        if (span_starts_with(text, SPAN_LIT("42[\"say\""))) {
            first = tag.whose;
            assert_true(tag.at > last);
            last = tag.at;
        } else if (span_starts_with(text, SPAN_LIT("42/other,"))) {
            second = tag.whose;
        } else {
            assert_int_equal(tag.whose, 0);
        }
    }
    assert_true(first != 0 && second != 0 && first != second);
    end();
}

/* Events of a client that does not read are dropped behind the first, by their tags alone, and come again. */
static void a_slow_reader_gets_everything_once_it_reads(void **state)
{
    begin();
    receive("40");
    sessions.limits.slow_queue_bytes = 1;
    take_all();
    for (int i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "42%d[\"say\",%d]", i, i);
        receive(text);
    }
    assert_int_equal(waiting("43"), 5); /* no acknowledgement is dropped */
    assert_int_equal(waiting("42[\"say\""), 1);
    assert_int_equal(waiting("42[\"say\",0,"), 1);
    assert_true(script.awaited);
    sessions.limits.slow_queue_bytes = 1 << 20;
    take_all();
    turn(20);
    assert_int_equal(waiting("42[\"say\""), 4);
    assert_int_equal(waiting("42[\"say\",1,"), 1);
    assert_int_equal(waiting("42[\"say\",4,"), 1);
    end();
}

static void one_with_too_many_calls_is_paused(void **state)
{
    sessions.limits.changes_burst = 4;
    begin();
    receive("40");
    for (int i = 0; i < 6; i++) {
        char text[32];
        snprintf(text, sizeof text, "42%d[\"join\",\"r%d\"]", i, i);
        session_received(script.transport.session, span_str(text));
    }
    assert_true(script.paused);
    turn(1500);
    assert_false(script.paused);
    end();
}

/* Also after a test that failed in the middle. */
static int let_go(void **state)
{
    if (script.transport.session != NULL)
        end();
    return tear_down(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, let_go)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packets_go_both_ways),
        TEST(the_reason_of_a_close_reaches_the_transport),
        TEST(events_are_tagged),
        TEST(a_slow_reader_gets_everything_once_it_reads),
        TEST(one_with_too_many_calls_is_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
