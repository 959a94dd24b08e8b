/* page: a run of a room's log that was read once and is shared by all who need it.
 *
 * Members that resume or join at the same time need the same entries: they wait for the same read, and the entries'
 * encoded frames are shared too. A page that lies around a position serves it even if it begins earlier. */
#ifndef SENNIT_HUB_PAGE_H
#define SENNIT_HUB_PAGE_H

#include "hub/hub.h"

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
    uint64_t position;   /* up to there it tells of all that may be read */
    uint64_t last;       /* seq of the room's newest entry when it was read */
    uint64_t shown;      /* likewise, as the feed had shown it when it was asked for; more than `last`: it is gone */
    size_t count, bytes; /* bytes: as the cache counts them, without frames */
};

/* The page to read behind `after`, loading or loaded, with a reference for the caller. */
struct page *page_get(struct room *room, uint64_t after);
/* The log's first page, read anew or just being read: what it began with earlier may be gone. */
struct page *page_get_oldest(struct room *room);
/* The newest `limit` entries, always read anew. */
struct page *page_get_newest(struct room *room, uint32_t limit);
void page_unref(struct page *page); /* accepts NULL */
/* Index of the first entry above `after`. */
uint32_t page_index(const struct page *page, uint64_t after);
/* Behind `pos`, where the entry `at` comes next on this page, something is gone from the log: it is not there though it
 * was when the page was asked for, or what comes next does not follow what is known to have been there. */
bool page_shows_loss(const struct page *page, uint32_t at, uint64_t pos, uint64_t known);
/* The room goes away: its pages are on their own. */
void page_room_gone(struct room *room);
/* Empties the cache: entries of another epoch would carry its token. */
void page_cache_clear(struct hub *hub);

#endif
