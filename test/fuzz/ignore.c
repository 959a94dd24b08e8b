/* ignore: rules of .gitignore, a NUL, and paths, one a line (a folder's ends with a slash). A second matcher, which
 * tries one way after the other, agrees about each path. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "platform/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { RULES_BYTES_MAX = 200, PATH_BYTES_MAX = 30, STARS_MAX = 6 };

/* One character against what stands between brackets; `*taken` are so many, the last bracket included. -1: they are not
 * closed. */
static int in_class(struct span text, char c, size_t *taken)
{
    unsigned char wanted = (unsigned char)c;
    bool negated = text.len > 0 && (text.data[0] == '!' || text.data[0] == '^'), found = false;
    size_t first = negated, at = first;
    for (; at < text.len && (at == first || text.data[at] != ']'); at++) {
        at += text.data[at] == '\\' && at + 1 < text.len;
        unsigned char low = (unsigned char)text.data[at], high = low;
        if (at + 2 < text.len && text.data[at + 1] == '-' && text.data[at + 2] != ']') {
            at += 2;
            at += text.data[at] == '\\' && at + 1 < text.len;
            high = (unsigned char)text.data[at];
        }
        found |= wanted >= low && wanted <= high;
    }
    *taken = at + 1;
    return at < text.len ? found != negated : -1;
}

/* Both end at a slash or at their end. */
static bool part_fits(const char *pattern, const char *pattern_end, const char *text, const char *text_end)
{
    size_t taken = 0;
    if (pattern == pattern_end)
        return text == text_end;
    if (*pattern == '*')
        return part_fits(pattern + 1, pattern_end, text, text_end) ||
               (text < text_end && part_fits(pattern, pattern_end, text + 1, text_end));
    if (text == text_end)
        return false;
    if (*pattern == '?')
        return part_fits(pattern + 1, pattern_end, text + 1, text_end);
    if (*pattern == '[') {
        int found = in_class(span_of(pattern + 1, (size_t)(pattern_end - pattern - 1)), *text, &taken);
        if (found >= 0)
            return found == 1 && part_fits(pattern + 1 + taken, pattern_end, text + 1, text_end);
    }
    pattern += *pattern == '\\' && pattern + 1 < pattern_end;
    return *pattern == *text && part_fits(pattern + 1, pattern_end, text + 1, text_end);
}

static const char *part_end(const char *text)
{
    return text + strcspn(text, "/");
}

static const char *behind_part(const char *end)
{
    return *end == '/' ? end + 1 : end;
}

static bool path_fits(const char *pattern, const char *path)
{
    const char *end = part_end(pattern), *path_end = part_end(path);
    if (*pattern == '\0' || *path == '\0')
        return *pattern == '\0' && *path == '\0';
    if (end - pattern == 2 && strncmp(pattern, "**", 2) == 0)
        return *behind_part(end) == '\0' || path_fits(behind_part(end), path) ||
               path_fits(pattern, behind_part(path_end));
    return part_fits(pattern, end, path, path_end) && path_fits(behind_part(end), behind_part(path_end));
}

static bool excludes(const struct ignore *ignore, const char *path, bool is_directory)
{
    bool excluded = false;
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    for (size_t i = 0; i < ignore->count; i++) {
        const struct ignore_rule *rule = &ignore->rules[i];
        bool fits = rule->anchored
                        ? path_fits(rule->pattern, path)
                        : part_fits(rule->pattern, rule->pattern + strlen(rule->pattern), name, name + strlen(name));
        if (fits && (is_directory || !rule->directories_only))
            excluded = !rule->negated;
    }
    return excluded;
}

/* The second matcher takes its time with many stars. */
static bool is_simple(struct span rules)
{
    size_t stars = 0;
    for (size_t i = 0; i < rules.len; i++)
        stars += rules.data[i] == '*';
    return stars <= STARS_MAX && rules.len <= RULES_BYTES_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len), rules, line;
    struct ignore ignore = {0};
    struct err err;
    span_next(&rest, '\0', &rules);
    if (!ignore_add(&ignore, rules, &err)) {
        ignore_finish(&ignore);
        return 0;
    }
    while (span_next(&rest, '\n', &line)) {
        bool is_directory = line.len > 0 && line.data[line.len - 1] == '/';
        line.len -= is_directory;
        /* Paths as a walk of a folder has them. */
        char *path = mem_text(line);
        bool is_path = line.len > 0 && strlen(path) == line.len && path[0] != '/' && path[line.len - 1] != '/' &&
                       strstr(path, "//") == NULL;
        bool excluded = is_path && ignore_excludes(&ignore, path, is_directory);
        if (is_path && line.len <= PATH_BYTES_MAX && is_simple(rules))
            assert(excluded == excludes(&ignore, path, is_directory));
        free(path);
    }
    ignore_finish(&ignore);
    return 0;
}
