/**
 * Cookies as RomM's framework reads them, so that no spelling is a session there and nothing here.
 * RomM fact: of several cookies of one name, over all Cookie headers, the last counts; white space around names and
 * values is stripped as Python's `str.strip` does; quoted values are unquoted with octal and backslash escapes.
 */

// Python's str.isspace() within Latin-1, the charset of header bytes.
const SPACES = '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0'
const WORD = new RegExp(`[^${SPACES}]+`, 'g')

/** As Python's `str.strip`. Not a pattern: one that ends in `$` takes seconds over a header full of spaces. */
export function strip(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && SPACES.includes(text.charAt(from))) from++
  while (from < to && SPACES.includes(text.charAt(to - 1))) to--
  return text.slice(from, to)
}

/** As Python's `str.split` without arguments. */
export function splitOnSpace(text: string): string[] {
  return text.match(WORD) ?? []
}

export interface SplitCookies {
  /** The last value of the cookie, unquoted; undefined when there is none. */
  readonly value: string | undefined
  /** Every other cookie, as it was sent. */
  readonly others: readonly string[]
}

/** Takes one cookie out of a request's Cookie headers. */
export function splitCookies(headers: readonly string[], name: string): SplitCookies {
  let value: string | undefined
  const others: string[] = []
  for (const header of headers) {
    for (const chunk of header.split(';')) {
      const equals = chunk.indexOf('=')
      if (equals !== -1 && strip(chunk.slice(0, equals)) === name)
        value = unquote(strip(chunk.slice(equals + 1)))
      else if (strip(chunk) !== '') others.push(strip(chunk))
    }
  }
  return { value, others }
}

function unquote(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value
  return value
    .slice(1, -1)
    .replace(/\\(?:([0-3][0-7][0-7])|(.))/g, (_, octal: string | undefined, char: string) =>
      octal === undefined ? char : String.fromCharCode(Number.parseInt(octal, 8)),
    )
}
