/* spec: any text as the services of `sennit up`. It is refused with one line that names the file, or every value is
 * within its bounds, and the documents that were kept mean the same when they are read again, as after a restart. */
#include <assert.h>

#include "platform/spec_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char path[] = "/tmp/service.yaml";

static void words_check(const struct words *words)
{
    assert(words->count == 0 || words->list[words->count] == NULL);
    for (size_t i = 0; i < words->count; i++)
        assert(words->list[i] != NULL);
}

static void traffic_check(const struct traffic *traffic)
{
    uint32_t sum = 0;
    assert(traffic->count <= TRAFFIC_TARGETS_MAX);
    for (size_t i = 0; i < traffic->count; i++) {
        assert(traffic->list[i].percent <= TRAFFIC_PERCENT);
        assert(traffic->list[i].tag == NULL || traffic_tag_is_valid(span_str(traffic->list[i].tag)));
        sum += traffic->list[i].percent;
    }
    assert(traffic->count == 0 || sum == TRAFFIC_PERCENT);
}

static void spec_check(const struct service_spec *spec)
{
    assert(service_name_is_valid(span_str(spec->name)) && spec->revision != NULL);
    assert(spec->concurrency >= 1 && spec->concurrency <= SPEC_CONCURRENCY_MAX);
    assert(spec->timeout_s >= 1 && spec->timeout_s <= SPEC_TIMEOUT_S_MAX);
    assert(spec->instances_min <= spec->instances_max && spec->instances_max <= SPEC_INSTANCES_MAX);
    assert(spec->container_port >= 1 && spec->container_port <= UINT16_MAX);
    assert(spec->memory_bytes_max <= SPEC_MEMORY_MAX && spec->bytes <= SPEC_BYTES_MAX);
    assert(spec->scaling.concurrency_target >= 0 && spec->scaling.cpu_target >= 0);
    words_check(&spec->command);
    words_check(&spec->args);
    words_check(&spec->env);
    words_check(&spec->secrets);
    assert(spec->secrets.count % 3 == 0);
    words_check(&spec->audiences);
    words_check(&spec->invokers);
    traffic_check(&spec->traffic);
}

static void again_check(const struct service_spec *spec)
{
    struct service_spec again;
    struct err err = {{0}};
    bool ok = service_spec_parse(&again, spec->path, buf_span(&spec->document), &err);
    assert(ok && strcmp(again.name, spec->name) == 0 && strcmp(again.revision, spec->revision) == 0);
    assert(span_equal(buf_span(&again.shape), buf_span(&spec->shape)));
    service_spec_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct specs specs = {0};
    struct err err = {{0}};
    if (specs_parse(&specs, path, span_of(data, len), &err)) {
        assert(specs.count >= 1 && specs.count <= SPECS_MAX);
        for (size_t i = 0; i < specs.count; i++) {
            spec_check(&specs.list[i]);
            again_check(&specs.list[i]);
        }
    } else {
        assert(strncmp(err.text, path, sizeof path - 1) == 0 && strchr(err.text, '\n') == NULL);
    }
    specs_finish(&specs);
    return 0;
}
