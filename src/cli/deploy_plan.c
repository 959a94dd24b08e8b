/* deploy_plan: the revision's name and the traffic, from what the running `sennit up` says. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/deploy.h"
#include "loop/file.h"
#include "wire/json.h"

static struct span service_find(const struct deploy *deploy)
{
    struct span json = json_trim(buf_span(&deploy->services)), none = {NULL, 0}, service;
    struct span list = json.len > 0 ? json_object_get(json, SPAN_LIT("services")) : none;
    while (list.data != NULL && json_array_next(&list, &service))
        if (json_string_equal(json_object_get(service, SPAN_LIT("name")), span_str(deploy->wanted.service)))
            return service;
    return none;
}

/* The number in NAME-00007; 0: it has none. */
static uint64_t number_of(const struct deploy *deploy, struct span revision)
{
    uint64_t number = 0;
    struct span rest = span_from(revision, strlen(deploy->wanted.service) + 1);
    return span_starts_with(revision, span_str(deploy->wanted.service)) && span_to_u64(rest, &number) ? number : 0;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The highest number of a revision that is known, or was built. */
static uint64_t number_last(const struct deploy *deploy, struct span service)
{
    struct span list = service.data != NULL ? json_object_get(service, SPAN_LIT("revisions")) : service, revision;
    char *builds = mem_printf("%s/sources/%s", deploy->home, deploy->wanted.service);
    struct err ignored;
    char **names = file_list(builds, "", &ignored);
    uint64_t last = 0;
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        last = greater(last, number_of(deploy, span_str(names[i])));
        free(names[i]);
    }
    while (list.data != NULL && json_array_next(&list, &revision)) {
        struct span name = json_object_get(revision, SPAN_LIT("name"));
        if (name.data != NULL && name.len >= 2)
            last = greater(last, number_of(deploy, span_sub(name, 1, name.len - 2)));
    }
    free(names);
    free(builds);
    return last;
}

/* The present traffic; with `pins`, what goes to the latest revision stays with the one that is the latest now. */
static void traffic_take(struct traffic *traffic, struct span service, bool pins)
{
    struct span list = json_object_get(service, SPAN_LIT("traffic")), target;
    struct buf latest = json_text_get(service, "latest");
    while (list.data != NULL && json_array_next(&list, &target)) {
        struct buf revision = json_text_get(target, "revision"), tag = json_text_get(target, "tag");
        uint64_t percent = 0;
        span_to_u64(json_object_get(target, SPAN_LIT("percent")), &percent);
        bool is_latest = span_equal(buf_span(&revision), SPAN_LIT(TRAFFIC_LATEST));
        traffic_add(traffic,
                    !is_latest ? buf_span(&revision)
                    : pins     ? buf_span(&latest)
                               : SPAN_LIT(""),
                    buf_span(&tag), (uint32_t)percent);
        buf_finish(&revision);
        buf_finish(&tag);
    }
    buf_finish(&latest);
}

static bool traffic_plan(struct deploy *deploy, struct span service, struct err *err)
{
    struct traffic *traffic = &deploy->wanted.traffic;
    if (service.data != NULL)
        traffic_take(traffic, service, deploy->no_traffic);
    else if (deploy->no_traffic)
        return err_set(err, "--no-traffic: a new service has no other revision that could serve");
    if (traffic->count == 0)
        traffic_add(traffic, SPAN_LIT(""), SPAN_LIT(""), TRAFFIC_PERCENT);
    if (deploy->tag == NULL)
        return true;
    char *pair = mem_printf("%s=%s", deploy->tag, deploy->wanted.revision);
    bool ok = traffic_tags_set(traffic, span_str(pair), err) || err_prefix(err, "--tag: ");
    free(pair);
    return ok;
}

bool deploy_plan(struct deploy *deploy, struct err *err)
{
    struct span service = service_find(deploy);
    deploy->wanted.revision = deploy->suffix != NULL ? mem_printf("%s-%s", deploy->wanted.service, deploy->suffix)
                                                     : mem_printf("%s-%05llu", deploy->wanted.service,
                                                                  (unsigned long long)number_last(deploy, service) + 1);
    return traffic_plan(deploy, service, err);
}
