-- From when on a plan is in force no more, until a later version of it begins, and who decided so. The
-- sum of the highest ids here and in commission_plans is the rules' generation: workers reload when it
-- moves.
create table plan_retirements (
  id integer generated always as identity primary key,
  plan text not null,
  retired_from timestamptz not null,
  retired_at timestamptz not null default now(),
  retired_by text not null,
  reason text not null check (btrim(reason) <> ''),
  unique (plan, retired_from)
);
select guard_append_only('plan_retirements');

grant select on plan_retirements to lineage_ingest, lineage_worker, lineage_ops;
-- When it was decided is for the database's clock to say.
grant insert (plan, retired_from, retired_by, reason) on plan_retirements to lineage_ops;
