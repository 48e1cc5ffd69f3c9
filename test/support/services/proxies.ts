import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './process.ts'
import { locate } from './programs.ts'
import { HOST, serve, type Server } from './server.ts'

/** What stands behind a proxy; of what its recipe does not name, the port does not matter. */
export interface Behind {
  readonly edge: number
  /** Of the decision API. */
  readonly decision: number
  readonly backend: number
}

/** How a program is run with a recipe. */
interface Runner {
  /** A file that is whole, around a recipe whose addresses are those of the test. */
  readonly configuration: (recipe: string, port: number, folder: string) => string
  readonly command: (path: string, file: string, folder: string) => readonly [string, ...string[]]
  /** What it writes once it takes connections. */
  readonly ready: RegExp
}

const RUNNERS = {
  caddy: {
    configuration: (recipe, port) =>
      `{\n\tadmin off\n\tauto_https off\n}\n${recipe.replace('romm.example.org {', `http://:${port} {\n\tbind ${HOST}`)}`,
    command: (path, file, folder) => {
      const homes = ['HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME'].map((name) => `${name}=${folder}`)
      return ['/usr/bin/env', ...homes, path, 'run', '--adapter', 'caddyfile', '--config', file]
    },
    ready: /serving initial configuration/,
  },
  haproxy: {
    configuration: (recipe, port) => recipe.replace('bind :80', `bind ${HOST}:${port}`),
    command: (path, file) => [path, '-W', '-db', '-f', file],
    ready: /Loading success/,
  },
  nginx: {
    configuration: (recipe, port, folder) => {
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${join(folder, name)};`,
      )
      return [
        'daemon off; master_process off; error_log stderr notice;',
        `pid ${join(folder, 'pid')};`,
        'events {}',
        `http { access_log off; ${temporary.join(' ')}`,
        recipe.replace('listen 80;', `listen ${HOST}:${port};`),
        '}',
      ].join('\n')
    },
    command: (path, file, folder) => [path, '-p', folder, '-e', 'stderr', '-c', file],
    ready: /OS: /,
  },
} as const satisfies Record<string, Runner>

export type ProxyProgram = keyof typeof RUNNERS

/** A file of this repository, as it is shipped. */
export function shipped(path: string): string {
  return readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
}

/** What a recipe tells its reader to write into Postern's configuration: indented lines of its head, or a page's YAML. */
export function posternsSide(recipe: string): string {
  const fenced = /^```yaml\n([^]*?)^```$/m.exec(recipe)?.[1]
  return fenced ?? [...recipe.matchAll(/^# {5}(.*)$/gm)].map(([, line]) => `${line}\n`).join('')
}

/** A real proxy that runs a recipe, in which nothing but addresses is another. */
export function startProxy(program: ProxyProgram, recipe: string, behind: Behind): Promise<Server> {
  const path = locate(program)
  const folder = temporaryFolder(program)
  const { configuration, command, ready }: Runner = RUNNERS[program]
  const addressed = recipe
    .replaceAll('postern:8090', `${HOST}:${behind.edge}`)
    .replaceAll('postern:8093', `${HOST}:${behind.decision}`)
    .replaceAll('romm:8080', `${HOST}:${behind.backend}`)
  const run = (port: number) => {
    const file = join(folder, 'configuration')
    writeFileSync(file, configuration(addressed, port, folder))
    const [first, ...args] = command(path, file, folder)
    return { path: first, args, owner: {}, ready, stopSignal: 'SIGTERM' as const }
  }
  return serve(folder, run, (port) => `http://${HOST}:${port}`)
}
