import type { StandaloneStore } from '../profiles/standalone/store.ts'
import { chosen, listed, parseCommand } from './arguments.ts'
import type { CliContext } from './context.ts'
import { readPassword } from './secret.ts'
import { table } from './table.ts'

type Command = (args: readonly string[], context: CliContext, store: StandaloneStore) => Promise<void> | void

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['add', add],
  ['list', list],
  ['passwd', passwd],
  ['disable', (args, context, store) => setEnabled(args, context, store, false)],
  ['enable', (args, context, store) => setEnabled(args, context, store, true)],
  ['remove', remove],
])

export const USER_USAGE = [
  'postern user add NAME [--role ROLE] [--scopes a,b] [--password-file FILE]',
  'postern user list [--json]',
  'postern user passwd NAME [--password-file FILE]',
  'postern user disable NAME',
  'postern user enable NAME',
  'postern user remove NAME',
]

/**
 * `postern user …`: the people of the standalone profile.
 * @throws PosternError `usage`
 */
export async function runUser(
  args: readonly string[],
  context: CliContext,
  store: StandaloneStore,
): Promise<void> {
  await chosen(COMMANDS, 'user', args[0])(args.slice(1), context, store)
}

async function add(args: readonly string[], context: CliContext, store: StandaloneStore): Promise<void> {
  const { values, operands } = parseCommand(args, ['NAME'], {
    role: { type: 'string' },
    scopes: { type: 'string', default: '' },
    'password-file': { type: 'string' },
  })
  const [name = ''] = operands
  const password = await readPassword(values['password-file'], `Password for ${name}: `, context)
  await store.addUser(name, password, { role: values.role, scopes: listed(values.scopes) })
  context.err(`Added ${name}.`)
}

function list(args: readonly string[], context: CliContext, store: StandaloneStore): void {
  const { values } = parseCommand(args, [], { json: { type: 'boolean' } })
  const users = store.listUsers()
  if (values.json === true) {
    context.out(JSON.stringify(users))
    return
  }
  const rows = users.map((user) => [
    user.id,
    user.username,
    user.enabled ? 'enabled' : 'disabled',
    user.role ?? '-',
    new Date(user.createdAt).toISOString(),
    user.scopes.join(' '),
  ])
  for (const line of table(['ID', 'NAME', 'STATE', 'ROLE', 'CREATED', 'SCOPES'], rows)) context.out(line)
}

async function passwd(args: readonly string[], context: CliContext, store: StandaloneStore): Promise<void> {
  const { values, operands } = parseCommand(args, ['NAME'], { 'password-file': { type: 'string' } })
  const [name = ''] = operands
  const password = await readPassword(values['password-file'], `New password for ${name}: `, context)
  await store.setPassword(name, password)
  context.err(`${name} has a new password; tokens are as they were.`)
}

function setEnabled(
  args: readonly string[],
  context: CliContext,
  store: StandaloneStore,
  enabled: boolean,
): void {
  const [name = ''] = parseCommand(args, ['NAME'], {}).operands
  store.setEnabled(name, enabled)
  context.err(`${name} is ${enabled ? 'enabled' : 'disabled'}.`)
}

function remove(args: readonly string[], context: CliContext, store: StandaloneStore): void {
  const [name = ''] = parseCommand(args, ['NAME'], {}).operands
  store.removeUser(name)
  context.err(`${name} is gone, and so are the tokens.`)
}
