-- How the log is written, and how an instant is found in it.

-- Appends a batch of commands, each whole or not at all, in one round trip.
--
-- The advisory lock is taken first and held until the commit is visible, so positions are given
-- in commit order and without holes: a reader that has seen position n has seen all below it.
-- Times never fall from one position to the next, also when the clock is set back.
-- Each command gets one outcome:
--   stored     its events are in the log (also when this very batch was appended before and only
--              the answer got lost: the same rows are recognised by their content)
--   replayed   its key was used before with the same request: position and answer of that time
--   mismatched its key was used before with another request
--   conflict   another command took one of its versions
CREATE OR REPLACE FUNCTION log.append(
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
    SELECT e.position, e.recorded_at INTO head, moment FROM log.events e
    ORDER BY e.position DESC LIMIT 1;
    head := coalesce(head, 0);
    moment := greatest(moment, clock_timestamp());
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

-- The first position that was recorded at an instant or later; one past the head if none was.
-- Positions have no holes and times rise with them, so halving finds it in thirty steps.
CREATE OR REPLACE FUNCTION log.position_at(instant timestamptz) RETURNS bigint STABLE
LANGUAGE plpgsql AS $$
DECLARE
    low bigint := 1;
    high bigint := coalesce((SELECT max(position) FROM log.events), 0) + 1;
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high) / 2;
        IF (SELECT recorded_at FROM log.events WHERE position = middle) >= instant THEN
            high := middle;
        ELSE
            low := middle + 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

DROP FUNCTION IF EXISTS webhooks.position_at(timestamptz);

REVOKE ALL ON FUNCTION log.append, log.position_at FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append, log.position_at TO tidings_app;
