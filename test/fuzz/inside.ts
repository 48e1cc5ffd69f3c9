/**
 * Loaded into the gateway's process before its own code: what is left in it after a collection, told to the parent
 * that asks.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes, and how many there are of each kind of thing that keeps the process alive. */
export interface Inside {
  readonly heap: number
  readonly external: number
  readonly rss: number
  readonly resources: Readonly<Record<string, number>>
}

setFlagsFromString('--expose-gc')
// The flag makes `gc` a global of contexts that are new.
const collect = runInNewContext('gc') as () => void

function look(): Inside {
  collect()
  collect()
  const { heapUsed, external, rss } = process.memoryUsage()
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
  return { heap: heapUsed, external, rss, resources }
}

process.on('message', () => process.send?.(look()))
process.channel?.unref()
