-- Notices that are about no request: `device`, when a recovery code gave one. The
-- table is made anew, since a column cannot stop being `not null` in SQLite.
create table notices_anew (
    id text primary key,
    approval_id text references approvals (id),
    subscription_id text not null references push_subscriptions (id),
    kind text not null check (kind in ('asked', 'ended', 'device')),
    state text not null check (state in ('due', 'done', 'given_up')),
    attempts bigint not null,
    next_at bigint not null,
    detail text,
    created_at bigint not null,
    settled_at bigint
);
insert into notices_anew (id, approval_id, subscription_id, kind, state, attempts, next_at, detail, created_at, settled_at)
    select id, approval_id, subscription_id, kind, state, attempts, next_at, detail, created_at, settled_at from notices;
drop table notices;
alter table notices_anew rename to notices;
create index notices_due on notices (next_at) where state = 'due';
create index notices_approval on notices (approval_id);
create index notices_subscription on notices (subscription_id);
create index notices_settled on notices (settled_at) where state <> 'due';
