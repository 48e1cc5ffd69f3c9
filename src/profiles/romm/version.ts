/**
 * What differs between RomM's releases. Whatever is not known is taken to be the newest: it is the strictest about
 * what a status means.
 */
export interface RommBehaviour {
  /** RomM fact: until 5.1 a missing credential is 403, as a missing scope is. */
  readonly anonymousStatus: 401 | 403
  /** Whose scopes kiosk mode cuts down to reading: until 4.9 viewers', in 5.0 and 5.1 everybody's but admins', since then only the guest's. */
  readonly kioskCaps: 'viewers' | 'everybody' | 'guest'
}

/** What was looked at, route by route. */
export const KNOWN_RELEASES = { from: '4.8', to: '5.2' } as const

export function knowledgeOf(version: string | undefined): 'known' | 'older' | 'newer' | 'unnamed' {
  const release = releaseOf(version)
  if (release === undefined) return 'unnamed'
  if (release < (releaseOf(KNOWN_RELEASES.from) ?? 0)) return 'older'
  return release > (releaseOf(KNOWN_RELEASES.to) ?? 0) ? 'newer' : 'known'
}

/** `5.2.0` as 502; undefined for one that has no number. */
export function releaseOf(version: string | undefined): number | undefined {
  const match = /^v?(\d+)\.(\d+)/.exec(version ?? '')
  return match === null ? undefined : Number(match[1]) * 100 + Number(match[2])
}

/** @param version as the backend words it: `5.2.0`, `5.1.1-beta.1`, `development` */
export function behaviourOf(version: string | undefined): RommBehaviour {
  const release = releaseOf(version)
  if (release === undefined) return { anonymousStatus: 401, kioskCaps: 'guest' }
  // RomM fact: both changes came with 5.1.1-beta.1.
  const isNew = release >= 502 || /^v?5\.1\.[1-9]/.test(version ?? '')
  return {
    anonymousStatus: isNew ? 401 : 403,
    kioskCaps: isNew ? 'guest' : release >= 500 ? 'everybody' : 'viewers',
  }
}
