/* test_moves: polling sessions that are on the broker between their requests. The broker's records are kept here, by a
 * script (moved.h). */
#include <stdio.h>

#include "moved.h"
#include "session/parcel.h"
#include "session/socket.h"

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

/* A second POST may come elsewhere: it would be taken for one too many if the broker still knew of the first. */
static void a_get_that_finds_a_post_holds_it_as_a_get(void **state)
{
    join();
    struct request *of_post = post(1, "42[\"leave\",\"nowhere\"]"), *of_get = get(2);
    await(of_post);
    assert_true(record.holder == 0 || record.kind == RECORD_FOR_GET);
    turn(30);
    assert_false(of_get->answered);
    assert_int_equal(record.kind, RECORD_FOR_GET);
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

static int64_t expires_ms;
static int asked_with_identity;

static void let_in(struct session_app *app, const struct nsp *of, const struct client_proof *proof,
                   struct admission *admission)
{
    admission->identity = identity_create(SPAN_LIT("{\"sub\":\"ada\"}"), expires_ms);
}

static bool knows(struct session_app *app, const struct subscriber *subscriber, enum deed deed, struct span room)
{
    asked_with_identity += subscriber->identity != NULL &&
                           span_equal(identity_claims(subscriber->identity), SPAN_LIT("{\"sub\":\"ada\"}")) &&
                           subscriber->identity->expires_ms == expires_ms;
    return subscriber->identity != NULL;
}

/* Rules are asked wherever the session is, so the identity goes with it; it ends there, too. */
static void the_identity_moves_with_the_session(void **state)
{
    sessions.app->admit = let_in;
    sessions.app->may = knows;
    expires_ms = loop_wall_ms(loop) + 600;
    join();
    asked_with_identity = 0;
    post_now("421[\"join\",\"r\"]");
    assert_true(asked_with_identity > 0);
    assert_int_equal(times(payload(get(2)), "431[]"), 1);
    turn(700);
    expires_ms = IDENTITY_FOREVER;
    struct browser *other_client = walk_in();
    post_now("422[\"say\",1]");
    turn(30);
    look(other_client);
    assert_int_equal(count(other_client, "42[\"say\""), 0);
    struct span got = payload(get(2));
    assert_int_equal(times(got, "42[\"sennit\",{\"disconnected\":true,\"reason\":\"token_expired\""), 1);
    assert_int_equal(times(got, "41"), 1);
    assert_int_equal(times(got, "432[]"), 0);
}

/* A client that was told with each poll would poll again at once. */
static void a_notice_is_told_once(void **state)
{
    sessions.app->admit = let_in;
    nsp.notice_ms = 30000;
    expires_ms = loop_wall_ms(loop) + 20000;
    join();
    assert_int_equal(times(payload(get(2)), "42[\"sennit\",{\"expires_in_ms\":"), 1);
    struct request *request = get(2);
    turn(200);
    assert_false(request->answered);
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

/* What a room's replay has brought is not brought again by the next poll, though no entry has come since the join. */
static void a_room_is_replayed_once(void **state)
{
    struct browser *other_client = walk_in();
    say(other_client, "421[\"join\",\"r\"]");
    expect(other_client, "431[]");
    say(other_client, "422[\"talk\",\"r\",1]");
    expect(other_client, "432[]");
    join();
    policy.replay = START_OLDEST;
    say(other_client, "42[\"say\",2]");
    payload(get(2));
    post_now("421[\"join\",\"r\"]");
    struct span got = payload(get(2));
    assert_int_equal(times(got, "[\"talk\",\"r\",1"), 1);
    assert_int_equal(times(got, "431[]"), 1);
    get(2);
    turn(60);
    assert_true(requests_are_under_way());
}

/* A WebSocket's queue is relieved by reading again, which would never end here: nothing is answered meanwhile. */
static void more_than_a_slow_client_may_have_comes_at_once(void **state)
{
    struct browser *other_client = walk_in();
    sessions.limits.slow_queue_bytes = 1000;
    join();
    for (int i = 0; i < 100; i++) {
        char text[80];
        snprintf(text, sizeof text, "42%d[\"say\",\"twenty to thirty bytes\",%d]", i, i);
        say(other_client, text);
        turn(2);
    }
    assert_int_equal(times(payload(get(2)), "42[\"say\","), 100);
}

/* The next GET goes to another instance, which would wait here for the rest, and its client for as long. */
static void a_session_that_ends_is_told_with_its_last_answer(void **state)
{
    struct browser *other_client = walk_in();
    static char text[60040];
    join();
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "42%d[\"say\",\"%060000d\"]", i, i);
        say(other_client, text);
        turn(10);
    }
    struct request *of_post = post(1, "4?"), *of_get = get(2);
    turn(100);
    assert_true(of_post->answered && of_get->answered);
    assert_true(span_equal(buf_span(&of_get->payload), SPAN_LIT("1")));
    assert_false(record.exists);
}

/* Python's client takes so many packets of an answer, and the goodbye has to be one of them. */
static void a_goodbye_is_among_the_packets_that_are_read(void **state)
{
    struct browser *other_client = walk_in();
    request_packets_max = 16;
    join();
    for (int i = 0; i < 16; i++)
        say(other_client, "42[\"say\",1]");
    turn(20);
    struct request *of_post = post(1, "4?"), *of_get = get(2);
    turn(100);
    request_packets_max = 0;
    assert_true(of_post->answered && of_get->answered);
    assert_true(span_equal(buf_span(&of_get->payload), SPAN_LIT("1")));
    assert_false(record.exists);
}

/* An answer waits for no queue to empty: this one does when the session is passed on, and that waits for the answers.
 */
static void two_questions_in_one_post_are_answered(void **state)
{
    join();
    post_now("421[\"past\"]\x1e"
             "422[\"past\"]");
    struct span got = payload(get(2));
    assert_int_equal(times(got, "431[{"), 1);
    assert_int_equal(times(got, "432[{"), 1);
}

/* A broker that has lost data has older records, too: what waited in one has been sent since. */
static void a_record_of_an_earlier_epoch_is_not_opened(void **state)
{
    join();
    struct parcel parcel;
    struct parcel_socket socket;
    assert_true(parcel_decode(span_of(record.text, record.len), &parcel));
    assert_true(parcel_socket_next(&parcel.sockets, &socket));
    char *epoch = record.text + (socket.offset.data + 1 - record.text);
    *epoch = *epoch == 'a' ? 'b' : 'a';
    assert_true(span_equal(payload(get(2)), SPAN_LIT("1")));
    assert_false(record.exists);
}

/* The broker loses the lease after it has given the record: what waits in that speaks of what is lost. */
static void what_waited_behind_a_lost_lease_is_not_sent(void **state)
{
    join();
    post_now("421[\"join\",\"r\"]");
    struct parcel parcel;
    struct parcel_socket socket;
    assert_true(parcel_decode(span_of(record.text, record.len), &parcel));
    assert_int_equal(times(parcel.waiting, "431[]"), 1);
    assert_true(parcel_socket_next(&parcel.sockets, &socket));
    char *pid = record.text + (socket.pid.data - record.text);
    *pid = *pid == 'a' ? 'b' : 'a';
    struct request *request = get(2);
    turn(100);
    assert_true(span_equal(buf_span(&request->payload), SPAN_LIT("1")));
    assert_false(record.exists);
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
        TEST(a_get_that_finds_a_post_holds_it_as_a_get),
        TEST(the_holder_passes_it_on_and_takes_it_back),
        TEST(one_that_waits_is_given_it_later),
        TEST(an_unknown_session_is_refused),
        TEST(a_held_get_is_told_that_the_session_is_gone),
        TEST(nothing_is_answered_before_it_is_passed),
        TEST(the_heartbeat_moves_with_the_session),
        TEST(the_identity_moves_with_the_session),
        TEST(a_notice_is_told_once),
        TEST(a_drained_instance_lets_the_session_go_on),
        TEST(a_goodbye_ends_the_record),
        TEST(an_aborted_get_ends_the_record),
        TEST(a_websocket_takes_it_from_the_broker),
        TEST(a_websocket_is_closed_in_time_however_long_it_probed),
        TEST(a_held_get_ends_soon_while_a_websocket_probes),
        TEST(a_probe_told_before_the_answer_counts),
        TEST(a_wish_told_before_the_answer_counts),
        TEST(a_namespace_without_recovery_moves_too),
        TEST(a_room_is_replayed_once),
        TEST(more_than_a_slow_client_may_have_comes_at_once),
        TEST(a_session_that_ends_is_told_with_its_last_answer),
        TEST(a_goodbye_is_among_the_packets_that_are_read),
        TEST(two_questions_in_one_post_are_answered),
        TEST(a_record_of_an_earlier_epoch_is_not_opened),
        TEST(what_waited_behind_a_lost_lease_is_not_sent),
        TEST(presence_is_told_once),
        TEST(so_many_begin_in_the_life_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
