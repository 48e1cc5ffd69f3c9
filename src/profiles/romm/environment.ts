/**
 * The variables that configure RomM itself, and the setting that each of them stands for: whoever shares RomM's
 * environment file with Postern writes nothing twice. Each may also be given as `…_FILE`.
 * RomM fact: backend/config/__init__.py and docker-entrypoint.sh, 4.5 to 5.2.
 */
export const ROMM_ENVIRONMENT = {
  DB_HOST: 'romm.database.host',
  DB_PORT: 'romm.database.port',
  DB_USER: 'romm.database.user',
  DB_PASSWD: 'romm.database.password',
  DB_NAME: 'romm.database.name',
  ROMM_DB_DRIVER: 'romm.database.driver',
  ROMM_AUTH_SECRET_KEY: 'romm.secret',
  REDIS_HOST: 'romm.redis.host',
  REDIS_PORT: 'romm.redis.port',
  REDIS_USERNAME: 'romm.redis.username',
  REDIS_PASSWORD: 'romm.redis.password',
  REDIS_DB: 'romm.redis.db',
  REDIS_SSL: 'romm.redis.tls',
  KIOSK_MODE: 'romm.kiosk',
} as const satisfies Readonly<Record<string, string>>
