import type { Config } from '../config/schema.ts'
import type { Blocks } from '../directory/blocks.ts'
import type { Clock } from '../identity/clock.ts'
import { attempt, chain } from '../pipeline/maybe.ts'
import type { Authenticator, Outcome } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { SocketRegistry } from '../upstream/sockets.ts'

export interface SocketWatchOptions {
  readonly sockets: SocketRegistry
  /** Undefined where the backend alone says what is dead. */
  readonly authenticator: Authenticator | undefined
  /** Whoever it was opened by is refused, whatever their credential is worth. */
  readonly isRefused: (permit: Permit) => boolean
  readonly clock: Clock
  /** Milliseconds between two looks at every open socket. */
  readonly interval: number
  /** Milliseconds for which a socket stays open while its credential cannot be checked: longer than a hiccup. */
  readonly patience: number
}

export interface SocketWatch {
  /** At once, besides the regular looks: a batch may have dropped what a socket rides on. */
  readonly look: () => void
  readonly stop: () => void
}

/**
 * A socket's permit was good for the moment of its handshake; what rides on it is checked again and again, from memory as
 * long as it is in use, and the socket is closed when its credential is dead or another user's.
 */
export function watchSockets(options: SocketWatchOptions): SocketWatch {
  const { clock, interval, sockets } = options
  const confirmedAt = new WeakMap<Permit, number>()
  const look = (): void => {
    for (const permit of sockets.permits()) confirm(options, permit, confirmedAt)
  }
  const again = (): void => {
    look()
    cancel = clock.after(interval, again)
  }
  let cancel = clock.after(interval, again)
  return { look, stop: () => cancel() }
}

function confirm(options: SocketWatchOptions, permit: Permit, confirmedAt: WeakMap<Permit, number>): void {
  const { sockets, authenticator, clock, patience, isRefused } = options
  const { credential, principal } = permit
  if (isRefused(permit)) return sockets.close(permit)
  // The guest has no credential that could die; what expires does so whatever anybody says.
  if (authenticator === undefined || credential === undefined || principal === undefined) return
  if (!confirmedAt.has(permit)) confirmedAt.set(permit, clock.monotonic())
  const outcome = attempt<Outcome | undefined>(
    () => authenticator.authenticate(credential, permit.client),
    () => undefined,
  )
  void chain(outcome, (found) => {
    const isSame =
      found?.kind === 'authenticated' && found.principal.owner?.subject === principal.owner?.subject
    if (isSame) confirmedAt.set(permit, clock.monotonic())
    else if (found !== undefined || clock.monotonic() - (confirmedAt.get(permit) ?? 0) >= patience) {
      sockets.close(permit)
    }
  })
}

/** Whoever it was opened by; where that was only observed, whoever it would have been refused for. */
export function isBlocked(blocks: Blocks, { client, credential, principal, observed }: Permit): boolean {
  const who = principal ?? observed?.principal
  return (
    blocks.holdsAddress(client.address) ||
    (credential !== undefined && blocks.holdsCredential(credential)) ||
    (who !== undefined && blocks.holdsPrincipal(who))
  )
}

/** Origins whose pages may open a socket with a session cookie, besides the request's own. */
export function socketOrigins({ sockets, publicUrl }: Config): ReadonlySet<string> {
  return new Set(
    [...sockets.origins, ...(publicUrl === undefined ? [] : [publicUrl])].map((o) => o.toLowerCase()),
  )
}
