import { generateKey, list, prune, rotate } from '../assertion/keys.ts'
import type { FolderOptions } from '../assertion/keys.ts'
import type { Config } from '../config/schema.ts'
import { chosen, parseCommand } from './arguments.ts'
import { CONFIG_OPTIONS, configure } from './configure.ts'
import type { CliContext } from './context.ts'
import { table } from './table.ts'

interface Keys {
  readonly context: CliContext
  readonly options: FolderOptions
  readonly algorithm: Config['assertion']['algorithm']
  readonly json: boolean
}

const COMMANDS: ReadonlyMap<string, (keys: Keys) => Promise<void>> = new Map([
  ['generate', generate],
  ['rotate', addNext],
  ['list', show],
  ['prune', removeDead],
])

export const KEYS_USAGE = [...COMMANDS.keys()].map((name) => `postern keys ${name} [--json] [--config FILE]`)

/**
 * `postern keys …`: the keys that sign assertions.
 * @throws PosternError `usage`, `config_invalid`, `keys_unusable`
 */
export async function runKeys(args: readonly string[], context: CliContext): Promise<void> {
  const command = chosen(COMMANDS, 'keys', args[0])
  const { values } = parseCommand(args.slice(1), [], { ...CONFIG_OPTIONS, json: { type: 'boolean' } })
  const { config } = configure(values, context)
  const { folder, publishFor } = config.keys
  const options = { folder, publishFor, lifetime: config.assertion.lifetime, now: context.now() }
  await command({ context, options, algorithm: config.assertion.algorithm, json: values.json === true })
}

async function generate({ context, options, algorithm, json }: Keys): Promise<void> {
  const { kid } = await generateKey(options.folder, algorithm, options.now)
  context.out(json ? JSON.stringify({ kid }) : `Made ${kid}; it signs from now on.`)
}

async function addNext({ context, options, algorithm, json }: Keys): Promise<void> {
  const { kid, usedFrom } = await rotate(options, algorithm)
  const from = new Date(usedFrom).toISOString()
  context.out(
    json
      ? JSON.stringify({ kid, usedFrom: from })
      : `Made ${kid}; it is published now and signs from ${from}.`,
  )
}

async function show({ context, options, json }: Keys): Promise<void> {
  const keys = await list(options)
  if (json) {
    context.out(JSON.stringify(keys))
    return
  }
  const rows = keys.map(({ kid, algorithm, state, createdAt }) => [
    kid,
    algorithm,
    state,
    new Date(createdAt).toISOString(),
  ])
  for (const line of table(['KID', 'ALGORITHM', 'STATE', 'CREATED'], rows)) context.out(line)
}

async function removeDead({ context, options, json }: Keys): Promise<void> {
  const kids = await prune(options)
  context.out(json ? JSON.stringify(kids) : `Removed ${kids.length === 0 ? 'nothing' : kids.join(', ')}.`)
}
