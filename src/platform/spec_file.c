/* spec_file: divides a text into documents. Each keeps the lines before it as empty ones, so that messages name the
 * line of the file. A line that begins with "---" divides wherever it stands (YAML 1.2.2 section 9.1.2): no scalar has
 * one. */
#include "platform/spec_file.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "wire/yaml.h"

static bool divides(struct span line)
{
    return span_starts_with(line, SPAN_LIT("---")) &&
           (line.len == 3 || line.data[3] == ' ' || line.data[3] == '\t' || line.data[3] == '\r');
}

/* A comment, a directive, or nothing. */
static bool says_nothing(struct span line)
{
    struct span text = span_trim(line);
    return text.len == 0 || text.data[0] == '#' || text.data[0] == '\r' || line.data[0] == '%';
}

static bool spec_add(struct specs *specs, const char *path, struct span text, struct err *err)
{
    if (specs->count == SPECS_MAX)
        return err_set(err, "%s: more than %d services", path, SPECS_MAX);
    specs->list = mem_resize(specs->list, (specs->count + 1) * sizeof *specs->list);
    struct service_spec *spec = &specs->list[specs->count++];
    if (!service_spec_parse(spec, path, text, err))
        return false;
    for (size_t i = 0; i + 1 < specs->count; i++)
        if (strcmp(specs->list[i].name, spec->name) == 0)
            return err_set(err, "%s: the service %s is in %s already", path, spec->name, specs->list[i].path);
    return true;
}

bool specs_parse(struct specs *specs, const char *path, struct span text, struct err *err)
{
    struct buf part = {0};
    struct span rest = text, line;
    size_t lines = 0, before = specs->count;
    bool has_content = false, ok = true;
    while (ok && span_next(&rest, '\n', &line)) {
        if (has_content && divides(line)) {
            ok = spec_add(specs, path, buf_span(&part), err);
            buf_clear(&part);
            for (size_t i = 0; i < lines; i++)
                buf_append_char(&part, '\n');
            has_content = false;
        }
        has_content = has_content || !(divides(line) ? says_nothing(span_from(line, 3)) : says_nothing(line));
        buf_append(&part, line);
        buf_append_char(&part, '\n');
        lines++;
    }
    /* The parser explains an empty file. */
    if (ok && (has_content || specs->count == before))
        ok = spec_add(specs, path, buf_span(&part), err);
    buf_finish(&part);
    return ok;
}

static bool file_take(struct specs *specs, const char *path, struct err *err)
{
    struct buf text = {0};
    bool ok = file_read(path, YAML_BYTES_MAX, &text, err) && specs_parse(specs, path, buf_span(&text), err);
    buf_finish(&text);
    return ok;
}

static bool folder_take(struct specs *specs, const char *path, const char *ending, struct err *err)
{
    char **names = file_list(path, ending, err);
    bool ok = names != NULL;
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        char *file = mem_printf("%s/%s", path, names[i]);
        ok = ok && file_take(specs, file, err);
        free(file);
        free(names[i]);
    }
    free(names);
    return ok;
}

bool specs_read(struct specs *specs, const char *path, bool may_be_empty, struct err *err)
{
    size_t before = specs->count;
    if (!file_is_directory(path))
        return file_take(specs, path, err);
    if (!folder_take(specs, path, ".yaml", err) || !folder_take(specs, path, ".yml", err))
        return false;
    return specs->count > before || may_be_empty || err_set(err, "%.300s: no *.yaml or *.yml in it", path);
}

void specs_finish(struct specs *specs)
{
    for (size_t i = 0; i < specs->count; i++)
        service_spec_finish(&specs->list[i]);
    free(specs->list);
    *specs = (struct specs){0};
}
