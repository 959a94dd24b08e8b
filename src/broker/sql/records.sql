-- Polling sessions between their requests. The state is locked in each of these, and each leaves a crash nothing to remember: a crash
-- ends them all.

-- What a grant is made of: bytes behind their number.
CREATE OR REPLACE FUNCTION packed(in_bytes bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT int4send(octet_length(coalesce(in_bytes, ''))) || coalesce(in_bytes, '') $$;

CREATE OR REPLACE FUNCTION ticket_life(in_ticket text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT substring(in_ticket FROM position('@' IN in_ticket) + 1) $$;

-- A ticket is kept as `<number>@<life>`. When the links of an instance have broken and are up again, the instance goes on in another life
-- (`<instance>:<number>`), and its requests with it.
CREATE OR REPLACE FUNCTION is_same(in_ticket text, in_other text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT regexp_replace(in_ticket, ':\d+$', '') = regexp_replace(in_other, ':\d+$', '') $$;

-- The life in which the instance of this ticket goes on: that one, or a later one; NULL: none is known.
CREATE OR REPLACE FUNCTION life_now(in_ticket text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT l.life FROM life l WHERE l.life = ticket_life(in_ticket)),
        (SELECT l.life FROM life l WHERE is_same(l.life, ticket_life(in_ticket)) ORDER BY l.until_ms DESC LIMIT 1))
$$;

CREATE OR REPLACE FUNCTION life_number(in_ticket text) RETURNS numeric LANGUAGE sql IMMUTABLE AS
$$ SELECT coalesce(substring(in_ticket FROM ':(\d+)$')::numeric, 0) $$;

CREATE OR REPLACE FUNCTION record_tell(in_inbox text, in_kind text, in_ticket text, in_sid text, in_body bytea)
RETURNS void LANGUAGE sql AS
$$ SELECT message_send(in_kind, NULL, in_inbox, split_part(in_ticket, '@', 1)::bigint, convert_to(in_sid, 'SQL_ASCII'), in_body) $$;

-- Nobody has the sockets of a session any more: those whose end is asked for lapse when their time is over, although the instance that had
-- them lives. One that has them all the same writes their leases again.
CREATE OR REPLACE FUNCTION record_leave(r polling) RETURNS void LANGUAGE sql AS $$
    UPDATE lease x SET life = '' FROM unnest(r.pids, r.generations) AS u(pid, generation)
        WHERE x.pid = u.pid AND x.generation = u.generation AND x.watch <> '' AND NOT x.ended
$$;

-- Ends a session. Whoever holds it or waits for it is told; but for `in_except`, who knows.
CREATE OR REPLACE FUNCTION record_drop(r polling, in_except text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM polling WHERE sid = r.sid;
    PERFORM record_leave(r);
    IF r.holder <> '' AND NOT is_same(r.holder, in_except) THEN
        PERFORM record_tell(r.inbox, 'gone', r.holder, r.sid, '');
    END IF;
    FOR i IN 1 .. cardinality(r.waiting) LOOP
        PERFORM record_tell(r.inboxes[i], 'gone', r.waiting[i], r.sid, '');
    END LOOP;
END $$;

-- Claims the leases of a session for whoever holds it now. A lease of another generation belongs to another session by now. Claiming
-- again for the same ticket changes nothing. `claims`: of each lease what became of it (0: there is none; 1; 2: somebody else's), its
-- generation, window, whether the log has reached the client's position, its own room's newest entry; then its texts.
CREATE OR REPLACE FUNCTION record_claim(INOUT r polling, in_life text, in_inbox text, in_again boolean, s state, OUT claims bytea,
    OUT rooms bytea[])
LANGUAGE plpgsql AS $$
DECLARE
    l lease;
    top bigint;
    last bigint;
    what int;
BEGIN
    claims := '';
    rooms := '{}';
    FOR i IN 1 .. cardinality(r.pids) LOOP
        l := lease_find(r.pids[i]);
        what := CASE WHEN l.pid IS NULL THEN 0 WHEN l.generation <> r.generations[i] THEN 2 WHEN l.ended THEN 0 ELSE 1 END;
        IF what <> 1 THEN
            claims := claims || int8send(what) || int8send(0) || int8send(0) || int8send(0) || int8send(0) ||
                packed(convert_to(r.pids[i], 'SQL_ASCII')) || packed('') || packed('') || packed('') || packed('');
            CONTINUE;
        END IF;
        IF NOT (in_again AND l.life = in_life) THEN
            l := lease_give(l, in_life, in_inbox);
            r.generations[i] := l.generation;
        END IF;
        top := CASE WHEN r.epochs[i] = s.epoch THEN s.seq ELSE (SELECT e.seq FROM epoch_end e WHERE e.name = r.epochs[i]) END;
        last := CASE WHEN l.own = '' THEN 0 ELSE coalesce((SELECT o.last FROM room o WHERE o.name = l.own), 0) END;
        claims := claims || int8send(1) || int8send(l.generation) || int8send(l.window_ms) ||
            int8send((r.epochs[i] = '' OR coalesce(r.seqs[i] <= top, false))::int) || int8send(last) ||
            packed(convert_to(l.pid, 'SQL_ASCII')) || packed(convert_to(l.sid, 'SQL_ASCII')) || packed(l.own) || packed(l.rooms) ||
            packed(l.data);
        rooms := rooms || keep_rooms(l.keep);
    END LOOP;
END $$;

-- The kept events of these rooms behind this number: the newest that fit, in their order; and how many are lacking.
CREATE OR REPLACE FUNCTION kept_read(in_rooms bytea[], in_number bigint, OUT kept bytea, OUT many bigint, OUT lost bigint)
LANGUAGE sql STABLE AS $$
    WITH found AS (
        SELECT m.number, m.after, m.room, m.head, m.body FROM message m
        WHERE m.kind = 'event' AND m.number > 0 AND m.number > in_number AND m.room = ANY (in_rooms)
    ), sized AS (
        SELECT f.*, row_number() OVER way AS nth, sum(octet_length(f.room) + octet_length(f.head) + octet_length(f.body)) OVER way AS total
        FROM found f WINDOW way AS (ORDER BY f.number DESC)
    ), page AS (
        SELECT * FROM sized WHERE nth = 1 OR nth <= 1000 AND total <= 262144
    )
    SELECT coalesce((SELECT string_agg(int8send(p.after) || packed(p.room) || packed(p.head) || packed(p.body), '' ORDER BY p.number)
            FROM page p), ''),
        (SELECT count(*) FROM page),
        (SELECT count(*) FROM found) - (SELECT count(*) FROM page) +
            (SELECT count(*) FROM keeps k WHERE k.room = ANY (in_rooms) AND k.dropped > in_number)
$$;

-- Gives a session to its holder, who was written before: with its leases claimed, and what was kept for it. It goes through the inbox,
-- behind all that was pushed before. Repeatable.
CREATE OR REPLACE FUNCTION record_give(r polling, in_ticket text, in_inbox text, in_keep_ms bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s state;
    c record;
    k record;
    ms bigint := now_ms();
BEGIN
    SELECT * INTO s FROM state;
    SELECT * INTO c FROM record_claim(r, ticket_life(in_ticket), in_inbox, is_same(r.given, in_ticket), s);
    r := c.r;
    PERFORM rooms_keep(c.rooms, in_keep_ms);
    SELECT * INTO k FROM kept_read(c.rooms, r.kept);
    UPDATE polling SET generations = r.generations, given = in_ticket WHERE sid = r.sid;
    PERFORM record_tell(in_inbox, 'granted', in_ticket, r.sid,
        int8send((r.probe_ms > ms)::int) || int8send(greatest(0, ms - r.passed_ms)) ||
        int8send(CASE WHEN r.pong_ms > 0 THEN 1 + greatest(0, ms - r.pong_ms) ELSE 0 END) || int8send(s.kept) ||
        int8send(k.lost) || int8send(cardinality(r.pids)) || c.claims || int8send(k.many) || k.kept || r.record);
END $$;

-- Asks for a session. Returns 0: there is none; 2: it has been given or will be, through the inbox; 3: it is on a WebSocket; 4: a
-- request of this kind is under way already, and the session has been ended.
CREATE OR REPLACE FUNCTION record_ask(in_epoch text, in_life text, in_inbox text, in_sid text, in_ticket bigint, in_kind text,
    in_hold_ms bigint, in_moved_ms bigint, in_lost_ms bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    r polling;
    ticket text := in_ticket || '@' || in_life;
    ms bigint := now_ms();
BEGIN
    PERFORM state_lock(in_epoch);
    PERFORM life_check(in_life);
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO r FROM polling WHERE sid = in_sid AND until_ms > ms;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    -- This call was under way when its link broke, and comes behind what the request has done in a later life: it is told there.
    IF is_same(r.holder, ticket) AND life_number(r.holder) > life_number(ticket) OR
        NOT is_same(r.holder, ticket) AND is_same(r.passed, ticket) THEN
        RETURN 2;
    END IF;
    IF r.moved AND NOT is_same(r.holder, ticket) THEN
        RETURN 3;
    END IF;
    IF r.holder <> '' AND NOT is_same(r.holder, ticket) THEN
        -- The links of its holder may come back: only that one knows what it did since, so the session waits for it, but not for long.
        IF life_now(r.holder) IS NULL THEN
            IF in_kind <> 'w' AND r.kind = in_kind THEN -- the client asks again: the request that the holder had is over
                PERFORM record_drop(r, r.holder);
                RETURN 0;
            END IF;
            UPDATE polling SET until_ms = least(until_ms, ms + in_lost_ms) WHERE sid = in_sid;
        END IF;
        IF in_kind <> 'w' AND (r.kind = in_kind OR
            EXISTS (SELECT FROM unnest(r.waiting, r.kinds) AS u(t, kind) WHERE NOT is_same(u.t, ticket) AND u.kind = in_kind)) THEN
            PERFORM record_drop(r, '');
            RETURN 4;
        END IF;
        IF NOT EXISTS (SELECT FROM unnest(r.waiting) AS u(t) WHERE is_same(u.t, ticket)) THEN
            UPDATE polling SET waiting = r.waiting || ticket, kinds = r.kinds || in_kind, inboxes = r.inboxes || in_inbox WHERE sid = in_sid;
        END IF;
        PERFORM record_tell(r.inbox, 'wanted', r.holder, in_sid, convert_to(in_kind, 'SQL_ASCII'));
        RETURN 2;
    END IF;
    UPDATE polling SET holder = ticket, kind = in_kind, inbox = in_inbox, moved = moved OR in_kind = 'w',
        until_ms = ms + CASE WHEN in_kind = 'w' THEN in_moved_ms ELSE in_hold_ms END WHERE sid = in_sid;
    PERFORM record_give(r, ticket, in_inbox, in_hold_ms);
    RETURN 2;
END $$;

-- Passes a session on, or (ticket 0) begins one. The first of those who wait, and whose instance lives, gets it; the passing request
-- itself may go on waiting (in_again > 0). Returns 1, or 0 if somebody else holds it. Passing again does nothing.
CREATE OR REPLACE FUNCTION record_pass(in_epoch text, in_life text, in_inbox text, in_sid text, in_ticket bigint, in_record bytea,
    in_pids bytea[], in_generations bigint[], in_epochs bytea[], in_seqs bigint[], in_kept bigint, in_awaits_pong boolean,
    in_life_ms bigint, in_hold_ms bigint, in_moved_ms bigint, in_again bigint, in_kind text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    r polling;
    heir record;
    ticket text := in_ticket || '@' || in_life;
    ms bigint := now_ms();
BEGIN
    PERFORM state_lock(in_epoch);
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO r FROM polling WHERE sid = in_sid AND until_ms > ms;
    IF in_ticket = 0 THEN
        IF FOUND THEN
            RETURN 1;
        END IF;
        DELETE FROM polling WHERE sid = in_sid;
        INSERT INTO polling (sid, record, pids, generations, epochs, seqs, kept, passed_ms, until_ms)
            VALUES (in_sid, '', '{}', '{}', '{}', '{}', 0, ms, ms + in_life_ms) RETURNING * INTO r;
    ELSIF NOT FOUND THEN
        r.pids := ARRAY(SELECT convert_from(u.t, 'SQL_ASCII') FROM unnest(in_pids) WITH ORDINALITY AS u(t, i) ORDER BY u.i);
        r.generations := in_generations; -- also those written since the session ended
        PERFORM record_leave(r);
        RETURN 0;
    ELSIF NOT is_same(r.holder, ticket) THEN
        RETURN is_same(r.passed, ticket)::int;
    END IF;
    IF in_again > 0 THEN
        r.waiting := r.waiting || (in_again || '@' || in_life);
        r.kinds := r.kinds || in_kind;
        r.inboxes := r.inboxes || in_inbox;
    END IF;
    SELECT split_part(u.t, '@', 1) || '@' || l.life AS ticket, u.kind, u.inbox, u.i AS place INTO heir FROM unnest(r.waiting, r.kinds, r.inboxes) WITH ORDINALITY AS u(t, kind, inbox, i)
        CROSS JOIN LATERAL life_now(u.t) AS l(life) WHERE l.life IS NOT NULL ORDER BY u.i LIMIT 1;
    heir.place := coalesce(heir.place, cardinality(r.waiting));
    r.waiting := r.waiting[heir.place + 1 :];
    r.kinds := r.kinds[heir.place + 1 :];
    r.inboxes := r.inboxes[heir.place + 1 :];
    IF heir.kind = 'w' THEN
        FOR i IN 1 .. cardinality(r.waiting) LOOP
            PERFORM record_tell(r.inboxes[i], 'gone', r.waiting[i], r.sid, '');
        END LOOP;
        r.waiting := '{}';
        r.kinds := '{}';
        r.inboxes := '{}';
    END IF;
    UPDATE polling SET record = in_record, generations = in_generations, seqs = in_seqs, kept = in_kept, passed = ticket, passed_ms = ms,
        pids = ARRAY(SELECT convert_from(u.t, 'SQL_ASCII') FROM unnest(in_pids) WITH ORDINALITY AS u(t, i) ORDER BY u.i),
        epochs = ARRAY(SELECT convert_from(u.t, 'SQL_ASCII') FROM unnest(in_epochs) WITH ORDINALITY AS u(t, i) ORDER BY u.i),
        pong_ms = CASE WHEN in_awaits_pong THEN pong_ms ELSE 0 END, -- else it was for an earlier ping
        holder = coalesce(heir.ticket, ''), kind = coalesce(heir.kind, ''), inbox = coalesce(heir.inbox, ''), waiting = r.waiting,
        kinds = r.kinds, inboxes = r.inboxes, moved = coalesce(heir.kind, '') = 'w',
        until_ms = ms + CASE WHEN heir.ticket IS NULL THEN in_life_ms WHEN heir.kind = 'w' THEN in_moved_ms ELSE in_hold_ms END
    WHERE sid = in_sid RETURNING * INTO r;
    IF heir.ticket IS NULL THEN
        PERFORM record_leave(r);
    ELSE
        PERFORM record_give(r, heir.ticket, heir.inbox, in_hold_ms);
        IF cardinality(r.waiting) > 0 THEN
            PERFORM record_tell(heir.inbox, 'wanted', heir.ticket, in_sid, convert_to(r.kinds[1], 'SQL_ASCII'));
        END IF;
    END IF;
    RETURN 1;
END $$;

-- Ends a session ('end'; 'disown': only if this ticket holds it), or lets a WebSocket try to take it over ('probe'), or notes a pong
-- ('pong'). in_ms: until the WebSocket must have taken it over (0: it has failed), or how long the session lives from the pong on.
-- Returns 1; 0 if there is no such session, or another WebSocket tries it; for a pong also 3 if it is on a WebSocket, and 4 if a POST is under way: then it has been ended.
CREATE OR REPLACE FUNCTION record_end(in_epoch text, in_life text, in_sid text, in_what text, in_ticket bigint, in_ms bigint)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    r polling;
    ticket text := in_ticket || '@' || in_life;
    ms bigint := now_ms();
BEGIN
    PERFORM state_lock(in_epoch);
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO r FROM polling WHERE sid = in_sid AND until_ms > ms;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    IF in_what = 'probe' THEN
        IF r.moved OR r.probe_ms > ms AND NOT is_same(r.probe, ticket) THEN
            RETURN 0;
        END IF;
        UPDATE polling SET probe = ticket, probe_ms = CASE WHEN in_ms = 0 THEN 0 ELSE ms + in_ms END WHERE sid = in_sid;
        IF r.holder <> '' THEN
            PERFORM record_tell(r.inbox, 'probed', r.holder, in_sid, CASE WHEN in_ms = 0 THEN '\x00'::bytea ELSE '\x01'::bytea END);
        END IF;
        RETURN 1;
    END IF;
    IF in_what = 'pong' AND r.moved THEN
        RETURN 3;
    END IF;
    IF in_what = 'pong' AND r.kind <> 'p' AND 'p' <> ALL (r.kinds) THEN
        UPDATE polling SET pong_ms = ms, until_ms = CASE WHEN r.holder = '' THEN ms + in_ms ELSE until_ms END WHERE sid = in_sid;
        IF r.holder <> '' THEN
            PERFORM record_tell(r.inbox, 'ponged', r.holder, in_sid, '');
        END IF;
        RETURN 1;
    END IF;
    IF (r.moved OR in_what = 'disown') AND NOT is_same(r.holder, ticket) THEN
        RETURN 0;
    END IF;
    PERFORM record_drop(r, ticket);
    RETURN CASE WHEN in_what = 'pong' THEN 4 ELSE 1 END;
END $$;

-- The sockets of sessions that poll, `in_limit` sessions behind the one named, in the order of their names: the head of the record, the
-- instance that holds it ('': nobody), and the lease that the session has. A session without one has a row all the same.
CREATE OR REPLACE FUNCTION record_list(in_after text, in_limit int, in_head int)
RETURNS TABLE (session text, head bytea, instance text, pid text, sid text, rooms bytea) LANGUAGE sql STABLE AS $$
    WITH page AS (
        SELECT p.*, p.until_ms > now_ms() AND NOT p.moved AND (p.holder = '' OR life_now(p.holder) IS NOT NULL) AS polls,
            substring(encode(substring(p.record FROM 1 FOR 9), 'escape') FROM '^(\d{1,8}) ') AS bytes
        FROM polling p WHERE p.sid > in_after ORDER BY p.sid LIMIT in_limit
    )
    SELECT p.sid, coalesce(substring(p.record FROM length(p.bytes) + 2 FOR least(p.bytes::int, in_head)), ''),
        regexp_replace(ticket_life(p.holder), ':\d+$', ''), l.pid, l.sid, l.rooms
    FROM page p LEFT JOIN LATERAL (
        SELECT l.pid, l.sid, l.rooms FROM unnest(p.pids, p.generations) AS u(pid, generation)
            JOIN lease l ON l.pid = u.pid AND l.generation = u.generation AND NOT l.ended WHERE p.polls
    ) l ON true ORDER BY p.sid
$$;
