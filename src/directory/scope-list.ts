import { LRUCache } from 'lru-cache'

/** Kept; most tokens of an installation carry one of few lists. */
const MOST = 1_000

const lists = new LRUCache<string, readonly string[]>({ max: MOST })

/**
 * The names in a text that white space separates. The same text gives the same list: cached tokens share it, and one that
 * was read again is seen at a glance to say what it said.
 */
export function scopeList(text: string): readonly string[] {
  const known = lists.get(text)
  if (known !== undefined) return known
  const names = Object.freeze(text.split(/\s+/).filter((name) => name !== ''))
  lists.set(text, names)
  return names
}
