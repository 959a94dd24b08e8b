/* test_inquiry_polls: the sockets of polling sessions in answers: the broker lists them, the instance that happens to
 * hold their session does not, and each counts once. The broker's list and the mail of other instances are played. */
#include <stdio.h>

#include "records.h"
#include "session/asking_entry.h"
#include "session/inquiry.h"

static struct inquiries *inquiries;
static struct record_ops ops;
static bool asked, broken, two_pages;
static bool silent, owns;              /* the other instance stands still; it owns a lease */
enum { MANY = INQUIRY_LIMIT_MAX + 1 }; /* more than an instance tells of its own */
static char others[64];                /* what another instance tells; empty: there is none */
static struct {
    int answers;
    size_t count;
    uint64_t total;
    uint64_t numbers[4];
    bool incomplete, more;
    char keys[128], text[1024];
} found;

static void send_mail(struct broker *of, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    struct mail_receivers receivers = {2, 2};
    char answer[512];
    struct buf here = {0};
    struct span word, number;
    if (done == NULL)
        return; /* this instance answers */
    struct inquiry_question question = {.kind = (enum inquiry_kind)0, .nsp = SPAN_LIT("/"), .limit = 10};
    span_next(&message, ' ', &word);
    span_next(&message, ' ', &number);
    question.kind = (enum inquiry_kind)message.data[0];
    if (question.kind == INQUIRY_ANSWERS)
        buf_append(&here, SPAN_LIT("0 0 0\n")); /* nobody is here who could be asked */
    else
        inquiry_find(&sessions, &question, &here);
    done(arg, &receivers);
    snprintf(answer, sizeof answer, "tell " SPAN_FMT "\n" SPAN_FMT, SPAN_ARG(number), SPAN_ARG(buf_span(&here)));
    mail_received(broker, SPAN_LIT("here"), span_str(answer));
    snprintf(answer, sizeof answer, "tell " SPAN_FMT "\n%s", SPAN_ARG(number), others);
    if (!silent)
        mail_received(broker, SPAN_LIT("there"), span_str(answer));
    buf_finish(&here);
}

/* Another instance passed the session of the record on; it has one of its own if `owns`. */
static void ask_owners(struct broker *of, const struct span *heard, size_t count, mail_owners_fn *done, void *arg)
{
    struct mail_owner owners[] = {{SPAN_LIT("there"), span_str(record.leases[0].pid)},
                                  {SPAN_LIT("there"), SPAN_LIT("/#own")}};
    done(arg, owners, 1u + owns);
}

static const struct mail_ops played = {send_mail, ask_owners};

/* Sockets that poll, in no room but their namespace's. */
static void list_many(struct broker *of, struct span cursor, record_list_fn *done, void *arg)
{
    static struct record_socket sockets[MANY];
    static char sids[MANY][24];
    struct record_page page = {.sockets = sockets, .count = MANY};
    for (size_t i = 0; i < MANY; i++) {
        snprintf(sids[i], sizeof sids[i], "AAAAAAAAAAAAAAAA%04zu", i);
        sockets[i] = (struct record_socket){
            .pid = span_str(sids[i]), .sid = span_str(sids[i]), .rooms = SPAN_LIT("0 1 1 - 1 0 1 /")};
    }
    done(arg, &page);
}

/* The socket of the record: it is in "r", was in "left", and has a room of its own. */
static void list(struct broker *of, struct span cursor, record_list_fn *done, void *arg)
{
    struct span text = span_of(record.text, record.len), head = {NULL, 0};
    uint64_t bytes;
    asked = true;
    assert_true(!record.exists || (span_take_u64(&text, ' ', &bytes) && span_take(&text, bytes, &head)));
    struct record_socket socket = {.head = head,
                                   .instance = SPAN_LIT("there"),
                                   .pid = span_str(record.leases[0].pid),
                                   .sid = SPAN_LIT("AAAAAAAAAAAAAAAAAAAA"),
                                   .rooms =
                                       SPAN_LIT("0 1 1 - 1 0 1 /1 1 - 1 0 3 /,r1 1 5 1 0 6 /,left1 1 - 1 0 4 @/,A")};
    struct record_page page = {.sockets = &socket, .count = record.exists};
    if (two_pages && cursor.len == 0)
        page.next = SPAN_LIT("more"); /* it is on both */
    done(arg, broken ? NULL : &page);
}

static void on_found(void *arg, const struct inquiry_found *got)
{
    found.answers++;
    found.count = got->count;
    found.total = got->total;
    found.incomplete = got->incomplete;
    found.more = got->more;
    found.keys[0] = found.text[0] = '\0';
    for (size_t i = 0; i < got->count && i < 4; i++) {
        snprintf(found.keys + strlen(found.keys), sizeof found.keys - strlen(found.keys), SPAN_FMT " ",
                 SPAN_ARG(got->items[i].key));
        found.numbers[i] = got->items[i].number;
        if (i == 0)
            snprintf(found.text, sizeof found.text, SPAN_FMT, SPAN_ARG(got->items[i].text));
    }
}

static int begin_all(void **state)
{
    moves_set_up(state);
    ops = *broker->records;
    ops.list = list;
    broker->records = &ops;
    broker->mail = &played;
    inquiries = inquiries_create(&sessions);
    asked = broken = two_pages = silent = owns = false;
    snprintf(others, sizeof others, "0 0 0\n");
    memset(&found, 0, sizeof found);
    return 0;
}

static int end_all(void **state)
{
    inquiries_destroy(inquiries);
    return moves_tear_down(state);
}

static void ask(enum inquiry_kind kind)
{
    struct inquiry_question question = {.kind = kind, .nsp = SPAN_LIT("/"), .limit = 10};
    int before = found.answers;
    assert_true(inquiry_ask(inquiries, &question, on_found, NULL));
    assert_int_equal(found.answers, before + 1);
}

static void one_between_two_requests_is_listed(void **state)
{
    join();
    assert_int_equal(sessions.count, 0);
    ask(INQUIRY_SOCKETS);
    assert_string_equal(found.keys, "AAAAAAAAAAAAAAAAAAAA ");
    assert_non_null(strstr(found.text, "\"transport\":\"polling\",\"address\":\""));
    assert_non_null(strstr(found.text, "\"instance\":\"there\""));
    assert_non_null(strstr(found.text, "\"rooms\":[\"r\"]}"));
    assert_false(found.incomplete);
    ask(INQUIRY_COUNT);
    assert_int_equal(found.total, 1);
    ask(INQUIRY_ROOMS);
    assert_string_equal(found.keys, "r ");
    assert_int_equal(found.numbers[0], 1);
}

/* While its GET waits here this instance has it, too. */
static void one_that_is_held_counts_once(void **state)
{
    join();
    post_now("421[\"join\",\"r\"]");
    payload(get(2));
    struct request *held = get(3);
    turn(30);
    assert_int_equal(sessions.count, 1);
    ask(INQUIRY_COUNT);
    assert_int_equal(found.total, 1);
    ask(INQUIRY_ROOMS);
    assert_string_equal(found.keys, "r ");
    assert_int_equal(found.numbers[0], 1);
    ask(INQUIRY_SOCKETS);
    assert_int_equal(found.count, 1);
    /* Of this instance alone: it is here. */
    struct inquiry_question here = {.kind = INQUIRY_COUNT, .nsp = SPAN_LIT("/"), .limit = 1, .here = true};
    assert_true(inquiry_ask(inquiries, &here, on_found, NULL));
    turn(10);
    assert_int_equal(found.total, 1);
    broker->record_events->wanted(&sessions, own_sid(), record.holder, RECORD_FOR_WEBSOCKET);
    await(held);
}

static void one_on_two_pages_counts_once(void **state)
{
    join();
    two_pages = true;
    snprintf(others, sizeof others, "0 1 1\n1 0 4\nr");
    ask(INQUIRY_ROOMS);
    assert_string_equal(found.keys, "r ");
    assert_int_equal(found.numbers[0], 5); /* four are on another instance */
    snprintf(others, sizeof others, "0 4 0\n");
    ask(INQUIRY_COUNT);
    assert_int_equal(found.total, 5);
}

static void without_the_list_the_answer_is_incomplete(void **state)
{
    join();
    broken = true;
    ask(INQUIRY_COUNT);
    assert_true(asked && found.incomplete);
    assert_int_equal(found.total, 0);
}

static void sessions_that_were_passed_on_let_nobody_wait(void **state)
{
    struct inquiry_question question = {.kind = INQUIRY_COUNT, .nsp = SPAN_LIT("/"), .limit = 10};
    join();
    silent = two_pages = true;
    for (int i = 0; i < 2; i++) {
        owns = i == 1;
        assert_true(inquiry_ask(inquiries, &question, on_found, NULL));
        assert_int_equal(found.answers, i);
        turn(INQUIRY_PATIENCE_MS + 50);
        assert_int_equal(found.answers, 1);
        assert_int_equal(found.total, 1);
        assert_false(found.incomplete);
    }
    turn(INQUIRY_TIMEOUT_MS);
    assert_int_equal(found.answers, 2);
    assert_true(found.incomplete);
}

/* What is published meanwhile is noted, and goes on to the broker unless `withheld`. */
static const struct broker_ops *real_ops;
static struct broker_ops noting;
static struct buf published;
static int publishes;
static bool withheld, refused;

static bool publish_noted(struct broker *of, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    publishes++;
    buf_clear(&published);
    buf_append(&published, publish->body);
    return !refused && (withheld || real_ops->publish(of, publish, done, arg));
}

static void survey(uint64_t ms)
{
    struct inquiry_question question = {
        .kind = INQUIRY_ANSWERS, .nsp = SPAN_LIT("/"), .timeout_ms = ms, .body = SPAN_LIT("[\"x\"]")};
    real_ops = broker->ops;
    noting = *real_ops;
    noting.publish = publish_noted;
    broker->ops = &noting;
    publishes = 0;
    assert_true(inquiry_ask(inquiries, &question, on_found, NULL));
    broker->ops = real_ops;
}

static int begin_survey(void **state)
{
    withheld = refused = false;
    return begin_all(state);
}

static int end_survey(void **state)
{
    buf_finish(&published);
    return end_all(state);
}

/* One event names all that are asked; those that are too many make the answer incomplete. */
static void many_that_poll_are_asked_by_one_event(void **state)
{
    struct asking_entry entry;
    ops.list = list_many;
    withheld = true;
    survey(100);
    assert_int_equal(publishes, 1);
    assert_true(asking_entry_decode(buf_span(&published), &entry));
    assert_int_equal(entry.kind, ASKING_SURVEY);
    assert_int_equal(entry.ms, 100);
    assert_true(span_equal(entry.content.args, SPAN_LIT("[\"x\"]")));
    assert_int_equal(entry.asked.len, INQUIRY_LIMIT_MAX * ENGINEIO_SID_BYTES);
    assert_true(asking_is_for(buf_span(&published), SPAN_LIT("AAAAAAAAAAAAAAAA0000")));
    assert_true(asking_is_for(buf_span(&published), SPAN_LIT("AAAAAAAAAAAAAAAA0999")));
    assert_false(asking_is_for(buf_span(&published), SPAN_LIT("AAAAAAAAAAAAAAAA1000")));
    assert_int_equal(sessions.asking.count, INQUIRY_LIMIT_MAX);
    turn(150);
    assert_int_equal(found.answers, 1);
    assert_int_equal(found.count, INQUIRY_LIMIT_MAX);
    assert_int_equal(found.numbers[0], 0);
    assert_string_equal(found.text, "");
    assert_true(found.more);
    assert_int_equal(sessions.asking.count, 0);
    /* The broker takes no more: nobody is waited for. */
    refused = true;
    survey(60000);
    assert_int_equal(found.answers, 2);
    assert_true(found.more);
}

/* The id under which the client is asked. */
static struct span asked_id(struct span got)
{
    assert_int_equal(times(got, "[\"x\"]"), 1);
    ptrdiff_t end = memmem(got.data, got.len, "[\"x\"]", 5) - (const void *)got.data, from = end;
    while (from > 0 && got.data[from - 1] >= '0' && got.data[from - 1] <= '9')
        from--;
    return span_sub(got, (size_t)from + 2, (size_t)(end - from) - 2); /* behind 42 */
}

static char own_socket[ENGINEIO_SID_BYTES + 1];

static void list_own(struct broker *of, struct span cursor, record_list_fn *done, void *arg)
{
    struct record_socket socket = {
        .pid = span_str(record.leases[0].pid), .sid = span_str(own_socket), .rooms = SPAN_LIT("0 1 1 - 1 0 1 /")};
    struct record_page page = {.sockets = &socket, .count = 1};
    done(arg, &page);
}

static void join_listed(void)
{
    begin();
    post_now("40");
    struct span got = payload(get(2));
    snprintf(own_socket, sizeof own_socket, "%.*s", ENGINEIO_SID_BYTES, got.data + strlen("40{\"sid\":\""));
    ops.list = list_own;
}

/* Its GET waits here: it is asked at once, by the event alone. Its answer may come to another instance. */
static void one_that_waits_here_is_asked_once(void **state)
{
    char text[128];
    join_listed();
    struct request *held = get(3);
    turn(30);
    assert_int_equal(sessions.count, 1);
    survey(60000);
    assert_int_equal(publishes, 1);
    struct span id = asked_id(payload(held));
    snprintf(text, sizeof text, "43" SPAN_FMT "[1]", SPAN_ARG(id));
    assert_int_equal(found.answers, 0);
    post_now(text);
    assert_int_equal(found.answers, 1);
    snprintf(text, sizeof text, "%s ", own_socket);
    assert_string_equal(found.keys, text);
    assert_string_equal(found.text, "[1]");
    assert_int_equal(sessions.asking.count, 0);
}

/* The instance that asks has asked those that poll, or has no list of them. */
static void another_instance_asks_with_a_list_or_without(void **state)
{
    join_listed();
    struct request *held = get(3);
    turn(30);
    mail_received(broker, SPAN_LIT("peer"), SPAN_LIT("ask 1500000000 a 1 0 0\n1\n/0\n0\n5000\n5\n[\"x\"]0\n"));
    turn(30);
    assert_false(held->answered);
    mail_received(broker, SPAN_LIT("peer"), SPAN_LIT("ask 1500000001 a 1 0 0\n1\n/0\n0\n50\n5\n[\"x\"]"));
    asked_id(payload(held));
}

/* The broker has kept the event, perhaps twice, until the next request. */
static void one_between_two_requests_is_asked_with_its_next(void **state)
{
    char text[128];
    join_listed();
    withheld = true;
    survey(60000);
    struct record_kept kept[2] = {{.room = SPAN_LIT("/"), .audience = SPAN_LIT(""), .body = buf_span(&published)}};
    kept[1] = kept[0];
    record.kept = kept;
    record.kept_count = 2;
    struct span id = asked_id(payload(get(3)));
    record.kept_count = 0;
    assert_int_equal(found.answers, 0);
    snprintf(text, sizeof text, "43" SPAN_FMT "[2]", SPAN_ARG(id));
    post_now(text); /* the session has been on the broker meanwhile */
    assert_int_equal(found.answers, 1);
    assert_string_equal(found.text, "[2]");
}

static void one_that_leaves_is_not_awaited(void **state)
{
    join_listed();
    withheld = true;
    survey(60000);
    struct record_kept kept = {.room = SPAN_LIT("/"), .audience = SPAN_LIT(""), .body = buf_span(&published)};
    record.kept = &kept;
    record.kept_count = 1;
    asked_id(payload(get(3)));
    record.kept_count = 0;
    post_now("41");
    turn(20);
    assert_int_equal(found.answers, 1);
    assert_string_equal(found.text, "");
    assert_false(found.more || found.incomplete);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_all, end_all)
#define SURVEY(name) cmocka_unit_test_setup_teardown(name, begin_survey, end_survey)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_between_two_requests_is_listed),
        TEST(one_that_is_held_counts_once),
        TEST(one_on_two_pages_counts_once),
        TEST(without_the_list_the_answer_is_incomplete),
        TEST(sessions_that_were_passed_on_let_nobody_wait),

        SURVEY(many_that_poll_are_asked_by_one_event),
        SURVEY(one_that_waits_here_is_asked_once),
        SURVEY(another_instance_asks_with_a_list_or_without),
        SURVEY(one_between_two_requests_is_asked_with_its_next),
        SURVEY(one_that_leaves_is_not_awaited),
    };
    return cmocka_run_group_tests_name("session/inquiry_polls", tests, NULL, NULL);
}
