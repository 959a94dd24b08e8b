/* memory: the in-process broker, for one instance. It keeps the promises of broker.h except durability. */
#ifndef SENNIT_BROKER_MEMORY_H
#define SENNIT_BROKER_MEMORY_H

#include "broker/broker.h"
#include "loop/loop.h"

/* `bounds` NULL: all defaults. */
struct broker *broker_memory_create(struct loop *loop, const struct broker_bounds *bounds);

#endif
