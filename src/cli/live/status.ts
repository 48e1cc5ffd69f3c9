import type { LookupStatus, Status } from '../../admin/live.ts'
import { parseCommand } from '../arguments.ts'
import { warningLine } from '../configure.ts'
import type { CliContext } from '../context.ts'
import { table } from '../table.ts'
import { adminClient, LIVE_OPTIONS, LIVE_USAGE } from './client.ts'
import { printable, span, tally } from './text.ts'

export const STATUS_USAGE = [`postern status ${LIVE_USAGE}`]

/**
 * `postern status`: how it stands with the replica that is asked.
 * @throws PosternError `not_running`
 */
export async function runStatus(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], LIVE_OPTIONS)
  // What the gateway of this release sends.
  const status = (await adminClient(values, context).get('/status')) as Status
  if (values.json === true) context.out(JSON.stringify(status, undefined, 2))
  else for (const line of linesOf(status)) context.out(line)
}

function linesOf(status: Status): string[] {
  const { health, warnings, ladder, lookups, now } = status
  const rows = [
    ['version', `${printable(status.version)}, up ${span(now - status.startedAt)}`],
    ['state', health.status],
    ...(status.workers === undefined ? [] : [['workers', String(status.workers)]]),
    ['enforcement', status.enforcement],
    ['profile', `${status.profile} at ${status.upstream}`],
    ['routes', routesOf(status)],
    ['replicas', replicasOf(status)],
    ['proxies', status.proxies.trusted.map(({ address }) => address).join(', ') || 'none seen'],
    ['under way', `${status.inFlight} requests, ${status.waiting} waiting, ${status.sockets} sockets`],
    ...(status.blocks === 0 ? [] : [['blocked', `${status.blocks} (postern blocks)`]]),
    ['refused', tally(status.refusals.deny) || 'nothing'],
    ...(status.enforcement === 'enforce'
      ? []
      : [['would deny', tally(status.refusals.would_deny) || 'nothing']]),
  ]
  const notes = [
    ...health.troubles,
    ...warnings.map(warningLine),
    ...status.proxies.untrusted.map(
      ({ address }) =>
        `${address} sends X-Forwarded-For and is not trusted; if it is your proxy, add: trustedProxies: [${address}]`,
    ),
  ]
  return [
    ...rows.map(([name = '', value = '']) => `${name.padEnd(12)} ${printable(value)}`),
    ...[
      '',
      ...table(
        ['CREDENTIAL', 'CHECKED BY'],
        ladder.map(({ mode, checkedBy }) => [mode, checkedBy]),
      ),
    ],
    ...(lookups.length === 0 ? [] : ['', ...table(LOOKUP_HEADINGS, lookups.map(lookupRow))]),
    ...(notes.length === 0 ? [] : ['', ...notes.map((note) => `! ${printable(note)}`)]),
  ]
}

function routesOf({ routes, now }: Status): string {
  const { rows, source, readAt, digest, version } = routes
  if (source === 'none') return `${rows}, from rules alone`
  const read = readAt === undefined ? '' : `, read ${span(now - readAt)} ago`
  return `${rows} from ${source}${read}, version ${version ?? '-'}, digest ${digest?.slice(0, 12) ?? '-'}`
}

function replicasOf({ replicas }: Status): string {
  if (replicas === undefined) return 'this one alone'
  const { joined, live, announced, unacknowledged, gaps } = replicas
  const heard = joined ? `others heard: ${live}` : 'the others are not heard'
  return `${heard}; changes told: ${announced}, not acknowledged: ${unacknowledged}, gaps: ${gaps}; the rest is of this one alone`
}

const LOOKUP_HEADINGS = ['KNOWN', 'ENTRIES', 'HITS', 'SHARED', 'SOURCE', 'STALE', 'CONFIRMED', 'SOURCE IS']

function lookupRow({ name, entries, counts, batchAge, sourceAway }: LookupStatus): string[] {
  const answered = ['memory', 'shared', 'source', 'stale'].map((tier) => String(counts[tier] ?? 0))
  const confirmed = batchAge === undefined ? '-' : `${span(batchAge)} ago`
  return [name, String(entries), ...answered, confirmed, sourceAway ? 'away' : 'there']
}
