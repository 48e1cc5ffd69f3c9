import type { Test } from 'tap'
import { ASK_FREELY, message, type RawAnswer, RawClient } from '../gateway/support.ts'
import { freshGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { Received, Standin, StandinOptions } from '../support/romm/standin.ts'

/** What came of one attack. */
export interface Outcome {
  readonly answer: RawAnswer
  /** `401 no_credential`; of what the backend answered, its status alone. */
  readonly said: string
  /** Every request that reached the backend meanwhile; the gateway's own questions are left out. */
  readonly arrived: readonly Received[]
}

/** A whole gateway before a stand-in RomM, and somebody who writes bytes to it. */
export interface Stage {
  readonly standin: Standin
  readonly gateway: TestGateway
  /** @param bytes a request, down to its last byte */
  readonly send: (t: Test, bytes: string, method?: string) => Promise<Outcome>
  /** @param fields header lines */
  readonly ask: (t: Test, target: string, fields?: readonly string[], method?: string) => Promise<Outcome>
}

export interface StageOptions extends TestGatewayOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly standin?: StandinOptions
  /** One that is there already. */
  readonly before?: Standin
}

export async function stage(t: Test, options: StageOptions = {}): Promise<Stage> {
  const standin = options.before ?? (await freshStandin(t, options.standin))
  const settings = { ...ASK_FREELY, 'upstream.url': standin.url, ...options.settings }
  const gateway = await freshGateway(t, settings, options)
  const send: Stage['send'] = async (t, bytes, method = 'GET') => {
    standin.forget()
    const client = await RawClient.open(t, gateway.port)
    const answer = await client.send(bytes).answer(method)
    client.socket.destroy()
    const said = [String(answer.status), reasonOf(answer) ?? []].flat().join(' ')
    // Only what was forwarded has an id.
    return { answer, said, arrived: standin.requests.filter(({ headers }) => 'x-request-id' in headers) }
  }
  const ask: Stage['ask'] = (t, target, fields = [], method = 'GET') => {
    const framed = method === 'GET' || method === 'HEAD' ? fields : [...fields, 'Content-Length: 0']
    return send(t, message(target, framed, method), method)
  }
  return { standin, gateway, send, ask }
}

export const HEARTBEAT = '/api/heartbeat'

/** The stand-in keeps back its answer to the heartbeat. @returns resolves when it was asked for; what it gives lets the answer go */
export function holdHeartbeat(t: Test, standin: Standin, body: string): Promise<() => void> {
  const held = Promise.withResolvers<() => void>()
  standin.intercept = ({ url }, response) => {
    if (url === HEARTBEAT) held.resolve(() => response.end(body))
    return url === HEARTBEAT
  }
  t.teardown(() => (standin.intercept = undefined))
  return held.promise
}

/** Why the gateway refused; undefined where the backend answered, whatever it said. */
export const reasonOf = (answer: RawAnswer): string | undefined => answer.one('postern-reason')

/** @param wanted `401 no_credential`: refused, and nothing reached the backend; `> /x`: this target did, and it answered */
export function cameOf(t: Test, { answer, said, arrived }: Outcome, wanted: string): void {
  const targets = arrived.map(({ target }) => `> ${target}`)
  if (wanted.startsWith('>')) t.same([reasonOf(answer), ...targets], [undefined, wanted], said)
  else t.same([said, ...targets], [wanted], answer.body)
}

/** Every value that the backend received under a name, in whatever spelling of it. */
export function received(outcome: Pick<Outcome, 'arrived'>, name: RegExp): string[] {
  const { rawHeaders = [] } = outcome.arrived[0] ?? {}
  return rawHeaders.filter((_, i) => i % 2 === 1 && name.test(rawHeaders[i - 1] ?? ''))
}

/** The claims of the assertion that the backend received, unverified; undefined when there was none. */
export function asserted(outcome: Pick<Outcome, 'arrived'>): Readonly<Record<string, unknown>> | undefined {
  const [assertion] = received(outcome, /^x-postern-assertion$/i)
  if (assertion === undefined) return undefined
  // What we signed has an object in its middle.
  return JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >
}

/** A header line. @param pair name and password, with the colon between them */
export function basic(pair: string): string {
  return `Authorization: Basic ${Buffer.from(pair).toString('base64')}`
}

/** A credential of the fixture without its scheme or cookie name. */
export function bare(name: string): string {
  const { authorization, cookie } = as(name)
  return authorization?.split(' ')[1] ?? cookie?.split('=')[1] ?? ''
}
