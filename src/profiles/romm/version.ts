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

/** @param version as the backend words it: `5.2.0`, `5.1.1-beta.1`, `development` */
export function behaviourOf(version: string | undefined): RommBehaviour {
  const match = /^v?(\d+)\.(\d+)/.exec(version ?? '')
  if (match === null) return { anonymousStatus: 401, kioskCaps: 'guest' }
  const release = Number(match[1]) * 100 + Number(match[2])
  // RomM fact: both changes came with 5.1.1-beta.1.
  const isNew = release >= 502 || /^v?5\.1\.[1-9]/.test(version ?? '')
  return {
    anonymousStatus: isNew ? 401 : 403,
    kioskCaps: isNew ? 'guest' : release >= 500 ? 'everybody' : 'viewers',
  }
}
