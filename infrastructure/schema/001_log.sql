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

-- Appends a batch of commands, each whole or not at all, in one round trip.
--
-- The advisory lock is taken first and held until the commit is visible, so positions are given
-- in commit order and without holes: a reader that has seen position n has seen all below it.
-- Each command gets one outcome:
--   stored     its events are in the log (also when this very batch was appended before and only
--              the answer got lost: the same rows are recognised by their content)
--   replayed   its key was used before with the same request: position and answer of that time
--   mismatched its key was used before with another request
--   conflict   another command took one of its versions
CREATE FUNCTION log.append(
    ids uuid[], versions bigint[], topics text[], states bytea[], commands int[],
    tenants text[], callers text[], keys bytea[], requests bytea[], answers bytea[]
) RETURNS TABLE (command int, outcome text, at bigint, earlier bytea)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = log, pg_temp SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    head bigint;
    moment timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(7361018431);
    moment := clock_timestamp();
    head := coalesce((SELECT e.position FROM log.events e ORDER BY e.position DESC LIMIT 1), 0);
    PERFORM log.make_room(head, head + cardinality(ids));

    RETURN QUERY
    WITH cmd AS (
        SELECT (t.n - 1)::int AS n, t.tenant, t.caller, t.key, t.request, t.answer
        FROM unnest(tenants, callers, keys, requests, answers)
             WITH ORDINALITY AS t(tenant, caller, key, request, answer, n)
    ), new AS (
        SELECT i.stream_id, i.version, i.topic, i.state, i.n, i.ord, cmd.tenant
        FROM unnest(ids, versions, topics, states, commands)
             WITH ORDINALITY AS i(stream_id, version, topic, state, n, ord) JOIN cmd USING (n)
    ), answered AS (
        SELECT cmd.n, a.request = cmd.request AS same, a.position, a.answer
        FROM cmd JOIN log.answers a ON a.tenant = cmd.tenant AND a.key = cmd.key
        WHERE a.created_at > moment - interval '24 hours'
    ), taken AS (
        SELECT new.n, max(e.position) AS position,
               bool_and(e.tenant = new.tenant AND e.topic = new.topic AND e.state = new.state) AS same
        FROM new JOIN log.events e ON e.stream_id = new.stream_id AND e.version = new.version
        GROUP BY new.n
    ), good AS (
        SELECT new.*, head + row_number() OVER (ORDER BY new.ord) AS position FROM new
        WHERE new.n NOT IN (SELECT n FROM answered UNION ALL SELECT n FROM taken)
    ), stored AS (
        INSERT INTO log.events (position, stream_id, version, tenant, topic, state, recorded_at)
        SELECT position, stream_id, version, tenant, topic, state, moment FROM good
    ), last AS (  -- a command that changed nothing still keeps its answer, at the present head
        SELECT cmd.n, coalesce(max(good.position), head) AS position
        FROM cmd LEFT JOIN good USING (n)
        WHERE cmd.n NOT IN (SELECT n FROM answered UNION ALL SELECT n FROM taken)
        GROUP BY cmd.n
    ), kept AS (
        INSERT INTO log.answers (tenant, key, request, position, answer, created_at)
        SELECT cmd.tenant, cmd.key, cmd.request, last.position, cmd.answer, moment
        FROM last JOIN cmd USING (n) WHERE cmd.key IS NOT NULL
        ON CONFLICT (tenant, key) DO UPDATE SET request = excluded.request,
            position = excluded.position, answer = excluded.answer, created_at = excluded.created_at
    ), followed AS (
        INSERT INTO log.callers AS c (tenant, actor, position)
        SELECT cmd.tenant, cmd.caller, max(last.position)
        FROM last JOIN cmd USING (n) WHERE cmd.caller IS NOT NULL GROUP BY 1, 2
        ON CONFLICT (tenant, actor) DO UPDATE SET position = excluded.position
    )
    SELECT last.n, 'stored', last.position, NULL::bytea FROM last
    UNION ALL
    SELECT a.n, CASE WHEN a.same THEN 'replayed' ELSE 'mismatched' END, a.position, a.answer
    FROM answered a
    UNION ALL
    SELECT t.n, CASE WHEN t.same THEN 'stored' ELSE 'conflict' END, t.position, NULL::bytea
    FROM taken t WHERE t.n NOT IN (SELECT n FROM answered);

    PERFORM pg_notify('tidings_log', '');
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA log FROM PUBLIC;
GRANT USAGE ON SCHEMA log TO tidings_app;
GRANT SELECT ON log.events, log.stored_events, log.callers TO tidings_app;
GRANT SELECT, DELETE ON log.answers TO tidings_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON log.snapshots TO tidings_app;
GRANT EXECUTE ON FUNCTION log.append TO tidings_app;
GRANT EXECUTE ON FUNCTION log.partition_size, log.partition_name TO tidings_app;
SELECT log.add_partition(0);
