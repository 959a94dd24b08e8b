/* ignore: matches a path part by part; `**` is any number of parts, `*` any characters of one. */
#include "platform/ignore.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/file.h"

static const char include_word[] = "#!include:";

/* Takes a class like [a-z] or [!x] off the pattern, behind its bracket. False: it has no end, and is no class. */
static bool class_take(const char **pattern, unsigned char c, bool *matches)
{
    const char *at = *pattern;
    bool negated = *at == '!' || *at == '^', found = false;
    at += negated;
    for (bool first = true; *at != '\0' && (first || *at != ']'); first = false) {
        unsigned char low = (unsigned char)(*at == '\\' && at[1] != '\0' ? *++at : *at), high = low;
        at++;
        if (at[0] == '-' && at[1] != ']' && at[1] != '\0') {
            at++;
            high = (unsigned char)(*at == '\\' && at[1] != '\0' ? *++at : *at);
            at++;
        }
        found = found || (c >= low && c <= high);
    }
    if (*at != ']')
        return false;
    *pattern = at + 1;
    *matches = found != negated;
    return true;
}

/* One character of the pattern against one of the text; `*pattern` moves behind what it took. */
static bool one_matches(const char **pattern, char c)
{
    const char *at = *pattern;
    bool matches = false;
    if (*at == '[') {
        at++;
        if (class_take(&at, (unsigned char)c, &matches)) {
            *pattern = at;
            return matches;
        }
        at = *pattern;
    }
    if (*at == '\\' && at[1] != '\0')
        at++;
    else if (*at == '?') {
        *pattern = at + 1;
        return true;
    }
    *pattern = at + 1;
    return *at == c;
}

/* One part of a path. After a mismatch, the last star takes one character more. */
static bool part_matches(const char *pattern, const char *text, size_t len)
{
    const char *star = NULL;
    size_t at = 0, star_at = 0;
    while (at < len) {
        const char *next = pattern;
        if (*pattern == '*') {
            star = ++pattern;
            star_at = at;
        } else if (*pattern != '\0' && one_matches(&next, text[at])) {
            pattern = next;
            at++;
        } else if (star != NULL) {
            pattern = star;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static struct span part_first(const char *text)
{
    return span_of(text, strcspn(text, "/"));
}

static const char *part_next(const char *text)
{
    text += strcspn(text, "/");
    return *text == '/' ? text + 1 : text;
}

static bool parts_match_one(const char *pattern, const char *path)
{
    struct span want = part_first(pattern), have = part_first(path);
    char *copy = mem_text(want);
    bool matches = part_matches(copy, have.data, have.len);
    free(copy);
    return matches;
}

static bool is_any_parts(const char *pattern)
{
    return span_equal(part_first(pattern), SPAN_LIT("**"));
}

/* The same with parts for characters and `**` for stars; one at the end takes at least one part. */
static bool path_matches(const char *pattern, const char *path)
{
    const char *star = NULL, *star_path = NULL;
    while (*path != '\0') {
        if (*pattern != '\0' && is_any_parts(pattern)) {
            star = pattern = part_next(pattern);
            star_path = path;
            if (*pattern == '\0')
                return true;
        } else if (*pattern != '\0' && parts_match_one(pattern, path)) {
            pattern = part_next(pattern);
            path = part_next(path);
        } else if (star != NULL) {
            pattern = star;
            path = star_path = part_next(star_path);
        } else {
            return false;
        }
    }
    return *pattern == '\0';
}

static bool rule_matches(const struct ignore_rule *rule, const char *path, bool is_directory)
{
    const char *name = strrchr(path, '/');
    if (rule->directories_only && !is_directory)
        return false;
    if (rule->anchored)
        return path_matches(rule->pattern, path);
    name = name != NULL ? name + 1 : path;
    return part_matches(rule->pattern, name, strlen(name));
}

bool ignore_excludes(const struct ignore *ignore, const char *path, bool is_directory)
{
    for (size_t i = ignore->count; i-- > 0;)
        if (rule_matches(&ignore->rules[i], path, is_directory))
            return !ignore->rules[i].negated;
    return false;
}

/* Spaces behind a rule do not count, unless the first of them follows a backslash. */
static struct span spaces_cut(struct span line)
{
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    while (line.len > 0 && line.data[line.len - 1] == ' ' && (line.len < 2 || line.data[line.len - 2] != '\\'))
        line.len--;
    return line;
}

static bool rule_add(struct ignore *ignore, struct span line, struct err *err)
{
    struct ignore_rule rule = {0};
    line = spaces_cut(line);
    if (line.len == 0 || line.data[0] == '#')
        return true;
    if (ignore->count == IGNORE_RULES_MAX)
        return err_set(err, "more than %d rules about files to leave out", IGNORE_RULES_MAX);
    rule.negated = line.data[0] == '!';
    line = span_from(line, rule.negated);
    rule.directories_only = line.len > 0 && line.data[line.len - 1] == '/';
    line.len -= rule.directories_only;
    rule.anchored = span_find(line, '/') >= 0;
    line = span_from(line, line.len > 0 && line.data[0] == '/');
    if (line.len == 0)
        return true;
    rule.pattern = mem_text(line);
    ignore->rules = mem_resize(ignore->rules, (ignore->count + 1) * sizeof *ignore->rules);
    ignore->rules[ignore->count++] = rule;
    return true;
}

bool ignore_add(struct ignore *ignore, struct span text, struct err *err)
{
    struct span line;
    while (span_next(&text, '\n', &line))
        if (!rule_add(ignore, line, err))
            return false;
    return true;
}

static bool file_add(struct ignore *ignore, const char *directory, struct span name, bool includes, struct err *err)
{
    struct buf text = {0};
    char *path = mem_printf("%s/" SPAN_FMT, directory, SPAN_ARG(name));
    bool ok = !file_exists(path) || file_read(path, IGNORE_FILE_BYTES_MAX, &text, err);
    struct span rest = buf_span(&text), line;
    while (ok && span_next(&rest, '\n', &line)) {
        if (includes && span_starts_with(line, span_str(include_word)))
            ok = file_add(ignore, directory, spaces_cut(span_from(line, sizeof include_word - 1)), false, err);
        else
            ok = rule_add(ignore, line, err);
    }
    buf_finish(&text);
    free(path);
    return ok;
}

static bool wants(struct tree_filter *filter, const char *path, bool is_directory)
{
    return !ignore_excludes(container_of(filter, struct ignore, filter), path, is_directory);
}

bool ignore_read(struct ignore *ignore, const char *directory, struct err *err)
{
    char *own = mem_printf("%s/.gcloudignore", directory);
    bool has_own = file_exists(own);
    free(own);
    ignore->filter.wants = wants;
    return file_add(ignore, directory, has_own ? SPAN_LIT(".gcloudignore") : SPAN_LIT(".gitignore"), true, err) &&
           ignore_add(ignore, SPAN_LIT(".git\n/.gcloudignore\n/.gitignore\n"), err);
}

void ignore_finish(struct ignore *ignore)
{
    for (size_t i = 0; i < ignore->count; i++)
        free(ignore->rules[i].pattern);
    free(ignore->rules);
    *ignore = (struct ignore){0};
}
