-- Telling a client what became of its request (CIBA Core 1.0 §10.2 ping, §10.3 push).
--
-- waiting -> due -> done | given_up. `sealed` holds the auth_req_id, the
-- client's notification token and, for push, the answer once it was made; it is
-- emptied when the row is settled.
create table client_notifications (
    approval_id text primary key references approvals (id),
    client_id text not null references clients (id),
    delivery text not null check (delivery in ('ping', 'push')),
    sealed bytea,
    data_key bytea,
    kek_id text not null,
    state text not null check (state in ('waiting', 'due', 'done', 'given_up')),
    attempts bigint not null,
    next_at bigint not null,
    detail text,
    created_at bigint not null,
    settled_at bigint
);
create index client_notifications_due on client_notifications (next_at) where state = 'due';
