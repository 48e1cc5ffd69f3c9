import { readFileSync } from 'node:fs'
import { environmentLayer, overridesLayer, rommLayer } from './environment.ts'
import { fileLayer, stepsOf, type ReadText, type Source } from './file.ts'
import type { Environment } from './interpolate.ts'
import { givesSection, merged, nested, type Layer } from './layer.ts'
import type { Problem, Warning } from './problem.ts'
import type { Config } from './schema.ts'
import { contradictions, remarks } from './semantics.ts'
import { SECTIONS, settingAt } from './tree.ts'
import { validate, type Validated } from './validate.ts'
import { parseYaml } from './yaml.ts'

export interface ConfigInput {
  /** Path of the YAML file; without it and `text` there is none. */
  readonly file?: string | undefined
  /** Its text, if it is at hand. */
  readonly text?: string | undefined
  readonly env: Environment
  /** Settings of the command line by dotted path, written as in an environment variable. */
  readonly overrides?: Readonly<Record<string, string>>
  /** How files are read; UTF-8 from the disk unless told. */
  readonly read?: ReadText
}

export type LoadedConfig =
  | {
      readonly ok: true
      readonly config: Config
      readonly warnings: readonly Warning[]
      /** Where each setting that is not a default was written, by dotted path. */
      readonly written: ReadonlyMap<string, string>
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** A setting that has no default, for looking at the rest of a configuration that lacks it. */
const STAND_IN: Layer = new Map([['upstream.url', { value: 'http://127.0.0.1', where: '' }]])

/**
 * The whole configuration, or everything that is wrong with it. The command line comes before the environment,
 * the environment before the file, the file before RomM's own variables, and those before the defaults.
 */
export function loadConfig(input: ConfigInput): LoadedConfig {
  const read = input.read ?? ((path: string) => readFileSync(path, 'utf8'))
  const sources = sourcesOf(input, read)
  const given = merged(sources.map(({ layer }) => layer))
  const found = sources.flatMap(({ problems }) => problems)
  const validated = validate(nested(withDefaults(given)))
  if (found.length === 0 && validated.ok) return judged(validated.config, given)
  const faults = [...found, ...(validated.ok ? [] : validated.problems)]
  const all = [...faults, ...beyond(faults, given, validated)]
  return { ok: false, problems: all.map((problem) => located(problem, given)) }
}

/** In the order of precedence, the last first to give way. */
function sourcesOf({ file, text, env, overrides = {} }: ConfigInput, read: ReadText): readonly Source[] {
  const higher = [fromFile(file, text, env, read), environmentLayer(env, read), overridesLayer(overrides)]
  const given = merged(higher.map(({ layer }) => layer))
  if ((given.get('profile')?.value ?? 'romm') !== 'romm') return higher
  return [rommLayer(env, read, given.has('romm.redis.url')), ...higher]
}

function fromFile(
  file: string | undefined,
  text: string | undefined,
  env: Environment,
  read: ReadText,
): Source {
  const layer: Layer = new Map()
  const name = file ?? 'configuration'
  try {
    const yaml = text ?? (file === undefined ? undefined : read(file))
    if (yaml === undefined) return { layer, problems: [] }
    const parsed = parseYaml(yaml, name)
    return parsed.ok ? fileLayer(parsed.text, name, env, read) : { layer, problems: parsed.problems }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { layer, problems: [{ path: '', message: `the file cannot be read: ${reason}`, where: name }] }
  }
}

/** With the defaults that hang on other settings; the schema's own come with validation. */
function withDefaults(given: Layer): Layer {
  const layer = new Map(given)
  for (const { path: section, node, settings } of SECTIONS) {
    if (section !== '' && node.default === undefined && !givesSection(given, section)) continue
    for (const {
      path,
      node: { defaultBy },
    } of settings) {
      if (!defaultBy || given.has(path)) continue
      const deciding = given.get(defaultBy.setting)?.value ?? settingAt(defaultBy.setting)?.node.default
      const values = Object.entries(defaultBy.values)
      // A deciding value that is none of these is a problem of its own; this one need not add another.
      const [, value] = values.find(([word]) => word === deciding) ?? values[0] ?? []
      if (value !== undefined) layer.set(path, { value, where: 'default' })
    }
  }
  return layer
}

function judged(config: Config, given: Layer): LoadedConfig {
  const problems = contradictions(config)
  if (problems.length > 0) return { ok: false, problems: problems.map((problem) => located(problem, given)) }
  const warnings = [...remarks(config), ...unusedProfile(config, given)]
  return {
    ok: true,
    config,
    warnings: warnings.map((warning) => located(warning, given)),
    written: new Map([...given].map(([path, { where }]) => [path, where])),
  }
}

function unusedProfile({ profile }: Config, given: Layer): readonly Warning[] {
  const other = profile === 'romm' ? 'standalone' : 'romm'
  return givesSection(given, other)
    ? [{ path: other, message: `is not used: the profile is ${profile}` }]
    : []
}

/**
 * Contradictions among what is sound, so that everything wrong is named at once; none in a part of the
 * configuration that has faults already, where they may only follow from those.
 */
function beyond(faults: readonly Problem[], given: Layer, validated: Validated): readonly Problem[] {
  const sound = validated.ok ? validated : validate(nested(withDefaults(without(faults, given))))
  if (!sound.ok) return []
  const touched = new Set(faults.map(({ path }) => stepsOf(path)[0]))
  return contradictions(sound.config).filter(({ path }) => !touched.has(stepsOf(path)[0]))
}

function without(faults: readonly Problem[], given: Layer): Layer {
  const sound = [...given].filter(([path]) => !faults.some((fault) => isWithin(fault.path, path)))
  return merged([STAND_IN, new Map(sound)])
}

function isWithin(path: string, setting: string): boolean {
  return path === setting || path.startsWith(`${setting}.`) || path.startsWith(`${setting}[`)
}

/** With the place where the setting was written, if it was. */
function located(problem: Problem, given: Layer): Problem {
  if (problem.where !== undefined) return problem
  const [, origin] = [...given].find(([path]) => isWithin(problem.path, path)) ?? []
  return origin ? { ...problem, where: origin.locate?.(problem.path) ?? origin.where } : problem
}
