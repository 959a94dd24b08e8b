/* meter: intervals, and their sums. */
#include "platform/meter.h"

static void accrue(struct meter *meter, uint64_t ms)
{
    if (ms <= meter->billed_ms)
        return;
    meter->due_ms += ms - meter->billed_ms;
    meter->billed_ms = ms;
}

void meter_run(struct meter *meter, uint64_t now_us)
{
    if (meter->runs)
        return;
    meter->runs = true;
    if (now_us < meter->since_us + meter->billed_ms * 1000)
        return; /* this moment is billed already */
    meter->since_us = now_us;
    meter->billed_ms = 0;
}

void meter_rest(struct meter *meter, uint64_t now_us)
{
    const uint64_t step_us = METER_STEP_MS * 1000;
    if (!meter->runs)
        return;
    meter->runs = false;
    uint64_t ms = (now_us - meter->since_us + step_us - 1) / step_us * METER_STEP_MS;
    accrue(meter, ms > meter->ms_min ? ms : meter->ms_min);
}

void meter_count(struct meter *meter, uint32_t count, uint64_t now_us)
{
    uint64_t us = meter->rest_us + (now_us - meter->counted_us) * meter->count;
    meter->due_ms += us / 1000;
    meter->rest_us = us % 1000;
    meter->counted_us = now_us;
    meter->count = count;
}

uint64_t meter_take(struct meter *meter, uint64_t now_us)
{
    meter_count(meter, meter->count, now_us);
    if (meter->runs)
        accrue(meter, (now_us - meter->since_us) / (METER_STEP_MS * 1000) * METER_STEP_MS);
    uint64_t due = meter->due_ms;
    meter->due_ms = 0;
    return due;
}

void used_add(struct used *used, uint64_t ms, uint32_t cpu_milli, uint32_t mib, uint64_t requests)
{
    used->ms += ms;
    used->vcpu_us += ms * cpu_milli;
    used->mib_ms += ms * mib;
    used->requests += requests;
}

static void sum(struct used *to, const struct used *from)
{
    to->ms += from->ms;
    to->vcpu_us += from->vcpu_us;
    to->mib_ms += from->mib_ms;
    to->requests += from->requests;
}

void usage_sum(struct usage *to, const struct usage *from)
{
    for (int i = 0; i < METER_KINDS; i++)
        sum(&to->kinds[i], &from->kinds[i]);
}

struct used usage_total(const struct usage *usage)
{
    struct used total = {0};
    for (int i = 0; i < METER_KINDS; i++)
        sum(&total, &usage->kinds[i]);
    return total;
}

const char *meter_kind_name(enum meter_kind kind)
{
    static const char *const names[METER_KINDS] = {"request", "instance", "idle"};
    return names[kind];
}
