/* test_file: what is said of a file that cannot be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/file.h"

static struct err err;

/* A configuration may name any file, and each message is one line. */
static void test_a_path_in_a_message_is_one_line(void **state)
{
    struct buf text = {0};
    assert_false(file_read("/nowhere/a\r\nb", 100, &text, &err));
    assert_string_equal(err.text, "/nowhere/a\\x0d\\nb: No such file or directory");
    assert_false(file_read("/", 100, &text, &err));
    assert_string_equal(err.text, "/: is not a regular file");
    assert_false(file_read("/proc/self/maps", 1, &text, &err));
    assert_string_equal(err.text, "/proc/self/maps: larger than 1 bytes");
    assert_false(file_may_write("/nowhere/\033[2J", &err));
    assert_string_equal(err.text, "/nowhere/\\x1b[2J: No such file or directory");
    buf_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_path_in_a_message_is_one_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
