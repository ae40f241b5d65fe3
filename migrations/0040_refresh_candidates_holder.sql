-- Who stored an answer: whoever finds and chooses it lets go of that holder's
-- lease, and of nobody else's who asks meanwhile.

alter table refresh_candidates add column holder text;
