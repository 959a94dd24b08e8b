/* test_hub_tokens: the token that a member was told last is true at every moment: a cut there misses exactly what lies
 * behind it. Random histories, checked after every step. */
#include <stdlib.h>

#include "members.h"

enum { ROOMS = 3 };

/* A lease as the session layer writes it. */
struct lease {
    int count;
    struct {
        int room;
        struct stretch stretch;
    } rooms[64];
};

static void lease_add(struct lease *lease, struct span room, const struct stretch *stretch)
{
    assert_true(lease->count < 64);
    lease->rooms[lease->count].room = script_room(room);
    lease->rooms[lease->count++].stretch = *stretch;
}

static void lease_of(struct model *model, struct lease *lease)
{
    lease->count = 0;
    memberships_each(membership, &model->member)
    {
        if (membership_is_noted(membership) && membership->log->stretch.end == STRETCH_OPEN)
            lease_add(lease, membership->room->node.key, &membership->log->stretch);
    }
    pasts_each(past, &model->member) lease_add(lease, span_of(past->room, past->room_len), &past->stretch);
}

static bool lease_was_in(const struct lease *lease, int room, uint64_t seq)
{
    for (int i = 0; i < lease->count; i++)
        if (lease->rooms[i].room == room && lease->rooms[i].stretch.since < seq && seq <= lease->rooms[i].stretch.end)
            return true;
    return false;
}

/* Audiences here: none, "+1 b" or "-1 c". */
static bool lease_admits(const struct lease *lease, const struct script_entry *entry)
{
    if (entry->audience[0] == '\0')
        return true;
    bool in = lease_was_in(lease, entry->audience[3] - 'a', entry->seq);
    return entry->audience[0] == '+' ? in : !in;
}

/* Nothing twice, and each room's entries rising. */
static void check_order(const struct model *model, bool seen[SCRIPT_ENTRIES_MAX + 1])
{
    uint64_t last[SCRIPT_ROOMS_MAX] = {0};
    memset(seen, 0, sizeof(bool[SCRIPT_ENTRIES_MAX + 1]));
    for (size_t i = 0; i < model->got_count; i++) {
        uint64_t seq = model->got[i];
        int room = script.log[seq - 1].room;
        assert_false(seen[seq]);
        assert_true(seq > last[room]);
        last[room] = seq;
        seen[seq] = true;
    }
}

/* What a client that was cut now would be sent again, by this lease and its token, must be exactly what it has not got.
 */
static void check_token(const struct model *model, const struct lease *lease)
{
    static bool seen[SCRIPT_ENTRIES_MAX + 1];
    check_order(model, seen);
    for (int i = 0; i < lease->count; i++) {
        const struct stretch *stretch = &lease->rooms[i].stretch;
        int room = lease->rooms[i].room;
        uint64_t position = stretch->start;
        if (model->has_token)
            position = token_position(&model->token, span_of(&"abc"[room], 1), stretch->since, stretch->start,
                                      stretch->joined_at);
        for (size_t n = 0; n < script.log_count; n++) {
            const struct script_entry *entry = &script.log[n];
            if (entry->room != room || entry->seq <= stretch->start || entry->seq > stretch->end)
                continue;
            assert_int_equal(seen[entry->seq], entry->seq <= position && lease_admits(lease, entry));
        }
    }
}

/* One client through many cuts, as the session layer would lead it. */
struct story {
    struct model *model;
    struct lease lease, writing; /* what the broker has; what is on its way to it */
    bool is_writing, again;      /* it may have arrived already; a join or leave came meanwhile */
    bool up, drops, joins;
    bool joined[ROOMS];
};

static const char *const audiences[] = {"", "", "", "+1 b", "-1 c"};

static void write_lease(struct story *story)
{
    member_note(&story->model->member);
    lease_of(story->model, &story->writing);
    story->is_writing = true;
    story->again = false;
}

static void written(struct story *story)
{
    story->is_writing = false;
    story->lease = story->writing;
    if (story->again || story->model->ready) {
        story->model->ready = false;
        write_lease(story);
        return;
    }
    member_start(&story->model->member);
}

/* Of what is queued, only some goes out. */
static void lose_queue(struct model *model)
{
    size_t kept = model->flushed + (size_t)rand() % (model->got_count - model->flushed + 1);
    model->got_count = model->flushed = kept;
    model->has_token = kept > 0;
    if (kept > 0)
        model->token = model->told[kept - 1];
}

/* A slow client: all but the first of what is queued is dropped. */
static void drop_queue(struct model *model)
{
    if (model->got_count == model->flushed)
        return;
    model->got_count = ++model->flushed;
    model->token = model->told[model->flushed - 1];
    member_rewind(&model->member, &model->token);
}

static void cut_and_resume(struct story *story)
{
    struct model *model = story->model;
    const struct lease *lease = story->is_writing && rand() % 2 ? &story->writing : &story->lease;
    if (lease != &story->lease)
        story->lease = *lease;
    lease = &story->lease;
    if (lease->count == 0)
        return;
    lose_queue(model);
    bool has_token = model->has_token;
    struct token token = model->token;
    member_finish(&model->member);
    member_init(&model->member, hub, span_str(model->sid));
    model->member.sent_seq = has_token ? token.seq : 0;
    model->ready = model->settled = false;
    for (int i = 0; i < lease->count; i++) {
        const struct stretch *stretch = &lease->rooms[i].stretch;
        struct span room = span_of(&"abc"[lease->rooms[i].room], 1);
        uint64_t position = has_token ? token_position(&token, room, stretch->since, stretch->start, stretch->joined_at)
                                      : stretch->start;
        member_rejoin(&model->member, room, stretch, position);
    }
    member_joined(&model->member);
    story->is_writing = story->again = false;
}

static void join_or_leave(struct story *story)
{
    struct member *member = &story->model->member;
    int room = 1 + rand() % (ROOMS - 1);
    struct span name = span_of(&"abc"[room], 1);
    struct membership *membership = member_find(member, name);
    if (member->state == MEMBER_IDLE || member->state == MEMBER_WAITING || member->state == MEMBER_READY)
        return;
    if (membership == NULL) {
        /* Whoever joins with a replay again is sent it all again. */
        member_join(member, name, !story->joined[room] && rand() % 2 ? START_OLDEST : START_NOW, 0);
        story->joined[room] = true;
        member_joined(member);
    } else if (membership_is_active(membership)) {
        member_leave(member, name);
        if (story->is_writing)
            story->again = true;
        else
            write_lease(story);
    }
}

static void step(struct story *story)
{
    struct model *model = story->model;
    int what = rand() % 100;
    if (what < 28)
        script_publish(&script, rand() % ROOMS, rand() % 5 != 0, "");
    else if (what < 33)
        script_publish(&script, 0, true, audiences[rand() % 5]);
    else if (what < 60)
        script_feed_step(&script);
    else if (what < 82)
        script_read_step(&script);
    else if (what < 85 && story->drops && script.feed_head < script.feed_tail &&
             script.feed[script.feed_head].kind == SCRIPT_PUSH)
        /* One ordered link loses no single push while it stands; with one room a token would survive even that. */
        script_feed_drop(&script);
    else if (what < 87)
        (story->up ? script_down : script_up)(&script), story->up = !story->up;
    else if (what < 90)
        model->full = !model->full;
    else if (what < 94 && story->joins)
        join_or_leave(story);
    else if (what < 95)
        cut_and_resume(story);
    else if (what < 96)
        model->flushed = model->got_count;
    else if (what < 97)
        drop_queue(model);
    else
        member_continue(&model->member);
    if (model->ready && !story->is_writing && rand() % 3 == 0) {
        model->ready = false;
        if (model->member.state == MEMBER_READY && story->lease.count > 0)
            member_start(&model->member); /* a resume: the lease is as it was */
        else
            write_lease(story);
    } else if (story->is_writing && story->up && rand() % 3 == 0) {
        written(story);
    }
}

static void end_well(struct story *story)
{
    struct model *model = story->model;
    model->full = false;
    if (!story->up)
        script_up(&script);
    story->up = true;
    for (int round = 0; round < 8; round++) {
        script_run(&script);
        if (story->is_writing)
            written(story);
        if (model->ready) {
            model->ready = false;
            write_lease(story);
            written(story);
        }
        member_continue(&model->member);
        script_tops(&script); /* lost tails show */
    }
    script_run(&script);
    assert_false(model->lost);
    assert_int_equal(model->member.state, MEMBER_SETTLED);
}

/* A settled member's token means everything that it was sent: its session may be passed on with it. */
static void check_settled(const struct story *story)
{
    struct model *model = story->model;
    struct token told = model->token;
    bool has_token = model->has_token;
    if (!member_is_settled(&model->member) || story->is_writing || story->drops)
        return;
    model->has_token = member_token(&model->member, &model->token);
    assert_true(model->has_token);
    check_token(model, &story->lease);
    model->token = told;
    model->has_token = has_token;
}

static void tokens_are_true_at_every_moment(void **state)
{
    for (unsigned seed = 1; seed <= 600; seed++) {
        tear_down(NULL);
        set_up(NULL);
        srand(seed);
        script.reads_at_once = seed % 2;
        for (int i = rand() % 20; i > 0; i--)
            script_publish(&script, rand() % ROOMS, true, "");
        struct story story = {.up = true, .drops = seed % 3 == 0, .joins = seed % 3 != 0};
        story.model = joined("one", "a", rand() % 2 ? START_NOW : START_OLDEST, 0);
        for (int i = 0; i < 600; i++) {
            step(&story);
            check_token(story.model, &story.lease);
            check_settled(&story);
            if (story.is_writing)
                check_token(story.model, &story.writing);
        }
        end_well(&story);
        check_token(story.model, &story.lease);
        model_destroy(story.model);
    }
}

/* A client that keeps this very token of an earlier session would seem to have received nothing. */
static void a_kept_token_is_spelled_in_another_way(void **state)
{
    struct model *model = joined("one", "a", START_OLDEST, 0);
    struct token kept, token;
    script_publish(&script, 0, true, "");
    script_run(&script);
    member_note(&model->member);
    member_start(&model->member);
    script_run(&script);
    assert_true(member_is_settled(&model->member));
    hub_token(hub, hub_position(hub), &kept);
    member_stale_set(&model->member, &kept);
    assert_true(member_token(&model->member, &token));
    assert_int_equal(token.seq, kept.seq);
    assert_int_not_equal(token.version, kept.version);
    model_destroy(model);
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
    const struct CMUnitTest tests[] = {
        TEST(tokens_are_true_at_every_moment),
        TEST(a_kept_token_is_spelled_in_another_way),
        cmocka_unit_test(tokens_are_read_strictly),
    };
    return cmocka_run_group_tests_name("hub/hub_tokens", tests, NULL, NULL);
}
