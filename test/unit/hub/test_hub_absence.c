/* test_hub_absence: a room's keys vanish from the broker one by one. Nobody reads for ever, nobody who lacks something
 * is told that it has recovered, and what comes later is delivered. */
#include "members.h"

enum { ROOMS = 2, STEPS_MAX = 500 };

/* Everything that is under way arrives, or somebody reads for ever. */
static void run(void)
{
    for (int i = 0; i < STEPS_MAX; i++)
        if (!script_feed_step(&script) && !script_read_step(&script))
            return;
    fail_msg("a room is read for ever: %d reads wait, the first of room %d behind %llu",
             (int)(script.read_tail - script.read_head), script.reads[script.read_head].room,
             (unsigned long long)script.reads[script.read_head].from);
}

static void publish(int room, int count)
{
    for (int i = 0; i < count; i++)
        script_publish(&script, room, true, "");
}

static struct span name_of(int room)
{
    return span_of(&"ab"[room], 1);
}

static void lease_write(struct model *model)
{
    member_note(&model->member);
    for (int room = 0; room < ROOMS; room++) {
        const struct membership *membership = member_find(&model->member, name_of(room));
        if (membership == NULL)
            continue;
        model->lease[room] = membership->log->stretch;
        model->lease[room].known = membership_known(membership);
    }
}

static void lease_and_start(struct model *model)
{
    lease_write(model);
    member_start(&model->member);
}

static struct model *entered(const char *sid, enum start_mode mode)
{
    struct model *model = model_create(sid);
    for (int room = 0; room < ROOMS; room++)
        member_join(&model->member, name_of(room), mode, 10);
    member_joined(&model->member);
    run();
    assert_true(model->ready);
    lease_and_start(model);
    run();
    return model;
}

/* Its connection is cut, and it comes back with what it has. */
static void cut(struct model *model)
{
    member_finish(&model->member);
}

static void resume(struct model *model)
{
    member_init(&model->member, hub, span_str(model->sid));
    model->ready = model->whole = false;
    model->member.sent_seq = model->has_token ? model->token.seq : 0;
    for (int room = 0; room < ROOMS; room++) {
        const struct stretch *stretch = &model->lease[room];
        uint64_t position = model->has_token ? token_position(&model->token, name_of(room), stretch->since,
                                                              stretch->start, stretch->joined_at)
                                             : stretch->start;
        member_rejoin(&model->member, name_of(room), stretch, position);
    }
    member_joined(&model->member);
    run();
    assert_true(model->ready);
    if (model->whole) {
        member_start(&model->member);
        run();
    }
}

static bool has(const struct model *model, uint64_t seq)
{
    for (size_t i = 0; i < model->got_count; i++)
        if (model->got[i] == seq)
            return true;
    return false;
}

/* It has, once and in order, what was accepted above `from`. */
static void expect_all_above(const struct model *model, uint64_t from)
{
    for (size_t i = 1; i < model->got_count; i++)
        assert_true(model->got[i] > model->got[i - 1]);
    for (size_t i = 0; i < script.log_count; i++)
        if (script.log[i].seq > from && !has(model, script.log[i].seq))
            fail_msg("%s lacks %llu, and does not know", model->sid, (unsigned long long)script.log[i].seq);
}

/* The sample of it: the newcomer is shown nothing, then what is live, and the instance rests. */
static void a_newcomer_to_a_room_whose_keys_are_gone(void **state)
{
    for (int mode = START_NOW; mode <= START_NEWEST; mode++) {
        tear_down(NULL);
        set_up(NULL);
        struct model *old = entered("one", START_NOW);
        publish(0, 3);
        run();
        script_vanish(&script, 0, true, true);
        struct model *late = entered("two", (enum start_mode)mode);
        assert_false(late->lost);
        assert_int_equal(late->member.state, MEMBER_SETTLED);
        publish(0, 2);
        run();
        expect_all_above(old, 0);
        expect_all_above(late, 3);
        model_destroy(old);
        model_destroy(late);
    }
}

/* What it lacks is in no log any more. */
static void a_resume_into_a_room_whose_keys_are_gone(void **state)
{
    for (int keys = 1; keys <= 3; keys++) {
        for (int later = 0; later < 2; later++) {
            for (int others = 0; others < 2; others++) {
                tear_down(NULL);
                set_up(NULL);
                struct model *other = others ? entered("one", START_NOW) : NULL, *back = entered("two", START_NOW);
                publish(0, 2);
                run();
                assert_true(back->member.lease_stale);
                lease_write(back);
                assert_false(back->member.lease_stale);
                cut(back);
                publish(0, 2);
                run();
                script_vanish(&script, 0, keys & 1, keys & 2);
                publish(0, later);
                run();
                resume(back);
                assert_int_equal(back->whole, !(keys & 1));
                if (back->whole)
                    expect_all_above(back, 0);
                model_destroy(other);
                model_destroy(back);
            }
        }
    }
}

/* On an instance that has never seen the room: what its lease knows is all there is. */
static void a_resume_elsewhere_into_a_room_whose_keys_are_gone(void **state)
{
    struct model *back = entered("two", START_NOW);
    publish(0, 2);
    run();
    lease_write(back);
    cut(back);
    publish(0, 2);
    run();
    script_vanish(&script, 0, true, true);
    hub_destroy(hub);
    hub = hub_create(loop, &script.broker);
    hub_members_set(hub, &model_events);
    script_up(&script);
    resume(back);
    assert_false(back->whole);
    model_destroy(back);
}

/* A room in which nothing was ever logged has neither log nor meta, and nothing is missing. */
static void a_resume_into_a_room_that_never_had_anything(void **state)
{
    struct model *back = entered("one", START_NOW);
    publish(0, 2);
    run();
    lease_write(back);
    cut(back);
    publish(0, 2);
    resume(back);
    assert_true(back->whole);
    expect_all_above(back, 0);
    model_destroy(back);
}

/* Entries published while the link was down are gone from the log before it is up again. */
static void a_link_that_comes_back_to_a_room_whose_keys_are_gone(void **state)
{
    for (int keys = 1; keys <= 3; keys++) {
        tear_down(NULL);
        set_up(NULL);
        struct model *model = entered("one", START_NOW);
        publish(0, 2);
        run();
        script_down(&script);
        publish(0, 2);
        script_vanish(&script, 0, keys & 1, keys & 2);
        script_up(&script);
        run();
        assert_int_equal(model->lost, keys & 1);
        if (!model->lost)
            expect_all_above(model, 0);
        model_destroy(model);
    }
}

/* Nothing came while the link was down: who had everything goes on. */
static void a_link_that_comes_back_and_nothing_was_missed(void **state)
{
    struct model *model = entered("one", START_NOW);
    publish(0, 2);
    run();
    script_down(&script);
    script_vanish(&script, 0, true, true);
    script_up(&script);
    run();
    publish(0, 2);
    run();
    assert_false(model->lost);
    expect_all_above(model, 0);
    model_destroy(model);
}

/* Likewise with another epoch: the broker has ended and come back, and lost nothing but a room's keys. */
static void a_broker_that_comes_back_without_a_room(void **state)
{
    struct model *model = entered("one", START_NOW);
    publish(0, 2);
    publish(1, 1);
    run();
    script_down(&script);
    publish(0, 1);
    script_vanish(&script, 0, true, true);
    script.ended = script.seq;
    script_up(&script);
    run();
    assert_true(model->lost);
    model_destroy(model);
}

enum { MOMENTS = 10 };

struct story {
    struct model *live, *back, *late;
    uint64_t from; /* of the late one */
};

static void story_step(struct story *story, int moment)
{
    switch (moment) {
    case 0:
        story->live = entered("live", START_NOW);
        story->back = entered("back", START_NOW);
        break;
    case 1:
        publish(0, 1);
        publish(1, 1);
        break;
    case 2:
        lease_write(story->back);
        cut(story->back);
        break;
    case 3:
        publish(0, 2);
        publish(1, 1);
        break;
    case 4:
        script_down(&script);
        break;
    case 5:
        publish(0, 1);
        break;
    case 6:
        script_up(&script);
        break;
    case 7:
        story->from = script.seq;
        story->late = entered("late", START_OLDEST);
        break;
    case 8:
        resume(story->back);
        break;
    default:
        publish(0, 1);
        publish(1, 2);
        break;
    }
}

/* All subsets of the keys of two rooms, at each moment, and again at a later one. */
static void all_subsets_of_keys_at_all_moments(void **state)
{
    for (int first = 0; first < MOMENTS; first++) {
        for (int second = first; second < MOMENTS; second++) {
            for (int keys = 1; keys < 16; keys++) {
                struct story story = {0};
                tear_down(NULL);
                set_up(NULL);
                for (int moment = 0; moment < MOMENTS; moment++) {
                    story_step(&story, moment);
                    run();
                    for (int room = 0; room < ROOMS && (moment == first || moment == second); room++)
                        script_vanish(&script, room, keys >> 2 * room & 1, keys >> 2 * room & 2);
                }
                if (!story.live->lost)
                    expect_all_above(story.live, 0);
                if (story.back->whole && !story.back->lost)
                    expect_all_above(story.back, 0);
                if (!story.late->lost)
                    expect_all_above(story.late, story.from);
                /* No log was gone when it mattered: nobody is to be told that it is. */
                if (!(keys & 5) || first > 8)
                    assert_true(story.back->whole && !story.back->lost && !story.live->lost && !story.late->lost);
                model_destroy(story.live);
                model_destroy(story.back);
                model_destroy(story.late);
            }
        }
    }
}

/* The broker says so, because it still lists the room: its log begins anew behind what is lost. A member that was sent
 * everything goes on. The lease of another knows of no entry, and yet that one is told that it lacks some. */
static void a_room_that_begins_anew(void **state)
{
    struct model *live = entered("one", START_NOW), *back = entered("two", START_NOW);
    publish(0, 1);
    run();
    cut(back); /* its lease is from before the first entry */
    publish(0, 1);
    publish(1, 1);
    run();
    script_vanish(&script, 0, true, true);
    script.room_last[0] = script.seq;
    script.broker.events->forgotten(script.broker.hub, name_of(0), script.seq);
    publish(0, 1);
    run();
    assert_false(live->lost);
    assert_int_equal(live->member.state, MEMBER_SETTLED);
    expect_all_above(live, 0);
    assert_int_equal(hub_counters(hub)->forgotten, 1);
    assert_int_equal(hub_counters(hub)->holes, 0);
    resume(back);
    assert_false(back->whole);
    model_destroy(live);
    model_destroy(back);
}

/* The instance that wrote the lease was ahead of this one, whose feed still brings the entry that the lease knows. */
static void a_lease_may_know_more_than_this_instance(void **state)
{
    struct model *other = entered("one", START_NOW), *back = entered("two", START_NOW);
    publish(0, 1);
    run();
    lease_write(back);
    cut(back);
    publish(0, 1);
    back->lease[0].known = script.seq;
    resume(back);
    assert_true(back->whole);
    expect_all_above(back, 0);
    /* Unless it is gone. */
    lease_write(back);
    cut(back);
    publish(0, 1);
    back->lease[0].known = script.seq;
    script_vanish(&script, 0, true, true);
    resume(back);
    assert_false(back->whole);
    model_destroy(other);
    model_destroy(back);
}

/* This instance missed the push of the entry that the lease knows, and has been pushed newer ones of another room since.
 * The digest comes after the client. Only the log says whether the entry is there or gone. */
static void a_lease_may_know_an_entry_whose_push_was_lost(void **state)
{
    for (int gone = 0; gone < 2; gone++) {
        tear_down(NULL);
        set_up(NULL);
        struct model *other = entered("one", START_NOW), *back = entered("two", START_NOW);
        publish(0, 1);
        run();
        lease_write(back);
        cut(back);
        publish(0, 1);
        uint64_t missed = back->lease[0].known = script.seq;
        script_feed_drop(&script);
        publish(1, 1);
        run();
        if (gone)
            script_vanish(&script, 0, true, true);
        resume(back);
        assert_int_equal(back->whole, !gone);
        script_tops(&script);
        run();
        assert_int_equal(has(back, missed), !gone);
        model_destroy(other);
        model_destroy(back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_newcomer_to_a_room_whose_keys_are_gone),
        TEST(a_resume_into_a_room_whose_keys_are_gone),
        TEST(a_resume_elsewhere_into_a_room_whose_keys_are_gone),
        TEST(a_resume_into_a_room_that_never_had_anything),
        TEST(a_link_that_comes_back_to_a_room_whose_keys_are_gone),
        TEST(a_link_that_comes_back_and_nothing_was_missed),
        TEST(a_broker_that_comes_back_without_a_room),
        TEST(all_subsets_of_keys_at_all_moments),
        TEST(a_room_that_begins_anew),
        TEST(a_lease_may_know_more_than_this_instance),
        TEST(a_lease_may_know_an_entry_whose_push_was_lost),
    };
    return cmocka_run_group_tests_name("hub/hub_absence", tests, NULL, NULL);
}
