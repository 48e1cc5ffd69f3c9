import { createHash, createHmac, hash, randomBytes } from 'node:crypto'

/** Lower-case hexadecimal SHA-256 of `text` in UTF-8. */
export function sha256(text: string): string {
  return hash('sha256', text, 'hex')
}

/** What a session is known by wherever its id, which is a credential, must not stand. */
export function sessionDigest(id: string): string {
  return sha256(`session:${id}`)
}

/**
 * A key over several parts. Each part's length goes before it: joined without, `ab`+`c` and `a`+`bc` would share
 * one entry (CVE-2026-71326).
 */
export function digestOf(...parts: readonly string[]): string {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(framed(part))
  return digest.digest('hex')
}

/** As `digestOf`, with a secret: for what must not be guessable from its digest, passwords above all. */
export function keyedDigestOf(key: Buffer | string, ...parts: readonly string[]): string {
  const digest = createHmac('sha256', key)
  for (const part of parts) digest.update(framed(part))
  return digest.digest('hex')
}

/**
 * As `keyedDigestOf`, with a secret that nobody has and that dies with the process: for passwords, on every request. It is built
 * as an HMAC is (FIPS 198-1), of one-shot hashes, which cost a third of a keyed stream; each key fills SHA-256's block.
 */
export function createSecretDigest(): (...parts: readonly string[]) => string {
  const inner = randomBytes(32).toString('hex')
  const outer = randomBytes(32).toString('hex')
  return (...parts) => {
    let text = inner
    for (const part of parts) text += `${part.length}:${part}`
    return sha256(outer + sha256(text))
  }
}

function framed(part: string): Buffer {
  const bytes = Buffer.from(part, 'utf8')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
