/* test_vanish: a small fleet; all keys of some kinds vanish from its Redis at once: every subset of the kinds, at some
 * moments. The check decides: no client that lacks entries is told that it has recovered, none reads for ever, later
 * entries are delivered, and none that is acknowledged later is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "fleet.h"

/* All kinds that make a difference to who has no presence. */
enum {
    TRIED = 1 << VANISH_LOG | 1 << VANISH_META | 1 << VANISH_LEASE | 1 << VANISH_OWNER | 1 << VANISH_PUBLISHER |
            1 << VANISH_LIVES | 1 << VANISH_OF | 1 << VANISH_NAMES
};
enum { MOMENTS = 2, FIRST_SEED = 1000 };

static void silence(struct span line)
{
}

static void subsets_vanish(uint64_t seed, uint64_t vanish_us)
{
    uint64_t vanished = 0, resumed = 0;
    for (uint32_t kinds = 1; kinds < 1u << VANISH_KINDS; kinds++) {
        struct fleet_plan plan;
        struct fleet_result result;
        if ((kinds & TRIED) != kinds)
            continue;
        fleet_plan_small(&plan, seed + kinds);
        plan.vanish_kinds = kinds;
        plan.vanish_us = vanish_us;
        fleet_run(&plan, &result);
        if (result.failure != NULL)
            fail_msg("seed %llu, kinds %x vanish after %llu us: %s", (unsigned long long)plan.seed, kinds,
                     (unsigned long long)vanish_us, result.failure);
        vanished += result.vanished;
        resumed += result.resumed;
    }
    assert_true(vanished > 1000 && resumed > 500);
}

static void all_subsets_of_keys(void **state)
{
    for (uint64_t i = 0; i < MOMENTS; i++)
        subsets_vanish(FIRST_SEED * (i + 1), 2200000 + i * 1300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_subsets_of_keys)};
    log_init(LOG_TEXT, LOG_ERROR, NULL, silence);
    return cmocka_run_group_tests_name("sim/vanish", tests, NULL, NULL);
}
