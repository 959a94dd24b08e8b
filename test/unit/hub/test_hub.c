/* test_hub: members that join, resume, lag and lose their link get every entry once, in order, and the token they were
 * last told is true at every moment: a cut there misses exactly what lies behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hub/hub.h"
#include "script_broker.h"

enum { GOT_MAX = 8192, ROOMS = 3 };

struct model {
    struct member member;
    char sid[24];
    bool whole, ready, lost, settled, full;
    uint64_t got[GOT_MAX];
    size_t got_count;
    size_t not_logged;
    struct token token; /* the last one told */
    bool has_token;
};

static struct loop *loop;
static struct script_broker script;
static struct hub hub;

static struct model *of(struct member *member)
{
    return container_of(member, struct model, member);
}

static void on_ready(struct member *member, bool whole)
{
    of(member)->ready = true;
    of(member)->whole = whole;
}

static void on_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared)
{
    struct model *model = of(member);
    if (shared)
        assert_true(entry->token_seq == token->seq && token->late_count == 0);
    if (entry->seq == 0) {
        model->not_logged++;
    } else {
        assert_true(model->got_count < GOT_MAX);
        model->got[model->got_count++] = entry->seq;
    }
    /* What a client keeps is the text. */
    struct buf text = {0};
    token_encode(&text, token);
    assert_true(token_decode(buf_span(&text), &model->token));
    model->has_token = true;
    buf_finish(&text);
}

static void on_settled(struct member *member)
{
    of(member)->settled = true;
}

static void on_lost(struct member *member)
{
    of(member)->lost = true;
}

static bool on_has_room(struct member *member)
{
    return !of(member)->full;
}

static const struct member_events events = {on_ready, on_deliver, on_settled, on_lost, on_has_room};

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    script_init(&script);
    hub_init(&hub, loop, &script.broker);
    script_up(&script);
    return 0;
}

static int tear_down(void **state)
{
    /* A test that failed left its members behind. */
    list_each (node, &hub.members) {
        member_finish(container_of(node, struct member, of_hub));
    }
    hub_finish(&hub);
    while (script_read_step(&script))
        ;
    loop_destroy(loop);
    return 0;
}

static struct model *model_create(const char *sid)
{
    struct model *model = calloc(1, sizeof *model);
    snprintf(model->sid, sizeof model->sid, "%s", sid);
    member_init(&model->member, &hub, &events, span_str(model->sid));
    return model;
}

static void model_destroy(struct model *model)
{
    member_finish(&model->member);
    free(model);
}

static struct model *joined(const char *sid, const char *rooms, enum start_mode mode, uint64_t argument)
{
    struct model *model = model_create(sid);
    for (; *rooms != '\0'; rooms++)
        member_join(&model->member, span_of(rooms, 1), mode, argument);
    member_joined(&model->member);
    return model;
}

static void expect_got(const struct model *model, size_t count, const uint64_t *seqs)
{
    assert_int_equal(model->got_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(model->got[i], seqs[i]);
}

static void live_entries_arrive_in_order(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    assert_true(model->ready);
    script_publish(&script, 0, true, ""); /* behind its start, before it begins */
    script_run(&script);
    member_start(&model->member);
    script_run(&script);
    assert_true(model->settled);
    script_publish(&script, 0, true, "");
    script_publish(&script, 0, true, "two one");
    script_publish(&script, 0, false, "");
    script_publish(&script, 0, true, "two");
    script_run(&script);
    expect_got(model, 3, (uint64_t[]){1, 2, 4});
    assert_int_equal(model->not_logged, 1);
    assert_int_equal(model->token.seq, 4);
    model_destroy(model);
}

static void a_late_joiner_gets_the_log_then_what_was_held(void **state)
{
    for (int i = 0; i < 8; i++)
        script_publish(&script, 0, true, "");
    struct model *model = joined("one", "a", START_OLDEST, 0);
    while (!model->ready)
        assert_true(script_feed_step(&script) || script_read_step(&script));
    member_start(&model->member);
    script_publish(&script, 0, true, ""); /* arrives while the log is being read */
    while (script_feed_step(&script))
        ;
    assert_false(model->settled);
    script_run(&script);
    assert_true(model->settled);
    expect_got(model, 9, (uint64_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9});
    model_destroy(model);
}

static void the_newest_entries_can_be_asked_for(void **state)
{
    for (int i = 0; i < 6; i++)
        script_publish(&script, 0, true, "");
    struct model *model = joined("one", "a", START_NEWEST, 2);
    script_run(&script);
    member_start(&model->member);
    script_run(&script);
    expect_got(model, 2, (uint64_t[]){5, 6});
    model_destroy(model);
}

/* Design's example: B is joined and its 115 waits on the join; A's 120 goes out; a cut must not lose 115. */
static void a_room_joined_late_does_not_move_the_position(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    member_note(&model->member);
    member_start(&model->member);
    script_publish(&script, 1, true, "");
    script_publish(&script, 1, true, "");
    script_publish(&script, 0, true, ""); /* 3, to a */
    script_run(&script);
    assert_int_equal(model->token.seq, 3);
    member_join(&model->member, SPAN_LIT("b"), START_OLDEST, 0);
    member_joined(&model->member);
    script_run(&script);
    member_note(&model->member);
    script_publish(&script, 2, true, "");
    member_start(&model->member);
    script_run(&script);
    /* 1 and 2 were replayed behind 3: their tokens say so. */
    expect_got(model, 3, (uint64_t[]){3, 1, 2});
    assert_int_equal(model->token.seq, 3);
    assert_int_equal(model->token.late_count, 1);
    assert_int_equal(token_position(&model->token, SPAN_LIT("b"), 0, 3), 3);
    assert_int_equal(token_position(&model->token, SPAN_LIT("a"), 0, 0), 3);
    script_publish(&script, 0, true, "");
    script_run(&script);
    assert_int_equal(model->token.late_count, 0);
    assert_int_equal(model->token.seq, 5);
    model_destroy(model);
}

static void a_lost_push_is_read_in_place(void **state)
{
    struct model *model = joined("one", "a", START_NOW, 0);
    script_run(&script);
    member_start(&model->member);
    script_publish(&script, 0, true, "");
    script_run(&script);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    script_publish(&script, 0, true, "");
    script_publish(&script, 0, true, "");
    script_run(&script);
    expect_got(model, 4, (uint64_t[]){1, 2, 3, 4});
    assert_int_equal(hub.counters.holes, 1);
    model_destroy(model);
}

static void a_hole_in_one_room_does_not_hide_another(void **state)
{
    struct model *model = joined("one", "abc", START_NOW, 0);
    script_run(&script);
    member_start(&model->member);
    script_run(&script);
    script_publish(&script, 1, true, "");
    script_feed_drop(&script);
    script_publish(&script, 2, true, "");
    script_run(&script);
    script_publish(&script, 0, true, "");
    script_feed_drop(&script);
    model->full = true;
    script_publish(&script, 0, true, "");
    script_run(&script); /* shows the hole in a, which is not read yet */
    script_publish(&script, 1, true, "");
    script_run(&script); /* shows the one in b */
    model->full = false;
    member_continue(&model->member);
    script_run(&script);
    expect_got(model, 5, (uint64_t[]){2, 3, 4, 1, 5});
    model_destroy(model);
}

static void a_broken_link_is_repaired_in_order(void **state)
{
    struct model *model = joined("one", "ab", START_NOW, 0);
    script_run(&script);
    member_start(&model->member);
    script_publish(&script, 0, true, "");
    script_run(&script);
    script_down(&script);
    for (int i = 0; i < 6; i++)
        script_publish(&script, i % 2, true, "");
    script_up(&script);
    script_feed_step(&script); /* room a is confirmed, b is not */
    script_publish(&script, 0, true, "");
    script_run(&script);
    expect_got(model, 8, (uint64_t[]){1, 2, 3, 4, 5, 6, 7, 8});
    assert_int_equal(model->token.late_count, 0);
    model_destroy(model);
}

static void what_the_broker_lost_ends_those_who_got_it(void **state)
{
    struct model *got = joined("one", "a", START_NOW, 0), *quiet = joined("two", "b", START_NOW, 0);
    script_run(&script);
    member_start(&got->member);
    member_start(&quiet->member);
    for (int i = 0; i < 5; i++)
        script_publish(&script, 0, true, "");
    script_run(&script);
    script_down(&script);
    script_forget(&script, 3);
    script_up(&script);
    script_run(&script);
    assert_true(got->lost);
    assert_false(quiet->lost);
    model_destroy(got);
    script_publish(&script, 1, true, ""); /* 4 again, in the next epoch */
    script_run(&script);
    expect_got(quiet, 1, (uint64_t[]){4});
    model_destroy(quiet);
}

static void a_resume_tells_whether_everything_is_there(void **state)
{
    for (int i = 0; i < 6; i++)
        script_publish(&script, 0, true, "");
    script.trimmed[0] = 3;
    struct model *whole = joined("one", "a", START_AT, 3), *gone = joined("two", "a", START_AT, 2),
                 *current = joined("three", "a", START_AT, 6);
    script_run(&script);
    assert_true(whole->ready && whole->whole);
    assert_true(gone->ready && !gone->whole);
    assert_true(current->ready && current->whole);
    member_start(&whole->member);
    script_run(&script);
    expect_got(whole, 3, (uint64_t[]){4, 5, 6});
    model_destroy(whole);
    model_destroy(gone);
    model_destroy(current);
}

static void a_slow_member_is_read_to_at_its_own_pace(void **state)
{
    for (int i = 0; i < 10; i++)
        script_publish(&script, 0, true, "");
    struct model *slow = joined("one", "a", START_OLDEST, 0);
    script_run(&script);
    slow->full = true;
    member_start(&slow->member);
    script_run(&script);
    assert_int_equal(slow->got_count, 0);
    for (int i = 0; i < HUB_HELD_MAX + 10; i++) /* more than is held: dropped, and read again */
        script_publish(&script, 0, true, "");
    script_run(&script);
    slow->full = false;
    member_continue(&slow->member);
    script_run(&script);
    assert_int_equal(slow->got_count, 10 + HUB_HELD_MAX + 10);
    for (size_t i = 0; i < slow->got_count; i++)
        assert_int_equal(slow->got[i], i + 1);
    model_destroy(slow);
}

static void who_leaves_a_room_gets_nothing_more_of_it(void **state)
{
    for (int i = 0; i < 2; i++)
        script_publish(&script, i, true, "");
    struct model *model = joined("one", "ab", START_OLDEST, 0);
    script_run(&script);
    model->full = true;
    member_start(&model->member);
    script_publish(&script, 0, true, "");
    script_publish(&script, 1, true, "");
    script_run(&script);
    assert_int_equal(model->member.held_count, 2); /* behind the log, which waits for room */
    model->full = false;
    member_leave(&model->member, SPAN_LIT("b"));
    script_run(&script);
    assert_true(model->settled);
    expect_got(model, 2, (uint64_t[]){1, 3});
    model_destroy(model);
}

static void the_last_room_awaited_may_be_left(void **state)
{
    struct model *model = joined("one", "ab", START_NOW, 0);
    script_run(&script);
    member_start(&model->member);
    script_run(&script);
    script_down(&script);
    script_up(&script);
    script_publish(&script, 0, true, "");
    script_feed_step(&script); /* room a is confirmed, b is not */
    member_leave(&model->member, SPAN_LIT("b"));
    script_run(&script);
    expect_got(model, 1, (uint64_t[]){1});
    model_destroy(model);
}

static void what_comes_while_an_empty_log_is_read_belongs_to_a_late_joiner(void **state)
{
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    script.trimmed[0] = 3;
    script.reads_at_once = true;
    struct model *model = joined("one", "a", START_OLDEST, 0);
    script_feed_step(&script); /* confirmed; the log is read */
    script_publish(&script, 0, true, "");
    script_feed_step(&script);
    script_run(&script);
    member_start(&model->member);
    script_run(&script);
    expect_got(model, 1, (uint64_t[]){4});
    model_destroy(model);
}

static void resumes_share_their_reads(void **state)
{
    enum { MEMBERS = 50 };
    struct model *models[MEMBERS];
    for (int i = 0; i < 3; i++)
        script_publish(&script, 0, true, "");
    for (int i = 0; i < MEMBERS; i++)
        models[i] = joined("one", "a", START_AT, (uint64_t)(i % 2));
    script_run(&script);
    for (int i = 0; i < MEMBERS; i++)
        member_start(&models[i]->member);
    script_run(&script);
    for (int i = 0; i < MEMBERS; i++) {
        assert_int_equal(models[i]->got_count, 3 - i % 2);
        model_destroy(models[i]);
    }
    assert_true(script.reads_answered <= 2);
}

/* What a client that was cut now would be sent again, by its token, must be exactly what it has not got. */
static void check_token(const struct model *model, const uint64_t start[ROOMS], const uint64_t joined_at[ROOMS])
{
    static bool seen[SCRIPT_ENTRIES_MAX + 1];
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < model->got_count; i++) {
        assert_false(seen[model->got[i]]); /* twice */
        seen[model->got[i]] = true;
    }
    for (size_t i = 0; i < script.log_count; i++) {
        const struct script_entry *entry = &script.log[i];
        uint64_t position = start[entry->room];
        if (entry->room >= ROOMS || start[entry->room] == UINT64_MAX || entry->seq <= start[entry->room])
            continue;
        if (model->has_token)
            position = token_position(&model->token, span_of(&"abc"[entry->room], 1), start[entry->room],
                                      joined_at[entry->room]);
        assert_int_equal(seen[entry->seq], entry->seq <= position);
    }
}

/* What the lease would say. */
static void lease_of(struct model *model, uint64_t start[ROOMS], uint64_t joined_at[ROOMS])
{
    list_each (node, &model->member.memberships) {
        struct membership *membership = container_of(node, struct membership, of_member);
        if (!membership->noted)
            continue;
        start[script_room(membership->room->node.key)] = membership->start;
        joined_at[script_room(membership->room->node.key)] = membership->joined_at;
    }
}

static void tokens_are_true_at_every_moment(void **state)
{
    for (unsigned seed = 1; seed <= 300; seed++) {
        tear_down(NULL);
        set_up(NULL);
        srand(seed);
        for (int i = rand() % 20; i > 0; i--)
            script_publish(&script, rand() % ROOMS, true, "");
        struct model *model = joined("one", "a", rand() % 2 ? START_NOW : START_OLDEST, 0);
        uint64_t start[ROOMS] = {UINT64_MAX, UINT64_MAX, UINT64_MAX}, joined_at[ROOMS] = {0};
        bool drops = seed % 2, noted = false, started = false, up = true;
        int next_room = 1;
        script.reads_at_once = seed / 2 % 2;
        for (int step = 0; step < 400; step++) {
            int what = rand() % 100;
            if (what < 30)
                script_publish(&script, rand() % ROOMS, rand() % 5 != 0, "");
            else if (what < 60)
                script_feed_step(&script);
            else if (what < 85)
                script_read_step(&script);
            else if (what < 88 && drops && script.feed_head < script.feed_tail &&
                     script.feed[script.feed_head].kind == SCRIPT_PUSH)
                /* One ordered link loses no single push while it stands; with one room a token would survive even that.
                 */
                script_feed_drop(&script);
            else if (what < 90)
                (up ? script_down : script_up)(&script), up = !up;
            else if (what < 94)
                model->full = !model->full;
            else if (what < 96 && started && !drops && next_room < ROOMS && model->settled) {
                member_join(&model->member, span_of(&"abc"[next_room++], 1), rand() % 2 ? START_NOW : START_OLDEST, 0);
                member_joined(&model->member);
            } else
                member_continue(&model->member);
            if (model->ready && !noted && rand() % 3 == 0) {
                member_note(&model->member);
                lease_of(model, start, joined_at);
                noted = true;
            } else if (noted && rand() % 3 == 0) {
                model->ready = noted = false;
                started = true;
                member_start(&model->member);
            }
            check_token(model, start, joined_at);
        }
        model->full = false;
        if (!up)
            script_up(&script);
        for (int round = 0; round < 5; round++) {
            script_run(&script);
            if (model->ready) {
                member_note(&model->member);
                member_start(&model->member);
            }
            member_continue(&model->member);
            for (int room = 0; room < ROOMS; room++) /* makes lost tails show */
                script_publish(&script, room, true, "");
        }
        script_run(&script);
        assert_false(model->lost);
        assert_int_equal(model->member.state, MEMBER_SETTLED);
        lease_of(model, start, joined_at);
        check_token(model, start, joined_at);
        model_destroy(model);
    }
}

static void tokens_are_read_strictly(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1.",
                                      "1e",
                                      "1e.",
                                      "1e.1.",
                                      "1e.1.2.x",
                                      "1e.5.3",
                                      "3e.1",
                                      "1e.5.3.6",
                                      "1e.A",
                                      "hello",
                                      "1e.1.1.zzzzzzzzzz",
                                      "1e!.1",
                                      "1abcdefghijklmnopq.1"};
    struct token token, again;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(token_decode(span_str(bad[i]), &token));
    struct buf text = {0};
    token = (struct token){.epoch = "Ab9",
                           .epoch_len = 3,
                           .version = '2',
                           .seq = UINT64_MAX,
                           .late_count = 2,
                           .late = {{7, 35}, {UINT32_MAX, 36}}};
    token_encode(&text, &token);
    assert_true(token_decode(buf_span(&text), &again));
    assert_memory_equal(&token, &again, sizeof token);
    buf_finish(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(live_entries_arrive_in_order),
        TEST(a_late_joiner_gets_the_log_then_what_was_held),
        TEST(the_newest_entries_can_be_asked_for),
        TEST(a_room_joined_late_does_not_move_the_position),
        TEST(a_lost_push_is_read_in_place),
        TEST(a_hole_in_one_room_does_not_hide_another),
        TEST(a_broken_link_is_repaired_in_order),
        TEST(what_the_broker_lost_ends_those_who_got_it),
        TEST(a_resume_tells_whether_everything_is_there),
        TEST(a_slow_member_is_read_to_at_its_own_pace),
        TEST(who_leaves_a_room_gets_nothing_more_of_it),
        TEST(the_last_room_awaited_may_be_left),
        TEST(what_comes_while_an_empty_log_is_read_belongs_to_a_late_joiner),
        TEST(resumes_share_their_reads),
        TEST(tokens_are_true_at_every_moment),
        cmocka_unit_test(tokens_are_read_strictly),
    };
    return cmocka_run_group_tests_name("hub/hub", tests, NULL, NULL);
}
