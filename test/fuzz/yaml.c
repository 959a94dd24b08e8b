/* yaml: any text. It is refused with a message of one line that names the file, or every getter may be asked about
 * every node. */
#include <assert.h>

#include "wire/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void message_check(bool good, struct err *err)
{
    if (!good)
        assert(strncmp(err->text, "a.yaml:", 7) == 0);
    err->text[0] = '\0';
}

static void node_check(const struct yaml_node *node)
{
    static const char *const allowed[] = {"to", "namespaces", "timeoutSeconds", NULL};
    struct err err = {{0}};
    struct span text;
    uint64_t number;
    bool yes;
    assert(node->line > 0 && (node->type != YAML_SCALAR || node->text.data[node->text.len] == '\0'));
    message_check(yaml_string(node, &text, &err), &err);
    message_check(yaml_u64(node, 1, 1000, &number, &err), &err);
    message_check(yaml_u64_text(node, 1, 1000, &number, &err), &err);
    message_check(yaml_bool(node, &yes, &err), &err);
    message_check(yaml_duration_ms(node, 1000, 86400000, &number, &err), &err);
    message_check(yaml_bytes(node, 0, 1 << 20, &number, &err), &err);
    message_check(yaml_expect(node, YAML_LIST, &err), &err);
    message_check(yaml_only(node, allowed, &err), &err);
    yaml_get(node, "to");
    for (size_t i = 0; i < node->count; i++)
        node_check(node->type == YAML_LIST ? node->items[i] : node->pairs[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {{0}};
    struct yaml_node *root = yaml_parse("a.yaml", span_of(data, len), &err);
    if (root != NULL)
        node_check(root);
    else
        assert(strncmp(err.text, "a.yaml:", 7) == 0 && strchr(err.text, '\n') == NULL);
    yaml_destroy(root);
    return 0;
}
