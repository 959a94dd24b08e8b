/* spec_traffic: reads `spec.traffic`, and prints the template so that two can be compared. */
#include "base/shown.h"
#include "platform/spec_parts.h"

static bool tag_read(const struct yaml_node *node, const struct traffic *before, struct span *tag, struct err *err)
{
    const struct yaml_node *field = spec_get(node, "tag");
    *tag = SPAN_LIT("");
    if (field == NULL)
        return true;
    if (!yaml_string(field, tag, err))
        return false;
    if (tag->len > 0 && !traffic_tag_is_valid(*tag))
        return yaml_error(err, field, "expected a tag of at most 11 lower-case letters, digits and hyphens, found %s",
                          SHOWN_FOUND(*tag));
    if (traffic_tagged(before, *tag) != NULL)
        return yaml_error(err, field, "the tag %s is given twice", SHOWN_FOUND(*tag));
    return true;
}

static bool target_read(struct traffic *traffic, const struct yaml_node *node, uint64_t *sum, struct err *err)
{
    static const char *const keys[] = {"percent", "revisionName", "latestRevision", "tag", "url", "configurationName",
                                       NULL};
    uint32_t percent = 0;
    bool is_latest = spec_get(node, "revisionName") == NULL; /* unless the file says otherwise, as on Knative */
    struct span revision = SPAN_LIT(""), tag;
    if (!yaml_only(node, keys, err) || !spec_number_read(node, "percent", 0, TRAFFIC_PERCENT, &percent, err))
        return false;
    const struct yaml_node *flag = spec_get(node, "latestRevision"), *name = spec_get(node, "revisionName");
    if (flag != NULL && !yaml_bool(flag, &is_latest, err))
        return false;
    if (is_latest && name != NULL)
        return yaml_error(err, name, "a target is either a revision or the latest one, not both");
    if (!is_latest && name == NULL)
        return yaml_error(err, node, "a target needs revisionName, or latestRevision: true");
    if (name != NULL && !yaml_string(name, &revision, err))
        return false;
    if (!tag_read(node, traffic, &tag, err))
        return false;
    *sum += percent;
    traffic_add(traffic, revision, tag, percent);
    return true;
}

bool spec_traffic_read(struct service_spec *spec, const struct yaml_node *traffic, struct err *err)
{
    uint64_t sum = 0;
    if (traffic == NULL)
        return true;
    if (!yaml_expect(traffic, YAML_LIST, err))
        return false;
    if (traffic->count > TRAFFIC_TARGETS_MAX)
        return yaml_error(err, traffic, "more than %d targets", TRAFFIC_TARGETS_MAX);
    for (size_t i = 0; i < traffic->count; i++)
        if (!target_read(&spec->traffic, traffic->items[i], &sum, err))
            return false;
    if (traffic->count > 0 && sum != TRAFFIC_PERCENT)
        return yaml_error(err, traffic, "the percentages add up to %llu, expected 100", (unsigned long long)sum);
    return true;
}

/* As JSON, but that every scalar is a string. The depth is bounded by YAML_DEPTH_MAX. */
static void node_print(struct buf *to, const struct yaml_node *node)
{
    bool is_list = node->type == YAML_LIST;
    if (node->type == YAML_SCALAR) {
        buf_printf(to, "\"%s", node->quoted ? "=" : "");
        buf_append_json(to, node->text);
        buf_append_char(to, '"');
        return;
    }
    buf_append_char(to, is_list ? '[' : '{');
    for (size_t i = 0; i < node->count; i++) {
        if (!is_list) {
            buf_append_json(to, node->pairs[i].key);
            buf_append_char(to, ':');
        }
        node_print(to, is_list ? node->items[i] : node->pairs[i].value);
        buf_append_char(to, ',');
    }
    buf_append_char(to, is_list ? ']' : '}');
}

void spec_shape_print(struct buf *to, const struct yaml_node *root)
{
    const struct yaml_node *inside = spec_get(root, "spec"), *metadata = spec_get(root, "metadata");
    const struct yaml_node *annotations = metadata != NULL ? spec_get(metadata, "annotations") : NULL;
    if (annotations != NULL)
        node_print(to, annotations);
    node_print(to, spec_get(inside, "template"));
}
