/* test_mail: messages of instances to one and to all, and the number of instances that they were for. */
#include <stdio.h>

#include "instances.h"

enum { BOX_MAX = 8 };

struct box {
    char from[BOX_MAX][24], text[BOX_MAX][32];
    size_t count;
    bool full_is_fine;
};
static struct box boxes[2];

static void received(void *arg, struct span from, struct span message)
{
    struct box *box = arg;
    if (box->full_is_fine && box->count == BOX_MAX)
        return;
    assert_true(box->count < BOX_MAX);
    snprintf(box->from[box->count], sizeof box->from[0], SPAN_FMT, SPAN_ARG(from));
    snprintf(box->text[box->count++], sizeof box->text[0], SPAN_FMT, SPAN_ARG(message));
}

static const struct mail_events mail_events = {received};

static struct {
    int answers;
    bool lost;
    struct mail_receivers receivers;
} sent;

static void on_sent(void *arg, const struct mail_receivers *receivers)
{
    sent.answers++;
    sent.lost = receivers == NULL;
    if (receivers != NULL)
        sent.receivers = *receivers;
}

static struct instance *open_box(int number, const char *name)
{
    struct instance *instance = instance_up(name);
    boxes[number] = (struct box){.count = 0};
    mail_attach(instance->broker, &mail_events, &boxes[number]);
    return instance;
}

static void send_to(struct instance *by, const char *to, const char *text)
{
    int before = sent.answers;
    mail_send(by->broker, span_str(to), span_str(text), on_sent, NULL);
    AWAIT(sent.answers > before);
}

static void all_that_live_get_it(void **state)
{
    struct instance *a = open_box(0, "a");
    send_to(a, NULL, "hello\nall");
    AWAIT(boxes[0].count == 1);
    assert_string_equal(boxes[0].text[0], "hello\nall");
    assert_int_equal(sent.receivers.living, 1);
    assert_int_equal(sent.receivers.reached, 1);
    if (!kind_is_shared())
        return;
    struct instance *b = open_box(1, "b");
    send_to(a, NULL, "both");
    AWAIT(boxes[0].count == 2 && boxes[1].count == 1);
    assert_int_equal(sent.receivers.living, 2);
    assert_int_equal(sent.receivers.reached, 2);
    assert_string_equal(boxes[1].from[0], boxes[0].from[0]);
    /* And back, by the name that came with it. */
    send_to(b, boxes[1].from[0], "");
    AWAIT(boxes[0].count == 3);
    assert_string_equal(boxes[0].text[2], "");
    assert_int_equal(boxes[1].count, 1);
}

/* It counts as living until its heartbeat is overdue; that it was not reached is known as soon as its link has ended.
 */
static void one_that_has_died_is_not_reached(void **state)
{
    if (!kind_is_shared())
        return;
    struct instance *a = open_box(0, "a"), *b = open_box(1, "b");
    boxes[0].full_is_fine = true;
    instance_destroy(b);
    bool of_links = kind != KIND_FIRESTORE && pgbouncer.pid == 0; /* elsewhere all that live count as reached */
    if (kind == KIND_POSTGRES && of_links)                        /* which has to end the process of that link */
        AWAIT((send_to(a, NULL, "and who"), sent.receivers.reached == 1));
    send_to(a, NULL, "who is there");
    if (of_links)
        assert_int_equal(sent.receivers.reached, 1);
    assert_int_equal(sent.receivers.living, 2);
    AWAIT_WITHIN(8000, (send_to(a, NULL, "and now"), sent.receivers.living == 1));
}

static struct {
    int answers;
    char text[64]; /* `<pid>@<which box> `, or `? `: the broker does not say */
} owners;

static void on_owners(void *arg, const struct mail_owner *list, size_t count)
{
    struct buf text = {0};
    for (size_t i = 0; list != NULL && i < count; i++)
        buf_printf(&text, SPAN_FMT "@%s ", SPAN_ARG(list[i].pid),
                   span_equal(list[i].instance, span_str(boxes[0].from[0])) ? "a" : "b");
    snprintf(owners.text, sizeof owners.text, SPAN_FMT, SPAN_ARG(list != NULL ? buf_span(&text) : SPAN_LIT("? ")));
    owners.answers++;
    buf_finish(&text);
}

static const char *owners_now(struct instance *by, const char *heard)
{
    struct span one = span_str(heard != NULL ? heard : "");
    int before = owners.answers;
    mail_owners(by->broker, &one, heard != NULL, on_owners, NULL);
    AWAIT(owners.answers > before);
    return owners.text;
}

static void write_lease(struct instance *of, const char *pid)
{
    struct broker_lease lease = {.pid = span_str(pid),
                                 .generation = 1,
                                 .sid = span_str(pid),
                                 .own = SPAN_LIT(""),
                                 .rooms = SPAN_LIT("r"),
                                 .data = SPAN_LIT(""),
                                 .window_ms = 60000};
    struct call *call = lease_write(of, &lease);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
}

/* Who stands still answers no mail: whether it has anything to say, its leases tell. */
static void who_lives_and_owns_leases(void **state)
{
    struct instance *a = open_box(0, "a");
    if (!kind_is_shared()) {
        assert_string_equal(owners_now(a, NULL), "? ");
        return;
    }
    struct instance *b = open_box(1, "b");
    send_to(a, NULL, "my name");
    AWAIT(boxes[0].count == 1 && boxes[1].count == 1);
    assert_string_equal(owners_now(a, NULL), "");
    write_lease(b, "one");
    AWAIT(strcmp(owners_now(a, NULL), "one@b ") == 0); /* Firestore's replicas come to know it a little later */
    assert_string_equal(owners_now(a, boxes[0].from[0]), "one@b ");
    write_lease(a, "two");
    AWAIT(strcmp(owners_now(b, NULL), "") != 0);
    assert_string_equal(owners_now(b, boxes[0].from[0]), "one@b ");
    instance_destroy(b);
    AWAIT_WITHIN(8000, strcmp(owners_now(a, NULL), "two@a ") == 0);
}

static void nothing_is_sent_while_the_link_is_down(void **state)
{
    if (!kind_is_shared())
        return;
    struct instance *a = instance_open("a");
    send_to(a, NULL, "too early");
    assert_true(sent.lost);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(all_that_live_get_it),
        BROKER_TEST(one_that_has_died_is_not_reached),
        BROKER_TEST(who_lives_and_owns_leases),
        BROKER_TEST(nothing_is_sent_while_the_link_is_down),
    };
    return instances_main(argc, argv, "broker/mail", tests, sizeof tests / sizeof tests[0], NULL);
}
