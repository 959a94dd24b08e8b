/* file: puts the in-process broker, a journal and a disk together. */
#include "broker/file.h"

#include "broker/memory_parts.h"

static void on_passed(void *arg)
{
    struct memory *memory = arg;
    loop_at_flush(memory->loop, &memory->tell);
}

static void on_trouble(void *arg, const char *why)
{
    struct memory *memory = arg;
    memory->broker.trouble = why;
}

static const struct journal_events events = {on_passed, on_trouble};

struct broker *broker_file_create(struct loop *loop, const struct broker_file_config *config, struct err *err)
{
    struct disk *disk = disk_open(config->directory, err);
    if (disk == NULL)
        return NULL;
    struct memory *memory = memory_create(loop, &config->bounds);
    memory->journal = journal_create(loop, disk, config->sync, &events, memory, err);
    if (memory->journal == NULL)
        disk_close(disk);
    if (memory->journal == NULL || !memory_restore(memory, disk, err)) {
        broker_destroy(&memory->broker);
        return NULL;
    }
    memory_start(memory);
    return &memory->broker;
}
