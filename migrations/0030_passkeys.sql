-- Passkeys (W3C Web Authentication Level 3): the keys people sign in and decide with.
create table passkeys (
    id text primary key,
    person_id text not null references people (id),
    credential_id bytea not null unique,
    public_key bytea not null,
    alg text not null check (alg in ('ES256', 'EdDSA', 'RS256')),
    sign_count bigint not null,
    transports text not null,
    device_bound boolean not null,
    backed_up boolean not null,
    name text not null,
    state text not null check (state in ('active', 'revoked')),
    -- `sign-in`, `passkey:ID` or `recovery:ID`: what let it be added.
    vouched_by text not null,
    hold_until bigint,
    created_at bigint not null,
    last_used_at bigint,
    revoked_at bigint,
    mac bytea not null,
    mac_key text not null
);
create index passkeys_person on passkeys (person_id, created_at);

-- What was asked of an authenticator, answered once.
create table webauthn_challenges (
    challenge_hash bytea primary key,
    purpose text not null check (purpose in ('register', 'sign-in', 'vouch')),
    person_id text references people (id),
    session_hash bytea not null,
    vouched_by text,
    created_at bigint not null,
    expires_at bigint not null,
    mac bytea not null,
    mac_key text not null
);
create index webauthn_challenges_expiry on webauthn_challenges (expires_at);

create table recovery_codes (
    id text primary key,
    person_id text not null references people (id),
    code_hash bytea not null unique,
    created_at bigint not null,
    used_at bigint,
    mac bytea not null,
    mac_key text not null
);
create index recovery_codes_person on recovery_codes (person_id);
