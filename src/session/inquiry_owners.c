/* inquiry_owners: which instances must be awaited. The broker knows the leases that each one owns. A polling session
 * that was passed on leaves its leases to the instance that had it last; the broker lists those, so they do not count
 * here. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/inquiry.h"

struct owner {
    struct buf instance, pid;
    bool listed; /* its socket polls */
};

struct owners {
    struct inquiries *inquiries;
    struct sessions *sessions;
    uint64_t number;
    struct owner *list;
    size_t count;
};

static void owners_free(struct owners *owners)
{
    for (size_t i = 0; i < owners->count; i++) {
        buf_finish(&owners->list[i].instance);
        buf_finish(&owners->list[i].pid);
    }
    free(owners->list);
    free(owners);
}

/* Each instance once: those of one instance follow each other. */
static void tell(struct owners *owners)
{
    struct span *names = mem_zero(owners->count + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < owners->count; i++) {
        struct span name = buf_span(&owners->list[i].instance);
        if (!owners->list[i].listed && (count == 0 || !span_equal(names[count - 1], name)))
            names[count++] = name;
    }
    inquiry_owners_told(owners->inquiries, owners->number, names, count);
    free(names);
    owners_free(owners);
}

static int by_pid(const void *a, const void *b)
{
    return span_compare(buf_span(&((const struct owner *)a)->pid), buf_span(&((const struct owner *)b)->pid));
}

static int by_instance(const void *a, const void *b)
{
    return span_compare(buf_span(&((const struct owner *)a)->instance), buf_span(&((const struct owner *)b)->instance));
}

static void next_page(struct owners *owners, struct span cursor);

static void listed(void *arg, const struct record_page *page)
{
    struct owners *owners = arg;
    if (page == NULL || !inquiry_is_asked(owners->inquiries, owners->number)) {
        owners_free(owners);
        return;
    }
    for (size_t i = 0; i < page->count; i++) {
        struct owner key = {0};
        buf_append(&key.pid, page->sockets[i].pid);
        struct owner *owner = bsearch(&key, owners->list, owners->count, sizeof key, by_pid);
        if (owner != NULL)
            owner->listed = true;
        buf_finish(&key.pid);
    }
    if (page->next.len > 0) {
        next_page(owners, page->next);
        return;
    }
    qsort(owners->list, owners->count, sizeof *owners->list, by_instance);
    tell(owners);
}

static void next_page(struct owners *owners, struct span cursor)
{
    record_list(hub_broker(owners->sessions->hub), cursor, listed, owners);
}

static void owners_told(void *arg, const struct mail_owner *told, size_t count)
{
    struct owners *owners = arg;
    if (told == NULL || !inquiry_is_asked(owners->inquiries, owners->number)) {
        owners_free(owners);
        return;
    }
    owners->list = mem_zero(count + 1, sizeof *owners->list);
    owners->count = count;
    for (size_t i = 0; i < count; i++) {
        buf_append(&owners->list[i].instance, told[i].instance);
        buf_append(&owners->list[i].pid, told[i].pid);
    }
    bool polls = broker_has_records(hub_broker(owners->sessions->hub));
    if (count > 0)
        qsort(owners->list, count, sizeof *owners->list, polls ? by_pid : by_instance);
    if (count > 0 && polls)
        next_page(owners, SPAN_LIT(""));
    else
        tell(owners);
}

void inquiry_owners_ask(struct inquiries *inquiries, struct sessions *sessions, uint64_t number,
                        const struct span *heard, size_t count)
{
    struct owners *owners = mem_zero(1, sizeof *owners);
    *owners = (struct owners){.inquiries = inquiries, .sessions = sessions, .number = number};
    mail_owners(hub_broker(sessions->hub), heard, count, owners_told, owners);
}
