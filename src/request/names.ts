/**
 * Names of headers, letters compared without case (RFC 9110 §5.1). A request has many and each is looked at often; nearly
 * all can be told from a wanted one by their length or first letter, without another string being made.
 */

/** @param lower the wanted name, in lower case; begins with a letter */
export function isNamed(name: string, lower: string): boolean {
  return (
    name.length === lower.length &&
    (name.charCodeAt(0) | 0x20) === lower.charCodeAt(0) &&
    name.toLowerCase() === lower
  )
}

/**
 * @param lower the wanted names, in lower case
 * @returns whether a name is one of them
 */
export function anyNamed(lower: Iterable<string>): (name: string) => boolean {
  const names = new Set(lower)
  const mayBe = sieve(names)
  return (name) => mayBe(name) && names.has(name.toLowerCase())
}

/**
 * What length and first letter tell: whether a name may be one of the wanted, or begin like one of the prefixes. Never wrongly false.
 * @param names in lower case
 * @param prefixes in lower case
 */
export function sieve(names: Iterable<string>, prefixes: readonly string[] = []): (name: string) => boolean {
  const wanted = [...names]
  const longer = Math.max(0, ...[...wanted, ...prefixes].map((name) => name.length)) + 1
  /** By length, a bit for each first letter; all that is longer than any of the wanted stands at the end. */
  const letters = new Int32Array(longer + 1)
  const note = (length: number, name: string): void => {
    letters[length] = (letters[length] ?? 0) | (1 << letterOf(name))
  }
  for (const name of wanted) note(name.length, name)
  for (const prefix of prefixes) for (let at = prefix.length; at <= longer; at++) note(at, prefix)
  return (name) => {
    const letter = letterOf(name)
    const known = letters[name.length < longer ? name.length : longer] ?? 0
    return letter < 0 || letter > 25 || ((known >> letter) & 1) === 1
  }
}

/** 0 to 25 for a letter in either case, something else for whatever is none. */
function letterOf(name: string): number {
  return (name.charCodeAt(0) | 0x20) - 0x61
}
