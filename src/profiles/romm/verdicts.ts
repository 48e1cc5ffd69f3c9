import type { Verdict } from '../../authenticators/asked.ts'
import { Lookup } from '../../directory/lookup.ts'
import { createSharedTier } from '../../directory/shared.ts'
import { PosternError } from '../../errors.ts'
import { ScopeSet } from '../../identity/scope.ts'
import type { ProfileContext } from '../profile.ts'

/** Milliseconds. */
export interface VerdictTiming {
  /** For which a verdict counts. */
  readonly ttl: number
  /** That a question may take. */
  readonly timeout: number
}

/** What RomM said of credentials that can be told by their digest; replicas share it. */
export function sharedVerdicts(
  context: ProfileContext,
  timing: VerdictTiming,
  binding: string,
): Lookup<Verdict> {
  const { shared, clock } = context
  if (shared === undefined) return verdicts('verdict', context, timing)
  const tier = createSharedTier({
    ...shared,
    clock,
    freshFor: timing.ttl,
    prefix: `postern:verdict:${binding}:`,
    serialize: toJson,
    parse: fromJson,
  })
  return verdicts('verdict', context, timing, tier)
}

/** What RomM said of passwords: they stay in the process. */
export function createPasswordVerdicts(context: ProfileContext, timing: VerdictTiming): Lookup<Verdict> {
  return verdicts('password verdict', context, timing)
}

function verdicts(
  name: string,
  { clock, freshness }: ProfileContext,
  { ttl, timeout }: VerdictTiming,
  shared?: ReturnType<typeof createSharedTier<Verdict>>,
): Lookup<Verdict> {
  return new Lookup<Verdict>({
    name,
    // Only the request at hand has the credential that the question needs.
    source: {
      load: () => Promise.reject(new PosternError('internal', `${name}: asked without its credential`)),
    },
    clock,
    maxEntries: freshness.maxEntries,
    freshFor: ttl,
    staleIfError: 0,
    deadline: timeout,
    // One credential that crashes RomM says nothing about the next.
    pause: 0,
    shared,
  })
}

function toJson(verdict: Verdict): unknown {
  return verdict.kind === 'user' ? { ...verdict, scopes: verdict.scopes.names } : verdict
}

/** What another replica wrote; its signature says that it is one of ours, its shape that it is of our release. */
function fromJson(json: unknown): Verdict | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const { kind, owner, scopes } = { ...json } as Readonly<Record<string, unknown>>
  if (kind === 'good' || kind === 'pending') return Object.freeze({ kind })
  if (kind !== 'user' || typeof owner !== 'object' || owner === null || !Array.isArray(scopes))
    return undefined
  const { subject, username, role } = { ...owner } as Readonly<Record<string, unknown>>
  if (typeof subject !== 'string' || typeof username !== 'string') return undefined
  return Object.freeze({
    kind,
    owner: Object.freeze({ subject, username, role: typeof role === 'string' ? role : undefined }),
    scopes: ScopeSet.of(scopes.filter((scope) => typeof scope === 'string')),
  })
}
