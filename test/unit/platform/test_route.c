/* test_route: services by Host, revisions by percentage and tag, deployments, and the life of a service with two
 * revisions. No process runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/index.h"
#include "platform/route.h"

static struct loop *loop;
static struct net net;
static struct programs programs;
static struct route route;
static const struct up_options options;
static struct err err;
static int stopped_count;

static void on_stopped(struct service *service)
{
    stopped_count++;
}

static const char document[] = "# a comment that nothing reads\n"
                               "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: %s}\nspec:\n"
                               "  template:\n    metadata: {name: %s-%s}\n"
                               "    spec: {timeoutSeconds: %u, containers: [{image: file:///bin/true}]}\n";

static struct revision *add(struct service *service, const char *name, const char *suffix, unsigned timeout_s)
{
    struct service_spec spec;
    struct buf text = {0};
    buf_printf(&text, document, name, name, suffix, timeout_s);
    if (!service_spec_parse(&spec, "/service.yaml", buf_span(&text), &err))
        fail_msg("%s", err.text);
    struct revision *revision = revision_create(service, &spec, &programs, &options);
    service_add(service, revision, NULL);
    assert_true(span_equal(buf_span(&revision->spec.document), buf_span(&text)));
    assert_string_equal(revision->spec.path, "/service.yaml");
    buf_finish(&text);
    service_spec_finish(&spec);
    return revision;
}

static int begin(void **state)
{
    loop = loop_create(&err);
    assert_non_null(loop);
    net_init(&net, loop);
    programs_init(&programs, &net);
    route_init(&route);
    stopped_count = 0;
    return 0;
}

static int end(void **state)
{
    list_each (node, &route.services) {
        service_destroy(container_of(node, struct service, of_route));
    }
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

static struct service *service(void)
{
    struct service *one = service_create(&programs, &options, on_stopped);
    route_add(&route, one);
    return one;
}

static const struct revision *at(const char *host, uint32_t draw)
{
    return route_revision(&route, span_str(host), draw);
}

static void test_one_service_answers_for_every_host(void **state)
{
    const struct revision *only = add(service(), "board", "00001", 300);
    static const char *const hosts[] = {
        "board.localhost:8080", "localhost", "127.0.0.1:80", "[::1]:8080", "", ":", "."};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        for (uint32_t draw = 0; draw < SERVICE_PERCENT; draw++)
            assert_ptr_equal(at(hosts[i], draw), only);
    assert_ptr_equal(route_revision(&route, (struct span){NULL, 0}, 0), only);
}

static void test_two_services_by_host(void **state)
{
    const struct revision *board = add(service(), "board", "00001", 300);
    const struct revision *chat = add(service(), "chat", "00001", 300);
    assert_ptr_equal(at("board.localhost:8080", 0), board);
    assert_ptr_equal(at("chat.localhost:8080", 0), chat);
    assert_ptr_equal(at("CHAT.default.example.com", 99), chat);
    assert_ptr_equal(at("chat", 0), chat);
    assert_ptr_equal(at("chat:8080", 0), chat);
    /* A Host that names none gets none. */
    static const char *const hosts[] = {"localhost:8080",     "chats.localhost", "cha.localhost",
                                        "www.chat.localhost", "[::1]",           "t---chat.localhost"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_null(at(hosts[i], 0));
}

static void test_a_bare_host_means_the_service_that_was_chosen_for_it(void **state)
{
    static const char *const bare[] = {
        "localhost", "LOCALHOST:8080", "127.0.0.1:8080", "192.168.1.5", "[::1]:8080", "[fe80::1]:8080", "", ":8080"};
    static const char *const others[] = {
        "chats.localhost", "localhost.example.com", "example.com:8080", "127.0.0.1.example.com",
        "1.2.3",           "t---chat.localhost"};
    const struct revision *board = add(service(), "board", "00001", 300);
    const struct revision *chat = add(service(), "chat", "00001", 300);
    route.bare = "board";
    for (size_t i = 0; i < sizeof bare / sizeof bare[0]; i++)
        assert_ptr_equal(at(bare[i], 0), board);
    assert_ptr_equal(route_revision(&route, (struct span){NULL, 0}, 0), board);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_null(at(others[i], 0));
    assert_ptr_equal(at("chat.localhost:8080", 0), chat);
    route.bare = "gone";
    assert_null(at("localhost", 0));
}

static const char *listed(struct buf *text, const char *host)
{
    static const struct http1_head head = {.method = {"GET", 3}, .target = {"/", 1}, .host = {"localhost", 9}};
    assert_true(index_is_asked(&head));
    buf_clear(text);
    index_encode(text, &route, span_str(host), 8080, true, true);
    buf_append_char(text, '\0');
    return buf_span(text).data;
}

static void test_a_page_lists_services_with_the_port_that_was_asked(void **state)
{
    struct buf text = {0};
    assert_non_null(strstr(listed(&text, "localhost:9000"), "None yet")); /* sennit up --allow-empty */
    add(service(), "board", "00001", 300);
    add(service(), "chat", "00001", 300);
    assert_non_null(strstr(listed(&text, "localhost:9000"), "<a href=\"//chat.localhost:9000/\"><b>chat</b>"));
    assert_non_null(strstr(listed(&text, "localhost:9000"), "<a href=\"//board.localhost:9000/\">"));
    static const char *const portless[] = {
        "localhost", "localhost:", "localhost:0", "localhost:65536", "localhost:99999999999999999999", "[::1]", ""};
    for (size_t i = 0; i < sizeof portless / sizeof portless[0]; i++)
        assert_non_null(strstr(listed(&text, portless[i]), "\"//chat.localhost:8080/"));
    assert_non_null(strstr(listed(&text, "[::1]:9000"), "\"//chat.localhost:9000/"));
    buf_finish(&text);
    static const struct http1_head others[] = {
        {.method = {"POST", 4}, .target = {"/", 1}, .host = {"localhost", 9}},
        {.method = {"GET", 3}, .target = {"/x", 2}, .host = {"localhost", 9}},
        {.method = {"GET", 3}, .target = {"/", 1}, .host = {"example.com", 11}},
        {.method = {"GET", 3}, .target = {"/", 1}, .host = {"localhost", 9}, .upgrade_websocket = true},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(index_is_asked(&others[i]));
}

static void test_two_revisions_share_the_requests(void **state)
{
    struct service *one = service();
    struct revision *first = add(one, "board", "v1", 10);
    struct revision *second = add(one, "board", "v2", 20);
    /* A new revision gets everything. */
    for (uint32_t draw = 0; draw < SERVICE_PERCENT; draw++)
        assert_ptr_equal(at("board.localhost", draw), second);
    assert_ptr_equal(service_latest(one), second);
    first->percent = 90;
    second->percent = 10;
    unsigned firsts = 0, seconds = 0;
    for (uint32_t draw = 0; draw < SERVICE_PERCENT; draw++) {
        firsts += at("board.localhost", draw) == first;
        seconds += at("board.localhost", draw) == second;
    }
    assert_int_equal(firsts, 90);
    assert_int_equal(seconds, 10);
    /* Each has its own spec and fleet. */
    assert_int_equal(first->spec.timeout_s, 10);
    assert_int_equal(second->spec.timeout_s, 20);
    assert_string_equal(first->fleet.spec->revision, "board-v1");
    assert_string_equal(second->fleet.spec->revision, "board-v2");
}

static struct revision *loaded(struct service *one, const char *suffix)
{
    struct service_spec spec;
    struct buf text = {0};
    buf_printf(&text, document, "board", "board", suffix, 10u);
    assert_true(service_spec_parse(&spec, "/service.yaml", buf_span(&text), &err));
    struct revision *revision = revision_create(one, &spec, &programs, &options);
    buf_finish(&text);
    service_spec_finish(&spec);
    return revision;
}

static unsigned share(const struct revision *revision)
{
    unsigned count = 0;
    for (uint32_t draw = 0; draw < SERVICE_PERCENT; draw++)
        count += at("board.localhost", draw) == revision;
    return count;
}

static void deploy(struct service *one, struct revision *revision, const char *shares)
{
    struct traffic traffic = {0};
    assert_true(traffic_shares_set(&traffic, span_str(shares), &err));
    service_deploy(one, revision, &traffic);
    traffic_finish(&traffic);
}

static void test_a_deployment_gets_traffic_once_it_is_ready(void **state)
{
    struct service *one = service();
    struct revision *first = add(one, "board", "v1", 10), *second = loaded(one, "v2"), *third = loaded(one, "v3");
    deploy(one, second, "LATEST=100");
    assert_int_equal(share(first), 100);
    assert_int_equal(second->state, REVISION_PROVING);
    second->fleet.proved(&second->fleet, NULL);
    assert_int_equal(second->state, REVISION_READY);
    assert_int_equal(share(second), 100);
    assert_true(first->fleet.retired);
    assert_false(second->fleet.retired);
    deploy(one, third, "LATEST=100");
    third->fleet.proved(&third->fleet, "it died");
    assert_int_equal(third->state, REVISION_FAILED);
    assert_string_equal(third->fault, "it died");
    assert_int_equal(share(second), 100);
    assert_ptr_equal(service_latest_ready(one), second);
    assert_true(service_roll_back(one, NULL, &err));
    assert_int_equal(share(first), 100);
    assert_false(first->fleet.retired);
    assert_false(service_roll_back(one, NULL, &err));
    assert_false(service_roll_back(one, "board-v3", &err)); /* it is not ready */
    assert_true(service_roll_back(one, "board-v2", &err));
    assert_int_equal(share(second), 100);
}

static void test_a_newer_deployment_ends_the_one_under_way(void **state)
{
    struct service *one = service();
    struct revision *first = add(one, "board", "v1", 10), *second = loaded(one, "v2"), *third = loaded(one, "v3");
    deploy(one, second, "LATEST=100");
    deploy(one, third, "board-v1=90,LATEST=10");
    assert_int_equal(second->state, REVISION_FAILED);
    second->fleet.proved(&second->fleet, NULL); /* too late */
    assert_int_equal(share(first), 100);
    third->fleet.proved(&third->fleet, NULL);
    assert_int_equal(share(first), 90);
    assert_int_equal(share(third), 10);
}

static void test_tags_lead_to_one_revision(void **state)
{
    struct service *one = service();
    struct revision *first = add(one, "board", "v1", 10), *second = add(one, "board", "v2", 10);
    struct traffic traffic = {0};
    add(service(), "board---x", "v1", 10); /* no Knative name, but what Host may say */
    assert_true(traffic_shares_set(&traffic, SPAN_LIT("LATEST=100"), &err));
    assert_true(traffic_tags_set(&traffic, SPAN_LIT("old=board-v1,new=LATEST"), &err));
    service_traffic_set(one, &traffic);
    traffic_finish(&traffic);
    for (uint32_t draw = 0; draw < SERVICE_PERCENT; draw++) {
        assert_ptr_equal(at("old---board.localhost:8080", draw), first);
        assert_ptr_equal(at("NEW---BOARD.localhost", draw), second);
        assert_null(at("other---board.localhost", draw));
        assert_null(at("---board.localhost", draw));
        assert_null(at("old---boards.localhost", draw));
    }
    assert_false(first->fleet.retired); /* its tag may be asked for */
    assert_int_equal(share(second), 100);
}

static void test_wrong_traffic_changes_nothing(void **state)
{
    static const char *const shares[] = {"", "A", "A=", "=100", "A=x", "A=50", "A=50,B=51", "A=101", "A=-1,B=101"};
    static const char *const tags[] = {"", "t", "=A", "T=A", "t-=A", "a-tag-too-long=A", "1=A"};
    struct traffic traffic = {0};
    assert_true(traffic_shares_set(&traffic, SPAN_LIT("A=30,LATEST=70"), &err));
    assert_true(traffic_tags_set(&traffic, SPAN_LIT("t=A"), &err));
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        assert_false(traffic_shares_set(&traffic, span_str(shares[i]), &err));
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        assert_false(traffic_tags_set(&traffic, span_str(tags[i]), &err));
    assert_int_equal(traffic.count, 3);
    assert_int_equal(traffic.list[0].percent, 30);
    assert_null(traffic.list[1].revision);
    assert_string_equal(traffic_tagged(&traffic, SPAN_LIT("t"))->revision, "A");
    assert_true(traffic_tags_set(&traffic, SPAN_LIT("t="), &err));
    assert_null(traffic_tagged(&traffic, SPAN_LIT("t")));
    traffic_finish(&traffic);
}

static enum fleet_refusal refusal;
static void on_granted(struct ask *ask, struct instance *instance)
{
    fail();
}
static void on_refused(struct ask *ask, enum fleet_refusal why)
{
    refusal = why;
}

static void test_a_service_stops_when_all_its_fleets_have(void **state)
{
    struct service *one = service();
    struct revision *first = add(one, "board", "v1", 10), *second = add(one, "board", "v2", 10);
    assert_true(revision_prepare(first, &options, &err) && revision_prepare(second, &options, &err));
    assert_true(service_start(one, &err));
    assert_int_equal(one->state, SERVICE_RUNNING);
    service_stop(one);
    assert_int_equal(one->state, SERVICE_STOPPED);
    assert_int_equal(stopped_count, 1);
    struct ask ask = {.granted = on_granted, .refused = on_refused};
    struct revision *const both[] = {first, second};
    for (int i = 0; i < 2; i++) {
        refusal = FLEET_QUEUE_FULL;
        fleet_ask(&both[i]->fleet, &ask);
        assert_int_equal(refusal, FLEET_STOPPING);
        assert_ptr_equal(ask.fleet, &both[i]->fleet);
        fleet_forget(&ask); /* it does not wait: harmless */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_service_answers_for_every_host, begin, end),
        cmocka_unit_test_setup_teardown(test_two_services_by_host, begin, end),
        cmocka_unit_test_setup_teardown(test_a_bare_host_means_the_service_that_was_chosen_for_it, begin, end),
        cmocka_unit_test_setup_teardown(test_a_page_lists_services_with_the_port_that_was_asked, begin, end),
        cmocka_unit_test_setup_teardown(test_two_revisions_share_the_requests, begin, end),
        cmocka_unit_test_setup_teardown(test_a_deployment_gets_traffic_once_it_is_ready, begin, end),
        cmocka_unit_test_setup_teardown(test_a_newer_deployment_ends_the_one_under_way, begin, end),
        cmocka_unit_test_setup_teardown(test_tags_lead_to_one_revision, begin, end),
        cmocka_unit_test(test_wrong_traffic_changes_nothing),
        cmocka_unit_test_setup_teardown(test_a_service_stops_when_all_its_fleets_have, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
