import { hash } from 'node:crypto'
import { PosternError } from '../errors.ts'
import type { RouteRule } from '../pipeline/rule.ts'
import { readOpenApi } from './openapi.ts'
import type { OpenApiOptions } from './openapi.ts'

/** A backend's document, read and found good. */
export interface RouteDocument {
  readonly rules: readonly RouteRule[]
  /** `info.version`: of the backend, as far as it says. */
  readonly version: string | undefined
  /** SHA-256 of the text, hexadecimal. */
  readonly digest: string
}

/** Where the last good copy is kept, for a start while the backend is away. */
export interface DocumentStore {
  /** @returns undefined when nothing was ever kept */
  read(): Promise<string | undefined>
  /** Replaces what is kept, whole. */
  write(text: string): Promise<void>
}

interface Copy {
  readonly binding: string
  /** Milliseconds since the epoch. */
  readonly readAt: number
  readonly text: string
}

const MOST_FAULTS_SAID = 20

/** @throws PosternError `route_table_unavailable` that names every fault (of very many, the first) */
export function readDocument(text: string, options: OpenApiOptions): RouteDocument {
  const reading = readOpenApi(text, options)
  if (reading.ok) return { rules: reading.rules, version: reading.version, digest: hash('sha256', text) }
  const said = reading.faults
    .slice(0, MOST_FAULTS_SAID)
    .map(({ pointer, message }) => `#${pointer}: ${message}`)
  const more = reading.faults.length - said.length
  if (more > 0) said.push(`and ${more} more`)
  throw new PosternError('route_table_unavailable', said.join('; '))
}

/** Keeps the last good copy, bound to the upstream and the dialect that it was read for. */
export class KeptDocument {
  readonly #store: DocumentStore
  readonly #binding: string
  #digest: string | undefined

  constructor(store: DocumentStore, upstream: string, options: OpenApiOptions) {
    this.#store = store
    this.#binding = JSON.stringify([upstream, options.dialect])
  }

  /** Writes only what changed. */
  async keep(text: string, digest: string, readAt: number): Promise<void> {
    if (digest === this.#digest) return
    const copy: Copy = { binding: this.#binding, readAt, text }
    await this.#store.write(JSON.stringify(copy))
    this.#digest = digest
  }

  /** @returns undefined when there is no copy, or one of another upstream or dialect, or half a one */
  async recall(): Promise<Copy | undefined> {
    const kept = await this.#store.read()
    const copy = kept === undefined ? undefined : parseCopy(kept)
    return copy?.binding === this.#binding ? copy : undefined
  }
}

function parseCopy(kept: string): Copy | undefined {
  try {
    const copy = JSON.parse(kept) as Partial<Record<keyof Copy, unknown>> | null
    const { binding, readAt, text } = copy ?? {}
    if (typeof binding !== 'string' || typeof readAt !== 'number' || typeof text !== 'string')
      return undefined
    return { binding, readAt, text }
  } catch {
    return undefined
  }
}
