-- A key keeps its id while its secrets change: two may work at a time, so that whoever uses the key
-- can change over without a gap. A secret is never overwritten; it ends, and a new row follows.
alter table api_keys
  -- When the secret that the key was made with ceases to work; null: not yet decided.
  add column secret_ends_at timestamptz,
  -- When the whole key ceases to work.
  add column expires_at timestamptz,
  -- Requests per second, of each ingest process; 0: no limit; null: the default of ingest.
  add column rate_per_second integer check (rate_per_second between 0 and 1000000);

-- The secrets that rotation added: number 2 and so on. The first stands in api_keys.
create table api_key_secrets (
  key_id text not null references api_keys,
  number integer not null check (number > 1),
  secret_hash bytea not null,
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  ends_at timestamptz,
  primary key (key_id, number)
);

-- Every secret of every key, whichever table it is in.
create view api_key_every_secret as
  select id as key_id, 1 as number, secret_hash, created_at, secret_ends_at as ends_at from api_keys
  union all
  select key_id, number, secret_hash, created_at, ends_at from api_key_secrets;

-- When each secret was last used, to the minute. Apart from the keys, so that ingest, which writes
-- it, needs no right to change a key and waits for nobody who does.
create table api_key_uses (
  key_id text not null references api_keys,
  number integer not null,
  used_at timestamptz not null,
  primary key (key_id, number)
);

-- Secrets that requests are signed with (Standard Webhooks). An HMAC needs the secret itself, so
-- these are readable: by ingest, which checks, and by no other role.
create table api_key_signing_secrets (
  key_id text not null references api_keys,
  number integer not null,
  secret bytea not null check (octet_length(secret) between 24 and 64),
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  ends_at timestamptz,
  primary key (key_id, number)
);

grant select on api_key_secrets, api_key_every_secret, api_key_uses, api_key_signing_secrets
  to lineage_ingest;
grant insert, update (used_at) on api_key_uses to lineage_ingest;

grant select on api_key_secrets, api_key_every_secret, api_key_uses to lineage_ops;
grant update (secret_ends_at) on api_keys to lineage_ops;
grant insert (key_id, number, secret_hash), update (ends_at) on api_key_secrets to lineage_ops;
-- Operators make, end and remove signing secrets, and cannot read them back.
grant select (key_id, number, created_at, created_by, ends_at),
  insert (key_id, number, secret), update (ends_at), delete
  on api_key_signing_secrets to lineage_ops;

-- What has ended stays ended: an end may be set or move earlier, and is never taken back. The columns
-- that are ends are the trigger's arguments.
create function keep_ends() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  ends text;
  was timestamptz;
  becomes timestamptz;
begin
  foreach ends in array tg_argv loop
    was := (to_jsonb(old) ->> ends)::timestamptz;
    becomes := (to_jsonb(new) ->> ends)::timestamptz;
    if was is not null and (becomes is null or becomes > was) then
      raise exception '%.% may move earlier only', tg_table_name, ends
        using errcode = 'restrict_violation',
              hint = 'Make another key by lineage keys create, or another secret by lineage keys rotate.';
    end if;
  end loop;
  return new;
end
$$;
create trigger keep_ends before update on api_keys
  for each row execute function keep_ends('revoked_at', 'secret_ends_at', 'expires_at');
alter table api_keys enable always trigger keep_ends;
create trigger keep_ends before update on api_key_secrets
  for each row execute function keep_ends('ends_at');
alter table api_key_secrets enable always trigger keep_ends;
create trigger keep_ends before update on api_key_signing_secrets
  for each row execute function keep_ends('ends_at');
alter table api_key_signing_secrets enable always trigger keep_ends;

create function refuse_secret_of_ended_key() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  key record;
begin
  -- The lock first: whoever revokes the key at this moment is waited for.
  select revoked_at, expires_at into key from api_keys where id = new.key_id for share;
  if key.revoked_at is not null or key.expires_at <= clock_timestamp() then
    raise exception 'key % has ended: it gets no further secret', new.key_id
      using errcode = 'restrict_violation', hint = 'Make another key by lineage keys create.';
  end if;
  return new;
end
$$;
create trigger refuse_secret_of_ended_key before insert on api_key_secrets
  for each row execute function refuse_secret_of_ended_key();
alter table api_key_secrets enable always trigger refuse_secret_of_ended_key;
create trigger refuse_secret_of_ended_key before insert on api_key_signing_secrets
  for each row execute function refuse_secret_of_ended_key();
alter table api_key_signing_secrets enable always trigger refuse_secret_of_ended_key;
