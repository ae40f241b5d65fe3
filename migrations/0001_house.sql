-- The first migration. What cannot be added later without tearing down is here
-- from the first day: key ids and MAC columns, the deployment id, salted
-- commitments beside audit leaves, decisions apart from approvals, and the
-- intent and candidate rows of a refresh.
--
-- One text for SQLite and PostgreSQL: only text, bigint, boolean and bytea.
-- Times are Unix milliseconds, ids text, JSON text.

create table deployment (
    id text primary key check (id = 'self'),
    deployment_id text not null,
    kek_id text not null,
    adopted_at bigint not null,
    created_at bigint not null
);

-- Keys for hashing, MACs, cookies, signatures and the audit log: random,
-- wrapped by the key-encryption key (not derived from it).
create table keys (
    id text primary key,
    purpose text not null,
    alg text not null,
    wrapped bytea not null,
    kek_id text not null,
    public_jwk text,
    state text not null check (state in ('active', 'retiring', 'retired')),
    created_at bigint not null,
    retired_at bigint
);
create index keys_purpose on keys (purpose, state);

-- identity ------------------------------------------------------------------

create table people (
    id text primary key,
    email text not null unique,
    name text not null,
    password_hash text,
    role text not null check (role in ('person', 'admin')),
    state text not null check (state in ('active', 'locked')),
    locale text,
    created_at bigint not null,
    updated_at bigint not null,
    mac bytea,
    mac_key text
);

create table sessions (
    id_hash bytea primary key,
    person_id text references people (id),
    data text not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index sessions_person on sessions (person_id);
create index sessions_expiry on sessions (expires_at);

-- oauth ---------------------------------------------------------------------

create table clients (
    id text primary key,
    name text not null,
    kind text not null check (kind in ('confidential', 'public')),
    secret_hash bytea,
    redirect_uris text not null,
    grant_types text not null,
    scopes text not null,
    audiences text not null,
    resource_audience text unique,
    rotate_refresh boolean not null,
    access_mode text not null check (access_mode in ('none', 'call', 'release')),
    embedded boolean not null,
    source text not null check (source in ('config', 'admin', 'command', 'demo', 'registration')),
    state text not null check (state in ('active', 'frozen')),
    metadata text not null,
    created_at bigint not null,
    updated_at bigint not null,
    mac bytea,
    mac_key text
);

create table consents (
    id text primary key,
    person_id text not null references people (id),
    client_id text not null references clients (id),
    scopes text not null,
    details text not null,
    created_at bigint not null,
    updated_at bigint not null,
    revoked_at bigint,
    unique (person_id, client_id)
);

-- All tokens that came from one authorization; revoking it ends them together.
create table token_families (
    id text primary key,
    client_id text not null references clients (id),
    person_id text references people (id),
    approval_id text,
    scopes text not null,
    audience text not null,
    auth_time bigint,
    created_at bigint not null,
    idle_expires_at bigint not null,
    expires_at bigint not null,
    last_used_at bigint,
    revoked_at bigint,
    revoked_reason text
);
create index token_families_person on token_families (person_id);
create index token_families_client on token_families (client_id);

create table authorization_codes (
    code_hash bytea primary key,
    client_id text not null references clients (id),
    person_id text not null references people (id),
    family_id text not null,
    redirect_uri text not null,
    scopes text not null,
    audience text not null,
    details text not null,
    nonce text,
    code_challenge text not null,
    auth_time bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint
);
create index authorization_codes_expiry on authorization_codes (expires_at);

create table refresh_tokens (
    token_hash bytea primary key,
    family_id text not null references token_families (id),
    parent_hash bytea,
    state text not null check (state in ('active', 'rotated', 'revoked')),
    created_at bigint not null,
    rotated_at bigint
);
create index refresh_tokens_family on refresh_tokens (family_id);

-- vault ---------------------------------------------------------------------

create table connections (
    id text primary key,
    provider text not null,
    client_id text not null,
    secret_sealed bytea not null,
    data_key bytea not null,
    kek_id text not null,
    scopes text not null,
    overrides text not null,
    origins_digest text not null,
    source text not null check (source in ('config', 'admin', 'demo')),
    state text not null check (state in ('active', 'invalid_client', 'disabled')),
    created_at bigint not null,
    updated_at bigint not null,
    mac bytea,
    mac_key text
);

-- One person's link to one connection. Lives on as `unlinked`, so that the
-- story in the audit log keeps its subject; its data key is gone by then.
create table accounts (
    id text primary key,
    person_id text not null references people (id),
    connection_id text not null references connections (id),
    tenant text not null,
    subject text not null,
    label text not null,
    scopes text not null,
    api_base text,
    state text not null check (state in ('linked', 'reconnect', 'unlinked')),
    state_reason text,
    is_default boolean not null,
    data_key bytea,
    kek_id text,
    created_at bigint not null,
    updated_at bigint not null,
    last_used_at bigint,
    unlinked_at bigint
);
create unique index accounts_identity on accounts (person_id, connection_id, tenant, subject) where state <> 'unlinked';
create index accounts_person on accounts (person_id, connection_id);

create table provider_grants (
    account_id text not null references accounts (id),
    token_kind text not null check (token_kind in ('user', 'bot')),
    lock_key text not null,
    epoch bigint not null,
    state text not null check (state in ('fresh', 'leased', 'unknown', 'reconnect')),
    scopes text not null,
    access_sealed bytea,
    access_expires_at bigint,
    refresh_sealed bytea,
    refresh_hash bytea,
    obtained_at bigint not null,
    updated_at bigint not null,
    primary key (account_id, token_kind)
);

-- The lock is on what the provider locks: connection, tenant, subject, kind.
create table refresh_leases (
    lock_key text primary key,
    holder text not null,
    counter bigint not null,
    deadline bigint not null,
    released boolean not null
);

create table refresh_intents (
    id text primary key,
    account_id text not null references accounts (id),
    token_kind text not null,
    epoch bigint not null,
    parent_hash bytea not null,
    holder text not null,
    started_at bigint not null,
    outcome text check (outcome in ('stored', 'refused', 'not_sent', 'unknown')),
    detail text,
    finished_at bigint
);
create index refresh_intents_open on refresh_intents (account_id, token_kind, epoch);

-- Every successful provider answer is sealed here before anything else.
create table refresh_candidates (
    id text primary key,
    account_id text not null references accounts (id),
    token_kind text not null,
    epoch bigint not null,
    parent_hash bytea not null,
    sealed bytea not null,
    created_at bigint not null,
    chosen_at bigint,
    unique (account_id, token_kind, epoch, parent_hash)
);

create table revocations (
    id text primary key,
    account_id text not null references accounts (id),
    sealed bytea not null,
    data_key bytea not null,
    kek_id text not null,
    state text not null check (state in ('queued', 'done', 'cancelled', 'given_up')),
    attempts bigint not null,
    next_at bigint not null,
    detail text,
    created_at bigint not null
);
create index revocations_due on revocations (state, next_at);

create table link_attempts (
    state_hash bytea primary key,
    person_id text not null references people (id),
    session_hash bytea not null,
    connection_id text not null references connections (id),
    verifier_sealed bytea not null,
    scopes text not null,
    client_id text references clients (id),
    access_mode text check (access_mode in ('call', 'release')),
    return_to text not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint
);
create index link_attempts_expiry on link_attempts (expires_at);

-- What a person lets one client do with one account.
create table permissions (
    id text primary key,
    person_id text not null references people (id),
    client_id text not null references clients (id),
    account_id text not null references accounts (id),
    access_mode text not null check (access_mode in ('call', 'release')),
    scopes text,
    calls text,
    state text not null check (state in ('active', 'paused', 'revoked')),
    granted_at bigint not null,
    updated_at bigint not null,
    revoked_at bigint,
    mac bytea,
    mac_key text,
    unique (client_id, account_id)
);
create index permissions_person on permissions (person_id);
create index permissions_account on permissions (account_id);

-- approvals -----------------------------------------------------------------

create table approvals (
    id text primary key,
    auth_req_hash bytea not null unique,
    client_id text not null references clients (id),
    person_id text not null references people (id),
    account_id text references accounts (id),
    run_id text,
    scopes text not null,
    audience text not null,
    details text not null,
    details_type text,
    exact_call text,
    call_digest bytea,
    shown text not null,
    binding_message text,
    nonce bytea not null,
    delivery text not null check (delivery in ('poll', 'ping', 'push')),
    state text not null check (state in ('pending', 'approved', 'denied', 'expired', 'cancelled', 'consumed')),
    state_reason text,
    interval_seconds bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    decided_at bigint,
    consumed_at bigint,
    mac bytea,
    mac_key text
);
create index approvals_person on approvals (person_id, state, created_at);
create index approvals_client on approvals (client_id, state, created_at);
create index approvals_expiry on approvals (state, expires_at);

create table decisions (
    id text primary key,
    approval_id text not null references approvals (id),
    person_id text not null references people (id),
    decision text not null check (decision in ('approve', 'deny')),
    channel text not null,
    evidence text,
    address text,
    user_agent text,
    decided_at bigint not null,
    mac bytea,
    mac_key text,
    unique (approval_id, person_id)
);

-- One row at most an approval: written before the first byte is sent.
create table approved_calls (
    approval_id text primary key references approvals (id),
    state text not null check (state in ('sending', 'done', 'failed', 'unknown')),
    started_at bigint not null,
    finished_at bigint,
    status bigint,
    reason text,
    response_digest bytea
);
create index approved_calls_open on approved_calls (started_at) where state = 'sending';

-- agent ---------------------------------------------------------------------

create table agent_tokens (
    person_id text primary key references people (id),
    client_id text not null references clients (id),
    data_key bytea not null,
    kek_id text not null,
    refresh_sealed bytea not null,
    updated_at bigint not null
);

create table agent_consents (
    state_hash bytea primary key,
    person_id text not null references people (id),
    session_hash bytea not null,
    verifier_sealed bytea not null,
    run_id text,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint
);

create table runs (
    id text primary key,
    person_id text not null references people (id),
    prompt text not null,
    plan text not null,
    state text not null check (state in ('running', 'waiting_consent', 'waiting_account', 'waiting_permission', 'waiting_approval', 'done', 'denied', 'expired', 'failed', 'cancelled')),
    waiting_for text,
    answer text,
    holder text,
    lease_until bigint,
    created_at bigint not null,
    updated_at bigint not null,
    finished_at bigint
);
create index runs_person on runs (person_id, created_at);
create index runs_state on runs (state, updated_at);

create table steps (
    run_id text not null references runs (id),
    position bigint not null,
    tool text not null,
    input text not null,
    state text not null check (state in ('running', 'waiting', 'done', 'failed', 'unknown')),
    output text,
    approval_id text,
    auth_req_sealed bytea,
    started_at bigint not null,
    finished_at bigint,
    primary key (run_id, position)
);

-- audit ---------------------------------------------------------------------

-- Inserted in the same write as the thing itself, without an index; the
-- sequencer numbers them. `leaf` is the canonical text that the tree covers.
create table events (
    id text primary key,
    at bigint not null,
    kind text not null,
    person_id text,
    client_id text,
    account_id text,
    approval_id text,
    run_id text,
    leaf bytea not null,
    leaf_hash bytea not null,
    leaf_index bigint unique
);
create index events_unsequenced on events (at, id) where leaf_index is null;
create index events_person on events (person_id, at);
create index events_kind on events (kind, at);
create index events_at on events (at, id);
create index events_client on events (client_id, at);

-- Openings of the salted commitments in leaves: personal data, erasable.
create table event_openings (
    event_id text not null references events (id),
    field text not null,
    salt bytea not null,
    value text not null,
    primary key (event_id, field)
);

create table audit_tree (
    id text primary key check (id = 'log'),
    size bigint not null,
    frontier text not null,
    updated_at bigint not null
);

create table audit_checkpoints (
    size bigint primary key,
    root bytea not null,
    note text not null,
    created_at bigint not null
);
