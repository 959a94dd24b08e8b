/* test_firestore_faults: what Firestore may do, and its emulator never does: bursts of refusals, answers that get lost,
 * listeners that end, begin anew, or are told in an order of their own. Each accepted event comes once and in order all
 * the same, and the hub hears only of what it must. */
#include <stdio.h>
#include <stdlib.h>

#include "firestore_model.h"
#include "instances.h"

#include "broker/grpc_link.h"

/* What is told of the room "r" after all that went wrong: these bodies, in this order. */
static void assert_pushed(struct instance *to, const char *bodies)
{
    size_t count = strlen(bodies);
    AWAIT(told_count(to, TOLD_PUSHED, "r") >= count);
    instances_run(50);
    assert_int_equal(told_count(to, TOLD_PUSHED, "r"), count);
    for (size_t i = 0; i < count; i++) {
        const char body[] = {bodies[i], '\0'};
        assert_span(told_at(to, TOLD_PUSHED, "r", i)->body, body);
    }
}

static void assert_accepted(struct call *call)
{
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
}

/* The next `count` calls of this method get this status. */
static void answer_with(const char *method, enum grpc_status status, const char *text, unsigned count)
{
    firestore_model_fail(&(struct model_fault){
        .method = method, .deed = MODEL_STATUS, .status = (int)status, .text = text, .count = count});
}

/* The next Commits fail so; three publishes all the same are accepted, once, and in their order. */
static void publish_through(struct model_fault fault)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    fault.method = "Commit";
    struct call *one = publish(a, "r", "1");
    instances_turn();
    firestore_model_fail(&fault);
    struct call *two = publish(a, "r", "2"), *three = publish(a, "r", "3");
    assert_accepted(one);
    assert_accepted(two);
    assert_accepted(three);
    assert_pushed(a, "123");
    assert_pushed(b, "123");
    assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
    assert_int_equal(read_all(b, "r")->page.count, 3);
}

static void a_burst_of_aborted_commits(void **state)
{
    publish_through((struct model_fault){
        .deed = MODEL_STATUS, .status = GRPC_ABORTED, .text = "Too much contention on these documents.", .count = 4});
}

static void commits_that_are_unavailable(void **state)
{
    publish_through(
        (struct model_fault){.deed = MODEL_STATUS, .status = GRPC_UNAVAILABLE, .text = "Try again.", .count = 3});
}

static void a_commit_that_is_done_and_said_to_have_failed(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_STATUS,
                                         .status = GRPC_UNAVAILABLE,
                                         .text = "The connection broke.",
                                         .count = 1,
                                         .carried_out = true});
}

static void a_commit_whose_stream_is_reset(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_RESET, .count = 2});
}

static void a_commit_that_is_done_and_whose_stream_is_reset(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_RESET, .count = 1, .carried_out = true});
}

static void a_commit_on_a_connection_that_breaks(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_CUT, .count = 2});
}

static void a_commit_that_is_done_on_a_connection_that_breaks(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_CUT, .count = 1, .carried_out = true});
}

static void a_commit_answered_by_goaway(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_LEAVE, .count = 1, .carried_out = true});
}

/* The link is made anew when an answer is late; the call is known by its name. */
static void a_commit_that_gets_no_answer(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_SILENT, .count = 1, .carried_out = true});
}

/* The others go on calling, so an instance that has written nothing for three seconds counts as dead. */
static void a_commit_that_is_neither_done_nor_answered(void **state)
{
    publish_through((struct model_fault){.deed = MODEL_SILENT, .count = 1});
}

/* A middlebox has forgotten the connection of an instance: nothing passes, and nobody says so. */
static void a_connection_that_carries_nothing(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    firestore_model_freeze();
    struct instance *b = instance_up("B");
    subscribe_now(b, "r");
    struct call *call = publish(a, "r", "1");
    publish_now(b, "r", "2");
    assert_accepted(call);
    assert_pushed(b, "21");
    assert_pushed(a, "21");
    assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
}

/* Written again, it is found to be there; and it is shown once. */
static void a_commit_whose_answer_is_lost_before_it_is_shown(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    firestore_model_mute(true);
    firestore_model_fail(
        &(struct model_fault){.method = "Commit", .deed = MODEL_SILENT, .count = 1, .carried_out = true});
    struct call *call = publish(a, "r", "1");
    instances_run(1500);
    assert_int_equal(call->answers, 0);
    firestore_model_mute(false);
    assert_accepted(call);
    publish_now(a, "r", "2");
    assert_pushed(a, "12");
    assert_int_equal(firestore_model_calls("Listen"), 1); /* the connection is good, and was kept */
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

/* Nobody says that a request is lost: the start goes on all the same. */
static void requests_that_get_lost_at_the_start(void **state)
{
    static const char *const methods[] = {"Listen", "BatchGetDocuments", "Commit"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        firestore_model_fail(&(struct model_fault){.method = methods[i], .deed = MODEL_SILENT, .count = 1});
        struct instance *a = instance_open("A");
        AWAIT_WITHIN(8000, a->up);
        instance_destroy(a);
    }
}

static void a_quota_that_is_used_up_is_told_and_waited_for(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    answer_with("Commit", GRPC_RESOURCE_EXHAUSTED, "Quota exceeded.", 4);
    struct call *call = publish(a, "r", "1");
    AWAIT(broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "Quota exceeded."));
    assert_accepted(call);
    AWAIT(broker_trouble(a->broker) == NULL);
    assert_pushed(a, "1");
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

/* Each of them ends the listener or its connection; the next one goes on where the instance stood. */
static void listeners_that_end(void **state)
{
    const enum model_word ends[] = {MODEL_TOLD_END, MODEL_TOLD_RESET_STREAM, MODEL_TOLD_REMOVED, MODEL_TOLD_NONSENSE,
                                    MODEL_TOLD_MISCOUNT};
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char bodies[8] = "";
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        unsigned before = firestore_model_calls("Listen");
        const char body[] = {(char)('1' + i), '\0'};
        strcat(bodies, body);
        firestore_model_tell(ends[i]);
        struct call *call = publish(a, "r", body);
        AWAIT_WITHIN(4000, firestore_model_calls("Listen") >= before + 2);
        assert_accepted(call);
        assert_pushed(a, bodies);
        assert_pushed(b, bodies);
    }
    assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
}

static void a_server_that_says_goaway_is_left(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish_now(a, "r", "1");
    firestore_model_leave();
    struct call *call = publish(a, "r", "2");
    AWAIT(firestore_model_calls("Listen") == 2);
    assert_accepted(call);
    assert_pushed(a, "12");
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

/* Behind a RESET everything is told anew, and what was deleted meanwhile is not. */
static void a_target_that_is_reset(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish_now(a, "r", "1");
    firestore_model_tell(MODEL_TOLD_RESET);
    struct call *call = publish(a, "r", "2");
    firestore_model_mute(true);
    instances_run(200);
    assert_int_equal(call->answers, 0);
    firestore_model_tell(MODEL_TOLD_DOCUMENTS);
    firestore_model_tell(MODEL_TOLD_CURRENT);
    firestore_model_mute(false);
    assert_accepted(call);
    publish_now(a, "r", "3");
    assert_pushed(a, "123");
    firestore_model_tell(MODEL_TOLD_COUNT);
    publish_now(a, "r", "4");
    assert_pushed(a, "1234");
    assert_int_equal(firestore_model_calls("Listen"), 1); /* it took nothing for lost */
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

/* A snapshot is whole only behind CURRENT: one that comes before has not all documents. */
static void current_comes_late(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish_now(a, "r", "1");
    publish_now(a, "r", "2");
    firestore_model_hold_current(true);
    struct instance *b = instance_open("B");
    AWAIT(firestore_model_calls("Listen") == 2);
    firestore_model_tell(MODEL_TOLD_TARGET_SNAPSHOT);
    instances_run(300);
    assert_false(b->up);
    firestore_model_tell(MODEL_TOLD_CURRENT);
    AWAIT(b->up);
    assert_int_equal(read_all(b, "r")->page.count, 2);
}

static void a_snapshot_before_current_is_not_whole(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish_now(a, "r", "1");
    firestore_model_hold_current(true);
    firestore_model_tell(MODEL_TOLD_RESET);
    struct call *call = publish(a, "r", "2");
    instances_run(100);
    firestore_model_tell(MODEL_TOLD_SNAPSHOT); /* not all documents have been told again */
    instances_run(100);
    firestore_model_tell(MODEL_TOLD_DOCUMENTS);
    firestore_model_tell(MODEL_TOLD_CURRENT);
    assert_accepted(call);
    publish_now(a, "r", "3");
    assert_pushed(a, "123");
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
    assert_false(instances_logged("behind a later one"));
}

/* Only a snapshot of the whole stream, and no earlier one, carries out what was heard. */
static void times_that_say_nothing(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish_now(a, "r", "1");
    firestore_model_tell(MODEL_TOLD_EARLIER);
    firestore_model_tell(MODEL_TOLD_TARGET_SNAPSHOT);
    publish_now(a, "r", "2");
    firestore_model_tell(MODEL_TOLD_EARLIER);
    firestore_model_tell(MODEL_TOLD_DOCUMENTS); /* which it knows */
    firestore_model_tell(MODEL_TOLD_SNAPSHOT);
    publish_now(a, "r", "3");
    assert_pushed(a, "123");
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

/* Accepted is what has come back, not what the server says it has written. */
static void a_listener_that_is_told_nothing(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    firestore_model_mute(true);
    struct call *call = publish(a, "r", "1");
    instances_run(300);
    assert_int_equal(call->answers, 0);
    firestore_model_mute(false);
    assert_accepted(call);
    assert_pushed(a, "1");
}

static void what_cannot_be_mended_ends_the_start(void **state)
{
    const struct {
        const char *method;
        enum grpc_status status;
        const char *cure;
    } all[] = {{"Listen", GRPC_PERMISSION_DENIED, "roles/datastore.user"},
               {"BatchGetDocuments", GRPC_PERMISSION_DENIED, "roles/datastore.user"},
               {"Listen", GRPC_NOT_FOUND, "gcloud firestore databases create"},
               {"BatchGetDocuments", GRPC_FAILED_PRECONDITION, "native mode"},
               {"Listen", GRPC_UNIMPLEMENTED, "FIRESTORE_EMULATOR_HOST"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        answer_with(all[i].method, all[i].status, "No.", 1000);
        struct instance *a = instance_open("A");
        AWAIT(told_count(a, TOLD_UNUSABLE, "") == 1);
        assert_non_null(memmem(told_at(a, TOLD_UNUSABLE, "", 0)->name.data, told_at(a, TOLD_UNUSABLE, "", 0)->name.len,
                               all[i].cure, strlen(all[i].cure)));
        instance_destroy(a);
    }
}

/* An instance that has worked goes on trying, and says why. */
static void a_role_that_is_taken_away_and_given_back(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    answer_with("Commit", GRPC_PERMISSION_DENIED, "Missing permissions.", 1000);
    struct call *call = publish(a, "r", "1");
    AWAIT(broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "Missing permissions."));
    assert_non_null(strstr(broker_trouble(a->broker), "roles/datastore.user"));
    firestore_model_fail(&(struct model_fault){0});
    assert_accepted(call);
    assert_int_equal(told_count(a, TOLD_UNUSABLE, ""), 0);
    assert_pushed(a, "1");
}

static void a_quota_is_used_up_while_an_instance_starts(void **state)
{
    answer_with("Listen", GRPC_RESOURCE_EXHAUSTED, "Quota exceeded.", 2);
    struct instance *a = instance_open("A");
    AWAIT(broker_trouble(a->broker) != NULL);
    AWAIT(a->up);
    AWAIT(broker_trouble(a->broker) == NULL);
    answer_with("BatchGetDocuments", GRPC_RESOURCE_EXHAUSTED, "Quota exceeded.", 2);
    struct instance *b = instance_up("B");
    publish_now(b, "r", "1");
    assert_int_equal(told_count(b, TOLD_UNUSABLE, ""), 0);
}

/* The link is away for longer than the hub's patience. */
static void an_outage_is_told_and_ends(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    publish_now(a, "r", "1");
    firestore_model_fail(&(struct model_fault){.method = "Listen", .deed = MODEL_CUT, .count = 1000});
    firestore_model_cut();
    struct call *call = publish(a, "r", "2");
    AWAIT_WITHIN(8000, told_count(a, TOLD_DOWN, "") == 1);
    firestore_model_fail(&(struct model_fault){0});
    AWAIT_WITHIN(15000, a->up);
    assert_accepted(call);
    assert_int_equal(read_all(a, "r")->page.count, 2);
}

/* Who deletes the calls takes what was not saved; who deletes all begins another epoch. */
static void documents_that_somebody_deletes(void **state)
{
    struct instance *a = instance_up("A");
    char epoch[sizeof a->epoch];
    subscribe_now(a, "r");
    publish_now(a, "r", "1");
    snprintf(epoch, sizeof epoch, "%s", a->epoch);
    firestore_model_delete("/broker");
    firestore_model_cut();
    AWAIT_WITHIN(8000, told_count(a, TOLD_UP, "") == 2 || strcmp(a->epoch, epoch) != 0);
    assert_string_not_equal(a->epoch, epoch);
    AWAIT(a->up);
    publish_now(a, "r", "2");
    assert_int_equal(read_all(a, "r")->page.count, 1);
}

/* The state is saved once the feed has grown; who comes later begins with it. */
static void the_state_is_saved_whatever_fails(void **state)
{
    struct instance *a = instance_up("A");
    int count = 0;
    for (; count < 1300 && firestore_model_documents("/saved/") == 0; count++) {
        if (count == 250) /* the first try to save comes soon, and fails */
            answer_with("BatchGetDocuments", GRPC_ABORTED, "Again.", 1);
        publish_now(a, "r", "1");
    }
    assert_int_equal(firestore_model_documents("/saved/"), 1);
    publish_now(a, "r", "2");
    struct instance *b = instance_up("B");
    assert_int_equal(read_all(b, "r")->page.count, (size_t)count + 1);
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_burst_of_aborted_commits),
        BROKER_TEST(commits_that_are_unavailable),
        BROKER_TEST(a_commit_that_is_done_and_said_to_have_failed),
        BROKER_TEST(a_commit_whose_stream_is_reset),
        BROKER_TEST(a_commit_that_is_done_and_whose_stream_is_reset),
        BROKER_TEST(a_commit_on_a_connection_that_breaks),
        BROKER_TEST(a_commit_that_is_done_on_a_connection_that_breaks),
        BROKER_TEST(a_commit_answered_by_goaway),
        BROKER_TEST(a_commit_that_gets_no_answer),
        BROKER_TEST(a_commit_that_is_neither_done_nor_answered),
        BROKER_TEST(a_connection_that_carries_nothing),
        BROKER_TEST(a_commit_whose_answer_is_lost_before_it_is_shown),
        BROKER_TEST(requests_that_get_lost_at_the_start),
        BROKER_TEST(a_quota_that_is_used_up_is_told_and_waited_for),
        BROKER_TEST(listeners_that_end),
        BROKER_TEST(a_server_that_says_goaway_is_left),
        BROKER_TEST(a_target_that_is_reset),
        BROKER_TEST(current_comes_late),
        BROKER_TEST(a_snapshot_before_current_is_not_whole),
        BROKER_TEST(times_that_say_nothing),
        BROKER_TEST(a_listener_that_is_told_nothing),
        BROKER_TEST(what_cannot_be_mended_ends_the_start),
        BROKER_TEST(a_role_that_is_taken_away_and_given_back),
        BROKER_TEST(a_quota_is_used_up_while_an_instance_starts),
        BROKER_TEST(an_outage_is_told_and_ends),
        BROKER_TEST(documents_that_somebody_deletes),
        BROKER_TEST(the_state_is_saved_whatever_fails),
    };
    return instances_main(argc, argv, "broker/firestore_faults", tests, sizeof tests / sizeof tests[0], NULL);
}
