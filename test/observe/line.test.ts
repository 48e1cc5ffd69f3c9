import * as fc from 'fast-check'
import t from 'tap'
import { MODES } from '../../src/identity/credential.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { deniedLine, permittedLine, readLine } from '../../src/observe/line.ts'
import type { Concluded } from '../../src/observe/line.ts'
import type { Denial } from '../../src/pipeline/decision.ts'
import { REJECTIONS } from '../../src/pipeline/outcome.ts'
import { issuePermit } from '../../src/pipeline/permit.ts'
import type { Permit } from '../../src/pipeline/permit.ts'
import { REASONS } from '../../src/pipeline/reason.ts'
import type { Reason } from '../../src/pipeline/reason.ts'
import type { GatewayRequest } from '../../src/request/request.ts'
import { rule as ruleOf } from '../support/routes.ts'

/** Every UTF-16 code unit, halves of surrogate pairs alone too, and those often that JSON has its own way of writing. */
const text = fc.oneof(
  fc.string({ minLength: 1 }),
  fc
    .array(fc.oneof(fc.constantFrom(0, 8, 10, 31, 34, 92, 127, 0x20_28, 0xd8_00, 0xdf_ff), fc.nat(0xff_ff)))
    .map((units) => String.fromCharCode(...units)),
)
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })

const rule = fc
  .oneof(text, fc.constantFrom('/api/{code}', '/pair/{pairing_code}/x'))
  .map((template) => ruleOf(template, 'public'))

const principal = fc
  .record({ mode: fc.constantFrom(...MODES), username: maybe(text), tokenId: maybe(text) })
  .map(({ mode, username, tokenId }) => ({
    ...{ mode, tokenId, expiresAt: undefined, deviceId: undefined },
    owner: username === undefined ? undefined : { subject: '1', username, role: undefined },
    grant: { kind: 'known', scopes: ScopeSet.none } as const,
  }))

const credential = fc.oneof(
  text.map((id) => ({ kind: 'session', id }) as const),
  text.map((token) => ({ kind: 'jwt', token }) as const),
)

const request: fc.Arbitrary<GatewayRequest> = fc
  .record({ id: text, method: text, path: text, address: text, upgrade: fc.boolean() })
  .map(({ id, method, path, address, upgrade }) => ({
    ...{ id, method, upgrade, headers: [] },
    target: { path, search: '?secret', value: `${path}?secret` },
    client: { address, peer: 'peer', scheme: 'http', host: 'host', forwardedFor: 'peer' },
  }))

const concluded: fc.Arbitrary<Concluded> = fc.record(
  {
    status: maybe(fc.integer({ min: 100, max: 599 })),
    ms: fc.double({ min: 0, max: 1e9, noNaN: true }),
    ended: text,
    cause: fc.oneof(
      text,
      text.map((message) => new Error(message)),
    ),
  },
  { requiredKeys: ['status', 'ms'] },
)

// A table with the reasons as its keys.
const reason = fc.constantFrom(...(Object.keys(REASONS) as Reason[]))
const denial: fc.Arbitrary<Denial> = fc.record(
  {
    kind: fc.constant('deny'),
    reason,
    rule,
    template: fc.oneof(text, fc.constant('/api/{code}')),
    principal,
    credential,
    rejection: fc.constantFrom(...REJECTIONS),
    missing: fc.array(text),
    cause: text,
  },
  { requiredKeys: ['kind', 'reason'] },
)

const conclusion = ({ status, ms, ended, cause }: Concluded): object => ({
  ...{ status, ms: Math.round(ms * 10) / 10, ended },
  cause: cause instanceof Error ? cause.message : cause,
})

const pathOf = (path: string, template = ''): string => (/\{\w*code\}/.test(template) ? template : path)

/** The line as an object, with what is not said undefined. */
function refusal(
  decision: string,
  about: Denial,
  id: string,
  asked: Pick<GatewayRequest, 'method' | 'target' | 'client' | 'upgrade'> | undefined,
  end: Concluded,
): object {
  return {
    ...{ decision, reason: about.reason, id, method: asked?.method },
    path: asked && pathOf(asked.target.path, about.rule?.template ?? about.template),
    ...{ rule: about.rule?.template, client: asked?.client.address },
    mode: about.principal?.mode ?? about.credential?.kind,
    ...{ user: about.principal?.owner?.username, token: about.principal?.tokenId },
    ...{ rejection: about.rejection, missing: about.missing },
    ...{ socket: asked?.upgrade === true ? true : undefined, ...conclusion(end) },
  }
}

function permission(
  { requestId: id, method, target, client, upgrade, ...about }: Permit,
  end: Concluded,
): object {
  const { template } = about.rule
  return {
    ...{ decision: 'permit', id, method, path: pathOf(target.path, template), rule: template },
    ...{ client: client.address, mode: about.principal?.mode, user: about.principal?.owner?.username },
    ...{ token: about.principal?.tokenId, socket: upgrade ? true : undefined, ...conclusion(end) },
  }
}

const permit = fc
  .record({
    request,
    rule,
    principal: maybe(principal),
    credential: maybe(credential),
    observed: maybe(denial),
  })
  .map(({ request: { id: requestId, ...asked }, ...rest }) => issuePermit({ requestId, ...asked, ...rest }))

t.test('a line is what JSON makes of its fields, to the byte, whatever stands in them', async () => {
  fc.assert(
    fc.property(denial, text, maybe(request), concluded, (about, id, asked, end) => {
      const line = `{${deniedLine(about, id, asked, end)}}`
      return line === JSON.stringify(refusal('deny', about, id, asked, { ...end, cause: about.cause }))
    }),
    { numRuns: 2_000 },
  )
  fc.assert(
    fc.property(permit, concluded, (given, end) => {
      const { observed } = given
      const fields =
        observed === undefined
          ? permission(given, end)
          : refusal('would_deny', observed, given.requestId, given, { cause: observed.cause, ...end })
      return `{${permittedLine(given, end)}}` === JSON.stringify(fields)
    }),
    { numRuns: 2_000 },
  )
})

t.test('a line reads as the fields that it was written of', async () => {
  fc.assert(
    fc.property(denial, request, concluded, (about, asked, end) => {
      const read = readLine(deniedLine(about, asked.id, asked, end))
      return read['id'] === asked.id && read['client'] === asked.client.address
    }),
  )
})
