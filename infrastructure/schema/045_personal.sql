-- Personal data: each person's key, wrapped, and what is known of erasures. The log holds
-- ciphertext that names its key; without the key it reads as erased.

CREATE SCHEMA vault;

-- `subject` is a keyed hash of who the person is; `wrapping` names the key that `wrapped` is under.
CREATE TABLE vault.keys (
    id         uuid        NOT NULL PRIMARY KEY,
    tenant     text        NOT NULL,
    subject    bytea       NOT NULL CHECK (octet_length(subject) = 32),
    wrapping   text        NOT NULL,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, subject)
) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX keys_wrapping ON vault.keys (wrapping, id);

-- What keyed hashes are made with. It is wrapped as well, so that they outlive a change of key.
CREATE TABLE vault.hashing (
    single   boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (single),
    wrapping text    NOT NULL,
    wrapped  bytea   NOT NULL
);

-- Erasures, begun and done; `id` is that of the key that was destroyed. No personal data.
CREATE TABLE vault.erasures (
    id           uuid        NOT NULL PRIMARY KEY,
    tenant       text        NOT NULL,
    subject      bytea       NOT NULL,
    actor        text        NOT NULL,
    erased_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    purged       jsonb       NOT NULL,
    completed_at timestamptz,
    receipt      jsonb
);
CREATE INDEX erasures_subject ON vault.erasures (tenant, subject, erased_at);
CREATE INDEX erasures_at ON vault.erasures (erased_at);

-- The keys of persons, of those offered for who has none yet. Whoever else makes one at the same
-- moment, all get the same. They need not be durable before the events that are encrypted with
-- them: those are written later, and the log of the server keeps the order.
CREATE FUNCTION vault.make_keys(
    ids uuid[], tenants text[], subjects bytea[], wrapping_key text, fresh bytea[]
) RETURNS TABLE (tenant text, subject bytea, id uuid, wrapping text, wrapped bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO vault.keys (id, tenant, subject, wrapping, wrapped)
    SELECT n.id, n.tenant, n.subject, wrapping_key, n.wrapped
    FROM unnest(ids, tenants, subjects, fresh) AS n (id, tenant, subject, wrapped)
    WHERE NOT EXISTS (
        SELECT FROM vault.keys k WHERE k.tenant = n.tenant AND k.subject = n.subject)
    ORDER BY n.tenant, n.subject
    ON CONFLICT (tenant, subject) DO NOTHING;
    RETURN QUERY SELECT k.tenant, k.subject, k.id, k.wrapping, k.wrapped
    FROM unnest(tenants, subjects) AS n (tenant, subject)
    JOIN vault.keys k ON k.tenant = n.tenant AND k.subject = n.subject;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vault FROM PUBLIC;
GRANT USAGE ON SCHEMA vault TO tidings_app, tidings_projector;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA vault TO tidings_app;
GRANT SELECT ON vault.keys, vault.erasures TO tidings_app, tidings_projector;
GRANT INSERT, DELETE, UPDATE (wrapping, wrapped) ON vault.keys TO tidings_app;
GRANT SELECT, INSERT, UPDATE (wrapping, wrapped) ON vault.hashing TO tidings_app;
GRANT INSERT, UPDATE (purged, completed_at, receipt) ON vault.erasures TO tidings_app;

-- An erasure takes a person out of kept answers, and where somebody's requests came from.
GRANT UPDATE (answer) ON log.answers TO tidings_app;
GRANT DELETE ON audit.refusals, audit.origins TO tidings_app;
CREATE POLICY erased ON audit.refusals FOR DELETE
    USING (tenant = current_setting('tidings.tenant', true));
CREATE POLICY erased ON audit.origins FOR DELETE
    USING (tenant = current_setting('tidings.tenant', true));
