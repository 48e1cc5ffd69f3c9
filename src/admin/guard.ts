import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'

/**
 * Keeps web pages out, which reach every listener of the machine that their browser runs on. A page whose own name was made to
 * point here says that name in `Host` (DNS rebinding); one that asks across origins says so in `Origin` or `Sec-Fetch-Site`
 * (Fetch §3.2, Fetch Metadata §2.3), and programs say neither.
 *
 * @param name under which it listens, besides every address
 * @returns why it is refused
 */
export function foreignPage(headers: IncomingHttpHeaders, name: string | undefined): string | undefined {
  const { host = '', origin } = headers
  const site = headers['sec-fetch-site']
  if (origin !== undefined || (site !== undefined && site !== 'none')) return 'Not for web pages.'
  const [, hostname = ''] = /^(.*?)(?::\d+)?$/.exec(host) ?? []
  const isOurs =
    hostname === 'localhost' || hostname === name || isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0
  return isOurs ? undefined : 'This name is not ours: ask by address.'
}
