import type { Status } from '../admin/live.ts'
import { parseOrigin } from '../config/values.ts'
import { asPosternError, PosternError } from '../errors.ts'
import { diagnose } from '../gateway/doctor/doctor.ts'
import { systemClock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import { LEVELS, warning } from '../profiles/finding.ts'
import type { Finding, Fix, Level, Place } from '../profiles/finding.ts'
import { parseCommand } from './arguments.ts'
import { configure, warningLine } from './configure.ts'
import type { CliContext } from './context.ts'
import { adminClient, LIVE_OPTIONS } from './live/client.ts'
import type { AdminClient } from './live/client.ts'
import { printable } from './live/text.ts'
import { whileLooking } from './runtime.ts'

export const DOCTOR_USAGE = [
  'postern doctor [--public-url URL] [--backend-url URL]… [--json] [--admin URL|SOCKET] [--config FILE] [--upstream URL]',
]

/** What a script learns without reading: what is wrong at worst. */
const EXIT_CODES: Readonly<Record<Level, number>> = { ok: 0, notice: 0, warning: 1, error: 2 }

const PLACES: Readonly<Record<Place, string>> = {
  configuration: 'postern.yaml',
  backend: "the backend's environment",
  compose: 'the compose file',
  proxy: 'the proxy in front',
  redis: 'redis-cli',
  shell: 'a shell',
  sql: 'SQL',
}

/**
 * `postern doctor`: whether all is well, and what to change where it is not.
 * @throws PosternError `config_invalid`; `usage`
 */
export async function runDoctor(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], {
    ...LIVE_OPTIONS,
    'public-url': { type: 'string' },
    'backend-url': { type: 'string', multiple: true, default: [] },
  })
  const addresses = {
    publicUrl: values['public-url'] && originOf(values['public-url']),
    backendUrls: values['backend-url'].map(originOf),
  }
  const { config, warnings } = configure(values, context)
  const isAsked = config.listen.admin !== 'off' || values.admin !== undefined
  const admin = isAsked ? adminClient(values, context) : undefined
  const thorough = { addresses, status: () => statusOf(admin) }
  const remarks = warnings.map((each) => ({ id: 'configuration', ...warning(warningLine(each)) }))
  await whileLooking(config, async (runtime) => {
    const found = await diagnose({ config, runtime, clock: systemClock, thorough })
    const findings = [...remarks, ...found]
    if (values.json === true) context.out(JSON.stringify(findings, undefined, 2))
    // They quote the backend, and names that its users gave themselves.
    else for (const line of linesOf(findings)) context.out(printable(line))
    context.endWith(EXIT_CODES[worst(findings)])
  })
}

/** Undefined where no gateway runs. */
async function statusOf(admin: AdminClient | undefined): Promise<Status | undefined> {
  try {
    // What the gateway of this release sends.
    return (await admin?.get('/status')) as Status | undefined
  } catch (cause) {
    if (asPosternError(cause).code === 'not_running') return undefined
    throw cause
  }
}

/** At a start: what is wrong goes to the log, and nothing waits for it. */
export function logFindings(findings: readonly Finding[], logger: Logger): void {
  for (const { id, level, what, fixes } of findings) {
    if (level !== 'warning' && level !== 'error') continue
    logger[level === 'warning' ? 'warn' : 'error']({ check: id, fixes }, `doctor: ${what}`)
  }
}

function originOf(url: string): string {
  const origin = parseOrigin(url)
  if (origin === undefined) throw new PosternError('usage', `'${url}' is not http:// or https:// and a host.`)
  return origin
}

function worst(findings: readonly Finding[]): Level {
  const levels = findings.map(({ level }) => LEVELS.indexOf(level))
  return LEVELS[Math.max(0, ...levels)] ?? 'ok'
}

function linesOf(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ id }) => id.length))
  const lines = findings.flatMap(({ id, level, what, fixes }) => [
    `${level.padEnd(9)}${id.padEnd(width + 2)}${what}`,
    ...fixes.flatMap(fixLines),
  ])
  const count = findings.filter(({ level }) => level === 'warning' || level === 'error').length
  return [...lines, '', count === 0 ? 'Nothing is wrong.' : `${count} to look at.`]
}

function fixLines({ in: place, lines }: Fix): string[] {
  return [`${' '.repeat(9)}${PLACES[place]}:`, ...lines.map((line) => `${' '.repeat(11)}${line}`)]
}
