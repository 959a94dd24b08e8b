/* test_catalog: what a `sennit up` makes of the state that another one has left. No process runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/catalog.h"
#include "platform/control.h"
#include "wire/json.h"

static const struct up_options options;
static struct net net;
static struct programs programs;
static struct catalog catalog;
static struct buf text;

#define DOCUMENT(name) \
    "\"path\":\"/s.yaml\",\"state\":\"ready\",\"created_ms\":5,\"document\":\"apiVersion: " \
    "serving.knative.dev/v1\\nkind: " \
    "Service\\nmetadata: {name: " name \
    "}\\nspec: {template: {spec: {containers: [{image: 'file:///bin/true'}]}}}\\n\""
#define REVISION(service, name) "{\"name\":\"" name "\"," DOCUMENT(service) "}"

static int begin(void **state)
{
    struct err err;
    struct loop *loop = loop_create(&err);
    assert_non_null(loop);
    net_init(&net, loop);
    programs_init(&programs, &net);
    catalog_init(&catalog, &programs, &options);
    return 0;
}

static int end(void **state)
{
    struct loop *loop = net.loop;
    catalog_finish(&catalog);
    net_finish(&net);
    loop_destroy(loop);
    buf_finish(&text);
    return 0;
}

static const struct service *restored(const char *services)
{
    struct buf listed = {0};
    buf_printf(&text, "{\"file\":\"\",\"services\":[%s]}", services);
    assert_true(json_is_valid(buf_span(&text)));
    catalog_state_restore(&catalog, buf_span(&text));
    control_services_encode(&listed, &catalog, 8080);
    assert_true(json_is_valid(buf_span(&listed)));
    buf_finish(&listed);
    return route_find(&catalog.route, SPAN_LIT("board"));
}

static void test_revisions_and_traffic(void **state)
{
    const struct service *service = restored(
        "{\"name\":\"board\",\"number\":2,\"traffic\":[{\"revision\":\"board-00001\",\"tag\":\"old\",\"percent\":90},"
        "{\"revision\":\"\",\"tag\":\"\",\"percent\":10}],\"revisions\":[" REVISION(
            "board", "board-00001") "," REVISION("board", "board-00002") "]}");
    assert_non_null(service);
    assert_string_equal(service_revision(service, 89)->spec.revision, "board-00001");
    assert_string_equal(service_revision(service, 90)->spec.revision, "board-00002");
    assert_string_equal(service_tagged(service, SPAN_LIT("old"))->spec.revision, "board-00001");
}

/* A file that something else has changed: what makes no sense is left out, and the rest serves. */
static void test_what_makes_no_sense_is_left_out(void **state)
{
    const struct service *service = restored(
        "{\"name\":\"board\",\"traffic\":[{\"revision\":\"board-00001\",\"tag\":\"Bad \\\"tag\",\"percent\":1},"
        "{\"revision\":\"\",\"tag\":\"\",\"percent\":4294967396}],\"revisions\":[" REVISION("board", "board-00001") "," REVISION(
            "board",
            "board-00001") "," REVISION("board",
                                        "board-\\\"x\\n") "," REVISION("board",
                                                                       "chat-00001") "," REVISION("chat",
                                                                                                  "chat-00002") "]},"
                                                                                                                "{\"nam"
                                                                                                                "e\":"
                                                                                                                "\"boar"
                                                                                                                "d\","
                                                                                                                "\"traf"
                                                                                                                "fic\":"
                                                                                                                "[],"
                                                                                                                "\"revi"
                                                                                                                "sions"
                                                                                                                "\":"
                                                                                                                "[" REVISION(
                                                                                                                    "bo"
                                                                                                                    "ar"
                                                                                                                    "d",
                                                                                                                    "bo"
                                                                                                                    "ar"
                                                                                                                    "d-"
                                                                                                                    "00"
                                                                                                                    "00"
                                                                                                                    "9") "]},{},5,\"board\"");
    size_t services = 0, revisions = 0;
    assert_non_null(service);
    assert_null(service_tagged(service, SPAN_LIT("Bad \"tag")));
    list_each (node, &catalog.route.services) {
        services++;
    }
    list_each (node, &service->revisions) {
        revisions++;
    }
    assert_int_equal(services, 1);
    assert_int_equal(revisions, 1);
    for (uint32_t draw = 0; draw < SERVICE_PERCENT; draw++)
        assert_string_equal(service_revision(service, draw)->spec.revision, "board-00001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_revisions_and_traffic, begin, end),
        cmocka_unit_test_setup_teardown(test_what_makes_no_sense_is_left_out, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
