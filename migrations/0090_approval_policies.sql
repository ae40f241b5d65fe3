-- Policies: all of them in one row under one MAC, with a number that only grows,
-- so that one taken out by another hand is missed. What was in force when an
-- approval was asked for is fixed in its row.

create table approval_policies (
    id text primary key check (id = 'set'),
    version bigint not null,
    policies text not null,
    updated_at bigint not null,
    mac bytea not null,
    mac_key text not null
);
alter table approvals add column in_force text;
