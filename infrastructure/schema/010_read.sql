-- Read models: tables folded from the log. They are never migrated, only built again.
-- The projector's role owns and writes them; the application's role reads them, one tenant at a
-- time (row-level security, set aside for the owner alone).

CREATE SCHEMA read AUTHORIZATION tidings_projector;
GRANT USAGE ON SCHEMA read TO tidings_app;
GRANT USAGE ON SCHEMA log TO tidings_projector;
GRANT SELECT ON log.events TO tidings_projector;

-- One row per read model: what its tables hold, and up to where. `shape` is a digest of the
-- tables' definition. `position` moves in the transaction that folds the events up to it.
CREATE TABLE read.models (
    id         int         GENERATED ALWAYS AS IDENTITY,
    name       text        NOT NULL PRIMARY KEY,
    version    int         NOT NULL,
    shape      text        NOT NULL,
    tables     text[]      NOT NULL,
    position   bigint      NOT NULL DEFAULT 0,
    state      text        NOT NULL CHECK (state IN ('building', 'live', 'failed')),
    error      jsonb,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 30);

-- A rebuild under way, or the last one that failed. Its tables are in a schema of its own.
CREATE TABLE read.builds (
    model      text        NOT NULL PRIMARY KEY REFERENCES read.models (name),
    schema     text        NOT NULL UNIQUE,
    version    int         NOT NULL,
    phase      text        NOT NULL,
    done       bigint      NOT NULL DEFAULT 0,
    total      bigint      NOT NULL DEFAULT 0,
    error      jsonb,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Signs of life of the processes that fold, by the backend that holds their locks. Worth nothing
-- after a crash of the server, hence unlogged.
CREATE UNLOGGED TABLE read.projectors (
    pid  int         NOT NULL PRIMARY KEY,
    beat timestamptz NOT NULL
);

GRANT SELECT ON read.models, read.builds, read.projectors TO tidings_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON read.models, read.builds, read.projectors
    TO tidings_projector;

-- The first statement of every transaction that folds: moves read models that travel together
-- and fences off whoever no longer owns them (paused, or of another version), by failing.
CREATE FUNCTION read.advance(
    names text[], versions int[], shapes text[], since bigint, upto bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE moved int;
BEGIN
    -- Always in the same order, so that overlapping groups cannot deadlock.
    PERFORM FROM read.models m WHERE m.name = ANY (names) ORDER BY m.name FOR UPDATE;
    UPDATE read.models m SET position = upto, updated_at = clock_timestamp()
    FROM unnest(names, versions, shapes) AS own (name, version, shape)
    WHERE m.name = own.name AND m.version = own.version AND m.shape = own.shape
      AND m.state = 'live' AND m.position = since;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(names) THEN
        RAISE EXCEPTION 'read models have moved on' USING ERRCODE = 'TR001';
    END IF;
    PERFORM read.announce(names, upto);
END $$;

-- Tells waiting queries how far read models have come: "position name name ...". In pieces,
-- as the payload of a notification is limited to 8,000 bytes and a name to 50.
CREATE FUNCTION read.announce(names text[], upto bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('tidings_read', upto || ' ' || string_agg(n, ' '))
    FROM unnest(names) WITH ORDINALITY AS t (n, ord) GROUP BY (ord - 1) / 100
$$;

-- Ends the sessions of projectors that hold locks and give no sign of life: paused machines, or
-- connections whose other end is gone without a word. What they hold is free at once.
CREATE FUNCTION read.dismiss_silent(silence interval) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE ended int;
BEGIN
    WITH silent AS (
        DELETE FROM read.projectors p WHERE p.beat < clock_timestamp() - silence RETURNING p.pid
    )
    SELECT count(*) FILTER (WHERE pg_terminate_backend(l.pid)) INTO ended
    FROM silent JOIN pg_locks l USING (pid)
    WHERE l.locktype = 'advisory' AND l.classid = 73610183 AND l.objid = 0 AND l.database =
        (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN ended;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN 0;  -- sessions of a login that the migration's may not end; they end by themselves
END $$;

-- A schema for the tables of one rebuild.
CREATE FUNCTION read.open_build(build text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF build !~ '^read_build_[0-9a-f]{32}$' THEN
        RAISE EXCEPTION 'not the name of a build';
    END IF;
    EXECUTE format('CREATE SCHEMA %I AUTHORIZATION tidings_projector', build);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA read FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA read TO tidings_projector;
