/**
 * Whatever the target, the rule that decided is the one that the upstream's own router reaches.
 *
 * The mass runs in process, through the code of a gateway that was started whole and has read its routes from RomM's
 * document: from the bytes of the request target through the parser and the table to the permit. A sample goes over
 * real sockets, and must come to the same there. `POSTERN_DIFFERENTIAL_CASES=5000000` makes millions of it; a failure
 * names the seed, which `POSTERN_DIFFERENTIAL_SEED` repeats.
 */
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { ScopeSet } from '../../src/identity/scope.ts'
import type { Principal } from '../../src/identity/principal.ts'
import type { Decide, Decision } from '../../src/pipeline/decision.ts'
import type { RouteRule } from '../../src/pipeline/rule.ts'
import { parseTarget } from '../../src/request/target.ts'
import { lines, message, RawClient } from '../gateway/support.ts'
import { systemClock } from '../../src/identity/clock.ts'
import { virtualClock } from '../support/clock.ts'
import { as } from '../support/romm/ask.ts'
import { rommRoutes } from '../support/routes.ts'
import { decodesOnce, type Operation, parsesUrl } from './routers.ts'
import { stage } from './support.ts'

const CASES = Number(process.env['POSTERN_DIFFERENTIAL_CASES'] ?? 200_000)
const SEED = process.env['POSTERN_DIFFERENTIAL_SEED']
const HOST = 'games.example'

// Time stands still: after half a minute of cases a path that does not exist would be looked for in the document again.
const { gateway, standin } = await stage(t, {
  settings: { 'assertion.enabled': 'false' },
  // Nothing grows old; what waits for others like it waits all the same.
  clock: { ...virtualClock(Date.now()), after: (ms, task) => systemClock.after(ms, task) },
})
const { runtime } = gateway.gateway

const CLIENT = {
  address: '192.0.2.1',
  peer: '192.0.2.1',
  scheme: 'http',
  host: HOST,
  forwardedFor: '192.0.2.1',
} as const
const EVERYTHING: Principal = Object.freeze({
  mode: 'token' as const,
  owner: { subject: '1', username: 'admin', role: 'admin' },
  grant: { kind: 'known' as const, scopes: ScopeSet.of(rommRoutes.flatMap(({ scopes }) => scopes)) },
  expiresAt: undefined,
  tokenId: undefined,
  deviceId: undefined,
})
const asAdmin = runtime.decideAs(EVERYTHING)
const asNobody = runtime.decideAs(undefined)

interface Case {
  readonly method: string
  readonly raw: string
}

const words = (text: string): readonly string[] => text.split(' ')

/** What fills a parameter; most of it is legitimate there. */
const NAMES = words(
  '1 +2 02 2.0 0_2 %202 -1 props smart upload me a;b a%23b %2520 %c3%a9 %ff [1] ~x %7ex : %3a',
)
/** What is put into a path, or in place of a segment of it. */
const NASTY = [
  ...['', ' ', 'é', '%', '%2', '%zz', ...NAMES],
  ...words(
    '. .. ... %2e %2E%2e .%2e ..; ..;x=1 ; ;x %3b \\ ..\\ %5c %2f %2F %252f %2e%2e%2f %00 %09 %0a %0d%0a',
  ),
  ...words('? %3f # %23 & @ %40 + %20 * ** {id} | " ` %c3 %C0%AE %ef%bc%8f %E2%80%AE'),
  ...words('api users heartbeat assets ws socket.io'),
]
const TAILS = ['', '', '', '', '', ...words('/ // ? ?a=b ?/../x ?a=%2e%2e ?# %0A /%0a ; . %20')]
const HEADS = [
  ...TAILS.slice(0, 5),
  ...words(`/ // http://${HOST} HTTP://GAMES.example http://evil.example .`),
]
const METHODS = words('GET GET HEAD POST PUT DELETE PATCH OPTIONS get')

type Edit = readonly [what: number, where: number, which: number]

/** A route's path with its parameters filled in, changed in a few places. */
const changed: fc.Arbitrary<Case> = fc
  .tuple(
    fc.nat(rommRoutes.length - 1),
    fc.array(fc.tuple(fc.nat(6), fc.nat(80), fc.nat(255)), { maxLength: 3 }),
    fc.nat(HEADS.length - 1),
    fc.nat(TAILS.length - 1),
    fc.nat(METHODS.length + 12),
  )
  .map(([route, edits, head, tail, method]) => {
    const { path = '/', method: own = 'GET' } = rommRoutes[route] ?? {}
    const filled = path.replace(/\{\w+\}/g, (_, at: number) => NAMES[(at + route) % NAMES.length] ?? '1')
    const raw = edits.reduce(edit, filled)
    return { method: METHODS[method] ?? own, raw: `${HEADS[head] ?? ''}${raw}${TAILS[tail] ?? ''}` }
  })

function edit(path: string, [what, where, which]: Edit): string {
  const at = where % (path.length + 1)
  const char = path.charAt(at)
  const nasty = NASTY[which % NASTY.length] ?? ''
  const hex = char === '' ? '' : `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  switch (what) {
    case 0:
      return path.slice(0, at) + nasty + path.slice(at)
    case 1:
      return replaceSegment(path, where, nasty)
    case 2:
      return path.slice(0, at) + (which % 2 === 0 ? hex : hex.toUpperCase()) + path.slice(at + 1)
    case 3:
      return path.slice(0, at) + hex.replace('%', '%25') + path.slice(at + 1)
    case 4:
      return path.slice(0, at) + (which % 2 === 0 ? char.toUpperCase() : char + char) + path.slice(at + 1)
    case 5:
      return `${path}/${nasty}`
    default:
      return path.slice(0, at) + path.slice(at + 1)
  }
}

function replaceSegment(path: string, where: number, by: string): string {
  const segments = path.split('/')
  segments[where % segments.length] = by
  return segments.join('/')
}

/** Made of what readers differ on, and of nothing else. */
const soup: fc.Arbitrary<Case> = fc
  .tuple(fc.array(fc.constantFrom('/', ...NASTY), { maxLength: 12 }), fc.constantFrom(...METHODS))
  .map(([pieces, method]) => ({ method, raw: `/${pieces.join('')}` }))

const cases = fc.oneof({ arbitrary: changed, weight: 9 }, { arbitrary: soup, weight: 1 })

/** From the bytes of the request target to the decision. Undefined: the target is refused. */
function decide({ method, raw }: Case, by: Decide): Decision | undefined {
  const parsed = parseTarget(raw, method, HOST)
  if (!parsed.ok) return undefined
  const { target } = parsed
  const decision = by({ id: 'x', method, target, headers: ['Host', HOST], client: CLIENT, upgrade: false })
  if (decision instanceof Promise) throw new Error(`${method} ${raw} waits for something`)
  return decision
}

/** Whether the rule is that of the operation: its own row, or one that requires what it does and no less. */
function isOf(rule: RouteRule, { template, scopes }: Operation): boolean {
  if (nameless(rule.template) === nameless(template)) return true
  // Two templates that overlap, of which the table does not guess which the backend takes: the row of both.
  return (
    rule.requirement.kind === 'scopes' &&
    rule.requirement.scopes.hasAll(ScopeSet.of(scopes)) &&
    scopes.length > 0
  )
}

const nameless = (template: string): string => template.replace(/\{\w*\}/g, '{}')

const seen = { refused: 0, permitted: 0, reached: 0, denied: 0 }

function hold(one: Case): void {
  const decision = decide(one, asAdmin)
  if (decision === undefined) return void seen.refused++
  if (decision.kind === 'deny') return holdBack(one, decision.reason)
  seen.permitted++
  const { target, rule } = decision.permit
  const { value, path, search } = target
  const url = new URL(value, 'http://upstream.example')
  if (url.pathname !== path || url.host !== 'upstream.example' || url.hash !== '')
    throw new Error(`${value} is ${url.href} to a URL parser`)
  if (/[^\x21-\x7e]|#/.test(search)) throw new Error(`the query ${search}`)
  for (const router of [decodesOnce, parsesUrl]) {
    const operation = router(one.method, value)
    if (operation === undefined) continue
    seen.reached++
    if (!isOf(rule, operation))
      throw new Error(`${rule.template} decided, ${router.name} reaches ${operation.template}`)
    const nobody = operation.scopes.length > 0 ? decide(one, asNobody) : undefined
    if (nobody?.kind === 'permit') throw new Error(`${operation.template} is reached by nobody`)
  }
}

/** A route that the backend has is not said to be none. */
function holdBack({ method, raw }: Case, reason: string): void {
  seen.denied++
  const parsed = parseTarget(raw, method, HOST)
  if (reason !== 'no_route' || !parsed.ok) return
  const operation = decodesOnce(method, parsed.target.value)
  if (operation !== undefined) throw new Error(`no route, and the backend has ${operation.template}`)
}

t.test(`${CASES} targets: what decided is what the upstream reaches`, async (t) => {
  const seed = SEED === undefined ? {} : { seed: Number(SEED) }
  fc.assert(fc.property(cases, hold), { numRuns: CASES, ...seed })
  t.comment(seen)
  for (const [what, count] of Object.entries(seen)) t.ok(count > CASES / 8, `${what}: ${count}`)
})

/** Whether the parser, which reads bytes before anything of ours does, surely makes a request of it. */
const isRequest = ({ method, raw }: Case): boolean =>
  method !== 'get' && /^(?:https?:\/\/[\w.]+)?\/[\x21-\x7e]*$/i.test(raw)

/** Sends the cases one behind the other, without waiting; what is no request closes its connection and goes alone. */
async function pipeline(t: Test, batch: readonly Case[], fields: readonly string[]): Promise<string[]> {
  const client = await RawClient.open(t, gateway.port)
  client.send(Buffer.from(batch.map(({ raw, method }) => message(raw, fields, method)).join(''), 'utf8'))
  const said: string[] = []
  for (const { method } of batch) {
    const answer = await client.answer(method)
    const id = answer.one('x-request-id')
    const arrived = standin.requests.find(({ headers }) => headers['x-request-id'] === id)
    said.push(arrived === undefined ? String(answer.one('postern-reason')) : `> ${arrived.target}`)
  }
  client.socket.destroy()
  standin.forget()
  return said
}

function* inBatches(sample: readonly Case[]): Generator<readonly Case[]> {
  const requests = sample.filter(isRequest)
  for (let from = 0; from < requests.length; from += 50) yield requests.slice(from, from + 50)
  for (const one of sample) if (!isRequest(one)) yield [one]
}

/** What must come of it over a socket. */
function expected(one: Case, by: Decide): readonly string[] {
  if (isRequest(one)) return decided(one, by)
  // The parser reads over further spaces around the target, which is then the target without them.
  return ['malformed_request', ...decided({ ...one, raw: one.raw.trim() }, by)]
}

function decided(one: Case, by: Decide): readonly string[] {
  const decision = decide(one, by)
  if (decision === undefined) return ['ambiguous_target', 'foreign_target']
  if (decision.kind === 'permit') return [`> ${decision.permit.target.value}`]
  return [decision.reason === 'concealed' ? 'no_route' : decision.reason]
}

const reads = ({ method }: Case): boolean => method === 'GET' || method === 'HEAD'

for (const [who, by, fields, isSent] of [
  ['nobody', asNobody, [], () => true],
  // Who may do everything would do it.
  ['an admin', asAdmin, lines(as('rmm admin all')), reads],
] as const) {
  t.test(`a sample of them, as ${who}, comes to the same over real sockets`, async (t) => {
    const sample = fc.sample(cases, { numRuns: 3_000, seed: 8 }).filter(isSent)
    let arrived = 0
    for (const batch of inBatches(sample)) {
      const said = await pipeline(t, batch, fields)
      for (const [i, one] of batch.entries()) {
        const found = said[i] ?? ''
        if (found.startsWith('>')) arrived++
        const wanted = expected(one, by)
        if (!wanted.includes(found)) t.equal(found, wanted, `${one.method} ${JSON.stringify(one.raw)}`)
      }
    }
    t.ok(arrived > 100, `${arrived} of ${sample.length} reached the backend`)
  })
}
