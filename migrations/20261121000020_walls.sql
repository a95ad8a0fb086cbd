-- Walls between the binaries' roles that were still missing. The statements that they stop are in
-- crates/store/tests/store/attacker.rs.

-- Temporary tables are searched before all others: one with the name of ours would stand in its place
-- for the session that made it. Nothing in the product makes any. (Before version 15, PostgreSQL also
-- let everybody create in the schema public.)
do $$
begin
  execute format('revoke temporary, create on database %I from public', current_database());
end
$$;
revoke create on schema public from public;

-- When a row was written, in which transaction and under which number is for PostgreSQL to say, not
-- for who writes it: an outcome that claims an older transaction would never show in the feed.
revoke insert on commission_outcomes, commission_ledger from lineage_worker;
grant insert (event_id, plan_id, semantics, lines, breakage, inputs) on commission_outcomes
  to lineage_worker;
grant insert (event_id, member_id, earned_period, posted_period, rule_id, entry_type, line, level,
  depth, currency, amount, career_points) on commission_ledger to lineage_worker;
revoke insert on members from lineage_ingest, lineage_ops;
grant insert (id, external_id, name, sponsor_id, status, rank, joined_at) on members
  to lineage_ingest, lineage_ops;
revoke insert on commission_plans, commission_rules from lineage_ops;
grant insert (plan, version, name, source_types, valid_from, rule_set, rule_set_hash, file_hash,
  applied_by, reason) on commission_plans to lineage_ops;
grant insert (plan_id, place, rule, component, name, valid_from, valid_to, priority, condition,
  calculation) on commission_rules to lineage_ops;
-- Every column of a key but when and by whom it was made.
revoke insert on api_keys from lineage_ops;
do $$
declare
  columns text;
begin
  select string_agg(format('%I', attname), ', ' order by attnum) into columns
    from pg_attribute
   where attrelid = 'api_keys'::regclass and attnum > 0 and not attisdropped
     and attname not in ('created_at', 'created_by');
  execute format('grant insert (%s) on api_keys to lineage_ops', columns);
end
$$;

-- Whose session wrote history, the record of changes, plans and retirements. The actor is what the
-- program says, the login what PostgreSQL says; a command line acts for its own login and for no
-- other. Rows from before have none. Nobody is granted the column, so nobody can pose as another.
do $$
declare
  kept text;
  who text;
begin
  foreach kept in array array['member_sponsors', 'member_states', 'member_reward_splits',
                              'member_changes', 'commission_plans', 'plan_retirements'] loop
    who := case kept when 'commission_plans' then 'applied_by'
                     when 'plan_retirements' then 'retired_by'
                     else 'actor' end;
    execute format('alter table %I add column login text', kept);
    execute format('alter table %I alter column login set default session_user', kept);
    execute format(
      'alter table %I add constraint %I check (%I not like ''role:%%'' or login is null or %I = ''role:'' || login)',
      kept, kept || '_login', who, who);
  end loop;
end
$$;

-- Who begins to load the closure takes its indexes away; who does not end it must not commit. A row
-- stands for the load while it lasts, and its trigger looks when the transaction commits.
create table closure_loads (begun_at timestamptz not null default now());

create function refuse_half_a_closure_load() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if to_regclass('public.member_tree_paths_up') is null
     or to_regclass('public.member_tree_paths_down') is null then
    raise exception 'a load of the closure table was begun and not ended'
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Call end_closure_load() in the same transaction.';
  end if;
  return null;
end
$$;
create constraint trigger ended after insert on closure_loads
  deferrable initially deferred for each row execute function refuse_half_a_closure_load();

create or replace function begin_closure_load() returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  -- Of two first imports, one waits here until the other has committed. Reading the table first
  -- would let both hold it, and neither get it alone.
  perform pg_advisory_xact_lock(hashtextextended('lineage:closure-load', 0));
  if exists (select from public.member_tree_paths)
     or exists (select from public.members
                 where xmin::text::bigint <> pg_current_xact_id()::text::bigint % 4294967296) then
    return false;
  end if;
  begin
    lock table public.member_tree_paths in access exclusive mode;
    -- Somebody may have been enrolled while this waited. Raising gives the lock back at once.
    if exists (select from public.member_tree_paths) then
      raise exception using errcode = 'object_in_use';
    end if;
  exception when object_in_use then
    return false;
  end;
  drop index public.member_tree_paths_up;
  drop index public.member_tree_paths_down;
  -- Last, because who sets constraints immediate is looked at here and never again.
  insert into public.closure_loads default values;
  return true;
end
$$;

create or replace function end_closure_load() returns void
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp set maintenance_work_mem = '256MB' as $$
begin
  create unique index member_tree_paths_up
    on public.member_tree_paths (descendant_id, depth) include (ancestor_id);
  create index member_tree_paths_down
    on public.member_tree_paths (ancestor_id, depth, descendant_id);
  delete from public.closure_loads;
  -- The planner knows nothing yet of what was loaded.
  analyze public.members, public.member_sponsors, public.member_states, public.member_tree_paths;
end
$$;

-- Only ingest checks keys, so only it speaks for them. (Roles that hold its rights may: the owner does.)
do $$
declare
  kept text;
  who text;
begin
  foreach kept in array array['member_sponsors', 'member_states', 'member_reward_splits',
                              'member_changes', 'commission_plans', 'plan_retirements',
                              'operator_actions'] loop
    who := case kept when 'commission_plans' then 'applied_by'
                     when 'plan_retirements' then 'retired_by'
                     else 'actor' end;
    execute format(
      'alter table %I add constraint %I check (%I not like ''key:%%'' or pg_has_role(current_user, ''lineage_ingest'', ''usage''))',
      kept, kept || '_key', who);
  end loop;
end
$$;

-- Calendar and ladder say what stored periods and ranks mean. What the commands refuse is refused to
-- everybody: the calendar changes before the first event only, and once a member or a plan relies on
-- the ladder, ranks are only added on top. Both triggers take the lock that the commands take (see
-- crates/store/src/locks.rs), so that a change left uncommitted cannot take effect over what was
-- recorded or settled meanwhile, and look afterwards. A transaction that sees the past would look in
-- vain.
create function refuse_to_judge_by_the_past() returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception 'calendar and ladder are changed in read committed transactions only'
      using errcode = 'restrict_violation';
  end if;
end
$$;

create function keep_calendar() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op <> 'UPDATE' then
    raise exception 'the programme is one row: % refused', lower(tg_op)
      using errcode = 'restrict_violation', hint = 'Change it by lineage program set.';
  end if;
  perform refuse_to_judge_by_the_past();
  perform pg_advisory_xact_lock(119200079478787);
  if (new.time_zone, new.period, new.starts_on)
     is distinct from (old.time_zone, old.period, old.starts_on)
     and exists (select from events) then
    raise exception 'there are events whose periods were computed by the programme as it is'
      using errcode = 'restrict_violation';
  end if;
  new.set_at := now();
  return new;
end
$$;
create trigger keep_calendar before update or delete on programme
  for each row execute function keep_calendar();
alter table programme enable always trigger keep_calendar;
create trigger keep_calendar_row before truncate on programme
  for each statement execute function keep_calendar();
alter table programme enable always trigger keep_calendar_row;

create function keep_ladder() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  perform refuse_to_judge_by_the_past();
  perform pg_advisory_xact_lock(119200079478786);
  if tg_op <> 'INSERT'
     and (exists (select from members) or exists (select from commission_plans)) then
    raise exception 'members or plans rely on the ranks: % refused', lower(tg_op)
      using errcode = 'restrict_violation', hint = 'Ranks can be added on top.';
  end if;
  return null;
end
$$;
create trigger keep_ladder before insert or update or delete or truncate on ranks
  for each statement execute function keep_ladder();
alter table ranks enable always trigger keep_ladder;

-- Places are counted from 0 without a gap, because ranks are read in their order: with a gap, a rank
-- put into it later would move all above it.
create function refuse_gaps_in_ladder() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if (select count(*) <> coalesce(max(place) + 1, 0) from ranks) then
    raise exception 'the ranks'' places have a gap: a rank is added on top, at the next place'
      using errcode = 'check_violation';
  end if;
  return null;
end
$$;
create trigger refuse_gaps_in_ladder after insert or update or delete on ranks
  for each statement execute function refuse_gaps_in_ladder();
alter table ranks enable always trigger refuse_gaps_in_ladder;
