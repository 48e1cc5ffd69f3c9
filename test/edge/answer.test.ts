import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import t from 'tap'
import { renderDenial } from '../../src/edge/answer.ts'
import type { Answer } from '../../src/edge/answer.ts'
import type { Denial } from '../../src/pipeline/decision.ts'
import { hintOf } from '../../src/pipeline/hint.ts'
import { REASONS } from '../../src/pipeline/reason.ts'
import type { Reason } from '../../src/pipeline/reason.ts'
import type { AnswerStyle } from '../../src/profiles/profile.ts'

// A table with the reasons as its keys.
const reason = fc.constantFrom(...(Object.keys(REASONS) as Reason[]))
// Few of each, so that many answers differ from the one before in one thing alone.
const names = fc.constantFrom([], ['roms.read'], ['roms.write'], ['roms.read', 'é"'])
const denial: fc.Arbitrary<Denial> = fc.record(
  {
    kind: fc.constant('deny'),
    reason,
    credential: fc.constantFrom(
      { kind: 'session', id: 'secret' } as const,
      { kind: 'basic', username: 'vera', password: 'secret' } as const,
      { kind: 'token', token: 'secret' } as const,
    ),
    required: names,
    missing: names,
    allow: fc.constant(['GET', 'HEAD']),
    hint: fc.constantFrom('a hint', 'ein "Rätsel"'),
    retryAfter: fc.constantFrom(0, 7),
    deadSession: fc.boolean(),
  },
  { requiredKeys: ['kind', 'reason'] },
)

const STYLES: readonly AnswerStyle[] = [
  { refusal: () => undefined, clearSession: undefined },
  { refusal: () => undefined, clearSession: 'session=; Max-Age=0' },
  { refusal: () => ({ status: 403, detail: 'Verboten "hier"' }), clearSession: undefined },
  { refusal: () => ({ status: 403, detail: 'Forbidden' }), clearSession: undefined },
  { refusal: () => ({ status: 404, detail: 'Forbidden' }), clearSession: undefined },
]

/** Each answer made of its own denial, whatever was answered before. */
function expected(about: Denial, id: string, style: AnswerStyle, cors: readonly string[]): Answer {
  const { status, detail } = style.refusal(about.reason) ?? REASONS[about.reason]
  const { required, missing } = about
  const hint = hintOf(about, about.credential?.kind)
  const more = { reason: about.reason, required, missing, hint, request_id: id }
  const body = JSON.stringify({ detail, ...(status !== 404 && more) })
  const retryAfter = about.retryAfter ?? (status === 503 || status === 429 ? 5 : undefined)
  const challenge = challengeOf(about)
  const headers = [
    ...['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))],
    ...['Cache-Control', 'no-store', 'Vary', 'Authorization, Cookie', 'X-Request-Id', id],
    ...['Postern-Reason', about.reason === 'concealed' ? 'no_route' : about.reason],
    ...cors,
    ...(challenge === undefined ? [] : ['WWW-Authenticate', challenge]),
    ...(retryAfter === undefined || status === 404 ? [] : ['Retry-After', String(retryAfter)]),
    ...(about.allow === undefined ? [] : ['Allow', about.allow.join(', ')]),
    ...(about.deadSession === true && style.clearSession !== undefined
      ? ['Set-Cookie', style.clearSession]
      : []),
  ]
  return { status, headers, body }
}

function challengeOf({ reason: why, credential, required = [] }: Denial): string | undefined {
  if (why === 'no_credential') return 'Bearer'
  if (why === 'insufficient_scope') return `Bearer error="insufficient_scope", scope="${required.join(' ')}"`
  if (why !== 'invalid_credential') return undefined
  const isBearer = credential === undefined || credential.kind === 'token'
  return isBearer ? 'Bearer error="invalid_token"' : 'Bearer'
}

t.test('an answer says what its own refusal says, to the byte, whatever the last one said', async () => {
  const style = fc.constantFrom(...STYLES)
  const cors = fc.constantFrom([], ['Access-Control-Allow-Origin', 'https://app.example'])
  const alike = fc.tuple(denial, fc.array(fc.tuple(denial, style), { minLength: 1, maxLength: 4 }), cors)
  fc.assert(
    fc.property(alike, ([first, others, allowed]) =>
      // Of one reason, one after the other and back.
      [...others, ...others].every(([other, words]) => {
        const about = { ...other, reason: first.reason }
        const id = randomUUID()
        return isDeepStrictEqual(renderDenial(about, id, words, allowed), expected(about, id, words, allowed))
      }),
    ),
    { numRuns: 3_000 },
  )
})
