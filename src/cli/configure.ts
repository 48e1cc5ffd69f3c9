import { existsSync } from 'node:fs'
import { loadConfig } from '../config/load.ts'
import type { Problem, Warning } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import { PosternError } from '../errors.ts'
import type { parseCommand } from './arguments.ts'
import type { CliContext } from './context.ts'

/** Where a configuration is looked for when nobody says. */
const USUAL_PLACES = ['./postern.yaml', '/etc/postern/postern.yaml']

/** Options of every command that needs the configuration. */
export const CONFIG_OPTIONS = {
  config: { type: 'string', short: 'c' },
  upstream: { type: 'string' },
  set: { type: 'string', multiple: true },
} as const

type ConfigValues = ReturnType<typeof parseCommand<typeof CONFIG_OPTIONS>>['values']

export interface Configured {
  readonly config: Config
  readonly warnings: readonly Warning[]
  /** The file that was read, if any. */
  readonly file: string | undefined
}

/** @throws PosternError `config_invalid` whose message has every problem, one a line; `usage` */
export function configure(values: ConfigValues, { env }: Pick<CliContext, 'env'>): Configured {
  const file = values.config ?? env['POSTERN_CONFIG'] ?? USUAL_PLACES.find((place) => existsSync(place))
  const overrides = Object.fromEntries((values.set ?? []).map(assignment))
  if (values.upstream !== undefined) overrides['upstream.url'] = values.upstream
  const loaded = loadConfig({ file, env, overrides })
  if (loaded.ok) return { config: loaded.config, warnings: loaded.warnings, file }
  throw new PosternError('config_invalid', loaded.problems.map(problemLine).join('\n'))
}

function assignment(text: string): [string, string] {
  const equals = text.indexOf('=')
  if (equals < 1) throw new PosternError('usage', `--set takes setting=value, not '${text}'.`)
  return [text.slice(0, equals), text.slice(equals + 1)]
}

function problemLine({ path, message, hint, where }: Problem): string {
  // `--set upstream.url` and `POSTERN_UPSTREM_URL` say already what it is about.
  const place = where?.endsWith(path) === true ? where : [where, path].filter((part) => part).join(' ')
  return `${place === '' ? '' : `${place}: `}${message}${hint === undefined ? '' : ` (${hint})`}`
}

export function warningLine({ path, message, hint }: Warning): string {
  return `${path}: ${message}${hint === undefined ? '' : ` (${hint})`}`
}
