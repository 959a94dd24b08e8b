/* test_plain_config: the fields `plain:` and `raw:`, their defaults and their errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serve/plain_config.h"

static bool read_from(const char *text, struct plain_config *config, struct err *err)
{
    struct yaml_node *root = yaml_parse("test.yaml", span_str(text), err);
    assert_non_null(root);
    *config = (struct plain_config){0};
    bool ok = plain_config_read(config, root, err);
    yaml_destroy(root);
    return ok;
}

/* NULL: off. */
static void expect(const char *text, const char *path, const char *raw_path)
{
    struct plain_config config;
    struct err err;
    if (!read_from(text, &config, &err))
        fail_msg("%s: %s", text, err.text);
    assert_true((config.path == NULL) == (path == NULL) && (config.raw_path == NULL) == (raw_path == NULL));
    if (path != NULL)
        assert_string_equal(config.path, path);
    if (raw_path != NULL)
        assert_string_equal(config.raw_path, raw_path);
    plain_config_finish(&config);
}

static void defaults_and_values(void **state)
{
    expect("{}", "/ws", NULL);
    expect("{plain: off, raw: on}", NULL, "/raw");
    expect("{plain: on, raw: off}", "/ws", NULL);
    expect("{plain: {}, raw: {}}", "/ws", "/raw");
    expect("{plain: {path: /live/}, raw: {path: /a/b}}", "/live", "/a/b");
}

static void errors_name_field_and_cure(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{plain: no}", "plain: expected on, off, or a mapping like plain: {path: /ws}"},
        {"{raw: [a]}", "raw: expected a mapping"},
        {"{raw: {paths: /raw}}", "did you mean \"path\""},
        {"{plain: {path: ws}}", "plain.path: expected a path like"},
        {"{plain: {path: /}}", "plain.path: expected a path like"},
        {"{raw: {path: \"/a b\"}}", "raw.path: expected a path like"},
        {"{raw: {path: /a?b}}", "raw.path: expected a path like"},
        {"{plain: {path: /a}, raw: {path: /a/}}", "raw: `plain:` has this path already"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plain_config config;
        struct err err;
        bool ok = read_from(rows[i].text, &config, &err);
        plain_config_finish(&config);
        if (ok || strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].text, ok ? "taken" : err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_values),
        cmocka_unit_test(errors_name_field_and_cure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
