/* test_polling: sessions over long-polling, with exchanges that follow a script. The probing WebSockets are real. */
#include <stdio.h>

#include "requests.h"
#include "session/socket.h"

static void assert_payload(const struct request *request, const char *text)
{
    assert_true(request->answered);
    assert_int_equal(request->outcome, POLLING_PAYLOAD);
    if (!span_equal(buf_span(&request->payload), span_str(text)))
        fail_msg("payload: " SPAN_FMT, SPAN_ARG(buf_span(&request->payload)));
}

static void begin(void)
{
    struct request *request = prepare(0);
    polling_handshake(&sessions, &socket_protocol, &request->exchange);
    assert_true(request->answered);
    assert_int_equal(request->outcome, POLLING_PAYLOAD);
    memcpy(request_sid, request->exchange.sid, sizeof request_sid);
    assert_true(span_starts_with(buf_span(&request->payload), SPAN_LIT("0{\"sid\":\"")));
    assert_non_null(memmem(request->payload.data, request->payload.len, request_sid, sizeof request_sid));
    assert_non_null(memmem(request->payload.data, request->payload.len, "\"upgrades\":[\"websocket\"]", 24));
}

static void assert_posted(int number, const char *body)
{
    struct request *request = post(number, body);
    assert_true(request->answered);
    assert_int_equal(request->outcome, POLLING_OK);
}

static void assert_gone(void)
{
    struct request *request = get(7);
    assert_true(request->answered);
    assert_int_equal(request->outcome, POLLING_UNKNOWN_SID);
}

static void join(void)
{
    begin();
    assert_posted(1, "40");
    turn(5);
    struct request *request = get(2);
    assert_true(request->answered);
    assert_true(span_starts_with(buf_span(&request->payload), SPAN_LIT("40{\"sid\":\"")));
}

static size_t packets(const struct request *request)
{
    size_t count = 1;
    for (size_t i = 0; i < request->payload.len; i++)
        count += buf_span(&request->payload).data[i] == 0x1e;
    return request->answered ? count : 0;
}

static void what_waits_is_one_payload(void **state)
{
    join();
    assert_posted(1, "42[\"say\",1]\x1e"
                     "42[\"say\",2]\x1e"
                     "421[\"say\",3]");
    turn(5);
    struct request *request = get(2);
    assert_int_equal(packets(request), 4); /* three events and an acknowledgement */
}

/* Python's client ends its session when an answer has more than 16. */
static void an_answer_has_as_many_packets_as_the_client_takes(void **state)
{
    join();
    for (int i = 0; i < 10; i++)
        assert_posted(1, "42[\"say\",1]\x1e"
                         "451-[\"say\",{\"_placeholder\":true,\"num\":0}]\x1e"
                         "bAQID");
    turn(5);
    request_packets_max = 16;
    assert_int_equal(packets(get(2)), 16);
    assert_int_equal(packets(get(3)), 14);
    request_packets_max = 0;
    for (int i = 0; i < 20; i++)
        assert_posted(1, "42[\"say\",1]");
    turn(5);
    assert_int_equal(packets(get(2)), 20);
}

/* Attachments are base64 here; the text and they may come in several POSTs, and go in one answer. */
static void attachments_come_and_go(void **state)
{
    join();
    assert_posted(1, "452-1[\"x\",{\"_placeholder\":true,\"num\":0}]\x1e"
                     "bAQID");
    assert_posted(2, "b");
    turn(5);
    struct request *request = get(3);
    assert_int_equal(packets(request), 4); /* the event, its two attachments, and the acknowledgement */
    assert_non_null(memmem(request->payload.data, request->payload.len,
                           "\"]\x1e"
                           "bAQID\x1e"
                           "b\x1e"
                           "431[]",
                           16));
}

/* Each packet is a binary message; without a text in front, each is a message of its own on a WebSocket, too. */
static void msgpack_goes_as_binary(void **state)
{
    struct request *request = prepare(0);
    polling_handshake(&sessions, &socket_msgpack_protocol, &request->exchange);
    memcpy(request_sid, request->exchange.sid, sizeof request_sid);
    assert_posted(1, "bgqR0eXBlAKNuc3ChLw=="); /* {type: 0, nsp: "/"} */
    turn(5);
    request = get(2);
    assert_int_equal(packets(request), 1);
    assert_true(span_starts_with(buf_span(&request->payload), SPAN_LIT("b3wAAAAOkdHlwZQCjbnNwoS+kZGF0Yd8AAAAC")));
    assert_posted(1, "bhKR0eXBlAqNuc3ChL6RkYXRhkqFhxAEHomlkAQ=="); /* {type: 2, nsp: "/", data: ["a", <07>], id: 1} */
    turn(5);
    fixture_probe_sid = own_sid();
    struct browser *browser = dial(0);
    fixture_probe_sid = (struct span){NULL, 0};
    say(browser, "2probe");
    expect(browser, "3probe");
    say(browser, "5");
    turn(5);
    look(browser);
    assert_int_equal(count(browser, "b:\xdf"), 2); /* the event and its acknowledgement */
}

static void a_get_is_held_until_something_comes(void **state)
{
    join();
    struct request *request = get(2);
    turn(5);
    assert_false(request->answered);
    assert_posted(1, "421[\"join\",\"r\"]");
    turn(5);
    assert_payload(request, "431[]");
}

static void a_second_get_ends_the_session(void **state)
{
    join();
    struct request *first = get(2), *second = get(3);
    assert_int_equal(second->outcome, POLLING_REFUSED);
    assert_payload(first, "1");
    assert_gone();
    turn(5);
    assert_int_equal(sessions.count, 0);
}

static void an_aborted_get_ends_the_session_at_once(void **state)
{
    join();
    struct request *request = get(2);
    polling_aborted(&request->exchange);
    assert_false(request->answered);
    assert_gone();
    turn(5);
    assert_int_equal(sessions.count, 0);
}

static void a_goodbye_answers_the_get_with_noop(void **state)
{
    join();
    struct request *request = get(2);
    assert_posted(1, "1");
    turn(5);
    assert_payload(request, "6");
    assert_gone();
}

static void a_goodbye_without_a_get_ends_it(void **state)
{
    join();
    assert_posted(1, "1");
    assert_gone();
}

static void garbage_ends_it(void **state)
{
    static const char *const bodies[] = {"", "9", "42[\"say\",1]\x1e", "\x1e", "2", "4\xff", "b!!"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        join();
        assert_posted(1, bodies[i]);
        assert_gone();
        turn(5);
        assert_int_equal(sessions.count, 0);
    }
}

static void a_closed_session_tells_the_next_get(void **state)
{
    join();
    assert_int_equal(sessions_close_some(&sessions, 1, CLOSE_DRAINED), 0);
    turn(5);
    assert_int_equal(sessions.count, 0);
    assert_posted(1, "42[\"say\",1]");
    struct request *request = get(2);
    assert_payload(request, "6\x1e"
                            "1");
    assert_gone();
}

/* Engine.IO's packets are good, what they carry is not: then it is the server that closes, as upstream has it. */
static void a_bad_message_closes_and_tells_the_next_get(void **state)
{
    static const char *const bodies[] = {"4", "47", "42{}", "40", "bAQID"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        join();
        assert_posted(1, bodies[i]);
        turn(5);
        assert_int_equal(sessions.count, 0);
        struct request *request = get(2);
        assert_payload(request, "6\x1e"
                                "1");
        assert_gone();
    }
}

/* What it was sent before comes first, in an answer without the goodbye. */
static void a_closed_session_is_sent_what_waits(void **state)
{
    begin();
    assert_posted(1, "40");
    turn(5);
    assert_posted(1, "4abc");
    turn(5);
    assert_int_equal(sessions.count, 0);
    struct request *request = get(2);
    assert_true(request->answered);
    assert_true(span_starts_with(buf_span(&request->payload), SPAN_LIT("40{\"sid\":\"")));
    assert_int_equal(packets(request), 1);
    request = get(3);
    assert_payload(request, "6\x1e"
                            "1");
    assert_gone();
}

static void pings_come_with_answers(void **state)
{
    sessions.limits.ping_interval_ms = 20;
    sessions.limits.ping_timeout_ms = 30;
    join();
    struct request *request = get(2);
    turn(30);
    assert_payload(request, "2");
    assert_posted(1, "3");
    turn(30);
    request = get(2);
    assert_payload(request, "2");
    turn(40); /* no pong: gone at once, although nobody polls */
    assert_gone();
}

static void a_held_get_ends_before_the_platforms_deadline(void **state)
{
    sessions.request_timeout_ms = 60;
    join();
    struct request *request = get(2);
    turn(20);
    assert_false(request->answered);
    turn(20);
    assert_payload(request, "6");
    request = get(2);
    assert_false(request->answered);
}

/* Each session has the one exchange, under the number of its GET. */
static void open_sessions(char sids[][ENGINEIO_SID_BYTES], int count)
{
    for (int i = 0; i < count; i++) {
        begin();
        memcpy(sids[i], request_sid, ENGINEIO_SID_BYTES);
    }
}

static struct request *get_of(const char *sid, int number)
{
    memcpy(request_sid, sid, ENGINEIO_SID_BYTES);
    return get(number);
}

/* The slots of an instance are not all taken by GETs that wait. */
static void the_longest_held_get_makes_room(void **state)
{
    char sids[4][ENGINEIO_SID_BYTES];
    struct request *held[4];
    sessions.limits.polls_max = 2;
    open_sessions(sids, 4);
    for (int i = 0; i < 2; i++)
        held[i] = get_of(sids[i], 1 + i);
    turn(1100);
    assert_false(held[0]->answered || held[1]->answered);
    held[2] = get_of(sids[2], 3);
    turn(10);
    assert_payload(held[0], "6");
    assert_false(held[1]->answered || held[2]->answered);
    held[3] = get_of(sids[3], 4);
    turn(10);
    assert_payload(held[1], "6");
    held[0] = get_of(sids[0], 1); /* one more is too many again, but none has waited for long */
    turn(100);
    assert_false(held[2]->answered || held[3]->answered || held[0]->answered);
    assert_true(
        polling_is_crowded(&sessions)); /* until it has waited for a second, there is no place for new clients */
    turn(1000);
    assert_false(polling_is_crowded(&sessions));
    assert_payload(held[2], "6");
    assert_false(held[3]->answered || held[0]->answered);
    assert_int_equal(sessions.refusals.counts[REFUSAL_POLLS_SHORTENED], 3);
    assert_int_equal(sessions.polls_held_count, 2);
    held[1] = get_of(sids[1], 2);
    assert_true(polling_is_crowded(&sessions));
    polling_aborted(&held[3]->exchange); /* whose client goes, goes sooner */
    assert_false(polling_is_crowded(&sessions));
    polling_aborted(&held[1]->exchange);
    assert_int_equal(sessions.polls_held_count, 1);
    turn(5);
    memcpy(request_sid, sids[0], ENGINEIO_SID_BYTES);
    assert_posted(5, "1");
    turn(5);
    assert_int_equal(sessions.polls_held_count, 0);
}

/* Upgrades. */

/* The WebSocket of the fixture opens sessions of its own, so probing is done on a connection that it opened. */
static struct browser *probe(int number)
{
    fixture_probe_sid = own_sid();
    struct browser *browser = dial(number);
    fixture_probe_sid = (struct span){NULL, 0};
    return browser;
}

static void the_session_moves_to_a_websocket_that_proved_itself(void **state)
{
    join();
    struct request *request = get(2);
    struct browser *browser = probe(0);
    say(browser, "2probe");
    expect(browser, "3probe");
    assert_false(request->answered);
    turn(150);
    assert_payload(request, "6");
    assert_posted(1, "421[\"say\",1]");
    say(browser, "5");
    expect(browser, "42[\"say\",1,");
    expect(browser, "431[]");
    say(browser, "422[\"say\",2]");
    expect(browser, "432[]");
    struct request *late = get(3);
    assert_int_equal(late->outcome, POLLING_BAD_REQUEST);
    assert_int_equal(polling_look(&sessions, own_sid()), POLLING_BAD_REQUEST);
    cut(browser);
    assert_gone();
}

/* Most sessions of stock clients are upgraded, so what each of them keeps counts. */
static void an_upgraded_session_keeps_its_id_alone(void **state)
{
    join();
    struct browser *browser = probe(0);
    say(browser, "2probe");
    expect(browser, "3probe");
    say(browser, "5");
    turn(5);
    assert_true(list_empty(&sessions.all_pollings));
    assert_int_equal(sessions.pollings.count, 0);
    assert_int_equal(sessions.moved.count, 1);
    struct browser *second = probe(1);
    expect(second, "close 1008");
    cut(browser);
    assert_int_equal(sessions.moved.count, 0);
    assert_gone();
}

static void a_post_that_the_upgrade_overtakes_is_refused(void **state)
{
    join();
    struct browser *browser = probe(0);
    say(browser, "2probe");
    expect(browser, "3probe");
    struct request *slow = prepare(1), *lost = prepare(2);
    assert_true(polling_post_begin(&sessions, &slow->exchange, own_sid()));
    say(browser, "5");
    turn(5);
    polling_post(&sessions, &slow->exchange, own_sid(), SPAN_LIT("421[\"say\",1]"));
    assert_int_equal(slow->outcome, POLLING_BAD_REQUEST);
    assert_true(polling_post_begin(&sessions, &lost->exchange, own_sid()));
    polling_aborted(&lost->exchange);
    say(browser, "422[\"say\",2]");
    expect(browser, "432[]");
}

static void a_probe_that_fails_leaves_polling_alone(void **state)
{
    static const char *const texts[] = {"5", "2probe!", "42[\"say\",1]"};
    join();
    for (int i = 0; i < 3; i++) {
        struct browser *browser = probe(i);
        say(browser, texts[i]);
        turn(20);
        look(browser);
        assert_int_equal(count(browser, "3probe"), 0);
        cut(browser);
    }
    sessions.limits.upgrade_timeout_ms = 20;
    struct browser *browser = probe(3);
    say(browser, "2probe");
    expect(browser, "3probe");
    turn(50);
    say(browser, "5");
    turn(20);
    cut(browser);
    struct request *request = get(2);
    assert_posted(1, "421[\"join\",\"r\"]");
    turn(5);
    assert_payload(request, "431[]");
}

static void only_one_websocket_probes(void **state)
{
    join();
    struct browser *first = probe(0), *second = probe(1);
    say(second, "2probe");
    turn(20);
    look(second);
    assert_int_equal(count(second, "3probe"), 0);
    say(first, "2probe");
    expect(first, "3probe");
    say(first, "5");
    turn(20);
    assert_int_equal(get(3)->outcome, POLLING_BAD_REQUEST);
}

static struct request *marked_get(int number, uint64_t mark)
{
    struct request *request = prepare(number);
    request->exchange.mark = mark;
    polling_get(&sessions, &request->exchange, own_sid());
    return request;
}

static void marked_post(int number, const char *body, uint64_t mark)
{
    struct request *request = prepare(number);
    request->exchange.mark = mark;
    if (polling_post_begin(&sessions, &request->exchange, own_sid()))
        polling_post(&sessions, &request->exchange, own_sid(), span_str(body));
    assert_true(request->answered);
    assert_int_equal(request->outcome, POLLING_OK);
    turn(5);
}

static bool holds(const struct request *request, const char *text)
{
    struct span all = buf_span(&request->payload);
    return memmem(all.data, all.len, text, strlen(text)) != NULL;
}

/* A proxy has lost an answer, and repeats the request. */
static void a_repeated_request_acts_once(void **state)
{
    struct buf first = {0};
    join();
    marked_post(1, "421[\"say\",1]", 7);
    marked_post(1, "421[\"say\",1]", 7);
    struct request *request = marked_get(2, 8);
    assert_int_equal(packets(request), 2); /* the event and its acknowledgement, each once */
    buf_append(&first, buf_span(&request->payload));
    marked_post(1, "422[\"say\",2]", 9);
    for (int i = 0; i < 2; i++)
        assert_true(span_equal(buf_span(&marked_get(2, 8)->payload), buf_span(&first)));
    request = marked_get(2, 10);
    assert_int_equal(packets(request), 2);
    assert_true(holds(request, "42[\"say\",2,"));
    assert_false(marked_get(2, 11)->answered); /* it says that the client has the answer before */
    marked_post(1, "423[\"say\",3]", 7);       /* not the last one: another */
    assert_true(holds(&requests[2], "42[\"say\",3,"));
    buf_finish(&first);
}

/* Nothing that waits is lost by a GET that only took time, and one without a mark is never the same. */
static void what_tells_nothing_apart_repeats_nothing(void **state)
{
    join();
    marked_post(1, "421[\"say\",1]", 0);
    marked_post(1, "421[\"say\",1]", 0);
    assert_int_equal(packets(marked_get(2, 0)), 4);
    assert_false(marked_get(2, 0)->answered);
}

/* Its answer was too long to be kept: the client is told that its session has ended, and recovers by its lease. */
static void a_long_answer_is_not_followed_by_the_next(void **state)
{
    static char body[20000 + 16];
    size_t len = (size_t)snprintf(body, sizeof body, "421[\"say\",\"");
    memset(body + len, 'x', 20000);
    memcpy(body + len + 20000, "\"]", 3);
    join();
    marked_post(1, body, 7);
    assert_true(holds(marked_get(2, 8), "42[\"say\",\"xxx"));
    marked_post(1, "422[\"say\",2]", 9);
    assert_payload(marked_get(2, 8), "1");
    turn(5);
    assert_gone();
    assert_int_equal(sessions.refusals.counts[REFUSAL_POLL_REPEATED], 1);
}

static int end(void **state)
{
    int failed = tear_down(state);
    requests_finish();
    return failed;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_waits_is_one_payload),
        TEST(an_answer_has_as_many_packets_as_the_client_takes),
        TEST(attachments_come_and_go),
        TEST(msgpack_goes_as_binary),
        TEST(a_get_is_held_until_something_comes),
        TEST(a_second_get_ends_the_session),
        TEST(an_aborted_get_ends_the_session_at_once),
        TEST(a_goodbye_answers_the_get_with_noop),
        TEST(a_goodbye_without_a_get_ends_it),
        TEST(garbage_ends_it),
        TEST(a_closed_session_tells_the_next_get),
        TEST(a_bad_message_closes_and_tells_the_next_get),
        TEST(a_closed_session_is_sent_what_waits),
        TEST(pings_come_with_answers),
        TEST(a_held_get_ends_before_the_platforms_deadline),
        TEST(the_longest_held_get_makes_room),
        TEST(the_session_moves_to_a_websocket_that_proved_itself),
        TEST(an_upgraded_session_keeps_its_id_alone),
        TEST(a_post_that_the_upgrade_overtakes_is_refused),
        TEST(a_probe_that_fails_leaves_polling_alone),
        TEST(only_one_websocket_probes),
        TEST(a_repeated_request_acts_once),
        TEST(what_tells_nothing_apart_repeats_nothing),
        TEST(a_long_answer_is_not_followed_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
