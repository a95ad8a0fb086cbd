-- Keys are 256 random bits; a plain SHA-256 of them cannot be guessed back.
create table api_keys (
  id text primary key,
  name text not null,
  secret_hash bytea not null,
  scopes text[] not null
    check (scopes <@ array['events:write', 'members:write', 'read', 'admin'] and scopes <> '{}'),
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  revoked_at timestamptz
);
