-- What the audit trail knows beside the log: requests that were refused, and from where those
-- that changed something came. Both may be added to and not changed. Addresses are personal
-- data; nothing else depends on these rows, so they can be deleted at any time.

CREATE SCHEMA audit;

CREATE TABLE audit.refusals (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    tenant     text,                -- null: nobody's, as nobody proved or claimed one
    actor      text,                -- null: not proven
    endpoint   text        NOT NULL,
    method     text        NOT NULL,
    status     int         NOT NULL,
    reason     text        NOT NULL,
    address    inet,
    request_id text        NOT NULL
);
CREATE INDEX refusals_at ON audit.refusals (tenant, at DESC, id DESC);
CREATE INDEX refusals_actor ON audit.refusals (tenant, actor, at DESC, id DESC);
CREATE INDEX refusals_nobodys ON audit.refusals (at DESC, id DESC) WHERE tenant IS NULL;

CREATE TABLE audit.origins (
    tenant     text        NOT NULL,
    actor      text        NOT NULL,
    request_id text        NOT NULL,
    at         timestamptz NOT NULL,
    address    inet        NOT NULL,
    PRIMARY KEY (tenant, actor, request_id)
);

-- One tenant at a time, and what belongs to none.
ALTER TABLE audit.refusals ENABLE ROW LEVEL SECURITY;
CREATE POLICY noted ON audit.refusals FOR INSERT WITH CHECK (true);
CREATE POLICY tenant ON audit.refusals FOR SELECT
    USING (tenant IS NULL OR tenant = current_setting('tidings.tenant', true));
ALTER TABLE audit.origins ENABLE ROW LEVEL SECURITY;
CREATE POLICY noted ON audit.origins FOR INSERT WITH CHECK (true);
CREATE POLICY tenant ON audit.origins FOR SELECT
    USING (tenant = current_setting('tidings.tenant', true));

GRANT USAGE ON SCHEMA audit TO tidings_app;
GRANT SELECT, INSERT ON audit.refusals, audit.origins TO tidings_app;
