import { parseDuration } from '../config/values.ts'
import { PosternError } from '../errors.ts'
import type { StandaloneStore } from '../profiles/standalone/store.ts'
import { chosen, listed, parseCommand } from './arguments.ts'
import type { CliContext } from './context.ts'
import { table } from './table.ts'

type Command = (args: readonly string[], context: CliContext, store: StandaloneStore) => void

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['create', create],
  ['list', list],
  ['revoke', revoke],
])

export const TOKEN_USAGE = [
  'postern token create --user NAME --name LABEL [--scopes a,b] [--expires 90d] [--json]',
  'postern token list [--user NAME] [--json]',
  'postern token revoke ID',
]

/**
 * `postern token …`: tokens of the standalone profile's people.
 * @throws PosternError `usage`
 */
export function runToken(args: readonly string[], context: CliContext, store: StandaloneStore): void {
  chosen(COMMANDS, 'token', args[0])(args.slice(1), context, store)
}

function create(args: readonly string[], context: CliContext, store: StandaloneStore): void {
  const { values } = parseCommand(args, [], {
    user: { type: 'string' },
    name: { type: 'string' },
    scopes: { type: 'string' },
    expires: { type: 'string' },
    json: { type: 'boolean' },
  })
  const { user, name, scopes, expires } = values
  if (user === undefined || name === undefined)
    throw new PosternError('usage', '--user and --name are needed.')
  const expiresAt = expires === undefined ? undefined : context.now() + durationOf(expires)
  const made = store.addToken(user, name, {
    ...(scopes !== undefined && { scopes: listed(scopes) }),
    ...(expiresAt !== undefined && { expiresAt }),
  })
  context.out(values.json === true ? JSON.stringify({ ...made, expiresAt }) : made.token)
  context.err(`Token ${made.id} of ${user} (expires: ${ending(expiresAt)}). It is not shown again.`)
}

function list(args: readonly string[], context: CliContext, store: StandaloneStore): void {
  const { values } = parseCommand(args, [], { user: { type: 'string' }, json: { type: 'boolean' } })
  const tokens = store.listTokens(values.user)
  if (values.json === true) {
    context.out(JSON.stringify(tokens))
    return
  }
  const rows = tokens.map(({ id, username, name, scopes, expiresAt }) => {
    const isOver = expiresAt !== undefined && expiresAt <= context.now()
    return [id, username, name, isOver ? 'expired' : ending(expiresAt), scopes.join(' ')]
  })
  for (const line of table(['ID', 'USER', 'NAME', 'EXPIRES', 'SCOPES'], rows)) context.out(line)
}

function revoke(args: readonly string[], context: CliContext, store: StandaloneStore): void {
  const [id = ''] = parseCommand(args, ['ID'], {}).operands
  store.revokeToken(id)
  context.err(`Token ${id} is revoked.`)
}

function durationOf(text: string): number {
  const duration = parseDuration(text)
  if (duration === undefined || duration === 0) {
    throw new PosternError('usage', '--expires is a duration with its unit, such as 12h or 90d.')
  }
  return duration
}

function ending(expiresAt: number | undefined): string {
  return expiresAt === undefined ? 'never' : new Date(expiresAt).toISOString()
}
