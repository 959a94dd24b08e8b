/* redis_names: the keys and channels of one instance, and the name of its present life. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

void redis_names_init(struct redis_broker *redis, const char *prefix, const char *instance)
{
    struct redis_names *names = &redis->names;
    names->instance = mem_text(span_str(instance));
    names->prefix = mem_printf("%s:{0}:", prefix);
    names->state = mem_printf("%sstate", names->prefix);
    names->recent = mem_printf("%srecent", names->prefix);
    names->lives = mem_printf("%slives", names->prefix);
    names->away = mem_printf("%saway", names->prefix);
    names->rooms = mem_printf("%srooms", names->prefix);
    names->sizes = mem_printf("%ssizes", names->prefix);
    names->heres = mem_printf("%sheres", names->prefix);
    names->inbox = mem_printf("%sinbox:%s", names->prefix, instance);
    /* One process, one publisher: an instance that is started again under its old name must not go on with its numbers.
     */
    names->publisher = mem_printf("%spublisher:%s:%016llx", names->prefix, instance,
                                  (unsigned long long)loop_random_below(redis->loop, UINT64_MAX));
}

void redis_names_life_begin(struct redis_broker *redis)
{
    struct redis_names *names = &redis->names;
    uint64_t wall_ms = (uint64_t)loop_wall_ms(redis->loop);
    names->life_number = wall_ms > names->life_number ? wall_ms : names->life_number + 1;
    snprintf(names->life, sizeof names->life, "%.40s:%llu", names->instance, (unsigned long long)names->life_number);
    for (char *c = names->life; *c != '\0'; c++)
        if (*c <= ' ' || *c == 0x7f)
            *c = '_';
    free(names->of_life);
    names->of_life = mem_printf("%sof:%s", names->prefix, names->life);
}

void redis_names_finish(struct redis_names *names)
{
    char *const texts[] = {names->prefix, names->instance, names->state, names->publisher,
                           names->recent, names->lives,    names->away,  names->rooms,
                           names->sizes,  names->heres,    names->inbox, names->of_life};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
}
