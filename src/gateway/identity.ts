import { randomUUID } from 'node:crypto'
import { createAsserter } from '../assertion/asserter.ts'
import { createJwks } from '../assertion/jwks.ts'
import type { JwksAnswer } from '../assertion/jwks.ts'
import { keepReloading, openKeyRing } from '../assertion/keys.ts'
import type { KeyRing, RingSummary } from '../assertion/keys.ts'
import { plainHeaders } from '../assertion/plain.ts'
import type { Config } from '../config/schema.ts'
import type { Blocks } from '../directory/blocks.ts'
import type { Clock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import type { CredentialPolicy, DecideOptions } from '../pipeline/decide.ts'
import { createObserve } from '../pipeline/observe.ts'
import type { Observe } from '../pipeline/observe.ts'
import type { Profile } from '../profiles/profile.ts'
import { createHygiene } from '../request/headers.ts'

/** What tells the upstream who is asking. */
export interface Outgoing {
  readonly decide: DecideOptions['outgoing']
  readonly jwks: (() => JwksAnswer) | undefined
  readonly ring: RingSummary | undefined
  readonly stop: () => void
}

/** Milliseconds between two looks at the key folder, at least and at most. */
const RELOAD_KEYS = { least: 1_000, most: 60_000 }

/** @throws PosternError `keys_unusable` */
export async function createOutgoing(
  config: Config,
  profile: Profile,
  clock: Clock,
  logger: Logger,
): Promise<Outgoing> {
  const hygiene = createHygiene([config.assertion.header])
  const policy = credentialPolicy(config.upstream.credentials, profile)
  const plain = config.assertion.plainHeaders ? plainHeaders : undefined
  if (!config.assertion.enabled) {
    const decide = { hygiene, policy, plain, asserter: undefined }
    return { decide, jwks: undefined, ring: undefined, stop: () => undefined }
  }
  const { folder, publishFor } = config.keys
  const ring = await openKeys(config, clock)
  const stop = keepReloading({
    ring,
    every: Math.min(Math.max(publishFor / 2, RELOAD_KEYS.least), RELOAD_KEYS.most),
    clock,
    report: (failure) =>
      logger.warn({ folder, cause: failure.message }, 'the signing keys cannot be read again'),
  })
  const asserter = createAsserter({ ...config.assertion, ring, clock, randomId: randomUUID })
  const decide = { hygiene, policy, plain, asserter }
  return { decide, jwks: createJwks(ring, publishFor), ring, stop }
}

/**
 * The keys of this installation, the first one made where nobody else could be making it.
 * @throws PosternError `keys_unusable`
 */
export function openKeys({ keys, assertion, replicas, redis }: Config, clock: Clock): Promise<KeyRing> {
  return openKeyRing({
    ...keys,
    algorithm: assertion.algorithm,
    lifetime: assertion.lifetime,
    clock,
    // Replicas that start at the same moment would each make a key of their own.
    generateWhenEmpty: replicas === 1 && redis === undefined,
  })
}

/**
 * A backend that is not to see credentials sees none of those that were refused either.
 * @returns undefined where decisions count
 */
export function observer(
  { enforcement, upstream }: Config,
  { identity, outgoing }: Pick<DecideOptions, 'identity' | 'outgoing'>,
  blocks: Pick<Blocks, 'isEmpty'>,
): Observe | undefined {
  if (enforcement === 'enforce') return undefined
  const isStripped = upstream.credentials === 'strip'
  return createObserve({
    hygiene: outgoing.hygiene,
    credentials: (headers) => (isStripped ? identity.carrier.rewrite(headers, undefined) : headers),
    identity,
    isAnybodyBlocked: () => !blocks.isEmpty,
  })
}

function credentialPolicy(policy: Config['upstream']['credentials'], profile: Profile): CredentialPolicy {
  switch (policy) {
    case 'pass':
      return { outgoing: (credential) => credential }
    case 'strip':
      return { outgoing: () => undefined }
    case 'translate':
      return {
        outgoing: (credential, principal) =>
          credential.kind === 'basic' ? (profile.translate?.(principal) ?? credential) : credential,
      }
  }
}
