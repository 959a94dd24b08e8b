/* main: the simulator's command line: seeds in, failures out.
 *
 *     test_sim SEED              replays one seed and says what happens in it
 *     test_sim FIRST COUNT       runs the kept seeds (seeds.txt), then COUNT seeds from FIRST on; says what fails
 *     test_sim any SEED...       runs these seeds (17, or 20-40) up to the first that fails
 *     SENNIT_SIM_TRACE=N         replaying, also what client N sends and gets, and what the broker accepts
 *     SENNIT_SIM_REDIS=TEXT      also what Redis is asked that contains this text, and answers
 *     SENNIT_SIM_LOG=1           with the instances' logs
 *
 * Every so many seeds one is run twice: both must be the same to the microsecond. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fleet.h"

enum { TWICE_EVERY = 50, PROGRESS_EVERY = 100, KEPT_LINE_BYTES = 256 };

/* Sums over the seeds that were run. */
struct tally {
    uint64_t seeds, failed;
    struct fleet_result sum;
};

static void silence(struct span line)
{
}

static void aloud(struct span line)
{
    fwrite(line.data, 1, line.len, stdout);
}

/* Variables of the environment are not part of a seed. */
static void environment_clear(void)
{
    static const char *const unset[] = {"PORT",
                                        "REDIS_URL",
                                        "K_SERVICE",
                                        "K_REVISION",
                                        "SENNIT_INSTANCE",
                                        "SENNIT_BROKER",
                                        "SENNIT_REQUEST_TIMEOUT_SECONDS",
                                        "SENNIT_CONCURRENCY",
                                        "SENNIT_ROTATE",
                                        "SENNIT_CLIENT_DIR"};
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++)
        unsetenv(unset[i]);
}

struct figure {
    size_t at;
    const char *name;
};
#define FIGURE(name, text) \
    { \
        offsetof(struct fleet_result, name), text \
    }
static const struct figure figures[] = {
    FIGURE(faults, "faults"),
    FIGURE(accepted, "accepted"),
    FIGURE(wide, "to several rooms"),
    FIGURE(directs, "to one socket"),
    FIGURE(directives, "directives"),
    FIGURE(dismissed, "clients told to end"),
    FIGURE(backend_published, "by a backend"),
    FIGURE(polling, "clients that poll"),
    FIGURE(plain, "plain clients"),
    FIGURE(moved_ahead, "moves ahead of a cut"),
    FIGURE(polls, "polls"),
    FIGURE(upgraded, "moves to a WebSocket"),
    FIGURE(frozen, "times frozen"),
    FIGURE(unheard, "words about sessions lost"),
    FIGURE(repeated, "requests repeated"),
    FIGURE(lost_answers, "answers lost"),
    FIGURE(lost_by_broker, "lost by the broker"),
    FIGURE(shown, "shown"),
    FIGURE(passing, "of them not logged"),
    FIGURE(resumed, "resumed"),
    FIGURE(fresh, "fresh"),
    FIGURE(refused_resumes, "resumes refused"),
    FIGURE(announced, "who came or left"),
    FIGURE(compared, "rosters compared"),
    FIGURE(missed, "missed"),
    FIGURE(pages, "pages of history"),
    FIGURE(page_entries, "with something"),
    FIGURE(stalls, "stalls"),
    FIGURE(slowed, "queues dropped"),
    FIGURE(rotated, "rotated"),
    FIGURE(timed_out, "timed out"),
    FIGURE(swallowed, "pushes swallowed"),
    FIGURE(excused, "entries excused"),
    FIGURE(vanished, "keys vanished"),
    FIGURE(evil, "hostile messages"),
    FIGURE(program_sockets, "sockets of programs"),
    FIGURE(program_resumed, "of them resumed"),
    FIGURE(program_moved, "moved"),
    FIGURE(program_ended, "ended"),
    FIGURE(program_lost, "with their instance"),
    FIGURE(program_again, "once more"),
    FIGURE(program_stale, "events too late"),
    FIGURE(program_writes, "writes of data"),
    FIGURE(program_answered, "questions answered"),
    FIGURE(program_unanswered, "not answered"),
    FIGURE(raw_sent, "messages of raw rooms"),
    FIGURE(raw_shown, "raw messages shown"),
    FIGURE(raw_owed, "of these looked for"),
    FIGURE(asked, "questions of clients"),
    FIGURE(ask_answered, "with an answer"),
    FIGURE(ask_late, "too late"),
    FIGURE(ask_gone, "whose receiver was gone"),
    FIGURE(ask_refused, "refused"),
    FIGURE(published, "messages of a backend that repeats"),
    FIGURE(published_sent, "requests for these"),
    FIGURE(published_again, "of them repeated"),
    FIGURE(published_refused, "names taken"),
    FIGURE(surveys, "surveys"),
    FIGURE(survey_heard, "clients asked by them"),
    FIGURE(survey_answers, "answers"),
    FIGURE(survey_missing, "called missing"),
    FIGURE(survey_incomplete, "surveys called incomplete"),
    FIGURE(survey_failed, "without an end"),
    FIGURE(survey_judged, "looked at"),
};
enum { FIGURES = sizeof figures / sizeof figures[0] };

static uint64_t *figure_of(struct fleet_result *result, size_t i)
{
    return (uint64_t *)((char *)result + figures[i].at);
}

static void figures_print(struct fleet_result *result)
{
    bool first = true;
    printf("    ");
    for (size_t i = 0; i < FIGURES; i++) {
        uint64_t value = *figure_of(result, i);
        if (value == 0)
            continue;
        printf("%s%llu %s", first ? "" : ", ", (unsigned long long)value, figures[i].name);
        first = false;
    }
    printf(", longest acknowledgement %llu us\n", (unsigned long long)result->ack_us);
}

static void result_print(uint64_t seed, const char *name, struct fleet_result *result)
{
    printf("%s seed %llu%s%s: %s\n", result->failure != NULL ? "FAILED" : "passed", (unsigned long long)seed,
           name[0] != '\0' ? " " : "", name, result->failure != NULL ? result->failure : "all is well");
    figures_print(result);
    printf("    digest %016llx\n", (unsigned long long)result->digest);
    fflush(stdout);
}

static bool replay(uint64_t seed)
{
    struct fleet_plan plan;
    struct fleet_result result;
    const char *traced = getenv("SENNIT_SIM_TRACE");
    fleet_plan_from_seed(&plan, seed);
    plan.verbose = true;
    plan.traced = traced != NULL ? atoi(traced) : -1;
    plan.asked = getenv("SENNIT_SIM_REDIS");
    fleet_plan_print(&plan);
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
    for (size_t i = 0; i < FIGURES; i++)
        *figure_of(&tally->sum, i) += *figure_of(&result, i);
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

static bool run_many(uint64_t first, uint64_t count)
{
    struct tally tally = {0};
    bool kept = run_kept(&tally, SEEDS_FILE);
    printf("%llu kept seeds, %llu failed\n", (unsigned long long)tally.seeds, (unsigned long long)tally.failed);
    for (uint64_t i = 0; i < count; i++) {
        run(&tally, first + i, "");
        if ((i + 1) % PROGRESS_EVERY == 0 && i + 1 < count)
            printf("%llu of %llu seeds, %llu failed\n", (unsigned long long)i + 1, (unsigned long long)count,
                   (unsigned long long)tally.failed);
        fflush(stdout);
    }
    printf("%llu seeds, %llu failed\n", (unsigned long long)tally.seeds, (unsigned long long)tally.failed);
    figures_print(&tally.sum);
    return kept && tally.failed == 0;
}

int main(int argc, char **argv)
{
    environment_clear();
    log_init(LOG_TEXT, LOG_DEBUG, NULL, getenv("SENNIT_SIM_LOG") != NULL ? aloud : silence);
    if (argc >= 3 && strcmp(argv[1], "any") == 0)
        return run_any(argc - 2, argv + 2) ? 0 : 1;
    if (argc == 2)
        return replay(strtoull(argv[1], NULL, 10)) ? 0 : 1;
    if (argc == 3)
        return run_many(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10)) ? 0 : 1;
    fprintf(stderr, "usage: test_sim SEED\n       test_sim FIRST COUNT\n       test_sim any SEED...\n");
    return 2;
}
