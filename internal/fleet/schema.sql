-- Version 1 of the tables. Each later version is a file of its own that goes on from the one before.

CREATE TABLE senddigest.version (version int NOT NULL);
INSERT INTO senddigest.version VALUES (1);

-- The gate: who wants to start or end an attempt locks this row first. So all starts of an installation are in one order,
-- which is also the order of attempt.seq, and no two of them see the same free place.
CREATE TABLE senddigest.installation (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,                -- the digest of the site's token
    url          text NOT NULL,                       -- for people
    workers      int NOT NULL DEFAULT 2 CHECK (workers >= 1),
    rate         float8 NOT NULL DEFAULT 0 CHECK (rate >= 0), -- starts a second; 0: no limit
    burst        int NOT NULL DEFAULT 1 CHECK (burst >= 1),
    tat          timestamptz NOT NULL DEFAULT '-infinity', -- GCRA: when the next start is due
    clock        timestamptz NOT NULL DEFAULT clock_timestamp(), -- to within 1 s, how late it was at last
    paused       boolean NOT NULL DEFAULT false,      -- by an operator
    paused_until timestamptz NOT NULL DEFAULT '-infinity', -- by the site, with Retry-After
    -- The breaker. Since down_since every answer says that the site is away or fails; null: the last one did not.
    down_since   timestamptz,
    down_health  text,                                -- down or failing, of the last of these
    down_task    bigint,                              -- whose attempt was the last of these
    streak       int NOT NULL DEFAULT 0,              -- so many tasks in a row
    open         boolean NOT NULL DEFAULT false,      -- one attempt at a time starts, from probe_at on
    probe_at     timestamptz NOT NULL DEFAULT '-infinity',
    probe_pause  interval NOT NULL DEFAULT '5 s'
);

CREATE TABLE senddigest.night (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation bigint NOT NULL REFERENCES senddigest.installation ON DELETE CASCADE,
    campaign     text NOT NULL,
    day          date NOT NULL,                       -- of its start, in UTC
    number       int NOT NULL DEFAULT 1,              -- of that day
    started      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended        timestamptz,
    stopped      text,                                -- why nothing more starts; null: it does
    retries      int NOT NULL DEFAULT 0,
    throttle     interval NOT NULL DEFAULT '0',
    code         int,                                 -- exit code of the run that ended it
    summary      text,                                -- one line, for those that waited
    UNIQUE (installation, campaign, day, number)
);

CREATE TABLE senddigest.task (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    night        bigint NOT NULL REFERENCES senddigest.night ON DELETE CASCADE,
    place        int NOT NULL,                        -- in the plan, from 0
    site         text NOT NULL,
    grp          text NOT NULL,
    settle       interval NOT NULL,                   -- for so long the site may be at work on a request
    not_before   timestamptz NOT NULL DEFAULT '-infinity',
    attempts     int NOT NULL DEFAULT 0,
    counted      int NOT NULL DEFAULT 0,              -- of these, the ones that count against night.retries
    done         boolean NOT NULL DEFAULT false,
    round        int NOT NULL DEFAULT 0,              -- jobs that the queue was given for it
    job          bigint,                              -- the last of these
    UNIQUE (night, site, grp)
);
CREATE INDEX ON senddigest.task (night) WHERE NOT done;

CREATE TABLE senddigest.attempt (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task         bigint NOT NULL REFERENCES senddigest.task ON DELETE CASCADE,
    night        bigint NOT NULL REFERENCES senddigest.night ON DELETE CASCADE,
    installation bigint NOT NULL REFERENCES senddigest.installation ON DELETE CASCADE,
    campaign     text NOT NULL,
    site         text NOT NULL,
    grp          text NOT NULL,
    worker       text NOT NULL,
    number       int NOT NULL,                        -- of the task's attempts, from 1
    seq          bigint NOT NULL,                     -- grows with each change, in the order of the commits
    started      timestamptz NOT NULL DEFAULT clock_timestamp(),
    settles      timestamptz NOT NULL,                -- from then on the site is surely done with it
    holds        timestamptz NOT NULL,                -- until then it takes one of the places
    ended        timestamptz,
    took         interval,                            -- by the worker's own clock
    outcome      text,
    status       int NOT NULL DEFAULT 0,
    reason       text NOT NULL DEFAULT '',
    detail       text NOT NULL DEFAULT '',
    not_delivered boolean NOT NULL DEFAULT false,
    verdict      text,                                -- done, again, or ambiguous; null: it has not ended
    again        timestamptz                          -- of again: when
);
CREATE SEQUENCE senddigest.seq OWNED BY senddigest.attempt.seq;
-- The rule that everything follows: a group has one open attempt, ever.
CREATE UNIQUE INDEX attempt_open ON senddigest.attempt (installation, campaign, site, grp) WHERE ended IS NULL;
CREATE INDEX ON senddigest.attempt (installation, holds);
CREATE INDEX ON senddigest.attempt (night, seq);
CREATE INDEX ON senddigest.attempt (task);

CREATE TABLE senddigest.worker (
    id           text PRIMARY KEY,
    installation bigint NOT NULL REFERENCES senddigest.installation ON DELETE CASCADE,
    host         text NOT NULL,
    pid          int NOT NULL,
    started      timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A machine may be cut off from the site, or have a Zope of its own that fails, while others send.
    reached      timestamptz NOT NULL DEFAULT '-infinity', -- to within 10 s, when the site last worked for it
    failed_at    timestamptz,                         -- when it last did not
    down_task    bigint,                              -- whose attempt that was
    streak       int NOT NULL DEFAULT 0,              -- so many tasks in a row
    down_since   timestamptz,                         -- since then it is taken not to work for it; null: it is not
    doubts       int NOT NULL DEFAULT 0,              -- so many trials in a row since then, while it worked for no other worker
    retry_at     timestamptz NOT NULL DEFAULT '-infinity', -- it tries again then, while the site works for others
    retry_pause  interval NOT NULL DEFAULT '5 s'
);
