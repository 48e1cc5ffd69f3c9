import t from 'tap'
import { Recent } from '../../src/admin/recent.ts'
import { createLogger, DecisionLog } from '../../src/observe/log.ts'
import type { Denial } from '../../src/pipeline/decision.ts'
import { issuePermit } from '../../src/pipeline/permit.ts'
import type { GatewayRequest } from '../../src/request/request.ts'
import { virtualClock } from '../support/clock.ts'
import { rule as ruleOf } from '../support/routes.ts'

const rule = ruleOf('/api/roms/{id}', 'roms.read', { methods: ['GET', 'HEAD'] })
const CONCLUDED = { status: 401, ms: 1 }

function requestOf(id: string, path = '/api/roms/1', agent = 'Argosy'): GatewayRequest {
  return {
    ...{ id, method: 'GET', upgrade: false },
    target: { path, search: '', value: path },
    headers: ['User-Agent', agent, 'Authorization', 'Bearer rmm_secret'],
    client: { address: '192.0.2.1', peer: '192.0.2.1', scheme: 'http', host: 'host', forwardedFor: '' },
  }
}

const permitOf = ({ id: requestId, ...asked }: GatewayRequest, observed?: Denial) =>
  issuePermit({ requestId, ...asked, rule, principal: undefined, credential: undefined, observed })

/** A log that writes nothing, which is told all the same. */
function recording(): { recent: Recent; log: DecisionLog } {
  const recent = new Recent(virtualClock())
  const log = new DecisionLog(createLogger('silent', { write: () => undefined }), 'off', recent)
  return { recent, log }
}

const bad: Denial = {
  ...({ kind: 'deny', reason: 'invalid_credential', rule, rejection: 'unknown' } as const),
  credential: { kind: 'token', token: 'rmm_secret' },
}

function denialOf(username: string): Denial {
  return {
    ...bad,
    principal: {
      ...{
        mode: 'token',
        grant: { kind: 'deferred' },
        expiresAt: undefined,
        tokenId: '3',
        deviceId: undefined,
      },
      owner: { subject: '1', username, role: undefined },
    },
  }
}

t.test(
  'a refusal is remembered as it is logged, with what to do about it and without its credential',
  async (t) => {
    const { recent, log } = recording()
    log.denied(bad, 'id', requestOf('id'), CONCLUDED)
    const refusal = recent.refusals.get('id')
    t.same(refusal, {
      time: '2026-01-01T00:00:00.000Z',
      line: {
        ...{ decision: 'deny', reason: 'invalid_credential', id: 'id', method: 'GET', path: '/api/roms/1' },
        ...{
          rule: '/api/roms/{id}',
          client: '192.0.2.1',
          mode: 'token',
          rejection: 'unknown',
          status: 401,
          ms: 1,
        },
      },
      rule: 'GET,HEAD /api/roms/{id} (document)',
      requires: 'roms.read',
      ...{ principal: undefined, held: undefined, required: undefined, missing: undefined },
      hint: 'The token is unknown, expired or revoked: pair again.',
    })
    t.notMatch(JSON.stringify(recent.refusals.get('id')), /secret/)
  },
)

t.test('of a long path only the beginning is remembered, and nothing of the oldest refusals', async (t) => {
  const { recent, log } = recording()
  log.denied(bad, 'first', requestOf('first'), CONCLUDED)
  for (let i = 0; i < 1_000; i++) log.denied(bad, `${i}`, requestOf(`${i}`, `/${'"'.repeat(600)}`), CONCLUDED)
  t.equal(recent.refusals.get('first'), undefined)
  t.equal(recent.refusals.get('999')?.line['path'], `/${'"'.repeat(499)}`)
  t.equal(recent.refusals.get('999')?.line['status'], 401)
})

t.test(
  'a refusal is remembered whatever its line is made of, however long, beside its neighbours',
  async (t) => {
    const { recent, log } = recording()
    const names = ['vera', 'жанна'.repeat(60), '游戏'.repeat(400), 'v'.repeat(5_000), 'gus']
    for (let round = 0; round < 300; round++)
      for (const [i, name] of names.entries())
        log.denied(denialOf(name), `${round}-${i}`, requestOf(`${round}-${i}`), CONCLUDED)
    for (const [i, name] of names.entries()) {
      t.equal(recent.refusals.get(`299-${i}`)?.line['user'], name)
      t.equal(recent.refusals.get(`100-${i}`)?.line['user'], name)
      t.equal(recent.refusals.get(`99-${i}`), undefined)
    }
    t.equal(recent.refusals.get('9-'), undefined, 'a part of an id is none')
  },
)

t.test('whoever follows is told of every decision, and of none after they are gone', async (t) => {
  const { recent, log } = recording()
  const told: unknown[] = []
  const leave = recent.tail((line) => told.push([line['decision'], line['id'], line.time]))
  log.permitted(permitOf(requestOf('one')), CONCLUDED)
  log.permitted(permitOf(requestOf('two'), bad), CONCLUDED)
  log.denied(bad, 'three', requestOf('three'), CONCLUDED)
  leave()
  log.denied(bad, 'four', requestOf('four'), CONCLUDED)
  const time = '2026-01-01T00:00:00.000Z'
  t.same(told, [
    ['permit', 'one', time],
    ['would_deny', 'two', time],
    ['deny', 'three', time],
  ])
  t.same(recent.counts, { deny: { invalid_credential: 2 }, would_deny: { invalid_credential: 1 } })
})

t.test(
  'strangers are told apart by address, program and kind of credential, in whatever order',
  async (t) => {
    const { recent, log } = recording()
    const nobody: Denial = { kind: 'deny', reason: 'no_credential', rule }
    const senders = [
      [nobody, 'Argosy'],
      [bad, 'Argosy'],
      [bad, 'curl'],
      [nobody, 'Argosy'],
      [nobody, 'Argosy'],
    ] as const
    for (const [denial, agent] of senders)
      log.denied(denial, 'id', requestOf('id', '/api/roms/1', agent), CONCLUDED)
    log.denied(
      nobody,
      'id',
      { ...requestOf('id'), client: { ...requestOf('id').client, address: '::1' } },
      CONCLUDED,
    )
    const seen = recent.who
      .list(0)
      .map(({ mode, client, address, refused, reasons }) => [mode, client, address, refused, reasons])
    t.same(
      new Set(seen.map((each) => JSON.stringify(each))),
      new Set([
        JSON.stringify(['anonymous', 'Argosy', '192.0.2.1', 3, { no_credential: 3 }]),
        JSON.stringify(['token', 'Argosy', '192.0.2.1', 1, { invalid_credential: 1 }]),
        JSON.stringify(['token', 'curl', '192.0.2.1', 1, { invalid_credential: 1 }]),
        JSON.stringify(['anonymous', 'Argosy', '::1', 1, { no_credential: 1 }]),
      ]),
    )
  },
)
