import { type KeyObject, createPrivateKey } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { platform } from 'node:os'
import { basename, join } from 'node:path'
import { calculateJwkThumbprint } from 'jose'
import { PosternError } from '../errors.ts'
import { type Algorithm, algorithmOf, publicMembers } from './algorithm.ts'

/**
 * Keys at rest: one PKCS#8 PEM file each, named `<kid>.pem`. The kid is the time of creation and a digest of
 * the public key, `20261122T050900123Z-kPrK_qmxVWaYVA9w`. So kids sort by age, every replica reads the same age
 * from the same folder (a copy or a restore changes mtime, not names), and a file whose contents were swapped
 * no longer fits its name.
 */
export interface SigningKey {
  readonly kid: string
  readonly algorithm: Algorithm
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly privateKey: KeyObject
  /** Public key material only. */
  readonly publicJwk: Readonly<Record<string, string>>
}

const SUFFIX = '.pem'
const KID = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z-([\w-]{16})$/
const FOLDER_MODE = 0o700
const FILE_MODE = 0o600
const OTHERS = 0o077

/**
 * Every key in `folder`, oldest first; none when there is no such folder. Hidden files and files that are not
 * called `*.pem` are passed over.
 * @throws PosternError `keys_unusable`, naming the file and what to do about it
 */
export async function readKeys(folder: string): Promise<readonly SigningKey[]> {
  const names = await namesIn(folder)
  // Kids begin with the time, in digits: their order is the order of age, and the same everywhere.
  return Promise.all(names.sort().map((name) => readKey(join(folder, name))))
}

/**
 * Adds a key to `folder`, making the folder when it is missing.
 * @param now milliseconds since the epoch: the time of creation
 * @throws PosternError `keys_unusable`
 */
export async function writeKey(folder: string, privateKey: KeyObject, now: number): Promise<SigningKey> {
  const key = await describe(privateKey, now)
  const file = join(folder, key.kid + SUFFIX)
  const unfinished = join(folder, `.${key.kid}.tmp`)
  try {
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
    await writeFile(unfinished, pem, { flag: 'wx', mode: FILE_MODE, flush: true })
    // Replaces nothing: the name holds a digest of the key, so only the same key could have it.
    await rename(unfinished, file)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw unusable(`${file} cannot be written: ${String(error)}`, error)
  }
  return key
}

/** @throws PosternError `keys_unusable` */
export async function deleteKey(folder: string, kid: string): Promise<void> {
  const file = join(folder, kid + SUFFIX)
  try {
    await unlink(file)
  } catch (error) {
    throw unusable(`${file} cannot be deleted: ${String(error)}`, error)
  }
}

/**
 * What in a key folder others on this machine may use, and the mode that it should have: for whoever asks before a start
 * is refused for it. None when there is no such folder.
 */
export async function looseIn(folder: string): Promise<readonly { path: string; mode: number }[]> {
  const names = await readdir(folder).catch(() => undefined)
  if (names === undefined) return []
  const files = names.filter(isKeyFile).map((name) => ({ path: join(folder, name), mode: FILE_MODE }))
  const wanted = [{ path: folder, mode: FOLDER_MODE }, ...files]
  const modes = await Promise.all(wanted.map(async ({ path }) => (await stat(path)).mode))
  return wanted.filter((_, index) => isWide(modes[index] ?? 0))
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    refuseWide(folder, (await stat(folder)).mode, FOLDER_MODE)
    const names = await readdir(folder)
    return names.filter(isKeyFile)
  } catch (error) {
    if (error instanceof PosternError) throw error
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw unusable(`The key folder ${folder} cannot be read: ${String(error)}`, error)
  }
}

function isKeyFile(name: string): boolean {
  return name.endsWith(SUFFIX) && !name.startsWith('.')
}

async function readKey(file: string): Promise<SigningKey> {
  const kid = basename(file, SUFFIX)
  const createdAt = creationTime(kid)
  if (createdAt === undefined) {
    throw unusable(
      `${file} is not named as a key of Postern: move it away, and run \`postern keys generate\`.`,
    )
  }
  const privateKey = parse(file, await readPrivate(file))
  const key = await describe(privateKey, createdAt, file)
  if (key.kid !== kid) throw unusable(`${file} does not hold the key that its name stands for (${key.kid}).`)
  return key
}

async function readPrivate(file: string): Promise<string> {
  try {
    const handle = await open(file)
    try {
      // Of the open file, so that what is checked is what is read.
      refuseWide(file, (await handle.stat()).mode, FILE_MODE)
      return await handle.readFile('utf8')
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof PosternError) throw error
    throw unusable(`${file} cannot be read: ${String(error)}`, error)
  }
}

function parse(file: string, pem: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem' })
  } catch (error) {
    throw unusable(`${file} does not hold a private key (PKCS#8, PEM, without a passphrase).`, error)
  }
}

async function describe(privateKey: KeyObject, createdAt: number, file = 'The key'): Promise<SigningKey> {
  const algorithm = algorithmOf(privateKey)
  if (algorithm === undefined) {
    throw unusable(`${file} is of a kind that is not used here: Ed25519, P-256, or RSA of 2048 bits or more.`)
  }
  const publicJwk = Object.freeze(publicMembers(privateKey, algorithm))
  const thumbprint = await calculateJwkThumbprint(publicJwk)
  const kid = `${new Date(createdAt).toISOString().replace(/[-:.]/g, '')}-${thumbprint.slice(0, 16)}`
  return Object.freeze({ kid, algorithm, createdAt, privateKey, publicJwk })
}

function creationTime(kid: string): number | undefined {
  const parts = KID.exec(kid)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second, milli] = parts
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${milli}Z`)
  return Number.isNaN(time) ? undefined : time
}

/** Whoever reads a signing key can be anybody at the backend. (Windows keeps no such modes.) */
function isWide(mode: number): boolean {
  return platform() !== 'win32' && (mode & OTHERS) !== 0
}

function refuseWide(path: string, mode: number, allowed: number): void {
  if (!isWide(mode)) return
  throw unusable(`Others on this machine may use ${path}: chmod ${allowed.toString(8)} ${path}`)
}

function unusable(detail: string, cause?: unknown): PosternError {
  return new PosternError('keys_unusable', detail, { cause })
}
