/* test_hub_ahead: a client comes back to an instance whose feed lags behind the one that the client was on. What the
 * client has been sent there is still to be pushed here, and must not be sent again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hub/hub_parts.h"
#include "script_broker.h"

enum { GOT_MAX = 16 };

struct client {
    struct member member;
    bool ready, started;
    uint64_t got[GOT_MAX];
    size_t got_count;
};

static struct loop *loop;
static struct script_broker script;
static struct hub *hub;
static struct client stays, back;

static void on_ready(struct member *member, bool whole)
{
    assert_true(whole);
    container_of(member, struct client, member)->ready = true;
}

static void on_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared)
{
    struct client *client = container_of(member, struct client, member);
    assert_true(client->got_count < GOT_MAX);
    client->got[client->got_count++] = entry->seq;
}

static void on_settled(struct member *member)
{
}

static void on_lost(struct member *member)
{
    fail();
}

static bool on_has_room(struct member *member)
{
    return true;
}

static const struct member_events events = {on_ready, on_deliver, on_settled, on_lost, on_has_room, NULL};

/* Everything that is under way arrives, the feed first; the client is started as soon as it is ready. */
static void run(struct client *client)
{
    do {
        if (client->ready && !client->started) {
            client->started = true;
            member_note(&client->member);
            member_start(&client->member);
        }
    } while (script_feed_step(&script) || script_read_step(&script));
}

static void enter(struct client *client, const char *sid)
{
    member_init(&client->member, hub, span_str(sid));
    member_join(&client->member, SPAN_LIT("a"), START_NOW, 0);
    member_joined(&client->member);
    run(client);
}

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    script_init(&script);
    hub = hub_create(loop, &script.broker);
    hub_members_set(hub, &events);
    script_up(&script);
    stays = back = (struct client){0};
    return 0;
}

static int tear_down(void **state)
{
    member_finish(&back.member);
    member_finish(&stays.member);
    hub_destroy(hub);
    while (script_read_step(&script))
        continue;
    loop_destroy(loop);
    return 0;
}

static void what_was_sent_elsewhere_is_not_sent_again(void **state)
{
    enter(&stays, "stays");
    enter(&back, "back");
    script_publish(&script, 0, true, "");
    run(&back);
    assert_int_equal(back.got_count, 1);
    struct stretch stretch = member_find(&back.member, SPAN_LIT("a"))->log->stretch;
    member_finish(&back.member);

    /* Another instance has pushed both to the client; here they are still under way. */
    script_publish(&script, 0, true, "");
    uint64_t sent = script_publish(&script, 0, true, "");
    assert_true(hub_position(hub) < sent);
    back = (struct client){0};
    member_init(&back.member, hub, SPAN_LIT("back"));
    member_resume(&back.member, sent);
    member_rejoin(&back.member, SPAN_LIT("a"), &stretch, sent);
    member_joined(&back.member);
    run(&back);
    assert_true(back.started);
    assert_int_equal(stays.got_count, 3);
    assert_int_equal(back.got_count, 0);

    uint64_t next = script_publish(&script, 0, true, "");
    run(&back);
    assert_int_equal(back.got_count, 1);
    assert_int_equal(back.got[0], next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sent_elsewhere_is_not_sent_again, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("hub/hub_ahead", tests, NULL, NULL);
}
