-- Every action of an operator, refused ones too: who asked, for whom, for what, and what came of it.
-- The tables that an action changes say what holds; this says who did it and who tried.
create table operator_actions (
  id bigint generated always as identity primary key,
  recorded_at timestamptz not null default now(),
  -- Whose session wrote the row. PostgreSQL says it, not the program, so nobody can pose as another.
  login text not null default session_user,
  -- Who asked, authenticated: the API key (`key:…`), or the database login (`role:…`).
  actor text not null check (actor ~ '^(key|role):.'),
  -- The person that the actor acted for, as the actor says.
  on_behalf_of text,
  -- What, such as plan.apply or dead_letter.discard.
  action text not null check (action ~ '^[a-z_]+(\.[a-z_]+)*$'),
  -- On which key, member, plan or event.
  subject text,
  -- SHA-256 of the arguments: of the file, of the request's body, or of the words of the command
  -- line, each word after its length in eight bytes (see `lineage actions list --help`). What they
  -- were need not be kept to prove later that these were they.
  arguments_digest bytea not null check (octet_length(arguments_digest) = 32),
  result text not null check (result in ('done', 'refused', 'failed')),
  -- Why it was refused or failed; what was done, in a few words.
  detail text,
  -- A command line acts for its own login and for no other.
  check (actor not like 'role:%' or actor = 'role:' || login)
);
select guard_append_only('operator_actions');
create index operator_actions_action on operator_actions (action, id);

grant select on operator_actions to lineage_ops;
grant insert (actor, on_behalf_of, action, subject, arguments_digest, result, detail)
  on operator_actions to lineage_ingest, lineage_ops;
