-- The tables, version 1.
--
-- `state` is one row. Whoever changes what all must see in one order locks it first, and keeps it until the commit: so numbers are
-- given in the order of the commits, and whoever sees one sees all that are smaller. (A sequence would leave gaps, and commit out
-- of order.) `seq` numbers logged entries, `at` all else that is pushed.
--
-- A crash of the server empties tables that are not logged. `alive` is such a table, and shows the crash: the next one to come
-- begins an epoch.
CREATE TABLE state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch text NOT NULL DEFAULT '',
    seq bigint NOT NULL DEFAULT 0,
    at bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0, -- messages up to this `at` may have been deleted
    kept bigint NOT NULL DEFAULT 0,  -- number of the last event that was kept for polling sessions
    bytes bigint NOT NULL DEFAULT 0, -- of all logs: an entry counts 64 more, a name 128
    rooms bigint NOT NULL DEFAULT 0, -- whose newest entry is known
    logs bigint NOT NULL DEFAULT 0,  -- of these, those with entries
    pulse_ms bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO state DEFAULT VALUES;

CREATE UNLOGGED TABLE alive (run_id text PRIMARY KEY);

-- Epochs that ended, with the last seq that survived.
CREATE TABLE epoch_end (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    seq bigint NOT NULL
);

-- A room outlives its log, so that a room that was trimmed is not taken for one that never had an entry.
CREATE TABLE room (
    name bytea PRIMARY KEY,
    last bigint NOT NULL,    -- its newest entry
    entries bigint NOT NULL, -- in its log
    bytes bigint NOT NULL,
    names bigint NOT NULL,
    oldest_ms bigint NOT NULL,
    age_ms bigint NOT NULL,
    used_ms bigint NOT NULL,
    floor bigint NOT NULL DEFAULT 0, -- entries up to this one were trimmed. They are deleted later, so that all instances are sent them,
    swept bigint NOT NULL DEFAULT 0  -- and up to this one they have been
) WITH (fillfactor = 50);
CREATE INDEX room_litter ON room (name) WHERE floor > swept;

CREATE TABLE log (
    seq bigint PRIMARY KEY,
    room bytea NOT NULL,
    prev bigint NOT NULL, -- the room's entry before
    time_ms bigint NOT NULL,
    inbox text,           -- of the owner of an owned room
    audience bytea NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX log_room ON log (room, seq);

-- What is pushed and not logged: to a room, or to an instance's inbox. It stands behind the entry `after`. `number` of an `event` is
-- above 0 if it is kept for polling sessions.
CREATE UNLOGGED TABLE message (
    at bigint PRIMARY KEY,
    after bigint NOT NULL,
    time_ms bigint NOT NULL,
    kind text NOT NULL,
    room bytea,
    inbox text,
    number bigint NOT NULL,
    head bytea NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX message_kept ON message (room, number) WHERE kind = 'event' AND number > 0;

-- Rooms that polling sessions are in: their events are kept until then. Of those, the ones up to `dropped` are gone.
CREATE UNLOGGED TABLE keeps (
    room bytea PRIMARY KEY,
    until_ms bigint NOT NULL,
    dropped bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- A client's name for a message, and a digest of that message.
CREATE TABLE named (
    room bytea NOT NULL,
    id bytea NOT NULL,
    digest bigint NOT NULL,
    until_ms bigint NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (room, id)
);
CREATE INDEX named_number ON named (room, number);
CREATE INDEX named_until ON named (until_ms);

-- The last call of each publisher, and the entries of it that were refused.
CREATE TABLE publisher (
    name text PRIMARY KEY,
    call bigint NOT NULL,
    places int[] NOT NULL,
    whys text[] NOT NULL,
    seen_ms bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE lease (
    pid text PRIMARY KEY,
    sid text NOT NULL,
    own bytea NOT NULL,
    rooms bytea NOT NULL,
    data bytea NOT NULL,
    keep bytea NOT NULL,
    keep_ms bigint NOT NULL,
    generation bigint NOT NULL,
    window_ms bigint NOT NULL,
    until_ms bigint NOT NULL,
    inbox text NOT NULL,
    life text NOT NULL
);
CREATE INDEX lease_own ON lease (own) WHERE own <> '';
CREATE INDEX lease_life ON lease (life);
CREATE INDEX lease_until ON lease (until_ms);

-- An instance between two links. `backend` is that of its feed; 0: it goes through a pooler.
CREATE UNLOGGED TABLE life (
    life text PRIMARY KEY,
    instance text NOT NULL,
    until_ms bigint NOT NULL,
    backend int NOT NULL
);

CREATE UNLOGGED TABLE present (
    room bytea NOT NULL,
    sid text NOT NULL,
    data bytea NOT NULL,
    generation bigint NOT NULL,
    life text NOT NULL,
    away_ms bigint, -- when it has left, unless it comes back
    number bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (room, sid)
);
CREATE INDEX present_number ON present (room, number);
CREATE INDEX present_life ON present (life);
CREATE INDEX present_away ON present (away_ms) WHERE away_ms IS NOT NULL;

-- Polling sessions between their requests. A ticket is `number@life`.
CREATE UNLOGGED TABLE polling (
    sid text PRIMARY KEY,
    record bytea NOT NULL,
    pids text[] NOT NULL, -- of its sockets' leases; and for each, the generation that the session has, and the client's position
    generations bigint[] NOT NULL,
    epochs text[] NOT NULL,
    seqs bigint[] NOT NULL,
    kept bigint NOT NULL, -- number of the last kept event that its sockets have been sent
    holder text NOT NULL DEFAULT '', -- a ticket; '': nobody
    kind text NOT NULL DEFAULT '',   -- of that request
    inbox text NOT NULL DEFAULT '',
    waiting text[] NOT NULL DEFAULT '{}', -- tickets, and for each its kind and inbox
    kinds text[] NOT NULL DEFAULT '{}',
    inboxes text[] NOT NULL DEFAULT '{}',
    passed text NOT NULL DEFAULT '', -- the last ticket that passed it on
    passed_ms bigint NOT NULL,
    given text NOT NULL DEFAULT '',  -- the last one that got it
    probe text NOT NULL DEFAULT '',  -- a WebSocket's that has until probe_ms to take it over
    probe_ms bigint NOT NULL DEFAULT 0,
    pong_ms bigint NOT NULL DEFAULT 0, -- when a pong came that no holder has taken; 0: none did
    moved boolean NOT NULL DEFAULT false, -- it is on a WebSocket
    until_ms bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX polling_until ON polling (until_ms);
