import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { locate } from './programs.ts'
import { run, temporaryFolder, unprivileged } from './process.ts'
import { ADMIN_PASSWORD, HOST, serve, type Server } from './server.ts'

/** A MariaDB in utf8mb4, as people run it, that cares for speed and not for durability. */
export async function startMariadb(): Promise<Server> {
  const path = locate('mariadbd')
  const owner = unprivileged('mysql')
  const folder = temporaryFolder('mariadb', owner)
  const data = join(folder, 'data')
  await run(
    locate('mariadb-install-db'),
    [
      '--no-defaults',
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      '--skip-name-resolve',
    ],
    owner,
    folder,
  )
  const passwordFile = join(folder, 'password.sql')
  writeFileSync(passwordFile, `set password for root@'${HOST}' = password('${ADMIN_PASSWORD}');\n`)
  return serve(
    folder,
    (port) => ({
      path,
      args: [
        '--no-defaults',
        `--datadir=${data}`,
        `--port=${port}`,
        `--bind-address=${HOST}`,
        `--socket=${join(folder, 'socket')}`,
        `--pid-file=${join(folder, 'pid')}`,
        `--init-file=${passwordFile}`,
        '--character-set-server=utf8mb4',
        '--max-connections=500',
        '--skip-name-resolve',
        '--skip-log-bin',
        '--performance-schema=0',
        '--innodb-flush-log-at-trx-commit=0',
        '--innodb-doublewrite=0',
        '--innodb-buffer-pool-size=32M',
        '--innodb-log-file-size=8M',
      ],
      owner,
      ready: /ready for connections/,
      stopSignal: 'SIGKILL',
    }),
    (port) => `mysql://root:${ADMIN_PASSWORD}@${HOST}:${port}`,
  )
}
