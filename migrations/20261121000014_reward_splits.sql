-- How members share direct rewards with the members whom they sponsor, separately for money and
-- career points: one row a change, never changed itself. Who has no row keeps everything, from the
-- beginning of time. A split is the member's own: it stays when they or those below them move.
create table member_reward_splits (
  member_id uuid not null,
  effective_at timestamptz not null check (effective_at > '-infinity' and effective_at < 'infinity'),
  -- What the member keeps; the rest goes to the seller.
  money_to_self numeric(7,4) not null check (money_to_self between 0 and 100),
  points_to_self numeric(7,4) not null check (points_to_self between 0 and 100),
  recorded_at timestamptz not null default now(),
  actor text not null,
  on_behalf_of text,
  reason text not null,
  primary key (member_id, effective_at)
);
select guard_append_only('member_reward_splits');

-- The record of changes tells of splits too. What is asked for leaves a part out where it stays.
alter table member_changes
  drop constraint member_changes_kind_check,
  add constraint member_changes_kind_check check (kind in ('MOVE', 'STATE', 'SPLIT')),
  add column old_money_to_self numeric(7,4),
  add column new_money_to_self numeric(7,4),
  add column old_points_to_self numeric(7,4),
  add column new_points_to_self numeric(7,4);

grant select on member_reward_splits to lineage_ingest, lineage_worker, lineage_ops;
-- When something was recorded is for PostgreSQL's clock to say.
grant insert (member_id, effective_at, money_to_self, points_to_self, actor, on_behalf_of, reason)
  on member_reward_splits to lineage_ingest, lineage_ops;
grant insert (old_money_to_self, new_money_to_self, old_points_to_self, new_points_to_self)
  on member_changes to lineage_ingest, lineage_ops;
