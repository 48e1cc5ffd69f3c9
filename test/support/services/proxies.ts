import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './process.ts'
import { locate } from './programs.ts'
import { HOST, serve, type Server } from './server.ts'

/** What stands behind a proxy. */
export interface Behind {
  /** Of the decision API. */
  readonly decision: number
  readonly backend: number
}

const deployed = (path: string): string =>
  readFileSync(new URL(`../../../deploy/${path}`, import.meta.url), 'utf8')

/** nginx with deploy/nginx/auth_request.conf, its three addresses aside. */
export function startNginx(behind: Behind): Promise<Server> {
  const path = locate('nginx')
  const folder = temporaryFolder('nginx')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  )
  const shipped = deployed('nginx/auth_request.conf')
  const configuration = (port: number): string =>
    [
      'daemon off; master_process off; error_log stderr notice;',
      `pid ${join(folder, 'pid')};`,
      'events {}',
      `http { access_log off; ${temporary.join(' ')}`,
      addressed(shipped, behind).replace('listen 80;', `listen ${HOST}:${port};`),
      '}',
    ].join('\n')
  return proxy(folder, path, /OS: /, (port) => {
    const file = join(folder, 'nginx.conf')
    writeFileSync(file, configuration(port))
    return ['-p', folder, '-e', 'stderr', '-c', file]
  })
}

/** Caddy with deploy/caddy/forward_auth.Caddyfile, its three addresses aside. */
export function startCaddy(behind: Behind): Promise<Server> {
  const path = locate('caddy')
  const folder = temporaryFolder('caddy')
  const shipped = deployed('caddy/forward_auth.Caddyfile')
  return proxy(folder, '/usr/bin/env', /serving initial configuration/, (port) => {
    const file = join(folder, 'Caddyfile')
    const site = addressed(shipped, behind).replace(/^:80 \{/m, `http://:${port} {\n\tbind ${HOST}`)
    writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n}\n${site}`)
    const homes = ['HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME'].map((name) => `${name}=${folder}`)
    return [...homes, path, 'run', '--adapter', 'caddyfile', '--config', file]
  })
}

function addressed(text: string, { decision, backend }: Behind): string {
  return text.replaceAll('postern:8093', `${HOST}:${decision}`).replaceAll('romm:8080', `${HOST}:${backend}`)
}

function proxy(
  folder: string,
  path: string,
  ready: RegExp,
  args: (port: number) => readonly string[],
): Promise<Server> {
  return serve(
    folder,
    (port) => ({ path, args: args(port), owner: {}, ready, stopSignal: 'SIGTERM' }),
    (port) => `http://${HOST}:${port}`,
  )
}
