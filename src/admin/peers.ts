import type { ClientInfo } from '../request/request.ts'

/** A proxy before us, or what looks like one. */
export interface Peer {
  readonly address: string
  /** Milliseconds since the epoch. */
  readonly lastSeen: number
  readonly requests: number
}

/** Every client may be one. */
const MOST = 100

/** Who forwarded for others: believed, and not. */
export class Peers {
  readonly #trusted = new Map<string, { lastSeen: number; requests: number }>()
  readonly #untrusted = new Map<string, { lastSeen: number; requests: number }>()

  note({ address, peer, shared }: ClientInfo, now: number): void {
    if (shared !== true && address === peer) return
    const peers = shared === true ? this.#untrusted : this.#trusted
    const known = peers.get(peer)
    if (known !== undefined) {
      known.lastSeen = now
      known.requests++
    } else if (peers.size < MOST) peers.set(peer, { lastSeen: now, requests: 1 })
  }

  get trusted(): Peer[] {
    return [...this.#trusted].map(([address, counts]) => ({ address, ...counts }))
  }

  get untrusted(): Peer[] {
    return [...this.#untrusted].map(([address, counts]) => ({ address, ...counts }))
  }
}
