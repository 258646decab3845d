-- What follows from the log: how far each follower has come, and work that waits for its hour.
CREATE SCHEMA work AUTHORIZATION tidings_app;

CREATE TABLE work.followers (
    name       text        PRIMARY KEY,
    position   bigint      NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Jobs for later. The queue scans its jobs in order, so those of next month stay out of it.
CREATE TABLE work.timers (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due       timestamptz NOT NULL,
    name      text        NOT NULL,
    arguments jsonb       NOT NULL,
    lock      text
);
CREATE INDEX timers_due ON work.timers (due);

GRANT SELECT, INSERT, UPDATE ON work.followers TO tidings_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON work.timers TO tidings_app;
