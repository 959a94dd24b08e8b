/* page: reading, caching and sharing of pages: which page serves a position, and when a page proves a loss. */
#include "hub/page.h"

#include <stdlib.h>

#include "base/mem.h"

static void page_destroy(struct page *page)
{
    for (size_t i = 0; i < page->count; i++)
        entry_unref(page->entries[i]);
    free(page->entries);
    list_remove(&page->of_room);
    if (page->bytes != 0) /* one that is still being read may outlive the hub */
        page->hub->page_bytes_alive -= page->bytes;
    free(page);
}

void page_unref(struct page *page)
{
    if (page != NULL && --page->refs == 0)
        page_destroy(page);
}

static void cache_drop(struct hub *hub, struct page *page)
{
    list_remove(&page->of_hub);
    hub->page_bytes -= page->bytes;
    page_unref(page);
}

static void cache_add(struct hub *hub, struct page *page)
{
    page->refs++;
    list_append(&hub->pages, &page->of_hub);
    hub->page_bytes += page->bytes;
    while (hub->page_bytes > HUB_PAGES_BYTES_MAX)
        cache_drop(hub, container_of(hub->pages.next, struct page, of_hub));
}

void page_cache_clear(struct hub *hub)
{
    list_each (node, &hub->pages) {
        struct page *page = container_of(node, struct page, of_hub);
        list_remove(&page->of_room);
        cache_drop(hub, page);
    }
}

void page_room_gone(struct room *room)
{
    list_each (node, &room->pages) {
        struct page *page = container_of(node, struct page, of_room);
        list_remove(&page->of_room);
        page->room = NULL;
        if (!list_empty(&page->of_hub))
            cache_drop(room->hub, page);
    }
}

static void page_loaded(void *arg, enum broker_result result, const struct broker_page *got)
{
    struct page *page = arg;
    page->loading = false;
    if (result != BROKER_OK || page->room == NULL) {
        page->failed = true;
        list_remove(&page->of_room);
    } else {
        page->last = got->last;
        page->position = got->position;
        page->entries = mem_zero(got->count, sizeof *page->entries);
        page->bytes = sizeof *page + got->count * (sizeof(struct entry) + sizeof(struct entry *));
        for (size_t i = 0; i < got->count; i++) {
            page->entries[page->count++] = entry_create(&got->entries[i]);
            page->bytes += got->entries[i].body.len + got->entries[i].audience.len;
        }
        page->hub->page_bytes_alive += page->bytes;
        if (!page->newest && page->count > 0)
            cache_add(page->hub, page);
    }
    struct list *node;
    while ((node = list_take(&page->waiters)) != NULL)
        membership_page_loaded(container_of(node, struct membership_round, waiter)->membership);
    page_unref(page);
}

static struct page *page_create(struct room *room, uint64_t after)
{
    struct page *page = mem_zero(1, sizeof *page);
    page->hub = room->hub;
    page->room = room;
    page->after = after;
    page->loading = true;
    page->shown = room->last;
    page->refs = 2; /* the caller's and the read's */
    list_init(&page->waiters);
    list_init(&page->of_hub);
    list_init(&page->of_room);
    room->hub->counters.reads++;
    return page;
}

/* A loading page may end below `after`; then the waiter looks again. */
static bool may_serve(const struct page *page, uint64_t after)
{
    if (page->newest || page->after > after)
        return false;
    return page->loading || (page->count > 0 && page->entries[page->count - 1]->seq > after);
}

static struct page *page_read(struct room *room, uint64_t after)
{
    struct page *page = page_create(room, after);
    list_append(&room->pages, &page->of_room);
    struct broker_range range = {.seq = after, .limit = HUB_PAGE_ENTRIES};
    broker_read(room->hub->broker, room->node.key, &range, page_loaded, page);
    return page;
}

static struct page *page_share_or_read(struct room *room, uint64_t after, bool loaded_too)
{
    list_each (node, &room->pages) {
        struct page *page = container_of(node, struct page, of_room);
        if (may_serve(page, after) && (page->loading || loaded_too)) {
            page->refs++;
            return page;
        }
    }
    return page_read(room, after);
}

struct page *page_get(struct room *room, uint64_t after)
{
    return page_share_or_read(room, after, true);
}

struct page *page_get_now(struct room *room, uint64_t after)
{
    return page_read(room, after);
}

struct page *page_get_oldest(struct room *room)
{
    return page_share_or_read(room, 0, false);
}

struct page *page_get_newest(struct room *room, uint32_t limit)
{
    struct page *page = page_create(room, 0);
    page->newest = true;
    list_append(&room->pages, &page->of_room);
    struct broker_range range = {.seq = UINT64_MAX, .back = true, .limit = limit};
    broker_read(room->hub->broker, room->node.key, &range, page_loaded, page);
    return page;
}

bool page_shows_loss(const struct page *page, uint32_t at, uint64_t pos, uint64_t known)
{
    if (at < page->count) {
        const struct entry *next = page->entries[at];
        return next->prev > pos || (next->seq > known && next->prev < known);
    }
    return page->after == pos && page->count == 0 && (page->last > pos || page->shown > pos);
}

uint32_t page_index(const struct page *page, uint64_t after)
{
    size_t low = 0, high = page->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (page->entries[middle]->seq > after)
            high = middle;
        else
            low = middle + 1;
    }
    return (uint32_t)low;
}
