-- Keys of tokens take turns: one is published before it signs, and for a while
-- after. `active_from` is when it begins to sign (null: since it was made),
-- `retired_at` when it is withdrawn.
alter table keys add column active_from bigint;
