/* prices: reads the table, and multiplies. */
#include "platform/prices.h"

#include <assert.h>
#include <stdio.h>

#include "prices_table.h"
#include "wire/json.h"

static uint64_t number(struct span object, const char *name)
{
    uint64_t value = 0;
    bool ok = span_to_u64(json_object_get(object, span_str(name)), &value);
    assert(ok);
    (void)ok;
    return value;
}

static struct span text(struct span object, const char *name)
{
    struct span value = json_object_get(object, span_str(name));
    return span_sub(value, 1, value.len - 2);
}

void prices_load(struct prices *prices)
{
    struct span table = json_trim(span_str(prices_table_prices));
    *prices =
        (struct prices){.date = text(table, "date"), .region = text(table, "region"), .source = text(table, "source")};
    for (int i = 0; i < METER_KINDS; i++) {
        struct span row = json_object_get(table, span_str(meter_kind_name((enum meter_kind)i)));
        prices->kinds[i] = (struct price){
            .vcpu_second = number(row, "vcpu_second"),
            .gib_second = number(row, "gib_second"),
            .request = number(row, "request"),
            .free_vcpu_seconds = number(row, "free_vcpu_seconds"),
            .free_gib_seconds = number(row, "free_gib_seconds"),
            .free_requests = number(row, "free_requests"),
        };
    }
}

static double paid(double used, uint64_t free, bool with_free)
{
    double rest = used - (with_free ? (double)free : 0);
    return rest > 0 ? rest : 0;
}

double prices_usd(const struct prices *prices, const struct usage *usage, bool with_free)
{
    double nano = 0;
    for (int i = 0; i < METER_KINDS; i++) {
        const struct price *price = &prices->kinds[i];
        const struct used *used = &usage->kinds[i];
        nano += paid((double)used->vcpu_us / 1e6, price->free_vcpu_seconds, with_free) * (double)price->vcpu_second;
        nano += paid((double)used->mib_ms / 1024e3, price->free_gib_seconds, with_free) * (double)price->gib_second;
        nano += paid((double)used->requests, price->free_requests, with_free) * (double)price->request;
    }
    return nano / 1e9;
}

void usd_print(char text[USD_TEXT_MAX], double usd)
{
    int digits = usd >= 10 ? 2 : usd >= 0.1 ? 4 : 8;
    snprintf(text, USD_TEXT_MAX, "%.*f", digits, usd);
}
