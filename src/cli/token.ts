import { parseDuration } from '../config/values.ts'
import { PosternError } from '../errors.ts'
import type { ListedToken } from '../profiles/standalone/store.ts'
import { chosen, listed, parseCommand } from './arguments.ts'
import { CONFIG_OPTIONS } from './configure.ts'
import type { CliContext } from './context.ts'
import { withStore } from './store.ts'
import { table } from './table.ts'

type Command = (args: readonly string[], context: CliContext) => Promise<void>

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['create', create],
  ['list', list],
  ['revoke', revoke],
])

export const TOKEN_USAGE = [
  'postern token create --user NAME --name LABEL [--scopes a,b] [--expires 90d] [--json] [--config FILE]',
  'postern token list [--user NAME] [--json] [--config FILE]',
  'postern token revoke ID [--config FILE]',
]

/**
 * `postern token …`: tokens of the standalone profile's people.
 * @throws PosternError `usage`, `config_invalid`
 */
export async function runToken(args: readonly string[], context: CliContext): Promise<void> {
  await chosen(COMMANDS, 'token', args[0])(args.slice(1), context)
}

async function create(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], {
    ...CONFIG_OPTIONS,
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
  await withStore(values, context, (store) => {
    const made = store.addToken(user, name, {
      scopes: scopes === undefined ? undefined : listed(scopes),
      expiresAt,
    })
    context.out(values.json === true ? JSON.stringify({ ...made, expiresAt }) : made.token)
    context.err(`Token ${made.id} of ${user} (expires: ${ending(expiresAt)}). It is not shown again.`)
  })
}

async function list(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], {
    ...CONFIG_OPTIONS,
    user: { type: 'string' },
    json: { type: 'boolean' },
  })
  await withStore(values, context, (store) => {
    const tokens = store.listTokens(values.user)
    if (values.json === true) context.out(JSON.stringify(tokens))
    else for (const line of tableOf(tokens, context.now())) context.out(line)
  })
}

async function revoke(args: readonly string[], context: CliContext): Promise<void> {
  const { values, operands } = parseCommand(args, ['ID'], CONFIG_OPTIONS)
  const [id = ''] = operands
  await withStore(values, context, (store) => store.revokeToken(id))
  context.err(`Token ${id} is revoked.`)
}

function tableOf(tokens: readonly ListedToken[], now: number): string[] {
  const rows = tokens.map(({ id, username, name, scopes, expiresAt = Infinity }) => {
    return [id, username, name, expiresAt <= now ? 'expired' : ending(expiresAt), scopes.join(' ')]
  })
  return table(['ID', 'USER', 'NAME', 'EXPIRES', 'SCOPES'], rows)
}

function durationOf(text: string): number {
  const duration = parseDuration(text)
  if (duration === undefined || duration === 0) {
    throw new PosternError('usage', '--expires is a duration with its unit, such as 12h or 90d.')
  }
  return duration
}

function ending(expiresAt = Infinity): string {
  return expiresAt === Infinity ? 'never' : new Date(expiresAt).toISOString()
}
