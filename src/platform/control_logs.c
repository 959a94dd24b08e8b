/* control_logs: reads the query, and asks the logbooks. */
#include "platform/control_logs.h"

#include <stdlib.h>

#include "base/shown.h"
#include "platform/control_query.h"

struct filter {
    char *service, *revision, *instance, *severity, *since, *after;
};

static uint64_t number_of(const char *text)
{
    uint64_t value;
    return text != NULL && span_to_u64(span_str(text), &value) ? value : 0;
}

static bool check(const struct filter *filter, const struct catalog *catalog, struct logbook_query *query,
                  struct err *err)
{
    if (filter->service != NULL && route_find(&catalog->route, span_str(filter->service)) == NULL)
        return err_set(err, "there is no service %s: `sennit services` lists them",
                       SHOWN_FOUND(span_str(filter->service)));
    if (filter->severity == NULL || log_severity_parse(span_str(filter->severity), &query->severity_min))
        return true;
    return err_set(err,
                   "expected a severity (DEFAULT, DEBUG, INFO, NOTICE, WARNING, ERROR, CRITICAL, ALERT, EMERGENCY), "
                   "found %s",
                   SHOWN_FOUND(span_str(filter->severity)));
}

static void encode(struct buf *to, const struct catalog *catalog, const struct logbook_query *query)
{
    struct buf entries = {0};
    bool more;
    uint64_t next = logbook_query(&catalog->books, query, &entries, &more);
    buf_printf(to, "{\"next\":%llu,\"more\":%s,\"entries\":[", (unsigned long long)next, more ? "true" : "false");
    buf_append(to, buf_span(&entries));
    buf_append(to, SPAN_LIT("]}\n"));
    buf_finish(&entries);
}

bool control_logs_encode(struct buf *to, const struct catalog *catalog, struct span query, struct err *err)
{
    struct filter filter = {
        .service = control_value_get(query, "service"),
        .revision = control_value_get(query, "revision"),
        .instance = control_value_get(query, "instance"),
        .severity = control_value_get(query, "severity"),
        .since = control_value_get(query, "since_ms"),
        .after = control_value_get(query, "after"),
    };
    struct logbook_query wanted = {
        .service = filter.service,
        .revision = filter.revision,
        .instance = filter.instance,
        .since_ms = (int64_t)number_of(filter.since),
        .after = number_of(filter.after),
    };
    bool ok = check(&filter, catalog, &wanted, err);
    if (ok)
        encode(to, catalog, &wanted);
    free(filter.service);
    free(filter.revision);
    free(filter.instance);
    free(filter.severity);
    free(filter.since);
    free(filter.after);
    return ok;
}
