import { ScopeSet } from '../identity/scope.ts'
import type { Requirement, RouteRule } from '../pipeline/rule.ts'
import { child, isObject, resolvePointer } from './pointer.ts'
import type { JsonObject, Pointer } from './pointer.ts'
import { parseTemplate } from './template.ts'

/**
 * How `security` is read.
 *
 * `standard`: as OpenAPI 3.1 §4.8.10 says, alternatives of which one must be satisfied; an empty list or an empty
 * alternative lets anybody in. Where alternatives name different scopes, all of them are required: whoever has
 * them all satisfies whichever alternative the backend tries, at the price of refusing some that it would let in.
 *
 * `fastapi-all`: every scope named anywhere in an operation is required, however the client authenticates; an
 * operation that names none is undeclared, since FastAPI writes down its dependencies, not its decisions.
 */
export const DIALECTS = ['standard', 'fastapi-all'] as const
export type Dialect = (typeof DIALECTS)[number]

export interface OpenApiOptions {
  readonly dialect: Dialect
  /** What an operation requires about which the document says nothing. */
  readonly undeclared: 'authenticated' | 'public'
  /** The backend checks the scopes of its document itself, so that a deferred grant may pass. */
  readonly backendChecksScopes: boolean
}

/** What is wrong with a document, and where (RFC 6901). */
export interface DocumentFault {
  readonly pointer: string
  readonly message: string
}

export type OpenApiReading =
  | { readonly ok: true; readonly version: string | undefined; readonly rules: readonly RouteRule[] }
  | { readonly ok: false; readonly faults: readonly DocumentFault[] }

/** 16 MiB of UTF-8. */
const LARGEST = 16 * 1024 * 1024
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const
/** Types whose requirement lists scopes; other lists are empty or, since 3.1, hold names of roles. */
const SCOPED_TYPES: readonly unknown[] = ['oauth2', 'openIdConnect']

/** Reads a document, all of it or none: with any fault in it there is no telling what its routes require. */
export function readOpenApi(text: string, options: OpenApiOptions): OpenApiReading {
  if (Buffer.byteLength(text) > LARGEST) return refuse('the document is larger than 16 MiB')
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch {
    return refuse('the document is not JSON')
  }
  return isObject(root) ? new Reader(root, options).read() : refuse('the document is not an object')
}

class Reader {
  readonly #root: JsonObject
  readonly #options: OpenApiOptions
  /** By place and message: a shared path item or the top-level security is read for many operations. */
  readonly #faults = new Map<string, DocumentFault>()

  constructor(root: JsonObject, options: OpenApiOptions) {
    this.#root = root
    this.#options = options
  }

  read(): OpenApiReading {
    const { openapi, info, paths } = this.#root
    if (typeof openapi !== 'string' || !/^3\.[01]\.\d/.test(openapi)) {
      this.#fault('/openapi', 'only OpenAPI 3.0 and 3.1 are understood')
    }
    // OpenAPI 3.1 §4.8.1: a document without paths describes webhooks or components alone, nothing to stand before.
    if (!isObject(paths)) this.#fault('/paths', 'there are no paths')
    const rules = Object.entries(isObject(paths) ? paths : {}).flatMap(([path, item]) =>
      path.startsWith('x-') ? [] : this.#path(path, item),
    )
    if (this.#faults.size > 0) return { ok: false, faults: [...this.#faults.values()] }
    const version = isObject(info) && typeof info['version'] === 'string' ? info['version'] : undefined
    return { ok: true, version, rules }
  }

  #path(path: string, written: unknown): RouteRule[] {
    const pointer = child('/paths', path)
    const parsed = parseTemplate(path, false)
    if (!parsed.ok) this.#fault(pointer, parsed.fault)
    const item = this.#follow(written, pointer)
    if (item === undefined) return []
    return METHODS.filter((method) => item.value[method] !== undefined).map((method) => ({
      template: path,
      methods: [method.toUpperCase()],
      requirement: this.#operation(item.value[method], child(item.pointer, method)),
      origin: 'document',
      conceal: false,
      socket: false,
      input: [],
      backendChecksScopes: this.#options.backendChecksScopes,
      hint: undefined,
    }))
  }

  /** The object at the end of a chain of local references. */
  #follow(written: unknown, pointer: Pointer): { value: JsonObject; pointer: Pointer } | undefined {
    const seen = new Set<string>()
    let value = written
    let at = pointer
    while (isObject(value) && value['$ref'] !== undefined) {
      const reference = value['$ref']
      const where = child(at, '$ref')
      if (typeof reference !== 'string' || !reference.startsWith('#')) {
        return this.#fault(where, 'only references into this document are followed')
      }
      if (METHODS.some((method) => isObject(value) && value[method] !== undefined)) {
        return this.#fault(where, 'operations beside a reference have no defined meaning')
      }
      if (seen.has(reference)) return this.#fault(where, 'the references go in a circle')
      seen.add(reference)
      at = reference.slice(1)
      value = resolvePointer(this.#root, at)
      if (value === undefined) return this.#fault(where, `there is nothing at ${reference}`)
    }
    return isObject(value) ? { value, pointer: at } : this.#fault(at, 'this must be an object')
  }

  #operation(operation: unknown, pointer: Pointer): Requirement {
    const undeclared: Requirement = { kind: this.#options.undeclared }
    if (!isObject(operation)) return this.#fault(pointer, 'this must be an object') ?? undeclared
    const own = operation['security'] !== undefined
    const security = own ? operation['security'] : this.#root['security']
    if (security === undefined) return undeclared
    const alternatives = this.#alternatives(security, own ? child(pointer, 'security') : '/security')
    const scopes = ScopeSet.of(alternatives.flat())
    if (this.#options.dialect === 'fastapi-all')
      return scopes.isEmpty ? undeclared : { kind: 'scopes', scopes }
    const open = Array.isArray(security) && (security.length === 0 || security.some(isEmptyObject))
    if (open) return { kind: 'public' }
    return scopes.isEmpty ? { kind: 'authenticated' } : { kind: 'scopes', scopes }
  }

  /** The scopes of each alternative. */
  #alternatives(security: unknown, pointer: Pointer): string[][] {
    if (!Array.isArray(security)) return this.#fault(pointer, 'this must be a list') ?? []
    return security.map((alternative: unknown, i) => {
      const at = child(pointer, String(i))
      if (!isObject(alternative)) return this.#fault(at, 'this must be an object') ?? []
      return Object.entries(alternative).flatMap(([scheme, names]) =>
        this.#scopes(scheme, names, child(at, scheme)),
      )
    })
  }

  #scopes(name: string, names: unknown, pointer: Pointer): string[] {
    const at = child('/components/securitySchemes', name)
    const written = resolvePointer(this.#root, at)
    if (written === undefined) this.#fault(pointer, 'there is no security scheme of this name')
    if (!Array.isArray(names) || !names.every(isScope)) {
      return this.#fault(pointer, 'this must be a list of scopes') ?? []
    }
    const scheme = written === undefined ? undefined : this.#follow(written, at)
    return SCOPED_TYPES.includes(scheme?.value['type']) ? names : []
  }

  #fault(pointer: Pointer, message: string): undefined {
    this.#faults.set(`${pointer} ${message}`, { pointer, message })
  }
}

/** RFC 6749 §3.3 scope-token. */
function isScope(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value)
}

function isEmptyObject(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0
}

function refuse(message: string): OpenApiReading {
  return { ok: false, faults: [{ pointer: '', message }] }
}
