-- Secrets of connected accounts, as ciphertext alone; `key_id` names the key they are sealed with.
CREATE TABLE work.credentials (
    connection_id uuid        PRIMARY KEY,
    tenant        text        NOT NULL,
    network       text        NOT NULL,
    key_id        text        NOT NULL,
    sealed        bytea       NOT NULL,
    kept_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What is sent to a network is noted before it is sent: who sent it, since when it may be out,
-- what the network calls it on its way, and where it is when that is known.
CREATE TABLE work.sendings (
    tenant          text        NOT NULL,
    key             text        NOT NULL,
    network         text        NOT NULL,
    connection_id   uuid        NOT NULL,
    sent_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    reference       text,
    network_post_id text,
    url             text,
    published_at    timestamptz,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX sendings_found ON work.sendings (tenant, network, network_post_id);

-- Whom a network has asked to wait, and until when: an account, or all of this installation.
CREATE TABLE work.network_pauses (
    scope text        PRIMARY KEY,
    until timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON work.credentials, work.sendings, work.network_pauses
    TO tidings_app;
