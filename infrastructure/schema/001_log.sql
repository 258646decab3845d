-- The event log: append-only, totally ordered, partitioned by position.
-- Everything here belongs to the migrating role; the application's role may read events and
-- call log.append, and nothing else touches them.

CREATE SCHEMA log;

CREATE TABLE log.events (
    position    bigint      NOT NULL PRIMARY KEY,
    stream_id   uuid        NOT NULL,
    version     bigint      NOT NULL,
    tenant      text        NOT NULL,
    topic       text        NOT NULL,
    state       bytea       NOT NULL,
    recorded_at timestamptz NOT NULL
) PARTITION BY RANGE (position);
CREATE INDEX events_recorded_at ON log.events USING brin (recorded_at);

-- The log by the names of the eventsourcing library, for recorders of its kind.
CREATE VIEW log.stored_events AS
SELECT position AS notification_id, stream_id AS originator_id, version AS originator_version,
       topic, state FROM log.events;

-- What was answered to an Idempotency-Key; written in the transaction of the events.
CREATE TABLE log.answers (
    tenant     text        NOT NULL,
    key        bytea       NOT NULL,
    request    bytea       NOT NULL,
    position   bigint      NOT NULL,
    answer     bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX answers_created_at ON log.answers (created_at);

-- Each caller's last position, so that their next query can wait for it on any worker.
CREATE TABLE log.callers (
    tenant   text   NOT NULL,
    actor    text   NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tenant, actor)
) WITH (fillfactor = 50);

-- What long streams add up to, so that loading one need not begin at its beginning. Disposable:
-- a state is used only by the release (`shape`) that took it, and anybody may empty the table.
CREATE TABLE log.snapshots (
    stream_id uuid        NOT NULL PRIMARY KEY,
    version   bigint      NOT NULL,
    tenant    text        NOT NULL,
    shape     bytea       NOT NULL,
    state     bytea       NOT NULL,
    taken_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX snapshots_tenant ON log.snapshots (tenant);

CREATE FUNCTION log.partition_size() RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 10000000::bigint';

CREATE FUNCTION log.partition_name(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS
    $$ SELECT 'events_' || lpad(n::text, 6, '0') $$;

-- Partition n holds positions n * size + 1 .. (n + 1) * size. A stream's versions are unique
-- within each partition by index, and over all of them by the check in log.append.
-- It is made apart and attached when it is whole: that waits for nobody who reads the log, be it
-- an export or a transaction that somebody forgot, and lets nobody wait.
CREATE FUNCTION log.add_partition(n bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE part text := log.partition_name(n);
BEGIN
    EXECUTE format('CREATE TABLE log.%I (LIKE log.events INCLUDING ALL)', part);
    EXECUTE format('CREATE UNIQUE INDEX %I ON log.%I (stream_id, version)', part || '_stream', part);
    -- Insert-only: freeze by the number of inserts, and never wait for dead rows.
    EXECUTE format('ALTER TABLE log.%I SET (autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.02)', part);
    EXECUTE format('ALTER TABLE log.events ATTACH PARTITION log.%I FOR VALUES FROM (%s) TO (%s)',
        part, n * log.partition_size() + 1, (n + 1) * log.partition_size() + 1);
END $$;

-- The partitions for positions up to `last`, and in good time the one after them: maintenance of
-- the whole table can keep a partition from being attached, and then there is time left to wait.
CREATE FUNCTION log.make_room(head bigint, last bigint) RETURNS void
LANGUAGE plpgsql SET lock_timeout = 0 AS $$
DECLARE part bigint;
BEGIN
    FOR part IN head / log.partition_size() .. (last - 1) / log.partition_size() LOOP
        IF to_regclass('log.' || log.partition_name(part)) IS NULL THEN
            PERFORM log.add_partition(part);
        END IF;
    END LOOP;
    part := (last + log.partition_size() / 2) / log.partition_size();
    IF to_regclass('log.' || log.partition_name(part)) IS NULL THEN
        BEGIN
            PERFORM set_config('lock_timeout', '5ms', true);
            PERFORM log.add_partition(part);
        EXCEPTION WHEN lock_not_available THEN NULL;
        END;
    END IF;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA log FROM PUBLIC;
GRANT USAGE ON SCHEMA log TO tidings_app;
GRANT SELECT ON log.events, log.stored_events, log.callers TO tidings_app;
GRANT SELECT, DELETE ON log.answers TO tidings_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON log.snapshots TO tidings_app;
GRANT EXECUTE ON FUNCTION log.partition_size, log.partition_name TO tidings_app;
SELECT log.add_partition(0);
