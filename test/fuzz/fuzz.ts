import { setTimeout as pause } from 'node:timers/promises'
import { converse, type Finding, newTally, type Tally } from './campaign.ts'
import { type Conversation, conversationOf } from './conversation.ts'
import type { Inside } from './inside.ts'
import type { Stage } from './stage.ts'

export interface FuzzOptions {
  readonly seed: string
  /**
   * Conversations, after which the log is compared with what arrived. As many, of a seed of their own, come before
   * everything: after them caches and compiled code have about their size.
   */
  readonly batch: number
  /** Whether to go on after so many conversations. */
  readonly goOn: (conversations: number) => boolean
  readonly onProgress?: (tally: Tally) => void
}

export interface Outcome {
  readonly tally: Tally
  readonly findings: readonly Finding[]
  /** After the warm-up, and after everything. */
  readonly before: Inside
  readonly after: Inside
}

/** Bytes: caches fill up to their bounds, and so does what V8 keeps for itself. */
const HEAP_GROWTH = 32 * 2 ** 20
/** Milliseconds until nothing may be under way any more. */
const REST = 30_000
const GAUGES = ['postern_upstream_requests', 'postern_upstream_waiting', 'postern_sockets']

/** Ends with the first batch that has findings. */
export async function fuzz(stage: Stage, { seed, batch, goOn, onProgress }: FuzzOptions): Promise<Outcome> {
  const tally = newTally()
  const findings = await converse(stage, someOf(`warm-up of ${seed}`, 0, batch), newTally())
  const before = await resting(stage)
  while (findings.length === 0 && goOn(tally.conversations)) {
    findings.push(...(await converse(stage, someOf(seed, tally.conversations, batch), tally)))
    onProgress?.(tally)
  }
  if (stage.ended() !== undefined) return { tally, findings, before, after: before }
  const after = await resting(stage, before)
  return { tally, findings: [...findings, ...(await leaks(stage, before, after))], before, after }
}

function someOf(seed: string, first: number, count: number): Conversation[] {
  return Array.from({ length: count }, (_, i) => conversationOf(seed, first + i))
}

/** What is in the process once nothing is under way and idle connections are closed. */
async function resting(stage: Stage, before?: Inside): Promise<Inside> {
  const late = AbortSignal.timeout(REST)
  for (;;) {
    const counts = await Promise.all(GAUGES.map((name) => stage.metric(name)))
    const inside = await stage.inside()
    const isAtRest =
      counts.every((count) => count === 0) &&
      (before === undefined ? isQuiet(inside) : leaked(before, inside).length === 0)
    if (isAtRest || late.aborted) return inside
    await pause(250)
  }
}

/** Fewer sockets than the clients had: the databases', the pool's. */
function isQuiet({ resources }: Inside): boolean {
  return (resources['TCPSocketWrap'] ?? 0) < 40
}

/** Kinds of which there are more than before. Timers come and go by a few, with the batches. */
function leaked(before: Inside, after: Inside): string[] {
  return Object.entries(after.resources).flatMap(([kind, count]) => {
    const more = count - (before.resources[kind] ?? 0)
    return more > (kind === 'Timeout' || kind === 'Immediate' ? 8 : 0) ? [`${more} more ${kind}`] : []
  })
}

async function leaks(stage: Stage, before: Inside, after: Inside): Promise<Finding[]> {
  const counts = await Promise.all(GAUGES.map(async (name) => ({ name, count: await stage.metric(name) })))
  const whats = [
    ...counts
      .filter(({ count }) => count !== 0)
      .map(({ name, count }) => `${name} is ${count} when nothing is under way`),
    ...leaked(before, after).map((what) => `what was opened was not closed: ${what}`),
    ...(after.heap - before.heap > HEAP_GROWTH
      ? [`the heap grew from ${before.heap} to ${after.heap} bytes`]
      : []),
  ]
  return whats.map((what) => ({ what, conversations: [] }))
}
