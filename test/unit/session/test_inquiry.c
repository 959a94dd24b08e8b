/* test_inquiry: how the answers of several instances become one. The mail is played: this instance asks, and the test
 * answers for the others. */
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "session/inquiry.h"

static struct inquiries *inquiries;
static char asked[256];
static struct mail_receivers receivers;
static bool is_cut; /* the link breaks before the broker says who was reached */
static struct {
    int answers;
    char keys[64], texts[64];
    uint64_t numbers[8];
    bool more, incomplete;
    uint64_t total, living, answered;
} found;

static void send_mail(struct broker *of, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    snprintf(asked, sizeof asked, SPAN_FMT, SPAN_ARG(message));
    if (done != NULL)
        done(arg, is_cut ? NULL : &receivers);
}

static struct {
    int asked;
    char heard[64];
    mail_owners_fn *done;
    void *arg;
} owners;

static void ask_owners(struct broker *of, const struct span *heard, size_t count, mail_owners_fn *done, void *arg)
{
    struct buf text = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, SPAN_FMT " ", SPAN_ARG(heard[i]));
    snprintf(owners.heard, sizeof owners.heard, SPAN_FMT, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
    owners.asked++;
    owners.done = done;
    owners.arg = arg;
}

static void owners_told(const struct mail_owner *list, size_t count)
{
    owners.done(owners.arg, list, count);
    owners.done = NULL;
}

static const struct mail_ops played = {send_mail, ask_owners};

static void on_found(void *arg, const struct inquiry_found *got)
{
    found.answers++;
    found.keys[0] = found.texts[0] = '\0';
    for (size_t i = 0; i < got->count; i++) {
        assert_true(i < 8);
        snprintf(found.keys + strlen(found.keys), sizeof found.keys - strlen(found.keys), SPAN_FMT " ",
                 SPAN_ARG(got->items[i].key));
        snprintf(found.texts + strlen(found.texts), sizeof found.texts - strlen(found.texts), SPAN_FMT " ",
                 SPAN_ARG(got->items[i].text));
        found.numbers[i] = got->items[i].number;
    }
    found.more = got->more;
    found.incomplete = got->incomplete;
    found.total = got->total;
    found.living = got->living;
    found.answered = got->answered;
}

static int begin(void **state)
{
    set_up(state);
    broker->mail = &played;
    inquiries = inquiries_create(&sessions);
    memset(&found, 0, sizeof found);
    memset(&owners, 0, sizeof owners);
    is_cut = false;
    return 0;
}

static int end(void **state)
{
    if (owners.done != NULL)
        owners_told(NULL, 0);
    inquiries_destroy(inquiries);
    return tear_down(state);
}

static void ask(enum inquiry_kind kind, uint32_t limit, uint64_t living, uint64_t reached)
{
    struct inquiry_question question = {
        .kind = kind, .nsp = SPAN_LIT("/"), .limit = limit, .timeout_ms = 500, .body = SPAN_LIT("[\"x\"]")};
    receivers = (struct mail_receivers){living, reached};
    assert_true(inquiry_ask(inquiries, &question, on_found, NULL));
}

/* An instance answers the last question. */
static void tell(const char *from, const char *text)
{
    char message[512];
    unsigned long long number = strtoull(asked + sizeof "ask " - 1, NULL, 10);
    snprintf(message, sizeof message, "tell %llu\n%s", number, text);
    mail_received(broker, span_str(from), span_str(message));
}

static void rooms_of_all_are_added_up(void **state)
{
    ask(INQUIRY_ROOMS, 10, 2, 2);
    tell("a", "0 2 2\n1 0 3\nx1 0 1\ny");
    assert_int_equal(found.answers, 0);
    tell("a", "0 1 1\n1 0 9\nz"); /* again: it counts once */
    assert_int_equal(found.answers, 0);
    tell("b", "0 1 1\n1 0 4\ny");
    assert_int_equal(found.answers, 1);
    assert_string_equal(found.keys, "x y ");
    assert_int_equal(found.numbers[0], 3);
    assert_int_equal(found.numbers[1], 5);
    assert_false(found.more);
    tell("c", "0 0 0\n"); /* too late */
    assert_int_equal(found.answers, 1);
}

/* `a` has not told what lies behind its last key, so nothing behind it is whole. */
static void a_page_ends_where_one_did_not_tell_on(void **state)
{
    ask(INQUIRY_ROOMS, 3, 2, 2);
    tell("a", "1 9 2\n1 0 1\nb1 0 1\nd");
    tell("b", "0 3 3\n1 0 1\na1 0 1\nd1 0 1\nm");
    assert_string_equal(found.keys, "a b d ");
    assert_int_equal(found.numbers[2], 2);
    assert_true(found.more);
    ask(INQUIRY_ROOMS, 2, 2, 2);
    tell("a", "0 1 1\n1 0 1\nb");
    tell("b", "0 2 2\n1 0 1\na1 0 1\nc");
    assert_string_equal(found.keys, "a b ");
    assert_true(found.more);
}

/* A socket that moves may be asked by two instances: the answer counts, whichever has it. */
static void the_answer_of_one_that_moved(void **state)
{
    for (int i = 0; i < 2; i++) {
        ask(INQUIRY_ANSWERS, 0, 2, 2);
        assert_non_null(strstr(asked, " a 0 0 0\n1\n/0\n0\n500\n5\n[\"x\"]"));
        tell("a", i == 0 ? "0 1 1\n1 0 0\nx" : "0 2 2\n1 3 1\nx[1]1 3 1\ny[2]");
        tell("b", i == 1 ? "0 1 1\n1 0 0\nx" : "0 2 2\n1 3 1\nx[1]1 3 1\ny[2]");
        assert_int_equal(found.answers, i + 1);
        assert_string_equal(found.keys, "x y ");
        assert_string_equal(found.texts, "[1] [2] ");
        assert_false(found.more);
    }
    ask(INQUIRY_ANSWERS, 0, 1, 1);
    tell("a", "0 3 1\n1 3 1\nx[1]");
    assert_true(found.more);
    ask(INQUIRY_ANSWERS, 0, 2, 2); /* one does not answer */
    tell("a", "0 1 1\n1 3 1\nx[1]");
    turn(500 + INQUIRY_TIMEOUT_MS / 2);
    assert_int_equal(found.answers, 3);
    turn(INQUIRY_TIMEOUT_MS / 2 + 100);
    assert_int_equal(found.answers, 4);
    assert_int_equal(found.answered, 1);
}

static void a_missing_answer_is_told(void **state)
{
    ask(INQUIRY_COUNT, 1, 3, 2);
    tell("a", "0 4 0\n");
    tell("b", "0 5 0\n"); /* the third was not reached, so nobody waits for it */
    assert_int_equal(found.answers, 1);
    assert_int_equal(found.total, 9);
    assert_int_equal(found.living, 3);
    assert_int_equal(found.answered, 2);
    ask(INQUIRY_COUNT, 1, 2, 2);
    tell("a", "0 4 0\n");
    turn(INQUIRY_TIMEOUT_MS + 100);
    assert_int_equal(found.answers, 2);
    assert_int_equal(found.answered, 1);
}

/* An instance without a request may stand still. If it owns no lease it has no socket to answer for. */
static void one_that_owns_nothing_is_not_awaited(void **state)
{
    ask(INQUIRY_COUNT, 1, 3, 3);
    tell("a", "0 4 0\n");
    turn(INQUIRY_PATIENCE_MS + 20);
    assert_int_equal(owners.asked, 1);
    assert_string_equal(owners.heard, "a ");
    assert_int_equal(found.answers, 0);
    owners_told((struct mail_owner[]){{SPAN_LIT("a"), SPAN_LIT("/#x")}}, 1);
    assert_int_equal(found.answers, 1);
    assert_false(found.incomplete);
    assert_int_equal(found.total, 4);
    assert_int_equal(found.living, 3);
    assert_int_equal(found.answered, 1);
    /* Those that answer at once are never looked at. */
    ask(INQUIRY_COUNT, 1, 1, 1);
    tell("a", "0 4 0\n");
    turn(INQUIRY_PATIENCE_MS + 20);
    assert_int_equal(found.answers, 2);
    assert_int_equal(owners.asked, 1);
}

static void one_that_owns_leases_is_awaited(void **state)
{
    static const struct mail_owner both[] = {
        {SPAN_LIT("b"), SPAN_LIT("/#x")}, {SPAN_LIT("c"), SPAN_LIT("")}, {SPAN_LIT("b"), SPAN_LIT("/#y")}};
    ask(INQUIRY_COUNT, 1, 4, 4);
    tell("a", "0 4 0\n");
    turn(INQUIRY_PATIENCE_MS + 20);
    tell("b", "0 1 0\n"); /* meanwhile */
    owners_told(both, 3);
    assert_int_equal(found.answers, 0);
    tell("c", "0 2 0\n");
    assert_int_equal(found.answers, 1);
    assert_int_equal(found.total, 7);
    assert_false(found.incomplete);
    /* It stands still with a socket, or what it says is damaged. */
    for (int i = 0; i < 2; i++) {
        ask(INQUIRY_COUNT, 1, 2, 2);
        turn(INQUIRY_PATIENCE_MS + 20);
        owners_told(both, 1);
        if (i == 1)
            tell("b", "damaged");
        turn(i == 0 ? INQUIRY_TIMEOUT_MS : 10);
        assert_int_equal(found.answers, i + 2);
        assert_true(found.incomplete);
    }
}

static void all_are_awaited_while_the_broker_does_not_say(void **state)
{
    ask(INQUIRY_COUNT, 1, 2, 2);
    tell("a", "0 4 0\n");
    turn(INQUIRY_PATIENCE_MS + 20);
    owners_told(NULL, 0);
    assert_int_equal(found.answers, 0);
    turn(INQUIRY_TIMEOUT_MS);
    assert_int_equal(found.answers, 1);
    assert_true(found.incomplete);
}

/* Nobody knows then how many there are, or whether they were asked. */
static void who_owns_sockets_decides_after_a_cut(void **state)
{
    for (int said = 0; said < 2; said++) {
        is_cut = true;
        ask(said == 0 ? INQUIRY_ANSWERS : INQUIRY_COUNT, 1, 0, 0);
        tell("a", said == 0 ? "0 0 0\n" : "0 4 0\n");
        turn(INQUIRY_PATIENCE_MS + 20);
        assert_int_equal(found.answers, said);
        owners_told(said == 0 ? NULL : (struct mail_owner[]){{SPAN_LIT("a"), SPAN_LIT("/#x")}}, 0);
        assert_int_equal(found.answers, 2 * said);
        turn(INQUIRY_TIMEOUT_MS + 600);
        assert_int_equal(found.answers, 1 + said);
        assert_int_equal(found.incomplete, said == 0);
    }
}

/* Another program may write on the broker. */
static void damaged_answers_do_not_count(void **state)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "0 1 1\n",
                                      "0 1 1\n1 0 1\n",
                                      "0 1 1\n9 0 1\nx",
                                      "0 1 1\n0 1 1\nx",
                                      "1 1 0\n",
                                      "0 1 1001\n",
                                      "0 0 0\nrest",
                                      "0 1 1\n18446744073709551615 1 1\nx"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ask(INQUIRY_ROOMS, 10, 1, 1);
        tell("a", bad[i]);
        assert_int_equal(found.answered, 0);
        assert_string_equal(found.keys, "");
    }
    static const char *const questions[] = {"",
                                            "ask",
                                            "ask 1",
                                            "ask 1 s 10 0 0\n",
                                            "ask 1 s 9999 0 0\n",
                                            "tell",
                                            "tell 99\n0",
                                            "ask 1 s 1 99 0\n",
                                            "ask 1 a 1 0 0\n1\n/0\n0\n",
                                            "ask 1 a 1 0 0\n1\n/0\n0\n0\n2\n[]",
                                            "ask 1 a 1 0 0\n1\n/0\n0\n300001\n2\n[]",
                                            "ask 1 a 1 0 0\n1\n/0\n0\n1000\n9\n[]",
                                            "late",
                                            "late 1073741824 x",
                                            "ask 1 ? 1 0 0\n1\n/0\n0\n"};
    asked[0] = '\0';
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++)
        mail_received(broker, SPAN_LIT("x"), span_str(questions[i]));
    assert_string_equal(asked, "");
    mail_received(broker, SPAN_LIT("x"), SPAN_LIT("ask 7 n 1 0 0\n1\n/0\n0\n"));
    assert_string_equal(asked, "tell 7\n0 0 0\n");
}

static void questions_are_bounded(void **state)
{
    struct inquiry_question question = {.kind = INQUIRY_COUNT, .nsp = SPAN_LIT("/"), .limit = 1};
    for (int i = 0; i < INQUIRY_QUESTIONS_MAX; i++)
        ask(INQUIRY_COUNT, 1, 2, 2);
    assert_false(inquiry_ask(inquiries, &question, on_found, NULL));
}

/* What it has asked may be on another instance a moment later, so that it owns no lease by then. */
static void one_that_has_asked_is_awaited(void **state)
{
    char hold[64];
    for (int i = 0; i < 2; i++) {
        ask(INQUIRY_ANSWERS, 1, 3, 3);
        snprintf(hold, sizeof hold, "hold %llu\n", strtoull(asked + sizeof "ask " - 1, NULL, 10));
        mail_received(broker, SPAN_LIT("b"), span_str(hold));
        tell("a", "0 0 0\n");
        turn(INQUIRY_PATIENCE_MS + 20);
        owners_told((struct mail_owner[]){{SPAN_LIT("b"), SPAN_LIT("/#x")}}, i == 0 ? 0 : 1);
        assert_int_equal(found.answers, i);
        tell("b", "0 1 1\n1 3 1\nx[1]");
        assert_int_equal(found.answers, i + 1);
        assert_string_equal(found.keys, "x ");
        assert_false(found.incomplete);
    }
    /* It has told before it says so. */
    ask(INQUIRY_ANSWERS, 1, 2, 2);
    snprintf(hold, sizeof hold, "hold %llu\n", strtoull(asked + sizeof "ask " - 1, NULL, 10));
    tell("a", "0 0 0\n");
    mail_received(broker, SPAN_LIT("a"), span_str(hold));
    turn(INQUIRY_PATIENCE_MS + 20);
    owners_told((struct mail_owner[]){{SPAN_LIT("c"), SPAN_LIT("/#x")}}, 0);
    assert_int_equal(found.answers, 3);
    assert_false(found.incomplete);
}

static struct broker_ops watched;
static const struct broker_ops *ops;
static char leases[256];

static void write_noted(struct broker *of, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    size_t len = strlen(leases);
    snprintf(leases + len, sizeof leases - len, "+" SPAN_FMT "%s", SPAN_ARG(lease->pid),
             lease->rooms.len + lease->data.len + lease->own.len != 0 ? "?" : "");
    ops->lease_write(of, lease, done, arg);
}

static void release_noted(struct broker *of, const struct broker_lease *lease, bool for_good)
{
    size_t len = strlen(leases);
    snprintf(leases + len, sizeof leases - len, "%s" SPAN_FMT, for_good ? "-" : "?", SPAN_ARG(lease->pid));
    ops->lease_release(of, lease, for_good);
}

/* Where nothing is logged sockets have no lease, and a question is not waited for where nobody owns one. */
static void sockets_without_a_lease_have_one_together(void **state)
{
    nsp.recoverable = false;
    sessions.instance = "here";
    ops = broker->ops;
    watched = *ops;
    watched.lease_write = write_noted;
    watched.lease_release = release_noted;
    broker->ops = &watched;
    leases[0] = '\0';
    expect(enter(0, "40"), "40{\"sid\"");
    expect(enter(1, "40"), "40{\"sid\"");
    assert_string_equal(leases, "+~here");
    cut(&browsers[0]);
    turn(20);
    assert_string_equal(leases, "+~here");
    cut(&browsers[1]);
    turn(20);
    assert_string_equal(leases, "+~here-~here");
    /* A long name is told from others by its end. */
    sessions.instance = "a-revision-of-a-service-with-a-name-that-is-quite-long-00042-abc-51d8385e";
    leases[0] = '\0';
    expect(enter(3, "40"), "40{\"sid\"");
    assert_string_equal(leases, "+~-of-a-service-with-a-name-that-is-quite-long-00042-abc-51d8385e");
    cut(&browsers[3]);
    turn(20);
    leases[0] = '\0';
    sessions.instance = "here";
    /* With one instance nobody asks for it. */
    static const struct mail_ops alone = {send_mail, NULL};
    broker->mail = &alone;
    expect(enter(2, "40"), "40{\"sid\"");
    cut(&browsers[2]);
    turn(20);
    assert_string_equal(leases, "");
    broker->mail = &played;
    broker->ops = ops;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(rooms_of_all_are_added_up),
        TEST(a_page_ends_where_one_did_not_tell_on),
        TEST(the_answer_of_one_that_moved),
        TEST(a_missing_answer_is_told),
        TEST(one_that_owns_nothing_is_not_awaited),
        TEST(one_that_owns_leases_is_awaited),
        TEST(all_are_awaited_while_the_broker_does_not_say),
        TEST(who_owns_sockets_decides_after_a_cut),
        TEST(damaged_answers_do_not_count),
        TEST(questions_are_bounded),
        TEST(one_that_has_asked_is_awaited),
        TEST(sockets_without_a_lease_have_one_together),
    };
    return cmocka_run_group_tests_name("session/inquiry", tests, NULL, NULL);
}
