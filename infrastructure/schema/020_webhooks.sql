-- Webhooks: receivers as the log has them, and what is on its way to them.
--
-- A delivery says that an event is to reach an endpoint; its text is made from the log whenever it
-- is sent, so nothing here repeats what an event holds. Whoever changes deliveries of an endpoint
-- locks its row in `queues` first and looks afterwards: a new delivery and the end of an earlier
-- one never miss each other.

CREATE SCHEMA webhooks;

-- Signing secrets and the values of receivers' own headers, sealed. Written before the event that
-- names them, so an event never names one that is not there.
CREATE TABLE webhooks.secrets (
    id         uuid        PRIMARY KEY,
    tenant     text        NOT NULL,
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Configuration, as of the position of the follower `webhooks`, which alone writes it.
CREATE TABLE webhooks.endpoints (
    id         uuid    PRIMARY KEY,
    tenant     text    NOT NULL,
    url        text    NOT NULL,
    events     text[]  NOT NULL,
    headers    uuid,
    rate_limit int,
    v1a        boolean NOT NULL,               -- sign with the key pair too
    secret     uuid    NOT NULL,
    former     jsonb   NOT NULL DEFAULT '[]',  -- [{"secret", "until"}], the latest first
    enabled    boolean NOT NULL DEFAULT true,
    revision   bigint  NOT NULL                -- position of the last change
);
CREATE INDEX endpoints_tenant ON webhooks.endpoints (tenant);

-- Processes that send, each alive until it says so again.
CREATE TABLE webhooks.senders (
    id          uuid        PRIMARY KEY,
    alive_until timestamptz NOT NULL
);

-- An endpoint's work and figures. One sender at a time has it, so rate and concurrency hold over
-- all processes. `wake` is when there is something to do next.
CREATE TABLE webhooks.queues (
    endpoint_id       uuid   PRIMARY KEY,
    tenant            text   NOT NULL,
    owner             uuid,
    wake              timestamptz,
    not_before        timestamptz,             -- the receiver asked for a pause
    pending           bigint NOT NULL DEFAULT 0,
    delivered         bigint NOT NULL DEFAULT 0,
    failed            bigint NOT NULL DEFAULT 0,
    failing_since     timestamptz,
    last_delivered_at timestamptz,
    last_failure_at   timestamptz
) WITH (fillfactor = 50);
CREATE INDEX queues_wake ON webhooks.queues (wake) WHERE wake IS NOT NULL;
CREATE INDEX queues_owner ON webhooks.queues (owner) WHERE owner IS NOT NULL;

CREATE TABLE webhooks.deliveries (
    id          uuid        PRIMARY KEY,       -- the position, then a digest of endpoint and name
    tenant      text        NOT NULL,
    endpoint_id uuid        NOT NULL,
    stream_id   uuid        NOT NULL,
    position    bigint      NOT NULL,
    name        text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    due         timestamptz,                   -- null also while an earlier one of its stream waits
    attempts    int         NOT NULL DEFAULT 0,
    failures    int         NOT NULL DEFAULT 0, -- since it was last put in
    error       text,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz
) WITH (fillfactor = 80);
-- Order within an aggregate: of each stream at most one delivery per endpoint may be attempted.
CREATE UNIQUE INDEX deliveries_head ON webhooks.deliveries (endpoint_id, stream_id)
    WHERE due IS NOT NULL;
CREATE INDEX deliveries_due ON webhooks.deliveries (endpoint_id, due) WHERE due IS NOT NULL;
CREATE INDEX deliveries_pending ON webhooks.deliveries (endpoint_id, stream_id, id)
    WHERE status = 'pending';
CREATE INDEX deliveries_failed ON webhooks.deliveries (endpoint_id, id) WHERE status = 'failed';
CREATE INDEX deliveries_endpoint ON webhooks.deliveries (endpoint_id, id);
CREATE INDEX deliveries_tenant ON webhooks.deliveries (tenant, id);

CREATE TABLE webhooks.attempts (
    delivery_id  uuid        NOT NULL,
    at           timestamptz NOT NULL,
    status       int,                          -- of the answer, if there was one
    milliseconds int         NOT NULL,
    error        text,
    answer       bytea,                        -- its first kilobyte
    PRIMARY KEY (delivery_id, at)
);

-- Replays on their way: positions `next` to `last` are still to be put in.
CREATE TABLE webhooks.replays (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id uuid    NOT NULL,
    tenant      text    NOT NULL,
    names       text[]  NOT NULL,
    next        bigint  NOT NULL,
    last        bigint  NOT NULL,
    only_failed boolean NOT NULL
);

CREATE TYPE webhooks.head AS (endpoint_id uuid, stream_id uuid);

-- The next delivery of each of these streams may be attempted, unless one of it already is.
CREATE FUNCTION webhooks.advance(streams webhooks.head[]) RETURNS void LANGUAGE sql AS $$
    UPDATE webhooks.deliveries SET due = clock_timestamp()
    WHERE id IN (
        SELECT first.id FROM unnest(streams) AS s
        CROSS JOIN LATERAL (
            SELECT d.id FROM webhooks.deliveries d WHERE d.status = 'pending'
                AND d.endpoint_id = s.endpoint_id AND d.stream_id = s.stream_id
            ORDER BY d.endpoint_id, d.stream_id, d.id LIMIT 1
        ) AS first
        WHERE NOT EXISTS (
            SELECT FROM webhooks.deliveries h WHERE h.due IS NOT NULL
                AND h.endpoint_id = s.endpoint_id AND h.stream_id = s.stream_id
        )
    )
$$;

-- Have deliveries attempted: new ones, and finished ones again. What is on its way stays so, and
-- what belongs to no endpoint any more is left out. Arrays run parallel, in the order of the log.
CREATE FUNCTION webhooks.put(
    ids uuid[], endpoints uuid[], streams uuid[], positions bigint[], names text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    total bigint;
BEGIN
    PERFORM FROM webhooks.queues WHERE endpoint_id = ANY (endpoints)
        ORDER BY endpoint_id FOR UPDATE;
    WITH new AS (
        SELECT n.*, q.tenant,
            row_number() OVER (PARTITION BY n.endpoint_id, n.stream_id ORDER BY n.id) AS place
        FROM unnest(ids, endpoints, streams, positions, names)
            AS n (id, endpoint_id, stream_id, position, name)
        JOIN webhooks.queues q USING (endpoint_id)
    ), stored AS (
        INSERT INTO webhooks.deliveries AS d
            (id, tenant, endpoint_id, stream_id, position, name, status, due, created_at)
        SELECT new.id, new.tenant, new.endpoint_id, new.stream_id, new.position, new.name, 'pending',
            CASE WHEN new.place = 1 AND NOT EXISTS (
                SELECT FROM webhooks.deliveries p WHERE p.status = 'pending'
                    AND p.endpoint_id = new.endpoint_id AND p.stream_id = new.stream_id
            ) THEN moment END, moment
        FROM new
        ON CONFLICT (id) DO UPDATE SET status = 'pending', due = excluded.due, failures = 0,
            error = NULL, finished_at = NULL
            WHERE d.status <> 'pending'
        RETURNING d.endpoint_id
    ), counted AS (
        SELECT endpoint_id, count(*) AS n FROM stored GROUP BY 1
    ), woken AS (
        UPDATE webhooks.queues q SET pending = q.pending + c.n, wake = least(q.wake, moment)
        FROM counted c WHERE c.endpoint_id = q.endpoint_id
    )
    SELECT sum(n) INTO total FROM counted;
    IF total > 0 THEN
        PERFORM pg_notify('tidings_webhooks', '');
    END IF;
    RETURN coalesce(total, 0);
END $$;

-- What became of attempts; the same attempt may be told twice. A delivery that was answered well
-- is delivered whatever happened to it meanwhile; any other verdict counts only while it waits.
-- Answers since when each endpoint has been failing, if it is.
CREATE FUNCTION webhooks.record(
    ids uuid[], endpoints uuid[], verdicts text[], dues timestamptz[], times timestamptz[],
    took int[], statuses int[], errors text[], answers bytea[], pauses timestamptz[]
) RETURNS TABLE (endpoint uuid, since timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ended webhooks.head[];
BEGIN
    PERFORM FROM webhooks.queues WHERE endpoint_id = ANY (endpoints)
        ORDER BY endpoint_id FOR UPDATE;
    WITH told AS (
        SELECT * FROM unnest(ids, verdicts, dues, times, took, statuses, errors, answers)
            AS t (id, verdict, due, at, took, status, error, answer)
    ), new AS (
        INSERT INTO webhooks.attempts (delivery_id, at, status, milliseconds, error, answer)
        SELECT id, at, status, took, error, answer FROM told
        ON CONFLICT DO NOTHING RETURNING delivery_id
    ), changed AS (
        UPDATE webhooks.deliveries d SET
            attempts = d.attempts + 1,
            failures = d.failures + CASE WHEN t.verdict = 'delivered' THEN 0 ELSE 1 END,
            status = CASE WHEN t.verdict = 'pending' OR skipped THEN d.status ELSE t.verdict END,
            due = CASE WHEN t.verdict = 'pending' AND d.due IS NOT NULL THEN t.due END,
            error = CASE WHEN skipped THEN d.error ELSE t.error END,
            finished_at = CASE WHEN t.verdict = 'pending' OR skipped THEN d.finished_at ELSE t.at END
        FROM new JOIN told t ON t.id = new.delivery_id, webhooks.deliveries was,
            LATERAL (SELECT was.status <> 'pending' AND t.verdict <> 'delivered' AS skipped) AS s
        WHERE d.id = new.delivery_id AND was.id = d.id
        RETURNING d.endpoint_id, d.stream_id, was.status AS before, d.status AS after, t.at
    ), counted AS (
        SELECT endpoint_id,
            count(*) FILTER (WHERE before = 'pending' AND after <> 'pending') AS ended,
            count(*) FILTER (WHERE before <> 'delivered' AND after = 'delivered') AS delivered,
            count(*) FILTER (WHERE before = 'pending' AND after = 'failed') AS failed,
            max(at) FILTER (WHERE after = 'delivered') AS good,
            max(at) FILTER (WHERE after <> 'delivered') AS bad,
            min(at) FILTER (WHERE after <> 'delivered') AS first_bad
        FROM changed GROUP BY 1
    ), figures AS (
        UPDATE webhooks.queues q SET
            pending = q.pending - c.ended,
            delivered = q.delivered + c.delivered,
            failed = q.failed + c.failed,
            last_delivered_at = greatest(q.last_delivered_at, c.good),
            last_failure_at = greatest(q.last_failure_at, c.bad),
            failing_since = CASE WHEN c.bad IS NULL OR c.good >= c.bad THEN NULL
                WHEN c.good IS NULL THEN coalesce(q.failing_since, c.first_bad) ELSE c.bad END,
            not_before = p.pause
        FROM counted c
        JOIN (SELECT u.endpoint_id, max(u.pause) AS pause FROM unnest(endpoints, pauses)
              AS u (endpoint_id, pause) GROUP BY 1) AS p USING (endpoint_id)
        WHERE c.endpoint_id = q.endpoint_id
    )
    SELECT array_agg(DISTINCT (endpoint_id, stream_id)::webhooks.head) INTO ended
    FROM changed WHERE after <> 'pending';
    PERFORM webhooks.advance(ended);
    RETURN QUERY SELECT q.endpoint_id, q.failing_since FROM webhooks.queues q
        WHERE q.endpoint_id = ANY (endpoints) AND q.failing_since IS NOT NULL;
END $$;

-- Give up what waits for an endpoint.
CREATE FUNCTION webhooks.give_up(endpoint uuid, reason text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    PERFORM FROM webhooks.queues WHERE endpoint_id = endpoint FOR UPDATE;
    UPDATE webhooks.deliveries SET status = 'failed', due = NULL, error = reason,
        finished_at = clock_timestamp()
        WHERE endpoint_id = endpoint AND status = 'pending';
    GET DIAGNOSTICS n = ROW_COUNT;
    UPDATE webhooks.queues SET pending = 0, failed = failed + n, wake = NULL, not_before = NULL,
        failing_since = NULL
        WHERE endpoint_id = endpoint;
    DELETE FROM webhooks.replays WHERE endpoint_id = endpoint;
END $$;

-- Take endpoints that have something to do and that nobody alive has.
CREATE FUNCTION webhooks.claim(sender uuid, most int) RETURNS SETOF uuid LANGUAGE sql AS $$
    WITH free AS MATERIALIZED (
        SELECT q.endpoint_id FROM webhooks.queues q
        WHERE q.wake <= clock_timestamp()
            AND (q.not_before IS NULL OR q.not_before <= clock_timestamp())
            AND (q.owner IS NULL OR NOT EXISTS (
                SELECT FROM webhooks.senders s
                WHERE s.id = q.owner AND s.alive_until > clock_timestamp()))
        ORDER BY q.wake LIMIT most FOR UPDATE SKIP LOCKED
    )
    UPDATE webhooks.queues SET owner = sender
    WHERE endpoint_id IN (SELECT free.endpoint_id FROM free) RETURNING endpoint_id
$$;

-- Let go of endpoints, noting when there is something to do next.
CREATE FUNCTION webhooks.release(sender uuid, endpoints uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM webhooks.queues WHERE endpoint_id = ANY (endpoints) AND owner = sender
        ORDER BY endpoint_id FOR UPDATE;
    UPDATE webhooks.queues q SET owner = NULL, wake = (
        SELECT min(d.due) FROM webhooks.deliveries d
        WHERE d.endpoint_id = q.endpoint_id AND d.due IS NOT NULL)
    WHERE q.endpoint_id = ANY (endpoints) AND q.owner = sender;
    IF EXISTS (SELECT FROM webhooks.queues q WHERE q.endpoint_id = ANY (endpoints)
               AND q.owner IS NULL AND q.wake <= clock_timestamp()) THEN
        PERFORM pg_notify('tidings_webhooks', '');
    END IF;
END $$;

GRANT USAGE ON SCHEMA webhooks TO tidings_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA webhooks TO tidings_app;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA webhooks FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA webhooks TO tidings_app;
