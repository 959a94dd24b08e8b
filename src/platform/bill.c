/* bill: accounts hand over what their meters have measured. */
#include "platform/bill.h"

#include "base/log.h"
#include "loop/loop.h"

static uint64_t now_us(const struct bill *bill)
{
    return loop_now_us(bill->loop) * bill->time_scale;
}

static struct account *account_of(struct list *node)
{
    return container_of(node, struct account, of_bill);
}

/* Hands over what is due, to the sum and to the ledger. */
static void settle(struct account *account)
{
    struct bill *bill = account->bill;
    struct ledger_line line = {
        .service = bill->service, .revision = account->revision, .instance = account->instance, .kind = account->kind};
    uint64_t ms = meter_take(&account->meter, now_us(bill));
    account->settled_us = loop_now_us(bill->loop);
    if (ms == 0 && account->requests == 0)
        return;
    used_add(&line.used, ms, account->cpu_milli, account->mib, account->requests);
    account->requests = 0;
    used_add(&bill->settled.kinds[account->kind], ms, account->cpu_milli, account->mib, line.used.requests);
    if (bill->ledger != NULL)
        ledger_add(bill->ledger, &line);
}

static void on_tick(struct timer *timer)
{
    struct bill *bill = container_of(timer, struct bill, tick);
    list_each (node, &bill->accounts) {
        struct account *account = account_of(node);
        bool is_open = account->meter.runs || account->meter.count > 0;
        if (!is_open || loop_now_us(bill->loop) - account->settled_us >= LOOP_MS(BILL_OPEN_MS))
            settle(account);
    }
    if (!list_empty(&bill->accounts))
        timer_start(bill->loop, timer, LOOP_MS(BILL_TICK_MS));
}

void bill_init(struct bill *bill, struct loop *loop, uint32_t time_scale)
{
    *bill = (struct bill){.loop = loop, .time_scale = time_scale > 0 ? time_scale : 1};
    list_init(&bill->accounts);
    timer_init(&bill->tick, on_tick);
    prices_load(&bill->prices);
}

void bill_start(struct bill *bill)
{
    bill->since_us = now_us(bill);
}

void bill_finish(struct bill *bill)
{
    if (bill->loop != NULL)
        timer_stop(bill->loop, &bill->tick);
}

struct usage bill_usage(const struct bill *bill, double *passed_s)
{
    struct usage usage = bill->settled;
    list_each (node, &bill->accounts) {
        struct account now = *account_of(node);
        used_add(&usage.kinds[now.kind], meter_take(&now.meter, now_us(bill)), now.cpu_milli, now.mib, now.requests);
    }
    *passed_s = bill->since_us == 0 ? 0 : (double)(now_us(bill) - bill->since_us) / 1e6;
    return usage;
}

double bill_month_usd(double usd, double passed_s)
{
    return passed_s > 0 ? usd / passed_s * PRICES_MONTH_S : 0;
}

void bill_encode(struct buf *to, const struct bill *bill)
{
    double passed_s;
    struct usage usage = bill_usage(bill, &passed_s);
    struct used total = usage_total(&usage);
    double usd = prices_usd(&bill->prices, &usage, false);
    buf_printf(to, "{\"passed_s\":%.3f,\"kinds\":{", passed_s);
    for (int i = 0; i < METER_KINDS; i++)
        buf_printf(to, "%s\"%s\":%llu", i > 0 ? "," : "", meter_kind_name((enum meter_kind)i),
                   (unsigned long long)usage.kinds[i].ms);
    buf_printf(to,
               "},\"billable_ms\":%llu,\"vcpu_seconds\":%.6f,\"gib_seconds\":%.6f,\"requests\":%llu,\"usd\":%.9f,"
               "\"usd_month\":%.9f,\"prices\":\"" SPAN_FMT "\"}",
               (unsigned long long)total.ms, (double)total.vcpu_us / 1e6, (double)total.mib_ms / 1024e3,
               (unsigned long long)total.requests, usd, bill_month_usd(usd, passed_s), SPAN_ARG(bill->prices.date));
}

void bill_tell(const struct bill *bill)
{
    double passed_s;
    char worth[USD_TEXT_MAX], month[USD_TEXT_MAX];
    struct usage usage = bill_usage(bill, &passed_s);
    struct used total = usage_total(&usage);
    if (bill->since_us == 0)
        return;
    double usd = prices_usd(&bill->prices, &usage, false);
    usd_print(worth, usd);
    usd_print(month, bill_month_usd(usd, passed_s));
    log_event(LOG_INFO, "what this would have cost on Cloud Run, and a month at this rate",
              LOG_C("service", bill->service), LOG_N("passed_s", passed_s), LOG_N("billable_ms", total.ms),
              LOG_N("requests", total.requests), LOG_C("usd", worth), LOG_C("usd_month", month),
              LOG_S("region", bill->prices.region), LOG_S("prices_of", bill->prices.date));
}

void account_begin(struct account *account, struct bill *bill, enum meter_kind kind, struct account_size size,
                   const char *revision, const char *instance)
{
    if (bill == NULL)
        return;
    *account = (struct account){
        .bill = bill,
        .kind = kind,
        .meter = {.ms_min = kind == METER_INSTANCE ? METER_INSTANCE_MS_MIN : 0},
        .cpu_milli = size.cpu_milli != 0 ? size.cpu_milli : BILL_CPU_MILLI,
        .mib = size.memory_bytes != 0 ? (uint32_t)(size.memory_bytes >> 20) : BILL_MIB,
        .revision = revision,
        .instance = instance,
        .settled_us = loop_now_us(bill->loop),
    };
    list_append(&bill->accounts, &account->of_bill);
    if (kind != METER_IDLE)
        meter_run(&account->meter, now_us(bill));
    if (!timer_running(&bill->tick))
        timer_start(bill->loop, &bill->tick, LOOP_MS(BILL_TICK_MS));
}

void account_run(struct account *account, bool is_billed)
{
    if (account->bill == NULL)
        return;
    if (is_billed)
        meter_run(&account->meter, now_us(account->bill));
    else
        meter_rest(&account->meter, now_us(account->bill));
}

void account_idle(struct account *account, uint32_t count)
{
    if (account->bill != NULL && account->meter.count != count)
        meter_count(&account->meter, count, now_us(account->bill));
}

void account_request(struct account *account)
{
    account->requests += account->bill != NULL;
}

void account_end(struct account *account)
{
    if (account->bill == NULL)
        return;
    meter_rest(&account->meter, now_us(account->bill));
    settle(account);
    list_remove(&account->of_bill);
    account->bill = NULL;
}
