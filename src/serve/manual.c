/* manual: writes the tables as Markdown. */
#include "serve/manual.h"

#include <string.h>

#include "net/close_reasons.h"
#include "net/refusals.h"
#include "serve/limits.h"
#include "serve/settings.h"

#define GENERATED "<!-- Made by `sennit serve --describe%s`: change the tables under src/, not this page. -->\n\n"

static const char *level_name(int level)
{
    static const char *const names[] = {
        [LOG_DEBUG] = "debug",     [LOG_INFO] = "info",   [LOG_NOTICE] = "notice",
        [LOG_WARNING] = "warning", [LOG_ERROR] = "error",
    };
    return names[level];
}

/* In backticks, unless it is empty or has some. */
static void quoted(struct buf *to, const char *text)
{
    bool bare = text == NULL || text[0] == '\0' || strchr(text, '`') != NULL;
    buf_printf(to, bare ? "%s" : "`%s`", text != NULL ? text : "");
}

static void flags_describe(struct buf *to)
{
    buf_append(to, SPAN_LIT("## Flags and variables\n\nA flag takes precedence over its variable, and that over the "
                            "file.\n\n| flag | environment | default | |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < setting_flags_count; i++) {
        const struct setting_flag *flag = &setting_flags[i];
        buf_append(to, SPAN_LIT("| "));
        quoted(to, flag->flag);
        buf_append(to, SPAN_LIT(" | "));
        quoted(to, flag->variable);
        buf_printf(to, " | %s | %s |\n", flag->fallback, flag->what);
    }
}

static void setting_describe(struct buf *to, const struct setting *setting)
{
    buf_printf(to, "| `%s` | %s | %s | %s | %s |\n", setting->name, setting->fallback, setting->takes, setting->what,
               setting->counted);
}

static void fields_describe(struct buf *to)
{
    const char *place = NULL;
    for (size_t i = 0; i < settings_count; i++) {
        if (place == NULL || strcmp(place, settings[i].place) != 0) {
            place = settings[i].place;
            buf_append(to, SPAN_LIT("\n## "));
            if (place[0] != '\0')
                quoted(to, place);
            else
                buf_append(to, SPAN_LIT("Fields of the file, beside its bounds"));
            buf_append(to, SPAN_LIT("\n\n| field | default | takes | meaning | counted under |\n"
                                    "|---|---|---|---|---|\n"));
        }
        setting_describe(to, &settings[i]);
    }
}

static void bounds_head(struct buf *to)
{
    buf_append(to, SPAN_LIT("| name | bounds | default | range | beyond it |\n|---|---|---|---|---|\n"));
}

void manual_configuration(struct buf *to)
{
    buf_append(to, SPAN_LIT("# Configuration of sennit serve\n\n"));
    buf_printf(to, GENERATED, "");
    buf_append(to,
               SPAN_LIT("Every flag, variable and field. [serve.md](serve.md) explains them and shows an example. An "
                        "unknown field, or a value\nout of its range, is refused at the start, with file, line and "
                        "field. Durations are like `500ms`, `30s`, `10m`, `24h`; sizes like `64KiB`, `10MB`.\n\n"
                        "\"Counted under\" and the names in brackets are reasons of `sennit_refusals_total` or "
                        "`sennit_closes_total`, or whole metrics: see\n[refusals.md](refusals.md).\n\n"));
    flags_describe(to);
    fields_describe(to);
    buf_append(to, SPAN_LIT("\n## Bounds that are fields of the file\n\n"));
    bounds_head(to);
    limits_describe(to, false);
    buf_append(to, SPAN_LIT("\n## `limits`\n\n"));
    bounds_head(to);
    limits_describe(to, true);
    buf_append(
        to, SPAN_LIT("\nA bound of one thing ends that thing, not the connection. Above a rate a client is not read "
                     "for a while: it waits, and loses nothing.\n\nBounds per address are for clients that connect "
                     "directly. Clients behind one proxy or NAT share an address: leave the rates at 0 there.\n"
                     "The default of `idle_timeout` is `head_timeout`. [serve.md](serve.md#bounds) says how those of "
                     "`connections`, `connections_per_address`\nand `log_bytes` come about, and which bounds are "
                     "fixed.\n"));
}

static void refusals_describe(struct buf *to)
{
    buf_append(to,
               SPAN_LIT("## Refused requests\n\nThe connection goes on, except where an HTTP request was not read to "
                        "its end. `sennit_refusals_total{reason=\"...\"}` counts them.\n\n"
                        "| reason | log level | the fault and the cure |\n|---|---|---|\n"));
    for (int i = 0; i < REFUSAL_COUNT; i++)
        buf_printf(to, "| `%s` | %s | %s |\n", refusal_name((enum refusal)i),
                   level_name(refusal_log_level((enum refusal)i)), refusal_text((enum refusal)i));
}

static void closes_describe(struct buf *to)
{
    buf_append(to, SPAN_LIT("\n## Closed connections\n\n`sennit_closes_total{reason=\"...\"}` counts them. A WebSocket "
                            "gets a Close frame with the code and the sentence; connections without a code\njust end, "
                            "mostly because nobody would read it.\n\n"
                            "| reason | code | log level | sentence |\n|---|---|---|---|\n"));
    for (int i = CLOSE_NONE + 1; i < CLOSE_REASON_COUNT; i++) {
        enum close_reason reason = (enum close_reason)i;
        int code = close_reason_ws_code(reason);
        buf_printf(to, "| `%s` | ", close_reason_name(reason));
        if (code == 1005)
            buf_append(to, SPAN_LIT("without one"));
        else if (code != 0)
            buf_append_u64(to, (uint64_t)code);
        buf_printf(to, " | %s | %s |\n", level_name(close_reason_log_level(reason)), close_reason_text(reason));
    }
}

void manual_refusals(struct buf *to)
{
    buf_append(to, SPAN_LIT("# Refusals and closed connections\n\n"));
    buf_printf(to, GENERATED, "=refusals");
    buf_append(to,
               SPAN_LIT("What a client is refused, it is told with the words below, and so is the log. Repeated "
                        "lines are gathered: one in ten seconds for each reason,\nwith the number since the last. "
                        "Where a client can be told nothing (it is only read more slowly, or does not read), the log "
                        "and the counters\nhave it.\n\n"));
    refusals_describe(to);
    closes_describe(to);
}
