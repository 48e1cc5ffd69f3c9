import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { isMap, isScalar, LineCounter, parse, parseDocument } from 'yaml'
import type { Document, Pair, YAMLMap } from 'yaml'
import { PosternError } from '../../errors.ts'

/** A compose file, and what in it is RomM. */
export interface Compose {
  /** As it was given. */
  readonly path: string
  readonly text: string
  readonly document: Document
  readonly services: YAMLMap
  /** RomM's service. */
  readonly romm: Service
  /** Every service's name. */
  readonly names: readonly string[]
}

export interface Service {
  readonly name: string
  readonly pair: Pair
  readonly map: YAMLMap
}

/** RomM's, whoever publishes it: `rommapp/romm`, `ghcr.io/rommapp/romm:5.2.0`. */
const ROMM_IMAGE = /(?:^|\/)romm(?:[:@]|$)/

/**
 * @param wanted the service's name, where its image does not tell
 * @throws PosternError `usage` for a file that cannot be read, and where it is not plain which service is RomM
 */
export function readCompose(path: string, wanted: string | undefined): Compose {
  const text = textOf(path)
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter })
  const [problem] = document.errors
  if (problem !== undefined) {
    const { line } = counter.linePos(problem.pos[0])
    throw new PosternError('usage', `${path}:${line}: ${problem.message.split('\n')[0]}`)
  }
  const services = document.get('services')
  if (!isMap(services)) throw new PosternError('usage', `${path} has no services.`)
  const all = services.items.flatMap((pair): Service[] =>
    isMap(pair.value) ? [{ name: nameOf(pair), pair, map: pair.value }] : [],
  )
  const names = all.map(({ name }) => name)
  return { path, text, document, services, romm: choose(path, all, wanted), names }
}

function choose(path: string, all: readonly Service[], wanted: string | undefined): Service {
  const isRomm = ({ name, map }: Service): boolean =>
    wanted === undefined ? ROMM_IMAGE.test(wordOf(map.get('image', true)) ?? '') : name === wanted
  const [found, ...others] = all.filter(isRomm)
  const names = all.map(({ name }) => name).join(', ')
  if (found === undefined)
    throw new PosternError('usage', `${path}: which service is RomM? --service takes one of: ${names}.`)
  if (others.length > 0)
    throw new PosternError('usage', `${path} has several RomMs: --service takes one of: ${names}.`)
  return found
}

export function nameOf(pair: Pair): string {
  return wordOf(pair.key) ?? ''
}

/** What a scalar says; undefined for one that says nothing, and for whatever is no scalar. */
export function wordOf(node: unknown): string | undefined {
  return isScalar(node) ? plainWord(node.value) : undefined
}

function plainWord(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new PosternError('usage', `${path} cannot be read.`, { cause: error })
  }
}

/** The pair of a map's key. */
export function pairAt(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => nameOf(pair) === key)
}

/**
 * The variables that RomM is given, by name, from both ways of writing them, anchors and files included; undefined where the
 * value is the shell's.
 */
export function variablesOf({ path, text, romm }: Compose): ReadonlyMap<string, string | undefined> {
  const { services = {} } = parse(text, { merge: true }) as {
    readonly services?: Record<string, PlainService>
  }
  const { environment = {}, env_file: given = [] } = services[romm.name] ?? {}
  const files = [given].flat().flatMap((each) => (typeof each === 'string' ? each : (each.path ?? [])))
  const inFiles = files.flatMap((file) => Object.entries(parseEnv(optional(resolve(dirname(path), file)))))
  return new Map([...inFiles, ...written(environment)])
}

/** As the Compose Specification has it; whatever else it may be, nothing is made of it. */
interface PlainService {
  readonly environment?: Readonly<Record<string, unknown>> | readonly string[]
  readonly env_file?: string | readonly (string | { readonly path?: string })[]
}

function written(
  environment: NonNullable<PlainService['environment']>,
): (readonly [string, string | undefined])[] {
  return [environment].flat().flatMap((each) => {
    if (typeof each !== 'string')
      return Object.entries(each).map(([name, value]) => [name, plainWord(value)] as const)
    const [name = '', value] = each.split(/=(.*)/s)
    return [[name, value] as const]
  })
}

/** One that is not there says nothing. */
function optional(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
