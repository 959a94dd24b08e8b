/* instance_calls: see instances.h. Here: what is asked of a broker, and the answers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"

const struct broker_retention not_logged = {0};

static struct list calls = {&calls, &calls};

struct call *call_begin(struct instance *by, const char *what)
{
    struct call *call = mem_zero(1, sizeof *call);
    call->by = by;
    call->what = what;
    list_init(&call->of_all);
    list_append(&calls, &call->of_all);
    by->calling = true;
    return call;
}

static struct call *call_made(struct call *call)
{
    call->by->calling = false;
    return call;
}

static void call_destroy(struct call *call)
{
    list_remove(&call->of_all);
    for (size_t i = 0; i < call->kept_count; i++)
        free(call->kept[i]);
    free(call->kept);
    free((void *)(uintptr_t)call->page.entries);
    free((void *)(uintptr_t)call->presence.members);
    free(call);
}

void calls_finish(void)
{
    char wrong[128] = "";
    list_each (node, &calls) {
        struct call *call = container_of(node, struct call, of_all);
        if (call->answers != 1)
            snprintf(wrong, sizeof wrong, "%s was answered %d times", call->what, call->answers);
        call_destroy(call);
    }
    if (wrong[0] != '\0')
        fail_msg("%s", wrong);
}

static struct span kept(struct call *call, struct span text)
{
    call->kept = mem_resize(call->kept, (call->kept_count + 1) * sizeof *call->kept);
    call->kept[call->kept_count] = mem_alloc(text.len + 1);
    if (text.len != 0)
        memcpy(call->kept[call->kept_count], text.data, text.len);
    return span_of(call->kept[call->kept_count++], text.len);
}

static void answered(struct call *call, enum broker_result result)
{
    call->result = result;
    call->at_ms = now_ms();
    call->told_before = call->by->told_count;
    if (++call->answers > 1)
        instances_complain(call->by, "%s was answered twice", call->what);
    if (call->by->calling)
        instances_complain(call->by, "%s was answered before the call returned", call->what);
}

static void on_done(void *arg, enum broker_result result)
{
    answered(arg, result);
}

static void page_keep(struct call *call, const struct broker_page *page)
{
    struct broker_entry *entries = mem_zero(page->count, sizeof *entries);
    for (size_t i = 0; i < page->count; i++) {
        entries[i] = page->entries[i];
        entries[i].room = kept(call, page->entries[i].room);
        entries[i].audience = kept(call, page->entries[i].audience);
        entries[i].body = kept(call, page->entries[i].body);
    }
    call->page = *page;
    call->page.entries = entries;
}

static void on_read(void *arg, enum broker_result result, const struct broker_page *page)
{
    answered(arg, result);
    if (result == BROKER_OK)
        page_keep(arg, page);
}

static void on_claimed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    struct call *call = arg;
    answered(call, result);
    if (result != BROKER_OK)
        return;
    call->has_lease = true;
    call->position_ok = position_ok;
    call->lease = *lease;
    struct span *const texts[] = {&call->lease.pid, &call->lease.sid, &call->lease.own, &call->lease.rooms,
                                  &call->lease.data};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = kept(call, *texts[i]);
}

static void on_listed(void *arg, enum broker_result result, const struct broker_presence *presence)
{
    struct call *call = arg;
    answered(call, result);
    if (result != BROKER_OK)
        return;
    struct broker_present *members = mem_zero(presence->member_count, sizeof *members);
    for (size_t i = 0; i < presence->member_count; i++) {
        members[i].sid = kept(call, presence->members[i].sid);
        members[i].data = kept(call, presence->members[i].data);
    }
    call->presence = *presence;
    call->presence.members = members;
}

static void on_stats(void *arg, enum broker_result result, const struct broker_stats *got)
{
    struct call *call = arg;
    answered(call, result);
    if (result == BROKER_OK)
        call->stats = *got;
}

struct call *publish_with(struct instance *by, const struct broker_publish *what,
                          const struct broker_retention *retention)
{
    struct broker_publish whole = *what;
    whole.retention = retention == NULL ? &keep : retention == NOT_LOGGED ? NULL : retention;
    struct call *call = call_begin(by, "publish");
    bool taken = broker_publish(by->broker, &whole, on_done, call);
    call_made(call);
    if (taken)
        return call;
    call_destroy(call);
    return NULL;
}

struct call *publish(struct instance *by, const char *room, const char *body)
{
    return publish_with(by, &(struct broker_publish){.room = span_str(room), .body = span_str(body)}, NULL);
}

struct call *publish_now(struct instance *by, const char *room, const char *body)
{
    struct call *call = publish(by, room, body);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    return call;
}

void subscribe(struct instance *by, const char *room)
{
    struct seen *seen = instance_seen(by, span_str(room));
    by->calling = true;
    broker_subscribe(by->broker, span_str(room));
    by->calling = false;
    seen->wanted = by->up;
    seen->pending += by->up;
}

void unsubscribe(struct instance *by, const char *room)
{
    struct seen *seen = instance_seen(by, span_str(room));
    by->calling = true;
    broker_unsubscribe(by->broker, span_str(room));
    by->calling = false;
    seen->wanted = seen->known = false;
}

void subscribe_now(struct instance *by, const char *room)
{
    size_t before = told_count(by, TOLD_SUBSCRIBED, room);
    subscribe(by, room);
    AWAIT(told_count(by, TOLD_SUBSCRIBED, room) > before);
}

struct call *read_range(struct instance *by, struct span room, const struct broker_range *range)
{
    struct call *call = call_begin(by, "read");
    broker_read(by->broker, room, range, on_read, call);
    return call_made(call);
}

struct call *read_all(struct instance *by, const char *room)
{
    struct broker_entry *entries = NULL;
    size_t count = 0;
    struct broker_range range = {.limit = BROKER_READ_LIMIT_MAX};
    for (;;) {
        struct call *call = read_range(by, span_str(room), &range);
        AWAIT_ANSWER(call);
        assert_int_equal(call->result, BROKER_OK);
        size_t more = call->page.count;
        entries = mem_resize(entries, (count + more + 1) * sizeof *entries);
        if (more > 0)
            memcpy(entries + count, call->page.entries, more * sizeof *entries);
        count += more;
        if (more > 0)
            range.seq = entries[count - 1].seq;
        if (more > 0 && range.seq < call->page.last)
            continue;
        free((void *)(uintptr_t)call->page.entries);
        call->page.entries = entries;
        call->page.count = count;
        return call;
    }
}

struct call *lease_write(struct instance *by, const struct broker_lease *lease)
{
    struct call *call = call_begin(by, "lease_write");
    broker_lease_write(by->broker, lease, on_done, call);
    return call_made(call);
}

struct call *lease_claim(struct instance *by, const char *pid, const char *epoch, uint64_t seq)
{
    struct call *call = call_begin(by, "lease_claim");
    broker_lease_claim(by->broker, span_str(pid), span_str(epoch), seq, on_claimed, call);
    return call_made(call);
}

void lease_release(struct instance *by, const struct broker_lease *lease, bool for_good)
{
    by->calling = true;
    broker_lease_release(by->broker, lease, for_good);
    by->calling = false;
}

struct call *lease_take(struct instance *by, const char *pid, uint64_t generation)
{
    struct call *call = call_begin(by, "lease_take");
    broker_lease_take(by->broker, span_str(pid), generation, on_claimed, call);
    return call_made(call);
}

struct call *lease_lapsed(struct instance *by, const char *watch)
{
    struct call *call = call_begin(by, "lease_lapsed");
    broker_lease_lapsed(by->broker, span_str(watch), on_claimed, call);
    return call_made(call);
}

struct call *lease_end(struct instance *by, const struct broker_lease *lease)
{
    struct call *call = call_begin(by, "lease_end");
    broker_lease_end(by->broker, lease, on_done, call);
    return call_made(call);
}

static void enter_with(struct instance *by, const char *room, const struct broker_present *who)
{
    by->calling = true;
    broker_present_enter(by->broker, span_str(room), who);
    by->calling = false;
}

void enter_with_data(struct instance *by, const char *room, const char *sid, const char *data)
{
    enter_with(by, room, &(struct broker_present){.sid = span_str(sid), .data = span_str(data), .generation = 1});
}

void enter_as(struct instance *by, const char *room, const char *sid, uint64_t generation)
{
    char data[24];
    snprintf(data, sizeof data, "%llu", (unsigned long long)generation);
    enter_with(by, room,
               &(struct broker_present){.sid = span_str(sid), .data = span_str(data), .generation = generation});
}

void enter(struct instance *by, const char *room, const char *sid)
{
    enter_with_data(by, room, sid, "{}");
}

void leave(struct instance *by, const char *room, const char *sid, bool may_return)
{
    by->calling = true;
    broker_present_leave(by->broker, span_str(room), span_str(sid), may_return);
    by->calling = false;
}

struct call *list(struct instance *by, const char *room, uint64_t cursor, uint32_t limit)
{
    struct call *call = call_begin(by, "present_list");
    broker_present_list(by->broker, span_str(room), cursor, limit, on_listed, call);
    return call_made(call);
}

bool list_has(const struct call *call, const char *sid)
{
    for (size_t i = 0; i < call->presence.member_count; i++)
        if (span_equal(call->presence.members[i].sid, span_str(sid)))
            return true;
    return false;
}

struct call *stats(struct instance *by)
{
    struct call *call = call_begin(by, "stats");
    broker_stats(by->broker, on_stats, call);
    return call_made(call);
}

struct call *probe(struct instance *by)
{
    struct call *call = call_begin(by, "probe");
    broker_probe(by->broker, on_done, call);
    return call_made(call);
}
