-- When upkeep looks at a grant of its own accord, to refresh it before it runs
-- out or lapses; null is never. Those that are here already are looked at once.

alter table provider_grants add column ahead_at bigint;
update provider_grants set ahead_at = obtained_at where refresh_sealed is not null and state <> 'reconnect';
create index provider_grants_ahead on provider_grants (ahead_at) where ahead_at is not null;
