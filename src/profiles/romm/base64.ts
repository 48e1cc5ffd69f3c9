const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const VALUES = new Map(Array.from(ALPHABET, (char, index) => [char, index]))
const BEYOND_ASCII = /[\u0080-\uffff]/

/**
 * base64 as RomM decodes it (Python's `b64decode` without validation): characters outside the alphabet, URL-safe ones
 * included, are skipped, but text beyond ASCII is refused; what follows complete padding is ignored.
 * @returns undefined where Python raises an error
 */
export function decodeBase64(text: string): Buffer | undefined {
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
