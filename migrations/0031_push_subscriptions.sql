-- Browsers that are told of requests by Web Push (RFC 8030). `auth` lies sealed
-- under a key of the row; a row that ends keeps neither.
create table push_subscriptions (
    id text primary key,
    person_id text not null references people (id),
    endpoint text not null,
    -- null once it has ended, so that the browser may subscribe again.
    endpoint_hash bytea unique,
    p256dh bytea not null,
    auth_sealed bytea,
    data_key bytea,
    kek_id text,
    name text not null,
    state text not null check (state in ('active', 'ended')),
    failures bigint not null,
    created_at bigint not null,
    last_used_at bigint,
    ended_at bigint,
    mac bytea not null,
    mac_key text not null
);
create index push_subscriptions_person on push_subscriptions (person_id, state, created_at);
