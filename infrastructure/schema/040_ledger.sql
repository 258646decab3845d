-- The ledger: an RFC 6962 tree over the rows of log.events, in the order of their positions.
-- What is sealed may be added to and never changed; the rows belong to the migrating role.

CREATE SCHEMA ledger;

-- Who this log is, for as long as it exists: the origin of its checkpoints.
CREATE TABLE ledger.identity (
    origin text     NOT NULL,
    single boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (single)
);
INSERT INTO ledger.identity (origin) VALUES ('tidings/ledger/' || gen_random_uuid());

-- One row per batch: the leaves since + 1 .. size, and the signed head of the tree of `size`.
-- Each continues where another ended, and none twice: `since` and `size` are both unique.
CREATE TABLE ledger.seals (
    size      bigint      NOT NULL PRIMARY KEY,
    since     bigint      NOT NULL UNIQUE CHECK (since < size),
    leaves    bytea       NOT NULL CHECK (octet_length(leaves) = 32 * (size - since)),
    root      bytea       NOT NULL CHECK (octet_length(root) = 32),
    signature bytea       NOT NULL,  -- of the checkpoint: four bytes of key id, then Ed25519
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Digests do not compress, and proofs read slices of them.
ALTER TABLE ledger.seals ALTER COLUMN leaves SET STORAGE EXTERNAL;

-- Roots of whole subtrees of 256^level leaves, so that a proof reads a bounded number of rows.
CREATE TABLE ledger.subtrees (
    level  int    NOT NULL,
    number bigint NOT NULL,
    root   bytea  NOT NULL,
    PRIMARY KEY (level, number)
);

GRANT USAGE ON SCHEMA ledger TO tidings_app;
GRANT SELECT ON ledger.identity TO tidings_app;
GRANT SELECT, INSERT ON ledger.seals, ledger.subtrees TO tidings_app;
