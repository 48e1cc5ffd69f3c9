import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { locate } from '../../test/support/services/programs.ts'
import type { ProxyName } from './case.ts'

/** Where a proxy listens, and what stands behind and beside it. */
export interface Place {
  readonly port: number
  readonly backend: number
  /** What it asks, where it asks: a decision with the path `/decide`. */
  readonly asked: number
  /** An empty folder of its own. */
  readonly folder: string
}

/**
 * The plainest configuration of each that keeps connections to the backend, in one process. nginx inherits
 * `proxy_set_header` only where a location has none of its own.
 */
const CONFIGURATIONS: Readonly<Record<ProxyName, (place: Place) => string>> = {
  nginx: (place) => nginx(place, 'location / { proxy_pass http://backend; }'),
  'nginx-auth': (place) =>
    nginx(
      place,
      `location / { auth_request /decide; proxy_pass http://backend; }
       location = /decide { internal; proxy_pass http://asked; proxy_pass_request_body off;
         proxy_set_header Connection ""; proxy_set_header Content-Length ""; }`,
    ),
  'nginx-postern': (place) =>
    nginx(
      place,
      `location / {
         auth_request /decide; auth_request_set $assertion $upstream_http_x_postern_assertion;
         proxy_pass http://backend; proxy_set_header Connection ""; proxy_set_header X-Postern-Assertion $assertion;
       }
       location = /decide {
         internal; proxy_pass http://asked; proxy_pass_request_body off;
         proxy_set_header Connection ""; proxy_set_header Content-Length "";
         proxy_set_header X-Original-URI $request_uri; proxy_set_header X-Original-Method $request_method;
         proxy_set_header X-Original-Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
         proxy_set_header X-Forwarded-Proto $scheme;
       }`,
    ),
  caddy: (place) => caddy(place, ''),
  'caddy-auth': (place) => caddy(place, `forward_auth 127.0.0.1:${place.asked} {\n\turi /decide\n}`),
  haproxy: ({ port, backend }) => `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend edge
  bind 127.0.0.1:${port}
  default_backend backend
backend backend
  http-reuse always
  server one 127.0.0.1:${backend}
`,
}

/** The command that runs a proxy. */
export function proxyCommand(name: ProxyName, place: Place): readonly string[] {
  const file = join(place.folder, 'configuration')
  mkdirSync(place.folder, { recursive: true })
  writeFileSync(file, CONFIGURATIONS[name](place))
  if (name === 'haproxy') return [locate('haproxy'), '-q', '-db', '-f', file]
  if (name.startsWith('nginx')) return [locate('nginx'), '-p', place.folder, '-e', 'stderr', '-c', file]
  const homes = ['HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME'].map((home) => `${home}=${place.folder}`)
  return ['env', ...homes, locate('caddy'), 'run', '--adapter', 'caddyfile', '--config', file]
}

function nginx({ port, backend, asked, folder }: Place, locations: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join(' ')
  return `daemon off; master_process off; worker_processes 1; error_log stderr crit; pid ${join(folder, 'pid')};
events { worker_connections 4096; }
http {
  access_log off; ${temporary} keepalive_requests 1000000000;
  upstream backend { server 127.0.0.1:${backend}; keepalive 64; keepalive_requests 1000000000; }
  upstream asked { server 127.0.0.1:${asked === 0 ? backend : asked}; keepalive 64; keepalive_requests 1000000000; }
  client_max_body_size 0; proxy_request_buffering off;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  server { listen 127.0.0.1:${port}; ${locations} }
}`
}

function caddy({ port, backend }: Place, before: string): string {
  return `{
	admin off
	auto_https off
	log {
		output discard
	}
}
http://:${port} {
	bind 127.0.0.1
	route {
		${before}
		reverse_proxy 127.0.0.1:${backend} {
			transport http {
				keepalive_idle_conns_per_host 64
			}
		}
	}
}
`
}
