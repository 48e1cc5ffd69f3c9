import type { Reach } from '../../admin/live.ts'
import { BLOCKABLE } from '../../directory/mark.ts'
import type { Block } from '../../directory/mark.ts'
import { PosternError } from '../../errors.ts'
import { parseCommand } from '../arguments.ts'
import type { CliContext } from '../context.ts'
import { table } from '../table.ts'
import { adminClient, LIVE_OPTIONS, LIVE_USAGE } from './client.ts'
import { durationOf, printable, span } from './text.ts'

const WHOM = BLOCKABLE.toReversed().join('|')

export const BLOCK_USAGE = [`postern block ${WHOM} WHAT [--for 24h] [--why TEXT] ${LIVE_USAGE}`]
export const BLOCKS_USAGE = [`postern blocks ${LIVE_USAGE}`]
export const UNBLOCK_USAGE = [`postern unblock ${WHOM} WHAT ${LIVE_USAGE}`]

interface Done {
  readonly block: Block
  readonly reach: Reach
}

/**
 * `postern block`: refuses somebody for a while, on every replica, open sockets included.
 * @throws PosternError `usage`, `not_running`
 */
export async function runBlock(args: readonly string[], context: CliContext): Promise<void> {
  const { values, operands } = parseCommand(args, [WHOM, 'WHAT'], {
    ...LIVE_OPTIONS,
    for: { type: 'string', default: '24h' },
    why: { type: 'string' },
  })
  const request = { ...whom(operands), for: durationOf('--for', values.for), why: values.why }
  // What the gateway of this release sends.
  const done = (await adminClient(values, context).send('POST', '/blocks', request)) as Done
  if (values.json === true) return context.out(JSON.stringify(done))
  const { kind, what, until, subject } = done.block
  context.out(
    `Blocked ${printable(`${kind} ${what}`)} until ${new Date(until).toISOString()}${reachOf(done)}`,
  )
  if (kind === 'user' && subject === undefined)
    context.err('note: no user of this name was found. Whoever comes by it is refused.')
  if (done.reach.told === undefined)
    context.err('note: no redis is set, so a restart forgets it; a reload does not.')
}

/**
 * `postern unblock`: ends a block before its time.
 * @throws PosternError `usage` where there is none, `not_running`
 */
export async function runUnblock(args: readonly string[], context: CliContext): Promise<void> {
  const { values, operands } = parseCommand(args, [WHOM, 'WHAT'], LIVE_OPTIONS)
  const { kind, what } = whom(operands)
  // What the gateway of this release sends.
  const done = (await adminClient(values, context).send(
    'DELETE',
    `/blocks/${kind}/${encodeURIComponent(what)}`,
  )) as Done | undefined
  if (done === undefined) throw new PosternError('usage', `${kind} '${printable(what)}' is not blocked.`)
  context.out(
    values.json === true ? JSON.stringify(done) : `Unblocked ${printable(`${kind} ${what}`)}${reachOf(done)}`,
  )
}

/**
 * `postern blocks`: who is refused just now.
 * @throws PosternError `not_running`
 */
export async function runBlocks(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], LIVE_OPTIONS)
  // What the gateway of this release sends.
  const blocks = (await adminClient(values, context).get('/blocks')) as readonly Block[]
  if (values.json === true) return context.out(JSON.stringify(blocks, undefined, 2))
  const rows = blocks.map(({ kind, what, until, why }) => [
    kind,
    printable(what),
    `${span(until - context.now())} (${new Date(until).toISOString()})`,
    printable(why),
  ])
  for (const line of table(['WHOM', 'WHAT', 'STILL', 'WHY'], rows)) context.out(line)
}

/** @throws PosternError `usage` */
function whom([word = '', what = '']: readonly string[]): {
  readonly kind: Block['kind']
  readonly what: string
} {
  const kind = BLOCKABLE.find((each) => each === word)
  if (kind === undefined) throw new PosternError('usage', `What is blocked is one of ${WHOM}, not '${word}'.`)
  return { kind, what }
}

function reachOf({ reach: { told, missed } }: Done): string {
  if (told === undefined) return '.'
  const late = missed === 0 ? '' : `, of which ${missed} did not answer in time`
  return `, on this replica and ${told} more${late}.`
}
