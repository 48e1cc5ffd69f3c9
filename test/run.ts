/**
 * `npm test`: starts the services, runs tap on what the arguments name (everything when they name nothing) and
 * ends with the line `N passed, N failed`. Skipped and unfinished tests count as failed, and so does a run that
 * says nothing.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startMariadb } from './support/services/mariadb.ts'
import { startPostgres } from './support/services/postgres.ts'
import { installMissing } from './support/services/programs.ts'
import { startRedis } from './support/services/redis.ts'
import type { Server } from './support/services/server.ts'

const SERVICES = [
  { variable: 'POSTERN_TEST_REDIS', start: startRedis },
  { variable: 'POSTERN_TEST_MARIADB', start: startMariadb },
  { variable: 'POSTERN_TEST_POSTGRES', start: startPostgres },
]

const SUMMARY = /^# (\{ total: .*\})$/
/** What TAP says of a test that passed: a run is read for what failed. */
const NOISE = /^\s+ok \d|^\s*\d+\.\.\d+$|^\s*$|^\s*# time=|^TAP version|^# No coverage/

const root = new URL('..', import.meta.url)
const modules = new URL('node_modules/', root)
const COMPILED = fileURLToPath(new URL('.cache/compiled/', modules))
const tap = createRequire(import.meta.url)
  .resolve('tap')
  .replace(/\/dist\/.*$/, '/dist/esm/run.mjs')
let current: ChildProcess | undefined

process.once('exit', () => {
  if (current?.pid !== undefined && current.exitCode === null) process.kill(-current.pid, 'SIGTERM')
})

const missing = await installMissing()
if (missing.length > 0) {
  for (const sentence of missing) console.error(sentence)
  process.exit(1)
}
process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1

async function main(args: readonly string[]): Promise<boolean> {
  const servers: Server[] = []
  try {
    // Hundreds of processes load the same files.
    const env: NodeJS.ProcessEnv = { NODE_COMPILE_CACHE: COMPILED, ...process.env }
    await Promise.all(
      SERVICES.map(async ({ variable, start }) => {
        const server = await start()
        servers.push(server)
        env[variable] = server.url
      }),
    )
    if (!isBuilt()) await runTap(['build'], env)
    return report(await runTap(args, env))
  } finally {
    await Promise.all(servers.map((server) => server.close()))
  }
}

interface Run {
  readonly code: number
  /** tap's own count, `{ total: 2, pass: 1, fail: 1 }`; a word that is not there is 0. */
  readonly summary: string | undefined
}

async function runTap(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Run> {
  const child = spawn(process.execPath, [tap, ...args], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    // A process group of its own, so that the test files end with it when this process is interrupted.
    detached: true,
  })
  current = child
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve(code ?? 1))
  })
  let summary: string | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    summary = SUMMARY.exec(line)?.[1] ?? summary
    if (!NOISE.test(line)) console.log(line)
  }
  return { code: await ended, summary }
}

function report({ code, summary }: Run): boolean {
  const count = (word: string) => Number(new RegExp(`\\b${word}: (\\d+)`).exec(summary ?? '')?.[1] ?? 0)
  const passed = count('pass')
  let failed = count('fail') + count('skip') + count('todo')
  if (failed === 0 && (code !== 0 || passed === 0)) {
    console.log(`tap ended with code ${code} and ${summary ?? 'no summary'}: counted as a failure`)
    failed = 1
  }
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0
}

/** Whether tap was built for `.taprc` (`npm ci --ignore-scripts` leaves it as shipped, with its TypeScript plugin). */
function isBuilt(): boolean {
  const built = new URL('@tapjs/test/test-built/dist/esm/index.js', modules)
  return existsSync(built) && !readFileSync(built, 'utf8').includes('@tapjs/typescript')
}
