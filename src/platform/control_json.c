/* control_json: the services as JSON, for the commands and for /status. */
#include "platform/control.h"

static void name_encode(struct buf *to, const char *key, struct span text)
{
    buf_printf(to, "\"%s\":\"", key);
    buf_append_json(to, text);
    buf_append(to, SPAN_LIT("\","));
}

static void revision_encode(struct buf *to, const struct revision *revision)
{
    uint32_t instances = 0;
    list_each (node, &revision->fleet.instances) {
        instances++;
    }
    buf_append_char(to, '{');
    name_encode(to, "name", span_str(revision->spec.revision));
    name_encode(to, "state", span_str(revision_state_name(revision)));
    if (revision->fault != NULL)
        name_encode(to, "why", span_str(revision->fault));
    buf_printf(to, "\"percent\":%u,\"instances\":%u,\"requests\":%u,\"created_ms\":%lld}", revision->percent, instances,
               revision->fleet.open, (long long)revision->created_ms);
}

static void traffic_encode(struct buf *to, const struct service *service, const char *scheme, uint16_t port)
{
    for (size_t i = 0; i < service->traffic.count; i++) {
        const struct traffic_target *target = &service->traffic.list[i];
        if (target->percent == 0 && target->tag == NULL)
            continue;
        buf_append(to, to->data[to->off + to->len - 1] == '[' ? SPAN_LIT("{") : SPAN_LIT(",{"));
        name_encode(to, "revision", span_str(target->revision != NULL ? target->revision : TRAFFIC_LATEST));
        if (target->tag != NULL) {
            name_encode(to, "tag", span_str(target->tag));
            buf_printf(to, "\"url\":\"%s://%s---%s.localhost:%u\",", scheme, target->tag, service->name, port);
        }
        buf_printf(to, "\"percent\":%u}", target->percent);
    }
}

void control_services_encode(struct buf *to, const struct catalog *catalog, uint16_t port)
{
    const char *separator = "";
    buf_append_char(to, '[');
    list_each (node, &catalog->route.services) {
        const struct service *service = container_of(node, struct service, of_route);
        const struct revision *latest = service_latest_ready(service);
        buf_printf(to, "%s{\"name\":\"%s\",\"url\":\"%s://%s.localhost:%u\",\"latest\":\"%s\",\"deploying\":\"%s\",",
                   separator, service->name, catalog_scheme(catalog), service->name, port,
                   latest != NULL ? latest->spec.revision : "",
                   service->deploying != NULL ? service->deploying->spec.revision : "");
        buf_append(to, SPAN_LIT("\"traffic\":["));
        traffic_encode(to, service, catalog_scheme(catalog), port);
        buf_append(to, SPAN_LIT("],\"revisions\":["));
        list_each (inner, &service->revisions) {
            if (inner != service->revisions.next)
                buf_append_char(to, ',');
            revision_encode(to, container_of(inner, struct revision, of_service));
        }
        buf_append(to, SPAN_LIT("],\"bill\":"));
        bill_encode(to, &service->bill);
        buf_append_char(to, '}');
        separator = ",";
    }
    buf_append_char(to, ']');
}
