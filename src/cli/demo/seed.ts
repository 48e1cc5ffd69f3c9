import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { StandaloneStore } from '../../profiles/standalone/store.ts'

/** What the demo's people present; made up on the first start. */
export interface DemoCredentials {
  readonly alicePassword: string
  readonly bobPassword: string
  readonly bobToken: string
}

const PEOPLE = [
  { name: 'alice', role: 'editor', scopes: ['notes.read', 'notes.write'] },
  { name: 'bob', role: 'reader', scopes: ['notes.read'] },
] as const

/**
 * Makes alice and bob, once. Their passwords are kept in `file` beside the demo's database and nowhere else, so that the
 * commands of the first start still work on the second.
 */
export async function seedDemo(store: StandaloneStore, file: string): Promise<DemoCredentials> {
  const known = new Set(store.listUsers().map((user) => user.username))
  const kept = PEOPLE.every(({ name }) => known.has(name)) ? read(file) : undefined
  if (kept !== undefined) return kept
  const alicePassword = newPassword()
  const bobPassword = newPassword()
  for (const { name, ...person } of PEOPLE) {
    if (known.has(name)) store.removeUser(name)
    await store.addUser(name, name === 'alice' ? alicePassword : bobPassword, person)
  }
  const { token: bobToken } = store.addToken('bob', 'demo')
  const made = { alicePassword, bobPassword, bobToken }
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, `${JSON.stringify(made, undefined, 2)}\n`, { mode: 0o600 })
  return made
}

/** 96 bits, in characters that no shell cares about. */
function newPassword(): string {
  return randomBytes(12).toString('hex')
}

function read(file: string): DemoCredentials | undefined {
  try {
    const { alicePassword, bobPassword, bobToken } = JSON.parse(readFileSync(file, 'utf8')) as Partial<
      Record<keyof DemoCredentials, unknown>
    >
    return typeof alicePassword === 'string' &&
      typeof bobPassword === 'string' &&
      typeof bobToken === 'string'
      ? { alicePassword, bobPassword, bobToken }
      : undefined
  } catch {
    return undefined
  }
}
