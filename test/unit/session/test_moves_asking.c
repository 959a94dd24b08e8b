/* test_moves_asking: questions to and from polling sessions that are on the broker between their requests, a program's
 * late answers to them, and how much of what waits there one answer takes. */
#include <stdio.h>

#include "records.h"
#include "session/asking.h"

/* The rest is on the broker meanwhile. */
static void an_answer_has_as_many_packets_as_the_client_takes(void **state)
{
    size_t seen = 0;
    join();
    struct browser *other_client = walk_in();
    for (int i = 0; i < 40; i++)
        say(other_client, "42[\"say\",1]");
    say(other_client, "421[\"say\",\"last\"]");
    expect(other_client, "431[]");
    request_packets_max = 16;
    for (int i = 0; i < 3; i++) {
        struct span got = payload(get(2));
        size_t here = times(got, "42[");
        assert_true(here <= 16);
        assert_int_equal(times(got, "\x1e"), here - 1);
        seen += here;
        assert_int_equal(times(got, "\"last\""), i == 2);
    }
    request_packets_max = 0;
    assert_int_equal(seen, 41);
}

/* A polling client and one on a WebSocket, which ask each other. */
static struct browser *askers(char polling[PID_BYTES], char walking[PID_BYTES])
{
    nsp.direct = true;
    begin();
    post_now("40");
    struct span got = payload(get(2));
    snprintf(polling, PID_BYTES, "%.*s", ENGINEIO_SID_BYTES, got.data + strlen("40{\"sid\":\""));
    struct browser *other_client = walk_in();
    quoted(other_client, "40{", "\"sid\":\"", walking, PID_BYTES);
    return other_client;
}

static void one_between_two_polls_is_asked_and_answers_elsewhere(void **state)
{
    char polling[PID_BYTES], walking[PID_BYTES], text[126];
    struct browser *other_client = askers(polling, walking);
    for (int i = 1; i < 4; i++) {
        snprintf(text, sizeof text, "42%d[\"ask\",\"%s\",%d]", i, polling, i);
        say(other_client, text);
        turn(50);
        assert_int_equal(sessions.asking.kept_count, 1); /* nobody has the session now */
        struct span got = payload(get(2));
        assert_int_equal(times(got, "[\"ask\",\""), 1);
        struct span id = span_sub(got, 2, (size_t)span_find(got, '[') - 2);
        snprintf(text, sizeof text,
                 "43" SPAN_FMT "[\"yes\"]\x1e"
                 "43" SPAN_FMT "[\"twice\"]",
                 SPAN_ARG(id), SPAN_ARG(id));
        post_now(text); /* the session has been on the broker meanwhile */
        snprintf(text, sizeof text, "43%d[", i);
        expect(other_client, text);
        snprintf(text, sizeof text, "43%d[\"yes\"]", i);
        assert_int_equal(count(other_client, text), 1);
        assert_int_equal(sessions.refusals.counts[REFUSAL_RECEIVER_GONE], 0);
    }
    assert_int_equal(sessions.asking.kept_count, 0);
}

static void an_answer_finds_one_between_two_polls(void **state)
{
    char polling[PID_BYTES], walking[PID_BYTES], text[126];
    struct browser *other_client = askers(polling, walking);
    snprintf(text, sizeof text, "427[\"ask\",\"%s\"]", walking);
    post_now(text); /* the answer to the POST does not wait for the answer to the question */
    expect(other_client, "42");
    struct span got = buf_span(&other_client->messages);
    const char *asked = memmem(got.data, got.len, "\n42", 3);
    assert_non_null(asked);
    snprintf(text, sizeof text, "43%.*s[\"found\"]", (int)strcspn(asked + 3, "["), asked + 3);
    say(other_client, text);
    turn(20);
    assert_int_equal(times(payload(get(2)), "437[\"found\"]"), 1);
    /* And in time. The time that it is away counts. */
    fixture_ask_ms = 100;
    snprintf(text, sizeof text, "428[\"ask\",\"%s\"]", walking);
    post_now(text);
    record.away_ms = 200;
    uint64_t since = loop_now_us(loop);
    assert_int_equal(times(payload(get(2)), "438[{\"error\":\"the receiver gave no answer in time"), 1);
    assert_true(loop_now_us(loop) - since < LOOP_MS(80));
    assert_int_equal(sessions.asking.count, 1); /* what the other client was asked */
    fixture_ask_ms = 5000;
}

/* What a program answers later: from where its handler ran, while the session is on the broker. */
static void a_promised_answer_finds_one_between_two_polls(void **state)
{
    char sid[PID_BYTES], text[64];
    struct content done = content_of(SPAN_LIT("[\"done\"]"));
    nsp.direct = true;
    begin();
    post_now("40");
    struct span got = payload(get(2));
    snprintf(sid, sizeof sid, "%.*s", ENGINEIO_SID_BYTES, got.data + strlen("40{\"sid\":\""));
    for (int i = 1; i < 4; i++) {
        snprintf(text, sizeof text, "42%d[\"later\"]", i);
        post_now(text);
        assert_true(fixture_promise[0] != '\0');
        for (int n = 0; n < 2; n++) /* the second is one too many */
            assert_true(asking_keep_elsewhere(&sessions, &nsp, span_str(sid), span_str(fixture_promise), &done));
        turn(20);
        got = payload(get(2));
        snprintf(text, sizeof text, "43%d[\"done\"]", i);
        assert_int_equal(times(got, text), 1);
        assert_int_equal(times(got, "43"), 1);
    }
    assert_int_equal(sessions.asking.count, 0);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ANSWER_LATE], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, moves_set_up, moves_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_as_many_packets_as_the_client_takes),
        TEST(one_between_two_polls_is_asked_and_answers_elsewhere),
        TEST(an_answer_finds_one_between_two_polls),
        TEST(a_promised_answer_finds_one_between_two_polls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
