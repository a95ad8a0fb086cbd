-- One role for each binary, with the rights that it needs and no more (see the grants). They
-- cannot log in until an operator says so: `alter role lineage_worker login password '…'`.
-- Roles belong to the cluster, which may have them from another database, or get them from a
-- migration that runs at the same moment.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['lineage_ingest', 'lineage_worker', 'lineage_ops'] loop
    if not exists (select from pg_roles where rolname = role_name) then
      begin
        execute format('create role %I nologin', role_name);
      exception when duplicate_object or unique_violation then
        null;
      end;
    end if;
    -- Development runs every binary as the owner with SET ROLE, which needs membership.
    if not pg_has_role(current_user, role_name, 'member') then
      execute format('grant %I to current_user', role_name);
    end if;
  end loop;
end
$$;
