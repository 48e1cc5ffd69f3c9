import { randomUUID } from 'node:crypto'
import type { Health } from '../admin/probes.ts'
import type { Attempts } from '../authenticators/attempts.ts'
import { withBlocks } from '../authenticators/blocked.ts'
import { withImplied } from '../authenticators/implied.ts'
import type { Blocks } from '../directory/blocks.ts'
import { PosternError } from '../errors.ts'
import type { Config } from '../config/schema.ts'
import type { Cors } from '../edge/cors.ts'
import type { DecisionHandler } from '../edge/decision/handler.ts'
import { EdgeHandler } from '../edge/handler.ts'
import { createOwnEndpoints } from '../edge/own.ts'
import type { Clock } from '../identity/clock.ts'
import type { Principal } from '../identity/principal.ts'
import { DecisionLog } from '../observe/log.ts'
import type { DecisionRecord, Logger } from '../observe/log.ts'
import type { Gauges, Metrics } from '../observe/metrics.ts'
import { createDecide, createIdentify } from '../pipeline/decide.ts'
import type { DecideOptions } from '../pipeline/decide.ts'
import type { Decide } from '../pipeline/decision.ts'
import { observing } from '../pipeline/observe.ts'
import type { Profile, ProfileContext } from '../profiles/profile.ts'
import type { ClientResolver } from '../request/client.ts'
import { createLiveRouter } from '../routes/live.ts'
import type { LiveRouter } from '../routes/live.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { createAttempts, limitAttempts } from './attempts.ts'
import type { Blocking } from './blocking.ts'
import { createClients } from './clients.ts'
import { corsOf } from './cors.ts'
import { Coherence } from './coherence.ts'
import { createDecisions } from './decision.ts'
import { documentOptions } from './document.ts'
import { decideAs } from './explaining.ts'
import { createOutgoing, observer } from './identity.ts'
import type { Outgoing } from './identity.ts'
import { createProfile } from './profile.ts'
import { operatorLayer } from './rules.ts'
import { keptTies } from './siblings.ts'
import type { Siblings } from './siblings.ts'
import { isBlocked, socketOrigins, watchSockets } from './sockets.ts'
import { watchUpstream } from './upstream.ts'
import type { WatchedUpstream } from './upstream.ts'

/** What outlives a configuration. */
export interface RuntimeContext {
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Told of every decision; undefined where none is made. */
  readonly recent?: DecisionRecord
  readonly blocks: Blocks
  readonly siblings?: Siblings | undefined
}

/** Milliseconds that a batch may take; with `cache.revalidate` it makes the published bound. */
const BATCH_DEADLINE = 1_000

/**
 * Everything that one configuration makes behind the listeners: built and started whole, and closed whole when another
 * one takes its place.
 */
export class Runtime {
  readonly config: Config
  readonly router: LiveRouter
  readonly profile: Profile
  readonly upstream: Upstream
  readonly #watched: WatchedUpstream
  readonly #context: RuntimeContext
  readonly #cors: Cors
  readonly #coherence: Coherence
  readonly #attempts: Attempts
  readonly #stops: (() => void)[] = []
  #parts: DecideOptions | undefined
  #handler: EdgeHandler | undefined
  #decisions: DecisionHandler | undefined

  private constructor(config: Config, context: RuntimeContext) {
    this.config = config
    this.#context = context
    const { clock, siblings } = context
    this.#cors = corsOf(config, clock)
    const profile = (): Profile => this.profile
    this.#coherence = new Coherence({ ...context, config, profile })
    this.#attempts = createAttempts(config, clock, this.#coherence.shared, siblings)
    this.#watched = watchUpstream({
      ...context,
      config,
      cors: this.#cors,
      changes: this.#coherence.changes,
      profile,
      onAway: () => this.router.noteUpstreamRestart(),
    })
    this.upstream = this.#watched.upstream
    this.profile = createProfile(config, this.#profileContext())
    this.router = this.#createRouter()
  }

  /**
   * A backend or a source that is away does not stop the start: what can be answered is.
   * @throws PosternError `config_invalid`, `keys_unusable`
   */
  static async start(config: Config, context: RuntimeContext): Promise<Runtime> {
    const runtime = new Runtime(config, context)
    try {
      await runtime.#start()
      return runtime
    } catch (error) {
      await runtime.close(0)
      throw error
    }
  }

  /** The same door, for somebody who is given instead of found out. */
  decideAs(principal: Principal | undefined): Decide {
    return decideAs(started(this.#parts), principal)
  }

  get handler(): EdgeHandler {
    return started(this.#handler)
  }

  get decisions(): DecisionHandler {
    return started(this.#decisions)
  }

  get blocking(): Blocking {
    return this.#coherence.blocking
  }

  health(): Health {
    const { state } = this.router
    const { trouble, disagreement } = this.#coherence
    const own = this.profile.troubles()
    const troubles = [
      ...own.map(({ what }) => what),
      ...(state.lastError === undefined ? [] : [`openapi: ${state.lastError}`]),
      ...[this.#watched.trouble(), trouble].filter((each) => each !== undefined),
    ]
    if (disagreement !== undefined) return { status: 'not_ready', troubles: [disagreement, ...troubles] }
    if (own.some(({ shared }) => !shared)) return { status: 'not_ready', troubles }
    return { status: troubles.length === 0 ? 'ok' : 'degraded', troubles }
  }

  gauges(): Gauges {
    const { readAt, rows } = this.router.state
    const { clock } = this.#context
    const { status, troubles } = this.health()
    return {
      ready: status !== 'not_ready',
      troubles: troubles.length,
      attempts: this.#attempts.counts,
      questions: this.profile.questions,
      lookups: this.profile.lookups,
      replicas: this.#coherence.replicas,
      inFlight: this.upstream.inFlight,
      waiting: this.upstream.waiting,
      sockets: this.upstream.sockets.count,
      routes: rows,
      tableAge: readAt === undefined ? undefined : clock.now() - readAt,
      monotonic: clock.monotonic(),
    }
  }

  /** @param graceMs for what is under way */
  async close(graceMs: number): Promise<void> {
    await Promise.all([this.#handler?.settled(), this.#decisions?.settled()])
    await this.upstream.close(graceMs)
    for (const stop of this.#stops) stop()
    await Promise.all([this.router.close(), this.profile.close(), this.#coherence.close()])
  }

  async #start(): Promise<void> {
    const { clock, logger } = this.#context
    // One after the other: what was opened is known when the next one fails.
    const outgoing = await createOutgoing(this.config, this.profile, clock, logger)
    this.#stops.push(outgoing.stop, () => this.#coherence.stop())
    this.#coherence.agreeOn(outgoing.ring)
    const { clients, stop } = await createClients(this.config, clock, logger)
    this.#stops.push(stop)
    await Promise.all([this.#coherence.shared?.settled(), this.profile.start(() => this.router.rebuild())])
    await this.#coherence.blocking.read()
    await this.router.start()
    const identity = this.#identity()
    this.#stops.push(this.#startWatching(identity))
    this.#parts = {
      router: this.router,
      identity,
      outgoing: outgoing.decide,
      sockets: { origins: socketOrigins(this.config) },
      attempts: limitAttempts(this.#attempts, this.profile),
      isBlocked: ({ address }) => this.#context.blocks.holdsAddress(address),
    }
    await this.#startHandlers(this.#parts, outgoing, clients)
  }

  async #startHandlers(parts: DecideOptions, outgoing: Outgoing, clients: ClientResolver): Promise<void> {
    const { jwks } = outgoing
    const decide = createDecide(parts)
    const { logger, recent, blocks } = this.#context
    const observe = observer(this.config, parts, blocks)
    const log = new DecisionLog(logger, this.config.log.decisions, recent)
    const common = { ...this.#context, log, style: this.profile.answers, cors: this.#cors }
    const own = createOwnEndpoints({ identify: createIdentify(parts), jwks, cors: this.#cors })
    this.#handler = new EdgeHandler({
      ...common,
      decide: observe === undefined ? decide : observing(decide, observe),
      observing: observe !== undefined,
      router: this.router,
      upstream: this.upstream,
      clients,
      own,
      newId: randomUUID,
      maxHeaders: this.config.limits.headers,
      onAnswer: this.#watched.noteAnswer,
    })
    const { changes } = this.#coherence
    const decisions = await createDecisions({
      ...common,
      config: this.config,
      decide: parts,
      observe,
      changes,
    })
    this.#stops.push(decisions.stop)
    this.#decisions = decisions.handler
  }

  #identity(): DecideOptions['identity'] {
    const { carrier, authenticator, isRevoked, guest } = this.profile
    const { scopes, conflict } = this.config
    const { blocks } = this.#context
    return {
      ...{ carrier, guest, conflict },
      isRevoked: (credential) => blocks.holdsCredential(credential) || (isRevoked?.(credential) ?? false),
      authenticator: withBlocks(withImplied(authenticator, scopes.implies), blocks),
    }
  }

  #profileContext(): ProfileContext {
    const { clock, logger, siblings } = this.#context
    const { revalidate, staleIfError, entries } = this.config.cache
    return {
      ask: this.#watched.ask,
      clock,
      freshness: {
        freshFor: revalidate + BATCH_DEADLINE,
        staleIfError,
        deadline: BATCH_DEADLINE,
        maxEntries: entries,
      },
      shared: this.#coherence.shared?.store,
      kept: siblings && {
        secret: siblings.secret,
        store: (prefix) => keptTies(siblings.keeper, prefix),
      },
      changed: (changes) => void this.#coherence.changes.note(changes),
      attempts: this.#attempts,
      warn: (message) => logger.warn(message),
    }
  }

  #createRouter(): LiveRouter {
    const operator = operatorLayer(this.config)
    return createLiveRouter({
      layers: () => [operator, { rules: this.profile.rules() }],
      protectedPrefixes: this.profile.protectedPrefixes,
      document: documentOptions(this.config, this.upstream),
      clock: this.#context.clock,
      onSwap: (_table, version) => this.profile.noteVersion(version),
    })
  }

  /** Batches; and looks at the sockets, regularly and after each batch. */
  #startWatching({ authenticator }: DecideOptions['identity']): () => void {
    const { revalidate: interval } = this.config.cache
    const { look, stop } = watchSockets({
      sockets: this.upstream.sockets,
      // A socket that only the gateway holds for dead is the backend's to close, while nothing is enforced.
      authenticator: this.config.enforcement === 'enforce' ? authenticator : undefined,
      isRefused: (permit) => isBlocked(this.#context.blocks, permit),
      clock: this.#context.clock,
      interval,
      patience: interval + BATCH_DEADLINE,
    })
    this.#coherence.start(look)
    return stop
  }
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new PosternError('internal', 'used before it was started')
  return part
}
