import type { Redis } from 'ioredis'
import type { Ask } from '../../../authenticators/asked.ts'
import { examine } from '../../finding.ts'
import type { Finding } from '../../finding.ts'
import type { Diagnosing, ProfileContext } from '../../profile.ts'
import { askHeartbeat } from '../ask.ts'
import type { DatabaseAddress, RommDatabase } from '../database.ts'
import type { Instance } from '../instance.ts'
import type { RommOptions } from '../profile.ts'
import { releaseOf } from '../version.ts'
import { databaseChecks } from './database.ts'
import { instanceChecks } from './instance.ts'
import { peopleCheck } from './people.ts'
import { redisChecks } from './redis.ts'

/** What there is to be looked at. */
export interface Patient {
  readonly options: RommOptions
  readonly context: Pick<ProfileContext, 'ask' | 'clock'>
  readonly instance: Pick<Instance, 'secret'>
  readonly ask: Ask
  readonly opened: {
    readonly database: { readonly db: RommDatabase; readonly address: DatabaseAddress } | undefined
    readonly redis: Redis | undefined
  }
}

/** RomM fact: the release with which permission groups came. */
const GROUPS_SINCE = 500

/** Whether RomM, its database and its Redis are what the configuration says, and as they should be. */
export async function diagnose(patient: Patient, how: Diagnosing): Promise<Finding[]> {
  const { options, context, instance, opened } = patient
  const heartbeat = askHeartbeat(context.ask)
  const version = await heartbeat.then(
    (heard) => heard.version,
    () => undefined,
  )
  const expected = (releaseOf(version) ?? GROUPS_SINCE) >= GROUPS_SINCE ? 'groups' : 'roles'
  const wasRight = instance.secret === 'right' || instance.secret === 'changed'
  const redis = opened.redis && { ...how, redis: opened.redis, ask: context.ask, nobody: () => nobody(how) }
  return examine([
    ...instanceChecks({ ...how, ...options, ask: context.ask, wasRight }, heartbeat),
    ...databaseChecks(opened.database && { ...opened.database, expected }),
    ...(how.thorough && opened.database !== undefined ? [peopleCheck(comparison(patient))] : []),
    ...redisChecks(redis),
  ])
}

function comparison({ options, context, instance, ask, opened }: Patient): Parameters<typeof peopleCheck>[0] {
  const { secret } = options
  if (secret === undefined || instance.secret !== 'right' || opened.database === undefined) return undefined
  const ourselves = {
    address: '127.0.0.1',
    peer: '127.0.0.1',
    scheme: 'http',
    host: '',
    forwardedFor: '',
  } as const
  return {
    db: opened.database.db,
    whose: (credential) => ask(credential, ourselves, true),
    clock: context.clock,
    secret,
  }
}

/** RFC 3849: for documentation, so nobody's. */
function nobody({ nonce }: Diagnosing): string {
  return `2001:db8::${nonce.slice(0, 4)}:${nonce.slice(4, 8)}`
}
