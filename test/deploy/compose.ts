import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { environment, type Variables } from '../cli/processes.ts'
import { locate } from '../support/services/programs.ts'

const execFileAsync = promisify(execFile)

/** What the tests look at of a service. */
export interface Service {
  readonly image: string
  readonly restart: string
  readonly environment?: Readonly<Record<string, string>>
  readonly command?: string | readonly string[]
  readonly entrypoint?: readonly string[]
  readonly networks?: Readonly<Record<string, unknown>>
  readonly network_mode?: string
  readonly ports?: readonly unknown[]
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
}

/** A compose file as docker-compose has read it, variables filled in. */
export interface Composed {
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>
}

/**
 * `docker-compose config`, which needs no engine.
 * @param path from the project's folder
 * @throws Error with what it has against the file
 */
export async function composed(path: string, env: Variables): Promise<Composed> {
  const file = fileURLToPath(new URL(`../../${path}`, import.meta.url))
  const { stdout } = await execFileAsync(locate('docker-compose'), ['-f', file, 'config'], {
    env: environment(env),
    cwd: dirname(file),
  })
  return parse(stdout) as Composed
}

export function serviceOf({ services }: Composed, name: string): Service {
  const service = services[name]
  if (service === undefined) throw new Error(`there is no service ${name}`)
  return service
}

/** The last argument of a command in list form, as the container has it: `config` doubles each dollar sign again. */
export function scriptOf({ command = [] }: Service): string {
  return ([command].flat().at(-1) ?? '').replaceAll('$$', '$')
}

/** The words of a command, whichever way `config` prints it. */
export function wordsOf({ command = [] }: Service): readonly string[] {
  return typeof command === 'string' ? command.split(' ') : command
}

/** Who is on a network with this service, other than itself; who shares its network has all of its networks. */
export function neighbours(file: Composed, name: string): readonly string[] {
  const networks = networksOf(file, name)
  return Object.keys(file.services)
    .filter((other) => other !== name && networksOf(file, other).some((each) => networks.includes(each)))
    .toSorted()
}

function networksOf(file: Composed, name: string): readonly string[] {
  const { network_mode: mode, networks = {} } = serviceOf(file, name)
  return mode?.startsWith('service:') === true
    ? networksOf(file, mode.slice('service:'.length))
    : Object.keys(networks)
}
