-- Who was directly below whom, at any moment: the tree as it stood is walked downwards by this.
create index member_sponsors_sponsor on member_sponsors (sponsor_id, member_id);

-- Every move and every change of status or rank that somebody asked for, refused ones too: an
-- attempt to put a member below their own downline is worth knowing about. The history tables say
-- what held when; this says who did it, for whom, and what it replaced. `verify` compares the two.
create table member_changes (
  id bigint generated always as identity primary key,
  recorded_at timestamptz not null default now(),
  kind text not null check (kind in ('MOVE', 'STATE')),
  member_id uuid not null,
  -- Null: the change was refused before a moment was decided.
  effective_at timestamptz check (effective_at < 'infinity'),
  -- Null: applied. Otherwise the cause by its name, such as own_descendant.
  refusal text,
  old_sponsor_id uuid,
  new_sponsor_id uuid,
  -- The moved member and everybody below, when it was recorded.
  subtree_size integer,
  old_status member_status,
  new_status member_status,
  old_rank smallint,
  new_rank smallint,
  -- The API key (`key:…`) or database login (`role:…`), and the person that it acted for.
  actor text not null,
  on_behalf_of text,
  reason text not null,
  check (refusal is not null or effective_at is not null)
);
select guard_append_only('member_changes');
create index member_changes_member on member_changes (member_id);
-- Whether anybody has moved since a moment: if not, the present tree answers for it. (On
-- member_sponsors, the planner would take such an index for questions about one member.)
create index member_changes_moved on member_changes (effective_at)
  where kind = 'MOVE' and refusal is null;

-- Who was below a member at a moment, by the sponsor history, `levels_max` levels down: all of them,
-- whatever the caller takes of it.
create function downline_as_of(of_member uuid, moment timestamptz, levels_max integer)
returns table (member_id uuid, depth integer)
language sql stable as $$
  with recursive walk (member_id, depth) as (
    select of_member, 0
    union all
    select below.member_id, walk.depth + 1
      from walk
     cross join lateral (
           select h.member_id
             from member_sponsors h
            where h.sponsor_id = walk.member_id and h.effective_at <= moment
              and not exists (select from member_sponsors later
                               where later.member_id = h.member_id
                                 and later.effective_at > h.effective_at
                                 and later.effective_at <= moment)
           offset 0) below
     where walk.depth < levels_max
  )
  select walk.member_id, walk.depth from walk where walk.depth > 0
$$;

-- Both the API and operators change history. What is append-only stays so; `members` and the
-- closure hold the present state only, which `verify` compares with the history.
grant select on member_changes to lineage_ingest, lineage_ops;
grant insert (kind, member_id, effective_at, refusal, old_sponsor_id, new_sponsor_id, subtree_size,
  old_status, new_status, old_rank, new_rank, actor, on_behalf_of, reason) on member_changes
  to lineage_ingest, lineage_ops;
grant update (sponsor_id, sponsor_since, status, rank, state_since) on members
  to lineage_ingest, lineage_ops;
grant delete on member_tree_paths to lineage_ingest, lineage_ops;
