/* test_transport: a session on a transport that follows a script. It has no connection and no WebSocket: another kind
 * of transport fits where the first one does. */
#include <stdio.h>

#include "fixture.h"
#include "session/socket.h"

enum { SENT_MAX = 64 };

/* A transport that keeps what is sent until it is taken. */
struct script {
    struct transport transport;
    struct {
        struct frame *frame;
        struct frame_tag tag;
    } sent[SENT_MAX];
    size_t count, bytes;
    bool awaited, paused, closed, aborted;
    enum close_reason reason;
    struct addr_ip peer;
};

static struct script script;

static struct frame *encode(const struct transport *transport, const struct span *parts, size_t count)
{
    assert_ptr_equal(transport, &script.transport);
    assert_int_equal(count, 1);
    return frame_copy(parts[0]);
}

static void send_frame(struct transport *transport, struct frame *frame, struct frame_tag tag)
{
    if (script.closed)
        return;
    assert_true(script.count < SENT_MAX);
    script.sent[script.count].frame = frame_ref(frame);
    script.sent[script.count++].tag = tag;
    script.bytes += frame->len;
}

static size_t queued(const struct transport *transport)
{
    return script.bytes;
}

static bool is_writable(const struct transport *transport)
{
    return script.bytes == 0;
}

static bool is_open(const struct transport *transport)
{
    return !script.closed;
}

static void await_drained(struct transport *transport)
{
    script.awaited = true;
}

static void filter(struct transport *transport, transport_keep_fn *keep, void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < script.count; i++) {
        if (keep(arg, &script.sent[i].tag)) {
            script.sent[kept++] = script.sent[i];
        } else {
            script.bytes -= script.sent[i].frame->len;
            frame_unref(script.sent[i].frame);
        }
    }
    script.count = kept;
}

static void pause_reading(struct transport *transport, bool paused)
{
    script.paused = paused;
}

static void close_now(struct transport *transport, enum close_reason reason)
{
    script.closed = true;
    script.reason = reason;
}

static void abort_now(struct transport *transport, enum close_reason reason)
{
    script.closed = script.aborted = true;
    script.reason = reason;
}

static const struct addr_ip *peer(const struct transport *transport)
{
    return &script.peer;
}

static const struct transport_type script_type = {
    .encode = encode,
    .send = send_frame,
    .queued = queued,
    .is_writable = is_writable,
    .is_open = is_open,
    .await_drained = await_drained,
    .filter = filter,
    .pause = pause_reading,
    .close = close_now,
    .abort = abort_now,
    .peer = peer,
};

static struct session *begin(void)
{
    script = (struct script){.transport.type = &script_type};
    return session_create(&sessions, &script.transport, &socket_protocol, NULL);
}

/* Everything that waits has gone out. */
static void take_all(void)
{
    for (size_t i = 0; i < script.count; i++)
        frame_unref(script.sent[i].frame);
    script.count = script.bytes = 0;
    if (script.awaited && script.transport.session != NULL) {
        script.awaited = false;
        session_drained(script.transport.session);
    }
}

static void end(void)
{
    session_closed(script.transport.session, CLOSE_PEER_CLOSED);
    script.transport.session = NULL;
    take_all();
}

static void receive(const char *packet)
{
    session_received(script.transport.session, span_str(packet));
    turn(5);
}

/* Number of waiting packets that begin so. */
static size_t waiting(const char *start)
{
    size_t count = 0;
    for (size_t i = 0; i < script.count; i++)
        count += span_starts_with(span_of(script.sent[i].frame->data, script.sent[i].frame->len), span_str(start));
    return count;
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
