-- The key-encryption key that everything is being wrapped with anew; null when none is.
alter table deployment add column next_kek_id text;

-- A rotation finds the rows that another key wrapped without reading the others.
create index keys_kek on keys (kek_id, id);
create index connections_kek on connections (kek_id, id);
create index accounts_kek on accounts (kek_id, id);
create index revocations_kek on revocations (kek_id, id);
create index agent_tokens_kek on agent_tokens (kek_id, person_id);
create index client_notifications_kek on client_notifications (kek_id, approval_id);
create index push_subscriptions_kek on push_subscriptions (kek_id, id);
