import type { Config } from '../config/schema.ts'
import { Blocks } from '../directory/blocks.ts'
import { PosternError } from '../errors.ts'
import { Runtime } from '../gateway/runtime.ts'
import { systemClock } from '../identity/clock.ts'
import { createLogger } from '../observe/log.ts'
import { createMetrics } from '../observe/metrics.ts'
import { configure } from './configure.ts'
import type { CliContext } from './context.ts'

/**
 * Runs `work` with everything that `serve` would have behind its listeners, and listens nowhere.
 * @throws PosternError `route_table_unavailable` when the backend's document cannot be read
 */
export async function withRuntime(
  values: Parameters<typeof configure>[0],
  context: CliContext,
  work: (runtime: Runtime) => Promise<void>,
): Promise<void> {
  const { config } = configure(values, context)
  await whileLooking(config, async (runtime) => {
    const { source, lastError } = runtime.router.state
    if (source === 'none' && lastError !== undefined)
      throw new PosternError('route_table_unavailable', lastError)
    await work(runtime)
  })
}

/** The same whether or not the backend's document can be read. */
export async function whileLooking(config: Config, work: (runtime: Runtime) => Promise<void>): Promise<void> {
  const metrics = createMetrics(() => runtime.gauges())
  const runtime: Runtime = await Runtime.start(lookingOnly(config), {
    clock: systemClock,
    logger: createLogger('silent', { write: () => undefined }),
    metrics,
    blocks: new Blocks(systemClock),
  })
  try {
    await work(runtime)
  } finally {
    await runtime.close(0)
  }
}

/** Who looks leaves nothing behind: no key and no file that another user's `serve` could not read, no replica in Redis. */
function lookingOnly({ redis: _, ...config }: Config): Config {
  return {
    ...config,
    assertion: { ...config.assertion, enabled: false },
    openapi: { ...config.openapi, cache: 'off' },
  }
}
