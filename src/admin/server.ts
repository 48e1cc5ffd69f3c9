import fastify from 'fastify'
import type { FastifyError, FastifyInstance, FastifyPluginCallback } from 'fastify'
import { BLOCKABLE } from '../directory/mark.ts'
import { asPosternError } from '../errors.ts'
import { foreignPage } from './guard.ts'
import type { BlockRequest, Live } from './live.ts'
import { jsonLines } from './stream.ts'

/** Characters of what is blocked, and of why. */
const LONGEST_TEXT = 256
/** Characters of a path's part: as many as the longest name has, each of three bytes, percent-encoded. */
const LONGEST_PARAMETER = LONGEST_TEXT * 9

export type OwnServer = FastifyInstance
export type Part = FastifyPluginCallback

/** A listener of our own, for whatever stands behind it. */
export function createServer(...parts: readonly Part[]): OwnServer {
  const app = fastify({ routerOptions: { maxParamLength: LONGEST_PARAMETER } })
  // Who tails has no end of their own to wait for; fastify would see to it, were the server opened by fastify.
  app.addHook('preClose', (done) => {
    app.server.closeAllConnections()
    done()
  })
  for (const part of parts) app.register(part)
  return app
}

type Blocked = Pick<BlockRequest, 'kind' | 'what'>

/** Which of the lines are wanted. */
const FILTERS = { all: undefined, denied: 'deny', 'would-deny': 'would_deny' } as const
type Filter = keyof typeof FILTERS

/**
 * What the commands ask and say. Whoever reaches it is believed: it is for this machine alone.
 * @param name under which it listens, where that is no address
 */
export function adminPart(live: Live, name: string | undefined): Part {
  return (app, _options, done) => {
    // What a page could send without asking first (Fetch §4.8: a form's or plain text) is not read.
    app.removeContentTypeParser('text/plain')
    app.setErrorHandler((error: FastifyError, _request, reply) => {
      const { code } = asPosternError(error)
      const status = code === 'usage' ? 400 : (error.statusCode ?? 500)
      return reply.code(status).send({ error: status < 500 ? error.message : 'Something went wrong.' })
    })
    app.addHook('onRequest', async (request, reply) => {
      const refused = foreignPage(request.headers, name)
      if (refused !== undefined) return reply.code(403).send({ error: refused })
      reply.header('Cache-Control', 'no-store')
    })
    app.get('/status', () => live.status())
    app.get<{ Querystring: { since: number } }>('/who', { schema: { querystring: SINCE } }, ({ query }) =>
      live.who(query.since),
    )
    app.get<{ Params: { id: string } }>('/refusals/:id', async ({ params }, reply) => {
      const refusal = await live.refusal(params.id)
      return refusal ?? reply.code(404).send({ error: 'No such refusal is remembered.' })
    })
    app.get('/blocks', () => live.blocks())
    app.post<{ Body: BlockRequest }>('/blocks', { schema: { body: BLOCK } }, ({ body }) => live.block(body))
    app.delete<{ Params: Blocked }>(
      '/blocks/:kind/:what',
      { schema: { params: BLOCKED } },
      async ({ params }, reply) => {
        const lifted = await live.unblock(params.kind, params.what)
        return lifted ?? reply.code(404).send({ error: 'There is no such block.' })
      },
    )
    app.get<{ Querystring: { only: Filter } }>(
      '/tail',
      // To HEAD, whose answer has no end of its own either, nobody would listen.
      { schema: { querystring: ONLY }, exposeHeadRoute: false },
      ({ query }, reply) => {
        const wanted = FILTERS[query.only]
        const lines = jsonLines((told) =>
          live.tail((line) => {
            if (wanted === undefined || line['decision'] === wanted) told(line)
          }),
        )
        return reply.header('Content-Type', 'application/x-ndjson').send(lines)
      },
    )
    done()
  }
}

const TEXT = { type: 'string', minLength: 1, maxLength: LONGEST_TEXT } as const
const BLOCKED = {
  type: 'object',
  required: ['kind', 'what'],
  properties: { kind: { type: 'string', enum: BLOCKABLE }, what: TEXT },
} as const
const BLOCK = {
  ...BLOCKED,
  required: ['kind', 'what', 'for'],
  properties: { ...BLOCKED.properties, for: { type: 'number', exclusiveMinimum: 0 }, why: TEXT },
} as const
const SINCE = { type: 'object', properties: { since: { type: 'number', default: 0 } } } as const
const ONLY = {
  type: 'object',
  properties: { only: { type: 'string', enum: Object.keys(FILTERS), default: 'all' } },
} as const
