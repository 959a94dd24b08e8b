/* list: an intrusive, circular, doubly linked list.
 *
 * The node is embedded in what is listed; container_of comes back. A node that is in no list points at itself, so
 * removing twice is harmless. A head is a node of its own. */
#ifndef SENNIT_BASE_LIST_H
#define SENNIT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *node)
{
    node->next = node->prev = node;
}

/* True for a head with nothing in it and for a node in no list. */
static inline bool list_empty(const struct list *node)
{
    return node->next == node;
}

/* Puts `node`, which is in no list, at the end of `head`. */
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Puts `node`, which is in no list, at the front of `head`. */
static inline void list_prepend(struct list *head, struct list *node)
{
    list_append(head->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Takes the first node out and returns it, or NULL. */
static inline struct list *list_take(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/* Walks a list whose current node may be removed in the body, and no other. */
#define list_each(node, head) \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)

#endif
