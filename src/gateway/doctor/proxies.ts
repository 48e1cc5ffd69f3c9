import { lookup } from 'node:dns/promises'
import type { Config } from '../../config/schema.ts'
import { fixIn, notice, ok, warning } from '../../profiles/finding.ts'
import type { Observation } from '../../profiles/finding.ts'

const TRUST = fixIn('configuration', 'trustedProxies: [private]   # or the address of the proxy alone')

/** Whether who stands in front is believed about who the client is. */
export async function proxies(config: Config): Promise<Observation[]> {
  const { trustedProxies, dangerouslyTrustAllProxies, publicUrl } = config
  if (dangerouslyTrustAllProxies) {
    const named = fixIn('configuration', 'dangerouslyTrustAllProxies: false', 'trustedProxies: [private]')
    return [warning('everybody is believed about who they are, and can hide from every limit', named)]
  }
  if (trustedProxies.length === 0) {
    const what = 'nobody is believed about who a client is, so behind a proxy all clients are one address'
    // TLS ends before us.
    return publicUrl?.startsWith('https:') === true
      ? [warning(`${what}; publicUrl says that one is there`, TRUST)]
      : [notice(what, TRUST)]
  }
  const names = trustedProxies.flatMap((range) => (range.kind === 'name' ? [range.name] : []))
  const found = await Promise.all(names.map((name) => lookup(name).catch(() => undefined)))
  const unknown = names.filter((_, index) => found[index] === undefined)
  return unknown.length === 0
    ? [ok('the proxies in front are named')]
    : [warning(`trustedProxies: ${unknown.join(', ')} cannot be looked up`, TRUST)]
}
