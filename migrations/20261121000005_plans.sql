-- Every version of every plan that was ever applied. `rule_set` is the compiled content; its
-- SHA-256 is the version's identity. The highest id is the rules' generation: workers reload when
-- it moves.
create table commission_plans (
  id integer generated always as identity primary key,
  plan text not null,
  version text not null,
  name text not null,
  source_types text[] not null,
  valid_from timestamptz not null,
  rule_set text not null,
  rule_set_hash bytea not null unique check (rule_set_hash = sha256(convert_to(rule_set, 'UTF8'))),
  file_hash bytea not null,
  applied_at timestamptz not null default now(),
  applied_by text not null,
  reason text not null,
  unique (plan, valid_from)
);
select guard_append_only('commission_plans');

-- The rules of each version under the numbers that ledger lines carry, with their parts readable
-- for auditors. The content of `rule_set` is what is computed by.
create table commission_rules (
  id integer generated always as identity primary key,
  plan_id integer not null references commission_plans (id),
  place smallint not null,
  rule text not null,
  component text not null,
  name text not null,
  valid_from timestamptz not null,
  valid_to timestamptz,
  priority integer not null,
  condition jsonb,
  calculation jsonb not null,
  unique (plan_id, place)
);
select guard_append_only('commission_rules');
