/* main: the simulator's command line: seeds in, failures out.
 *
 *     test_sim SEED              replays one seed and says what happens in it
 *     test_sim FIRST COUNT       runs the kept seeds (seeds.txt), then COUNT seeds from FIRST on; says what fails
 *     test_sim any SEED...       runs these seeds (17, or 20-40) up to the first that fails
 *     SENNIT_SIM_TRACE=N         replaying, also what client N sends and gets, and what the broker accepts
 *     SENNIT_SIM_LOG=1           with the instances' logs
 *
 * Every so many seeds one is run twice: both must be the same to the microsecond. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fleet.h"

enum { TWICE_EVERY = 50, PROGRESS_EVERY = 100, KEPT_LINE_BYTES = 256 };

struct tally {
    uint64_t seeds, failed, faults, accepted, shown, resumed;
};

static void silence(struct span line)
{
}

static void aloud(struct span line)
{
    fwrite(line.data, 1, line.len, stdout);
}

/* What the environment says is not part of a seed. */
static void environment_clear(void)
{
    static const char *const unset[] = {"PORT",
                                        "REDIS_URL",
                                        "K_SERVICE",
                                        "K_REVISION",
                                        "SENNIT_INSTANCE",
                                        "SENNIT_BROKER",
                                        "SENNIT_REQUEST_TIMEOUT_SECONDS",
                                        "SENNIT_CLIENT_DIR"};
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++)
        unsetenv(unset[i]);
}

static void result_print(uint64_t seed, const char *name, const struct fleet_result *result)
{
    printf("%s seed %llu%s%s: %s\n"
           "    %llu faults, %llu accepted, %llu lost by the broker, %llu shown (%llu after leaving), %llu resumed, "
           "%llu fresh, %llu resumes refused, digest %016llx\n",
           result->failure != NULL ? "FAILED" : "passed", (unsigned long long)seed, name[0] != '\0' ? " " : "", name,
           result->failure != NULL ? result->failure : "all is well", (unsigned long long)result->faults,
           (unsigned long long)result->accepted, (unsigned long long)result->lost_by_broker,
           (unsigned long long)result->shown, (unsigned long long)result->shown_late,
           (unsigned long long)result->resumed, (unsigned long long)result->fresh,
           (unsigned long long)result->refused_resumes, (unsigned long long)result->digest);
    fflush(stdout);
}

static void plan_print(const struct fleet_plan *plan)
{
    printf("seed %llu: %d instances, %d clients%s%s%s; in a thousand faults: %d cuts, %d silences, %d cuts of links, "
           "%d kills, %d pauses, %d drains, %d ends of Redis, %d failovers, %d pauses of Redis, %d script flushes, "
           "%d refusals, %d clock jumps\n",
           (unsigned long long)plan->seed, plan->instances, plan->clients, plan->replay_all ? ", replay all" : "",
           plan->small_log ? ", small logs" : "", plan->quiet ? ", quiet" : "", plan->cuts, plan->silences,
           plan->link_cuts, plan->kills, plan->pauses, plan->drains, plan->redis_kills, plan->failovers,
           plan->redis_pauses, plan->script_flushes, plan->refusals, plan->clock_jumps);
}

static bool replay(uint64_t seed)
{
    struct fleet_plan plan;
    struct fleet_result result;
    const char *traced = getenv("SENNIT_SIM_TRACE");
    fleet_plan_from_seed(&plan, seed);
    plan.verbose = true;
    plan.traced = traced != NULL ? atoi(traced) : -1;
    plan_print(&plan);
    fleet_run(&plan, &result);
    result_print(seed, "", &result);
    bool failed = result.failure != NULL;
    free(result.failure);
    return !failed;
}

static void run(struct tally *tally, uint64_t seed, const char *name)
{
    struct fleet_plan plan;
    struct fleet_result result, again;
    fleet_plan_from_seed(&plan, seed);
    fleet_run(&plan, &result);
    bool failed = result.failure != NULL;
    if (tally->seeds % TWICE_EVERY == 0 && !failed) {
        fleet_run(&plan, &again);
        if (again.digest != result.digest) {
            printf("seed %llu: its second run was another one\n", (unsigned long long)seed);
            failed = true;
        }
        free(again.failure);
    }
    if (failed)
        result_print(seed, name, &result);
    tally->seeds++;
    tally->failed += failed;
    tally->faults += result.faults;
    tally->accepted += result.accepted;
    tally->shown += result.shown;
    tally->resumed += result.resumed;
    free(result.failure);
}

/* `SEED what it once found`, `#` begins a comment. */
static bool run_kept(struct tally *tally, const char *path)
{
    char line[KEPT_LINE_BYTES], *name;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        line[strcspn(line, "\n")] = '\0';
        uint64_t seed = strtoull(line, &name, 10);
        run(tally, seed, name + strspn(name, " "));
    }
    fclose(file);
    return true;
}

static bool run_any(int count, char **seeds)
{
    struct tally tally = {.seeds = 1}; /* none twice */
    for (int i = 0; i < count; i++) {
        char *end;
        uint64_t seed = strtoull(seeds[i], &end, 10), last = *end == '-' ? strtoull(end + 1, NULL, 10) : seed;
        for (; seed <= last && tally.failed == 0; seed++)
            run(&tally, seed, "");
    }
    return tally.failed == 0;
}

int main(int argc, char **argv)
{
    struct tally tally = {0};
    environment_clear();
    log_init(LOG_TEXT, LOG_DEBUG, NULL, getenv("SENNIT_SIM_LOG") != NULL ? aloud : silence);
    if (argc >= 3 && strcmp(argv[1], "any") == 0)
        return run_any(argc - 2, argv + 2) ? 0 : 1;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: test_sim SEED\n       test_sim FIRST COUNT\n       test_sim any SEED...\n");
        return 2;
    }
    uint64_t first = strtoull(argv[1], NULL, 10), count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    if (argc == 2)
        return replay(first) ? 0 : 1;
    bool kept = run_kept(&tally, SEEDS_FILE);
    printf("%llu kept seeds, %llu failed\n", (unsigned long long)tally.seeds, (unsigned long long)tally.failed);
    for (uint64_t i = 0; i < count; i++) {
        run(&tally, first + i, "");
        if ((i + 1) % PROGRESS_EVERY == 0 && i + 1 < count)
            printf("%llu of %llu seeds, %llu failed\n", (unsigned long long)i + 1, (unsigned long long)count,
                   (unsigned long long)tally.failed);
        fflush(stdout);
    }
    printf("%llu seeds, %llu failed; %llu faults, %llu accepted, %llu shown, %llu resumed\n",
           (unsigned long long)tally.seeds, (unsigned long long)tally.failed, (unsigned long long)tally.faults,
           (unsigned long long)tally.accepted, (unsigned long long)tally.shown, (unsigned long long)tally.resumed);
    return kept && tally.failed == 0 ? 0 : 1;
}
