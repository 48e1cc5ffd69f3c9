-- Postern's user of RomM's database (MariaDB): it may read what it must, and nothing else. The columns are those of
-- docs/romm.md, for RomM from 5.0 on. Given @password; run again, it changes the password and nothing more.

EXECUTE IMMEDIATE CONCAT("CREATE USER IF NOT EXISTS 'postern'@'%' IDENTIFIED BY ", QUOTE(@password));
EXECUTE IMMEDIATE CONCAT("ALTER USER 'postern'@'%' IDENTIFIED BY ", QUOTE(@password));

GRANT SELECT (id, username, hashed_password, enabled, role, permission_group_id) ON romm.users TO 'postern'@'%';
GRANT SELECT (id, user_id, hashed_token, scopes, expires_at, device_id) ON romm.client_tokens TO 'postern'@'%';
GRANT SELECT (id, is_default) ON romm.permission_groups TO 'postern'@'%';
GRANT SELECT (group_id, entity, action) ON romm.permission_group_grants TO 'postern'@'%';
GRANT SELECT (user_id, entity, action, granted) ON romm.user_permission_overrides TO 'postern'@'%';
GRANT SELECT ON romm.alembic_version TO 'postern'@'%';
