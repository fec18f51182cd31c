-- Why: a table of an implementation's own.
-- Serves: notes.list of this sample.
create table notes (
    relay text primary key,
    note  text not null
);
insert into notes values ('wss://relay.example.com', 'an example');
