-- GroupServer's tables as far as its digests read and write them, said again from what is known of them.
CREATE TABLE group_digest (
    site_id text NOT NULL,
    group_id text NOT NULL,
    sent_date timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, group_id, sent_date)
);
CREATE TABLE topic (
    topic_id text PRIMARY KEY,
    site_id text NOT NULL,
    group_id text NOT NULL,
    last_post_date timestamptz NOT NULL DEFAULT now(),
    num_posts integer NOT NULL CHECK (num_posts > 0),
    hidden timestamptz,
    sticky timestamptz
);
CREATE INDEX ON topic (group_id, site_id);
CREATE INDEX ON topic (last_post_date DESC);
CREATE TABLE topic_keywords (topic_id text PRIMARY KEY, keywords text[]);
CREATE TABLE post (
    post_id text PRIMARY KEY,
    topic_id text NOT NULL,
    site_id text NOT NULL,
    group_id text NOT NULL,
    user_id text NOT NULL,
    date timestamptz NOT NULL DEFAULT now(),
    hidden timestamptz
);
CREATE INDEX ON post (site_id, group_id);
CREATE INDEX ON post (topic_id);
CREATE INDEX ON post (date DESC);
CREATE TABLE email_setting (
    user_id text NOT NULL,
    site_id text NOT NULL DEFAULT '',
    group_id text NOT NULL DEFAULT '',
    setting text NOT NULL,
    PRIMARY KEY (user_id, site_id, group_id)
);
