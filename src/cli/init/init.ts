import { randomUUID } from 'node:crypto'
import { copyFileSync, existsSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isMap, parseDocument } from 'yaml'
import { loadConfig } from '../../config/load.ts'
import { parseOrigin } from '../../config/values.ts'
import { PosternError } from '../../errors.ts'
import { parseCommand } from '../arguments.ts'
import type { CliContext } from '../context.ts'
import { readCompose } from './compose.ts'
import type { Compose } from './compose.ts'
import { configurationOf } from './configuration.ts'
import { unifiedDiff } from './diff.ts'
import { planOf } from './plan.ts'
import type { Plan } from './plan.ts'

export const INIT_USAGE = [
  'postern init [--compose FILE] [--service NAME] [--public-url URL] [--observe] [--write] [--force]',
  'postern init --upstream URL [--public-url URL] [--observe] [--write] [--force]',
]

/** Where compose files are looked for, as Docker does. */
const USUAL_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml']
const CONFIG = 'postern.yaml'
const KEPT = '.before-postern'

/** A file that is to be written. */
interface Output {
  readonly path: string
  readonly text: string
}

/**
 * `postern init`: a configuration, and what becomes of RomM's compose file; writes them only when it is told to.
 * @throws PosternError `usage`
 */
export async function runInit(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], {
    compose: { type: 'string' },
    service: { type: 'string' },
    upstream: { type: 'string' },
    'public-url': { type: 'string' },
    observe: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    force: { type: 'boolean', default: false },
  })
  const path = values.compose ?? USUAL_NAMES.find((name) => existsSync(name))
  const compose =
    path === undefined || values.upstream !== undefined ? undefined : readCompose(path, values.service)
  const plan = compose && checked(planOf(compose, CONFIG))
  const upstream =
    plan?.upstream ?? originOf(values.upstream ?? (await context.ask(WHERE_IS_ROMM)), '--upstream')
  const publicUrl = values['public-url'] ?? (await context.ask(WHERE_IS_IT_REACHED)) ?? ''
  const config = configurationOf({
    upstream,
    publicUrl: publicUrl === '' ? undefined : originOf(publicUrl, '--public-url'),
    enforcement: values.observe ? 'observe' : 'enforce',
    admin: plan?.admin,
    compose: compose && basename(compose.path),
  })
  mustLoad(config)
  const outputs = [{ path: join(dirname(path ?? CONFIG), CONFIG), text: config }, ...changed(compose, plan)]
  if (values.write) write(outputs, values.force, context)
  else show(config, compose, plan, context)
  for (const note of plan?.notes ?? []) context.err(`note: ${note}`)
  if (values.write) for (const step of next(compose, values.compose)) context.err(step)
}

/** What to run now. @param named the compose file, where it is not the one that Docker finds by itself */
function next(compose: Compose | undefined, named: string | undefined): readonly string[] {
  const docker = `docker compose${named === undefined ? '' : ` -f ${named}`}`
  const steps =
    compose === undefined
      ? ['postern doctor', 'postern serve']
      : [
          'docker build -t postern:0.1.0 .   # in a checkout of Postern',
          `${docker} up -d`,
          `${docker} exec postern postern doctor`,
        ]
  return ['next:', ...steps.map((step) => `  ${step}`)]
}

const WHERE_IS_ROMM = 'Where is RomM (http://romm:8080)? '
const WHERE_IS_IT_REACHED = 'Where do people reach it (https://romm.example.org; nothing if not yet)? '

function originOf(text: string | undefined, option: string): string {
  const origin = text === undefined ? undefined : parseOrigin(text)
  if (origin !== undefined) return origin
  throw new PosternError(
    'usage',
    text === undefined
      ? `There is no compose file here: --compose names one, or ${option} says where RomM is.`
      : `'${text}' is not http:// or https:// and a host (${option}).`,
  )
}

/** What is handed out must be good, or not be handed out. */
function mustLoad(config: string): void {
  const loaded = loadConfig({ text: config, env: {} })
  if (!loaded.ok)
    throw new PosternError(
      'internal',
      loaded.problems.map(({ path, message }) => `${path}: ${message}`).join('\n'),
    )
}

function checked(plan: Plan): Plan {
  const document = parseDocument(plan.text)
  const services = document.get('services')
  const isWhole = document.errors.length === 0 && isMap(services) && isMap(services.get('postern'))
  if (isWhole) return plan
  throw new PosternError('usage', 'This compose file is written in a way that init cannot add a service to.')
}

function changed(compose: Compose | undefined, plan: Plan | undefined): Output[] {
  if (compose === undefined || plan === undefined || plan.text === compose.text) return []
  return [{ path: compose.path, text: plan.text }]
}

function show(
  config: string,
  compose: Compose | undefined,
  plan: Plan | undefined,
  context: CliContext,
): void {
  for (const line of [`# ${CONFIG}`, ...config.split('\n')]) context.out(line)
  if (compose !== undefined && plan !== undefined)
    for (const line of unifiedDiff(compose.path, compose.text, plan.text)) context.out(line)
  context.err('Nothing is written; --write does.')
}

/** Each file whole or not at all; what it replaces is kept beside it. */
function write(outputs: readonly Output[], force: boolean, { err }: CliContext): void {
  const inTheWay = outputs.flatMap(({ path }) => {
    const kept = basename(path) === CONFIG ? path : path + KEPT
    return existsSync(kept) ? [kept] : []
  })
  if (inTheWay.length > 0 && !force)
    throw new PosternError('usage', `${inTheWay.join(' and ')} would be overwritten: --force does.`)
  for (const { path, text } of outputs) {
    const draft = join(path, '..', `.${basename(path)}.${randomUUID()}`)
    const isThere = existsSync(path)
    writeFileSync(draft, text, { flag: 'wx', mode: isThere ? statSync(path).mode : 0o644 })
    if (isThere) copyFileSync(path, path + KEPT)
    renameSync(draft, path)
    err(`Wrote ${path}${isThere ? `; what it was is ${path}${KEPT}` : ''}.`)
  }
}
