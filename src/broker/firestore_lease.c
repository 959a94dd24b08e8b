/* firestore_lease: the calls of leases, presence, mail and probes, as records. */
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

const struct mail_ops firestore_mail_ops = {mail_out};
