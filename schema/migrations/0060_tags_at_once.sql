-- Why: GIN indexes collect new entries in a list that every search reads from end to end until a
-- vacuum sorts them in. A few thousand new events made each subscription by tags eight times as
-- slow.
-- Serves: subscriptions, counts and reconciliations by tags.

alter index relay_events_tags set (fastupdate = off);
alter index relay_events_recipients set (fastupdate = off);
