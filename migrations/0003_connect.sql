-- Linking an account at a client's request (`/me/v1/connected-accounts`).
--
-- asked -> taken (the person opened the ticket's page and went on) ->
-- answered (the browser goes back with a code) -> completed, or refused.
create table connect_requests (
    id text primary key,
    session_hash bytea not null unique,
    ticket_hash bytea not null unique,
    code_hash bytea unique,
    client_id text not null references clients (id),
    person_id text not null references people (id),
    connection_id text not null references connections (id),
    redirect_uri text not null,
    state_param text,
    code_challenge text,
    browser_hash bytea,
    account_id text references accounts (id),
    state text not null check (state in ('asked', 'taken', 'answered', 'completed', 'refused')),
    created_at bigint not null,
    expires_at bigint not null
);
create index connect_requests_expiry on connect_requests (expires_at);
