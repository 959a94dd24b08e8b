/* meter: how long one instance is billed, and what a service has used. No clock and no file: the caller says what time
 * it is. Cloud Run bills an instance by one of two rules, and the kept idle ones of minScale by a third:
 *
 *   request    while it starts, serves at least one request, is probed, or stops; and each request
 *   instance   its whole life, at least a minute; requests are free (run.googleapis.com/cpu-throttling: "false")
 *   idle       the rest of the life of instances that minScale keeps
 *
 * Time is rounded up to 100 ms. An interval that begins before the last one's rounded end continues that one, so that
 * no moment is billed twice.
 */
#ifndef SENNIT_PLATFORM_METER_H
#define SENNIT_PLATFORM_METER_H

#include <stdbool.h>
#include <stdint.h>

enum meter_kind { METER_REQUEST, METER_INSTANCE, METER_IDLE, METER_KINDS };

enum { METER_STEP_MS = 100, METER_INSTANCE_MS_MIN = 60000 };

/* Zeroed memory is a meter that rests. */
struct meter {
    uint64_t since_us;  /* the interval's beginning */
    uint64_t billed_ms; /* of the interval: in `due_ms`, or taken */
    uint64_t due_ms;    /* not taken yet */
    uint64_t ms_min;    /* of an interval */
    bool runs;
    uint32_t count; /* of idle instances that are billed, since `counted_us` */
    uint64_t counted_us, rest_us;
};

/* An interval begins, or goes on. Harmless while it runs. */
void meter_run(struct meter *meter, uint64_t now_us);
/* It ends. Harmless while the meter rests. */
void meter_rest(struct meter *meter, uint64_t now_us);
/* From now on the meter counts the time of so many instances, without rounding: for METER_IDLE, instead of meter_run.
 */
void meter_count(struct meter *meter, uint32_t count, uint64_t now_us);
/* The milliseconds that became billable since the last call; of an open interval those of whole steps. */
uint64_t meter_take(struct meter *meter, uint64_t now_us);

/* Usage, by rule. */
struct used {
    uint64_t ms, vcpu_us, mib_ms, requests; /* vcpu_us: a vCPU for a microsecond; mib_ms: a MiB for a millisecond */
};
struct usage {
    struct used kinds[METER_KINDS];
};

/* An instance of this size was billed for `ms`, and got so many requests. */
void used_add(struct used *used, uint64_t ms, uint32_t cpu_milli, uint32_t mib, uint64_t requests);
void usage_sum(struct usage *to, const struct usage *from);
/* The sums over all rules. */
struct used usage_total(const struct usage *usage);

/* "request", "instance", "idle". */
const char *meter_kind_name(enum meter_kind kind);

#endif
