-- Made by `make generate` from `ff-observe database grants --offline`. Edits are lost.
-- What ff-observe needs of FlowFuse's database, and nothing besides. Run it in that database as a
-- superuser, or as the owner of its tables if that role has CREATEROLE. Then give the role a password:
-- \password ff_observe
BEGIN;
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ff_observe') THEN
    CREATE ROLE "ff_observe" LOGIN;
  END IF;
  EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), 'ff_observe');
END $$;
ALTER ROLE "ff_observe" SET default_transaction_read_only = on;
DO $$ DECLARE needed record; BEGIN
  FOR needed IN SELECT n.nspname, c.relname, a.attname FROM (VALUES
    ('Users', 'id'),
    ('Users', 'admin'),
    ('Users', 'mfa_enabled'),
    ('Users', 'sso_enabled'),
    ('Users', 'suspended'),
    ('Users', 'email_verified'),
    ('Users', 'createdAt'),
    ('TeamMembers', 'UserId'),
    ('TeamMembers', 'role'),
    ('TeamMembers', 'TeamId'),
    ('Invitations', 'id'),
    ('Sessions', 'sid'),
    ('Sessions', 'expiresAt'),
    ('AccessTokens', 'id'),
    ('AccessTokens', 'expiresAt'),
    ('AccessTokens', 'ownerType'),
    ('AccessTokens', 'name'),
    ('SAMLProviders', 'id'),
    ('SAMLProviders', 'name'),
    ('SAMLProviders', 'active'),
    ('SAMLProviders', 'type'),
    ('Teams', 'id'),
    ('Teams', 'TeamTypeId'),
    ('Teams', 'suspended'),
    ('Teams', 'properties'),
    ('Teams', 'createdAt'),
    ('TeamTypes', 'id'),
    ('TeamTypes', 'name'),
    ('TeamTypes', 'properties'),
    ('Applications', 'id'),
    ('Projects', 'id'),
    ('Projects', 'state'),
    ('Projects', 'TeamId'),
    ('Projects', 'ProjectStackId'),
    ('Projects', 'ProjectTypeId'),
    ('Projects', 'createdAt'),
    ('ProjectTypes', 'id'),
    ('ProjectTypes', 'name'),
    ('ProjectSettings', 'id'),
    ('ProjectSettings', 'ProjectId'),
    ('ProjectSettings', 'key'),
    ('ProjectSettings', 'valueType'),
    ('Devices', 'id'),
    ('Devices', 'mode'),
    ('Devices', 'lastSeenAt'),
    ('Devices', 'state'),
    ('Devices', 'TeamId'),
    ('Devices', 'targetSnapshotId'),
    ('Devices', 'activeSnapshotId'),
    ('Devices', 'DeviceGroupId'),
    ('Devices', 'agentVersion'),
    ('Devices', 'nodeRedVersion'),
    ('Devices', 'nodejsVersion'),
    ('Devices', 'editorConnected'),
    ('Devices', 'createdAt'),
    ('DeviceGroups', 'id'),
    ('DeviceGroups', 'name'),
    ('ProjectSnapshots', 'id'),
    ('ProjectSnapshots', 'name'),
    ('ProjectSnapshots', 'createdAt'),
    ('ProjectTemplates', 'id'),
    ('ProjectStacks', 'id'),
    ('ProjectStacks', 'name'),
    ('ProjectStacks', 'replacedBy'),
    ('StorageLibraries', 'id'),
    ('FlowTemplates', 'id'),
    ('StorageSharedLibraries', 'id'),
    ('Pipelines', 'id'),
    ('PipelineStages', 'id'),
    ('PipelineStageGitRepos', 'id'),
    ('PipelineStageGitRepos', 'status'),
    ('GitTokens', 'id'),
    ('Tables', 'id'),
    ('MCPRegistrations', 'id'),
    ('MQTTTopicSchemas', 'id'),
    ('TeamBrokerClients', 'id'),
    ('TeamBrokerAgents', 'id'),
    ('TeamBrokerAgents', 'state'),
    ('BrokerCredentials', 'id'),
    ('BrokerCredentials', 'state'),
    ('Subscriptions', 'id'),
    ('Subscriptions', 'status'),
    ('Subscriptions', 'trialStatus'),
    ('Subscriptions', 'trialEndsAt'),
    ('Notifications', 'id'),
    ('Notifications', 'read'),
    ('AuditLogs', 'id'),
    ('AuditLogs', 'event'),
    ('AuditLogs', 'body'),
    ('AuditLogs', 'entityType'),
    ('AuditLogs', 'source'),
    ('AuditLogs', 'UserId'),
    ('AuditLogs', 'createdAt'),
    ('PlatformSettings', 'key'),
    ('PlatformSettings', 'value'),
    ('PlatformSettings', 'valueType')
  ) AS reads (table_name, column_name)
  JOIN pg_class c ON c.oid = to_regclass(quote_ident(table_name))
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = column_name AND NOT a.attisdropped
  LOOP
    EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', needed.nspname, 'ff_observe');
    EXECUTE pg_catalog.format('GRANT SELECT (%I) ON %I.%I TO %I', needed.attname, needed.nspname,
      needed.relname, 'ff_observe');
  END LOOP;
END $$;
COMMIT;

-- The password, from the file that compose mounts; PostgreSQL's log does not get it, where a superuser can say so.
SELECT set_config(name, value, false) FROM (VALUES ('log_statement', 'none'), ('log_min_error_statement', 'panic'),
  ('log_min_duration_statement', '-1')) AS quiet (name, value)
  WHERE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \g /dev/null
\set password `cat /run/secrets/ff_observe_db_password`
ALTER ROLE ff_observe PASSWORD :'password';
