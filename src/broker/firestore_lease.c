/* firestore_lease: the calls of leases, presence, mail and probes, as records. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/firestore_parts.h"

static void done_by(struct firestore_op *op, broker_done_fn *done, void *arg)
{
    op->call.done = done;
    op->arg = arg;
}

static void claimed_by(struct firestore_op *op, broker_claim_fn *done, void *arg)
{
    op->call.claim = done;
    op->arg = arg;
}

void firestore_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    done_by(
        firestore_op_add(firestore_of(broker), FS_LEASE_WRITE, (uint64_t[]){lease->generation, lease->window_ms},
                         (struct span[]){lease->pid, lease->sid, lease->own, lease->rooms, lease->data, lease->watch}),
        done, arg);
}

void firestore_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq,
                           broker_claim_fn *done, void *arg)
{
    claimed_by(firestore_op_add(firestore_of(broker), FS_LEASE_CLAIM, &seq, (struct span[]){pid, epoch}), done, arg);
}

void firestore_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg)
{
    claimed_by(firestore_op_add(firestore_of(broker), FS_LEASE_TAKE, &generation, &pid), done, arg);
}

void firestore_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg)
{
    claimed_by(firestore_op_add(firestore_of(broker), FS_LEASE_LAPSED, NULL, &watch), done, arg);
}

void firestore_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    done_by(firestore_op_add(firestore_of(broker), FS_LEASE_END, &lease->generation,
                             (struct span[]){lease->pid, lease->own}),
            done, arg);
}

void firestore_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good)
{
    firestore_op_add(firestore_of(broker), FS_LEASE_RELEASE, (uint64_t[]){lease->generation, for_good},
                     (struct span[]){lease->pid, lease->own});
}

void firestore_present_enter(struct broker *broker, struct span room, const struct broker_present *who)
{
    firestore_op_add(firestore_of(broker), FS_ENTER, &who->generation, (struct span[]){room, who->sid, who->data});
}

void firestore_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return)
{
    firestore_op_add(firestore_of(broker), FS_LEAVE, (uint64_t[]){may_return}, (struct span[]){room, sid});
}

void firestore_probe(struct broker *broker, broker_done_fn *done, void *arg)
{
    done_by(firestore_op_add(firestore_of(broker), FS_PROBE, NULL, NULL), done, arg);
}

static void mail_out(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    struct firestore_op *op = firestore_op_add(firestore_of(broker), FS_MAIL, NULL, (struct span[]){to, message});
    op->call.mailed = done;
    op->arg = arg;
}

/* Who owns which leases; the replica knows. */
struct owners {
    struct firestore *fs;
    const struct span *heard;
    size_t heard_count;
    struct notice *notice;
};

static bool was_heard(const struct owners *owners, struct span instance)
{
    for (size_t i = 0; i < owners->heard_count; i++)
        if (span_equal(owners->heard[i], instance))
            return true;
    return false;
}

static void owner_note(void *arg, const struct memory_lease *lease)
{
    struct owners *owners = arg;
    struct notice *notice = owners->notice;
    if (lease->owner == 0 || lease->ended || lease->left)
        return;
    list_each (node, &owners->fs->lives) {
        const struct life *life = container_of(node, struct life, of_all);
        struct span instance = span_str(life->instance);
        if (life->ended || life->number != lease->owner || was_heard(owners, instance))
            continue;
        notice->lens = mem_resize(notice->lens, (notice->len_count + 2) * sizeof *notice->lens);
        notice->lens[notice->len_count++] = instance.len;
        notice->lens[notice->len_count++] = lease->lease.pid.len;
        buf_append(&notice->text, instance);
        buf_append(&notice->text, lease->lease.pid);
    }
}

static void tell_owners(struct memory *memory, struct notice *notice)
{
    struct span rest = buf_span(&notice->text);
    size_t count = notice->len_count / 2;
    struct mail_owner *list = mem_zero(count + 1, sizeof *list);
    (void)memory;
    for (size_t i = 0; i < count; i++) {
        span_take(&rest, notice->lens[2 * i], &list[i].instance);
        span_take(&rest, notice->lens[2 * i + 1], &list[i].pid);
    }
    notice->call.owners(notice->arg, notice->result == BROKER_OK ? list : NULL, count);
    free(list);
}

static void owners_ask(struct broker *broker, const struct span *heard, size_t count, mail_owners_fn *done, void *arg)
{
    struct firestore *fs = firestore_of(broker);
    struct owners owners = {fs, heard, count, memory_notice(&fs->memory, tell_owners)};
    owners.notice->call.owners = done;
    owners.notice->arg = arg;
    memory_leases_each(&fs->memory, owner_note, &owners);
}

const struct mail_ops firestore_mail_ops = {mail_out, owners_ask};
