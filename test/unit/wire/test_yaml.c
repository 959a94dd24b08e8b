/* yaml: values of a file, and every error that an operator may read, with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "wire/yaml.h"

static struct yaml_node *parse(const char *text)
{
    struct err err = {0};
    struct yaml_node *root = yaml_parse("board.yaml", span_str(text), &err);
    if (root == NULL)
        fail_msg("%s", err.text);
    return root;
}

static const char service[] = "apiVersion: serving.knative.dev/v1\n"
                              "kind: Service\n"
                              "# a comment\n"
                              "metadata:\n"
                              "  name: \"board\"\n"
                              "  annotations:\n"
                              "    run.googleapis.com/sessionAffinity: 'true'\n"
                              "    empty:\n"
                              "spec:\n"
                              "  containers:\n"
                              "    - image: a\n"
                              "      ports: [8080, {name: h2c}]\n"
                              "    - image: b\n"
                              "  text: |\n"
                              "    two\n"
                              "    lines\n";

static void test_tree(void **state)
{
    struct yaml_node *root = parse(service);
    assert_int_equal(root->type, YAML_MAPPING);
    assert_int_equal(root->count, 4);
    assert_string_equal(root->path, "");
    assert_true(span_equal(root->pairs[1].key, SPAN_LIT("kind")));
    assert_int_equal(root->pairs[1].key_line, 2);
    const struct yaml_node *metadata = yaml_get(root, "metadata"), *name = yaml_get(metadata, "name");
    assert_string_equal(name->path, "metadata.name");
    assert_int_equal(name->line, 5);
    assert_true(name->quoted);
    assert_string_equal(name->text.data, "board");
    const struct yaml_node *empty = yaml_get(yaml_get(metadata, "annotations"), "empty");
    assert_int_equal(empty->type, YAML_SCALAR);
    assert_int_equal(empty->text.len, 0);
    assert_int_equal(empty->line, 8);
    const struct yaml_node *containers = yaml_get(yaml_get(root, "spec"), "containers");
    assert_int_equal(containers->type, YAML_LIST);
    assert_int_equal(containers->count, 2);
    assert_string_equal(yaml_get(containers->items[1], "image")->path, "spec.containers[1].image");
    assert_int_equal(yaml_get(containers->items[1], "image")->line, 13);
    const struct yaml_node *ports = yaml_get(containers->items[0], "ports");
    assert_string_equal(yaml_get(ports->items[1], "name")->path, "spec.containers[0].ports[1].name");
    assert_string_equal(yaml_get(yaml_get(root, "spec"), "text")->text.data, "two\nlines\n");
    assert_null(yaml_get(root, "nothing"));
    assert_null(yaml_get(containers, "image"));
    yaml_destroy(root);
    yaml_destroy(NULL);
}

static void test_aliases(void **state)
{
    struct yaml_node *root = parse("a: &x {k: [1]}\nb: *x\n!!map c: !!str d\n");
    assert_string_equal(yaml_get(yaml_get(root, "b"), "k")->items[0]->path, "b.k[0]");
    yaml_destroy(root);
}

static const struct {
    const char *text, *message;
} refused[] = {
    {"", "board.yaml: nothing in it (but for white space and comments)"},
    {"# only this\n", "board.yaml: nothing in it (but for white space and comments)"},
    {"a:\n\tb: 1\n", "board.yaml:2:1: a tab indents this line; YAML is indented with spaces only"},
    {"a: 1\n\tb: 2\n", "board.yaml:2:1: a tab indents this line; YAML is indented with spaces only"},
    {"a:\n  b: 1\n\tc: 2\n", "board.yaml:3:1: a tab indents this line; YAML is indented with spaces only"},
    {"a: |\n\tx\n", "board.yaml:2:1: a tab indents this line; YAML is indented with spaces only"},
    {"a: @x\n", "board.yaml:1:4: a value cannot begin with \"@\"; put it in quotes"},
    {"a: `x`\n", "board.yaml:1:4: a value cannot begin with \"`\"; put it in quotes"},
    {"a: 1\nb\nc: 2\n", "board.yaml:3:1: expected \"key: value\", found no \":\" behind the text on line 2"},
    {"a: b: c\n", "board.yaml:1:5: a \":\" cannot stand here; is the indentation right? A value that has \": \" in it "
                  "needs quotes"},
    {"a: - b\n", "board.yaml:1:4: a list (\"- \") cannot begin here; it goes on a line of its own, below its key"},
    {"a:\n  b: 1\n c: 2\n", "board.yaml:3:2: expected another key of the mapping that began on line 1; is the "
                            "indentation right, is a quote closed too early?"},
    {"a:\n  - 1\n  b: 2\n", "board.yaml:3:3: expected another \"- \" of the list that began on line 2; is the "
                            "indentation right?"},
    {"a: [1, 2\nb: 3\n", "board.yaml:2:2: expected \",\" or \"]\" in the list that began with \"[\" on line 1"},
    {"a: {x: 1\nb: 3\n", "board.yaml:2:2: expected \",\" or \"}\" in the mapping that began with \"{\" on line 1"},
    {"a: ]\n", "board.yaml:1:4: expected a value, found \"]\""},
    {"a: 'abc\nb: 1\n", "board.yaml:3:1: the file ends inside the quotes that were opened on line 1"},
    {"a: \"C:\\dir\"\n", "board.yaml:1:7: an unknown escape in double quotes; write \"\\\\\" for a backslash"},
    {"a: *b\n", "board.yaml:1:4: an alias (*) without its anchor (&) above; a value that begins with * needs quotes"},
    {"a: *\n", "board.yaml:1:5: a value that begins with * needs quotes"},
    {"a: \x01\n", "board.yaml:1:4: a control character; is this a text file?"},
    {"a: 1\nb: \xff\n", "board.yaml:2:4: not UTF-8 text"},
    {"a: 1\n---\nb: 1\n", "board.yaml:2: a second document begins here (---); one is expected"},
    {"a: 1\nb: 2\na: 3\n", "board.yaml:3: \"a\" is here for the second time; it is already on line 1"},
    {"s:\n  a: 1\n  'a': 2\n", "board.yaml:3: s: \"a\" is here for the second time; it is already on line 2"},
    {"[a, b]: 1\n", "board.yaml:1: a key must be text, not a list"},
    {"? {a: 1}\n: 1\n", "board.yaml:1: a key must be text, not a mapping"},
    {"\"a\\nb\": 1\n", "board.yaml:1: a key must be text on one line"},
    {"a: 1\nb: !Ref x\n",
     "board.yaml:2: a tag (!) means nothing here; leave it out; a value that begins with ! needs quotes"},
    {"a: &x\n  b: [*x]\n", "board.yaml:1: this anchor (&) is used inside of itself"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct err err = {0};
        assert_null(yaml_parse("board.yaml", span_str(refused[i].text), &err));
        assert_string_equal(err.text, refused[i].message);
    }
}

static void test_bounds(void **state)
{
    struct err err = {0};
    struct buf text = {0};
    for (int i = 0; i < YAML_DEPTH_MAX + 1; i++)
        buf_append_char(&text, '[');
    for (int i = 0; i < YAML_DEPTH_MAX + 1; i++)
        buf_append_char(&text, ']');
    assert_null(yaml_parse("a.yaml", buf_span(&text), &err));
    assert_string_equal(err.text, "a.yaml:1: nested more than 32 deep");
    yaml_destroy(yaml_parse("a.yaml", span_sub(buf_span(&text), 1, 2 * YAML_DEPTH_MAX), &err));

    /* A small text that stands for ten to the ninth values. */
    buf_clear(&text);
    buf_append(&text, SPAN_LIT("- &a0 [x, x, x, x, x, x, x, x, x, x]\n"));
    for (int i = 1; i < 9; i++) {
        buf_printf(&text, "- &a%d [", i);
        for (int j = 0; j < 10; j++)
            buf_printf(&text, "%s*a%d", j != 0 ? ", " : "", i - 1);
        buf_append(&text, SPAN_LIT("]\n"));
    }
    assert_null(yaml_parse("a.yaml", buf_span(&text), &err));
    assert_string_equal(
        err.text, "a.yaml:1: too large: more than 100000 values, or 32 MiB of text, with aliases (*) spelled out");

    /* A text that would take libyaml's composer a minute is refused at once. */
    buf_clear(&text);
    for (int i = 0; i < 60000; i++)
        buf_printf(&text, "- &a%d x\n", i);
    assert_null(yaml_parse("a.yaml", buf_span(&text), &err));
    assert_string_equal(err.text, "a.yaml:1001: more than 1000 anchors (&)");
    buf_clear(&text);
    memset(buf_reserve(&text, 1000000), '[', 1000000);
    buf_added(&text, 1000000);
    assert_null(yaml_parse("a.yaml", buf_span(&text), &err));
    assert_string_equal(err.text, "a.yaml:1: nested more than 32 deep");

    char *large = calloc(1, YAML_BYTES_MAX + 1);
    assert_null(yaml_parse("a.yaml", span_of(large, YAML_BYTES_MAX + 1), &err));
    assert_string_equal(err.text, "a.yaml: 1048577 bytes; at most 1048576 are read");
    free(large);
    buf_finish(&text);
}

/* Many keys are found to differ in good time. */
static void test_many_keys(void **state)
{
    struct err err;
    struct buf text = {0};
    for (int i = 0; i < 90000; i++)
        buf_printf(&text, "k%d:\n", i);
    struct yaml_node *root = yaml_parse("a.yaml", buf_span(&text), &err);
    assert_non_null(root);
    assert_int_equal(root->count, 90000);
    yaml_destroy(root);
    buf_finish(&text);
}

static void test_only(void **state)
{
    static const char *const allowed[] = {"timeoutSeconds", "containers", "to", NULL};
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"timeoutSeconds: 1\nto: 2\n", NULL},
        {"x: {}\n", "board.yaml:1: unknown field \"x\"; the fields here are: timeoutSeconds, containers, to"},
        {"to: 1\ntimoutSeconds: 2\n",
         "board.yaml:2: unknown field \"timoutSeconds\"; did you mean \"timeoutSeconds\"?"},
        {"timeoutseconds: 2\n", "board.yaml:1: unknown field \"timeoutseconds\"; did you mean \"timeoutSeconds\"?"},
        {"container: 2\n", "board.yaml:1: unknown field \"container\"; did you mean \"containers\"?"},
        {"too: 2\n", "board.yaml:1: unknown field \"too\"; did you mean \"to\"?"},
        {"- to\n", "board.yaml:1: expected a mapping, found a list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        struct yaml_node *root = parse(cases[i].text);
        assert_int_equal(yaml_only(root, allowed, &err), cases[i].message == NULL);
        assert_string_equal(err.text, cases[i].message != NULL ? cases[i].message : "");
        yaml_destroy(root);
    }
    struct err err = {0};
    struct yaml_node *root = parse("a:\n  b:\n    - timeoutSecond: 1\n");
    assert_false(yaml_only(yaml_get(yaml_get(root, "a"), "b")->items[0], allowed, &err));
    assert_string_equal(err.text, "board.yaml:3: a.b[0]: unknown field \"timeoutSecond\"; did you mean "
                                  "\"timeoutSeconds\"?");
    yaml_destroy(root);
}

enum read { READ_STRING, READ_U64, READ_U64_TEXT, READ_BOOL, READ_DURATION, READ_BYTES, READ_MAPPING };

/* The value as a number; a text gives its length. */
static bool read_value(enum read read, const struct yaml_node *node, uint64_t *value, struct err *err)
{
    struct span text = {NULL, 0};
    bool yes = false, good = false;
    switch (read) {
    case READ_STRING:
        good = yaml_string(node, &text, err);
        *value = text.len;
        break;
    case READ_U64:
        return yaml_u64(node, 1, 1000, value, err);
    case READ_U64_TEXT:
        return yaml_u64_text(node, 0, UINT64_MAX, value, err);
    case READ_BOOL:
        good = yaml_bool(node, &yes, err);
        *value = yes;
        break;
    case READ_DURATION:
        return yaml_duration_ms(node, 100, 7 * 86400000ull, value, err);
    case READ_BYTES:
        return yaml_bytes(node, 128, 16 << 20, value, err);
    case READ_MAPPING:
        return yaml_expect(node, YAML_MAPPING, err);
    }
    return good;
}

static const struct {
    enum read read;
    const char *text;
    uint64_t value;
    const char *found; /* NULL: it is right */
} reads[] = {
    {READ_STRING, "abc", 3, NULL},
    {READ_STRING, "\"\"", 0, NULL},
    {READ_STRING, "5", 1, NULL},
    {READ_STRING, "", 0, "expected a text, found nothing (\"\" is an empty one)"},
    {READ_STRING, "[a]", 0, "expected a text, found a list"},
    {READ_U64, "1", 1, NULL},
    {READ_U64, "1000", 1000, NULL},
    {READ_U64, "0", 0, "expected a whole number from 1 to 1000, found 0"},
    {READ_U64, "1001", 0, "expected a whole number from 1 to 1000, found 1001"},
    {READ_U64, "0.5", 0, "expected a whole number from 1 to 1000, found 0.5"},
    {READ_U64, "-1", 0, "expected a whole number from 1 to 1000, found -1"},
    {READ_U64, "010", 0, "expected a whole number from 1 to 1000, found 010"},
    {READ_U64, "1e2", 0, "expected a whole number from 1 to 1000, found 1e2"},
    {READ_U64, "99999999999999999999", 0, "expected a whole number from 1 to 1000, found 99999999999999999999"},
    {READ_U64, "", 0, "expected a whole number from 1 to 1000, found nothing"},
    {READ_U64, "\"5\"", 0, "expected a whole number from 1 to 1000, found the text \"5\"; take the quotes away"},
    {READ_U64, "'a b'", 0, "expected a whole number from 1 to 1000, found the text \"a b\""},
    {READ_U64, "{}", 0, "expected a whole number from 1 to 1000, found a mapping"},
    {READ_U64_TEXT, "\"5\"", 5, NULL},
    {READ_U64_TEXT, "18446744073709551615", UINT64_MAX, NULL},
    {READ_U64_TEXT, "\"x\"", 0, "expected a whole number from 0 to 18446744073709551615, found the text \"x\""},
    {READ_BOOL, "true", 1, NULL},
    {READ_BOOL, "false", 0, NULL},
    {READ_BOOL, "yes", 0, "expected true or false, found yes"},
    {READ_BOOL, "\"true\"", 0, "expected true or false, found the text \"true\"; take the quotes away"},
    {READ_BOOL, "", 0, "expected true or false, found nothing"},
    {READ_DURATION, "500ms", 500, NULL},
    {READ_DURATION, "90s", 90000, NULL},
    {READ_DURATION, "10m", 600000, NULL},
    {READ_DURATION, "24h", 86400000, NULL},
    {READ_DURATION, "7d", 604800000, NULL},
    {READ_DURATION, "5", 5000, NULL},
    {READ_DURATION, "\"5s\"", 5000, NULL},
    {READ_DURATION, "8d", 0, "expected a duration from 100ms to 7d (like 500ms, 30s, 10m, 24h), found 8d"},
    {READ_DURATION, "5 min", 0,
     "expected a duration from 100ms to 7d (like 500ms, 30s, 10m, 24h), found the text \"5 min\""},
    {READ_DURATION, "1.5h", 0, "expected a duration from 100ms to 7d (like 500ms, 30s, 10m, 24h), found 1.5h"},
    {READ_DURATION, "s", 0, "expected a duration from 100ms to 7d (like 500ms, 30s, 10m, 24h), found s"},
    {READ_DURATION, "18446744073709551615h", 0,
     "expected a duration from 100ms to 7d (like 500ms, 30s, 10m, 24h), found 18446744073709551615h"},
    {READ_BYTES, "512", 512, NULL},
    {READ_BYTES, "128B", 128, NULL},
    {READ_BYTES, "64KiB", 65536, NULL},
    {READ_BYTES, "10MiB", 10 << 20, NULL},
    {READ_BYTES, "1MB", 1000000, NULL},
    {READ_BYTES, "8Mi", 8 << 20, NULL},
    {READ_BYTES, "1GiB", 0, "expected a size from 128 bytes to 16MiB (like 512, 64KiB, 10MiB), found 1GiB"},
    {READ_BYTES, "1kib", 0, "expected a size from 128 bytes to 16MiB (like 512, 64KiB, 10MiB), found 1kib"},
    {READ_MAPPING, "{}", 0, NULL},
    {READ_MAPPING, "", 0, "expected a mapping, found nothing"},
    {READ_MAPPING, "abcdefghij abcdefghij abcdefghij abcdefghij abcdefghij abcde \xc3\xa9\xc3\xa9", 0,
     "expected a mapping, found the text \"abcdefghij abcdefghij abcdefghij abcdefghij abcdefghij abcde...\""},
};

static void test_reads(void **state)
{
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        struct err err = {0};
        struct buf text = {0}, expected = {0};
        uint64_t value = 0;
        buf_printf(&text, "top:\n  field: %s\n", reads[i].text);
        buf_append_char(&text, '\0');
        struct yaml_node *root = parse(text.data);
        bool good = read_value(reads[i].read, yaml_get(yaml_get(root, "top"), "field"), &value, &err);
        if (reads[i].found != NULL)
            buf_printf(&expected, "board.yaml:2: top.field: %s", reads[i].found);
        buf_append_char(&expected, '\0');
        assert_string_equal(err.text, expected.data);
        assert_int_equal(good, reads[i].found == NULL);
        assert_int_equal(value, reads[i].value);
        yaml_destroy(root);
        buf_finish(&text);
        buf_finish(&expected);
    }
}

/* No error repeats a text from a secret place, nor an address from anywhere. */
static void test_secrets(void **state)
{
    static const char *const texts[] = {"a: hunter2\n", "a: [hunter2]\n", "a: {b: {c: hunter2}}\n",
                                        "a: \"x hunter2\"\n"};
    uint64_t number;
    bool yes;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = {0};
        struct yaml_node *root = parse(texts[i]), *node = yaml_get(root, "a");
        yaml_keep_secret(node);
        while (node->type != YAML_SCALAR)
            node = node->type == YAML_LIST ? node->items[0] : node->pairs[0].value;
        assert_false(yaml_u64(node, 1, 2, &number, &err));
        assert_null(strstr(err.text, "hunter2"));
        assert_false(yaml_bool(node, &yes, &err));
        assert_null(strstr(err.text, "hunter2"));
        assert_false(yaml_expect(node, YAML_LIST, &err));
        assert_string_equal(strstr(err.text, "expected"),
                            "expected a list, found a text (not repeated here: it may hold a secret)");
        yaml_destroy(root);
    }
    yaml_keep_secret(NULL);
    struct err err = {0};
    struct yaml_node *root = parse("a: redis://:hunter2@host\nredis://:hunter2@host: 1\n");
    static const char *const allowed[] = {"a", NULL};
    assert_false(yaml_u64(yaml_get(root, "a"), 1, 2, &number, &err));
    assert_null(strstr(err.text, "hunter2"));
    assert_false(yaml_only(root, allowed, &err));
    assert_null(strstr(err.text, "hunter2"));
    yaml_destroy(root);
    assert_null(yaml_parse("board.yaml", SPAN_LIT("a: !hunter2 x\n"), &err));
    assert_null(strstr(err.text, "hunter2"));
}

/* However long the names of the file and of the keys are, the message itself is there. */
static void test_places(void **state)
{
    static const char *const allowed[] = {"a", NULL};
    char file[4001];
    struct buf text = {0};
    struct err err = {0};
    memset(file, 'f', sizeof file - 1);
    file[sizeof file - 1] = '\0';
    for (int depth = 0; depth < 20; depth++) {
        buf_printf(&text, "%*s", depth, "");
        for (int i = 0; i < 333; i++)
            buf_append(&text, SPAN_LIT("\xe2\x82\xac"));
        buf_append(&text, SPAN_LIT(":\n"));
    }
    buf_printf(&text, "%*sb: soon\n", 20, "");
    struct yaml_node *root = yaml_parse(file, buf_span(&text), &err), *node = root;
    assert_non_null(root);
    while (node->type == YAML_MAPPING && node->pairs[0].value->type == YAML_MAPPING)
        node = node->pairs[0].value;
    assert_false(yaml_only(node, allowed, &err));
    assert_non_null(strstr(err.text, "fff:21: ...\xe2\x82\xac"));
    assert_non_null(strstr(err.text, ": unknown field \"b\"; the fields here are: a"));
    yaml_destroy(root);
    assert_null(yaml_parse("board.yaml", SPAN_LIT("\"a\xe2\x80\xae\": 1\n"), &err));
    assert_non_null(strstr(err.text, "a key holds a control character"));
    assert_null(yaml_parse("board.yaml", SPAN_LIT("\"a\\e\": 1\n"), &err));
    buf_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),   cmocka_unit_test(test_aliases),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_many_keys), cmocka_unit_test(test_only),
        cmocka_unit_test(test_reads),  cmocka_unit_test(test_secrets),   cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
