import type { Seen } from '../../admin/who.ts'
import { parseCommand } from '../arguments.ts'
import type { CliContext } from '../context.ts'
import { table } from '../table.ts'
import { adminClient, LIVE_OPTIONS, LIVE_USAGE, noteReplicas } from './client.ts'
import { durationOf, printable, span, tally } from './text.ts'

export const WHO_USAGE = [`postern who [--since 24h] ${LIVE_USAGE}`]

/**
 * `postern who`: who was here lately, with what, from where.
 * @throws PosternError `usage`, `not_running`
 */
export async function runWho(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], { ...LIVE_OPTIONS, since: { type: 'string', default: '24h' } })
  const since = context.now() - durationOf('--since', values.since)
  const client = adminClient(values, context)
  await noteReplicas(client, context)
  // What the gateway of this release sends.
  const seen = (await client.get(`/who?since=${since}`)) as readonly Seen[]
  if (values.json === true) return context.out(JSON.stringify(seen, undefined, 2))
  const rows = seen.map((each) => row(each, context.now()))
  for (const line of table(HEADINGS, rows)) context.out(line)
}

const HEADINGS = [
  'USER',
  'MODE',
  'CREDENTIAL',
  'ADDRESS',
  'SEEN',
  'REQUESTS',
  'REFUSED',
  'WOULD DENY',
  'CLIENT',
  'WHY',
]

function row(seen: Seen, now: number): string[] {
  const { user, mode, address, lastSeen, requests, refused, wouldDeny, client, reasons } = seen
  const cells = [user, mode, credentialOf(seen), address, `${span(now - lastSeen)} ago`]
  return [...cells, requests, refused, wouldDeny, client || '-', tally(reasons)].map(printable)
}

/** As it is blocked by. */
function credentialOf({ token, device, session }: Seen): string {
  const parts = [token && `token ${token}`, session && `session ${session}`, device && `device ${device}`]
  return parts.filter((part) => part).join(', ') || '-'
}
