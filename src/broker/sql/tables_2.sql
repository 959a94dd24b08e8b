-- The tables, version 2: the end of a lease that is watched. (`life` is '' when its owner has left it.) Instances of version 1 go on calling
-- `lease_write` without `watch`.
ALTER TABLE lease ADD COLUMN watch bytea NOT NULL DEFAULT '', -- the name under which its end is asked for; '': nobody asks
    ADD COLUMN ended boolean NOT NULL DEFAULT false;          -- for good: the rest of the row is remembered until `until_ms`
DROP INDEX lease_until;
CREATE INDEX lease_until ON lease (until_ms) WHERE watch = '' OR ended;
CREATE INDEX lease_watched ON lease (until_ms) WHERE watch <> '' AND NOT ended;
CREATE INDEX lease_lapsed ON lease (watch, until_ms) WHERE watch <> '' AND NOT ended;
