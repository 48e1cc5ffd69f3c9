import { chosen, listed, parseCommand } from './arguments.ts'
import { CONFIG_OPTIONS } from './configure.ts'
import type { CliContext } from './context.ts'
import { readPassword } from './secret.ts'
import { withStore } from './store.ts'
import { table } from './table.ts'

type Command = (args: readonly string[], context: CliContext) => Promise<void>

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['add', add],
  ['list', list],
  ['passwd', passwd],
  ['disable', (args, context) => setEnabled(args, context, false)],
  ['enable', (args, context) => setEnabled(args, context, true)],
  ['remove', remove],
])

export const USER_USAGE = [
  'postern user add NAME [--role ROLE] [--scopes a,b] [--password-file FILE] [--config FILE]',
  'postern user list [--json] [--config FILE]',
  'postern user passwd NAME [--password-file FILE] [--config FILE]',
  'postern user disable|enable|remove NAME [--config FILE]',
]

/**
 * `postern user …`: the people of the standalone profile.
 * @throws PosternError `usage`, `config_invalid`
 */
export async function runUser(args: readonly string[], context: CliContext): Promise<void> {
  await chosen(COMMANDS, 'user', args[0])(args.slice(1), context)
}

async function add(args: readonly string[], context: CliContext): Promise<void> {
  const { values, operands } = parseCommand(args, ['NAME'], {
    ...CONFIG_OPTIONS,
    role: { type: 'string' },
    scopes: { type: 'string', default: '' },
    'password-file': { type: 'string' },
  })
  const [name = ''] = operands
  await withStore(values, context, async (store) => {
    const password = await readPassword(values['password-file'], `Password for ${name}: `, context)
    await store.addUser(name, password, { role: values.role, scopes: listed(values.scopes) })
  })
  context.err(`Added ${name}.`)
}

async function list(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], { ...CONFIG_OPTIONS, json: { type: 'boolean' } })
  await withStore(values, context, (store) => {
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
  })
}

async function passwd(args: readonly string[], context: CliContext): Promise<void> {
  const options = { ...CONFIG_OPTIONS, 'password-file': { type: 'string' } } as const
  const { values, operands } = parseCommand(args, ['NAME'], options)
  const [name = ''] = operands
  await withStore(values, context, async (store) => {
    const password = await readPassword(values['password-file'], `New password for ${name}: `, context)
    await store.setPassword(name, password)
  })
  context.err(`${name} has a new password; tokens are as they were.`)
}

async function setEnabled(args: readonly string[], context: CliContext, enabled: boolean): Promise<void> {
  const { values, operands } = parseCommand(args, ['NAME'], CONFIG_OPTIONS)
  const [name = ''] = operands
  await withStore(values, context, (store) => store.setEnabled(name, enabled))
  context.err(`${name} is ${enabled ? 'enabled' : 'disabled'}.`)
}

async function remove(args: readonly string[], context: CliContext): Promise<void> {
  const { values, operands } = parseCommand(args, ['NAME'], CONFIG_OPTIONS)
  const [name = ''] = operands
  await withStore(values, context, (store) => store.removeUser(name))
  context.err(`${name} is gone, and so are the tokens.`)
}
