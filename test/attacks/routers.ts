/**
 * What other programs make of a target: two routers over the RomM table's templates, written from how the backend and
 * its likely neighbours read a path, and sharing no code with ours.
 */
import { rommRoutes } from '../support/routes.ts'
import { unquote } from '../support/romm/python.ts'

/** One operation of the backend's. */
export interface Operation {
  readonly method: string
  readonly template: string
  /** All of them are required. */
  readonly scopes: readonly string[]
}

/** The operation that a request line reaches; undefined where there is none, or a file, or the web client. */
export type UpstreamRouter = (method: string, target: string) => Operation | undefined

const operations: readonly (Operation & { readonly parts: readonly string[] })[] = rommRoutes.map(
  (route) => ({
    method: route.method,
    template: route.path,
    scopes: route.scopes,
    parts: route.path.split('/'),
  }),
)

/** RomM fact: a twin with a slash for each route; Python's `$` stands before a last line feed too. */
const patterns = operations.map((operation) => ({
  operation,
  pattern: new RegExp(`^${operation.template.replace(/\{\w+\}/g, '[^/]+')}/?\n?$`),
}))

/** RomM fact: HEAD reaches no route that names GET alone; as to what it may see it is held against that GET. */
const speaksFor = (operation: Operation, method: string): boolean =>
  operation.method === method || (method === 'HEAD' && operation.method === 'GET')

/**
 * RomM's way: the server decodes the path once, whole, and takes the first route of the list whose pattern fits. The web
 * server before it resolves dots and merges slashes to find out whether the backend is meant, and hands on the raw target.
 */
export const decodesOnce: UpstreamRouter = (method, target) => {
  const [raw = ''] = target.split('?')
  const path = unquote(raw)
  const named = patterns.filter(({ pattern }) => pattern.test(path)).map(({ operation }) => operation)
  return (
    named.find((operation) => operation.method === method) ??
    named.find((operation) => speaksFor(operation, method))
  )
}

/**
 * A server that hands its request line to a WHATWG URL parser, as Node's frameworks do, and then compares segments:
 * literals first as they stand, then decoded.
 */
export const parsesUrl: UpstreamRouter = (method, target) => {
  const { pathname, hostname } = new URL(target, 'http://upstream.example')
  if (hostname !== 'upstream.example') throw new Error(`${target} names another host`)
  const segments = pathname.replace(/\/$/, '').split('/')
  return operations.find(
    ({ parts, ...operation }) =>
      speaksFor(operation, method) &&
      parts.length === segments.length &&
      parts.every((part, i) => part === decoded(segments[i] ?? '') || isParameter(part, segments[i] ?? '')),
  )
}

function isParameter(part: string, segment: string): boolean {
  return part.startsWith('{') && segment !== ''
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
