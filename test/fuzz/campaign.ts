import { setTimeout as pause } from 'node:timers/promises'
import type { Received } from '../support/romm/standin.ts'
import { type Answer, faultsOfRefusal, readAnswers, values } from './answers.ts'
import { type Conversation, MARK } from './conversation.ts'
import type { LogLine, Stage } from './stage.ts'
import { type Heard, talk } from './talk.ts'

/** Something that must not be, and the conversations it may have come of. */
export interface Finding {
  readonly what: string
  readonly conversations: readonly Conversation[]
}

/** What was sent, and what came of it. */
export interface Tally {
  conversations: number
  requests: number
  answers: number
  forwarded: number
  sockets: number
  /** Answers of the gateway itself, by reason. */
  readonly refusals: Map<string, number>
}

export const newTally = (): Tally => ({
  conversations: 0,
  requests: 0,
  answers: 0,
  forwarded: 0,
  sockets: 0,
  refusals: new Map(),
})

/** Connections at once. */
const AT_ONCE = 400
/** Milliseconds in which the log and the counters come to rest. */
const REST = 20_000

/** Has all of these conversations, many at a time, and looks at everything that came of them. */
export async function converse(
  stage: Stage,
  conversations: readonly Conversation[],
  tally: Tally,
): Promise<Finding[]> {
  stage.standin.forget()
  stage.decisions.clear()
  const heard = new Map<Conversation, Heard>()
  const queue = conversations.values()
  const work = async (): Promise<void> => {
    for (const conversation of queue) {
      if (stage.ended() !== undefined) return
      const first = await talk(stage.port, conversation)
      // A machine that does other things too may need longer than this gateway lets anybody be silent.
      heard.set(
        conversation,
        conversation.sane && first.text === '' ? await talk(stage.port, conversation) : first,
      )
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  const ended = stage.ended()
  if (ended !== undefined)
    return [{ what: `the gateway ended with ${ended}: ${stage.complaints.join('')}`, conversations }]
  const forwarded = await settled(stage, heard.values())
  return [
    ...complaintsOf(stage, conversations),
    ...(await findingsOfArrivals(stage, forwarded, conversations)),
    ...[...heard].flatMap(([conversation, what]) =>
      faultsHeard(stage, conversation, what, tally).map((fault) => ({
        what: fault,
        conversations: [conversation],
      })),
    ),
    ...count(tally, conversations, forwarded),
  ]
}

function count(tally: Tally, conversations: readonly Conversation[], forwarded: readonly Received[]): [] {
  tally.conversations += conversations.length
  tally.requests += conversations.reduce((sum, { requests }) => sum + requests, 0)
  tally.forwarded += forwarded.length
  tally.sockets += forwarded.filter(({ upgrade }) => upgrade).length
  return []
}

function complaintsOf(stage: Stage, conversations: readonly Conversation[]): Finding[] {
  return stage.complaints
    .splice(0)
    .map((what) => ({ what: `the gateway complained: ${what}`, conversations }))
}

/** What arrived, once the log has a line for all of it, and for every answer. */
async function settled(
  { standin, decisions, nextLine, ended }: Stage,
  heard: Iterable<Heard>,
): Promise<readonly Received[]> {
  const late = AbortSignal.timeout(REST)
  const answered = [...heard].flatMap(({ text }) => [...text.matchAll(ID)].map(([, id = '']) => id))
  const forwarded = (): Received[] => standin.requests.filter(({ headers }) => !isQuestion(headers))
  const isSettled = (): boolean =>
    [...answered, ...forwarded().map(({ headers }) => idOf(headers) ?? '')].every((id) => decisions.has(id))
  while (!isSettled() && !late.aborted && ended() === undefined) await Promise.race([nextLine(), pause(200)])
  return forwarded()
}

/** Some of the gateway's own answers are not decisions; what they are about is not logged. */
const ID = /HTTP\/1\.1 (?!200).*\r\n(?:.+\r\n)*?x-request-id: (.+)\r\n/gim

function idOf(headers: Received['headers']): string | undefined {
  const id = headers['x-request-id']
  return typeof id === 'string' ? id : undefined
}

/** The gateway's own have no id and say nothing of a client; these three are all that it asks. */
function isQuestion(headers: Received['headers']): boolean {
  return (
    idOf(headers) === undefined && headers['x-forwarded-for'] === undefined && headers[MARK] === undefined
  )
}

/** What the gateway asks of its own accord; the start page at its start alone, to see whether all is well. */
const QUESTIONS = /^(?:GET \/(?:openapi\.json|api\/heartbeat|api\/users\/me)?|HEAD \/)$/

async function findingsOfArrivals(
  stage: Stage,
  forwarded: readonly Received[],
  conversations: readonly Conversation[],
): Promise<Finding[]> {
  const findings: Finding[] = []
  const seen = new Set<string>()
  for (const received of forwarded) {
    const id = idOf(received.headers) ?? ''
    const faults = await stage.judge(received)
    faults.push(...faultsOfPermit(stage.decisions.get(id) ?? [], received))
    if (seen.has(id)) faults.push('a permit that was used twice')
    seen.add(id)
    const { method, target } = received
    for (const fault of faults)
      findings.push({
        what: `the backend received ${fault}: ${method} ${target}`,
        conversations: markedBy(received, conversations),
      })
  }
  const questions = stage.standin.requests.filter(({ headers }) => isQuestion(headers))
  const strange = questions.filter(({ method, target }) => !QUESTIONS.test(`${method} ${target}`))
  return [
    ...findings,
    ...strange.map(({ method, target }) => ({
      what: `the backend received a strange question: ${method} ${target}`,
      conversations,
    })),
  ]
}

function markedBy({ headers }: Received, conversations: readonly Conversation[]): readonly Conversation[] {
  const marked = conversations.filter(({ index }) => String(index) === headers[MARK])
  return marked.length > 0 ? marked : conversations
}

/** The log must have permitted this very request, once. */
function faultsOfPermit(lines: readonly LogLine[], { method, target }: Received): string[] {
  const [line, ...others] = lines
  if (line === undefined || line['decision'] !== 'permit') return ['what the log does not show as permitted']
  if (others.length > 0) return ['what was permitted more than once']
  const path = target.replace(/\?.*/s, '')
  const isSame = line['method'] === method && (line['path'] === path || String(line['path']).includes('{'))
  return isSame
    ? []
    : [`something else than was permitted (${String(line['method'])} ${String(line['path'])})`]
}

function faultsHeard(stage: Stage, conversation: Conversation, { text, end }: Heard, tally: Tally): string[] {
  if (end === 'hung')
    return [`no answer and no end within the bound, after ${JSON.stringify(text.slice(-300))}`]
  const { answers, rest } = readAnswers(text)
  const mayBeToHead = conversation.pieces.join('').includes('HEAD')
  const faults = answers.flatMap((answer) => faultsOfAnswer(stage, answer, mayBeToHead, tally))
  // Whoever leaves early may miss the rest.
  if (end === 'ours' || conversation.ending === 'end') return faults
  if (rest !== '') faults.push(`bytes that are no answer: ${JSON.stringify(rest.slice(0, 300))}`)
  if (answers.some(({ complete, body }) => !complete && !(mayBeToHead && body === '')))
    faults.push('an answer that breaks off')
  const final = answers.filter(({ status }) => status === 101 || status >= 200)
  if (conversation.sane && final.length === 0) faults.push('no answer to a plain request')
  return faults
}

function faultsOfAnswer({ decisions }: Stage, answer: Answer, mayBeToHead: boolean, tally: Tally): string[] {
  const { status } = answer
  if (status === 100) return answer.fields.length === 0 ? [] : ['an interim answer with headers']
  tally.answers++
  const [reason] = values(answer, 'postern-reason')
  const ids = values(answer, 'x-request-id')
  const [id = ''] = ids
  const [line] = decisions.get(id) ?? []
  if (reason !== undefined) {
    tally.refusals.set(reason, (tally.refusals.get(reason) ?? 0) + 1)
    const faults = faultsOfRefusal(answer, mayBeToHead)
    return isLogged(line, reason) ? faults : [...faults, `a refusal (${reason}) that the log does not show`]
  }
  if (isOwn(answer)) return []
  if (ids.length !== 1) return [`an answer (${status}) with ${ids.length} X-Request-Id`]
  return line?.['decision'] === 'permit' ? [] : [`an answer (${status}) without a permit`]
}

function isLogged(line: LogLine | undefined, reason: string): boolean {
  if (line?.['decision'] === 'permit') return line['ended'] === reason
  return line?.['reason'] === reason || (reason === 'no_route' && line?.['reason'] === 'concealed')
}

/** The public keys, and what the presented credential is: neither is a decision. */
function isOwn(answer: Answer): boolean {
  const [type = ''] = values(answer, 'content-type')
  const isPrivate =
    values(answer, 'cache-control').join() === 'no-store' && values(answer, 'vary').includes(OWN_VARY)
  return answer.status === 200 && (type.startsWith('application/jwk-set+json') || isPrivate)
}

const OWN_VARY = 'Authorization, Cookie'
