import type { Refusal } from '../../admin/refusals.ts'
import { PosternError } from '../../errors.ts'
import { parseCommand } from '../arguments.ts'
import type { CliContext } from '../context.ts'
import { adminClient, LIVE_OPTIONS } from './client.ts'
import { printable } from './text.ts'

const REQUEST_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether it can be what a client was told as `X-Request-Id`. */
export function isRequestId(text: string): boolean {
  return REQUEST_ID.test(text)
}

/**
 * `postern explain REQUEST-ID`: why a running gateway refused it.
 * @throws PosternError `usage` for one that is not remembered, `not_running`
 */
export async function explainRefusal(args: readonly string[], context: CliContext): Promise<void> {
  const { values, operands } = parseCommand(args, ['REQUEST-ID'], LIVE_OPTIONS)
  const [id = ''] = operands
  // What the gateway of this release sends.
  const found = (await adminClient(values, context).get(`/refusals/${id.toLowerCase()}`)) as
    Refusal | undefined
  if (found === undefined)
    throw new PosternError(
      'usage',
      `This replica remembers no refusal ${id}: it keeps the latest, and forgets them when it ends.`,
    )
  if (values.json === true) return context.out(JSON.stringify(found, undefined, 2))
  for (const line of linesOf(found)) context.out(line)
}

function linesOf({ time, line, rule, requires, principal, held, missing, hint }: Refusal): string[] {
  const rows = [
    ['when', time],
    ['from', line['client']],
    ['target', line['path']],
    ['rule', rule ?? 'none'],
    ['requires', requires ?? '-'],
    ['as', whoOf(principal, line)],
    ['scopes', held === null ? 'only the backend knows' : (held?.join(' ') ?? '-')],
    ['decision', decisionOf(line)],
    ...(missing === undefined ? [] : [['missing', missing.join(' ')]]),
    ...(line['cause'] === undefined ? [] : [['cause', line['cause']]]),
    ...(hint === undefined ? [] : [['hint', hint]]),
  ]
  return [
    printable(line['method']),
    ...rows.map(([name, value]) => `  ${String(name).padEnd(10)}${printable(value)}`),
  ]
}

function whoOf(principal: Refusal['principal'], { mode }: Refusal['line']): string {
  if (principal === undefined) return mode === undefined ? 'anonymous' : `nobody (${printable(mode)})`
  const { user = 'somebody unknown', token } = principal
  return `${user} (${[principal.mode, token].filter((part) => part !== undefined).join(' ')})`
}

function decisionOf({ decision, status, reason, rejection }: Refusal['line']): string {
  const why = rejection === undefined ? printable(reason) : `${printable(reason)}: ${printable(rejection)}`
  if (decision === 'deny') return `deny ${printable(status)} ${why}`
  return `would deny ${why}; the backend answered ${printable(status)}`
}
