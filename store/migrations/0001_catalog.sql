-- The catalog: everything declared, decided and told. One text for SQLite and PostgreSQL, so:
--   columns are BIGINT or TEXT; instants are microseconds since the epoch, truth is 0 or 1, bodies are JSON text;
--   a row without a project or environment has '' there, so that scopes compare and index alike;
--   names sort by their bytes: "binary" is built into SQLite, and made from "C" on PostgreSQL before this runs.

CREATE TABLE organizations (
    key TEXT COLLATE "binary" PRIMARY KEY,
    seq BIGINT NOT NULL
);

-- The last number given out. Foreign protocols show and hash these numbers, and the warehouse keeps its rows under
-- them, so a counter serves the whole installation.
CREATE TABLE counters (
    name TEXT COLLATE "binary" PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE resources (
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    kind TEXT COLLATE "binary" NOT NULL,
    key TEXT COLLATE "binary" NOT NULL,
    number BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    body TEXT NOT NULL,
    archived BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organization, project, environment, kind, key),
    UNIQUE (kind, number)
);

CREATE TABLE ruleset_revisions (
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (organization, project, environment)
);

CREATE TABLE credentials (
    id TEXT COLLATE "binary" PRIMARY KEY,
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    lookup TEXT COLLATE "binary" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX credentials_by_scope ON credentials (organization, project, environment);

CREATE TABLE rollouts (
    id TEXT COLLATE "binary" PRIMARY KEY,
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    key TEXT COLLATE "binary" NOT NULL,
    status TEXT NOT NULL,
    version BIGINT NOT NULL,
    next_due_at BIGINT,
    body TEXT NOT NULL,
    UNIQUE (organization, project, environment, key)
);
CREATE INDEX rollouts_by_due ON rollouts (next_due_at) WHERE next_due_at IS NOT NULL;

-- The whole record stands in `body`, character by character: its hash is taken over it.
CREATE TABLE decisions (
    rollout TEXT COLLATE "binary" NOT NULL REFERENCES rollouts (id),
    seq BIGINT NOT NULL,
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    at BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    body TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (rollout, seq)
);

CREATE TABLE runs (
    number BIGINT PRIMARY KEY,
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX runs_by_scope ON runs (organization, project, environment, number);

CREATE TABLE changes (
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    seq BIGINT NOT NULL,
    id TEXT COLLATE "binary" NOT NULL UNIQUE,
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (organization, seq)
);

-- `idx` is the event's place among those of its change.
CREATE TABLE outbox (
    id TEXT COLLATE "binary" PRIMARY KEY,
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    environment TEXT COLLATE "binary" NOT NULL,
    change_seq BIGINT NOT NULL,
    change_id TEXT COLLATE "binary" NOT NULL,
    idx BIGINT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (change_id, idx)
);
CREATE INDEX outbox_by_seq ON outbox (organization, change_seq, idx);

-- Owned by the endpoint's project. `leased_until` is set while a claim holds the row; only the claim with the newest
-- `fence` may write an outcome. `last_response` is a JSON string: answers may hold characters that TEXT may not.
CREATE TABLE deliveries (
    id TEXT COLLATE "binary" PRIMARY KEY,
    organization TEXT COLLATE "binary" NOT NULL REFERENCES organizations (key),
    project TEXT COLLATE "binary" NOT NULL,
    endpoint_key TEXT COLLATE "binary" NOT NULL,
    endpoint_number BIGINT NOT NULL,
    event_id TEXT COLLATE "binary" NOT NULL REFERENCES outbox (id),
    change_seq BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    leased_until BIGINT,
    fence BIGINT NOT NULL,
    last_status BIGINT,
    last_response TEXT,
    UNIQUE (event_id, endpoint_number)
);
CREATE INDEX deliveries_by_due ON deliveries (due_at) WHERE status = 'pending';
CREATE INDEX deliveries_by_scope ON deliveries (organization, project, change_seq);

INSERT INTO organizations (key, seq) VALUES ('default', 0);
