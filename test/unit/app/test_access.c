/* test_access: conditions, patterns with claims, and configurations that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "app/access.h"
#include "base/mem.h"
#include "broker/broker.h"

static struct access access_rules;

static bool reads(const char *text, struct err *err)
{
    access_finish(&access_rules);
    access_init(&access_rules);
    struct yaml_node *node = yaml_parse("test.yaml", span_str(text), err);
    if (node == NULL)
        fail_msg("%s", err->text);
    bool ok = access_rules_read(&access_rules, node, err);
    yaml_destroy(node);
    return ok;
}

static void configured(const char *text)
{
    struct err err;
    if (!reads(text, &err))
        fail_msg("%s", err.text);
}

static struct identity *who(const char *claims)
{
    return claims != NULL ? identity_create(span_str(claims), IDENTITY_FOREVER) : NULL;
}

static bool connects(const char *claims)
{
    struct identity *identity = who(claims);
    bool may = access_connects(&access_rules, identity);
    identity_destroy(identity);
    return may;
}

static bool does(const char *claims, enum deed deed, const char *room)
{
    struct identity *identity = who(claims);
    bool may = access_allows(&access_rules, identity, deed, span_str(room));
    identity_destroy(identity);
    return may;
}

static bool joins(const char *claims, const char *room)
{
    return does(claims, DEED_JOIN, room);
}

static bool sends(const char *claims, const char *event, const char *room)
{
    struct identity *identity = who(claims);
    bool may = access_sends(&access_rules, identity, span_str(event), span_str(room));
    identity_destroy(identity);
    return may;
}

static void test_without_rules(void **state)
{
    configured("{}");
    assert_true(connects(NULL));
    assert_true(connects("{}"));
    assert_true(joins(NULL, "any"));
    assert_true(sends("{}", "say", ""));
    assert_true(does("{}", DEED_HISTORY, ""));
}

static void test_claims(void **state)
{
    configured("connect: {role: [user, admin]}");
    assert_true(connects("{\"role\":\"user\"}"));
    assert_true(connects("{\"role\":[\"x\",\"admin\"]}"));
    assert_true(connects("{\"role\":\"us\\u0065r\"}"));
    assert_false(connects("{\"role\":\"User\"}"));
    assert_false(connects("{\"role\":\"users\"}"));
    assert_false(connects("{\"role\":[]}"));
    assert_false(connects("{\"role\":[[\"user\"]]}"));
    assert_false(connects("{\"role\":{\"user\":true}}"));
    assert_false(connects("{\"role\":null}"));
    assert_false(connects("{\"role\":\"user admin\"}"));
    assert_false(connects("{\"Role\":\"user\"}"));
    assert_false(connects("{}"));
    assert_false(connects(NULL));
    configured("connect: {role: admin, org: 7, active: true}");
    assert_true(connects("{\"role\":\"admin\",\"org\":7,\"active\":true}"));
    assert_true(connects("{\"role\":\"admin\",\"org\":\"7\",\"active\":\"true\"}"));
    assert_false(connects("{\"role\":\"admin\",\"org\":7}"));
    assert_false(connects("{\"role\":\"admin\",\"org\":70,\"active\":true}"));
    configured("connect: [{role: admin}, {org: 7}]");
    assert_true(connects("{\"org\":7}"));
    assert_true(connects("{\"role\":\"admin\"}"));
    assert_false(connects("{\"org\":8}"));
    configured("connect: {email: \"*@example.com\", realm_access.roles: user}");
    assert_true(connects("{\"email\":\"ada@example.com\",\"realm_access\":{\"roles\":[\"a\",\"user\"]}}"));
    assert_false(connects("{\"email\":\"ada@example.com.evil\",\"realm_access\":{\"roles\":[\"user\"]}}"));
    assert_false(connects("{\"email\":\"ada@example.com\",\"realm_access\":\"user\"}"));
    configured("connect: {scope: [write]}");
    assert_true(connects("{\"scope\":\"read write\"}"));
    assert_true(connects("{\"scope\":[\"read\",\"write\"]}"));
    assert_false(connects("{\"scope\":\"rewrite\"}"));
    configured("connect: nobody");
    assert_false(connects("{\"role\":\"admin\"}"));
}

static void test_rooms_of_ones_own(void **state)
{
    configured("rooms: {\"team-{team}\": {join: own}, \"{org}/*/{team}\": {join: own}, \"lobby\": {join: anyone}}");
    assert_true(joins("{\"team\":\"red\"}", "team-red"));
    assert_true(joins("{\"team\":[\"blue\",\"red\"]}", "team-red"));
    assert_true(joins("{\"team\":7}", "team-7"));
    assert_true(joins("{}", "lobby"));
    assert_false(joins("{\"team\":\"red\"}", "team-blue"));
    assert_false(joins("{\"team\":\"red\"}", "team-redx"));
    assert_false(joins("{\"team\":\"red\"}", "team-"));
    assert_false(joins("{\"team\":\"red\"}", "xteam-red"));
    assert_false(joins("{\"team\":\"red\"}", "Team-red"));
    assert_false(joins("{\"team\":\"red\"}", "other"));
    /* A pattern's characters in a claim have no special meaning. */
    assert_false(joins("{\"team\":\"*\"}", "team-red"));
    assert_true(joins("{\"team\":\"*\"}", "team-*"));
    assert_false(joins("{\"team\":\"\"}", "team-"));
    assert_false(joins("{\"team\":\"{team}\"}", "team-red"));
    assert_false(joins("{\"team\":null}", "team-null"));
    assert_false(joins("{}", "team-{team}"));
    assert_false(joins(NULL, "team-red"));
    /* Every way to divide a room counts. */
    assert_true(joins("{\"org\":\"a\",\"team\":\"x\"}", "a/b/x"));
    assert_true(joins("{\"org\":[\"a/b\",\"a\"],\"team\":[\"x\",\"c/x\"]}", "a/b/c/x"));
    assert_true(joins("{\"org\":\"a/b\",\"team\":\"x\"}", "a/b//x"));
    assert_false(joins("{\"org\":\"a\",\"team\":\"x\"}", "a/b"));
    assert_false(joins("{\"org\":\"a\",\"team\":\"x\"}", "a/x"));
}

/* A room of another team is not a room of the next pattern. */
static void test_the_first_pattern_counts(void **state)
{
    configured("rooms: {\"team-{team}\": {join: own}, \"*\": {join: anyone}}");
    assert_false(joins("{\"team\":\"red\"}", "team-blue"));
    assert_true(joins("{\"team\":\"red\"}", "other"));
    configured("rooms: {\"team-{team}\": {join: [own, {role: admin}]}}");
    assert_true(joins("{\"role\":\"admin\"}", "team-blue"));
    assert_true(joins("{\"team\":\"blue\"}", "team-blue"));
    assert_false(joins("{\"role\":\"user\"}", "team-blue"));
}

static void test_deeds(void **state)
{
    configured(
        "send: {role: admin}\nhistory: {role: reader}\n"
        "rooms: {a: {join: anyone}, b: {join: anyone, send: {role: admin}, history: nobody}, c: {join: {role: x}}}\n"
        "events: {announce: {role: admin}, \"mod:*\": {role: mod}}");
    assert_true(sends("{}", "say", "a"));
    assert_true(does("{}", DEED_HISTORY, "a"));
    assert_true(joins("{}", "b"));
    assert_false(sends("{}", "say", "b"));
    assert_true(sends("{\"role\":\"admin\"}", "say", "b"));
    assert_false(does("{\"role\":\"admin\"}", DEED_HISTORY, "b"));
    assert_false(sends("{}", "say", "c"));
    assert_false(does("{}", DEED_HISTORY, "c"));
    assert_true(does("{\"role\":\"x\"}", DEED_HISTORY, "c"));
    /* The namespace as a whole. */
    assert_false(sends("{}", "say", ""));
    assert_true(sends("{\"role\":\"admin\"}", "say", ""));
    assert_false(does("{\"role\":\"admin\"}", DEED_HISTORY, ""));
    assert_true(does("{\"role\":\"reader\"}", DEED_HISTORY, ""));
    assert_true(joins("{}", ""));
    /* Events. */
    assert_false(sends("{}", "announce", "a"));
    assert_true(sends("{\"role\":\"admin\"}", "announce", "a"));
    assert_false(sends("{\"role\":\"admin\"}", "mod:ban", "a"));
    assert_true(sends("{\"role\":\"mod\"}", "mod:ban", "a"));
}

/* The longest names that there are, and claims that are as hard to match as they can be. */
static void test_long_names(void **state)
{
    char room[BROKER_ROOM_BYTES_MAX + 2], claims[7000] = "{\"a\":[";
    memset(room, 'x', sizeof room - 1);
    room[sizeof room - 1] = '\0';
    for (int i = 1; i < 100; i++)
        snprintf(claims + strlen(claims), sizeof claims - strlen(claims), "%s\"%.*s\"", i > 1 ? "," : "", i, room);
    strcat(claims, "]}");
    configured("rooms: {\"{a}*{a}*{a}*{a}*{a}y\": {join: own}, \"{a}*{a}*{a}*{a}\": {join: own}}");
    assert_false(joins(claims, room));
    room[BROKER_ROOM_BYTES_MAX] = '\0';
    assert_true(joins(claims, room));
    room[BROKER_ROOM_BYTES_MAX - 1] = 'y';
    assert_true(joins(claims, room));
    room[BROKER_ROOM_BYTES_MAX - 2] = 'y';
    assert_false(joins(claims, room));
}

static void test_wrong_configurations(void **state)
{
    static const struct {
        const char *config, *expected;
    } cases[] = {
        {"[]", "expected a mapping"},
        {"conect: anyone", "did you mean \"connect\""},
        {"connect: everyone", "expected anyone, nobody"},
        {"connect: own", "expected anyone, nobody"},
        {"connect: []", "expected 1 to 64 conditions"},
        {"connect: {}", "expected 1 to 64 claims"},
        {"connect: {role: []}", "expected a value"},
        {"connect: {role: {a: b}}", "role"},
        {"connect: [[{role: a}]]", "connect[0]"},
        {"rooms: {a: anyone}", "expected a mapping"},
        {"rooms: {a: {}}", "needs `join:`"},
        {"rooms: {a: {send: anyone}}", "needs `join:`"},
        {"rooms: {a: {join: own}}", "expected anyone, nobody"},
        {"rooms: {\"a-{team\": {join: own}}", "expected a pattern"},
        {"rooms: {\"a-{}\": {join: own}}", "expected a pattern"},
        {"rooms: {\"\": {join: anyone}}", "expected a pattern"},
        {"rooms: {\"a-{team}\": {join: {role: a}, write: own}}", "unknown field"},
        {"events: {a: own}", "expected anyone, nobody"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err;
        if (reads(cases[i].config, &err))
            fail_msg("%s was taken", cases[i].config);
        if (strstr(err.text, cases[i].expected) == NULL)
            fail_msg("%s: %s", cases[i].config, err.text);
    }
}

static int begin(void **state)
{
    access_init(&access_rules);
    return 0;
}

static int finish(void **state)
{
    access_finish(&access_rules);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_rules),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_rooms_of_ones_own),
        cmocka_unit_test(test_the_first_pattern_counts),
        cmocka_unit_test(test_deeds),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_wrong_configurations),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
