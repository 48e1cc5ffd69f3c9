/**
 * How the parts of RomM that are Python read text, where JavaScript would read it otherwise. Header values
 * are Latin-1 on both sides.
 */

/** What `str.split()` and `str.strip()` take for white space: U+001C–1F, U+0085 and U+00A0 too. */
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0]'
const SPACES = new RegExp(`${SPACE}+`)
const OUTER_SPACES = new RegExp(`^${SPACE}+|${SPACE}+$`, 'g')

function strip(text: string): string {
  return text.replace(OUTER_SPACES, '')
}

export function splitWords(text: string): string[] {
  return strip(text)
    .split(SPACES)
    .filter((word) => word !== '')
}

/** `urllib.parse.unquote`: once, as UTF-8 with replacement, and a stray `%` stays. */
export function unquote(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString())
}

/**
 * RomM fact: `base64.b64decode` without validation. Foreign characters are skipped (`-` and `_` are foreign),
 * padding that completes a group ends the text.
 * @returns undefined where Python raises ("Incorrect padding")
 */
export function decodeBase64(text: string): Buffer | undefined {
  let digits = ''
  let pads = 0
  for (const character of text) {
    if (character === '=') {
      pads += 1
      if (digits.length % 4 >= 2 && (digits.length % 4) + pads >= 4) return Buffer.from(digits, 'base64')
    } else if (/[A-Za-z0-9+/]/.test(character)) {
      pads = 0
      digits += character
    }
  }
  return digits.length % 4 === 0 ? Buffer.from(digits, 'base64') : undefined
}

/** A pydantic "lax" integer: ` 1`, `+1`, `01`, `1_0` and `1.0` are taken. */
export function isInteger(text: string): boolean {
  return /^[+-]?\d+(?:_\d+)*(?:\.0*)?$/.test(strip(text))
}

/** The number that `isInteger` takes it for. */
export function readInteger(text: string | undefined): number {
  return Number(strip(text ?? '').replaceAll('_', ''))
}

/** RomM fact: the last of several cookies wins, names and values are stripped, quoted values unquoted. */
export function parseCookies(header: string | undefined): Map<string, string> {
  const cookies = new Map<string, string>()
  for (const pair of (header ?? '').split(';')) {
    const equals = pair.indexOf('=')
    const name = strip(pair.slice(0, Math.max(equals, 0)))
    const value = strip(pair.slice(equals + 1))
    if (name !== '' || value !== '') cookies.set(name, unquoteCookie(value))
  }
  return cookies
}

/** `http.cookies._unquote`: `"…"` with `\"` and three-digit octal escapes. */
function unquoteCookie(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value
  return value
    .slice(1, -1)
    .replace(/\\(?:([0-3][0-7]{2})|(.))/g, (_, octal?: string, plain?: string) =>
      octal === undefined ? (plain ?? '') : String.fromCharCode(parseInt(octal, 8)),
    )
}
