import type { Operation, OpenApi, RouteFact } from './facts.ts'
import { isInteger } from './python.ts'

/** One operation of RomM's, as FastAPI registers it. */
export interface Route {
  /** `GET /api/users/{id}`. */
  readonly name: string
  readonly method: string
  readonly pattern: RegExp
  readonly integers: readonly string[]
  readonly scopes: readonly string[]
  readonly requiredHeaders: readonly string[]
  /** What must be there before scopes are looked at. */
  readonly needs: 'body' | 'input' | 'nothing'
  /** RomM fact: declared bodies are received before the scopes are checked, streams after. */
  readonly bodyFirst: boolean
  readonly download: boolean
}

/** RomM fact: these take JSON and are content without. */
const BODY_OPTIONAL = new Set([
  'POST /api/users/{id}/ra/refresh',
  'PUT /api/platforms/{id}',
  'POST /api/tasks/run/{task_name}',
])

/** RomM fact: these are 422 when they get neither a query nor a body, before any scope is checked. */
const INPUT_REQUIRED = new Set([
  'DELETE /api/activity/heartbeat',
  'POST /api/users/invite-link',
  'GET /api/search/roms',
  'POST /api/saves',
  'POST /api/states',
  'POST /api/screenshots',
  'POST /api/firmware',
  'GET /api/collections/virtual',
  'POST /api/export/gamelist-xml',
  'POST /api/export/pegasus',
])

/** @param openDownloads RomM's DISABLE_DOWNLOAD_ENDPOINT_AUTH */
export function readTable(facts: readonly RouteFact[], document: OpenApi, openDownloads: boolean): Route[] {
  return facts.map((fact) => {
    const name = `${fact.method} ${fact.path}`
    const parameters = document.paths[fact.path]?.[fact.method.toLowerCase()]?.parameters ?? []
    const json = fact.body.includes('application/json') && !BODY_OPTIONAL.has(name)
    return {
      name,
      method: fact.method,
      pattern: patternOf(fact.path),
      integers: fact.params.filter(({ type }) => type === 'int').map((param) => param.name),
      scopes: openDownloads ? (fact.scopes_when?.scopes_when_true ?? fact.scopes) : fact.scopes,
      requiredHeaders: parameters
        .filter((parameter) => parameter.in === 'header')
        .map((header) => header.name),
      needs: json ? 'body' : INPUT_REQUIRED.has(name) ? 'input' : 'nothing',
      bodyFirst: fact.body.length > 0,
      download: fact.tags.includes('file_download'),
    }
  })
}

/** RomM fact: every route has a twin with a slash at its end. */
function patternOf(template: string): RegExp {
  return new RegExp(`^${template.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}/?$`)
}

/** The document as it is served: with the version, and with the routes that a flag has opened. */
export function servedDocument(
  document: OpenApi,
  facts: readonly RouteFact[],
  options: { readonly version: string; readonly openDownloads: boolean },
): OpenApi {
  document.info.version = options.version
  for (const fact of options.openDownloads ? facts : []) {
    const operation = document.paths[fact.path]?.[fact.method.toLowerCase()]
    if (fact.scopes_when !== null && operation !== undefined) openOperation(operation)
  }
  return document
}

function openOperation(operation: Operation): void {
  operation.security = [{ OAuth2PasswordBearer: [] }, { HTTPBasic: [] }]
}

export type Match =
  | { readonly kind: 'route'; readonly route: Route; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: 'method'; readonly allow: string }
  | { readonly kind: 'redirect'; readonly path: string }
  | { readonly kind: 'none' }

/**
 * Starlette's way: the first route that speaks for path and method; else 405 of the first for the path, with
 * only that one's method in `Allow`.
 * @param path decoded once: `/api%2fusers%2fme` is a route, `//api/users/me` is none
 */
export function matchRoute(table: readonly Route[], method: string, path: string): Match {
  let other: Route | undefined
  for (const route of table) {
    const found = route.pattern.exec(path)
    if (found !== null && route.method === method)
      return { kind: 'route', route, params: { ...found.groups } }
    if (found !== null) other ??= route
  }
  if (other !== undefined) return { kind: 'method', allow: other.method }
  const shorter = path.replace(/\/+$/, '')
  if (path.endsWith('//') && table.some(({ pattern }) => pattern.test(shorter))) {
    return { kind: 'redirect', path: shorter }
  }
  return { kind: 'none' }
}

export interface Input {
  readonly params: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, unknown>>
  readonly query: string
  readonly body: Buffer
}

const missing = (...loc: string[]): object => ({ type: 'missing', loc, msg: 'Field required', input: null })

/** What FastAPI finds wrong before anything of RomM's runs, as the `detail` of a 422; empty when all is well. */
export function problemsOf(route: Route, { params, headers, query, body }: Input): object[] {
  const problems = [
    ...route.integers
      .filter((name) => !isInteger(params[name] ?? ''))
      .map((name) => ({
        type: 'int_parsing',
        loc: ['path', name],
        input: params[name],
        msg: 'Input should be a valid integer',
      })),
    ...route.requiredHeaders
      .filter((name) => headers[name] === undefined)
      .map((name) => missing('header', name)),
  ]
  if (route.needs === 'body' && body.length === 0) problems.push(missing('body'))
  if (route.needs === 'body' && body.length > 0 && !isJson(body)) {
    problems.push({ type: 'json_invalid', loc: ['body'], msg: 'JSON decode error' })
  }
  if (route.needs === 'input' && query === '' && body.length === 0) problems.push(missing('query'))
  return problems
}

function isJson(body: Buffer): boolean {
  try {
    JSON.parse(body.toString())
    return true
  } catch {
    return false
  }
}
