-- Leases. A lease that is watched outlives its life, until somebody asks for its end; of one that has ended, the row is remembered for two
-- windows, so that a former owner is not taken for the only one.

-- So long a watched lease waits to be asked for.
CREATE OR REPLACE FUNCTION lapsed_ms() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 3600000::bigint $$;

-- It is as if it were not there.
CREATE OR REPLACE FUNCTION lease_is_over(in_until_ms bigint, in_watch bytea, in_ended boolean) RETURNS boolean LANGUAGE sql VOLATILE AS
$$ SELECT in_until_ms + CASE WHEN in_watch <> '' AND NOT in_ended THEN lapsed_ms() ELSE 0 END <= now_ms() $$;

-- The lease of this pid, locked; NULL: there is none.
CREATE OR REPLACE FUNCTION lease_find(in_pid text) RETURNS lease LANGUAGE plpgsql AS $$
DECLARE
    l lease;
BEGIN
    SELECT * INTO l FROM lease x WHERE x.pid = in_pid AND NOT lease_is_over(x.until_ms, x.watch, x.ended) FOR UPDATE;
    RETURN l;
END $$;

-- Writes a lease, for two windows from now. False: a higher generation owns it, or it has ended.
CREATE OR REPLACE FUNCTION lease_write(in_life text, in_inbox text, in_pid text, in_generation bigint, in_sid text, in_own bytea,
    in_rooms bytea, in_data bytea, in_keep bytea, in_keep_ms bigint, in_window_ms bigint, in_watch bytea) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM life_check(in_life);
    INSERT INTO lease AS l VALUES (in_pid, in_sid, in_own, in_rooms, in_data, in_keep, in_keep_ms, in_generation, in_window_ms,
        now_ms() + 2 * in_window_ms, in_inbox, in_life, in_watch)
    ON CONFLICT (pid) DO UPDATE SET sid = in_sid, own = in_own, rooms = in_rooms, data = in_data, keep = in_keep, keep_ms = in_keep_ms,
        generation = in_generation, window_ms = in_window_ms, until_ms = EXCLUDED.until_ms, inbox = in_inbox, life = in_life, ended = false,
        watch = CASE WHEN in_watch <> '' OR lease_is_over(l.until_ms, l.watch, l.ended) THEN in_watch ELSE l.watch END
    WHERE NOT l.ended AND l.generation <= in_generation OR lease_is_over(l.until_ms, l.watch, l.ended);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM rooms_keep(keep_rooms(in_keep), in_keep_ms);
    RETURN true;
END $$;

-- Gives a lease to this life: its generation rises, and the former owner is told. The state and the lease are locked.
CREATE OR REPLACE FUNCTION lease_give(INOUT l lease, in_life text, in_inbox text) LANGUAGE plpgsql AS $$
BEGIN
    l.generation := l.generation + 1;
    UPDATE lease x SET generation = l.generation, until_ms = now_ms() + 2 * l.window_ms, inbox = in_inbox, life = in_life
    WHERE x.pid = l.pid;
    PERFORM message_send('claimed', NULL, l.inbox, l.generation, convert_to(l.pid, 'SQL_ASCII'), '');
END $$;

-- The same, to be ended: from then on nobody claims it to go on with it (keep_ms is -1).
CREATE OR REPLACE FUNCTION lease_give_to_end(INOUT l lease, in_life text, in_inbox text) LANGUAGE plpgsql AS $$
BEGIN
    l := lease_give(l, in_life, in_inbox);
    UPDATE lease x SET keep_ms = -1 WHERE x.pid = l.pid;
END $$;

-- Claims a lease. No row: there is none.
CREATE OR REPLACE FUNCTION lease_claim(in_epoch text, in_life text, in_inbox text, in_pid text, in_of text, in_seq bigint)
RETURNS TABLE (generation bigint, sid text, own bytea, rooms bytea, data bytea, window_ms bigint, reached boolean)
LANGUAGE plpgsql AS $$
DECLARE
    s state;
    l lease;
    top bigint;
BEGIN
    PERFORM life_check(in_life);
    s := state_lock(in_epoch);
    l := lease_find(in_pid);
    IF l.pid IS NULL OR l.ended OR l.keep_ms < 0 THEN
        RETURN;
    END IF;
    top := CASE WHEN in_of = s.epoch THEN s.seq ELSE (SELECT e.seq FROM epoch_end e WHERE e.name = in_of) END;
    l := lease_give(l, in_life, in_inbox);
    RETURN QUERY SELECT l.generation, l.sid, l.own, l.rooms, l.data, l.window_ms, in_of = '' OR coalesce(in_seq <= top, false);
END $$;

-- Claims a lease, if it has this generation. No row: there is none; generation 0: it has another one.
CREATE OR REPLACE FUNCTION lease_take(in_epoch text, in_life text, in_inbox text, in_pid text, in_generation bigint)
RETURNS TABLE (generation bigint, sid text, own bytea, rooms bytea, data bytea, window_ms bigint, reached boolean)
LANGUAGE plpgsql AS $$
DECLARE
    l lease;
BEGIN
    PERFORM life_check(in_life);
    PERFORM state_lock(in_epoch);
    l := lease_find(in_pid);
    IF l.generation <> in_generation THEN
        RETURN QUERY SELECT 0::bigint, ''::text, ''::bytea, ''::bytea, ''::bytea, 0::bigint, false;
    ELSIF NOT l.ended THEN
        l := lease_give_to_end(l, in_life, in_inbox);
        RETURN QUERY SELECT l.generation, l.sid, l.own, l.rooms, l.data, l.window_ms, true;
    END IF;
END $$;

-- Claims a lease whose life is over, of those that are watched under this name. No row: there is none. One whose owner lives and has not
-- left it is not over: the server stood still, and the owner will write it again.
CREATE OR REPLACE FUNCTION lease_lapsed(in_epoch text, in_life text, in_inbox text, in_watch bytea)
RETURNS TABLE (generation bigint, sid text, own bytea, rooms bytea, data bytea, window_ms bigint, reached boolean, pid text)
LANGUAGE plpgsql AS $$
DECLARE
    ms bigint := now_ms();
    l lease;
BEGIN
    PERFORM life_check(in_life);
    -- Nearly always there is none: then nobody has to wait.
    IF NOT EXISTS (SELECT FROM lease x WHERE x.watch = in_watch AND x.watch <> '' AND NOT x.ended AND x.until_ms <= ms) THEN
        RETURN;
    END IF;
    PERFORM state_lock(in_epoch);
    SELECT * INTO l FROM lease x WHERE x.watch = in_watch AND x.watch <> '' AND NOT x.ended AND x.until_ms <= ms
        AND x.until_ms > ms - lapsed_ms() AND NOT EXISTS (SELECT FROM life y WHERE y.life = x.life)
        ORDER BY x.until_ms LIMIT 1 FOR UPDATE OF x;
    IF FOUND THEN
        l := lease_give_to_end(l, in_life, in_inbox);
        RETURN QUERY SELECT l.generation, l.sid, l.own, l.rooms, l.data, l.window_ms, true, l.pid;
    END IF;
END $$;

-- Ends a lease for good. False: a higher generation owns it.
CREATE OR REPLACE FUNCTION lease_end(in_pid text, in_generation bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    l lease := lease_find(in_pid);
BEGIN
    IF l.generation > in_generation THEN
        RETURN false;
    END IF;
    IF l.watch <> '' THEN
        UPDATE lease SET ended = true, generation = in_generation, until_ms = now_ms() + 2 * window_ms, sid = '', own = '', rooms = '',
            data = '', keep = '', inbox = '', life = '' WHERE pid = in_pid;
    ELSIF l.pid IS NOT NULL THEN
        DELETE FROM lease WHERE pid = in_pid;
    END IF;
    RETURN true;
END $$;

-- The socket has left: the lease lives for its window from now, or not at all. No effect on a higher generation.
CREATE OR REPLACE FUNCTION lease_release(in_pid text, in_generation bigint, in_for_good boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF in_for_good THEN
        PERFORM lease_end(in_pid, in_generation);
    ELSE
        UPDATE lease SET until_ms = now_ms() + window_ms, life = '' WHERE pid = in_pid AND generation <= in_generation AND NOT ended;
    END IF;
END $$;
