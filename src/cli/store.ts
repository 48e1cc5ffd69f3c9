import { PosternError } from '../errors.ts'
import { StandaloneStore } from '../profiles/standalone/store.ts'
import { configure } from './configure.ts'
import type { CliContext } from './context.ts'

/**
 * Runs `work` with the configured directory.
 * @throws PosternError `usage` under a profile whose backend has people of its own
 */
export async function withStore(
  values: Parameters<typeof configure>[0],
  context: CliContext,
  work: (store: StandaloneStore) => Promise<void> | void,
): Promise<void> {
  const { profile, standalone } = configure(values, context).config
  if (profile !== 'standalone')
    throw new PosternError('usage', `With profile ${profile} people and tokens are the backend's own.`)
  const { database: file, tokenPrefix } = standalone
  const store = new StandaloneStore({ file, tokenPrefix, clock: context })
  try {
    await work(store)
  } finally {
    store.close()
  }
}
