-- When each ruleset got its revision, in microseconds: streams and caches of clients compare it, so it is later with
-- every revision.
ALTER TABLE ruleset_revisions ADD COLUMN moved_at BIGINT NOT NULL DEFAULT 0;
