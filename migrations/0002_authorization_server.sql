-- The authorization server, complete: pushed requests, ids that work once,
-- tokens bound to a key, registration by clients themselves.

-- `jti` of assertions and proofs, until the token they came in has run out.
create table used_jtis (
    jti_hash bytea primary key,
    expires_at bigint not null
);
create index used_jtis_expiry on used_jtis (expires_at);

-- Authorization requests that were pushed (RFC 9126).
create table pushed_requests (
    uri_hash bytea primary key,
    client_id text not null references clients (id),
    params text not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index pushed_requests_expiry on pushed_requests (expires_at);

-- The thumbprint of the key that tokens are bound to (RFC 9449 §6).
alter table authorization_codes add column dpop_jkt text;
alter table token_families add column dpop_jkt text;

-- The token with which a client manages its own registration (RFC 7592).
alter table clients add column registration_hash bytea;

-- When the metadata document of a client was fetched, where its id is the
-- document's address.
alter table clients add column fetched_at bigint;
