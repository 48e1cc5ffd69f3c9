/** RomM fact: its scopes, in its words; written down here once more, so that a slip in the source shows. */
const BY_LEVEL = {
  read: 'me roms platforms assets devices firmware roms.user collections playlists',
  write: 'me assets devices roms.user collections playlists',
  edit: 'roms platforms firmware',
} as const

const named = (entities: string, action: string): string[] =>
  entities.split(' ').map((entity) => `${entity}.${action}`)

export const READ_SCOPES: readonly string[] = named(BY_LEVEL.read, 'read')
export const WRITE_SCOPES: readonly string[] = [...READ_SCOPES, ...named(BY_LEVEL.write, 'write')]
export const EDIT_SCOPES: readonly string[] = [...WRITE_SCOPES, ...named(BY_LEVEL.edit, 'write')]
export const FULL_SCOPES: readonly string[] = [
  ...EDIT_SCOPES,
  'users.read',
  'users.write',
  'tasks.run',
  'logs.read',
]
