import {
  array,
  assert,
  boolean,
  constant,
  constantFrom,
  integer,
  property,
  record,
  shuffledSubarray,
  tuple,
} from 'fast-check'
import t from 'tap'
import { Blocks, sessionName } from '../../src/directory/blocks.ts'
import { parseMark, type Mark } from '../../src/directory/mark.ts'
import type { Principal } from '../../src/identity/principal.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { virtualClock } from '../support/clock.ts'

const START = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000

function mark(more: Partial<Mark> = {}): Mark {
  return { kind: 'user', what: 'vera', at: START, until: START + HOUR, lifted: false, ...more }
}

function principal(username: string, more: Partial<Principal> = {}): Principal {
  return {
    mode: 'token',
    owner: { subject: '2', username, role: undefined },
    grant: { kind: 'known', scopes: ScopeSet.none },
    ...{ expiresAt: undefined, tokenId: '7', deviceId: undefined },
    ...more,
  }
}

function blocksOf(...marks: readonly Mark[]) {
  const clock = virtualClock(START)
  const blocks = new Blocks(clock)
  blocks.take(marks)
  return { clock, blocks }
}

t.test('what is blocked is held, and nothing beside it', async (t) => {
  const id = '3b241101-e2bb-4255-8caf-4136c566a962'
  const { blocks } = blocksOf(
    mark(),
    mark({ kind: 'token', what: '9' }),
    mark({ kind: 'session', what: sessionName(id) }),
    mark({ kind: 'address', what: '2001:db8::/64' }),
    mark({ kind: 'address', what: '192.0.2.7' }),
    mark({ what: 'bob', subject: '11' }),
  )
  t.equal(blocks.holdsPrincipal(principal('Vera')), true, 'whatever the case')
  t.equal(blocks.holdsPrincipal(principal('veronica')), false)
  t.equal(blocks.holdsPrincipal(principal('edith', { tokenId: '9' })), true)
  t.equal(blocks.holdsPrincipal(principal('edith', { tokenId: '99' })), false)
  t.equal(
    blocks.holdsPrincipal(
      principal('robert', { owner: { subject: '11', username: 'robert', role: undefined } }),
    ),
    true,
  )
  t.equal(blocks.holdsPrincipal(principal('x', { owner: undefined })), false)
  t.equal(blocks.holdsCredential({ kind: 'session', id }), true)
  t.equal(blocks.holdsCredential({ kind: 'session', id: `${id}0` }), false)
  t.equal(blocks.holdsCredential({ kind: 'basic', username: 'VERA', password: 'x' }), true)
  t.equal(blocks.holdsCredential({ kind: 'jwt', token: 'vera' }), false)
  t.equal(blocks.holdsAddress('2001:db8::1234'), true)
  t.equal(blocks.holdsAddress('2001:db8:0:1::1'), false)
  t.equal(blocks.holdsAddress('192.0.2.7'), true)
  t.equal(blocks.holdsAddress('192.0.2.70'), false)
})

t.test('a block ends when its time is over, and is then forgotten', async (t) => {
  const { clock, blocks } = blocksOf(
    mark(),
    mark({ kind: 'address', what: '192.0.2.7', until: START + 2 * HOUR }),
  )
  clock.advance(HOUR - 1)
  t.equal(blocks.holdsPrincipal(principal('vera')), true)
  clock.advance(1)
  t.equal(blocks.holdsPrincipal(principal('vera')), false)
  t.equal(blocks.list.length, 1)
  t.equal(blocks.marks.length, 1)
  clock.advance(HOUR)
  t.equal(blocks.holdsAddress('192.0.2.7'), false)
  t.same([blocks.marks.length, blocks.isEmpty], [0, true])
  t.same(blocks.take([mark()]), [], 'one that is over is no news')
})

t.test('a mark that somebody else made later by their clock does not outlive the answer to it', async (t) => {
  const { blocks } = blocksOf(mark({ at: START + 60_000 }))
  blocks.take([blocks.mark(mark(), true)])
  t.equal(blocks.isEmpty, true)
  blocks.take([mark({ at: START + 60_000 })])
  t.equal(blocks.isEmpty, true, 'and the older one does not come back')
  blocks.take([blocks.mark(mark(), false)])
  t.equal(blocks.isEmpty, false)
})

const endOf = (marks: readonly Mark[]) =>
  blocksOf(...marks)
    .blocks.marks.map((each) => JSON.stringify(each))
    .sort()

t.test('whatever the order in which marks arrive, all come to the same end', async (t) => {
  const anyMark = record({
    kind: constantFrom('user' as const, 'token' as const),
    what: constantFrom('a', 'b'),
    at: integer({ min: 0, max: 4 }).map((ms) => START + ms),
    until: integer({ min: 1, max: 3 }).map((ms) => START + ms),
    lifted: boolean(),
  })
  const marked = array(anyMark, { maxLength: 8 }).chain((marks) =>
    tuple(constant(marks), shuffledSubarray(marks, { minLength: marks.length })),
  )
  assert(
    property(marked, ([some, shuffled]) => t.strictSame(endOf(shuffled), endOf(some))),
    { numRuns: 200, seed: 7 },
  )
})

t.test('what another release or nobody of ours wrote is no mark', async (t) => {
  for (const json of [
    undefined,
    null,
    'x',
    {},
    { ...mark(), kind: 'planet' },
    { ...mark(), at: 'now' },
    { ...mark(), lifted: 1 },
  ])
    t.equal(parseMark(json), undefined, JSON.stringify(json))
  t.same(parseMark(JSON.parse(JSON.stringify(mark()))), { ...mark(), subject: undefined, why: undefined })
  const { blocks } = blocksOf(
    mark({ kind: 'address', what: 'not.an.address' }),
    mark({ kind: 'address', what: 'private' }),
  )
  t.equal(blocks.holdsAddress('10.0.0.1'), false)
})
