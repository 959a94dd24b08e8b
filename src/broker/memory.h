/* memory: the in-process broker, for one instance. Same promises, no durability. */
#ifndef SENNIT_BROKER_MEMORY_H
#define SENNIT_BROKER_MEMORY_H

#include "broker/broker.h"
#include "loop/loop.h"

/* `bounds` NULL: as if all were 0. */
struct broker *broker_memory_create(struct loop *loop, const struct broker_bounds *bounds);

#endif
