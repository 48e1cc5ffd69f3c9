import { join } from 'node:path'
import type { Test } from 'tap'
import type { Clock } from '../../src/identity/clock.ts'
import type { Credential } from '../../src/identity/credential.ts'
import type { MaybePromise, Outcome } from '../../src/pipeline/outcome.ts'
import type { ProfileContext } from '../../src/profiles/profile.ts'
import { StandaloneProfile } from '../../src/profiles/standalone/profile.ts'
import { StandaloneStore } from '../../src/profiles/standalone/store.ts'
import { attemptsOf } from './attempts.ts'
import { virtualClock } from './clock.ts'
import type { VirtualClock } from './clock.ts'

const PREFIX = 'pst_'
/** Milliseconds, as the configuration's defaults make them. */
const FRESHNESS = { freshFor: 3_000, staleIfError: 30_000, deadline: 1_000, maxEntries: 1_000 }

/** A file that does not exist yet, in a folder that does not either. */
export function newFile(t: Test): string {
  return join(t.testdir(), 'data', 'postern.sqlite')
}

export function openStore(
  t: Test,
  file: string,
  clock: Pick<Clock, 'now'> = virtualClock(),
): StandaloneStore {
  const store = new StandaloneStore({ file, tokenPrefix: PREFIX, clock })
  t.teardown(() => store.close())
  return store
}

export interface Bench {
  readonly clock: VirtualClock
  readonly store: StandaloneStore
  readonly profile: StandaloneProfile
  readonly warnings: string[]
  authenticate(credential: Credential | undefined): MaybePromise<Outcome>
}

/** The two halves on one file, each with a connection of its own, as the gateway and a command have. */
export function bench(t: Test): Bench {
  const clock = virtualClock()
  const file = newFile(t)
  const warnings: string[] = []
  const context: ProfileContext = {
    ask: () => Promise.reject(new Error('nothing is asked of this backend')),
    clock,
    freshness: FRESHNESS,
    shared: undefined,
    changed: () => undefined,
    attempts: attemptsOf(),
    warn: (message) => warnings.push(message),
  }
  const profile = new StandaloneProfile({ database: file, tokenPrefix: PREFIX }, context)
  t.teardown(() => profile.close())
  return {
    clock,
    warnings,
    profile,
    store: openStore(t, file, clock),
    authenticate(credential) {
      if (credential === undefined) throw new Error('nothing was presented')
      return profile.authenticator.authenticate(credential, CLIENT)
    },
  }
}

const CLIENT = {
  address: '192.0.2.1',
  peer: '192.0.2.1',
  scheme: 'http',
  host: 'example.org',
  forwardedFor: '192.0.2.1',
} as const

export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
