-- What was replied to mentions on the sandbox network, by the responder's key. The texts speak to
-- people, so they stay in the log alone, where they can be erased.
CREATE TABLE sandbox.replies (
    tenant           text        NOT NULL,
    network          text        NOT NULL,
    key              text        NOT NULL,
    network_reply_id text        NOT NULL,
    in_reply_to      text        NOT NULL,
    replied_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, network, key)
);
GRANT SELECT, INSERT, DELETE ON sandbox.replies TO tidings_app;
