-- Why: what the public faces may see of the notes.
-- Serves: notes.list of this sample.
create view public_notes as select relay, note from notes;
grant select on public_notes to readonly_public;
