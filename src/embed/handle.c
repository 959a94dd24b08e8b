/* handle: the table of a thread's handles. */
#include "embed/handle.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

enum { LINES_A_SECOND = 10, INDEX_BITS = 24 };

#define NUMBER_MASK (UINT64_MAX >> (INDEX_BITS + 1))

struct slot {
    void *object; /* NULL: free */
    uint64_t number;
    enum handle_kind kind;
    uint32_t next_free; /* index + 1 */
};

/* A handle is `number << 25 | index << 1 | 1`: odd, so that it looks like no address of ours. */
static _Thread_local struct {
    struct slot *slots;
    uint32_t count, cap, used, first_free;
    int64_t second; /* of the lines about misuse */
    uint32_t lines, silent;
} handles;

/* Of all threads together: two of them may stand at the same index, and must not have one number there. */
static _Atomic uint64_t numbers;

static uint32_t slot_take(void)
{
    if (handles.first_free != 0) {
        uint32_t at = handles.first_free - 1;
        handles.first_free = handles.slots[at].next_free;
        return at;
    }
    if (handles.count == handles.cap) {
        handles.cap = handles.cap != 0 ? handles.cap * 2 : 64;
        handles.slots = mem_resize(handles.slots, handles.cap * sizeof *handles.slots);
    }
    return handles.count++;
}

void *handle_create(enum handle_kind kind, void *object)
{
    uint32_t at = slot_take();
    uint64_t number = (atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1) & NUMBER_MASK;
    handles.used++;
    handles.slots[at] = (struct slot){.object = object, .number = number, .kind = kind};
    return (void *)(uintptr_t)(number << (INDEX_BITS + 1) | (uint64_t)at << 1 | 1);
}

static struct slot *slot_of(const void *handle)
{
    uint64_t value = (uint64_t)(uintptr_t)handle, at = value >> 1 & ((UINT64_C(1) << INDEX_BITS) - 1);
    if ((value & 1) == 0 || at >= handles.count || handles.slots[at].object == NULL ||
        handles.slots[at].number != value >> (INDEX_BITS + 1))
        return NULL;
    return &handles.slots[at];
}

void handle_end(const void *handle)
{
    struct slot *slot = slot_of(handle);
    if (slot == NULL)
        return;
    slot->object = NULL;
    slot->next_free = handles.first_free;
    handles.first_free = (uint32_t)(slot - handles.slots) + 1;
    if (--handles.used > 0)
        return;
    free(handles.slots); /* nothing stays behind the last server */
    handles.slots = NULL;
    handles.count = handles.cap = handles.first_free = 0;
}

void *handle_peek(const void *handle, enum handle_kind kind)
{
    struct slot *slot = slot_of(handle);
    return slot != NULL && slot->kind == kind ? slot->object : NULL;
}

void *handle_object(const void *handle, enum handle_kind kind, const char *call)
{
    void *object = handle_peek(handle, kind);
    if (object == NULL)
        handle_misused(call, handle == NULL            ? "the handle is NULL"
                             : slot_of(handle) != NULL ? "the handle is of another kind"
                                                       : "the handle has ended, or is of another thread");
    return object;
}

void handle_told(const char *what, const char *call, const char *why)
{
    int64_t second = loop_clock_ms() / 1000;
    if (second != handles.second) {
        if (handles.silent > 0)
            log_event(LOG_WARNING, "more was to be said of calls", LOG_N("lines", handles.silent));
        handles.second = second;
        handles.lines = handles.silent = 0;
    }
    if (handles.lines == LINES_A_SECOND) {
        handles.silent++;
        return;
    }
    handles.lines++;
    log_event(LOG_WARNING, what, LOG_C("call", call), LOG_C("why", why));
}

void handle_misused(const char *call, const char *why)
{
    handle_told("a call did nothing", call, why);
}
