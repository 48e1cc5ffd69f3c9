import { PosternError, asPosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'
import { type Algorithm, generatePrivateKey } from './algorithm.ts'
import { type SigningKey, deleteKey, readKeys, writeKey } from './folder.ts'
import {
  type KeyState,
  type Timing,
  type Turn,
  isPublished,
  signingAt,
  stateOf,
  takeTurns,
} from './timeline.ts'

/** What replicas tell each other of their keys. */
export interface RingSummary {
  /** What this replica's JWKS shows, oldest first. */
  kids(): readonly string[]
  signingKid(): string
}

/** The keys of one folder, each in its turn. */
export interface KeyRing extends RingSummary {
  signing(): SigningKey
  /** Oldest first. */
  published(): readonly SigningKey[]
  /**
   * Reads the folder again. Wanted more often than every `publishFor`, or a key is used before it was shown.
   * @throws PosternError `keys_unusable`; the keys read before stay in use
   */
  reload(): Promise<void>
}

export interface KeyRingOptions extends Timing {
  readonly folder: string
  /** Of a key generated here. Keys that exist are used as what they are. */
  readonly algorithm: Algorithm
  readonly clock: Clock
  /** Only where no other replica could do the same at the same moment. */
  readonly generateWhenEmpty: boolean
}

/** @throws PosternError `keys_unusable` */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { folder, algorithm, clock, generateWhenEmpty } = options
  if (generateWhenEmpty && (await readKeys(folder)).length === 0) {
    await generateKey(folder, algorithm, clock.now())
  }
  let turns = takeTurns(await readSome(folder), options)
  const signing = (): SigningKey => mustSign(turns, clock.now()).key
  const published = (): readonly SigningKey[] => {
    const now = clock.now()
    return turns.filter((turn) => isPublished(turn, now)).map((turn) => turn.key)
  }
  return {
    signing,
    published,
    kids: () => published().map((key) => key.kid),
    signingKid: () => signing().kid,
    reload: async () => {
      turns = takeTurns(await readSome(folder), options)
    },
  }
}

/**
 * Whether what either replica signs can be verified with the JWKS of the other. A replica that does not agree
 * with the others is not ready. Lists that differ are no disagreement: one may have read the folder earlier.
 */
export function ringsAgree(one: RingSummary, other: RingSummary): boolean {
  return one.kids().includes(other.signingKid()) && other.kids().includes(one.signingKid())
}

export interface ReloadOptions {
  readonly ring: Pick<KeyRing, 'reload'>
  /** Milliseconds between two readings. */
  readonly every: number
  readonly clock: Clock
  readonly report: (failure: PosternError) => void
}

/** Reads the folder again and again, until the returned function is called. */
export function keepReloading({ ring, every, clock, report }: ReloadOptions): () => void {
  let stopped = false
  const reload = async (): Promise<void> => {
    await ring.reload().catch((error: unknown) => report(asPosternError(error, 'keys_unusable')))
    if (!stopped) cancel = clock.after(every, () => void reload())
  }
  let cancel = clock.after(every, () => void reload())
  return () => {
    stopped = true
    cancel()
  }
}

/**
 * The first key of a folder, used at once.
 * @param now milliseconds since the epoch
 * @throws PosternError `keys_unusable`, also when the folder has keys
 */
export async function generateKey(folder: string, algorithm: Algorithm, now: number): Promise<SigningKey> {
  if ((await readKeys(folder)).length > 0) {
    throw new PosternError('keys_unusable', `${folder} has keys: \`postern keys rotate\` adds the next one.`)
  }
  return writeKey(folder, generatePrivateKey(algorithm), now)
}

/** A key as `postern keys list` shows it. */
export interface KeyRow extends Omit<Turn, 'key'> {
  readonly kid: string
  readonly algorithm: Algorithm
  readonly createdAt: number
  readonly state: KeyState
}

export interface FolderOptions extends Timing {
  readonly folder: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * Adds the key that takes over when it has been published for long enough.
 * @throws PosternError `keys_unusable`, also when there is no key to take over from
 */
export async function rotate(
  options: FolderOptions,
  algorithm: Algorithm,
): Promise<Pick<KeyRow, 'kid' | 'usedFrom'>> {
  const { folder, now, publishFor } = options
  const last = (await readSome(folder)).at(-1)
  // Later than the last one, even if that was made by a machine whose clock is ahead of this one.
  const createdAt = Math.max(now, (last?.createdAt ?? 0) + 1)
  const { kid } = await writeKey(folder, generatePrivateKey(algorithm), createdAt)
  return { kid, usedFrom: createdAt + publishFor }
}

/**
 * Every key in the folder, oldest first.
 * @throws PosternError `keys_unusable`
 */
export async function list({ folder, now, ...timing }: FolderOptions): Promise<readonly KeyRow[]> {
  const turns = takeTurns(await readKeys(folder), timing)
  return turns.map((turn) => {
    const { kid, algorithm, createdAt } = turn.key
    const { usedFrom, deadAt } = turn
    return { kid, algorithm, createdAt, state: stateOf(turn, turns, now), usedFrom, deadAt }
  })
}

/**
 * Deletes the keys that nobody needs any more.
 * @returns their kids
 * @throws PosternError `keys_unusable`
 */
export async function prune(options: FolderOptions): Promise<readonly string[]> {
  const dead = (await list(options)).filter((row) => row.state === 'dead').map((row) => row.kid)
  for (const kid of dead) await deleteKey(options.folder, kid)
  return dead
}

async function readSome(folder: string): Promise<readonly SigningKey[]> {
  const keys = await readKeys(folder)
  if (keys.length > 0) return keys
  throw new PosternError('keys_unusable', `There is no key in ${folder}: run \`postern keys generate\` once.`)
}

function mustSign(turns: readonly Turn[], now: number): Turn {
  const turn = signingAt(turns, now)
  if (turn === undefined) throw new PosternError('keys_unusable')
  return turn
}
