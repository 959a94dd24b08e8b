/* test_slow: plays the stories of slow.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slow.h"

enum { ALL_MS = 8000, OFTEN_MS = 50, TESTS_MAX = 32 };

static const struct story *const stories[] = {&slow_present, &slow_faults};
enum { STORIES = sizeof stories / sizeof stories[0] };

uint64_t slow_began_ms;

static int play(void **state)
{
    size_t next[STORIES] = {0};
    uint64_t often_ms = 0;
    redis_process_start(&redis, NULL);
    instances_set_up(state);
    kind = KIND_REDIS;
    for (int i = 0; i < STORIES; i++)
        stories[i]->begin();
    slow_began_ms = now_ms();
    instances_stalled_forget();
    for (uint64_t ms = 0; ms < ALL_MS; ms = now_ms() - slow_began_ms) {
        bool often = ms >= often_ms + OFTEN_MS;
        for (int i = 0; i < STORIES; i++) {
            const struct story *story = stories[i];
            for (; next[i] < story->step_count && ms >= story->steps[next[i]].at_ms; next[i]++)
                story->steps[next[i]].act();
            if (often && story->often != NULL)
                story->often();
        }
        often_ms = often ? ms : often_ms;
        instances_pass();
    }
    return 0;
}

static int end(void **state)
{
    instances_tear_down(state);
    redis_process_finish(&redis);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[TESTS_MAX];
    size_t count = 0;
    if (!redis_process_is_installed()) {
        printf("broker/slow: skipped, there is no redis-server here\n");
        return 77;
    }
    for (int i = 0; i < STORIES; i++) {
        assert_true(count + stories[i]->test_count <= TESTS_MAX);
        memcpy(tests + count, stories[i]->tests, stories[i]->test_count * sizeof tests[0]);
        count += stories[i]->test_count;
    }
    return _cmocka_run_group_tests("broker/slow", tests, count, play, end);
}
