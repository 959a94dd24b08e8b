/* cmd_bill: `sennit bill`, which sums the ledger of `sennit up`. It reads the file, so nothing has to run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/shown.h"
#include "cli/cli.h"
#include "loop/file.h"
#include "platform/catalog.h"
#include "platform/ledger.h"

enum { KEY_STATE = 256, KEY_FREE_TIER, DAY_TEXT_BYTES = 16 };

struct arguments {
    const char *state, *name;
    bool free_tier;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_STATE:
        arguments->state = argument;
        break;
    case KEY_FREE_TIER:
        arguments->free_tier = true;
        break;
    case ARGP_KEY_ARG:
        cli_one_take(&arguments->name, argument, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* `format` of strftime for a day since 1970. */
static void day_print(char text[DAY_TEXT_BYTES], const char *format, int64_t day)
{
    struct tm parts;
    time_t seconds = (time_t)(day * (LEDGER_DAY_MS / 1000));
    gmtime_r(&seconds, &parts);
    if (strftime(text, DAY_TEXT_BYTES, format, &parts) == 0)
        text[0] = '\0';
}

static void row_print(const char *service, const char *day, const struct usage *usage, double usd)
{
    struct used total = usage_total(usage);
    struct buf shown = {0};
    char worth[USD_TEXT_MAX];
    usd_print(worth, usd);
    shown_append(&shown, span_str(service), SIZE_MAX);
    printf("%-24.*s %-10s %12.1f %14.1f %14.1f %12llu %14s\n", SPAN_ARG(buf_span(&shown)), day, (double)total.ms / 1e3,
           (double)total.vcpu_us / 1e6, (double)total.mib_ms / 1024e3, (unsigned long long)total.requests, worth);
    buf_finish(&shown);
}

/* What the free tier takes off: it counts by month, for all services together. */
static double free_usd(const struct prices *prices, const struct ledger_rows *rows, const char *name)
{
    double usd = 0;
    char months[2][DAY_TEXT_BYTES];
    for (size_t i = 0; i < rows->count; i++) {
        struct usage month = {0};
        bool is_first = true;
        day_print(months[0], "%Y-%m", rows->list[i].day);
        for (size_t k = 0; k < rows->count; k++) {
            day_print(months[1], "%Y-%m", rows->list[k].day);
            if (strcmp(months[0], months[1]) != 0 || (name != NULL && strcmp(rows->list[k].service, name) != 0))
                continue;
            is_first = is_first && k >= i;
            usage_sum(&month, &rows->list[k].usage);
        }
        if (is_first && (name == NULL || strcmp(rows->list[i].service, name) == 0))
            usd += prices_usd(prices, &month, false) - prices_usd(prices, &month, true);
    }
    return usd;
}

static void bill_print(const struct ledger_rows *rows, const struct arguments *arguments)
{
    struct prices prices;
    struct usage sum = {0};
    char day[DAY_TEXT_BYTES], worth[USD_TEXT_MAX];
    prices_load(&prices);
    printf("%-24s %-10s %12s %14s %14s %12s %14s\n", "SERVICE", "DAY", "BILLABLE-S", "VCPU-S", "GIB-S", "REQUESTS",
           "USD");
    for (size_t i = 0; i < rows->count; i++) {
        const struct ledger_row *row = &rows->list[i];
        if (arguments->name != NULL && strcmp(row->service, arguments->name) != 0)
            continue;
        day_print(day, "%Y-%m-%d", row->day);
        row_print(row->service, day, &row->usage, prices_usd(&prices, &row->usage, false));
        usage_sum(&sum, &row->usage);
    }
    double usd = prices_usd(&prices, &sum, false);
    row_print("total", "", &sum, usd);
    if (arguments->free_tier) {
        double less = free_usd(&prices, rows, arguments->name);
        usd_print(worth, less);
        printf("%-24s %94s\n", "less the free tier", worth);
        usd_print(worth, usd - less > 1e-12 ? usd - less : 0);
        printf("%-24s %94s\n", "to pay", worth);
    }
    printf("\nPrices of %.*s, %.*s (%.*s).\n", SPAN_ARG(prices.date), SPAN_ARG(prices.region), SPAN_ARG(prices.source));
    if (rows->faulty > 0)
        printf("%llu lines of the ledger cannot be read, and do not count.\n", (unsigned long long)rows->faulty);
}

int cmd_bill(int argc, char **argv)
{
    static const struct argp_option options[] = {
        CLI_OPTION_STATE(KEY_STATE), {"free-tier", KEY_FREE_TIER, NULL, 0, "Take off what is free each month", 0}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "[SERVICE]",
                                     "Sums up, by service and day (UTC), what the services of `sennit up` would have "
                                     "cost on Cloud Run. It need not run.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    struct ledger_rows rows = {0};
    struct buf text = {0};
    struct err err;
    cli_parse(&argp, argc, argv, &arguments);
    char *directory = catalog_directory(arguments.state), *path = ledger_path(directory);
    bool ok = file_read(path, LEDGER_READ_BYTES_MAX, &text, &err);
    if (ok) {
        ledger_rows_read(&rows, buf_span(&text));
        bill_print(&rows, &arguments);
    }
    ledger_rows_finish(&rows);
    buf_finish(&text);
    free(path);
    free(directory);
    return ok ? 0 : cli_fail("bill", &err);
}
