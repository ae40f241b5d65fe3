-- Other ways than a browser in which a person is told: mail to their address, a
-- webhook of their own. `rank` is the order in which they are tried.
create table notice_channels (
    id text primary key,
    person_id text not null references people (id),
    kind text not null check (kind in ('mail', 'webhook')),
    target text not null,
    rank bigint not null,
    state text not null check (state in ('active', 'ended')),
    created_at bigint not null,
    ended_at bigint,
    mac bytea not null,
    mac_key text not null
);
create index notice_channels_person on notice_channels (person_id, rank) where state = 'active';
create index notice_channels_ended on notice_channels (ended_at) where state = 'ended';

-- What goes out by them. Of a request the first channel is tried; the others wait
-- and are spared once one has taken it. due | waiting -> done | given_up | spared.
create table channel_notices (
    id text primary key,
    approval_id text references approvals (id),
    channel_id text not null references notice_channels (id),
    kind text not null check (kind in ('asked', 'ended', 'device', 'test')),
    state text not null check (state in ('due', 'waiting', 'done', 'given_up', 'spared')),
    rank bigint not null,
    attempts bigint not null,
    next_at bigint not null,
    detail text,
    created_at bigint not null,
    settled_at bigint
);
create index channel_notices_due on channel_notices (next_at) where state = 'due';
create index channel_notices_approval on channel_notices (approval_id);
create index channel_notices_channel on channel_notices (channel_id, created_at);
create index channel_notices_settled on channel_notices (settled_at) where state not in ('due', 'waiting');
