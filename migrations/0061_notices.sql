-- What a person's browsers are told of their requests (RFC 8030): one row for each
-- browser, `asked` with the request and `ended` with its end. due -> done | given_up.
create table notices (
    id text primary key,
    approval_id text not null references approvals (id),
    subscription_id text not null references push_subscriptions (id),
    kind text not null check (kind in ('asked', 'ended')),
    state text not null check (state in ('due', 'done', 'given_up')),
    attempts bigint not null,
    next_at bigint not null,
    detail text,
    created_at bigint not null,
    settled_at bigint
);
create index notices_due on notices (next_at) where state = 'due';
create index notices_approval on notices (approval_id);
create index notices_subscription on notices (subscription_id);
create index notices_settled on notices (settled_at) where state <> 'due';
create index push_subscriptions_ended on push_subscriptions (ended_at) where state = 'ended';
