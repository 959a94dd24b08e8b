/* deployment_probes: probes as gcloud's flags have them, `httpGet.path=/,periodSeconds=5`, and as the file has them. */
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "platform/deployment.h"

static const struct {
    enum deployment_text which;
    const char *key;
} probes[] = {{DEPLOYMENT_startup, "startupProbe"},
              {DEPLOYMENT_liveness, "livenessProbe"},
              {DEPLOYMENT_readiness, "readinessProbe"}};
enum { PROBES = sizeof probes / sizeof probes[0] };

bool deployment_is_probe(enum deployment_text which)
{
    for (int i = 0; i < PROBES; i++)
        if (probes[i].which == which)
            return true;
    return false;
}

/* "httpGet.path=/": what it is in (empty: in the probe itself), its name, and its value. */
struct setting {
    struct span group, name, value;
};

static bool is_word(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.data[i] | 32) < 'a' || (text.data[i] | 32) > 'z')
            return false;
    return text.len > 0;
}

static bool setting_next(struct span *list, struct setting *setting)
{
    struct span pair, key;
    if (!span_next(list, ',', &pair))
        return false;
    *setting = (struct setting){.group = SPAN_LIT(""), .name = SPAN_LIT("")};
    if (span_find(pair, '=') < 0 || !span_next(&pair, '=', &key))
        return true;
    if (span_find(key, '.') >= 0)
        span_next(&key, '.', &setting->group);
    setting->name = key;
    setting->value = pair;
    return true;
}

bool deployment_probe_set(struct deployment *deployment, enum deployment_text which, const char *list, struct err *err)
{
    struct span rest = span_str(list);
    struct setting setting;
    while (list[0] != '\0' && setting_next(&rest, &setting))
        if (!is_word(setting.name) || (setting.group.len > 0 && !is_word(setting.group)))
            return err_set(err, "expected KEY=VALUE,KEY=VALUE, like httpGet.path=/health,periodSeconds=5, found %s",
                           SHOWN_FOUND(span_str(list)));
    deployment_set(deployment, which, list[0] != '\0' ? list : "default");
    return true;
}

static void setting_encode(struct buf *to, const struct setting *setting)
{
    uint64_t ignored;
    buf_printf(to, SPAN_FMT ": ", SPAN_ARG(setting->name));
    if (span_to_u64(setting->value, &ignored)) {
        buf_append(to, setting->value);
        return;
    }
    buf_append_char(to, '"');
    buf_append_json(to, setting->value);
    buf_append_char(to, '"');
}

static bool has_group(struct span list, struct span group)
{
    struct setting setting;
    while (setting_next(&list, &setting))
        if (span_equal(setting.group, group))
            return true;
    return false;
}

static void group_encode(struct buf *to, struct span list, struct span group)
{
    struct setting setting;
    const char *separator = "";
    buf_printf(to, SPAN_FMT ": {", SPAN_ARG(group));
    while (setting_next(&list, &setting)) {
        if (!span_equal(setting.group, group))
            continue;
        buf_append(to, span_str(separator));
        setting_encode(to, &setting);
        separator = ", ";
    }
    buf_append_char(to, '}');
}

/* A group is written where its first setting stands. */
static void probe_encode(struct buf *to, struct span list)
{
    struct span rest = list, before = span_sub(list, 0, 0);
    struct setting setting;
    const char *separator = "";
    while (setting_next(&rest, &setting)) {
        bool is_alone = setting.group.len == 0;
        if (is_alone || !has_group(before, setting.group)) {
            buf_append(to, span_str(separator));
            separator = ", ";
        }
        if (is_alone)
            setting_encode(to, &setting);
        else if (!has_group(before, setting.group))
            group_encode(to, list, setting.group);
        before = span_sub(list, 0, rest.data != NULL ? (size_t)(rest.data - list.data) : list.len);
    }
}

void deployment_probes_encode(struct buf *to, const struct deployment *deployment)
{
    for (int i = 0; i < PROBES; i++) {
        const char *text = deployment->texts[probes[i].which];
        if (text == NULL)
            continue;
        buf_printf(to, "          %s: {", probes[i].key);
        probe_encode(to, span_str(text));
        buf_append(to, SPAN_LIT("}\n"));
    }
}

static void pairs_append(struct buf *to, const struct yaml_node *mapping, struct span group)
{
    for (size_t i = 0; i < mapping->count; i++) {
        const struct yaml_pair *pair = &mapping->pairs[i];
        if (pair->value->type == YAML_MAPPING && group.len == 0) {
            pairs_append(to, pair->value, pair->key);
        } else if (pair->value->type == YAML_SCALAR) {
            buf_printf(to, "%s" SPAN_FMT "%s" SPAN_FMT "=" SPAN_FMT, to->len > 0 ? "," : "", SPAN_ARG(group),
                       group.len > 0 ? "." : "", SPAN_ARG(pair->key), SPAN_ARG(pair->value->text));
        }
    }
}

void deployment_probes_take(struct deployment *deployment, const struct yaml_node *container)
{
    for (int i = 0; i < PROBES; i++) {
        const struct yaml_node *node = yaml_get(container, probes[i].key);
        struct buf text = {0};
        if (node == NULL || node->type != YAML_MAPPING)
            continue;
        pairs_append(&text, node, SPAN_LIT(""));
        buf_append_char(&text, '\0');
        deployment_set(deployment, probes[i].which, buf_span(&text).data);
        buf_finish(&text);
    }
}
