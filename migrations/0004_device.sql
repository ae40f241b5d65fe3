-- The device grant (RFC 8628): a device asks, a person elsewhere answers.
--
-- asked -> allowed -> used, or asked -> denied.
create table device_requests (
    device_hash bytea primary key,
    user_hash bytea not null unique,
    client_id text not null references clients (id),
    scopes text not null,
    audience text not null,
    state text not null check (state in ('asked', 'allowed', 'denied', 'used')),
    person_id text references people (id),
    auth_time bigint,
    family_id text not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index device_requests_expiry on device_requests (expires_at);
