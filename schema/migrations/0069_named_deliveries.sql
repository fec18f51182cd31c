-- Why: which relays get an answer too is for strangers to say, and they may name relays that take
-- nothing. Those must not keep answers from the relays that requests came from, which the operator
-- has chosen.
-- Serves: the data vending machine (Store::claim_deliveries, insert_job, finish_job).

alter table dvm_deliveries add column named boolean not null default false;
comment on column dvm_deliveries.named is 'the customer named this relay; else the operator did';
create index dvm_deliveries_turn on dvm_deliveries (named, due_at);
drop index dvm_deliveries_due;
