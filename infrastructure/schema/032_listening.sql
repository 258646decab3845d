-- Which networks are listened to for mentions, and how far each has told what it heard. `due` is
-- when the next look begins; who takes a look puts it off by a lease, and says so by `turn`.
CREATE TABLE work.listening (
    tenant   text        NOT NULL,
    network  text        NOT NULL,
    since    timestamptz NOT NULL,
    provider text,
    cursor   text,
    heard_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    failures integer     NOT NULL DEFAULT 0,
    due      timestamptz NOT NULL DEFAULT clock_timestamp(),
    turn     bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, network)
);
CREATE INDEX listening_due ON work.listening (due);

GRANT SELECT, INSERT, UPDATE, DELETE ON work.listening TO tidings_app;
