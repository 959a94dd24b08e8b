/* resp_hiredis: the differences between the hiredis of Debian 12 (0.14) and of later ones (1.x). For resp.c only.
 *
 * The later ones know RESP3, which we never ask a server for: its types are refused, as the earlier one refuses
 * them. */
#ifndef SENNIT_WIRE_RESP_HIREDIS_H
#define SENNIT_WIRE_RESP_HIREDIS_H

#include <hiredis/hiredis.h>

#if HIREDIS_MAJOR >= 1

typedef size_t hiredis_count;

/* The type of the item under way, or -1. */
static inline int hiredis_type_awaited(const redisReader *in)
{
    return in->ridx >= 0 ? in->task[in->ridx]->type : -1;
}

static inline void *hiredis_double_refuse(const redisReadTask *task, double value, char *text, size_t len)
{
    return NULL;
}

static inline void *hiredis_bool_refuse(const redisReadTask *task, int value)
{
    return NULL;
}

/* The remaining members of redisReplyObjectFunctions. */
#define HIREDIS_REST(free_function) \
    .freeObject = free_function, .createDouble = hiredis_double_refuse, .createBool = hiredis_bool_refuse

#else

typedef int hiredis_count;

static inline int hiredis_type_awaited(const redisReader *in)
{
    return in->ridx >= 0 ? in->rstack[in->ridx].type : -1;
}

#define HIREDIS_REST(free_function) .freeObject = free_function

#endif

#endif
