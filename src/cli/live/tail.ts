import { parseCommand } from '../arguments.ts'
import type { CliContext } from '../context.ts'
import { adminClient, LIVE_OPTIONS, LIVE_USAGE, noteReplicas } from './client.ts'
import { printable } from './text.ts'

export const TAIL_USAGE = [`postern tail [--denied|--would-deny] ${LIVE_USAGE}`]

/**
 * `postern tail`: decisions as they come, until it is told to stop or the gateway ends.
 * @throws PosternError `not_running`
 */
export async function runTail(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], {
    ...LIVE_OPTIONS,
    denied: { type: 'boolean' },
    'would-deny': { type: 'boolean' },
  })
  const only = values.denied === true ? 'denied' : values['would-deny'] === true ? 'would-deny' : 'all'
  const client = adminClient(values, context)
  await noteReplicas(client, context)
  const ending = new AbortController()
  void context.signals.stopped.then(() => ending.abort())
  try {
    for await (const line of client.lines(`/tail?only=${only}`, ending.signal))
      context.out(values.json === true ? line : pretty(line))
  } catch (error) {
    if (!ending.signal.aborted) throw error
  }
}

type Line = Readonly<Record<string, unknown>>

function pretty(text: string): string {
  const line = JSON.parse(text) as Line
  if (typeof line['dropped'] === 'number') return `… ${line['dropped']} more, faster than they could be shown`
  const { time, decision, reason, status, method, path, client } = line
  const what = reason === undefined ? decision : `${printable(decision)} ${printable(reason)}`
  const cells = [String(time).slice(11, 23), what, status, who(line), client, method, path, socketOf(line)]
  return cells
    .filter((cell) => cell !== '')
    .map(printable)
    .join('  ')
}

function who({ user, mode, token }: Line): string {
  if (mode === undefined) return 'anonymous'
  const credential = token === undefined ? printable(mode) : `${printable(mode)} ${printable(token)}`
  return user === undefined ? credential : `${printable(user)} (${credential})`
}

function socketOf({ socket }: Line): string {
  return socket === true ? '(socket)' : ''
}
