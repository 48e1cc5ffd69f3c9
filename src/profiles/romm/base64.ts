const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const VALUES = new Map(Array.from(ALPHABET, (char, index) => [char, index]))
const BEYOND_ASCII = /[\u0080-\uffff]/
/** Nothing to skip and no padding but at the end: every reader takes the same bytes from it, and drops the same last bits. */
const PLAIN = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/**
 * base64 as RomM decodes it (Python's `b64decode` without validation): characters outside the alphabet, URL-safe ones
 * included, are skipped, but text beyond ASCII is refused; what follows complete padding is ignored.
 * @returns a character for each byte; undefined where Python raises an error
 */
export function decodeBase64(text: string): string | undefined {
  return PLAIN.test(text) ? atob(text) : decodeLeniently(text)?.toString('latin1')
}

function decodeLeniently(text: string): Buffer | undefined {
  if (BEYOND_ASCII.test(text)) return undefined
  const bytes: number[] = []
  let pads = 0
  let position = 0
  let left = 0
  for (const char of text) {
    if (char === '=') {
      if (position >= 2 && position + ++pads >= 4) return Buffer.from(bytes)
      continue
    }
    const bits = VALUES.get(char)
    if (bits === undefined) continue
    pads = 0
    if (position > 0) bytes.push((((left << 6) | bits) >> (6 - 2 * position)) & 0xff)
    left = bits
    position = (position + 1) % 4
  }
  return position === 0 ? Buffer.from(bytes) : undefined
}
