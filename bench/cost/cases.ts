import { as } from '../../test/support/romm/ask.ts'
import type { Case, Goal } from './case.ts'

/** Tokens that the database of the gateway under test holds besides the fixture's. */
const MANY_TOKENS = 100_000
const MANY_ROUTES = 10_000

const TOKEN = 'rmm vera all'
const MANY = ['--tokens', String(MANY_TOKENS)]

/** By name; the groups are what is measured together, against each other. */
export const GROUPS: Readonly<Record<string, readonly Case[]>> = {
  forwarding: [
    { name: 'gateway', server: 'gateway' },
    { name: 'unchecked', server: 'unchecked' },
    { name: 'forwarder', server: 'forwarder' },
    { name: 'reply-from', server: 'reply-from' },
    { name: 'bare', server: 'bare' },
    { name: 'http-proxy-3', server: 'http-proxy-3' },
    { name: 'nginx', server: 'nginx' },
    { name: 'caddy', server: 'caddy' },
    { name: 'haproxy', server: 'haproxy' },
  ],
  asking: [
    { name: 'gateway', server: 'gateway' },
    { name: 'nginx + trivial', server: 'nginx-auth', asks: 'answerer' },
    { name: 'nginx + Postern', server: 'nginx-postern', asks: 'gateway' },
    { name: 'caddy + trivial', server: 'caddy-auth', asks: 'answerer' },
  ],
  modes: [
    { name: 'gateway', server: 'gateway' },
    { name: 'session', server: 'gateway', headers: as('session vera') },
    { name: 'basic', server: 'gateway', headers: as('basic vera') },
    { name: 'jwt', server: 'gateway', headers: as('jwt vera all') },
  ],
  refusing: [
    { name: 'bare 401', server: 'refusal', status: 401 },
    { name: '401', server: 'gateway', headers: {}, status: 401 },
    { name: '401 of a bad token', server: 'gateway', headers: as('rmm unknown'), status: 401 },
    { name: '403', server: 'gateway', path: '/api/users', status: 403 },
    { name: '404', server: 'gateway', path: '/api/nowhere', status: 404 },
  ],
  growth: [
    { name: 'gateway', server: 'gateway' },
    { name: '10,000 routes', server: 'gateway', args: ['--routes', String(MANY_ROUTES)] },
    { name: '1 token of 100,000', server: 'gateway', args: MANY, tokens: 1 },
    { name: '100,000 tokens', server: 'gateway', args: MANY, tokens: MANY_TOKENS },
  ],
  workers: [
    { name: 'gateway', server: 'gateway' },
    { name: '2 workers', server: 'gateway', args: ['--workers', '2'] },
  ],
}

/** What the load presents, unless the case says otherwise. */
export const CREDENTIAL = as(TOKEN)

export const GOALS: readonly Goal[] = [
  { what: 'to fastify with reply-from', of: 'gateway', to: 'reply-from', atMost: 0.88 },
  { what: 'to the same gateway without checks', of: 'gateway', to: 'unchecked', atMost: 1.08 },
  { what: 'to node:http with undici', of: 'gateway', to: 'bare', atMost: 1.15 },
  { what: "to Caddy's reverse_proxy", of: 'gateway', to: 'caddy', atMost: 0.6 },
  {
    what: "to Caddy's forward_auth with a trivial service",
    of: 'gateway',
    to: 'caddy + trivial',
    atMost: 0.3,
  },
  {
    what: 'to nginx with auth_request and a trivial service',
    of: 'gateway',
    to: 'nginx + trivial',
    atMost: 0.9,
  },
  {
    what: 'decision API behind nginx, to a trivial service',
    of: 'nginx + Postern',
    to: 'nginx + trivial',
    atMost: 1.25,
  },
  { what: '401 to a bare one', of: '401', to: 'bare 401', atMost: 1.3 },
  { what: '10,000 routes to 238', of: '10,000 routes', to: 'gateway', atMost: 1.1 },
  { what: '100,000 tokens to one', of: '100,000 tokens', to: '1 token of 100,000', atMost: 1.1 },
  { what: 'session to token', of: 'session', to: 'gateway', atMost: 1.1 },
  { what: 'Basic to token', of: 'basic', to: 'gateway', atMost: 1.1 },
  { what: 'JWT to token', of: 'jwt', to: 'gateway', atMost: 1.1 },
]
