import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const execFileAsync = promisify(execFile)

/** Every program the services run, and the Debian package (and the one of other releases) that brings it. */
const PACKAGES = {
  // What reads the files of deploy/; none of them needs an engine or a running systemd.
  'docker-compose': ['docker-compose'],
  'systemd-analyze': ['systemd'],
  mariadb: ['mariadb-client-core'],
  // Backends that verify the assertion.
  go: ['golang-go'],
  python3: ['python3-pip'],
  // The proxies of deploy/.
  caddy: ['caddy'],
  haproxy: ['haproxy'],
  nginx: ['nginx'],
  // How much memory a proxy and the gateway hold.
  ps: ['procps'],
  // The command line's tests use it as people do.
  curl: ['curl'],
  'redis-server': ['redis-server'],
  mariadbd: ['mariadb-server-core'],
  'mariadb-install-db': ['mariadb-server-core'],
  // Called by mariadb-install-db.
  my_print_defaults: ['mariadb-client-core'],
  initdb: ['postgresql-15', 'postgresql'],
  postgres: ['postgresql-15', 'postgresql'],
} as const satisfies Record<string, readonly [string, ...string[]]>

export type Program = keyof typeof PACKAGES

const PROGRAMS = Object.keys(PACKAGES) as Program[]

/** @throws Error with one sentence that says what to install */
export function locate(program: Program): string {
  const path = find(program)
  if (path === undefined) throw new Error(missingSentence(program))
  return path
}

/** @returns a sentence for each program that is missing and could not be installed */
export async function installMissing(): Promise<string[]> {
  const missing = PROGRAMS.filter((program) => find(program) === undefined)
  if (missing.length > 0 && process.getuid?.() === 0) await aptInstall(missing)
  return missing.filter((program) => find(program) === undefined).map(missingSentence)
}

function missingSentence(program: Program): string {
  return `${program} is missing: install it with "apt-get install ${PACKAGES[program][0]}" or its equivalent here.`
}

function find(program: Program): string | undefined {
  return folders()
    .map((folder) => join(folder, program))
    .find(isExecutable)
}

/** Debian keeps PostgreSQL's programs in a folder a version, and mariadbd where only root's PATH looks. */
function folders(): string[] {
  return [
    ...postgresFolders(),
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
  ]
}

function postgresFolders(): string[] {
  const root = '/usr/lib/postgresql'
  try {
    const newestFirst = readdirSync(root).sort((a, b) => Number(b) - Number(a))
    return newestFirst.map((version) => join(root, version, 'bin'))
  } catch {
    return []
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Does what it can; what is still missing afterwards is the caller's to report. */
async function aptInstall(programs: readonly Program[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const aptGet = (...args: string[]) => execFileAsync('apt-get', args, { env })
  try {
    await aptGet('update')
    const chosen = new Set<string>()
    for (const program of programs) chosen.add(await available(PACKAGES[program]))
    console.error(`Installing for the tests: ${[...chosen].join(' ')}`)
    await withoutServices(() => aptGet('install', '-y', '--no-install-recommends', ...chosen))
  } catch (error) {
    console.error(`apt-get did not manage: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** What is installed is not started: nginx and Caddy would listen on every interface. */
async function withoutServices(install: () => Promise<unknown>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return void (await install())
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await install()
  } finally {
    rmSync(policy)
  }
}

/** The first package that this release of the distribution has, or else the last. */
async function available(names: readonly [string, ...string[]]): Promise<string> {
  for (const name of names) {
    const { stdout } = await execFileAsync('apt-cache', ['search', '--names-only', `^${name}$`])
    if (stdout.trim() !== '') return name
  }
  return names.at(-1) ?? names[0]
}
