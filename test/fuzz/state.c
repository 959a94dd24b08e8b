/* state: any bytes as the state file that a `sennit up` has left. What can be restored serves: each request finds a
 * revision. Written and restored once more, it is the same. No program starts here; whether one exists is asked. */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "platform/catalog.h"
#include "platform/control.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct up_options options;
static struct net net;
static struct programs programs;

static void silence(struct span line)
{
}

static void stopped(struct catalog *catalog)
{
}

static void begin(void)
{
    struct err err;
    if (net.loop != NULL)
        return;
    log_init(LOG_JSON, LOG_DEBUG, NULL, silence);
    struct loop *loop = loop_create(&err);
    assert(loop != NULL);
    net_init(&net, loop);
    programs_init(&programs, &net);
}

static void service_check(const struct service *service)
{
    const struct revision *latest = service_latest_ready(service);
    assert(service->name != NULL && latest != NULL);
    for (uint32_t draw = 0; draw < SERVICE_PERCENT; draw++)
        assert(service_revision(service, draw) != NULL);
    for (size_t i = 0; i < service->traffic.count; i++)
        if (service->traffic.list[i].tag != NULL)
            assert(service_tagged(service, span_str(service->traffic.list[i].tag)) != NULL);
}

/* Restores `json` and appends the state that comes of it. */
static void restore(struct span json, struct buf *to)
{
    struct catalog catalog;
    struct buf listed = {0};
    catalog_init(&catalog, &programs, &options);
    catalog.stopped = stopped;
    catalog_state_restore(&catalog, json);
    list_each (node, &catalog.route.services) {
        service_check(container_of(node, struct service, of_route));
    }
    catalog_state_encode(to, &catalog);
    control_services_encode(&listed, &catalog, 8080);
    assert(json_is_valid(json_trim(buf_span(to))) && json_is_valid(json_trim(buf_span(&listed))));
    buf_finish(&listed);
    catalog_finish(&catalog);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf once = {0}, twice = {0};
    begin();
    restore(span_of(data, len), &once);
    restore(buf_span(&once), &twice);
    assert(span_equal(buf_span(&once), buf_span(&twice)));
    buf_finish(&once);
    buf_finish(&twice);
    return 0;
}
