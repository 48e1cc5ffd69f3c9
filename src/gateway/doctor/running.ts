import type { ListenAddress } from '../../config/values.ts'
import { notice, ok, warning } from '../../profiles/finding.ts'
import type { Observation } from '../../profiles/finding.ts'

/** Milliseconds: it is on this machine. */
const PATIENCE = 2_000

/** What the gateway that runs here with this configuration complains of: it has seen more than somebody who just looks in. */
export async function running(probes: ListenAddress | 'off'): Promise<Observation[]> {
  if (probes === 'off' || probes.kind === 'unix') return []
  const host = /^(?:0\.0\.0\.0|::)$/.test(probes.host) ? 'localhost' : probes.host
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${probes.port}/readyz`
  const troubles = await troublesAt(url)
  if (troubles === undefined) return [notice(`no gateway runs here (${url})`)]
  return troubles.length === 0
    ? [ok('the gateway that runs here is well')]
    : troubles.map((trouble) => warning(`the gateway that runs here says: ${trouble}`))
}

async function troublesAt(url: string): Promise<string[] | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) })
    const body: unknown = await answer.json()
    const isHealth = typeof body === 'object' && body !== null && 'troubles' in body
    return isHealth && Array.isArray(body.troubles) ? body.troubles.map(String) : undefined
  } catch {
    return undefined
  }
}
