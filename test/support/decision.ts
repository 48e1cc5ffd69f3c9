import type { Test } from 'tap'
import type { DIALECTS } from '../../src/edge/decision/dialect.ts'
import { ASK_FREELY, type RawAnswer, talk } from '../gateway/support.ts'
import { freshGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts'
import { freshStandin } from './romm/ask.ts'
import type { Standin } from './romm/standin.ts'

export { DIALECTS } from '../../src/edge/decision/dialect.ts'
export type DialectName = (typeof DIALECTS)[number]

/** What a client asked of a proxy. */
export interface Original {
  readonly method?: string
  readonly uri: string
  /** Header lines that the proxy passes on. */
  readonly fields?: readonly string[]
  /** The lines that the proxy adds, instead of the true ones. */
  readonly own?: readonly string[]
}

/** The lines that each proxy adds about a request, as they stand in its question. */
export const OWN: Readonly<Record<DialectName, (original: Original) => string[]>> = {
  // Seen of Caddy 2.6.2.
  caddy: ({ method = 'GET', uri }) => [
    'X-Forwarded-For: 198.51.100.7',
    'X-Forwarded-Host: games.example',
    `X-Forwarded-Method: ${method}`,
    'X-Forwarded-Proto: https',
    `X-Forwarded-Uri: ${uri}`,
  ],
  // Seen of nginx 1.22.1 with deploy/nginx/auth_request.conf.
  nginx: ({ method = 'GET', uri }) => [
    `X-Original-URI: ${uri}`,
    `X-Original-Method: ${method}`,
    'X-Original-Host: games.example',
    'X-Forwarded-For: 198.51.100.7',
    'X-Forwarded-Proto: https',
  ],
  // As Traefik before 3.6.14 has it by its source; the latest leaves out two of them (test/proxies/traefik.ts).
  traefik: ({ method = 'GET', uri }) => [
    'X-Forwarded-For: 198.51.100.7',
    'X-Forwarded-Host: games.example',
    `X-Forwarded-Method: ${method}`,
    'X-Forwarded-Port: 443',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Server: traefik',
    `X-Forwarded-Uri: ${uri}`,
    'X-Real-Ip: 198.51.100.7',
  ],
  // As Envoy has it by its source, with every header allowed (test/proxies/envoy.ts).
  envoy: () => [
    'content-length: 0',
    'x-envoy-internal: true',
    'x-forwarded-for: 198.51.100.7,127.0.0.1',
    'x-forwarded-proto: https',
    'x-request-id: 6d0b1e4a-4a7e-4b5c-8f2e-0f6a2a1c9d11',
    'x-envoy-expected-rq-timeout-ms: 200',
  ],
}

const LINE: Readonly<Record<DialectName, (original: Original) => string[]>> = {
  caddy: ({ uri }) => [`GET /decide${query(uri)} HTTP/1.1`, 'Host: games.example'],
  nginx: () => ['GET /decide HTTP/1.1', 'Host: postern'],
  traefik: () => ['GET /decide HTTP/1.1', 'Host: postern:8093'],
  envoy: ({ method = 'GET', uri }) => [`${method} ${uri} HTTP/1.1`, 'host: games.example'],
}

/** A question as the proxy writes it. */
export function question(dialect: DialectName, original: Original): string {
  const { fields = [], own = OWN[dialect](original) } = original
  return [...LINE[dialect](original), ...fields, ...own, '', ''].join('\r\n')
}

function query(uri: string): string {
  return uri.includes('?') ? uri.slice(uri.indexOf('?')) : ''
}

/** A gateway that a proxy of one kind asks. */
export interface Decider extends TestGateway {
  readonly standin: Standin
  readonly decisionPort: number
  ask(t: Test, original: Original): Promise<RawAnswer>
  /** @param bytes a question, down to its last byte */
  send(t: Test, bytes: string, method?: string): Promise<RawAnswer>
}

export interface DeciderOptions extends TestGatewayOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly standin?: Standin
}

export async function freshDecider(
  t: Test,
  dialect: DialectName,
  options: DeciderOptions = {},
): Promise<Decider> {
  const standin = options.standin ?? (await freshStandin(t))
  const settings = { ...ASK_FREELY, 'upstream.url': standin.url, ...deciding(dialect), ...options.settings }
  const gateway = await freshGateway(t, settings, options)
  const decisionPort = Number(gateway.gateway.decision?.split(':').at(-1))
  const send: Decider['send'] = (t, bytes, method) => talk(t, decisionPort, bytes, method)
  const ask: Decider['ask'] = (t, original) =>
    send(t, question(dialect, original), dialect === 'envoy' ? original.method : 'GET')
  return { ...gateway, standin, decisionPort, send, ask }
}

export function deciding(dialect: DialectName, callers = '127.0.0.1'): Record<string, string> {
  return { 'decision.listen': '127.0.0.1:0', 'decision.dialect': dialect, 'decision.callers': callers }
}

/** `200`, or `403 insufficient_scope`: the status before a proxy, and the reason. */
export function said(answer: RawAnswer): string {
  const status = answer.one('postern-status') ?? String(answer.status)
  return [status, answer.one('postern-reason') ?? []].flat().join(' ')
}

/** The claims of a permit's assertion, unverified. */
export function claimsOf(answer: RawAnswer): Readonly<Record<string, unknown>> | undefined {
  const assertion = answer.one('x-postern-assertion')
  if (assertion === undefined || assertion === '') return undefined
  // What we signed has an object in its middle.
  return JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >
}
