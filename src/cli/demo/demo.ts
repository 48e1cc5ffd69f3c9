import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../config/schema.ts'
import { parseOrigin } from '../../config/values.ts'
import { PosternError } from '../../errors.ts'
import { startGateway } from '../../gateway/gateway.ts'
import { systemClock } from '../../identity/clock.ts'
import { StandaloneStore } from '../../profiles/standalone/store.ts'
import { parseCommand } from '../arguments.ts'
import { CONFIG_OPTIONS, configure } from '../configure.ts'
import type { CliContext } from '../context.ts'
import { openLog } from '../log.ts'
import { VERSION } from '../version.ts'
import { startDemoBackend } from './backend.ts'
import type { DemoBackend } from './backend.ts'
import { demoCommands } from './commands.ts'
import { seedDemo } from './seed.ts'
import type { DemoCredentials } from './seed.ts'

export const DEMO_USAGE = ['postern demo [--upstream URL] [--set SETTING=VALUE]…']

/** The same file beside `src` and beside `dist`. */
const DEMO_CONFIG = fileURLToPath(new URL('../../../config/demo.yaml', import.meta.url))

/**
 * `postern demo`: a small backend, the gateway in front of it, and what to type to see it at work; until told to stop.
 * @throws PosternError
 */
export async function runDemo(args: readonly string[], context: CliContext): Promise<void> {
  const { upstream, set } = CONFIG_OPTIONS
  const { values } = parseCommand(args, [], { upstream, set })
  const { config } = configure({ ...values, config: DEMO_CONFIG }, context)
  const credentials = await seed(config, context)
  const backend = await startBackend(config)
  try {
    const logger = openLog(config, context)
    const gateway = await startGateway(inFrontOf(backend, config), {
      clock: systemClock,
      logger,
      version: VERSION,
    })
    for (const line of demoCommands({ ...credentials, gateway: `http://${gateway.edge}` })) context.out(line)
    context.out('# Ctrl-C ends it. Every request is one line here.')
    await context.signals.stopped
    await gateway.close()
  } finally {
    await backend.close()
  }
}

async function seed({ standalone }: Config, clock: Pick<CliContext, 'now'>): Promise<DemoCredentials> {
  const { database: file, tokenPrefix } = standalone
  const store = new StandaloneStore({ file, tokenPrefix, clock })
  try {
    return await seedDemo(store, join(dirname(file), 'credentials.json'))
  } finally {
    store.close()
  }
}

async function startBackend({ upstream }: Config): Promise<DemoBackend> {
  const { port } = new URL(upstream.url)
  try {
    return await startDemoBackend(port === '' ? 80 : Number(port))
  } catch (error) {
    const hint = 'give it another with --upstream http://127.0.0.1:PORT'
    const message = `The demo's backend cannot listen on port ${port}: ${hint}.`
    throw new PosternError('listen_failed', message, { cause: error })
  }
}

/** The backend may have been given port 0, for any that is free. */
function inFrontOf(backend: DemoBackend, config: Config): Config {
  const url = parseOrigin(backend.url) ?? config.upstream.url
  return { ...config, upstream: { ...config.upstream, url } }
}
