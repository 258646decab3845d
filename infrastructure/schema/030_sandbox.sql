-- The sandbox network's own store: what was published on it, by the publisher's key.
CREATE SCHEMA sandbox;
CREATE TABLE sandbox.posts (
    tenant          text        NOT NULL,
    network         text        NOT NULL,
    key             text        NOT NULL,
    network_post_id text        NOT NULL,
    text            text        NOT NULL,
    media_urls      text[]      NOT NULL,
    published_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, network, key)
);
GRANT USAGE ON SCHEMA sandbox TO tidings_app;
GRANT SELECT, INSERT, DELETE ON sandbox.posts TO tidings_app;
