-- Rotation asks for the siblings and successors of one token, not for every
-- token that a family ever had.

create index refresh_tokens_parent on refresh_tokens (parent_hash);
