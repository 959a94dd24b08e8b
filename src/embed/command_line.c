/* command_line: reads a command's arguments with argp, and prints no text of theirs that may be a secret or may steer
 * the terminal.
 *
 * getopt prints an option that it does not know together with its value (`--redis_url=redis://:password@host`), as it
 * came. So options are looked up here first, and while argp reads, standard error escapes characters that are not
 * harmless. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "embed/command_line.h"

enum { NAME_SHOWN_BYTES_MAX = 60, GUARD_BYTES = 64 * 1024 };

/* Writes to the stream that standard error was; the cookie is that stream. */
static ssize_t guard_write(void *cookie, const char *text, size_t len)
{
    struct buf out = {0};
    struct span rest = span_of(text, len), line;
    bool first = true;
    while (span_next(&rest, '\n', &line)) {
        if (!first)
            buf_append_char(&out, '\n');
        first = false;
        shown_append(&out, line, SIZE_MAX);
    }
    fwrite(buf_span(&out).data, 1, out.len, cookie);
    buf_finish(&out);
    return (ssize_t)len;
}

/* argp and getopt print to `stderr`, which glibc lets a program set. What they print is shorter than the buffer. */
static FILE *guard_begin(void)
{
    static const cookie_io_functions_t functions = {.write = guard_write};
    FILE *before = stderr, *guard = fopencookie(before, "w", functions);
    if (guard != NULL) {
        setvbuf(guard, NULL, _IOFBF, GUARD_BYTES);
        stderr = guard;
    }
    return before;
}

static void guard_end(FILE *before)
{
    FILE *guard = stderr;
    stderr = before;
    if (guard != before)
        fclose(guard);
}

static const struct argp_option standard[] = {{"help", '?', NULL, 0, NULL, 0}, {"usage", 0, NULL, 0, NULL, 0}, {0}};

static bool is_end(const struct argp_option *option)
{
    return option->name == NULL && option->key == 0 && option->doc == NULL && option->group == 0;
}

/* Options whose name is `name`, or else begins with it, as getopt takes abbreviations. `*found` is the last of them. */
static size_t find_long(const struct argp_option *option, struct span name, const struct argp_option **found)
{
    size_t count = 0;
    for (; option != NULL && !is_end(option); option++) {
        struct span full = span_str(option->name);
        if (!span_starts_with(full, name))
            continue;
        *found = option;
        if (full.len == name.len)
            return SIZE_MAX;
        count++;
    }
    return count;
}

/* The same for an argp and its children, which have children at most. */
static size_t find_long_below(const struct argp *argp, struct span name, const struct argp_option **found, bool deeper)
{
    size_t count = find_long(argp->options, name, found);
    for (const struct argp_child *child = argp->children; count != SIZE_MAX && child != NULL && child->argp != NULL;
         child++) {
        size_t more =
            deeper ? find_long_below(child->argp, name, found, false) : find_long(child->argp->options, name, found);
        count = more == SIZE_MAX ? SIZE_MAX : count + more;
    }
    return count;
}

static const struct argp_option *find_short_among(const struct argp_option *option, char key)
{
    for (; option != NULL && !is_end(option); option++)
        if (option->key == key)
            return option;
    return NULL;
}

static const struct argp_option *find_short(const struct argp *argp, char key)
{
    const struct argp_option *found = find_short_among(argp->options, key);
    for (const struct argp_child *child = argp->children; found == NULL && child != NULL && child->argp != NULL;
         child++)
        found = find_short_among(child->argp->options, key);
    return found;
}

/* False, with a message printed, when `--name` is no option or stands for several. */
static bool long_check(const struct argp *argp, const char *program, struct span name, const struct argp_option **found)
{
    size_t count = find_long_below(argp, name, found, true);
    if (count != SIZE_MAX) {
        size_t more = find_long(standard, name, found);
        count = more == SIZE_MAX ? SIZE_MAX : count + more;
    }
    if (count == 1 || count == SIZE_MAX)
        return true;
    struct buf shown = {0};
    shown_append(&shown, name, NAME_SHOWN_BYTES_MAX);
    fprintf(stderr,
            count == 0 ? "%s: there is no option --" SPAN_FMT "; `%s --help` lists them\n"
                       : "%s: --" SPAN_FMT " stands for several options; `%s --help` lists them\n",
            program, SPAN_ARG(buf_span(&shown)), program);
    buf_finish(&shown);
    return false;
}

/* Arguments that are values of options are passed over: they may look like anything. */
static bool options_check(const struct argp *argp, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct span rest = span_str(argv[i]), name;
        const struct argp_option *found = NULL;
        if (!span_starts_with(rest, SPAN_LIT("-")) || rest.len == 1)
            continue;
        if (rest.data[1] != '-') {
            for (size_t at = 1; at < rest.len; at++) {
                found = find_short(argp, rest.data[at]);
                if (found == NULL || found->arg == NULL)
                    continue;
                i += at + 1 == rest.len;
                break;
            }
            continue;
        }
        rest = span_from(rest, 2);
        if (rest.len == 0)
            break;
        span_next(&rest, '=', &name);
        if (!long_check(argp, argv[0], name, &found))
            return false;
        i += found->arg != NULL && rest.data == NULL;
    }
    return true;
}

void cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = CLI_USAGE;
    if (!options_check(argp, argc, argv))
        exit(CLI_USAGE);
    FILE *before = guard_begin();
    argp_parse(argp, argc, argv, 0, NULL, input);
    guard_end(before);
}

char *cli_take(char *argument)
{
    struct span text = span_str(argument);
    char *copy = mem_text(text);
    memset(argument, '*', text.len);
    return copy;
}

int cli_fail(const char *command, const struct err *err)
{
    struct buf out = {0};
    struct span rest = span_str(err->text), line;
    bool first = true;
    buf_printf(&out, "sennit %s: ", command);
    while (span_next(&rest, '\n', &line)) {
        /* Only the first of several lines begins at the margin, so that no other one looks like a message of its
         * own. */
        if (!first)
            buf_append(&out, line.len > 0 && line.data[0] != ' ' ? SPAN_LIT("\n  ") : SPAN_LIT("\n"));
        first = false;
        shown_append(&out, line, SIZE_MAX);
    }
    buf_append_char(&out, '\n');
    fwrite(buf_span(&out).data, 1, out.len, stderr);
    buf_finish(&out);
    return 1;
}
