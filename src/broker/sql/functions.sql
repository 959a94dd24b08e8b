-- The functions: all that an instance may call. Each runs in a transaction of its own, with the rights of the owner.
--
-- Errors that an instance knows: SN001, another epoch is open; SN002, this life has ended.

CREATE OR REPLACE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- Locks the state until the commit. Nobody may hold it for long: whoever waits for more than two seconds gives up.
CREATE OR REPLACE FUNCTION state_lock(in_epoch text) RETURNS state LANGUAGE plpgsql AS $$
DECLARE
    s state;
BEGIN
    SELECT * INTO s FROM state FOR UPDATE;
    IF s.epoch IS DISTINCT FROM in_epoch THEN
        RAISE EXCEPTION 'the open epoch is %', s.epoch USING ERRCODE = 'SN001';
    END IF;
    RETURN s;
END $$;

CREATE OR REPLACE FUNCTION life_check(in_life text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM life WHERE life = in_life) THEN
        RAISE EXCEPTION 'this life has ended' USING ERRCODE = 'SN002';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION wake() RETURNS void LANGUAGE sql AS
$$ SELECT pg_notify(current_schema(), '') $$;

-- Sends a message to a room, or to an inbox. The state is locked.
CREATE OR REPLACE FUNCTION message_send(in_kind text, in_room bytea, in_inbox text, in_number bigint, in_head bytea, in_body bytea)
RETURNS void LANGUAGE sql AS $$
    WITH place AS (UPDATE state SET at = at + 1 RETURNING at, seq)
    INSERT INTO message SELECT at, seq, now_ms(), in_kind, in_room, in_inbox, in_number, in_head, in_body FROM place;
    SELECT wake();
$$;

-- Begins a life on new links: an instance's only one. A server that is not the one of before may have lost accepted entries: the
-- epoch ends at the entries that survived. `ended`: that end, of the epoch that this instance saw before (NULL: it is still open).
CREATE OR REPLACE FUNCTION open(in_epoch text, in_seen text, in_life text, in_instance text, in_publisher text, in_life_ms bigint,
    in_backend int, OUT epoch text, OUT seq bigint, OUT at bigint, OUT ended bigint, OUT call bigint, OUT places int[], OUT whys text[])
LANGUAGE plpgsql AS $$
DECLARE
    s state;
    run text;
    ms bigint := now_ms();
BEGIN
    SELECT c.system_identifier || ' ' || p.timeline_id || ' ' || pg_postmaster_start_time() INTO run
    FROM pg_control_system() c, pg_control_checkpoint() p;
    INSERT INTO state DEFAULT VALUES ON CONFLICT DO NOTHING;
    SELECT * INTO s FROM state FOR UPDATE;
    IF s.epoch = '' OR NOT EXISTS (SELECT FROM alive WHERE run_id = run) THEN
        s.seq := greatest(s.seq, (SELECT max(log.seq) FROM log), (SELECT max(last) FROM room));
        IF s.epoch <> '' THEN
            INSERT INTO epoch_end (name, seq) VALUES (s.epoch, s.seq) ON CONFLICT DO NOTHING;
        END IF;
        DELETE FROM epoch_end WHERE number <= (SELECT max(number) FROM epoch_end) - 100;
        DELETE FROM alive;
        INSERT INTO alive VALUES (run);
        s.epoch := in_epoch;
        s.at := greatest(s.at, (SELECT max(message.at) FROM message));
        s.floor := s.at;
        UPDATE state SET epoch = s.epoch, seq = s.seq, at = s.at, floor = s.floor, pulse_ms = ms;
        DELETE FROM polling; -- nobody knows what became of them
        -- Nor is it known which owners live: each has a window to come back, before its lease lapses.
        UPDATE lease x SET until_ms = ms + window_ms WHERE x.watch <> '' AND NOT x.ended AND life <> '' AND until_ms < ms + window_ms;
    END IF;
    -- What was held is held on. But an instance that was started again knows nothing of it: so a watched lease is left, until it is written.
    UPDATE lease x SET life = CASE WHEN x.watch = '' THEN in_life ELSE '' END,
        until_ms = CASE WHEN x.watch = '' THEN until_ms ELSE ms + window_ms END, inbox = in_instance
    WHERE life IN (SELECT l.life FROM life l WHERE l.instance = in_instance);
    UPDATE present SET away_ms = ms + 4000 WHERE away_ms IS NULL AND
        life IN (SELECT l.life FROM life l WHERE l.instance = in_instance);
    DELETE FROM life WHERE instance = in_instance;
    -- A pooler has numbers of its own.
    INSERT INTO life VALUES (in_life, in_instance, ms + in_life_ms,
        coalesce((SELECT a.pid FROM pg_stat_activity a WHERE a.pid = in_backend), 0));
    PERFORM wake(); -- whoever listens learns that it hears
    SELECT p.call, p.places, p.whys INTO call, places, whys FROM publisher p WHERE name = in_publisher;
    epoch := s.epoch;
    seq := s.seq;
    at := s.at;
    IF in_seen <> '' AND in_seen <> s.epoch THEN
        ended := coalesce((SELECT e.seq FROM epoch_end e WHERE name = in_seen), 0);
    END IF;
END $$;

-- What came behind a position (entries up to in_seq, messages up to in_at) for these rooms (NULL: for all) and for this inbox, as much
-- as fits. The first row has the position behind it (number: seq; place: at), which is at most the one given, and in `head` whether
-- that is all; its prev is the floor, its time_ms the number of the last kept event (0: not known). Then, if it is all, a row `fence` for each room of in_fences, with its newest entry.
CREATE OR REPLACE FUNCTION poll(in_epoch text, in_life text, in_inbox text, in_seq bigint, in_at bigint, in_seq_max bigint, in_at_max bigint,
    in_rooms bytea[], in_fences bytea[], in_limit int, in_bytes bigint)
RETURNS TABLE (kind text, number bigint, place bigint, prev bigint, time_ms bigint, room bytea, head bytea, body bytea)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s state;
BEGIN
    SELECT * INTO s FROM state;
    IF s.epoch IS DISTINCT FROM in_epoch THEN
        RAISE EXCEPTION 'the open epoch is %', s.epoch USING ERRCODE = 'SN001';
    END IF;
    PERFORM life_check(in_life);
    IF in_at_max < s.at THEN
        s.kept := 0;
    END IF;
    s.seq := least(s.seq, in_seq_max);
    s.at := least(s.at, in_at_max);
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT * FROM (
            (SELECT 'entry'::text AS kind, l.seq AS number, 0::bigint AS place, l.prev, l.time_ms, l.room, l.audience AS head, l.body
            FROM log l WHERE l.seq > in_seq AND l.seq <= s.seq AND
                (l.inbox = in_inbox OR l.inbox IS NULL AND (in_rooms IS NULL OR l.room = ANY (in_rooms)))
            ORDER BY l.seq LIMIT in_limit + 1)
            UNION ALL
            (SELECT m.kind, m.after, m.at, m.number, m.time_ms, m.room, m.head, m.body
            FROM message m WHERE m.at > in_at AND m.at <= s.at AND
                (m.inbox = in_inbox OR m.inbox IS NULL AND (in_rooms IS NULL OR m.room = ANY (in_rooms)))
            ORDER BY m.at LIMIT in_limit + 1)) both_kinds
        ORDER BY 2, 3 LIMIT in_limit + 1
    ), sized AS (
        SELECT f.*, row_number() OVER way AS nth, sum(octet_length(f.head) + octet_length(f.body)) OVER way AS total
        FROM found f WINDOW way AS (ORDER BY f.number, f.place)
    ), page AS (
        SELECT * FROM sized p WHERE p.nth = 1 OR p.nth <= in_limit AND p.total <= in_bytes
    ), whole AS (
        SELECT (SELECT count(*) FROM page) = (SELECT count(*) FROM found) AS yes
    ), answer AS (
        SELECT 0 AS part, 'upto'::text AS kind,
            CASE WHEN yes THEN s.seq ELSE greatest(in_seq, (SELECT max(p.number) FROM page p WHERE p.place = 0)) END AS number,
            CASE WHEN yes THEN s.at ELSE greatest(in_at, (SELECT max(p.place) FROM page p)) END AS place,
            s.floor AS prev, CASE WHEN yes THEN s.kept ELSE 0 END AS time_ms, NULL::bytea AS room, CASE WHEN yes THEN '\x01'::bytea ELSE '\x00'::bytea END AS head,
            ''::bytea AS body
        FROM whole
        UNION ALL
        SELECT 1, p.kind, p.number, p.place, p.prev, p.time_ms, p.room, p.head, p.body FROM page p
        UNION ALL
        SELECT 2, 'fence', coalesce(r.last, 0), 0, 0, 0, f.name, ''::bytea, ''::bytea
        FROM unnest(in_fences) AS f(name) LEFT JOIN room r ON r.name = f.name, whole WHERE yes
    )
    SELECT a.kind, a.number, a.place, a.prev, a.time_ms, a.room, a.head, a.body FROM answer a ORDER BY a.part, a.number, a.place;
END $$;

-- Trims a room's oldest entries until both bounds hold; the newest one stays. Returns what they counted.
CREATE OR REPLACE FUNCTION room_trim(in_room bytea, in_entries bigint, in_bytes bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    r room;
    e record;
    cut bigint := 0;
    freed bigint := 0;
BEGIN
    SELECT * INTO r FROM room WHERE name = in_room;
    FOR e IN SELECT seq, time_ms, octet_length(audience) + octet_length(body) AS size FROM log WHERE room = in_room AND seq > r.floor
        ORDER BY seq
    LOOP
        r.oldest_ms := e.time_ms;
        EXIT WHEN r.entries <= 1 OR r.entries <= in_entries AND r.bytes <= in_bytes;
        cut := e.seq;
        r.entries := r.entries - 1;
        r.bytes := r.bytes - e.size;
        freed := freed + e.size + 64;
    END LOOP;
    UPDATE room SET entries = r.entries, bytes = r.bytes, oldest_ms = r.oldest_ms, floor = greatest(floor, cut) WHERE name = in_room;
    RETURN freed;
END $$;

-- Forgets a room's oldest names beyond this number. Returns what they counted.
CREATE OR REPLACE FUNCTION names_trim(in_room bytea, in_names bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM named WHERE room = in_room AND number IN (SELECT n.number FROM named n WHERE n.room = in_room ORDER BY n.number
        LIMIT (SELECT greatest(0, r.names - in_names) FROM room r WHERE r.name = in_room));
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE room SET names = names - gone WHERE name = in_room;
    RETURN gone * 128;
END $$;

-- Accepts a batch of messages, as one. Rooms are named once; a slot is a room (its place, from 1) under one retention (entries 0: not
-- logged). Exactly the publisher's last call + 1 is accepted, so a repeated call does nothing and a skipped one shows. The first row
-- is 'accepted' or 'last' with the number of the publisher's last call; then come the entries of that call that were refused, by
-- place (from 1): 'bytes', 'rooms', 'taken'.
CREATE OR REPLACE FUNCTION publish(in_epoch text, in_publisher text, in_call bigint, in_rebase boolean, in_rooms_max bigint,
    in_bytes_max bigint, in_rooms bytea[], in_slot_room int[], in_slot_entries bigint[], in_slot_bytes bigint[], in_slot_age bigint[],
    in_slot int[], in_id bytea[], in_digest bigint[], in_audience bytea[], in_body bytea[])
RETURNS TABLE (place int, why text, number bigint) LANGUAGE plpgsql AS $$
DECLARE
    s state;
    ms bigint := now_ms();
    called bigint := 0;
    had_places int[];
    had_whys text[];
    e record;
    n named;
    r int;
    weight bigint;
    excuse text;
    -- Of each room.
    last bigint[];
    entries bigint[];
    bytes bigint[];
    names bigint[];
    oldest bigint[];
    age bigint[];
    owner text[];
    gone boolean[];
    keeping boolean[];
    touched boolean[];
    -- Of each logged entry, each message, and each refusal.
    log_i int[] := '{}';
    log_seq bigint[] := '{}';
    log_prev bigint[] := '{}';
    log_room int[] := '{}';
    sent_i int[] := '{}';
    sent_at bigint[] := '{}';
    sent_after bigint[] := '{}';
    sent_room int[] := '{}';
    sent_kept bigint[] := '{}';
    places int[] := '{}';
    whys text[] := '{}';
BEGIN
    s := state_lock(in_epoch);
    SELECT p.call, p.places, p.whys INTO called, had_places, had_whys FROM publisher p WHERE p.name = in_publisher;
    called := coalesce(called, 0);
    IF called <> in_call - 1 AND NOT (in_rebase AND called < in_call) THEN
        RETURN QUERY SELECT 0, 'last'::text, called;
        RETURN QUERY SELECT u.p, u.w, 0::bigint FROM unnest(had_places, had_whys) AS u(p, w);
        RETURN;
    END IF;
    SELECT array_agg(coalesce(o.last, 0) ORDER BY i), array_agg(coalesce(o.entries, 0) ORDER BY i),
        array_agg(coalesce(o.bytes, 0) ORDER BY i), array_agg(coalesce(o.names, 0) ORDER BY i),
        array_agg(coalesce(o.oldest_ms, ms) ORDER BY i), array_agg(coalesce(o.age_ms, 0) ORDER BY i),
        array_agg(l.inbox ORDER BY i), array_agg(substring(u.name FROM 1 FOR 1) = '@' AND l.inbox IS NULL ORDER BY i),
        array_agg(false ORDER BY i), array_agg(EXISTS (SELECT FROM keeps k WHERE k.room = u.name AND k.until_ms > ms) ORDER BY i)
    INTO last, entries, bytes, names, oldest, age, owner, gone, touched, keeping
    FROM unnest(in_rooms) WITH ORDINALITY AS u(name, i) LEFT JOIN room o ON o.name = u.name
        LEFT JOIN LATERAL (SELECT x.inbox FROM lease x WHERE substring(u.name FROM 1 FOR 1) = '@' AND x.own = u.name AND x.own <> ''
            AND x.until_ms > ms ORDER BY x.until_ms DESC LIMIT 1) l ON true;
    FOR e IN SELECT u.slot, u.id, u.digest, octet_length(u.audience) + octet_length(u.body) AS size, u.i
        FROM unnest(in_slot, in_id, in_digest, in_audience, in_body) WITH ORDINALITY AS u(slot, id, digest, audience, body, i) ORDER BY u.i
    LOOP
        r := in_slot_room[e.slot];
        IF gone[r] AND NOT (keeping[r] AND in_slot_entries[e.slot] = 0) THEN
            CONTINUE; -- no instance holds that socket any more
        END IF;
        IF in_slot_entries[e.slot] = 0 THEN
            s.at := s.at + 1;
            s.kept := s.kept + keeping[r]::int;
            sent_kept := sent_kept || CASE WHEN keeping[r] THEN s.kept ELSE 0 END;
            sent_i := sent_i || e.i::int;
            sent_at := sent_at || s.at;
            sent_after := sent_after || s.seq;
            sent_room := sent_room || r;
            CONTINUE;
        END IF;
        weight := e.size + 64 + CASE WHEN e.id = '' THEN 0 ELSE 128 END;
        excuse := NULL;
        IF last[r] = 0 AND s.rooms >= in_rooms_max THEN
            excuse := 'rooms';
        ELSIF s.bytes + weight > in_bytes_max AND (last[r] = 0 OR
            bytes[r] + entries[r] * 64 + names[r] * 128 + weight > greatest(65536, in_bytes_max / (s.logs + 1))) THEN
            excuse := 'bytes';
        ELSIF e.id <> '' THEN
            SELECT * INTO n FROM named x WHERE x.room = in_rooms[r] AND x.id = e.id;
            IF FOUND AND n.until_ms > ms THEN
                IF n.digest = e.digest THEN
                    CONTINUE; -- the same message again
                END IF;
                excuse := 'taken';
            ELSE
                IF NOT FOUND THEN
                    names[r] := names[r] + 1;
                    s.bytes := s.bytes + 128;
                END IF;
                INSERT INTO named VALUES (in_rooms[r], e.id, e.digest, ms + in_slot_age[e.slot], s.seq + 1)
                ON CONFLICT ON CONSTRAINT named_pkey DO UPDATE SET digest = EXCLUDED.digest, until_ms = EXCLUDED.until_ms,
                    number = EXCLUDED.number;
            END IF;
        END IF;
        IF excuse IS NOT NULL THEN
            places := places || e.i::int;
            whys := whys || excuse;
            CONTINUE;
        END IF;
        IF last[r] = 0 THEN
            s.rooms := s.rooms + 1;
        END IF;
        IF entries[r] = 0 THEN
            s.logs := s.logs + 1;
            oldest[r] := ms;
        END IF;
        s.seq := s.seq + 1;
        s.bytes := s.bytes + e.size + 64;
        log_i := log_i || e.i::int;
        log_seq := log_seq || s.seq;
        log_prev := log_prev || last[r];
        log_room := log_room || r;
        last[r] := s.seq;
        entries[r] := entries[r] + 1;
        bytes[r] := bytes[r] + e.size;
        age[r] := in_slot_age[e.slot];
        touched[r] := true;
    END LOOP;
    INSERT INTO message SELECT d.at, d.after, ms, 'event', t.name, CASE WHEN gone[d.r] THEN '' ELSE owner[d.r] END, d.kept, u.audience, u.body
        FROM unnest(sent_i, sent_at, sent_after, sent_room, sent_kept) AS d(i, at, after, r, kept)
        JOIN unnest(in_audience, in_body) WITH ORDINALITY AS u(audience, body, i) ON u.i = d.i
        JOIN unnest(in_rooms) WITH ORDINALITY AS t(name, i) ON t.i = d.r;
    IF s.seq > 0 AND cardinality(log_i) > 0 THEN
        INSERT INTO log SELECT d.seq, t.name, d.prev, ms, owner[d.r], u.audience, u.body
            FROM unnest(log_i, log_seq, log_prev, log_room) AS d(i, seq, prev, r)
            JOIN unnest(in_audience, in_body) WITH ORDINALITY AS u(audience, body, i) ON u.i = d.i
            JOIN unnest(in_rooms) WITH ORDINALITY AS t(name, i) ON t.i = d.r;
        INSERT INTO room SELECT t.name, t.last, t.entries, t.bytes, t.names, t.oldest, t.age, ms
            FROM unnest(in_rooms, last, entries, bytes, names, oldest, age, touched)
                AS t(name, last, entries, bytes, names, oldest, age, touched) WHERE t.touched
            ON CONFLICT ON CONSTRAINT room_pkey DO UPDATE SET last = EXCLUDED.last, entries = EXCLUDED.entries, bytes = EXCLUDED.bytes,
                names = EXCLUDED.names, oldest_ms = EXCLUDED.oldest_ms, age_ms = EXCLUDED.age_ms, used_ms = EXCLUDED.used_ms;
        -- In lumps, so that not every call pays for it.
        FOR e IN SELECT DISTINCT ON (t.r) t.r, t.entries, t.bytes FROM unnest(in_slot_room, in_slot_entries, in_slot_bytes)
            AS t(r, entries, bytes) WHERE t.entries > 0 AND touched[t.r]
        LOOP
            IF entries[e.r] > e.entries + e.entries / 16 OR bytes[e.r] > e.bytes + e.bytes / 16 THEN
                s.bytes := s.bytes - room_trim(in_rooms[e.r], e.entries, e.bytes);
            END IF;
            IF names[e.r] > greatest(e.entries, 1000) * 17 / 16 THEN
                s.bytes := s.bytes - names_trim(in_rooms[e.r], greatest(e.entries, 1000));
            END IF;
        END LOOP;
    ELSE
        -- Nothing of it must survive a crash.
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    INSERT INTO publisher VALUES (in_publisher, in_call, places, whys, ms)
        ON CONFLICT ON CONSTRAINT publisher_pkey DO UPDATE SET call = in_call, places = EXCLUDED.places, whys = EXCLUDED.whys, seen_ms = ms;
    UPDATE state SET seq = s.seq, at = s.at, kept = s.kept, bytes = s.bytes, rooms = s.rooms, logs = s.logs;
    PERFORM wake();
    RETURN QUERY SELECT 0, 'accepted'::text, in_call;
    RETURN QUERY SELECT u.p, u.w, 0::bigint FROM unnest(places, whys) AS u(p, w);
END $$;

-- A page of a room's log. The first row: seq of its newest entry, the counter, and in time_ms 1 if the position lies beyond the
-- surviving end of its epoch (then the page begins at that end), plus 2 if there is more in that direction.
CREATE OR REPLACE FUNCTION read(in_epoch text, in_room bytea, in_of text, in_seq bigint, in_back boolean, in_limit int, in_bytes bigint)
RETURNS TABLE (seq bigint, prev bigint, time_ms bigint, audience bytea, body bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s state;
    o room;
    position bigint := in_seq;
    ends bigint;
    since bigint;
    clipped int := 0;
BEGIN
    SELECT * INTO s FROM state;
    IF s.epoch IS DISTINCT FROM in_epoch THEN
        RAISE EXCEPTION 'the open epoch is %', s.epoch USING ERRCODE = 'SN001';
    END IF;
    SELECT * INTO o FROM room r WHERE r.name = in_room;
    IF in_of <> '' AND in_of <> s.epoch THEN
        ends := coalesce((SELECT e.seq FROM epoch_end e WHERE e.name = in_of), 0) + CASE WHEN in_back THEN 1 ELSE 0 END;
        IF position > ends THEN
            position := ends;
            clipped := 1;
        END IF;
    END IF;
    since := now_ms() - coalesce(o.age_ms, 0);
    RETURN QUERY
    WITH found AS MATERIALIZED (
        (SELECT l.seq, l.prev, l.time_ms, l.audience, l.body FROM log l
        WHERE NOT in_back AND l.room = in_room AND l.seq > greatest(position, o.floor) AND l.time_ms >= since ORDER BY l.seq LIMIT in_limit + 1)
        UNION ALL
        (SELECT l.seq, l.prev, l.time_ms, l.audience, l.body FROM log l
        WHERE in_back AND l.room = in_room AND l.seq < position AND l.seq > coalesce(o.floor, 0) AND l.time_ms >= since ORDER BY l.seq DESC LIMIT in_limit + 1)
    ), sized AS (
        SELECT f.*, row_number() OVER way AS nth, sum(octet_length(f.audience) + octet_length(f.body)) OVER way AS total
        FROM found f WINDOW way AS (ORDER BY CASE WHEN in_back THEN -f.seq ELSE f.seq END)
    ), page AS (
        SELECT * FROM sized p WHERE p.nth = 1 OR p.nth <= in_limit AND p.total <= in_bytes
    )
    SELECT a.seq, a.prev, a.time_ms, a.audience, a.body FROM (
        SELECT 0 AS part, coalesce(o.last, 0) AS seq, s.seq AS prev,
            clipped + CASE WHEN (SELECT count(*) FROM page) < (SELECT count(*) FROM found) THEN 2 ELSE 0 END::bigint AS time_ms,
            ''::bytea AS audience, ''::bytea AS body
        UNION ALL
        SELECT 1, p.seq, p.prev, p.time_ms, p.audience, p.body FROM page p) a ORDER BY a.part, a.seq;
END $$;

-- The rooms of a lease whose events are to be kept: each `<bytes> <room>`.
CREATE OR REPLACE FUNCTION keep_rooms(in_keep bytea) RETURNS bytea[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rooms bytea[] := '{}';
    rest bytea := in_keep;
    space int;
    len int;
BEGIN
    LOOP
        space := position('\x20'::bytea IN rest);
        EXIT WHEN space < 2 OR space > 6 OR encode(substring(rest FROM 1 FOR space - 1), 'escape') !~ '^\d+$';
        len := encode(substring(rest FROM 1 FOR space - 1), 'escape')::int;
        rooms := rooms || substring(rest FROM space + 1 FOR len);
        rest := substring(rest FROM space + 1 + len);
    END LOOP;
    RETURN rooms;
END $$;

-- Everybody locks the state, then leases, then these rooms, in this order.
CREATE OR REPLACE FUNCTION rooms_keep(in_rooms bytea[], in_keep_ms bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO keeps AS k SELECT DISTINCT u.room, now_ms() + in_keep_ms FROM unnest(in_rooms) AS u(room) WHERE in_keep_ms > 0 ORDER BY 1
    ON CONFLICT (room) DO UPDATE SET until_ms = EXCLUDED.until_ms WHERE k.until_ms < EXCLUDED.until_ms
$$;

-- Who comes and goes is told, and kept, as an event (record_kept_read) where polling sessions are in the room. The state is locked.
CREATE OR REPLACE FUNCTION present_tell(in_kind text, in_room bytea, in_sid text, in_data bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    many bigint := (SELECT count(*) FROM present WHERE room = in_room);
    sid bytea := convert_to(in_sid, 'SQL_ASCII');
    place bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM keeps k WHERE k.room = in_room AND k.until_ms >= now_ms()) THEN
        PERFORM message_send(in_kind, in_room, NULL, many, sid, in_data);
        RETURN;
    END IF;
    UPDATE state SET kept = kept + 1 RETURNING kept INTO place;
    PERFORM message_send('event', in_room, NULL, place,
        convert_to('@' || CASE WHEN in_kind = 'entered' THEN '+' ELSE '-' END || many, 'SQL_ASCII'),
        convert_to(octet_length(sid) || E'\n', 'SQL_ASCII') || sid || in_data);
END $$;

CREATE OR REPLACE FUNCTION present_enter(in_epoch text, in_life text, in_room bytea, in_sid text, in_data bytea, in_generation bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    was present;
BEGIN
    PERFORM state_lock(in_epoch);
    PERFORM life_check(in_life);
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO was FROM present WHERE room = in_room AND sid = in_sid;
    IF FOUND THEN
        -- Another instance may have claimed its lease, which this one does not know yet.
        UPDATE present SET life = in_life, data = in_data, generation = in_generation, away_ms = NULL
        WHERE room = in_room AND sid = in_sid AND generation <= in_generation;
        RETURN;
    END IF;
    INSERT INTO present (room, sid, data, generation, life) VALUES (in_room, in_sid, in_data, in_generation, in_life);
    PERFORM present_tell('entered', in_room, in_sid, in_data);
END $$;

-- Another life holds it already if the client came back before this end was known.
CREATE OR REPLACE FUNCTION present_leave(in_epoch text, in_life text, in_room bytea, in_sid text, in_away_ms bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    was present;
BEGIN
    PERFORM state_lock(in_epoch);
    PERFORM set_config('synchronous_commit', 'off', true);
    IF in_away_ms > 0 THEN
        UPDATE present SET away_ms = now_ms() + in_away_ms WHERE room = in_room AND sid = in_sid AND life = in_life AND away_ms IS NULL;
        RETURN;
    END IF;
    DELETE FROM present WHERE room = in_room AND sid = in_sid AND life = in_life RETURNING * INTO was;
    IF FOUND THEN
        PERFORM present_tell('left', in_room, in_sid, was.data);
    END IF;
END $$;

-- Lists the sockets present behind a cursor. The first row: how many there are (number), the next cursor (0: none), and the position,
-- entries and messages, at which that is so.
CREATE OR REPLACE FUNCTION present_list(in_epoch text, in_room bytea, in_cursor bigint, in_limit int)
RETURNS TABLE (number bigint, next bigint, seq bigint, at bigint, sid text, data bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE
    s state;
BEGIN
    SELECT * INTO s FROM state;
    IF s.epoch IS DISTINCT FROM in_epoch THEN
        RAISE EXCEPTION 'the open epoch is %', s.epoch USING ERRCODE = 'SN001';
    END IF;
    RETURN QUERY
    WITH page AS (
        SELECT p.number, p.sid, p.data FROM present p WHERE p.room = in_room AND p.number > in_cursor ORDER BY p.number LIMIT in_limit
    ), top AS (SELECT max(p.number) AS number FROM page p), answer AS (
        SELECT (SELECT count(*) FROM present p WHERE p.room = in_room) AS number,
            CASE WHEN EXISTS (SELECT FROM present p, top WHERE p.room = in_room AND p.number > top.number) THEN (SELECT top.number FROM top)
                ELSE 0 END AS next, s.seq AS seq, s.at AS at, ''::text AS sid, ''::bytea AS data, 0 AS part
        UNION ALL
        SELECT p.number, 0, 0, 0, p.sid, p.data, 1 FROM page p
    )
    SELECT a.number, a.next, a.seq, a.at, a.sid, a.data FROM answer a ORDER BY a.part, a.number;
END $$;

-- Mail to one instance, or ('') to all that live, which are counted; and those of them whose feed is connected.
CREATE OR REPLACE FUNCTION mail_send(in_epoch text, in_from text, in_to text, in_body bytea, OUT living bigint, OUT reached bigint)
LANGUAGE plpgsql AS $$
DECLARE
    l life;
BEGIN
    PERFORM state_lock(in_epoch);
    PERFORM set_config('synchronous_commit', 'off', true);
    living := 0;
    reached := 0;
    FOR l IN SELECT * FROM life WHERE until_ms > now_ms() AND (in_to = '' OR instance = in_to) LOOP
        PERFORM message_send('mail', NULL, l.instance, 0, convert_to(in_from, 'SQL_ASCII'), in_body);
        living := living + 1;
        IF l.backend = 0 OR EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.backend) THEN
            reached := reached + 1;
        END IF;
    END LOOP;
END $$;

-- The instances that live, but for those that were heard (a line each), with the pids of the leases that they own; behind `in_most` of an
-- instance comes one that is ''.
CREATE OR REPLACE FUNCTION mail_owners(in_heard text, in_most int) RETURNS TABLE (instance text, pid text) LANGUAGE sql STABLE AS $$
    SELECT l.instance, CASE WHEN o.number <= in_most THEN o.pid ELSE '' END
    FROM life l CROSS JOIN LATERAL (
        SELECT x.pid, row_number() OVER () AS number FROM lease x WHERE x.life = l.life AND NOT x.ended AND x.until_ms > now_ms()
        LIMIT in_most + 1
    ) o
    WHERE l.until_ms > now_ms() AND l.instance <> ALL (string_to_array(in_heard, E'\n'))
$$;

CREATE OR REPLACE FUNCTION stats(OUT bytes bigint, OUT instances bigint) LANGUAGE sql STABLE AS
$$ SELECT (SELECT s.bytes FROM state s), (SELECT count(DISTINCT l.instance) FROM life l WHERE l.until_ms > now_ms()) $$;

-- Rooms that sockets are in: their newest entry is not forgotten, however long they are quiet.
CREATE OR REPLACE FUNCTION rooms_touch(in_epoch text, in_rooms bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM state_lock(in_epoch);
    UPDATE room SET used_ms = now_ms() WHERE name = ANY (in_rooms) AND used_ms < now_ms() - 600000;
END $$;

-- Trims what is out of age, and deletes what was trimmed long ago. A room's entries are in the order of their times.
CREATE OR REPLACE FUNCTION room_sweep(r room, in_ms bigint, in_limit int, OUT freed bigint, OUT ended bigint, OUT more boolean)
LANGUAGE plpgsql AS $$
DECLARE
    cut bigint;
    gone bigint;
    size bigint;
BEGIN
    SELECT max(x.seq), count(*), coalesce(sum(x.size), 0) INTO cut, gone, size FROM (
        SELECT l.seq, l.time_ms, octet_length(l.audience) + octet_length(l.body) AS size FROM log l
        WHERE l.room = r.name AND l.seq > r.floor ORDER BY l.seq LIMIT in_limit) x WHERE x.time_ms < in_ms - r.age_ms;
    IF r.entries = 0 THEN
        gone := 0;
        size := 0;
    END IF;
    freed := size + 64 * gone;
    ended := CASE WHEN gone > 0 AND gone >= r.entries THEN 1 ELSE 0 END;
    r.floor := greatest(r.floor, cut);
    DELETE FROM log WHERE log.seq IN (SELECT x.seq FROM log x WHERE x.room = r.name AND x.seq <= r.floor ORDER BY x.seq LIMIT in_limit)
        AND log.time_ms < in_ms - 60000;
    IF NOT EXISTS (SELECT FROM log x WHERE x.room = r.name AND x.seq <= r.floor) THEN
        r.swept := r.floor;
    END IF;
    more := gone = in_limit;
    UPDATE room SET entries = entries - gone, bytes = bytes - size, floor = r.floor, swept = r.swept,
        used_ms = CASE WHEN gone > 0 THEN greatest(used_ms, in_ms) ELSE used_ms END,
        oldest_ms = CASE WHEN gone > 0 THEN coalesce((SELECT x.time_ms FROM log x WHERE x.room = r.name AND x.seq > r.floor
            ORDER BY x.seq LIMIT 1), in_ms) ELSE oldest_ms END
    WHERE name = r.name;
END $$;

-- What is over: of logs, names, rooms. The state is locked; returns whether there may be more.
CREATE OR REPLACE FUNCTION logs_sweep(in_limit int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    r room;
    one record;
    ms bigint := now_ms();
    gone bigint;
    freed bigint := 0;
    ended bigint := 0;
    swept int := 0;
    more boolean := false;
BEGIN
    FOR r IN (SELECT * FROM room WHERE entries > 0 AND oldest_ms + age_ms < ms LIMIT in_limit)
        UNION (SELECT * FROM room WHERE floor > room.swept LIMIT in_limit)
    LOOP
        SELECT * INTO one FROM room_sweep(r, ms, 10 * in_limit);
        freed := freed + one.freed;
        ended := ended + one.ended;
        more := more OR one.more;
    END LOOP;
    WITH dropped AS (DELETE FROM named WHERE (room, id) IN (SELECT x.room, x.id FROM named x WHERE x.until_ms < ms LIMIT 10 * in_limit)
        RETURNING room), counted AS (SELECT room, count(*) AS names FROM dropped GROUP BY room),
        told AS (UPDATE room SET names = room.names - counted.names FROM counted WHERE room.name = counted.room)
    SELECT coalesce(sum(names), 0) INTO gone FROM counted;
    freed := freed + 128 * gone;
    DELETE FROM room WHERE name IN (SELECT x.name FROM room x WHERE x.entries = 0 AND x.names = 0 AND x.floor = x.swept AND
        x.used_ms < ms - 86400000 LIMIT in_limit);
    GET DIAGNOSTICS swept = ROW_COUNT;
    IF freed > 0 OR ended > 0 OR swept > 0 THEN
        UPDATE state SET bytes = bytes - freed, logs = logs - ended, rooms = rooms - swept;
    END IF;
    RETURN more OR gone = 10 * in_limit OR swept = in_limit;
END $$;

-- What is over: of instances, sockets, leases, messages, publishers. The state is locked.
CREATE OR REPLACE FUNCTION fleet_sweep(in_gone_ms bigint, in_limit int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    l life;
    p present;
    ms bigint := now_ms();
    many int := 0;
    cut bigint;
BEGIN
    FOR l IN SELECT * FROM life WHERE until_ms < ms LIMIT in_limit LOOP
        UPDATE lease SET until_ms = least(until_ms, ms + window_ms), life = '' WHERE life = l.life;
        UPDATE present SET away_ms = l.until_ms + in_gone_ms WHERE life = l.life AND away_ms IS NULL;
        DELETE FROM life WHERE life = l.life;
    END LOOP;
    UPDATE present SET away_ms = ms + in_gone_ms WHERE away_ms IS NULL AND life NOT IN (SELECT x.life FROM life x);
    FOR p IN DELETE FROM present WHERE (room, sid) IN (SELECT x.room, x.sid FROM present x WHERE x.away_ms <= ms LIMIT in_limit) RETURNING * LOOP
        PERFORM present_tell('left', p.room, p.sid, p.data);
        many := many + 1;
    END LOOP;
    DELETE FROM lease WHERE pid IN (SELECT x.pid FROM lease x WHERE (x.watch = '' OR x.ended) AND x.until_ms < ms LIMIT in_limit);
    DELETE FROM lease WHERE pid IN (SELECT x.pid FROM lease x WHERE x.watch <> '' AND NOT x.ended AND x.until_ms < ms - lapsed_ms() LIMIT in_limit);
    SELECT max(x.at) INTO cut FROM (SELECT m.at FROM message m WHERE m.time_ms < ms - 60000 ORDER BY m.at LIMIT 20 * in_limit) x;
    IF cut IS NOT NULL THEN
        WITH old AS (DELETE FROM message m WHERE m.at <= cut RETURNING m.kind, m.room, m.number),
            tops AS (SELECT o.room, max(o.number) AS number FROM old o WHERE o.kind = 'event' AND o.number > 0 GROUP BY o.room)
        UPDATE keeps k SET dropped = greatest(k.dropped, t.number) FROM tops t WHERE k.room = t.room;
        UPDATE state SET floor = greatest(floor, cut);
    END IF;
    DELETE FROM publisher WHERE seen_ms < ms - 3600000;
    DELETE FROM polling WHERE sid IN (SELECT x.sid FROM polling x WHERE x.until_ms < ms LIMIT in_limit);
    DELETE FROM keeps WHERE until_ms < ms - 60000;
    RETURN many = in_limit;
END $$;

-- The heartbeat of an instance, about every 0.8 s. Whoever comes first looks after the fleet. Returns 0 if others have ended this life,
-- 2 if there is more to do than one call does, else 1. A time in which no heartbeat came counts against nobody.
CREATE OR REPLACE FUNCTION pulse(in_epoch text, in_life text, in_life_ms bigint, in_gone_ms bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    s state;
    ms bigint := now_ms();
    pause bigint;
    more boolean;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO s FROM state;
    -- The state is locked before any other row, by everybody.
    IF s.epoch IS DISTINCT FROM in_epoch OR ms - s.pulse_ms >= 700 THEN
        s := state_lock(in_epoch);
    END IF;
    UPDATE life SET until_ms = ms + in_life_ms WHERE life = in_life;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    IF ms - s.pulse_ms < 700 THEN
        RETURN 1;
    END IF;
    pause := ms - s.pulse_ms - 800;
    IF pause > 500 THEN
        UPDATE life SET until_ms = greatest(until_ms, least(until_ms + pause, ms + in_life_ms));
        UPDATE present SET away_ms = greatest(away_ms, least(away_ms + pause, ms + in_gone_ms)) WHERE away_ms IS NOT NULL;
    END IF;
    more := fleet_sweep(in_gone_ms, 500);
    more := logs_sweep(100) OR more;
    UPDATE state SET pulse_ms = ms;
    RETURN CASE WHEN more THEN 2 ELSE 1 END;
END $$;

-- Who holds the state for so long: its process, and what it has been doing since when. No row: nobody does.
CREATE OR REPLACE FUNCTION blocker() RETURNS TABLE (pid int, doing text, seconds bigint, name text) LANGUAGE sql STABLE AS $$
    SELECT a.pid, coalesce(a.state, ''), coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0)::bigint,
        coalesce(a.application_name, '')
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.relation = 'state'::regclass AND l.mode IN ('RowShareLock', 'RowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND l.granted AND a.pid <> pg_backend_pid()
    ORDER BY a.xact_start LIMIT 1
$$;

-- The version of the tables, for whoever finds a function missing.
CREATE OR REPLACE FUNCTION schema_version() RETURNS int LANGUAGE sql STABLE AS $$ SELECT max(number) FROM version $$;
