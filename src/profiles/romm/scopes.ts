import { LRUCache } from 'lru-cache'
import { ScopeSet } from '../../identity/scope.ts'
import type { RommBehaviour } from './version.ts'

/** RomM fact: the reading scopes, which kiosk mode leaves. */
export const READ_SCOPES = ScopeSet.of([
  'me.read',
  'roms.read',
  'platforms.read',
  'assets.read',
  'devices.read',
  'firmware.read',
  'roms.user.read',
  'collections.read',
  'playlists.read',
])
const WRITE_SCOPES = ScopeSet.of([
  ...READ_SCOPES,
  'me.write',
  'assets.write',
  'devices.write',
  'roms.user.write',
  'collections.write',
  'playlists.write',
])
const EDIT_SCOPES = ScopeSet.of([...WRITE_SCOPES, 'roms.write', 'platforms.write', 'firmware.write'])
const FULL_SCOPES = ScopeSet.of([...EDIT_SCOPES, 'users.read', 'users.write', 'tasks.run', 'logs.read'])

/** RomM fact: what every user has, whatever the group says. */
const ALWAYS_ON = ['me.read', 'me.write', 'roms.user.read', 'roms.user.write']

/** RomM fact: the entities whose `read` and `write` are scopes of the same name; two more have one each. */
const PROJECTED = new Map<string, string>([
  ...['roms', 'platforms', 'firmware', 'collections', 'playlists', 'assets', 'devices', 'users'].flatMap(
    (entity): [string, string][] => [
      [`${entity}.read`, `${entity}.read`],
      [`${entity}.write`, `${entity}.write`],
    ],
  ),
  ['tasks.write', 'tasks.run'],
  ['logs.read', 'logs.read'],
])

/** What a permission row names: an entity and an action. */
export interface Permission {
  readonly entity: string
  readonly action: string
}

/**
 * Scopes of a user since 5.0: a group's grants, changed by the user's own overrides.
 * @param grants of the user's group, or of the default group for a user without one
 */
export function scopesOfGrants(
  role: string,
  grants: readonly Permission[],
  overrides: readonly (Permission & { readonly granted: boolean })[],
  kiosk: boolean,
  behaviour: RommBehaviour,
): ScopeSet {
  if (role === 'admin') return FULL_SCOPES
  const held = new Set(grants.map(nameOf))
  for (const override of overrides) {
    if (override.granted) held.add(nameOf(override))
    else held.delete(nameOf(override))
  }
  const projected = [...held].flatMap((name) => PROJECTED.get(name) ?? [])
  const scopes = FULL_SCOPES.intersect([...ALWAYS_ON, ...projected])
  return interned(kiosk && behaviour.kioskCaps === 'everybody' ? scopes.intersect(READ_SCOPES) : scopes)
}

/** Kept; an installation's users hold one of few sets. */
const MOST_SETS = 1_000
const sets = new LRUCache<string, ScopeSet>({ max: MOST_SETS })

/** The same set for the same names: a user who was read again is seen at a glance to hold what they held. */
function interned(scopes: ScopeSet): ScopeSet {
  const names = scopes.toString()
  const known = sets.get(names)
  if (known !== undefined) return known
  sets.set(names, scopes)
  return scopes
}

/** Scopes of a user until 4.9, whose role says everything. An unknown role holds nothing. */
export function scopesOfRole(role: string, kiosk: boolean): ScopeSet {
  switch (role.toLowerCase()) {
    case 'admin':
      return FULL_SCOPES
    case 'editor':
      return EDIT_SCOPES
    case 'viewer':
      return kiosk ? READ_SCOPES : WRITE_SCOPES
    default:
      return ScopeSet.none
  }
}

function nameOf(permission: Permission): string {
  return `${permission.entity}.${permission.action}`
}
