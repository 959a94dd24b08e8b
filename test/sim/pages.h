/* pages: compares the pages that a client reads of a room's log with the part of the truth that retention kept.
 *
 * Between asking and the answer entries are accepted and trimmed, so the page is to be one that could be read at some
 * moment between: nothing left out that was there all the while, nothing that was gone before it was asked for; `more`
 * and `gap` as honest as that. */
#ifndef SENNIT_SIM_PAGES_H
#define SENNIT_SIM_PAGES_H

#include "check.h"

enum { PAGE_AT_TEXT = 64, PAGE_BYTES_FULL = BROKER_PAGE_BYTES };

/* A page that was asked for. */
struct page_ask {
    uint32_t ack; /* 0: none is under way */
    int room;
    bool back;
    char at[PAGE_AT_TEXT]; /* empty: the newest */
    uint32_t limit;
    /* Rooms that it has asked to leave, and to join: its instance may know before its lease does. */
    uint16_t leaving, joining;
    /* How things stood then. */
    uint64_t us;
    size_t count; /* of the room's log */
    uint64_t oldest;
    uint16_t epoch, epoch_count;
};

/* How things stand; the rest is filled in. */
void page_asked(struct check *check, struct page_ask *ask);
/* The answer, with the first and last position of what it holds (as `ask->at`; empty: nothing). Returns whether there
 * is more. */
bool page_answered(struct check *check, const struct witness *witness, const struct page_ask *ask, struct span answer,
                   char first[PAGE_AT_TEXT], char last[PAGE_AT_TEXT]);

#endif
