/* prices: Cloud Run's prices on one day in one region, from src/platform/prices.json, which is built in; and what a
 * usage is worth at them. No discounts, no network traffic, and the free tier only where it is asked for. */
#ifndef SENNIT_PLATFORM_PRICES_H
#define SENNIT_PLATFORM_PRICES_H

#include "base/span.h"
#include "platform/meter.h"

/* In billionths of a US dollar; `free_`: what is free in a month of one billing account. */
struct price {
    uint64_t vcpu_second, gib_second, request;
    uint64_t free_vcpu_seconds, free_gib_seconds, free_requests;
};

struct prices {
    struct price kinds[METER_KINDS];
    struct span date, region, source; /* static text, as JSON strings without their quotes */
};

enum { PRICES_MONTH_S = 30 * 24 * 3600, USD_TEXT_MAX = 32 };

void prices_load(struct prices *prices);
/* In US dollars. `with_free`: less a month's free tier, never below 0. */
double prices_usd(const struct prices *prices, const struct usage *usage, bool with_free);
/* With as many digits as tell something. */
void usd_print(char text[USD_TEXT_MAX], double usd);

#endif
