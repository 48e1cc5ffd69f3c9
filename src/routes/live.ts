import { asPosternError, PosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { RouteMatch, Router } from '../pipeline/rule.ts'
import { KeptDocument, readDocument } from './document.ts'
import type { DocumentStore, RouteDocument } from './document.ts'
import type { OpenApiOptions } from './openapi.ts'
import { RouteTable } from './table.ts'
import type { RouteLayer } from './table.ts'

export interface DocumentOptions {
  readonly source: 'upstream' | 'file'
  /** Gets the text; must end within a deadline of its own. */
  load(): Promise<{ readonly text: string }>
  readonly reading: OpenApiOptions
  /** Milliseconds between readings. */
  readonly refresh: number
  /** URL of the backend; a copy kept for another one is ignored. */
  readonly upstream: string
  readonly store?: DocumentStore | undefined
}

export interface LiveRouterOptions {
  /** What comes before the document: the operator's rules, the profile's. Asked anew for each table. */
  layers(version: string | undefined): readonly RouteLayer[]
  readonly protectedPrefixes: readonly string[]
  /** Undefined: the layers are all there is. */
  readonly document: DocumentOptions | undefined
  readonly clock: Clock
  /** Called after each exchange of the table, the first one included. */
  onSwap?(table: RouteTable, version: string | undefined): void
}

/** For `status` and the readiness probe. */
export interface RouterState {
  readonly source: 'upstream' | 'file' | 'disk' | 'none'
  /** When the document was last read and found good, in milliseconds since the epoch. */
  readonly readAt: number | undefined
  readonly digest: string | undefined
  readonly version: string | undefined
  readonly rows: number
  /** The last reading failed, or the table has conflicts. */
  readonly degraded: boolean
  readonly lastError: string | undefined
}

/** A router whose table follows the backend's document. */
export interface LiveRouter extends Router {
  readonly state: RouterState
  readonly table: RouteTable
  /**
   * Reads the document for the first time, or takes the last good copy. Without either, rules alone route, and
   * every other request waits for a reading.
   * @throws PosternError `config_invalid` when a rule is public by wildcard over protected rows
   */
  start(): Promise<void>
  /** Reads the document now. @throws PosternError `route_table_unavailable`; the table stays what it was */
  refresh(): Promise<void>
  /** Makes the table anew from the document at hand, because the layers changed. */
  rebuild(): void
  /** The backend was away: what it comes back with may have other routes than the table. */
  noteUpstreamRestart(): void
  /** The version that the document names. */
  backendVersion(): string | undefined
  /** Ends the refreshing, and waits for what is under way. */
  close(): Promise<void>
}

export function createLiveRouter(options: LiveRouterOptions): LiveRouter {
  return new DocumentRouter(options)
}

/** Milliseconds for which a reading says that a path does not exist; the next unknown one waits for another. */
const PAUSE_AFTER_MISS = 30_000

interface Reading {
  /** Of the backend, when the reading began. */
  readonly generation: number
  readonly done: Promise<void>
}

class DocumentRouter implements LiveRouter {
  readonly #options: LiveRouterOptions
  readonly #kept: KeptDocument | undefined
  #table: RouteTable
  #document: RouteDocument | undefined
  #source: RouterState['source'] = 'none'
  #readAt: number | undefined
  #lastError: string | undefined
  /** How often the backend was seen to be away. */
  #generation = 0
  /** The generation that the table was read in; an older table may not say that a route does not exist. */
  #readIn = -1
  #reading: Reading | undefined
  #lastBegun = -Infinity
  #keeping = Promise.resolve()
  #cancelRefresh: () => void = () => undefined
  #closed = false

  constructor(options: LiveRouterOptions) {
    const { document } = options
    this.#options = options
    this.#kept = document?.store && new KeptDocument(document.store, document.upstream, document.reading)
    this.#table = this.#build(undefined)
  }

  get table(): RouteTable {
    return this.#table
  }

  get state(): RouterState {
    const conflicts = this.#table.conflicts.map((conflict) => conflict.message)
    const lastError = this.#lastError ?? (conflicts.length > 0 ? conflicts.join('; ') : undefined)
    return {
      source: this.#source,
      readAt: this.#readAt,
      digest: this.#document?.digest,
      version: this.#document?.version,
      rows: this.#table.rows.length,
      degraded: lastError !== undefined,
      lastError,
    }
  }

  async start(): Promise<void> {
    if (this.#options.document === undefined) {
      this.#swap(this.#build(undefined))
    } else {
      await this.refresh().catch(() => this.#recall())
      this.#scheduleRefresh(this.#options.document.refresh)
    }
    const { conflicts } = this.#table
    if (conflicts.length === 0) return
    await this.close()
    throw new PosternError('config_invalid', conflicts.map((conflict) => conflict.message).join('\n'))
  }

  match(method: string, path: string): MaybePromise<RouteMatch> {
    const match = this.#table.match(method, path)
    if (this.#options.document === undefined || this.#isCertain(match)) return match
    if (this.#readIn !== this.#generation) return this.#matchAfterReading(method, path)
    const isRecent = this.#reading === undefined && this.#sinceLastReading() < PAUSE_AFTER_MISS
    return isRecent ? match : this.#matchAfterLooking(method, path)
  }

  refresh(): Promise<void> {
    return this.#readSince(this.#generation)
  }

  rebuild(): void {
    this.#swap(this.#build(this.#document))
  }

  noteUpstreamRestart(): void {
    this.#generation++
  }

  backendVersion(): string | undefined {
    return this.#document?.version
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRefresh()
    await this.#reading?.done.catch(() => undefined)
    await this.#keeping
  }

  /** A rule is; but one that yields to rows of a document that was never seen. */
  #isCertain(match: RouteMatch): boolean {
    return match.kind === 'rule' && (this.#document !== undefined || !this.#table.yields(match.rule))
  }

  async #matchAfterReading(method: string, path: string): Promise<RouteMatch> {
    await this.#readSince(this.#generation)
    return this.#table.match(method, path)
  }

  /** The backend may have been replaced unseen. One that is there and cannot show its document keeps the table it had. */
  async #matchAfterLooking(method: string, path: string): Promise<RouteMatch> {
    await this.refresh().catch(() => undefined)
    return this.#readIn === this.#generation
      ? this.#table.match(method, path)
      : this.#matchAfterReading(method, path)
  }

  #sinceLastReading(): number {
    return this.#options.clock.monotonic() - this.#lastBegun
  }

  /** Its failure shows in the state. */
  #refreshInBackground(): void {
    this.refresh().catch(() => undefined)
  }

  #scheduleRefresh(ms: number): void {
    if (this.#closed) return
    this.#cancelRefresh = this.#options.clock.after(ms, () => {
      this.#refreshInBackground()
      this.#scheduleRefresh(ms)
    })
  }

  /** Waits for a reading that began in `generation` or later: the one under way, or else one of its own. */
  async #readSince(generation: number): Promise<void> {
    const { document } = this.#options
    if (document === undefined) return
    while (this.#reading !== undefined) {
      const { generation: begunIn, done } = this.#reading
      if (begunIn >= generation) return done
      await done.catch(() => undefined)
    }
    const done = this.#read(document, this.#generation).finally(() => (this.#reading = undefined))
    this.#reading = { generation: this.#generation, done }
    return done
  }

  async #read(document: DocumentOptions, generation: number): Promise<void> {
    const { clock } = this.#options
    this.#lastBegun = clock.monotonic()
    try {
      const { text } = await document.load()
      this.#accept(text, document)
      this.#source = document.source
      this.#readAt = clock.now()
      this.#readIn = generation
      this.#lastError = undefined
      this.#keep(text, this.#readAt)
    } catch (error) {
      const { message } = asPosternError(error)
      this.#lastError = message
      throw new PosternError('route_table_unavailable', message, { cause: error })
    }
  }

  /** Exchanges the table if the text is another and good. A bad one changes nothing. */
  #accept(text: string, { reading }: DocumentOptions): void {
    const document = readDocument(text, reading)
    if (document.digest === this.#document?.digest) return
    const table = this.#build(document)
    this.#document = document
    this.#swap(table)
  }

  #build(document: RouteDocument | undefined): RouteTable {
    const before = this.#options.layers(document?.version)
    return new RouteTable({
      layers: document === undefined ? before : [...before, { rules: document.rules }],
      protectedPrefixes: this.#options.protectedPrefixes,
    })
  }

  #swap(table: RouteTable): void {
    this.#table = table
    this.#options.onSwap?.(table, this.#document?.version)
  }

  /** No request waits for the disk. */
  #keep(text: string, readAt: number): void {
    const { digest } = this.#document ?? {}
    if (this.#kept === undefined || digest === undefined) return
    const kept = this.#kept
    this.#keeping = this.#keeping
      .then(() => kept.keep(text, digest, readAt))
      .catch((error: unknown) => {
        this.#lastError = `the copy of the document could not be kept: ${asPosternError(error).message}`
      })
  }

  /** The table stays marked as older than the backend, and the failure of the reading stays in the state. */
  async #recall(): Promise<void> {
    const { document } = this.#options
    const copy = await this.#kept?.recall().catch(() => undefined)
    if (document === undefined || copy === undefined) return
    try {
      this.#accept(copy.text, document)
      this.#source = 'disk'
      this.#readAt = copy.readAt
    } catch {
      // A copy that was good for an older version of ours; rules alone route until the backend answers.
    }
  }
}
