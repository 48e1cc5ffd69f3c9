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
  const lengths = new Set([...names].map((name) => name.length))
  return (name) => lengths.has(name.length) && names.has(name.toLowerCase())
}
