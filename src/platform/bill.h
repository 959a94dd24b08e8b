/* bill: what one service has used since it started, and what that is worth. Each live instance has an account in it,
 * and so have the idle ones of a fleet with minScale; it measures by the platform's clock (--time-scale) and writes the
 * ledger's lines. The service owns the bill, instances and fleets own their accounts. */
#ifndef SENNIT_PLATFORM_BILL_H
#define SENNIT_PLATFORM_BILL_H

#include "base/list.h"
#include "platform/ledger.h"
#include "platform/prices.h"

enum {
    BILL_TICK_MS = 1000,   /* closed intervals are in the ledger after this time, */
    BILL_OPEN_MS = 60000,  /* and what passed of open ones after this; an instance's end writes all at once */
    BILL_CPU_MILLI = 1000, /* of an instance whose file has no limits, as Cloud Run has it */
    BILL_MIB = 512,
};

struct bill {
    struct loop *loop;
    struct ledger *ledger; /* set by the owner; NULL: nothing is kept */
    const char *service;   /* likewise: its name */
    uint32_t time_scale;
    uint64_t since_us;    /* when the service started; 0: not yet */
    struct prices prices; /* read once */
    struct usage settled; /* what the accounts have handed over */
    struct list accounts;
    struct timer tick;
};

/* Zeroed memory is an account of nothing: all calls are harmless. */
struct account {
    struct bill *bill;
    struct list of_bill;
    struct meter meter;
    enum meter_kind kind;
    uint32_t cpu_milli, mib, requests; /* requests: not handed over yet */
    const char *revision, *instance;
    uint64_t settled_us; /* when it last handed over, by the loop's clock */
};

/* Of an instance of this size; 0: the defaults above. */
struct account_size {
    uint64_t memory_bytes;
    uint32_t cpu_milli;
};

void bill_init(struct bill *bill, struct loop *loop, uint32_t time_scale);
/* The service starts: the time begins that a month's cost is reckoned from. */
void bill_start(struct bill *bill);
/* Every account has ended. */
void bill_finish(struct bill *bill);
/* All that was used until now; `*passed_s`: seconds of the platform's clock since the start. */
struct usage bill_usage(const struct bill *bill, double *passed_s);
/* What a month at this rate costs. */
double bill_month_usd(double usd, double passed_s);
/* Appends a JSON object. */
void bill_encode(struct buf *to, const struct bill *bill);
/* Writes the sum into the log. */
void bill_tell(const struct bill *bill);

/* Harmless if `bill` is NULL. The time is billed from now on, except for METER_IDLE, where `instance` is NULL. The
 * names must outlive the account. */
void account_begin(struct account *account, struct bill *bill, enum meter_kind kind, struct account_size size,
                   const char *revision, const char *instance);
/* From now on the time is billed, or is not. */
void account_run(struct account *account, bool is_billed);
/* From now on `count` idle instances are billed, for METER_IDLE. */
void account_idle(struct account *account, uint32_t count);
void account_request(struct account *account);
/* The instance is gone. Later calls change nothing. */
void account_end(struct account *account);

#endif
