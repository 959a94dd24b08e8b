/* page: a run of a room's log, read once and shared by all members that need it.
 *
 * Members that resume or join at the same time need the same entries. They wait for the same read, and share the
 * entries' encoded frames too. A page that contains a position serves it, even if the page begins earlier. Used by the
 * hub only; pages are counted, and a cache keeps recent ones. */
#ifndef SENNIT_HUB_PAGE_H
#define SENNIT_HUB_PAGE_H

#include "hub/hub_parts.h"

struct page {
    struct list of_room;
    struct list of_hub; /* in the cache */
    struct list waiters;
    struct hub *hub;
    struct room *room; /* NULL once the room is gone */
    uint32_t refs;
    uint64_t after;
    bool newest, loading, failed;
    struct entry **entries;
    uint64_t position;   /* up to this seq it has every readable entry */
    uint64_t last;       /* seq of the room's newest entry when it was read */
    uint64_t shown;      /* the newest that the feed had shown when it was requested; above `last`: that one is gone */
    size_t count, bytes; /* bytes: as the cache counts them, without frames */
};

/* The page to read behind `after`, loading or loaded. The caller owns a reference. */
struct page *page_get(struct room *room, uint64_t after);
/* The same, always read from now on: it knows of every entry that was accepted before. */
struct page *page_get_now(struct room *room, uint64_t after);
/* The log's first page, read anew or being read now: a cached one may begin with entries that are gone. */
struct page *page_get_oldest(struct room *room);
/* The newest `limit` entries, always read anew. */
struct page *page_get_newest(struct room *room, uint32_t limit);
void page_unref(struct page *page); /* accepts NULL */
/* Index of the first entry above `after`. */
uint32_t page_index(const struct page *page, uint64_t after);
/* Whether this page proves that an entry behind `pos` is gone from the log; `at` is the page's next entry. Either an
 * entry that existed when the page was requested is missing, or the next entry does not follow the `known` one. A page
 * read before an entry arrived proves nothing about that entry. */
bool page_shows_loss(const struct page *page, uint32_t at, uint64_t pos, uint64_t known);
/* The room is destroyed: its pages live on without it until their last reference goes. */
void page_room_gone(struct room *room);
/* Empties the cache, because its entries carry tokens of another epoch. */
void page_cache_clear(struct hub *hub);

#endif
