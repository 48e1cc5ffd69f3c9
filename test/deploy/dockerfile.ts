import { execFile } from 'node:child_process'
import { cp, link, mkdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import type { Variables } from '../cli/processes.ts'

const execFileAsync = promisify(execFile)

/** One instruction of a Dockerfile, its continued lines joined. */
export interface Instruction {
  readonly name: string
  readonly text: string
}

export function parseDockerfile(text: string): readonly Instruction[] {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line))
  const whole = lines.join('\n').replaceAll(/\\\n\s*/g, '')
  return [...whole.matchAll(/^([A-Z]+)\s+(.+)$/gm)].map(([, name = '', rest = '']) => ({
    name,
    text: rest.trim(),
  }))
}

/** What a stage has come to: a folder in place of `/`, and what the last instructions of each kind said. */
export interface Stage {
  readonly root: string
  readonly from: string
  cwd: string
  readonly env: Record<string, string>
  readonly said: Map<string, string>
}

/**
 * Runs the steps of a Dockerfile in folders instead of containers: absolute paths are taken to mean the stage's folder,
 * and the base image is this Node. Owners are changed only where that is allowed.
 * @param context the folder that is built from, as far as its .dockerignore lets it through
 * @returns the last stage
 */
export async function build(dockerfile: string, context: string, folder: string): Promise<Stage> {
  const stages: Stage[] = []
  const named = new Map<string, Stage>()
  const admitted = await admittedNames(context)
  for (const { name, text } of parseDockerfile(dockerfile)) {
    const stage = stages.at(-1)
    if (name === 'FROM') {
      const opened = await openStage(text, join(folder, String(stages.length)))
      stages.push(opened)
      const alias = / AS (\S+)$/.exec(text)?.[1]
      if (alias !== undefined) named.set(alias, opened)
    } else if (stage !== undefined) await step(stage, name, text, { context, admitted, named })
  }
  const last = stages.at(-1)
  if (last === undefined) throw new Error('there is no FROM')
  return last
}

async function openStage(text: string, root: string): Promise<Stage> {
  const programs = join(root, 'usr/local/bin')
  await mkdir(programs, { recursive: true })
  await link(process.execPath, join(programs, 'node')).catch(() =>
    cp(process.execPath, join(programs, 'node')),
  )
  const from = text.replace(/^--platform=\S+ /, '').replace(/ AS \S+$/, '')
  return { root, from, cwd: root, env: {}, said: new Map() }
}

interface Surroundings {
  readonly context: string
  readonly admitted: ReadonlySet<string>
  readonly named: ReadonlyMap<string, Stage>
}

async function step(stage: Stage, name: string, text: string, around: Surroundings): Promise<void> {
  if (name === 'WORKDIR') await mkdir((stage.cwd = inside(stage, text)), { recursive: true })
  else if (name === 'COPY') await copy(stage, text, around)
  else if (name === 'RUN') await run(stage, text)
  else if (name === 'ENV') Object.assign(stage.env, Object.fromEntries([text.split('=')]))
  else stage.said.set(name, text)
}

async function copy(stage: Stage, text: string, { context, admitted, named }: Surroundings): Promise<void> {
  const [, alias, paths = ''] = /^(?:--from=(\S+) )?(.*)$/.exec(text) ?? []
  const words = paths.split(/\s+/)
  const target = join(stage.cwd, words.at(-1) ?? '')
  const source = alias === undefined ? undefined : named.get(alias)
  for (const word of words.slice(0, -1)) {
    if (source === undefined && !admitted.has(word)) throw new Error(`.dockerignore holds ${word} back`)
    const from = source === undefined ? join(context, word) : inside(source, word)
    await cp(from, target.endsWith('/') ? join(target, basename(word)) : target, {
      recursive: true,
      verbatimSymlinks: true,
    })
  }
}

async function run(stage: Stage, text: string): Promise<void> {
  const mapped = text.replaceAll(/(?<=\s)(?=\/\w)/g, stage.root)
  const command = process.getuid?.() === 0 ? mapped : mapped.replaceAll(/chown \S+ \S+/g, 'true')
  const env = { ...process.env, ...stage.env }
  // What the test runner loads into every Node is nothing that an image has.
  await execFileAsync('env', ['-u', 'NODE_OPTIONS', 'sh', '-ec', command], {
    cwd: stage.cwd,
    env,
    maxBuffer: 2 ** 26,
  })
}

export function inside({ root, cwd }: Stage, path: string): string {
  return path.startsWith('/') ? join(root, path) : join(cwd, path)
}

/** @throws Error when the .dockerignore is of another form than "everything but these names" */
async function admittedNames(context: string): Promise<ReadonlySet<string>> {
  const lines = (await readFile(join(context, '.dockerignore'), 'utf8'))
    .split('\n')
    .filter((line) => !/^(#|$)/.test(line))
  const [first, ...exceptions] = lines
  if (first !== '*' || exceptions.some((line) => !line.startsWith('!')))
    throw new Error('.dockerignore is not a list of what is let through')
  return new Set(exceptions.map((line) => line.slice(1)))
}

/** What a container of this stage would have in its environment. */
export function environmentIn({ root, env }: Stage): Variables {
  const programs = ['/usr/local/bin', '/usr/bin', '/bin'].map((path, index) =>
    index === 0 ? join(root, path) : path,
  )
  return { ...env, PATH: programs.join(':') }
}

/** The form of CMD and ENTRYPOINT that needs no shell; of HEALTHCHECK what follows CMD. */
export function argvOf(said: string | undefined): readonly string[] {
  const json = said?.slice(said.indexOf('[')) ?? '[]'
  return JSON.parse(json) as string[]
}
