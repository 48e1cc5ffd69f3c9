import { connect, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Where connections lead. */
export interface Origin {
  readonly isTls: boolean
  /** Without brackets. */
  readonly host: string
  readonly port: number
}

/** @param url scheme, host and port */
export function originOf(url: string): Origin {
  const { protocol, hostname, port } = new URL(url)
  const isTls = protocol === 'https:'
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return { isTls, host, port: port === '' ? (isTls ? 443 : 80) : Number(port) }
}

/** All that plain connections read goes here, since it is used up, or copied, before the next read of any of them. */
const SHARED = Buffer.allocUnsafeSlow(128 * 1024)

/** @param onBytes what it is given is overwritten when it returns */
export function open({ isTls, host, port }: Origin, onBytes: (bytes: Buffer) => void): Socket {
  if (!isTls) {
    const onread = {
      buffer: SHARED,
      callback: (length: number): boolean => {
        onBytes(SHARED.subarray(0, length))
        return true
      },
    }
    return connect({ host, port, noDelay: true, onread })
  }
  // RFC 6066 §3: an address is no server name.
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = connectTls({ host, port, ALPNProtocols: ['http/1.1'], ...servername })
  return socket.setNoDelay(true).on('data', onBytes)
}
