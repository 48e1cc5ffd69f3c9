import { REASONS } from '../../src/pipeline/reason.ts'

/** One answer, as its bytes came. */
export interface Answer {
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: string
  readonly complete: boolean
}

/** What a connection said, answer by answer; `rest` is what no answer was made of. */
export function readAnswers(text: string): { readonly answers: readonly Answer[]; readonly rest: string } {
  const answers: Answer[] = []
  let rest = text
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    const [, status] = /^HTTP\/1\.1 (\d{3}) [ -~]*\r\n/.exec(rest) ?? []
    if (end < 0 || status === undefined) break
    const fields = fieldsOf(rest.slice(0, end))
    const after = rest.slice(end + 4)
    const body = bodyOf(Number(status), fields, after)
    answers.push({ status: Number(status), fields, ...body })
    rest = after.slice(body.length)
    // From here on the connection is no longer HTTP.
    if (status === '101') rest = ''
  }
  return { answers, rest }
}

/** Every value of a header. @param name in lower case */
export function values({ fields }: Pick<Answer, 'fields'>, name: string): string[] {
  return fields.filter(([key]) => key === name).map(([, value]) => value)
}

function fieldsOf(head: string): (readonly [string, string])[] {
  return head
    .split('\r\n')
    .slice(1)
    .map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    })
}

interface Body {
  readonly body: string
  /** On the wire. */
  readonly length: number
  readonly complete: boolean
}

const NONE: Body = { body: '', length: 0, complete: true }

function bodyOf(status: number, fields: Answer['fields'], text: string): Body {
  if (status < 200 || status === 204 || status === 304) return NONE
  if (values({ fields }, 'transfer-encoding').includes('chunked')) return chunksOf(text)
  const [announced] = values({ fields }, 'content-length')
  if (announced === undefined) return { body: text, length: text.length, complete: true }
  const length = Number(announced)
  // An answer to HEAD has the length and not the body; no body here begins like a status line.
  if (text.startsWith('HTTP/1.1 ')) return NONE
  const body = text.slice(0, length)
  return { body, length: body.length, complete: body.length === length }
}

function chunksOf(text: string): Body {
  let body = ''
  let at = 0
  for (;;) {
    const [line, size] = /^([0-9a-f]+)\r\n/i.exec(text.slice(at, at + 20)) ?? []
    if (line === undefined) return { body, length: text.length, complete: false }
    const length = Number.parseInt(size ?? '', 16)
    at += line.length + length + 2
    if (at > text.length) return { body, length: text.length, complete: false }
    body += text.slice(at - length - 2, at - 2)
    if (length === 0) return { body, length: at, complete: true }
  }
}

const KNOWN: Readonly<Record<string, { readonly status: number }>> = REASONS

/** What a refusal lacks of what every refusal has (docs/reasons.md); empty when it lacks nothing. */
export function faultsOfRefusal(answer: Answer, isToHead: boolean): string[] {
  const [reason = ''] = values(answer, 'postern-reason')
  const faults: string[] = []
  const must = (holds: boolean, what: string): void =>
    void (holds || faults.push(`a refusal (${reason}) ${what}`))
  const one = (name: string, value: string): void =>
    must(values(answer, name).join('|') === value, `without ${name}: ${value}`)
  must(KNOWN[reason]?.status === answer.status, `with status ${answer.status}`)
  one('content-type', 'application/json')
  one('cache-control', 'no-store')
  must(values(answer, 'vary').includes('Authorization, Cookie'), 'without Vary')
  must(values(answer, 'x-request-id').length === 1, 'without an X-Request-Id of its own')
  must(values(answer, 'location').length === 0, 'that redirects')
  const retries = answer.status === 503 || answer.status === 429
  must(values(answer, 'retry-after').length === Number(retries), 'with or without Retry-After')
  must(
    (values(answer, 'www-authenticate').length === 1) ===
      (answer.status === 401 || reason === 'insufficient_scope'),
    'with or without a challenge',
  )
  if (answer.body !== '' || !isToHead)
    must(isRefusalBody(answer, reason), `with the body ${answer.body.slice(0, 200)}`)
  return faults
}

function isRefusalBody({ status, body, fields }: Answer, reason: string): boolean {
  if (status === 404) return body === '{"detail":"Not Found"}'
  try {
    const read = JSON.parse(body) as Record<string, unknown>
    const [id] = values({ fields }, 'x-request-id')
    return body.startsWith('{"detail":"') && read['reason'] === reason && read['request_id'] === id
  } catch {
    return false
  }
}
