/* The replay itself: it must object to a codec that depends on how its input is cut, to wrong events, and to one that
 * reads too far. A checker counts once it has been seen to fail. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vectors/vector.h"

static void *nothing_create(const struct vector *vector)
{
    return NULL;
}

static void nothing_destroy(void *state)
{
}

/* Lines ended by '.', taken when they are whole. */
static ptrdiff_t sound_feed(void *state, char *bytes, size_t len, struct buf *out)
{
    ptrdiff_t at = span_find(span_of(bytes, len), '.');
    if (at < 0)
        return 0;
    vector_quote(out, span_of(bytes, (size_t)at));
    buf_append_char(out, '\n');
    return at + 1;
}

/* Says one word for each piece it is given. */
static ptrdiff_t cut_feed(void *state, char *bytes, size_t len, struct buf *out)
{
    if (len != 0)
        buf_append(out, SPAN_LIT("piece\n"));
    return (ptrdiff_t)len;
}

/* Looks one byte behind the end. */
static ptrdiff_t greedy_feed(void *state, char *bytes, size_t len, struct buf *out)
{
    volatile char *behind = bytes;
    return behind[len] == 'x' ? -1 : (ptrdiff_t)len;
}

static const struct vector_codec sound = {.create = nothing_create, .destroy = nothing_destroy, .feed = sound_feed};
static const struct vector_codec cut = {.create = nothing_create, .destroy = nothing_destroy, .feed = cut_feed};
static const struct vector_codec greedy = {.create = nothing_create, .destroy = nothing_destroy, .feed = greedy_feed};

static unsigned replay(const struct vector_codec *codec, const char *text, unsigned *count)
{
    *count = 0;
    return vector_replay(codec, SPAN_LIT("inline"), span_str(text), count);
}

static void test_sound_codec_passes(void **state)
{
    unsigned count;
    assert_int_equal(replay(&sound,
                            "# two\nname: one\nin: \"ab.\" \"c\"*40\nin: \".\"\nout: \"ab\"\nout: \"c\"*40\n\n"
                            "name: two\nin: \"\\x00\\r\\\".\"\nout: \"\\x00\\r\\\"\"\n",
                            &count),
                     0);
    assert_int_equal(count, 2);
}

static void test_wrong_events_fail(void **state)
{
    unsigned count;
    assert_int_equal(replay(&sound, "name: one\nin: \"ab.\"\nout: \"ac\"\n\nname: two\nin: \"a.\"\n", &count), 2);
}

static void test_cut_dependence_fails(void **state)
{
    unsigned count;
    assert_int_equal(replay(&cut, "name: one\nin: \"abc\"\nout: piece\n", &count), 1);
}

static void test_reading_too_far_dies(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        unsigned count;
        /* Neither cmocka nor a sanitizer shall make a story of it. */
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        replay(&greedy, "name: one\nin: \"abc\"\n", &count);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_codec_passes),
        cmocka_unit_test(test_wrong_events_fail),
        cmocka_unit_test(test_cut_dependence_fails),
        cmocka_unit_test(test_reading_too_far_dies),
    };
    return cmocka_run_group_tests_name("vector", tests, NULL, NULL);
}
