/* flags: reading `--name value`, and ending with a sentence when one is wrong. See flags.h. */
#include "flags.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const struct flag *flag_find(const struct flag *flags, size_t count, const char *argument)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, flags[i].name) == 0)
            return &flags[i];
    return NULL;
}

void flags_read(int argc, char **argv, const struct flag *flags, size_t count)
{
    for (int at = 1; at < argc; at += 2) {
        const struct flag *flag = flag_find(flags, count, argv[at]);
        bool ok = flag != NULL && at + 1 < argc;
        if (ok && flag->text != NULL)
            *flag->text = argv[at + 1];
        else if (ok)
            ok = span_to_u64(span_str(argv[at + 1]), flag->number);
        if (!ok) {
            fprintf(stderr, "%s: what is %s? Known, each with a value:", argv[0], argv[at]);
            for (size_t i = 0; i < count; i++)
                fprintf(stderr, " --%s", flags[i].name);
            fprintf(stderr, "\n");
            exit(2);
        }
    }
}

void bench_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

struct loop *bench_begin(struct net *net)
{
    struct err err;
    log_init(LOG_TEXT, LOG_WARNING, loop_clock_ms, NULL);
    struct loop *loop = loop_create(&err);
    if (loop == NULL)
        bench_fail("%s", err.text);
    net_init(net, loop);
    return loop;
}
