import { once } from 'node:events'
import { connect } from 'node:net'
import type { Test } from 'tap'
import type { Outcome } from '../attacks/support.ts'
import { ASK_FREELY, message, RawClient } from '../gateway/support.ts'
import { said } from '../support/decision.ts'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import type { Standin } from '../support/romm/standin.ts'
import {
  type Behind,
  type ProxyProgram,
  posternsSide,
  shipped,
  startProxy,
} from '../support/services/proxies.ts'
import type { Server } from '../support/services/server.ts'
import { envoy } from './envoy.ts'
import { type Imitation, startImitation } from './imitation.ts'
import { proxyHost } from './manager.ts'
import { traefik } from './traefik.ts'
import { tunnel } from './tunnel.ts'

/** Postern is the proxy's upstream, or is asked by it and the proxy sends to the backend itself. */
export type Way = 'before' | 'asking'

type Proxy = Pick<Server, 'port' | 'pid' | 'close'>

/** What is shipped for a proxy, and that proxy. */
export interface Recipe {
  readonly name: string
  readonly way: Way
  /** In this repository. */
  readonly file: string
  /** What its reader is told to change for a backend of another kind. */
  readonly edit?: (recipe: string) => string
  readonly start: (recipe: string, behind: Behind) => Promise<Proxy>
  /** What the proxy's listener here is, in its own words. */
  readonly scheme?: 'https'
  /** Two slashes are one to it, before it asks or sends on. */
  readonly merges?: true
  /** Of an outage it tells its client the status alone. */
  readonly mute?: true
}

const real =
  (program: ProxyProgram): Recipe['start'] =>
  (recipe, behind) =>
    startProxy(program, recipe, behind)
const imitated =
  (imitate: (recipe: string) => Imitation): Recipe['start'] =>
  (recipe, behind) =>
    startImitation(imitate(recipe), behind)

const before = (name: string, file: string, start: Recipe['start']): Recipe => ({
  name: `${name} before Postern`,
  way: 'before',
  file,
  start,
})
const asking = (name: string, file: string, start: Recipe['start']): Recipe => ({
  name: `${name} asking Postern`,
  way: 'asking',
  file,
  start,
})

/** The proxies that can be installed here. */
export const REAL: readonly Recipe[] = [
  before('Caddy', 'Caddyfile.example', real('caddy')),
  before('nginx', 'deploy/nginx/reverse_proxy.conf', real('nginx')),
  before('HAProxy', 'deploy/haproxy/haproxy.cfg', real('haproxy')),
  before('Nginx Proxy Manager', 'deploy/nginx-proxy-manager.md', (page, behind) =>
    startProxy('nginx', proxyHost(page), behind),
  ),
  asking('Caddy', 'deploy/caddy/forward_auth.Caddyfile', real('caddy')),
  asking('nginx', 'deploy/nginx/auth_request.conf', real('nginx')),
]

/** Its recipes are for `websecure`. */
const TRAEFIKS = { merges: true, scheme: 'https' } as const
const latest = imitated((recipe) => traefik(recipe, 'latest'))
const earlier = imitated((recipe) => traefik(recipe, 'before 3.6.14'))

export const RECIPES: readonly Recipe[] = [
  ...REAL,
  { ...before('Traefik', 'deploy/traefik/reverse_proxy.yml', latest), ...TRAEFIKS },
  { ...asking('Traefik', 'deploy/traefik/forward_auth.yml', latest), ...TRAEFIKS },
  { ...asking('Traefik 3.6.13', 'deploy/traefik/forward_auth.yml', earlier), ...TRAEFIKS },
  before('Envoy', 'deploy/envoy/reverse_proxy.yaml', imitated(envoy)),
  { ...asking('Envoy', 'deploy/envoy/ext_authz.yaml', imitated(envoy)), mute: true },
  { ...before('Cloudflare', 'deploy/cloudflared/config.yml', imitated(tunnel)), scheme: 'https' },
]

/** Whom the gateway must take every client of a site for: the proxy itself has 127.0.0.1. */
export const CLIENT = '127.0.0.2'

/** A proxy, a gateway and a backend, as a recipe puts them together. */
export interface Site {
  readonly proxy: Proxy
  readonly standin: Standin
  /** @param fields header lines */
  readonly ask: (t: Test, target: string, fields?: readonly string[], method?: string) => Promise<Outcome>
  readonly client: (t: Test) => Promise<RawClient>
}

/**
 * @param settings over those of the configuration
 * @param text the configuration: by the recipe's head, unless another is said
 */
export async function freshSite(
  t: Test,
  recipe: Recipe,
  standin: Standin,
  settings: Readonly<Record<string, string>> = {},
  text = sideOf(recipe),
): Promise<Site & { readonly gateway: TestGateway }> {
  const gateway = await freshGateway(t, { ...settingsOf(recipe, standin), ...settings }, { text })
  const decision = Number(gateway.gateway.decision?.split(':').at(-1))
  return {
    gateway,
    ...(await standBefore(t, recipe, { edge: gateway.port, decision, backend: standin.port }, standin)),
  }
}

function textOf({ file, edit = (text) => text }: Recipe): string {
  return edit(shipped(file))
}

/** Postern's configuration by the recipe's head; the proxy's host name is an address here. */
export function sideOf({ file }: Recipe): string {
  return posternsSide(shipped(file)).replaceAll(/\[\w+\]/g, '[127.0.0.1]')
}

/** What is another address here than in a recipe's head. */
export function settingsOf({ way }: Recipe, { url }: Standin): Record<string, string> {
  const listen = way === 'asking' && { 'decision.listen': '127.0.0.1:0' }
  return { ...ASK_FREELY, 'upstream.url': url, ...listen }
}

/** The proxy, before a gateway and a backend that are there. */
export async function standBefore(t: Test, recipe: Recipe, behind: Behind, standin: Standin): Promise<Site> {
  const proxy = await recipe.start(textOf(recipe), behind)
  t.teardown(() => proxy.close())
  const client = (t: Test): Promise<RawClient> => openFrom(t, CLIENT, proxy.port)
  const ask: Site['ask'] = async (t, target, fields = [], method = 'GET') => {
    standin.forget()
    const { socket, answer } = await exchange(
      await client(t),
      message(target, ['Connection: close', ...fields], method),
      method,
    )
    socket.destroy()
    // The gateway's own questions have no Host of ours.
    const arrived = standin.requests.filter(({ headers }) => headers.host === 'games.example')
    return { answer, said: said(answer), arrived }
  }
  return { proxy, standin, ask, client }
}

async function exchange(client: RawClient, bytes: string, method: string) {
  return { socket: client.socket, answer: await client.send(bytes).answer(method) }
}

async function openFrom(t: Test, localAddress: string, port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return new RawClient(socket)
}
