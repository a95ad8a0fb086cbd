-- Law L3: what is append-only refuses update, delete and truncate, whoever asks. Grants keep
-- application roles out; these triggers also stop the owner's slips.
create function refuse_change() returns trigger
language plpgsql as $$
begin
  raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
    using errcode = 'restrict_violation',
          hint = 'A mistake is mended by a new row.';
end
$$;

-- Statement triggers also refuse a statement that would match no row. ALWAYS makes them fire
-- for replication roles too. Partitions do not inherit statement triggers: each gets its own.
create function guard_append_only(guarded regclass) returns void
language plpgsql as $$
begin
  execute format(
    'create trigger append_only before update or delete or truncate on %s
       for each statement execute function refuse_change()', guarded);
  execute format('alter table %s enable always trigger append_only', guarded);
end
$$;

revoke execute on function guard_append_only(regclass) from public;
