/* moved: a map of ids. */
#include "session/moved.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/session.h"

struct moved {
    struct map_node by_sid;
    char sid[ENGINEIO_SID_BYTES];
};

struct moved *moved_begin(struct sessions *sessions, struct span sid)
{
    struct moved *moved = mem_alloc(sizeof *moved);
    assert(sid.len == sizeof moved->sid);
    memcpy(moved->sid, sid.data, sizeof moved->sid);
    map_add(&sessions->moved, &moved->by_sid, span_of(moved->sid, sizeof moved->sid));
    return moved;
}

void moved_end(struct sessions *sessions, struct moved *moved)
{
    if (moved == NULL)
        return;
    map_remove(&sessions->moved, &moved->by_sid);
    free(moved);
}

bool moved_is(const struct sessions *sessions, struct span sid)
{
    return map_find(&sessions->moved, sid) != NULL;
}
