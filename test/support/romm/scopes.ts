/** RomM fact: the four tiers, in the order in which it lists scopes. */
export const READ = [
  'me.read',
  'roms.read',
  'platforms.read',
  'assets.read',
  'devices.read',
  'firmware.read',
  'roms.user.read',
  'collections.read',
  'playlists.read',
]
export const WRITE = [
  ...READ,
  'me.write',
  'assets.write',
  'devices.write',
  'roms.user.write',
  'collections.write',
  'playlists.write',
]
export const EDIT = [...WRITE, 'roms.write', 'platforms.write', 'firmware.write']
const FULL = [...EDIT, 'users.read', 'users.write', 'tasks.run', 'logs.read']

export const ALWAYS_ON = ['me.read', 'me.write', 'roms.user.read', 'roms.user.write']
const PROJECTED = new Set([
  'roms',
  'platforms',
  'firmware',
  'collections',
  'playlists',
  'assets',
  'devices',
  'users',
])

interface Grant {
  readonly entity: string
  readonly action: string
}

/** RomM fact: what a grant (entity, action) gives; every `delete`, tasks.read and logs.write give nothing. */
export function scopeOfGrant({ entity, action }: Grant): string | undefined {
  if (entity === 'tasks') return action === 'write' ? 'tasks.run' : undefined
  if (entity === 'logs') return action === 'read' ? 'logs.read' : undefined
  return PROJECTED.has(entity) && action !== 'delete' ? `${entity}.${action}` : undefined
}

/** How releases differ in what a user may do and in what they answer. */
export interface Generation {
  /** Whom kiosk mode limits to reading, besides the anonymous guest. */
  readonly kioskCaps: 'viewers' | 'users' | 'nobody'
  readonly rights: 'roles' | 'groups'
  readonly anonymousStatus: 401 | 403
  readonly scopes: readonly string[]
}

/** @param version `major.minor.patch`; anything else counts as the newest */
export function generationOf(version: string): Generation {
  const [, major = '5', minor = '2'] = /^(\d+)\.(\d+)/.exec(version) ?? []
  const release = Number(major) * 1000 + Number(minor)
  return {
    kioskCaps: release < 5000 ? 'viewers' : release < 5002 ? 'users' : 'nobody',
    rights: release < 5000 ? 'roles' : 'groups',
    anonymousStatus: release < 5002 ? 403 : 401,
    scopes: FULL.filter(
      (scope) =>
        !(scope === 'logs.read' && release < 5000) && !(scope.startsWith('playlists.') && release < 5001),
    ),
  }
}
