/* test_compression_config: the mapping `compression:`, its defaults and its errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serve/compression_config.h"

static bool read_from(const char *text, struct compression_settings *settings, struct err *err)
{
    struct yaml_node *node = yaml_parse("test.yaml", span_str(text), err);
    assert_non_null(node);
    bool ok = compression_config_read(settings, node, err);
    yaml_destroy(node);
    return ok;
}

static void defaults_and_values(void **state)
{
    struct compression_settings settings;
    struct err err;
    assert_true(compression_config_read(&settings, NULL, &err));
    assert_true(!settings.socketio && settings.plain && !settings.context_takeover);
    assert_int_equal(settings.threshold, 1024);
    assert_int_equal(settings.contexts_max, 256);
    assert_true(
        read_from("{websocket: on, threshold: 2KiB, context_takeover: true, contexts_max: 5}", &settings, &err));
    assert_true(settings.socketio && settings.plain && settings.context_takeover);
    assert_int_equal(settings.threshold, 2048);
    assert_int_equal(settings.contexts_max, 5);
    assert_true(read_from("{websocket: off, threshold: 0}", &settings, &err));
    assert_true(!settings.socketio && !settings.plain);
    assert_int_equal(settings.threshold, 0);
}

static void errors_name_field_and_cure(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{websocket: maybe}", "websocket: expected on (with every client that offers it) or off"},
        {"{treshold: 5}", "did you mean \"threshold\""},
        {"{threshold: 17MiB}", "threshold: expected"},
        {"{context_takeover: 1}", "context_takeover: expected"},
        {"{contexts_max: -1}", "contexts_max: expected a whole number from 0 to 100000"},
        {"[on]", "expected a mapping"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct compression_settings settings;
        struct err err;
        assert_false(read_from(rows[i].text, &settings, &err));
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].text, err.text);
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
