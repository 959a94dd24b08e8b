/* yaml_get: reads values out of a document; an error names the place, the fault and a right value. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/meant.h"
#include "base/shown.h"
#include "wire/yaml.h"

enum {
    SHOWN_BYTES_MAX = 60, /* of a value, in a message */
    ALLOWED_BYTES_MAX = 512,
    PLACE_BYTES_MAX = 200, /* of the file's name, and of the path of keys, in a message */
};

struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
    if (mapping->type != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++)
        if (span_equal(mapping->pairs[i].key, span_str(key)))
            return mapping->pairs[i].value;
    return NULL;
}

void yaml_keep_secret(struct yaml_node *node)
{
    if (node == NULL)
        return;
    node->secret = true;
    for (size_t i = 0; i < node->count; i++) /* recursion is bounded by YAML_DEPTH_MAX */
        yaml_keep_secret(node->type == YAML_LIST ? node->items[i] : node->pairs[i].value);
}

/* The place that a message is about. A long one is cut to its end, in whole characters, to leave room for the
 * message. */
static const char *place_end(const char *place)
{
    size_t len = strlen(place), from = len > PLACE_BYTES_MAX ? len - PLACE_BYTES_MAX : 0;
    while (from != 0 && ((unsigned char)place[from] & 0xc0) == 0x80)
        from++;
    return place + from;
}

static bool error_at(struct err *err, const struct yaml_node *node, unsigned line)
{
    const char *file = place_end(node->file), *path = place_end(node->path);
    return err_prefix(err, "%s%s:%u: %s%s%s", file != node->file ? "..." : "", file, line,
                      path != node->path ? "..." : "", path, path[0] != '\0' ? ": " : "");
}

bool yaml_error(struct err *err, const struct yaml_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err_vset(err, format, args);
    va_end(args);
    return error_at(err, node, node->line);
}

static bool name_is_allowed(struct span name, const char *const *allowed)
{
    while (*allowed != NULL)
        if (span_equal(name, span_str(*allowed++)))
            return true;
    return false;
}

bool yaml_only(const struct yaml_node *mapping, const char *const *allowed, struct err *err)
{
    if (!yaml_expect(mapping, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < mapping->count; i++) {
        const struct yaml_pair *pair = &mapping->pairs[i];
        if (name_is_allowed(pair->key, allowed))
            continue;
        const char *meant = name_meant(pair->key, allowed);
        if (meant != NULL) {
            err_set(err, "unknown field %s; did you mean \"%s\"?", SHOWN_FOUND(pair->key), meant);
        } else {
            char list[ALLOWED_BYTES_MAX] = "";
            size_t at = 0;
            for (const char *const *name = allowed; *name != NULL && at < sizeof list; name++)
                at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at != 0 ? ", " : "", *name);
            err_set(err, "unknown field %s; the fields here are: %s", SHOWN_FOUND(pair->key), list);
        }
        return error_at(err, mapping, pair->key_line);
    }
    return true;
}

/* The found value, for "expected ..., found ...". */
struct shown {
    char text[2 * SHOWN_BYTES_MAX];
};

static const char *show(const struct yaml_node *node, struct shown *shown)
{
    char text[SHOWN_BYTES_MAX + 4];
    size_t len = node->text.len < SHOWN_BYTES_MAX ? node->text.len : SHOWN_BYTES_MAX;
    bool words = node->quoted;
    if (node->type != YAML_SCALAR)
        return node->type == YAML_LIST ? "a list" : "a mapping";
    if (node->text.len == 0 && !node->quoted)
        return "nothing";
    if (node->secret || shown_may_be_secret(node->text))
        return "a text (not repeated here: it may hold a secret)";
    /* A long text is not cut inside a character. */
    while (len < node->text.len && len > 0 && ((unsigned char)node->text.data[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)node->text.data[i];
        text[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
        words = words || text[i] == ' ';
    }
    memcpy(text + len, len < node->text.len ? "..." : "", len < node->text.len ? 4 : 1);
    snprintf(shown->text, sizeof shown->text, words ? "the text \"%s\"" : "%s", text);
    return shown->text;
}

bool yaml_expect(const struct yaml_node *node, enum yaml_type type, struct err *err)
{
    static const char *const names[] = {"a plain value", "a list", "a mapping"};
    struct shown shown;
    if (node->type == type)
        return true;
    return yaml_error(err, node, "expected %s, found %s", names[type], show(node, &shown));
}

bool yaml_string(const struct yaml_node *node, struct span *value, struct err *err)
{
    struct shown shown;
    if (node->type != YAML_SCALAR)
        return yaml_error(err, node, "expected a text, found %s", show(node, &shown));
    if (node->text.len == 0 && !node->quoted)
        return yaml_error(err, node, "expected a text, found nothing (\"\" is an empty one)");
    *value = node->text;
    return true;
}

/* Digits without a leading zero, which YAML 1.1 takes for octal and people do not. */
static bool digits_read(struct span text, uint64_t *value)
{
    return (text.len < 2 || text.data[0] != '0') && span_to_u64(text, value);
}

static bool number_read(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *value, bool quoted_ok,
                        struct err *err)
{
    struct shown shown;
    uint64_t number = 0;
    bool whole = node->type == YAML_SCALAR && digits_read(node->text, &number), bare = quoted_ok || !node->quoted;
    if (whole && bare && number >= min && number <= max) {
        *value = number;
        return true;
    }
    return yaml_error(err, node, "expected a whole number from %llu to %llu, found %s%s", (unsigned long long)min,
                      (unsigned long long)max, show(node, &shown), whole && !bare ? "; take the quotes away" : "");
}

bool yaml_u64(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *value, struct err *err)
{
    return number_read(node, min, max, value, false, err);
}

bool yaml_u64_text(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *value, struct err *err)
{
    return number_read(node, min, max, value, true, err);
}

bool yaml_bool(const struct yaml_node *node, bool *value, struct err *err)
{
    struct shown shown;
    bool yes = node->type == YAML_SCALAR && span_equal(node->text, SPAN_LIT("true"));
    bool no = node->type == YAML_SCALAR && span_equal(node->text, SPAN_LIT("false"));
    if ((yes || no) && !node->quoted) {
        *value = yes;
        return true;
    }
    return yaml_error(err, node, "expected true or false, found %s%s", show(node, &shown),
                      yes || no ? "; take the quotes away" : "");
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* From the smallest; ended by a NULL name. */
static const struct unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit binary_sizes[] = {
    {" bytes", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};
static const struct unit sizes[] = {{"B", 1},        {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
                                    {"kB", 1000},    {"KB", 1000},     {"MB", 1000000},  {"GB", 1000000000},
                                    {"Ki", 1 << 10}, {"Mi", 1 << 20},  {"Gi", 1 << 30},  {NULL, 0}};

/* Digits and a unit; without a unit they are worth `bare` each. */
static bool units_read(struct span text, const struct unit *units, uint64_t bare, uint64_t *value)
{
    size_t digits = 0;
    uint64_t number, factor = bare;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    struct span name = span_from(text, digits);
    while (name.len != 0 && units->name != NULL && !span_equal(name, span_str(units->name)))
        units++;
    if (name.len != 0)
        factor = units->factor;
    if (factor == 0 || !digits_read(span_sub(text, 0, digits), &number) || number > UINT64_MAX / factor)
        return false;
    *value = number * factor;
    return true;
}

/* `value` in the largest unit that expresses it whole. */
static const char *units_write(uint64_t value, const struct unit *units, struct shown *shown)
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name != NULL; unit++)
        if (value != 0 && value % unit->factor == 0)
            best = unit;
    snprintf(shown->text, sizeof shown->text, "%llu%s", (unsigned long long)(value / best->factor), best->name);
    return shown->text;
}

bool yaml_duration_parse(struct span text, uint64_t *ms)
{
    return units_read(text, times, 1000, ms);
}

bool yaml_duration_ms(const struct yaml_node *node, uint64_t min_ms, uint64_t max_ms, uint64_t *ms, struct err *err)
{
    struct shown shown, low, high;
    uint64_t value;
    if (node->type == YAML_SCALAR && units_read(node->text, times, 1000, &value) && value >= min_ms &&
        value <= max_ms) {
        *ms = value;
        return true;
    }
    return yaml_error(err, node, "expected a duration from %s to %s (like 500ms, 30s, 10m, 24h), found %s",
                      units_write(min_ms, times, &low), units_write(max_ms, times, &high), show(node, &shown));
}

bool yaml_bytes(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *bytes, struct err *err)
{
    struct shown shown, low, high;
    uint64_t value;
    if (node->type == YAML_SCALAR && units_read(node->text, sizes, 1, &value) && value >= min && value <= max) {
        *bytes = value;
        return true;
    }
    return yaml_error(err, node, "expected a size from %s to %s (like 512, 64KiB, 10MiB), found %s",
                      units_write(min, binary_sizes, &low), units_write(max, binary_sizes, &high), show(node, &shown));
}
