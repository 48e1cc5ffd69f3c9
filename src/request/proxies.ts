import type { Clock } from '../identity/clock.ts'
import { AddressSet } from './client.ts'

export interface ProxyNames {
  /** Addresses, CIDR blocks and `private`. */
  readonly fixed: readonly string[]
  /** Host names, whose addresses may change: containers get new ones at each start. */
  readonly names: readonly string[]
  readonly resolve: (name: string) => Promise<readonly string[]>
  readonly clock: Clock
  /** Given the whole set, each time that it may have changed. */
  readonly trust: (trusted: AddressSet) => void
  readonly onUnknown: (name: string) => void
}

/** Milliseconds between two looks at the names. */
const INTERVAL = 30_000

/**
 * Trusts the addresses that host names have now, and looks again and again. A name that cannot be looked up keeps the
 * addresses it had.
 * @returns stops it
 */
export async function followProxies(options: ProxyNames): Promise<() => void> {
  const { fixed, names, resolve, clock, trust, onUnknown } = options
  if (names.length === 0) {
    trust(new AddressSet(fixed))
    return () => undefined
  }
  const known = new Map<string, readonly string[]>()
  let cancel: (() => void) | undefined
  let stopped = false
  const look = async (): Promise<void> => {
    const found = await Promise.allSettled(names.map(resolve))
    for (const [index, name] of names.entries()) {
      const result = found[index]
      if (result?.status === 'fulfilled') known.set(name, result.value)
      else onUnknown(name)
    }
    if (stopped) return
    trust(new AddressSet([...fixed, ...[...known.values()].flat()]))
    cancel = clock.after(INTERVAL, () => void look())
  }
  await look()
  return () => {
    stopped = true
    cancel?.()
  }
}
