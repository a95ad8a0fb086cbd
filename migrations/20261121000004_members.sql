create type member_status as enum ('ACTIVE', 'INACTIVE', 'SUSPENDED', 'TERMINATED');

-- Who takes part, as of now. Names and external ids live here only, where they can be erased.
create table members (
  id uuid not null,
  -- Since when status and rank, and since when the sponsor, are as they are. A sale that is not
  -- older than these of everybody in its upline needs no history; an earlier one reads it. A move
  -- writes one row here, however many stand below the moved member. What settlement reads comes
  -- first in the row, where it is found without reading past names.
  state_since timestamptz not null default '-infinity',
  sponsor_since timestamptz not null default '-infinity',
  status member_status not null,
  rank smallint not null check (rank between 0 and 255),
  joined_at timestamptz not null,
  enrolled_at timestamptz not null default now(),
  sponsor_id uuid check (sponsor_id <> id),
  external_id text unique,
  name text,
  -- Settlement reads a handful of members for every sale: from the index alone.
  primary key (id) include (state_since, sponsor_since, status, rank)
);

-- History: one row a change, never changed itself. The first row of each member holds from the
-- beginning of time, because a starter-kit order often precedes the account.
create table member_sponsors (
  member_id uuid not null,
  effective_at timestamptz not null check (effective_at < 'infinity'),
  sponsor_id uuid check (sponsor_id <> member_id),
  recorded_at timestamptz not null default now(),
  actor text not null,
  reason text not null,
  primary key (member_id, effective_at)
);
select guard_append_only('member_sponsors');

create table member_states (
  member_id uuid not null,
  effective_at timestamptz not null check (effective_at < 'infinity'),
  status member_status not null,
  rank smallint not null check (rank between 0 and 255),
  recorded_at timestamptz not null default now(),
  actor text not null,
  reason text not null,
  primary key (member_id, effective_at)
);
select guard_append_only('member_states');

-- The closure of the current tree: a row for every member and each of their ancestors, and one at
-- depth 0 for the member. The first index answers "who is above" from the index alone and forbids
-- two parents; the second answers "who is below, level by level".
create table member_tree_paths (
  ancestor_id uuid not null,
  descendant_id uuid not null,
  depth smallint not null check (depth >= 0)
);
create unique index member_tree_paths_up on member_tree_paths (descendant_id, depth) include (ancestor_id);
create index member_tree_paths_down on member_tree_paths (ancestor_id, depth, descendant_id);

-- The first import writes millions of closure rows into an empty table. Building the indexes once
-- afterwards takes a fifth of the time of keeping them up row by row (4 million rows: 6 s instead
-- of 25 s). Only for an empty table, and before there is any member but those of the transaction:
-- `begin_closure_load` says whether it is so, and then holds the table alone until the transaction
-- ends; `end_closure_load` must follow in the same transaction.
create function begin_closure_load() returns boolean
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
  return true;
end
$$;
revoke execute on function begin_closure_load() from public;

create function end_closure_load() returns void
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp set maintenance_work_mem = '256MB' as $$
begin
  create unique index member_tree_paths_up
    on public.member_tree_paths (descendant_id, depth) include (ancestor_id);
  create index member_tree_paths_down
    on public.member_tree_paths (ancestor_id, depth, descendant_id);
  -- The planner knows nothing yet of what was loaded.
  analyze public.members, public.member_sponsors, public.member_states, public.member_tree_paths;
end
$$;
revoke execute on function end_closure_load() from public;

-- A sale may name a member by an external id that nobody has yet. The id that the event carries
-- until then is kept here; enrolling the external id makes it stand for that member.
create table member_references (
  id uuid primary key,
  external_id text not null unique
);

-- Who was above a member at a moment, by the sponsor history. As exact as the closure table and
-- needed only for sales older than the last change above the member.
create function upline_as_of(of_member uuid, moment timestamptz, depth_max integer)
returns table (ancestor_id uuid, depth integer)
language sql stable as $$
  with recursive walk (ancestor_id, depth) as (
    select of_member, 0
    union all
    select (select s.sponsor_id
              from member_sponsors s
             where s.member_id = walk.ancestor_id and s.effective_at <= moment
             order by s.effective_at desc
             limit 1),
           walk.depth + 1
      from walk
     where walk.ancestor_id is not null and walk.depth < depth_max
  )
  select walk.ancestor_id, walk.depth
    from walk
   where walk.ancestor_id is not null and walk.depth > 0
$$;
