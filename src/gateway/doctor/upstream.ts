import { lookup } from 'node:dns/promises'
import type { Config } from '../../config/schema.ts'
import { asPosternError } from '../../errors.ts'
import type { Clock } from '../../identity/clock.ts'
import { error, fixIn, notice, ok, warning } from '../../profiles/finding.ts'
import type { Check, Observation } from '../../profiles/finding.ts'
import { AddressSet } from '../../request/client.ts'
import type { RouterState } from '../../routes/live.ts'
import type { QuestionAnswer } from '../../upstream/question.ts'
import type { Upstream } from '../../upstream/upstream.ts'

export interface UpstreamToExamine {
  readonly config: Config
  readonly upstream: Pick<Upstream, 'request'>
  readonly clock: Clock
  readonly routes: RouterState
}

/** Whether the backend is there, what it has, and whether its clock goes as ours does. */
export function upstreamChecks(given: UpstreamToExamine): Check[] {
  const heard = hear(given)
  return [
    { id: 'upstream', look: async () => [await reachable(given.config, heard)] },
    {
      id: 'upstream.clock',
      look: async () => clocks(given.config, (await heard.catch(() => undefined))?.ahead),
    },
    { id: 'upstream.routes', look: () => [table(given.routes)] },
    { id: 'upstream.address', look: async () => [await address(given.config)] },
  ]
}

interface Heard {
  readonly answer: QuestionAnswer
  /** Milliseconds by which the backend's clock is ahead of ours; undefined where it does not tell the time. */
  readonly ahead: number | undefined
}

async function hear({ config, upstream, clock }: UpstreamToExamine): Promise<Heard> {
  const { timeout } = config.ask
  const answer = await upstream.request({ method: 'HEAD', path: '/', headers: {}, timeout, maxBytes: 0 })
  const told = Date.parse(String(answer.headers['date']))
  return { answer, ahead: Number.isNaN(told) ? undefined : told - clock.now() }
}

async function reachable({ upstream: { url } }: Config, heard: Promise<Heard>): Promise<Observation> {
  try {
    await heard
    return ok(`${url} answers`)
  } catch (cause) {
    const why = asPosternError(cause).message
    return error(`${url} cannot be reached: ${why}`, fixIn('configuration', 'upstream: { url: … }'))
  }
}

/** Milliseconds: as much as RFC 9110 §6.6.1 leaves unsaid (a whole second), and a slow answer. */
const ALIKE = 5_000
const SET_CLOCKS = fixIn('shell', 'timedatectl set-ntp true   # on both machines')

/** What ends at a moment ends too early or too late by as much as the clocks differ. */
function clocks({ assertion }: Config, ahead: number | undefined): Observation[] {
  if (ahead === undefined) return []
  const seconds = Math.round(Math.abs(ahead) / 1_000)
  const what = `the backend's clock is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} this one`
  if (Math.abs(ahead) < ALIKE) return [ok("the backend's clock goes as this one does")]
  return assertion.enabled && Math.abs(ahead) >= assertion.lifetime
    ? [error(`${what}: assertions are over, or not yet good, when they arrive`, SET_CLOCKS)]
    : [warning(`${what}: tokens end as much too early or too late`, SET_CLOCKS)]
}

function table({ source, rows, lastError, version }: RouterState): Observation {
  if (lastError === undefined) return ok(`${rows} routes${version === undefined ? '' : ` of ${version}`}`)
  return source === 'none'
    ? error(`no routes: ${lastError}`, fixIn('configuration', 'openapi: …'))
    : warning(`${rows} routes, read earlier: ${lastError}`)
}

/** Where everybody can reach the backend, nobody need come through here. */
async function address({ upstream: { url } }: Config): Promise<Observation> {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const near = new AddressSet(['private'])
  const found = await lookup(host, { all: true }).catch(() => [])
  const open = found.find((each) => !near.has(each.address))
  if (found.length === 0) return notice(`${host} cannot be looked up`)
  return open === undefined
    ? ok(`${host} is at a private address`)
    : warning(
        `${host} is at the public address ${open.address}: whoever knows it goes past Postern`,
        fixIn('configuration', 'upstream: { url: … }   # by a private network'),
      )
}
