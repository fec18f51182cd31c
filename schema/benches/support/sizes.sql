-- Bytes per table with its indexes and TOAST, partitions with their table, largest first.
select name, sum(bytes)::bigint from (
    select regexp_replace(c.relname, '_(m\d+|rest)$', '') as name,
        pg_total_relation_size(c.oid) as bytes
    from pg_class c
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
) tables group by name order by 2 desc
