import { BlockList, isIP, isIPv4 } from 'node:net'
import { valuesOf } from './headers.ts'
import { plainAddress } from './network.ts'
import type { ClientInfo, RawHeaders } from './request.ts'

/**
 * Who the client is, as far as we may believe it. `X-Forwarded-For` is read from the right, hop by hop, only while
 * the hop that wrote the entry is a trusted proxy: its left end is whatever the client made up
 * (CVE-2024-21494, CVE-2026-57210). `Forwarded` is not read at all.
 */

// RFC 1918, RFC 4193, RFC 6598, loopback and link-local.
const PRIVATE: readonly (readonly [string, number])[] = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
]

/** What clients make up must not fill the memory. */
const MOST_ASKED = 1_000

/** A set of addresses; replaced whole when host names are looked up again. */
export class AddressSet {
  readonly #list = new BlockList()
  /** The few proxies before us are asked about with every request. */
  readonly #asked = new Map<string, boolean>()
  #everybody = false

  static everybody(): AddressSet {
    const set = new AddressSet([])
    set.#everybody = true
    return set
  }

  /**
   * @param entries IP addresses, CIDR blocks and the word `private`
   * @throws RangeError naming the entry that is none of these
   */
  constructor(entries: Iterable<string>) {
    for (const entry of entries) this.#add(entry)
  }

  #add(entry: string): void {
    if (entry === 'private') {
      for (const [net, bits] of PRIVATE) this.#list.addSubnet(net, bits, isIP(net) === 6 ? 'ipv6' : 'ipv4')
      return
    }
    const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry) ?? []
    const family = isIP(address)
    const widest = family === 6 ? 128 : 32
    const bits = prefix === undefined ? widest : Number(prefix)
    if (family === 0 || bits > widest) {
      throw new RangeError(`'${entry}' is not an IP address, a CIDR block or 'private'`)
    }
    this.#list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4')
  }

  has(address: string): boolean {
    if (this.#everybody) return true
    const known = this.#asked.get(address)
    if (known !== undefined) return known
    const family = isIP(address)
    const found = family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4')
    if (this.#asked.size < MOST_ASKED) this.#asked.set(address, found)
    return found
  }
}

export interface Connection {
  /** The other end's address, as the socket names it. */
  readonly remoteAddress: string | undefined
  readonly encrypted: boolean
}

export interface ClientResolver {
  resolve(connection: Connection, headers: RawHeaders, host: string): ClientInfo
  /** Whether the connection's other end, as the socket names it, is a trusted proxy. */
  trusts(remoteAddress: string): boolean
  /** Swaps the trusted set, for host names that were looked up again. */
  trust(trusted: AddressSet): void
}

/** @param onUntrusted told the peer that sent `X-Forwarded-For` although nobody trusts it */
export function createClientResolver(
  trusted: AddressSet,
  onUntrusted: (peer: string) => void,
): ClientResolver {
  let current = trusted
  return {
    trusts: (remoteAddress) => current.has(plainAddress(remoteAddress)),
    trust(next) {
      current = next
    },
    resolve(connection, headers, host) {
      const peer = plainAddress(connection.remoteAddress ?? '')
      const scheme = connection.encrypted ? 'https' : 'http'
      const claimed = valuesOf(headers, 'x-forwarded-for')
      if (!current.has(peer)) {
        if (claimed.length > 0) onUntrusted(peer)
        const shared = claimed.length > 0 && { shared: true }
        return { address: peer, peer, ...shared, scheme, host, forwardedFor: peer }
      }
      const { address, forwardedFor } = trustedChain(peer, claimed, current)
      return { address, peer, scheme: claimedScheme(headers) ?? scheme, host, forwardedFor }
    },
  }
}

/** Client first, peer last: every hop up to the first that no trusted proxy vouches for. */
function trustedChain(
  peer: string,
  claimed: readonly string[],
  trusted: AddressSet,
): Pick<ClientInfo, 'address' | 'forwardedFor'> {
  let address = peer
  let forwardedFor = peer
  for (let i = claimed.length - 1; i >= 0; i--) {
    const value = claimed[i] ?? ''
    for (let end = value.length; end !== -1;) {
      if (!trusted.has(address)) return { address, forwardedFor }
      const comma = end === 0 ? -1 : value.lastIndexOf(',', end - 1)
      const hop = hopAddress(value.slice(comma + 1, end))
      if (hop === undefined) return { address, forwardedFor }
      address = hop
      forwardedFor = `${hop}, ${forwardedFor}`
      end = comma
    }
  }
  return { address, forwardedFor }
}

// Traefik says so of handshakes (its pkg/middlewares/forwardedheaders), and a page of ours would be a foreign one.
const SCHEMES: ReadonlyMap<string, 'http' | 'https'> = new Map([
  ['http', 'http'],
  ['ws', 'http'],
  ['https', 'https'],
  ['wss', 'https'],
])

/** The right-most value: it is the nearest proxy's own. */
function claimedScheme(headers: RawHeaders): 'http' | 'https' | undefined {
  const value = valuesOf(headers, 'x-forwarded-proto').at(-1)
  if (value === undefined) return undefined
  return (
    SCHEMES.get(value) ??
    SCHEMES.get(
      value
        .slice(value.lastIndexOf(',') + 1)
        .trim()
        .toLowerCase(),
    )
  )
}

/** An entry of `X-Forwarded-For`: an address, some proxies add a port. */
function hopAddress(entry: string): string | undefined {
  const text = entry.trim()
  if (isIPv4(text)) return text
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1]
  const bare = bracketed ?? (/^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text)
  const address = plainAddress(bare)
  return isIP(address) === 0 ? undefined : address
}
