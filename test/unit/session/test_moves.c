/* test_moves: polling sessions that are on the broker between their requests, see records.h. Whenever no request is
 * under way, this instance must have nothing of the session: it may be frozen then. */
#include <stdio.h>

#include "records.h"
#include "session/parcel.h"

static void what_a_post_brings_is_accepted_before_its_answer(void **state)
{
    join();
    struct browser *other_client = walk_in();
    struct request *request = post(1, "42[\"say\",1]\x1e"
                                      "421[\"say\",2]");
    assert_false(request->answered);
    await(request);
    look(other_client);
    assert_int_equal(count(other_client, "42[\"say\","), 2);
    struct span got = payload(get(2));
    assert_int_equal(times(got, "42[\"say\",1"), 1);
    assert_int_equal(times(got, "42[\"say\",2"), 1);
    assert_int_equal(times(got, "431[]"), 1);
}

static void events_between_two_polls_come_once(void **state)
{
    join();
    struct browser *other_client = walk_in();
    for (int i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "42%d[\"say\",%d]", i, i);
        say(other_client, text);
        snprintf(text, sizeof text, "43%d[]", i);
        expect(other_client, text);
        struct span got = payload(get(2));
        snprintf(text, sizeof text, "42[\"say\",%d,", i);
        assert_int_equal(times(got, text), 1);
        assert_int_equal(times(got, "42[\"say\","), 1);
    }
}

static void a_held_get_gets_what_comes(void **state)
{
    join();
    struct browser *other_client = walk_in();
    struct request *request = get(2);
    turn(30);
    assert_false(request->answered);
    assert_int_not_equal(record.holder, 0);
    say(other_client, "42[\"say\",1]");
    assert_int_equal(times(payload(request), "42[\"say\",1,"), 1);
}

static void a_post_beside_a_held_get_needs_no_move(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    int passed = record.passed;
    post_now("42[\"leave\",\"nowhere\"]");
    assert_int_equal(record.passed, passed);
    assert_false(request->answered);
}

/* It was asked for a POST; then the broker must learn that it is held for a GET now, or it takes the next POST, on
 * another instance, for a second one. */
static void a_get_that_meets_a_post_is_held_as_a_get(void **state)
{
    join();
    struct request *request = post(1, "42[\"leave\",\"nowhere\"]");
    struct request *held = get(2);
    await(request);
    assert_true(record.holder == 0 || record.kind == RECORD_FOR_GET);
    turn(30);
    assert_false(held->answered);
    assert_int_equal(record.kind, RECORD_FOR_GET);
    struct browser *other_client = walk_in();
    say(other_client, "42[\"say\",1]");
    assert_int_equal(times(payload(held), "42[\"say\",1,"), 1);
}

static void a_session_that_is_wanted_in_vain_is_disowned(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    uint64_t ticket = record.holder;
    broker->record_events->wanted(&sessions, own_sid(), ticket, RECORD_FOR_POST);
    assert_int_equal(record.disowned, 0);
    turn(10); /* it was passed on, and is held under another ticket */
    broker->record_events->wanted(&sessions, own_sid(), record.holder, RECORD_FOR_POST);
    assert_int_equal(record.disowned, 0);
    broker->record_events->wanted(&sessions, own_sid(), ticket, RECORD_FOR_POST);
    assert_int_equal(record.disowned, 1);
    assert_false(request->answered);
}

/* Events that were not logged came while the session was nowhere: each has its place among the logged ones. */
static void kept_events_come_in_their_order(void **state)
{
    join();
    struct browser *other_client = walk_in();
    uint64_t before = hub_position(hub);
    for (int i = 1; i <= 3; i++) {
        char text[32];
        snprintf(text, sizeof text, "42%d[\"say\",%d]", i, i);
        say(other_client, text);
        snprintf(text, sizeof text, "43%d[]", i);
        expect(other_client, text);
    }
    assert_int_equal(hub_position(hub), before + 3);
    const struct record_kept kept[] = {
        {.room = SPAN_LIT("/"), .body = SPAN_LIT("[\"wave\",0]"), .after = before},
        {.room = SPAN_LIT("/other"), .body = SPAN_LIT("[\"wave\",9]"), .after = before},
        {.room = SPAN_LIT("/"), .body = SPAN_LIT("[\"wave\",2]"), .after = before + 2},
        {.room = SPAN_LIT("/"), .body = SPAN_LIT("\003[\"wave\",7]"), .after = before + 2}, /* volatile */
        {.room = SPAN_LIT("/"), .body = SPAN_LIT("[\"wave\",3]"), .after = before + 3},
    };
    record.kept = kept;
    record.kept_count = 5;
    struct buf all = {0};
    struct request *request = get(2);
    buf_append(&all, payload(request));
    record.kept_count = 0;
    const char *const expected[] = {"\"wave\",0", "\"say\",1,", "\"say\",2,", "\"wave\",2", "\"say\",3,", "\"wave\",3"};
    const char *at = all.data;
    buf_append_char(&all, '\0');
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        at = strstr(i == 0 ? all.data : at, expected[i]);
        assert_non_null(at);
    }
    assert_true(sessions.counters.volatile_dropped >= 1);
    assert_int_equal(times(buf_span(&all), "\"wave\""), 3);
    buf_finish(&all);
}

/* The other instance has a POST of this session, acts, and passes it back. */
static void the_holder_passes_it_on_and_takes_it_back(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    uint64_t ticket = record.holder;
    broker->record_events->wanted(&sessions, own_sid(), ticket, RECORD_FOR_POST);
    turn(10);
    assert_false(request->answered);
    struct parcel parcel;
    assert_true(parcel_decode(span_of(record.text, record.len), &parcel));
    assert_int_equal(parcel.socket_count, 1);
    assert_true(parcel.joined);
    /* The fake gave it back at once, as nobody waited there: the GET holds it again, under another ticket. */
    turn(30);
    assert_int_not_equal(record.holder, ticket);
    struct browser *other_client = walk_in();
    say(other_client, "42[\"say\",1]");
    assert_int_equal(times(payload(request), "42[\"say\",1,"), 1);
}

/* Another program may write on the broker, and what a client has shown is shown to others and to programs. */
static void a_parcel_shows_json_alone(void **state)
{
    static const char *const good[] = {"", "{}", "{\"headers\":{}}"}, *const bad[] = {"[]", "1", "{\"a\":}", "{} {}"};
    for (size_t i = 0; i < 7; i++) {
        struct span text = span_str(i < 3 ? good[i] : bad[i - 3]);
        struct buf sockets = {0}, handshake = {0}, auth = {0};
        struct parcel parcel;
        parcel_encode(&handshake, &(struct parcel){.handshake = text});
        parcel_socket_encode(
            &sockets,
            &(struct parcel_socket){.nsp = SPAN_LIT("/"), .pid = SPAN_LIT("0123456789abcdefghij"), .auth = text});
        parcel_encode(&auth, &(struct parcel){.socket_count = 1, .sockets = buf_span(&sockets)});
        assert_int_equal(parcel_decode(buf_span(&handshake), &parcel), i < 3);
        assert_int_equal(parcel_decode(buf_span(&auth), &parcel), i < 3);
        buf_finish(&sockets);
        buf_finish(&handshake);
        buf_finish(&auth);
    }
}

static void one_that_waits_is_given_it_later(void **state)
{
    join();
    record.holder = OTHERS;
    struct request *request = post(1, "421[\"join\",\"r\"]");
    turn(30);
    assert_false(request->answered);
    /* The other instance lets go; its message to us is lost, so we ask again. */
    record.holder = 0;
    await(request);
    assert_int_equal(request->outcome, POLLING_OK);
    assert_int_equal(times(payload(get(2)), "431[]"), 1);
}

static void an_unknown_session_is_refused(void **state)
{
    join();
    record.exists = false;
    struct request *request = get(2);
    await(request);
    assert_int_equal(request->outcome, POLLING_UNKNOWN_SID);
    request = post(1, "40");
    await(request);
    assert_int_equal(request->outcome, POLLING_UNKNOWN_SID);
}

static void a_held_get_is_told_that_the_session_is_gone(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    record.exists = false;
    broker->record_events->gone(&sessions, own_sid(), record.holder);
    assert_true(span_equal(payload(request), SPAN_LIT("1")));
    turn(5);
    assert_int_equal(sessions.count, 0);
}

static void nothing_is_answered_before_it_is_passed(void **state)
{
    join();
    record.deaf = true;
    struct request *request = post(1, "421[\"say\",1]");
    turn(300);
    assert_false(request->answered);
    record.deaf = false;
    await(request);
    assert_int_equal(request->outcome, POLLING_OK);
    assert_int_equal(times(payload(get(2)), "42[\"say\",1,"), 1);
}

/* Pings go on wherever the session is, and a client that does not answer them is forgotten in time. */
static void the_heartbeat_moves_with_the_session(void **state)
{
    sessions.limits.ping_interval_ms = 300;
    sessions.limits.ping_timeout_ms = 400;
    join();
    uint64_t since = loop_now_us(loop);
    struct request *request = get(2);
    turn(150);
    post_now("421[\"join\",\"r\"]");
    assert_int_equal(times(payload(request), "431[]"), 1);
    assert_true(record.life_ms <= 550); /* half of the interval has gone */
    request = get(2);
    assert_true(span_equal(payload(request), SPAN_LIT("2")));
    assert_true(loop_now_us(loop) - since < LOOP_MS(450));
    assert_true(record.life_ms > 300 && record.life_ms <= 400);
    post_now("3");
    assert_true(record.life_ms > 600 && record.life_ms <= 700);
}

static void a_drained_instance_lets_the_session_go_on(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    sessions_close_some(&sessions, 1, CLOSE_DRAINED);
    assert_true(span_equal(payload(request), SPAN_LIT("6")));
    assert_true(record.exists);
    post_now("421[\"say\",1]");
    assert_int_equal(times(payload(get(2)), "42[\"say\",1,"), 1);
}

static void a_goodbye_ends_the_record(void **state)
{
    join();
    post_now("1");
    assert_false(record.exists);
    assert_int_equal(record.ended, 1);
}

static void an_aborted_get_ends_the_record(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    polling_aborted(&request->exchange);
    turn(5);
    assert_false(record.exists);
    assert_int_equal(sessions.count, 0);
}

static void a_websocket_takes_it_from_the_broker(void **state)
{
    join();
    post_now("421[\"say\",1]"); /* waits in the parcel */
    fixture_probe_sid = own_sid();
    struct browser *browser = dial(0);
    fixture_probe_sid = (struct span){NULL, 0};
    say(browser, "2probe");
    expect(browser, "3probe");
    assert_true(record.probing);
    say(browser, "5");
    say(browser, "422[\"say\",2]"); /* at once, although the sockets have not resumed yet */
    expect(browser, "42[\"say\",1,");
    expect(browser, "431[]");
    expect(browser, "42[\"say\",2,");
    expect(browser, "432[]");
    assert_int_equal(count(browser, "42[\"say\",1,"), 1);
    assert_int_equal(count(browser, "40{"), 0); /* its client notices nothing */
    assert_true(record.moved);
    struct request *request = get(2);
    await(request);
    assert_int_equal(request->outcome, POLLING_BAD_REQUEST);
}

/* The link to the broker breaks and comes back meanwhile: until its client says so, nothing is asked for. Then it is.
 */
static void a_websocket_that_only_probes_asks_for_nothing(void **state)
{
    join();
    fixture_probe_sid = own_sid();
    struct browser *browser = dial(0);
    fixture_probe_sid = (struct span){NULL, 0};
    pollings_link_up(&sessions);
    turn(10);
    say(browser, "2probe");
    expect(browser, "3probe");
    int asked = record.asked;
    pollings_link_up(&sessions);
    turn(10);
    assert_int_equal(record.asked, asked);
    assert_false(record.moved);
    post_now("421[\"say\",1]"); /* it still polls */
    look(browser);
    assert_int_equal(count(browser, "42[\"say\",1,"), 0);
    record.holder = OTHERS;
    say(browser, "5");
    turn(10);
    assert_false(record.moved);
    record.holder = 0; /* this instance was not told */
    pollings_link_up(&sessions);
    turn(10);
    assert_true(record.moved);
    expect(browser, "42[\"say\",1,");
}

/* The platform cuts the WebSocket's request, which began before the session moved to it. */
static void a_websocket_is_closed_in_time_however_long_it_probed(void **state)
{
    sessions.request_timeout_ms = 500;
    sessions.limits.rotate_lead_ms = 200;
    join();
    fixture_probe_sid = own_sid();
    struct browser *browser = dial(0);
    fixture_probe_sid = (struct span){NULL, 0};
    say(browser, "2probe");
    expect(browser, "3probe");
    turn(300);
    say(browser, "5");
    turn(180);
    assert_true(record.moved);
    assert_int_equal(sessions.counters.rotated, 1);
}

static void a_held_get_ends_soon_while_a_websocket_probes(void **state)
{
    join();
    record.probing = true;
    struct request *request = get(2);
    turn(40);
    assert_false(request->answered);
    assert_true(span_equal(payload(request), SPAN_LIT("6")));
}

static struct request *marked_get(int number, uint64_t mark)
{
    struct request *request = prepare(number);
    request->exchange.mark = mark;
    polling_get(&sessions, &request->exchange, own_sid());
    return request;
}

static struct request *marked_post(int number, const char *body, uint64_t mark)
{
    struct request *request = prepare(number);
    request->exchange.mark = mark;
    if (polling_post_begin(&sessions, &request->exchange, own_sid()))
        polling_post(&sessions, &request->exchange, own_sid(), span_str(body));
    await(request);
    assert_int_equal(request->outcome, POLLING_OK);
    return request;
}

/* The broker's messages and its answers take different ways: a message about this holder may arrive before the answer
 * that makes it the holder. */
static void a_probe_told_before_the_answer_counts(void **state)
{
    join();
    struct request *request = get(2);
    assert_int_not_equal(record.holder, 0);
    broker->record_events->probed(&sessions, own_sid(), record.holder, true);
    turn(40);
    assert_false(request->answered);
    assert_true(span_equal(payload(request), SPAN_LIT("6")));
}

static void a_wish_told_before_the_answer_counts(void **state)
{
    join();
    get(2);
    int passed = record.passed;
    broker->record_events->wanted(&sessions, own_sid(), record.holder, RECORD_FOR_POST);
    turn(40);
    assert_int_equal(record.passed, passed + 1);
}

/* A proxy has lost the answer, and repeats the request, on whichever instance. */
static void a_repeated_request_acts_once(void **state)
{
    join();
    marked_post(1, "421[\"say\",1]", 7);
    marked_post(1, "421[\"say\",1]", 7);
    struct buf first = {0};
    buf_append(&first, payload(marked_get(2, 8)));
    assert_int_equal(times(buf_span(&first), "42[\"say\",1,"), 1);
    marked_post(1, "422[\"say\",2]", 9);
    assert_true(span_equal(payload(marked_get(2, 8)), buf_span(&first)));
    assert_true(span_equal(payload(marked_get(2, 8)), buf_span(&first)));
    struct span got = payload(marked_get(2, 10));
    assert_int_equal(times(got, "42[\"say\",1,"), 0);
    assert_int_equal(times(got, "42[\"say\",2,"), 1);
    marked_post(1, "423[\"say\",3]", 7); /* not the last one: another */
    assert_int_equal(times(payload(marked_get(2, 11)), "42[\"say\",3,"), 1);
    buf_finish(&first);
}

/* Its answer was too long to be kept: the client is told that its session has ended, and recovers by its lease. */
static void a_long_answer_is_not_followed_by_the_next(void **state)
{
    struct buf body = {0};
    buf_append(&body, SPAN_LIT("421[\"say\",\""));
    for (int i = 0; i < 20000; i++)
        buf_append_char(&body, 'x');
    buf_append(&body, SPAN_LIT("\"]"));
    buf_append_char(&body, '\0');
    join();
    marked_post(1, body.data, 7);
    assert_int_equal(times(payload(marked_get(2, 8)), "42[\"say\",\"xxx"), 1);
    marked_post(1, "422[\"say\",2]", 9);
    assert_true(span_equal(payload(marked_get(2, 8)), SPAN_LIT("1")));
    assert_false(record.exists);
    assert_int_equal(sessions.refusals.counts[REFUSAL_POLL_REPEATED], 1);
    buf_finish(&body);
}

/* It may have stopped to poll for the WebSocket that has failed now. */
static void a_held_get_ends_when_the_probe_fails(void **state)
{
    join();
    struct request *request = get(2);
    turn(30);
    broker->record_events->probed(&sessions, own_sid(), record.holder, true);
    broker->record_events->probed(&sessions, own_sid(), record.holder, false);
    assert_true(span_equal(payload(request), SPAN_LIT("1")));
    assert_false(record.exists);
}

/* A namespace without recovery has no leases otherwise. */
static void a_namespace_without_recovery_moves_too(void **state)
{
    nsp.recoverable = false;
    join();
    post_now("421[\"join\",\"r\"]");
    assert_int_equal(times(payload(get(2)), "431[]"), 1);
    struct request *request = get(2);
    turn(30);
    struct browser *other_client = walk_in();
    say(other_client, "42[\"say\",1]");
    struct span got = payload(request);
    assert_int_equal(times(got, "42[\"say\",1]"), 1); /* no token */
}

/* The list of members comes once, with the join, and not with every poll. */
static void presence_is_told_once(void **state)
{
    policy.presence = true;
    begin();
    post_now("40");
    struct buf all = {0};
    for (int i = 0; i < 3 && times(buf_span(&all), "\"members\"") == 0; i++)
        buf_append(&all, payload(get(2)));
    assert_int_equal(times(buf_span(&all), "\"members\""), 1);
    struct request *request = get(2);
    turn(80);
    if (request->answered) { /* its own coming, at most */
        assert_int_equal(times(payload(request), "\"members\""), 0);
        request = get(2);
        turn(80);
    }
    assert_false(request->answered);
    walk_in();
    assert_int_equal(times(payload(request), "\"entered\""), 1);
    buf_finish(&all);
}

/* Sessions that nobody polls take room on the broker until their time is over. */
static void so_many_begin_in_the_life_of_one(void **state)
{
    sessions.limits.ping_interval_ms = 100;
    sessions.limits.ping_timeout_ms = 100;
    for (int i = 0; i < 10; i++)
        assert_true(polling_admit(&sessions, 10));
    assert_false(polling_admit(&sessions, 10));
    turn(110);
    int admitted = 0;
    while (polling_admit(&sessions, 10))
        admitted++;
    assert_in_range(admitted, 4, 8);
    turn(250);
    assert_true(polling_admit(&sessions, 10));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, moves_set_up, moves_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_post_brings_is_accepted_before_its_answer),
        TEST(events_between_two_polls_come_once),
        TEST(a_held_get_gets_what_comes),
        TEST(a_post_beside_a_held_get_needs_no_move),
        TEST(a_get_that_meets_a_post_is_held_as_a_get),
        TEST(a_session_that_is_wanted_in_vain_is_disowned),
        TEST(kept_events_come_in_their_order),
        TEST(the_holder_passes_it_on_and_takes_it_back),
        TEST(a_parcel_shows_json_alone),
        TEST(one_that_waits_is_given_it_later),
        TEST(an_unknown_session_is_refused),
        TEST(a_held_get_is_told_that_the_session_is_gone),
        TEST(nothing_is_answered_before_it_is_passed),
        TEST(the_heartbeat_moves_with_the_session),
        TEST(a_drained_instance_lets_the_session_go_on),
        TEST(a_goodbye_ends_the_record),
        TEST(an_aborted_get_ends_the_record),
        TEST(a_websocket_takes_it_from_the_broker),
        TEST(a_websocket_that_only_probes_asks_for_nothing),
        TEST(a_websocket_is_closed_in_time_however_long_it_probed),
        TEST(a_held_get_ends_soon_while_a_websocket_probes),
        TEST(a_probe_told_before_the_answer_counts),
        TEST(a_wish_told_before_the_answer_counts),
        TEST(a_repeated_request_acts_once),
        TEST(a_long_answer_is_not_followed_by_the_next),
        TEST(a_held_get_ends_when_the_probe_fails),
        TEST(a_namespace_without_recovery_moves_too),
        TEST(presence_is_told_once),
        TEST(so_many_begin_in_the_life_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
