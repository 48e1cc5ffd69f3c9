import { parseArgs } from 'node:util'
import type { Config } from '../config/schema.ts'
import { PosternError } from '../errors.ts'
import { StandaloneStore } from '../profiles/standalone/store.ts'
import { parseCommand } from './arguments.ts'
import { CONFIG_OPTIONS, configure } from './configure.ts'
import type { CliContext } from './context.ts'

type StoreCommand = (args: readonly string[], context: CliContext, store: StandaloneStore) => Promise<void>

/** A command on our own directory, with the options that every command takes to find its configuration. */
export function onStore(run: StoreCommand): (args: readonly string[], context: CliContext) => Promise<void> {
  return async (args, context) => {
    const { values, rest } = takeConfigOptions(args)
    const store = openStore(configure(values, context).config, context)
    try {
      await run(rest, context, store)
    } finally {
      store.close()
    }
  }
}

function openStore({ profile, standalone }: Config, clock: Pick<CliContext, 'now'>): StandaloneStore {
  if (profile !== 'standalone') {
    throw new PosternError(
      'usage',
      `People and tokens are kept here by profile standalone alone; this is ${profile}.`,
    )
  }
  return new StandaloneStore({ file: standalone.database, tokenPrefix: standalone.tokenPrefix, clock })
}

/** The command itself is strict about all that is left. */
function takeConfigOptions(args: readonly string[]): {
  readonly values: Parameters<typeof configure>[0]
  readonly rest: readonly string[]
} {
  const { tokens } = parseArgs({ args: [...args], options: CONFIG_OPTIONS, strict: false, tokens: true })
  const taken = new Set<number>()
  const mine: string[] = []
  for (const token of tokens) {
    if (token.kind !== 'option' || !(token.name in CONFIG_OPTIONS)) continue
    const width = token.inlineValue === false ? 2 : 1
    for (let at = token.index; at < token.index + width; at++) taken.add(at)
    mine.push(...args.slice(token.index, token.index + width))
  }
  const { values } = parseCommand(mine, [], CONFIG_OPTIONS)
  return { values, rest: args.filter((_, index) => !taken.has(index)) }
}
