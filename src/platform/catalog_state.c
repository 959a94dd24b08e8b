/* catalog_state: the state folder's JSON. Revisions are kept as the documents that they were read from. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/catalog.h"
#include "wire/json.h"

static void traffic_encode(struct buf *to, const struct traffic *traffic)
{
    buf_append(to, SPAN_LIT("\"traffic\":["));
    for (size_t i = 0; i < traffic->count; i++) {
        buf_append(to, i > 0 ? SPAN_LIT(",{") : SPAN_LIT("{"));
        json_text_append(to, "revision", span_str(traffic->list[i].revision));
        json_text_append(to, "tag", span_str(traffic->list[i].tag));
        buf_printf(to, "\"percent\":%u}", traffic->list[i].percent);
    }
    buf_append(to, SPAN_LIT("],"));
}

static void revision_encode(struct buf *to, const struct revision *revision)
{
    buf_append_char(to, '{');
    json_text_append(to, "name", span_str(revision->spec.revision));
    json_text_append(to, "state", span_str(revision_state_name(revision)));
    json_text_append(to, "fault", span_str(revision->fault));
    json_text_append(to, "path", span_str(revision->spec.path));
    json_text_append(to, "document", buf_span(&revision->spec.document));
    buf_printf(to, "\"created_ms\":%lld}", (long long)revision->created_ms);
}

static void service_encode(struct buf *to, const struct service *service)
{
    const char *separator = "";
    buf_append_char(to, '{');
    json_text_append(to, "name", span_str(service->name));
    if (service->document != NULL && service->deploying == NULL)
        json_text_append(to, "document", span_str(service->document));
    traffic_encode(to, &service->traffic);
    buf_printf(to, "\"number\":%u,\"revisions\":[", service->number);
    list_each (node, &service->revisions) {
        const struct revision *revision = container_of(node, struct revision, of_service);
        if (revision->state == REVISION_PROVING)
            continue;
        buf_append(to, span_str(separator));
        revision_encode(to, revision);
        separator = ",";
    }
    buf_append(to, SPAN_LIT("]}"));
}

void catalog_state_encode(struct buf *to, const struct catalog *catalog)
{
    const char *separator = "";
    struct buf paths = catalog_paths(catalog);
    buf_append_char(to, '{');
    json_text_append(to, "file", buf_span(&paths));
    buf_finish(&paths);
    buf_append(to, SPAN_LIT("\"services\":["));
    list_each (node, &catalog->route.services) {
        buf_append(to, span_str(separator));
        service_encode(to, container_of(node, struct service, of_route));
        separator = ",";
    }
    buf_append(to, SPAN_LIT("]}\n"));
}

static uint64_t number_get(struct span object, const char *key)
{
    uint64_t value = 0;
    struct span text = json_object_get(object, span_str(key));
    return text.data != NULL && span_to_u64(text, &value) ? value : 0;
}

/* A revision whose program is not there any more stays in the list, as a failed one. */
static void revision_put_back(struct service *service, struct service_spec *spec, struct span json)
{
    struct buf state = json_text_get(json, "state"), fault = json_text_get(json, "fault");
    struct revision *revision = revision_create(service, spec, service->programs, service->options);
    struct err err;
    revision->created_ms = (int64_t)number_get(json, "created_ms");
    bool had_failed = span_equal(buf_span(&state), SPAN_LIT("failed"));
    bool is_prepared = had_failed || revision_prepare(revision, service->options, &err);
    char *why = had_failed ? mem_text(buf_span(&fault)) : is_prepared ? NULL : mem_text(span_str(err.text));
    if (!is_prepared)
        log_event(LOG_WARNING, "a kept revision cannot run any more", LOG_C("revision", revision->spec.revision),
                  LOG_C("why", why));
    service_add(service, revision, why);
    free(why);
    buf_finish(&state);
    buf_finish(&fault);
}

/* Whether a revision of this name comes next; a file that something else has changed may say anything. */
static bool is_next(const struct service *service, const struct service_spec *spec, struct span name, struct err *err)
{
    char *text = mem_text(name);
    bool is_of = service->name == NULL || strcmp(service->name, spec->name) == 0;
    bool is_new = service_find(service, text) == NULL;
    free(text);
    if (!is_of)
        return err_set(err, "it is of another service");
    if (!revision_name_is_valid(name, span_str(spec->name)))
        return err_set(err, "its name is none for a revision");
    return is_new || err_set(err, "its name is there twice");
}

static void revision_restore(struct service *service, struct span json)
{
    struct service_spec spec;
    struct buf name = json_text_get(json, "name"), path = json_text_get(json, "path"),
               document = json_text_get(json, "document");
    char *where = mem_text(buf_span(&path));
    struct err err;
    if (service_spec_parse(&spec, where, buf_span(&document), &err) && is_next(service, &spec, buf_span(&name), &err)) {
        free(spec.revision);
        spec.revision = mem_text(buf_span(&name));
        revision_shape_complete(&spec, service->options);
        revision_put_back(service, &spec, json);
    } else {
        log_event(LOG_WARNING, "a kept revision cannot be read any more", LOG_S("revision", buf_span(&name)),
                  LOG_C("error", err.text));
    }
    service_spec_finish(&spec);
    free(where);
    buf_finish(&name);
    buf_finish(&path);
    buf_finish(&document);
}

static void traffic_restore(struct traffic *traffic, struct span list)
{
    struct span target;
    while (json_array_next(&list, &target)) {
        struct buf revision = json_text_get(target, "revision"), tag = json_text_get(target, "tag");
        uint64_t percent = number_get(target, "percent");
        if ((tag.len == 0 || traffic_tag_is_valid(buf_span(&tag))) && percent <= TRAFFIC_PERCENT &&
            traffic->count < TRAFFIC_TARGETS_MAX)
            traffic_add(traffic, buf_span(&revision), buf_span(&tag), (uint32_t)percent);
        buf_finish(&revision);
        buf_finish(&tag);
    }
}

static void service_put_back(struct catalog *catalog, struct span json)
{
    struct service *service = catalog_service(catalog);
    struct span list = json_object_get(json, SPAN_LIT("revisions")), one;
    struct buf document = json_text_get(json, "document");
    traffic_restore(&service->traffic, json_object_get(json, SPAN_LIT("traffic")));
    service->number = (uint32_t)number_get(json, "number");
    while (list.data != NULL && json_array_next(&list, &one))
        revision_restore(service, one);
    if (document.len > 0)
        service->document = mem_text(buf_span(&document));
    buf_finish(&document);
    bool is_taken = service->name != NULL && route_find(&catalog->route, span_str(service->name)) != NULL;
    if (is_taken || service_latest_ready(service) == NULL) { /* there is nothing to go on with */
        service_destroy(service);
        return;
    }
    log_event(LOG_INFO, "found again", LOG_C("service", service->name),
              LOG_C("latest", service_latest_ready(service)->spec.revision));
    route_add(&catalog->route, service);
}

bool catalog_state_restore(struct catalog *catalog, struct span json)
{
    struct span text = json_trim(json), services, one;
    if (!json_is_valid(text) || json_type(text) != JSON_OBJECT)
        return false;
    struct buf file = json_text_get(text, "file"), paths = catalog_paths(catalog);
    bool is_ours = span_equal(buf_span(&file), buf_span(&paths));
    buf_finish(&file);
    buf_finish(&paths);
    services = json_object_get(text, SPAN_LIT("services"));
    if (!is_ours) {
        log_event(LOG_INFO, "the state folder is of another file, and begins anew");
        return true;
    }
    while (services.data != NULL && json_array_next(&services, &one))
        service_put_back(catalog, one);
    return true;
}
