/* roster: writes and reads the notes. */
#include "platform/roster.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/file.h"
#include "loop/orphans.h"
#include "loop/process.h"

enum { NOTE_BYTES_MAX = 1024, WAIT_MS = 10, WAITS_MAX = 100 };

struct note {
    pid_t owner, pid;
    uint64_t birth;
    char boot[BOOT_ID_BYTES], variable[512];
};

static bool number_take(struct span *rest, uint64_t *value)
{
    struct span word;
    return span_next(rest, ' ', &word) && span_to_u64(word, value);
}

static bool note_read(const char *path, struct note *note)
{
    struct buf text = {0};
    struct err ignored;
    uint64_t owner, pid;
    bool ok = file_read(path, NOTE_BYTES_MAX, &text, &ignored);
    struct span all = buf_span(&text), rest = {"", 0}, boot;
    ok = ok && span_next(&all, '\n', &rest) && number_take(&rest, &owner) && number_take(&rest, &pid) &&
         number_take(&rest, &note->birth) && owner <= INT_MAX && pid <= INT_MAX && span_next(&rest, ' ', &boot) &&
         rest.len > 0;
    if (ok) {
        note->owner = (pid_t)owner;
        note->pid = (pid_t)pid;
        snprintf(note->boot, sizeof note->boot, SPAN_FMT, SPAN_ARG(boot));
        snprintf(note->variable, sizeof note->variable, SPAN_FMT, SPAN_ARG(rest));
    }
    buf_finish(&text);
    return ok;
}

/* Ends what one note names. Returns how many processes that were. */
static unsigned note_settle(const struct note *note, const char *boot, const struct cgroups *cgroups)
{
    if (strcmp(note->boot, boot) != 0) /* the machine has started again */
        return 0;
    unsigned count = orphans_kill(note->pid, note->birth, note->variable);
    if (note->owner != process_self()) /* a number may come again, and ours has no groups yet */
        count += cgroups_kill(cgroups, note->owner);
    for (int i = 0; count > 0 && i < WAITS_MAX && orphans_live(note->pid); i++)
        process_pause_ms(WAIT_MS);
    return count;
}

static void settle(const struct roster *roster, const struct cgroups *cgroups)
{
    struct err ignored;
    char boot[BOOT_ID_BYTES], **names = file_list(roster->directory, "", &ignored);
    unsigned programs = 0, processes = 0;
    process_boot_read(boot);
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        struct note note;
        char *path = mem_printf("%s/%s", roster->directory, names[i]);
        unsigned count = note_read(path, &note) ? note_settle(&note, boot, cgroups) : 0;
        programs += count > 0;
        processes += count;
        file_remove(path);
        free(path);
        free(names[i]);
    }
    free(names);
    if (processes > 0)
        log_event(LOG_WARNING, "an earlier sennit up was killed, and programs of it still ran: they are ended",
                  LOG_N("programs", programs), LOG_N("processes", processes));
}

void roster_open(struct roster *roster, const char *control, const struct cgroups *cgroups)
{
    struct err err;
    roster->directory = mem_printf("%s/programs", control);
    if (file_make_directory(roster->directory, &err)) {
        settle(roster, cgroups);
        return;
    }
    log_event(LOG_WARNING, "no notes about programs: if this sennit up is killed, what they start may live on",
              LOG_C("error", err.text));
    roster_finish(roster);
}

void roster_finish(struct roster *roster)
{
    free(roster->directory);
    roster->directory = NULL;
}

void roster_note(const struct roster *roster, pid_t pid, const char *variable)
{
    uint64_t birth;
    char boot[BOOT_ID_BYTES];
    struct err err;
    if (roster->directory == NULL || !process_birth_read(pid, &birth))
        return;
    process_boot_read(boot);
    char *path = mem_printf("%s/%d", roster->directory, (int)pid);
    file_remove(path);
    char *text = mem_printf("%d %d %llu %s %s\n", process_self(), (int)pid, (unsigned long long)birth, boot, variable);
    if (!file_new(path, span_str(text), &err))
        log_event(LOG_WARNING, "no note about a program: if this sennit up is killed, what it starts may live on",
                  LOG_N("pid", pid), LOG_C("error", err.text));
    free(path);
    free(text);
}

void roster_forget(const struct roster *roster, pid_t pid)
{
    if (roster->directory == NULL)
        return;
    char *path = mem_printf("%s/%d", roster->directory, (int)pid);
    file_remove(path);
    free(path);
}
