/* test_moves_story: what a client of a session that moves between instances gets: each event once, each answer, its
 * identity, and the reason of an end. See records.h. */
#include <stdio.h>

#include "records.h"
#include "session/parcel.h"

static int64_t expires_ms;
static int asked_with_identity;

static void let_in(struct session_app *app, const struct nsp *of, const struct client_proof *proof,
                   struct admission *admission)
{
    admission->identity = identity_create(SPAN_LIT("{\"sub\":\"ada\"}"), expires_ms);
}

static bool knows(struct session_app *app, const struct subscriber *subscriber, enum deed deed, struct span room)
{
    asked_with_identity +=
        subscriber_has(subscriber).identity != NULL &&
        span_equal(identity_claims(subscriber_has(subscriber).identity), SPAN_LIT("{\"sub\":\"ada\"}")) &&
        subscriber_has(subscriber).identity->expires_ms == expires_ms;
    return subscriber_has(subscriber).identity != NULL;
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
    assert_int_equal(times(got, "\x1e"
                                "41"),
                     1); /* a token may have these digits, too */
    assert_int_equal(times(got, "432[]"), 0);
}

/* A client that was told with each poll would poll again at once. */
static void a_notice_is_told_once(void **state)
{
    sessions.app->admit = let_in;
    nsp.notice_ms = 30000;
    expires_ms = loop_wall_ms(loop) + 20000;
    begin();
    post_now("40");
    struct span got = payload(get(2));
    assert_true(span_starts_with(got, SPAN_LIT("40{\"sid\":\"")));
    size_t told = times(got, "42[\"sennit\",{\"expires_in_ms\":");
    if (told == 0) /* it is told behind the answer, or in it */
        told = times(payload(get(2)), "42[\"sennit\",{\"expires_in_ms\":");
    assert_int_equal(told, 1);
    struct request *request = get(2);
    turn(200);
    assert_false(request->answered);
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

/* Who came and went between two requests is told with the next one; if too many did, the whole list is. */
static void news_of_presence_are_told_with_the_next_answer(void **state)
{
    policy.presence = true;
    begin();
    post_now("40");
    struct buf all = {0};
    for (int i = 0; i < 3 && times(buf_span(&all), "\"members\"") == 0; i++)
        buf_append(&all, payload(get(2)));
    buf_clear(&all);
    uint64_t after = hub_position(hub);
    const struct record_kept kept[] = {
        {.room = SPAN_LIT("/"), .change = '+', .sid = SPAN_LIT("B"), .data = SPAN_LIT("1"), .count = 2, .after = after},
        {.room = SPAN_LIT("/"), .body = SPAN_LIT("[\"wave\",2]"), .after = after},
        {.room = SPAN_LIT("/"), .change = '-', .sid = SPAN_LIT("B"), .data = SPAN_LIT("1"), .count = 1, .after = after},
    };
    record.kept = kept;
    record.kept_count = 3;
    for (int i = 0; i < 2 && times(buf_span(&all), "\"left\"") == 0; i++)
        buf_append(&all, payload(get(2)));
    record.kept_count = 0;
    buf_append_char(&all, '\0');
    const char *at = strstr(all.data, "\"entered\":[{\"id\":\"B\",\"data\":1}],\"count\":2}");
    assert_non_null(at);
    assert_non_null(at = strstr(at, "[\"wave\",2"));
    assert_non_null(strstr(at, "\"left\":[{\"id\":\"B\",\"data\":1}],\"count\":1}"));
    assert_null(strstr(all.data, "\"members\""));
    record.kept_lost = 1;
    assert_int_equal(times(payload(get(2)), "\"members\""), 1);
    record.kept_lost = 0;
    buf_finish(&all);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, moves_set_up, moves_tear_down)

static struct browser *dial_probe(int number)
{
    fixture_probe_sid = own_sid();
    struct browser *browser = dial(number);
    fixture_probe_sid = (struct span){NULL, 0};
    return browser;
}

/* The broker's answer to the first comes behind the second, which waits for it. */
static void a_client_may_say_probe_and_upgrade_in_one_breath(void **state)
{
    join();
    struct browser *browser = dial_probe(0);
    say(browser, "2probe");
    say(browser, "5");
    say(browser, "421[\"say\",1]");
    expect(browser, "3probe");
    expect(browser, "431[]");
    assert_true(record.moved);
}

/* Whether the session still polls is asked once the WebSocket has said nothing for a second. Until then it may be a
 * slow client's. */
static void a_silent_websocket_is_closed_if_the_session_does_not_poll(void **state)
{
    join();
    struct browser *browser = dial_probe(0);
    turn(1100);
    look(browser);
    assert_int_equal(count(browser, "close"), 0);
    say(browser, "2probe");
    expect(browser, "3probe");
    say(browser, "5");
    say(browser, "421[\"say\",1]");
    expect(browser, "431[]");
    assert_true(record.moved);
    browser = dial_probe(1);
    turn(500);
    look(browser);
    assert_int_equal(count(browser, "close"), 0);
    turn(600);
    look(browser);
    assert_int_equal(count(browser, "close 1008"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {

        TEST(a_silent_websocket_is_closed_if_the_session_does_not_poll),
        TEST(the_identity_moves_with_the_session),
        TEST(a_notice_is_told_once),
        TEST(a_room_is_replayed_once),
        TEST(more_than_a_slow_client_may_have_comes_at_once),
        TEST(a_session_that_ends_is_told_with_its_last_answer),
        TEST(a_goodbye_is_among_the_packets_that_are_read),
        TEST(two_questions_in_one_post_are_answered),
        TEST(a_record_of_an_earlier_epoch_is_not_opened),
        TEST(what_waited_behind_a_lost_lease_is_not_sent),
        TEST(news_of_presence_are_told_with_the_next_answer),
        TEST(a_client_may_say_probe_and_upgrade_in_one_breath),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
