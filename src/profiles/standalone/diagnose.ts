import { stat } from 'node:fs/promises'
import { platform } from 'node:os'
import { examine, fixIn, error, ok, warning } from '../finding.ts'
import type { Finding, Observation } from '../finding.ts'
import type { Database } from './database.ts'

const OTHERS = 0o077

/** Whether anybody may sign in, and the file with their passwords' hashes is nobody else's. */
export function diagnose(db: Pick<Database, 'rows'>, file: string): Promise<Finding[]> {
  return examine([
    { id: 'standalone.people', look: () => [people(db)] },
    { id: 'standalone.database', look: async () => [await access(file)] },
  ])
}

function people(db: Pick<Database, 'rows'>): Observation {
  const [row] = db.rows<{ count: number }>('select count(*) as count from users where enabled = 1')
  const count = row?.count ?? 0
  return count === 0
    ? warning('nobody may sign in', fixIn('shell', 'postern user add NAME'))
    : ok(`${count} may sign in`)
}

async function access(file: string): Promise<Observation> {
  const { mode } = await stat(file)
  return platform() !== 'win32' && (mode & OTHERS) !== 0
    ? error(`others on this machine may use ${file}`, fixIn('shell', `chmod 600 ${file}`))
    : ok(`${file} is nobody else's`)
}
