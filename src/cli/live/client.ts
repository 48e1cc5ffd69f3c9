import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import type { Status } from '../../admin/live.ts'
import { parseListenAddress } from '../../config/values.ts'
import type { ListenAddress } from '../../config/values.ts'
import { PosternError } from '../../errors.ts'
import type { parseCommand } from '../arguments.ts'
import { CONFIG_OPTIONS, configure } from '../configure.ts'
import type { CliContext } from '../context.ts'

/** Options of every command that asks a running gateway. */
export const LIVE_OPTIONS = {
  ...CONFIG_OPTIONS,
  admin: { type: 'string' },
  json: { type: 'boolean' },
} as const

export const LIVE_USAGE = '[--json] [--admin URL|SOCKET] [--config FILE]'

type LiveValues = ReturnType<typeof parseCommand<typeof LIVE_OPTIONS>>['values']

/** A running gateway, as the commands ask it. */
export interface AdminClient {
  /** @returns undefined where it says that there is none */
  get(path: string): Promise<unknown>
  send(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown>
  /** Lines of JSON, until the gateway ends or `signal` does. */
  lines(path: string, signal: AbortSignal): AsyncIterable<string>
}

/** @throws PosternError `usage` for a place that is none; `config_invalid` */
export function adminClient(values: LiveValues, context: CliContext): AdminClient {
  const address = values.admin === undefined ? configured(values, context) : given(values.admin)
  return {
    get: async (path) => answerOf(await ask(address, { method: 'GET', path })),
    send: async (method, path, body) => answerOf(await ask(address, { method, path }, body)),
    async *lines(path, signal) {
      const response = await ask(address, { method: 'GET', path, signal })
      if (response.statusCode !== 200) await answerOf(response)
      yield* linesOf(response)
    },
  }
}

/** Whatever is valid: a gateway that was started with `--upstream` and no file is found by its default place. */
const ANY_UPSTREAM = 'http://127.0.0.1'

/** Where `serve` listens with the same configuration. */
function configured(values: LiveValues, context: CliContext): ListenAddress {
  const { admin } = configure({ upstream: ANY_UPSTREAM, ...values }, context).config.listen
  if (admin !== 'off') return admin
  throw new PosternError('usage', 'listen.admin is off: there is nobody to ask.')
}

function given(text: string): ListenAddress {
  const place = text.replace(/^http:\/\//, '').replace(/\/$/, '')
  const address = place.startsWith('/') || text.startsWith('./') ? `unix:${text}` : place
  const parsed = parseListenAddress(address)
  if (parsed !== undefined) return parsed
  throw new PosternError(
    'usage',
    `--admin takes http://127.0.0.1:8092 or the path of a socket, not '${text}'.`,
  )
}

/** Says so where others are not asked: each remembers its own. */
export async function noteReplicas(client: AdminClient, context: CliContext): Promise<void> {
  // What the gateway of this release sends.
  const { replicas } = (await client.get('/status')) as Pick<Status, 'replicas'>
  if (replicas !== undefined) context.err(`Of this replica alone; others heard: ${replicas.live}.`)
}

async function ask(
  address: ListenAddress,
  options: RequestOptions,
  body?: unknown,
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const asking = request({
    ...options,
    ...(address.kind === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port }),
    headers: {
      ...(address.kind === 'unix' && { Host: 'localhost' }),
      ...(text !== undefined && {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text),
      }),
    },
  })
  asking.end(text)
  try {
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    return response
  } catch (error) {
    const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`
    const message = `No gateway answers on ${where} (listen.admin); --admin names another place.`
    throw new PosternError('not_running', message, { cause: error })
  }
}

async function answerOf(response: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk)
  const status = response.statusCode ?? 0
  if (status === 404) return undefined
  if (status < 300) return text === '' ? undefined : JSON.parse(text)
  const { error } = JSON.parse(text) as { readonly error?: string }
  throw new PosternError('usage', error ?? `The gateway answered ${status}.`)
}

async function* linesOf(response: IncomingMessage): AsyncIterable<string> {
  let rest = ''
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => line !== '')
  }
}
