import { ROMM_ENVIRONMENT } from '../profiles/romm/environment.ts'
import { readSetting, type ReadText, type Source } from './file.ts'
import type { Environment } from './interpolate.ts'
import type { Given } from './layer.ts'
import { suggestion, type Problem } from './problem.ts'
import { fromText, isYes } from './text.ts'
import { ENV_PREFIX, settingAt, settingOfVariable, SETTINGS } from './tree.ts'

/** Variables of ours that are no setting: `POSTERN_CONFIG` names the configuration file. */
const NOT_SETTINGS: ReadonlySet<string> = new Set(['POSTERN_CONFIG'])

/**
 * Kubernetes describes every Service of a namespace to every container; one called `postern` or `postern-redis`
 * makes `POSTERN_PORT=tcp://10.0.0.1:8090` and the like, which nobody wrote.
 */
const SERVICE_LINK =
  /_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/
const SERVICE_LINK_VALUE = /^(?:tcp|udp|sctp):\/\//

/** `POSTERN_…` and `POSTERN_…_FILE`: a variable for every setting; empty ones count as absent. */
export function environmentLayer(env: Environment, read: ReadText): Source {
  const layer = new Map<string, Given>()
  const problems: Problem[] = []
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(ENV_PREFIX) || !value || NOT_SETTINGS.has(name) || isServiceLink(name, value))
      continue
    const setting = settingOfVariable(name) ?? settingOfVariable(name.replace(/_FILE$/, ''))
    const text = setting ? textOf(setting.path, setting.env, name, env, read) : unknownVariable(name)
    if (typeof text !== 'string') problems.push(text)
    else if (setting) layer.set(setting.path, { value: fromText(setting.node, text), where: name })
  }
  return { layer, problems }
}

/** RomM's own variables. A Redis that is given as a URL is given whole, so `REDIS_*` are left out then. */
export function rommLayer(env: Environment, read: ReadText, redisByUrl: boolean): Source {
  const layer = new Map<string, Given>()
  const problems: Problem[] = []
  for (const [plain, path] of Object.entries(ROMM_ENVIRONMENT)) {
    const node = settingAt(path)?.node
    if (!node || (redisByUrl && path.startsWith('romm.redis.'))) continue
    for (const name of [plain, `${plain}_FILE`].filter((variable) => env[variable])) {
      const text = textOf(path, plain, name, env, read)
      if (typeof text !== 'string') problems.push(text)
      else
        layer.set(path, { value: node.type === 'boolean' ? isYes(text) : fromText(node, text), where: name })
    }
  }
  return { layer, problems }
}

/** Settings of the command line, by dotted path. */
export function overridesLayer(overrides: Readonly<Record<string, string>>): Source {
  const layer = new Map<string, Given>()
  const problems: Problem[] = []
  for (const [path, text] of Object.entries(overrides)) {
    const setting = settingAt(path)
    const where = `--set ${path}`
    if (setting) layer.set(path, { value: fromText(setting.node, text), where })
    else {
      const paths = SETTINGS.map((known) => known.path)
      problems.push({ path, message: 'is not a setting', ...suggestion(path, paths), where })
    }
  }
  return { layer, problems }
}

/** What the variable `name` says, which is `plain` or names a file with its text. */
function textOf(
  path: string,
  plain: string,
  name: string,
  env: Environment,
  read: ReadText,
): string | Problem {
  if (name === plain) return env[plain] ?? ''
  if (!env[plain]) return readSetting(path, env[name] ?? '', name, read)
  return { path, message: `both ${plain} and ${name} are set`, hint: 'unset one of them', where: name }
}

function isServiceLink(name: string, text: string): boolean {
  return SERVICE_LINK.test(name) && (!settingOfVariable(name) || SERVICE_LINK_VALUE.test(text))
}

function unknownVariable(name: string): Problem {
  const known = SETTINGS.map((setting) => setting.env)
  return {
    path: name,
    message: 'is not the variable of any setting',
    ...suggestion(name, known),
    where: name,
  }
}
