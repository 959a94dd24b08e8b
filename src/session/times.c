/* times: three lists of sessions, two heaps, one timer. */
#include "session/times.h"

#include <assert.h>

#include "session/session.h"

static struct session *first_of(const struct times *times, enum times_list which)
{
    const struct list *list = &times->lists[which];
    return list_empty(list) ? NULL : container_of(list->next, struct session, of_all);
}

static uint64_t beat_due_us(const struct sessions *sessions, enum times_list which)
{
    uint64_t period_ms = which == TIMES_RESTING ? sessions->limits.ping_interval_ms : sessions->limits.ping_timeout_ms;
    const struct session *first = first_of(&sessions->times, which);
    return first != NULL ? first->pinged_us + LOOP_MS(period_ms) : UINT64_MAX;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When the first heartbeat is due. */
static uint64_t next_beat_us(const struct sessions *sessions)
{
    return earlier(earlier(beat_due_us(sessions, TIMES_RESTING), beat_due_us(sessions, TIMES_ASKED)),
                   due_heap_next_us(&sessions->times.apart));
}

/* The timer waits for what is due first. */
static void timer_set(struct sessions *sessions)
{
    struct times *times = &sessions->times;
    uint64_t due_us = earlier(next_beat_us(sessions), due_heap_next_us(&times->deadlines));
    if (due_us == times->due_us)
        return;
    times->due_us = due_us;
    uint64_t now_us = loop_now_us(sessions->loop);
    if (due_us == UINT64_MAX)
        timer_stop(sessions->loop, &times->timer);
    else
        timer_start(sessions->loop, &times->timer, due_us > now_us ? due_us - now_us : 0);
}

static void list_as(struct session *session, enum times_list which)
{
    list_remove(&session->of_all);
    list_append(&session->sessions->times.lists[which], &session->of_all);
    if (session->extra != NULL)
        due_heap_remove(&session->sessions->times.apart, &session->extra->beat);
}

void times_rest(struct session *session)
{
    list_as(session, TIMES_RESTING);
    timer_set(session->sessions);
}

void times_ask(struct session *session)
{
    list_as(session, TIMES_ASKED);
    timer_set(session->sessions);
}

void times_beat_at(struct session *session, uint64_t due_us)
{
    list_as(session, TIMES_APART);
    if (due_us != UINT64_MAX)
        due_heap_put(&session->sessions->times.apart, &session_extra(session)->beat, due_us);
    timer_set(session->sessions);
}

void times_deadline_at(struct session *session, uint64_t due_us)
{
    struct times *times = &session->sessions->times;
    if (due_us != UINT64_MAX)
        due_heap_put(&times->deadlines, &session->deadline, due_us);
    else
        due_heap_remove(&times->deadlines, &session->deadline);
    timer_set(session->sessions);
}

/* The session whose heartbeat is due first, if it is due by `now_us`; it is APART then. */
static struct session *beat_take(struct sessions *sessions, uint64_t now_us)
{
    struct times *times = &sessions->times;
    struct session *session;
    uint64_t due_us = next_beat_us(sessions);
    if (due_us > now_us || due_us > due_heap_next_us(&times->deadlines))
        return NULL;
    if (due_us == due_heap_next_us(&times->apart))
        return container_of(due_heap_take(&times->apart, now_us), struct session_extra, beat)->session;
    session = first_of(times, due_us == beat_due_us(sessions, TIMES_RESTING) ? TIMES_RESTING : TIMES_ASKED);
    list_as(session, TIMES_APART);
    return session;
}

/* What is due is taken away first, for what is done may set it anew, or end the session. */
static void time_came(struct timer *timer)
{
    struct sessions *sessions = container_of(timer, struct sessions, times.timer);
    uint64_t now_us = loop_now_us(sessions->loop);
    uint32_t *deadline = NULL;
    struct session *session;
    sessions->times.due_us = UINT64_MAX;
    while ((session = beat_take(sessions, now_us)) != NULL ||
           (deadline = due_heap_take(&sessions->times.deadlines, now_us)) != NULL) {
        if (session != NULL)
            session_beat_due(session);
        else
            session_deadline_due(container_of(deadline, struct session, deadline));
    }
    timer_set(sessions);
}

void times_begin(struct session *session)
{
    list_init(&session->of_all);
    list_append(&session->sessions->times.lists[TIMES_APART], &session->of_all);
}

void times_end(struct session *session)
{
    times_beat_at(session, UINT64_MAX);
    times_deadline_at(session, UINT64_MAX);
    list_remove(&session->of_all);
}

/* The lists are walked one after the other. */
struct session *sessions_next(const struct sessions *sessions, const struct session *after)
{
    const struct list *lists = sessions->times.lists;
    const struct list *node = after != NULL ? after->of_all.next : lists[0].next;
    for (int i = 0; i < TIMES_LISTS; i++)
        if (node == &lists[i])
            node = i + 1 < TIMES_LISTS ? lists[i + 1].next : NULL;
    return node != NULL ? container_of(node, struct session, of_all) : NULL;
}

void times_init(struct sessions *sessions)
{
    struct times *times = &sessions->times;
    for (int i = 0; i < TIMES_LISTS; i++)
        list_init(&times->lists[i]);
    timer_init(&times->timer, time_came);
    times->due_us = UINT64_MAX;
}

void times_finish(struct sessions *sessions)
{
    assert(sessions_next(sessions, NULL) == NULL);
    timer_stop(sessions->loop, &sessions->times.timer);
    due_heap_finish(&sessions->times.apart);
    due_heap_finish(&sessions->times.deadlines);
}
